#include "kernel/marks_taken.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
	const char *rule;
	bool taken;
} rows[] = {
	{ "meta mark set 0x000000fb", true },
	{ "tcp dport 80 meta mark set 0x000001fe accept", true },
	{ "meta mark set meta mark & 0xffffff00 | 0x000000fc", true },
	{ "meta mark set meta mark & 0xffffff00 ^ 0x000000fc", true },
	{ "ct mark set 0x000000fd", true },
	{ "meta mark set 0x00000001", false },
	{ "meta mark set 0x0000fb00", false },
	{ "meta mark set meta mark & 0xfffffffb", false },
	{ "meta mark set ct mark", false },
	{ "ct mark set ct mark | 0x00000004", false },
	{ "meta mark 0x000000fb accept", false },
	{ "meta mark 0x000000fb meta mark set 0x00000001", false },
};

static bool taken_in(const char *table, const char *rule, char said[MARKS_TEXT_MAX])
{
	char text[512];

	snprintf(text, sizeof(text),
		 "table ip first {\n}\ntable %s {\n\tchain c {\n\t\ttype filter hook prerouting "
		 "priority mangle; policy accept;\n\t\t%s\n\t}\n}\n",
		 table, rule);
	return marks_taken(sv_from(text), said);
}

static void test_rows(void **state)
{
	char said[MARKS_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (taken_in("inet shaper", rows[i].rule, said) != rows[i].taken)
			fail_msg("%s: expected %d", rows[i].rule, rows[i].taken);
		if (rows[i].taken)
			assert_non_null(strstr(said, "table inet shaper has a rule"));
		assert_false(taken_in("inet frontdoor", rows[i].rule, said));
	}
	assert_false(marks_taken(sv_from(""), said));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
