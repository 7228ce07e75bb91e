/* Which domains are enforced for first. */
#include "policy/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void nobody_and_everybody(void **state)
{
	assert_false(share_contains(0, "example.org"));
	assert_true(share_contains(SHARE_ALL, "example.org"));
	assert_false(share_contains(0, ""));
	assert_true(share_contains(SHARE_ALL, ""));
}

/* As test/daemon/test_enforce.py computes it: a change would make domains change sides. */
static void places_never_change(void **state)
{
	static const struct {
		const char *domain;
		int place;
	} rows[] = {
		{ "acme-0.com", 4070 },
		{ "acme-1.com", 3541 },
		{ "acme-2.com", 2711 },
		{ "acme-3.com", 1748 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_false(share_contains(rows[i].place, rows[i].domain));
		assert_true(share_contains(rows[i].place + 1, rows[i].domain));
	}
}

static void shares_are_what_they_say_and_contain_smaller_ones(void **state)
{
	static const int shares[] = { 50, 500, 2500, 9000 };
	enum { N = 20000 };
	int n[ARRAY_SIZE(shares)] = { 0 };
	char name[64];

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "customer%d.example", i);
		for (size_t k = 0; k < ARRAY_SIZE(shares); k++) {
			bool in = share_contains(shares[k], name);
			n[k] += in;
			if (in && k + 1 < ARRAY_SIZE(shares))
				assert_true(share_contains(shares[k + 1], name));
		}
	}
	for (size_t k = 0; k < ARRAY_SIZE(shares); k++) {
		int want = (int)((long)N * shares[k] / SHARE_ALL);
		assert_in_range(n[k], want * 8 / 10, want * 12 / 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_and_everybody),
		cmocka_unit_test(places_never_change),
		cmocka_unit_test(shares_are_what_they_say_and_contain_smaller_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
