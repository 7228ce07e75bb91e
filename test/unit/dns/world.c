#include "world.h"

#include "base/clock.h"
#include "cm.h"

struct fake fake;
struct resolver *resolver;
struct worker worker;
int64_t now;

void set_time(int64_t ms)
{
	now = ms;
	clock_fake(now, 0);
}

void world_start(struct resolver_conf conf, fake_answer_fn answer, int64_t now_ms)
{
	struct endpoint server = { addr_from_v4("\177\0\0\1"), 0 };

	fake_start(&fake, answer);
	server.port = fake.port;
	conf.servers = &server;
	conf.n_servers = 1;
	conf.confirm_port = fake.port;
	set_time(now_ms);
	assert_int_equal(resolver_new(&conf, &resolver), 0);
	worker_init(&worker, resolver);
}

int world_end(void **state)
{
	(void)state;
	worker_deinit(&worker);
	resolver_free(resolver);
	fake_stop(&fake);
	clock_fake(-1, -1);
	return 0;
}

struct resolver_stats stats(void)
{
	struct resolver_stats s;

	resolver_stats(resolver, &s);
	return s;
}
