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
		cmocka_unit_test(test_hosted),         cmocka_unit_test(test_each),
		cmocka_unit_test(test_heard),          cmocka_unit_test(test_identity),
		cmocka_unit_test(test_threads),        cmocka_unit_test(test_heard_at),
		cmocka_unit_test(test_scanner_proven),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
