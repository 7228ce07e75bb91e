#include "fixture.h"

#include <pthread.h>
#include <stdio.h>

static struct memory *fresh(void)
{
	struct memory *m;

	assert_int_equal(memory_new(&m), 0);
	return m;
}

static void test_hosted(void **state)
{
	struct memory *m = fresh();
	char name[64];

	assert_false(memory_is_hosted(m, "example.org"));
	assert_int_equal(memory_hosted_add(m, SV("example.org")), 0);
	assert_int_equal(memory_hosted_add(m, SV("example.org")), 1);
	assert_true(memory_is_hosted(m, "example.org"));
	assert_false(memory_is_hosted(m, "www.example.org"));
	assert_false(memory_is_hosted(m, "org"));
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		assert_int_equal(memory_hosted_add(m, sv_from(name)), 0);
	}
	assert_int_equal(memory_hosted_count(m), 10001);
	assert_true(memory_is_hosted(m, "d9999.example"));
	assert_false(memory_is_hosted(m, "d10000.example"));
	memory_free(m);
}

static int count(void *user, const char *domain)
{
	++*(int *)user;
	return 0;
}

/* Names come and go, and what is gone is not found, nor counted. */
static void test_hosted_removed(void **state)
{
	struct memory *m = fresh();
	char name[300];
	int n = 0;

	for (int i = 0; i < 60000; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		assert_int_equal(memory_hosted_add(m, sv_from(name)), 0);
		snprintf(name, sizeof(name), "d%d.example", i - 100);
		assert_int_equal(memory_hosted_remove(m, name), i >= 100);
		assert_false(memory_is_hosted(m, name));
	}
	assert_int_equal(memory_hosted_count(m), 100);
	assert_int_equal(memory_hosted_each(m, count, &n), 0);
	assert_int_equal(n, 100);
	for (int i = 0; i < 60000; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		assert_int_equal(memory_is_hosted(m, name), i >= 59900);
	}
	assert_int_equal(memory_hosted_add(m, SV("d7.example")), 0);
	assert_true(memory_is_hosted(m, "d7.example"));
	/* long ones, and none at all */
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(memory_hosted_add(m, sv_from(name)), 0);
	assert_true(memory_is_hosted(m, name));
	assert_int_equal(memory_hosted_add(m, SV("")), 0);
	assert_true(memory_is_hosted(m, ""));
	memory_free(m);
}

static int visit(void *user, const char *domain)
{
	int *left = user;

	assert_int_equal(strncmp(domain, "d", 1), 0);
	return --*left == 0 ? -7 : 0;
}

static void test_each(void **state)
{
	struct memory *m = fresh();
	char name[64];
	int left = 1000;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		memory_hosted_add(m, sv_from(name));
	}
	assert_int_equal(memory_hosted_each(m, visit, &left), 0);
	assert_int_equal(left, 700);
	left = 10;
	assert_int_equal(memory_hosted_each(m, visit, &left), -7);
	memory_free(m);
}

static void test_heard(void **state)
{
	struct memory *m = fresh();

	assert_false(memory_scanner_is_heard(m, "acme", 0));
	memory_scanner_heard(m, "acme", 1000);
	assert_true(memory_scanner_is_heard(m, "acme", 1000));
	assert_false(memory_scanner_is_heard(m, "other", 1000));
	assert_true(memory_scanner_is_heard(m, "acme", 1000 + MEMORY_HEARD_MS));
	assert_false(memory_scanner_is_heard(m, "acme", 1001 + MEMORY_HEARD_MS));
	memory_scanner_heard(m, "acme", 5000);
	assert_true(memory_scanner_is_heard(m, "acme", 5000 + MEMORY_HEARD_MS));
	/* What comes late was earlier. */
	memory_scanner_heard(m, "acme", 2000);
	assert_true(memory_scanner_is_heard(m, "acme", 5000 + MEMORY_HEARD_MS));
	memory_scanner_heard(m, "", 5000);
	assert_false(memory_scanner_is_heard(m, "", 5000));
	memory_free(m);
}

static int hear(void *user, const char *scanner, int64_t when_ms)
{
	*(int64_t *)user += when_ms;
	return strcmp(scanner, "future") == 0 ? -7 : 0;
}

/* By the wall clock, while the monotonic one stands at 100 s. */
static void test_heard_at(void **state)
{
	static const struct {
		const char *scanner;
		int64_t wall_ms, mono_ms; /* 0: too long ago */
	} rows[] = {
		{ "now", 2000000000, 100000 },
		{ "ago", 2000000000 - 3600000, 100000 - 3600000 },
		{ "limit", 2000000000 - MEMORY_HEARD_MS, 100000 - MEMORY_HEARD_MS },
		{ "old", 2000000000 - MEMORY_HEARD_MS - 1, 0 },
		{ "oldest", INT64_MIN, 0 },
		{ "future", INT64_MAX, 100000 },
	};
	struct memory *m = fresh();
	int64_t sum = 0, expected = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memory_scanner_heard_at(m, rows[i].scanner, rows[i].wall_ms, 2000000000, 100000);
		assert_int_equal(memory_scanner_is_heard(m, rows[i].scanner,
							 rows[i].mono_ms + MEMORY_HEARD_MS),
				 rows[i].mono_ms != 0);
		assert_false(memory_scanner_is_heard(m, rows[i].scanner,
						     rows[i].mono_ms + MEMORY_HEARD_MS + 1));
		if (rows[i].mono_ms != 0 && strcmp(rows[i].scanner, "future") != 0)
			expected += rows[i].mono_ms;
	}
	assert_int_equal(memory_heard_each(m, hear, &sum), -7);
	memory_free(m);
	m = fresh();
	sum = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows) - 1; i++)
		memory_scanner_heard_at(m, rows[i].scanner, rows[i].wall_ms, 2000000000, 100000);
	assert_int_equal(memory_heard_each(m, hear, &sum), 0);
	assert_int_equal(sum, expected);
	memory_free(m);
}

static void test_scanner_proven(void **state)
{
	struct memory *m = fresh();
	struct prefix_set none, rivals = PREFIXES("192.0.2.0/24");
	struct addr client = address("192.0.2.7"), other = address("192.0.3.7");

	prefix_set_init(&none);
	assert_false(memory_scanner_is_proven(m, "acme"));
	assert_int_equal(memory_scanner_set_proven(m, "acme", true, &none), 0);
	assert_true(memory_scanner_is_proven(m, "acme"));
	assert_false(memory_scanner_is_proven(m, "acm"));
	assert_false(memory_scanner_is_rival(m, "acme", &client));
	assert_int_equal(memory_scanner_set_proven(m, "acme", true, &rivals), 0);
	assert_int_equal(memory_scanner_set_proven(m, "", true, &rivals), 0);
	prefix_set_deinit(&rivals); /* it was copied */
	assert_true(memory_scanner_is_proven(m, "acme"));
	assert_true(memory_scanner_is_rival(m, "acme", &client));
	assert_false(memory_scanner_is_rival(m, "acme", &other));
	assert_int_equal(memory_scanner_set_proven(m, "acme", false, &none), 0);
	assert_false(memory_scanner_is_proven(m, "acme"));
	assert_false(memory_scanner_is_rival(m, "acme", &client));
	memory_free(m);
}

static void test_settled(void **state)
{
	struct memory *m = fresh();
	struct prefix_set none, accepted = PREFIXES("192.0.2.0/24", "2001:db8:1::/48"),
				denied = PREFIXES("198.51.100.7");
	struct addr in = address("192.0.2.7"), six = address("2001:db8:1::1"),
		    no = address("198.51.100.7"), other = address("198.51.100.8");

	prefix_set_init(&none);
	assert_false(memory_has_settled(m));
	assert_false(memory_scanner_accepts(m, "acme", &in));
	assert_int_equal(memory_scanner_set_settled(m, "acme", &accepted, &denied), 0);
	assert_int_equal(memory_scanner_set_settled(m, "", &accepted, &denied), 0);
	prefix_set_deinit(&accepted); /* they were copied */
	prefix_set_deinit(&denied);
	assert_true(memory_has_settled(m));
	assert_true(memory_scanner_accepts(m, "acme", &in));
	assert_true(memory_scanner_accepts(m, "acme", &six));
	assert_false(memory_scanner_accepts(m, "acme", &no));
	assert_false(memory_scanner_accepts(m, "acm", &in));
	assert_true(memory_scanner_denies(m, "acme", &no));
	assert_false(memory_scanner_denies(m, "acme", &other));
	assert_false(memory_scanner_denies(m, "acme", &in));
	assert_int_equal(memory_scanner_set_settled(m, "acme", &none, &none), 0);
	assert_false(memory_has_settled(m));
	assert_false(memory_scanner_accepts(m, "acme", &in));
	memory_free(m);
}

static void test_quiet(void **state)
{
	struct memory *m = fresh();

	assert_false(memory_scanner_is_quiet(m, "acme"));
	memory_scanner_set_quiet(m, "acme", true);
	memory_scanner_set_quiet(m, "acme", true);
	assert_true(memory_scanner_is_quiet(m, "acme"));
	assert_false(memory_scanner_is_quiet(m, "other"));
	memory_scanner_set_quiet(m, "acme", false);
	memory_scanner_set_quiet(m, "acme", false);
	assert_false(memory_scanner_is_quiet(m, "acme"));
	memory_free(m);
}

#define MINUTE (60 * 1000LL)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* When it came, in minutes; which of these times makes it pass, -1: none. */
static void test_retry_rule(void **state)
{
	static const struct {
		const char *what;
		int n, minutes[8], passes;
	} rows[] = {
		{ "as an MTA does", 5, { 0, 30, 120, 360, 600 }, 3 },
		{ "four times, too short", 4, { 0, 30, 120, 359 }, -1 },
		{ "a fifth one after six hours", 5, { 0, 30, 120, 359, 361 }, 4 },
		{ "long enough, three times", 3, { 0, 30, 900 }, -1 },
		{ "bursts count once", 6, { 0, 0, 0, 0, 400, 400 }, -1 },
		{ "a minute apart", 4, { 0, 1, 2, 360 }, 3 },
		{ "a week of silence between", 5, { 0, 30, 120, 10201, 10500 }, -1 },
		{ "a clock that goes back", 5, { 500, 0, 10, 20, 30 }, -1 },
	};
	struct addr client = address("192.0.2.7");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory *m = fresh();

		for (int k = 0; k < rows[i].n; k++) {
			int64_t now = DAY + rows[i].minutes[k] * MINUTE;
			bool begins = memory_retry(m, "example.org", &client, now);

			if (begins != (k == rows[i].passes))
				fail_msg("%s: time %d", rows[i].what, k);
			if (memory_retry_passes(m, "example.org", &client, now) !=
			    (rows[i].passes >= 0 && k >= rows[i].passes))
				fail_msg("%s: passes at time %d", rows[i].what, k);
		}
		memory_free(m);
	}
}

/* Which client, for which domain, and for how long. */
static void test_retry_life(void **state)
{
	struct memory *m = fresh();
	struct addr client = address("192.0.2.7"), neighbour = address("192.0.2.200"),
		    stranger = address("192.0.3.7"), six = address("2001:db8:1:2::1"),
		    six_too = address("2001:db8:1:3::1");
	int64_t last = 8 * HOUR;

	for (int i = 0; i < 5; i++) {
		memory_retry(m, "example.org", i % 2 ? &client : &neighbour, i * 2 * HOUR);
		memory_retry(m, "example.org", i % 2 ? &six : &six_too, i * 2 * HOUR);
	}
	assert_true(memory_retry_passes(m, "example.org", &client, last));
	assert_true(memory_retry_passes(m, "example.org", &neighbour, last));
	assert_true(memory_retry_passes(m, "example.org", &six, last));
	assert_false(memory_retry_passes(m, "example.org", &stranger, last));
	assert_false(memory_retry_passes(m, "example.net", &client, last));
	/* Coming again keeps it going; a week without ends it, and it begins anew. */
	last += 6 * DAY;
	assert_true(memory_retry_passes(m, "example.org", &client, last));
	last += 6 * DAY;
	assert_true(memory_retry_passes(m, "example.org", &client, last));
	last += MEMORY_RETRY_LIFE_MS + 1;
	assert_false(memory_retry_passes(m, "example.org", &client, last));
	assert_false(memory_retry(m, "example.org", &client, last));
	assert_false(memory_retry_passes(m, "example.org", &client, last));
	memory_free(m);
}

static void flood(struct memory *m, int n, char letter, int64_t now)
{
	struct addr bot = address("198.51.100.7");
	char domain[64];

	for (int i = 0; i < n; i++) {
		snprintf(domain, sizeof(domain), "%c%d.example", letter, i);
		memory_retry(m, domain, &bot, now);
	}
}

/* A flood of others: the table stays as large as it may be, and what comes again and again stays.
 */
static void test_retry_flood(void **state)
{
	struct memory *m = fresh();
	struct addr client = address("192.0.2.7"), bot = address("198.51.100.7");
	char domain[300];
	int64_t now = 0;

	for (int round = 0; round < 5; round++, now += 2 * HOUR) {
		memory_retry(m, "example.org", &client, now);
		for (int i = 0; i < MEMORY_RETRY_MAX - 1; i++) {
			snprintf(domain, sizeof(domain), "d%d-%d.example", round, i);
			memory_retry(m, domain, &bot, now + MINUTE);
		}
	}
	assert_true(memory_retry_passes(m, "example.org", &client, now));
	/* However many come once. */
	flood(m, MEMORY_RETRY_MAX, 'e', now);
	assert_true(memory_retry_passes(m, "example.org", &client, now));
	/* Of those that come twice half as many; and there is room for others still. */
	flood(m, MEMORY_RETRY_MAX / 4 * 3, 'f', now);
	flood(m, MEMORY_RETRY_MAX / 4 * 3, 'f', now + MINUTE);
	flood(m, 100, 'h', now);
	assert_false(memory_retry_passes(m, "example.org", &client, now));
	for (int i = 0; i < 4; i++, now += 2 * HOUR) {
		memory_retry(m, "example.com", &client, now);
		flood(m, MEMORY_RETRY_MAX / 4, 'g', now);
	}
	assert_true(memory_retry_passes(m, "example.com", &client, now));
	assert_false(memory_retry_passes(m, "example.org", &client, now));
	memset(domain, 'x', sizeof(domain) - 1);
	domain[sizeof(domain) - 1] = '\0';
	assert_false(memory_retry(m, domain, &bot, now));
	memory_free(m);
}

static void lead(struct memory *m, int from, int to, bool self, const char *where)
{
	char name[64];
	struct addr a = where ? address(where) : (struct addr) { 0 };

	for (int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		memory_hosted_add(m, sv_from(name));
		memory_door_seen(m, name, self, where ? &a : NULL);
	}
}

static void test_identity(void **state)
{
	struct memory *m = fresh();
	struct addr at = { 0 }, one = address("203.0.113.1"), two = address("203.0.113.2");

	assert_false(memory_identity_doubt(m, &at));
	lead(m, 0, MEMORY_MEET_MIN - 1, false, "203.0.113.1");
	assert_false(memory_identity_doubt(m, &at));

	/* Each domain counts once, and only hosted ones. */
	lead(m, 0, MEMORY_MEET_MIN - 1, false, "203.0.113.1");
	memory_door_seen(m, "stranger.example", false, &one);
	assert_false(memory_identity_doubt(m, &at));
	lead(m, 19, 20, false, "203.0.113.1");
	assert_true(memory_identity_doubt(m, &at));
	assert_true(addr_eq(&at, &one));

	/* As many that are self settle it; one more abroad does not. */
	lead(m, 100, 120, true, NULL);
	assert_false(memory_identity_doubt(m, &at));
	lead(m, 20, 21, false, "203.0.113.1");
	assert_true(memory_identity_doubt(m, &at));

	/* Doors move: the counts follow. */
	lead(m, 0, 21, false, "203.0.113.2");
	assert_true(memory_identity_doubt(m, &at));
	assert_true(addr_eq(&at, &two));
	lead(m, 0, 2, false, NULL);
	assert_false(memory_identity_doubt(m, &at));
	lead(m, 2, 21, true, NULL);
	lead(m, 100, 120, false, "203.0.113.1");
	assert_true(memory_identity_doubt(m, &at));
	assert_true(addr_eq(&at, &one));
	memory_free(m);
}

static void *hammer(void *arg)
{
	struct memory *m = arg;
	struct addr at;

	for (int round = 0; round < 5; round++) {
		lead(m, 0, 200, round % 2 == 0, round % 2 ? "203.0.113.1" : NULL);
		lead(m, 0, 200, false, round % 2 ? "203.0.113.2" : "203.0.113.3");
		memory_scanner_heard(m, "acme", round);
		memory_identity_doubt(m, &at);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct memory *m = fresh();
	pthread_t threads[4];
	struct addr at;

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, m), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(memory_hosted_count(m), 200);
	lead(m, 0, 200, true, NULL);
	assert_false(memory_identity_doubt(m, &at));
	lead(m, 0, 200, false, "203.0.113.3");
	assert_true(memory_identity_doubt(m, &at));
	memory_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosted),      cmocka_unit_test(test_hosted_removed),
		cmocka_unit_test(test_each),        cmocka_unit_test(test_heard),
		cmocka_unit_test(test_identity),    cmocka_unit_test(test_threads),
		cmocka_unit_test(test_heard_at),    cmocka_unit_test(test_scanner_proven),
		cmocka_unit_test(test_settled),     cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_retry_rule),  cmocka_unit_test(test_retry_life),
		cmocka_unit_test(test_retry_flood),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
