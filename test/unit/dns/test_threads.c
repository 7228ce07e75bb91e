/* Several workers at one resolver, peeking and asking at once while its doors change: for
 * ThreadSanitizer. */
#include "base/clock.h"
#include "dns/resolver.h"

#include "cm.h"
#include "fake.h"
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 3, DOMAINS = 60, ROUNDS = 300 };

static struct fake fake;
static struct resolver *resolver;
static _Atomic unsigned int n_answers, n_peeked;

static bool answer(struct fake *f, struct msg *m, const char *name, uint16_t type, bool tcp)
{
	(void)f;
	(void)tcp;
	if (type == WIRE_MX)
		msg_mx(m, name, 60, 10, "mx.lab.net");
	else if (type == WIRE_A)
		msg_addr(m, name, 60, "192.0.2.1");
	else if (type == WIRE_PTR)
		msg_name(m, MSG_ANSWER, name, WIRE_PTR, 60, "mx.lab.net");
	else
		msg_soa(m, "lab.net", 60, 60);
	return true;
}

static void check(const struct domain_facts *f, const char *domain)
{
	if (strcmp(f->domain, domain) != 0 || f->kind != FACTS_MX || f->n_hosts != 1 ||
	    strcmp(f->hosts[0].name, "mx.lab.net") != 0 || f->hosts[0].n_addrs != 1)
		abort();
}

struct question {
	struct resolver_query query;
	char domain[32];
};

static void on_answer(struct resolver_query *query, const void *result)
{
	struct question *q = query->user;

	n_answers++;
	check(result, q->domain);
	free(q);
}

static void on_client(struct resolver_query *query, const void *result)
{
	const struct client_names *names = result;

	n_answers++;
	if (names->status != DNS_OK)
		abort();
	free(query->user);
}

static void ask_one(struct worker *w, enum resolver_kind kind, const char *domain)
{
	struct question *q = calloc(1, sizeof(*q));
	struct addr client = addr_from_v4("\300\0\2\1");

	snprintf(q->domain, sizeof(q->domain), "%s", domain);
	client.b[15] = (uint8_t)domain[1];
	q->query.user = q;
	q->query.answer = kind == RESOLVER_CLIENT ? on_client : on_answer;
	if (resolver_ask(w->port, kind, domain, &client, &q->query) != 0)
		abort();
}

static void work(void *user)
{
	unsigned int seed = *(unsigned int *)user;
	struct worker w;
	char domain[32];

	worker_init(&w, resolver);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < 20; i++) {
			snprintf(domain, sizeof(domain), "d%d.lab.net", rand_r(&seed) % DOMAINS);
			const struct domain_facts *f = resolver_peek_domain(w.port, domain);
			if (f) {
				check(f, domain);
				n_peeked++;
			} else {
				ask_one(&w,
					i % 8 == 0   ? RESOLVER_CONFIRM
					: i % 4 == 0 ? RESOLVER_CLIENT
						     : RESOLVER_DOMAIN,
					domain);
			}
		}
		uv_run(&w.loop, UV_RUN_NOWAIT);
		if (round % 50 == 0)
			worker_run(&w, 10);
	}
	/* some questions may be open still: the port takes them along, their memory is ours */
	worker_run(&w, 3000);
	worker_deinit(&w);
}

/* Time goes on fast, so that doors expire, are refreshed and evicted meanwhile. */
static void test_threads(void **state)
{
	struct endpoint server = { addr_from_v4("\177\0\0\1"), 0 };
	struct resolver_conf conf = { .servers = &server,
				      .n_servers = 1,
				      .timeout_ms = 500,
				      .max_domains = DOMAINS / 2,
				      .max_in_flight = 16 };
	struct resolver_stats stats;
	unsigned int seeds[WORKERS];
	uv_thread_t threads[WORKERS];
	int64_t now = 1000000;

	(void)state;
	fake_start(&fake, answer);
	server.port = conf.confirm_port = fake.port;
	clock_fake(now, 0);
	assert_int_equal(resolver_new(&conf, &resolver), 0);
	/* On a busy machine few questions are answered in time: the table takes longer to fill, and
	 * all may have been asked before the first door is there. */
	for (int turn = 0;
	     turn == 0 || ((stats.evicted == 0 || n_peeked == 0 || n_answers == 0) && turn < 8);
	     turn++) {
		for (unsigned int i = 0; i < WORKERS; i++) {
			seeds[i] = i + 100 * (unsigned int)turn;
			uv_thread_create(&threads[i], work, &seeds[i]);
		}
		for (int i = 0; i < 20; i++) {
			uv_sleep(50);
			now += 20000;
			clock_fake(now, 0);
			resolver_stats(resolver, &stats);
		}
		for (unsigned int i = 0; i < WORKERS; i++)
			uv_thread_join(&threads[i]);
		resolver_stats(resolver, &stats);
	}
	assert_true(n_answers > 0);
	assert_true(n_peeked > 0);
	assert_true(stats.evicted > 0);
	resolver_free(resolver);
	fake_stop(&fake);
	clock_fake(-1, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_threads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
