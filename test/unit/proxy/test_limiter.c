#include "proxy/limiter.h"

#include "base/buf.h"
#include "base/clock.h"
#include "proxy/known_clients.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW 1000000

static struct addr at(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(text), &a), 0);
	return a;
}

struct world {
	struct limiter *l;
	struct limits_conf conf;
	struct limiter_ticket tickets[4096];
	size_t n;
};

static enum limiter_outcome admit(struct world *w, const char *client, enum limiter_who who,
				  int64_t now)
{
	struct addr a = at(client);
	enum limiter_outcome r = limiter_admit(w->l, &w->conf, &a, who, now, &w->tickets[w->n]);

	w->n += r == LIMITER_ADMITTED;
	return r;
}

static void leave(struct world *w, size_t i)
{
	limiter_release(w->l, &w->tickets[i]);
	/* a second time does no harm */
	limiter_release(w->l, &w->tickets[i]);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	w->conf.memory = 1 << 30;
	return limiter_new(1000, UINT64_C(1) << 33, &w->l);
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < w->n; i++)
		leave(w, i);
	assert_int_equal(limiter_sessions(w->l), 0);
	limiter_free(w->l);
	free(w);
	return 0;
}

static void test_one_client(void **state)
{
	static const struct {
		const char *one, *same, *other;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1", "192.0.2.2" },
		{ "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1" },
		{ "::2", "::3", "0:0:0:1::" },
	};
	struct world *w = *state;

	w->conf.per_client = 2;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t first = w->n;
		assert_int_equal(admit(w, rows[i].one, LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
		assert_int_equal(admit(w, rows[i].same, LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
		assert_int_equal(admit(w, rows[i].one, LIMITER_ANYBODY, NOW), LIMITER_CLIENT);
		assert_int_equal(admit(w, rows[i].other, LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
		assert_int_equal(admit(w, rows[i].one, LIMITER_TRUSTED, NOW), LIMITER_ADMITTED);
		leave(w, first);
		leave(w, first + 3);
		assert_int_equal(admit(w, rows[i].same, LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
		assert_int_equal(admit(w, rows[i].one, LIMITER_ANYBODY, NOW), LIMITER_CLIENT);
	}
}

/* 60 a minute: ten at once, then one a second; refused ones don't count. */
static void test_rate(void **state)
{
	struct world *w = *state;

	w->conf.per_client_rate = 60;
	for (int i = 0; i < 11; i++)
		assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
	for (int i = 0; i < 50; i++)
		assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW), LIMITER_RATE);
	assert_int_equal(admit(w, "192.0.2.2", LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW + 999), LIMITER_RATE);
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW + 1000), LIMITER_ADMITTED);
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW + 1000), LIMITER_RATE);
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_TRUSTED, NOW + 1000), LIMITER_ADMITTED);
	/* the end of sessions gives nothing back of the rate */
	for (size_t i = 0; i < w->n; i++)
		leave(w, i);
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW + 1000), LIMITER_RATE);
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW + 100000), LIMITER_ADMITTED);
	/* another configuration counts at once */
	w->conf.per_client_rate = 0;
	for (int i = 0; i < 100; i++)
		assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW + 1), LIMITER_ADMITTED);
}

/* Forty in all, ten of them for those that must get through. */
static void test_shares(void **state)
{
	struct world *w = *state;
	struct addr scanner = at("198.51.100.1");

	w->conf.connections = 40;
	w->conf.per_client = 5;
	limiter_heard_scanner(w->l, &scanner, NOW);
	for (int i = 0; i < 30; i++) {
		char client[32];
		snprintf(client, sizeof(client), "192.0.2.%d", i);
		assert_int_equal(admit(w, client, LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
	}
	assert_int_equal(admit(w, "192.0.2.200", LIMITER_ANYBODY, NOW), LIMITER_TOTAL);
	/* within the quarter a scanner has no limit of its own */
	for (int i = 0; i < 7; i++)
		assert_int_equal(admit(w, "198.51.100.1", LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
	for (int i = 0; i < 3; i++)
		assert_int_equal(admit(w, "203.0.113.1", LIMITER_TRUSTED, NOW), LIMITER_ADMITTED);
	assert_int_equal(limiter_sessions(w->l), 40);
	assert_int_equal(admit(w, "203.0.113.1", LIMITER_TRUSTED, NOW), LIMITER_TOTAL);
	assert_int_equal(admit(w, "198.51.100.1", LIMITER_ANYBODY, NOW), LIMITER_CLIENT);
	/* what anybody leaves, all may take */
	leave(w, 0);
	assert_int_equal(admit(w, "203.0.113.1", LIMITER_TRUSTED, NOW), LIMITER_ADMITTED);
	/* and the quarter is anybody's as little as before */
	leave(w, 30);
	assert_int_equal(admit(w, "192.0.2.200", LIMITER_ANYBODY, NOW), LIMITER_TOTAL);
	assert_int_equal(admit(w, "198.51.100.1", LIMITER_ANYBODY, NOW + LIMITER_KNOWN_MS),
			 LIMITER_CLIENT);
}

/* As after a restart: another limiter, another clock. */
static void test_known_over_a_restart(void **state)
{
	struct world *w = *state, other = { .conf = { .per_client = 1 } };
	struct addr scanner = at("198.51.100.1"), six = at("2001:db8::1"), old = at("198.51.100.3");
	char file[] = "/tmp/limiter.XXXXXX";
	int fd = mkstemp(file);
	FILE *f;

	assert_true(fd >= 0);
	close(fd);
	other.conf.memory = 1 << 30;
	assert_int_equal(limiter_new(1000, UINT64_C(1) << 33, &other.l), 0);
	clock_fake(NOW, 1700000000000);
	limiter_heard_scanner(w->l, &scanner, NOW);
	limiter_heard_scanner(w->l, &six, NOW);
	limiter_heard_scanner(w->l, &old, NOW - LIMITER_KNOWN_MS);
	assert_int_equal(known_clients_save(file, w->l), 0);
	f = fopen(file, "a");
	fputs("nonsense\n0 99999999999999\nffffffffffffffffff 1\n12", f);
	fclose(f);
	clock_fake(5000, 1700000000000 + 1000);
	assert_int_equal(known_clients_load(file, other.l), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(admit(&other, "198.51.100.1", LIMITER_ANYBODY, 5000),
				 LIMITER_ADMITTED);
		assert_int_equal(admit(&other, "2001:db8::7", LIMITER_ANYBODY, 5000),
				 LIMITER_ADMITTED);
	}
	assert_int_equal(admit(&other, "198.51.100.3", LIMITER_ANYBODY, 5000), LIMITER_ADMITTED);
	assert_int_equal(admit(&other, "198.51.100.3", LIMITER_ANYBODY, 5000), LIMITER_CLIENT);
	/* a second has gone by between the two: not a moment longer than it was */
	assert_int_equal(
		admit(&other, "198.51.100.1", LIMITER_ANYBODY, 5000 + LIMITER_KNOWN_MS - 1000),
		LIMITER_CLIENT);
	assert_int_equal(known_clients_load("/nonexistent/x", other.l), -ENOENT);
	assert_int_equal(known_clients_save("/nonexistent/x", other.l), -ENOENT);
	clock_fake(-1, -1);
	for (size_t i = 0; i < other.n; i++)
		leave(&other, i);
	limiter_free(other.l);
	(void)unlink(file);
}

static void test_balancer(void **state)
{
	struct world *w = *state;

	w->conf.connections = 8;
	w->conf.per_client = 1;
	w->conf.per_client_rate = 1;
	for (int i = 0; i < 8; i++)
		assert_int_equal(admit(w, "10.0.0.1", LIMITER_BALANCER, NOW), LIMITER_ADMITTED);
	assert_int_equal(admit(w, "10.0.0.1", LIMITER_BALANCER, NOW), LIMITER_TOTAL);
}

static void test_descriptors_bound_the_configured(void **state)
{
	struct world *w = *state;

	w->conf.connections = 5000;
	assert_int_equal(limiter_connections(w->l, &w->conf), 1000);
	w->conf.connections = 0;
	assert_int_equal(limiter_connections(w->l, &w->conf), 1000);
	for (int i = 0; i < 100; i++)
		limiter_drip(w->l);
	assert_int_equal(limiter_connections(w->l, &w->conf), 950);
	limiter_undrip(w->l, 100);
	assert_int_equal(limiter_connections(w->l, &w->conf), 1000);
	w->conf.connections = 1;
	assert_int_equal(limiter_connections(w->l, &w->conf), 1);
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
	assert_int_equal(admit(w, "192.0.2.2", LIMITER_ANYBODY, NOW), LIMITER_TOTAL);
}

static void test_memory(void **state)
{
	struct world *w = *state;
	struct addr scanner = at("198.51.100.1");
	struct buf b;
	char *block = calloc(1, 1 << 20);
	int64_t before = buf_total();

	w->conf.memory = before + (1 << 19);
	limiter_heard_scanner(w->l, &scanner, NOW);
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
	buf_init(&b, 1 << 20);
	assert_int_equal(buf_add(&b, block, 1 << 20), 0);
	assert_true(limiter_is_tight(w->l, &w->conf));
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW), LIMITER_MEMORY);
	assert_int_equal(admit(w, "10.0.0.1", LIMITER_BALANCER, NOW), LIMITER_ADMITTED);
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_TRUSTED, NOW), LIMITER_ADMITTED);
	/* a scanner too, as long as its share lasts: one place of the two is taken */
	w->conf.connections = 8;
	assert_int_equal(admit(w, "198.51.100.1", LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
	assert_int_equal(admit(w, "198.51.100.1", LIMITER_ANYBODY, NOW), LIMITER_MEMORY);
	buf_consume(&b, 1 << 20);
	assert_int_equal(buf_total(), before);
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
	free(block);
}

/* More prefixes than there is room for: those with sessions keep their place. */
static void test_flood_of_prefixes(void **state)
{
	struct world *w = *state;
	struct limiter_ticket t;

	w->conf.per_client = 3;
	w->conf.per_client_rate = 600;
	for (int i = 0; i < 3; i++)
		assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW), LIMITER_ADMITTED);
	for (uint32_t i = 0; i < 100000; i++) {
		struct addr a = at("2001:db8::");
		memcpy(a.b + 4, &i, 4);
		assert_int_equal(limiter_admit(w->l, &w->conf, &a, LIMITER_ANYBODY, NOW, &t),
				 LIMITER_ADMITTED);
		limiter_release(w->l, &t);
	}
	assert_int_equal(admit(w, "192.0.2.1", LIMITER_ANYBODY, NOW), LIMITER_CLIENT);
}

static void test_tell(void **state)
{
	struct world *w = *state;
	uint64_t n = 0;

	assert_true(limiter_tell(w->l, METRIC_LIMIT_RATE, NOW, &n));
	assert_int_equal(n, 1);
	for (int i = 0; i < 9; i++)
		assert_false(limiter_tell(w->l, METRIC_LIMIT_RATE, NOW + LIMITER_TELL_MS - 1, &n));
	assert_true(limiter_tell(w->l, METRIC_LIMIT_CLIENT, NOW + 1, &n));
	assert_true(limiter_tell(w->l, METRIC_LIMIT_RATE, NOW + LIMITER_TELL_MS, &n));
	assert_int_equal(n, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_one_client),
		TEST(test_rate),
		TEST(test_shares),
		TEST(test_known_over_a_restart),
		TEST(test_balancer),
		TEST(test_memory),
		TEST(test_descriptors_bound_the_configured),
		TEST(test_flood_of_prefixes),
		TEST(test_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
