/* Addresses in log lines, by RFC 5321's quoting. */
#include "logscan/entry.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_address_len(void **state)
{
	static const struct {
		const char *text, *stop;
		int want; /* -1: a quote without end */
	} cases[] = {
		{ "", "", 0 },
		{ "a@b.c", "", 5 },
		{ "a@b.c d@e.f", "", 5 },
		{ "\"a b\"@c.d e", "", 9 },
		{ "\"a\\\" b\"@c.d e", "", 11 },
		{ "\"a\\\\\" b", "", 5 },
		{ "a@b.c>, relay=x", ">", 5 },
		{ "\"x>, relay=y\"@b.c>, relay=x", ">", 17 },
		{ "\"a b", "", -1 },
		{ "\"a\\", "", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = 0;
		int r = entry_address_len(sv_from(cases[i].text), cases[i].stop, &n);

		assert_int_equal(r < 0 ? -1 : (int)n, cases[i].want);
	}
}

static void test_next_recipient(void **state)
{
	struct sv list = SV(" a@b.c  \"d e\"@f.g h@i.j \"k"), address;
	static const char *const want[] = { "a@b.c", "\"d e\"@f.g", "h@i.j", "\"k" };

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_true(entry_next_recipient(&list, &address));
		assert_true(sv_eq(address, sv_from(want[i])));
	}
	assert_false(entry_next_recipient(&list, &address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_len),
		cmocka_unit_test(test_next_recipient),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
