/* Lines of `journalctl -o json`. */
#include "logscan/journal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define TIME "\"__REALTIME_TIMESTAMP\":\"1795564923123456\""

struct row {
	const char *line;
	struct sv host, program, message; /* program.p NULL: no such line */
};

static const struct row rows[] = {
	{ "{" TIME
	  ",\"_HOSTNAME\":\"mx\",\"SYSLOG_IDENTIFIER\":\"postfix/smtpd\",\"_COMM\":\"smtpd\","
	  "\"PRIORITY\":\"6\",\"MESSAGE\":\"connect from \\\"a\\\"\"}",
	  { "mx", 2 },
	  { "postfix/smtpd", 13 },
	  { "connect from \"a\"", 16 } },
	{ "{\"MESSAGE\":[97,0,255,98],\"_COMM\":\"exim4\",\"_HOSTNAME\":\"mx\"," TIME "}\n",
	  { "mx", 2 },
	  { "exim4", 5 },
	  { "a\0\377b", 4 } },
	{ "{" TIME ",\"SYSLOG_IDENTIFIER\":\"x\",\"MESSAGE\":\"a\\u0000b\\u00e9\"}",
	  { "", 0 },
	  { "x", 1 },
	  { "a\0b\303\251", 5 } },
	{ "{" TIME ",\"MESSAGE\":\"\"}", { "", 0 }, { "", 0 }, { "", 0 } },
	{ "{" TIME ",\"MESSAGE\":[],\"SYSLOG_IDENTIFIER\":[120],\"_HOSTNAME\":null}",
	  { "", 0 },
	  { "x", 1 },
	  { "", 0 } },
	/* a field that was given twice is an array of strings */
	{ "{" TIME ",\"SYSLOG_IDENTIFIER\":[\"postfix/smtpd\",\"x\"],\"MESSAGE\":\"m\"}",
	  { "", 0 },
	  { "", 0 },
	  { "m", 1 } },
	{ "{" TIME ",\"MESSAGE\":[\"a\",\"b\"]}" },
	{ "{" TIME ",\"MESSAGE\":[256]}" },
	{ "{" TIME ",\"MESSAGE\":[-1]}" },
	{ "{" TIME ",\"MESSAGE\":[1.5]}" },
	{ "{" TIME ",\"MESSAGE\":null}" },
	{ "{" TIME "}" },
	{ "{\"__REALTIME_TIMESTAMP\":1795564923123456,\"MESSAGE\":\"m\"}" },
	{ "{\"__REALTIME_TIMESTAMP\":\"-1\",\"MESSAGE\":\"m\"}" },
	{ "{\"__REALTIME_TIMESTAMP\":\"\",\"MESSAGE\":\"m\"}" },
	{ "{\"__REALTIME_TIMESTAMP\":\"99999999999999999999\",\"MESSAGE\":\"m\"}" },
	{ "{\"MESSAGE\":\"m\"}" },
	{ "{" TIME ",\"MESSAGE\":\"m\"} x" },
	{ "{" TIME ",\"MESSAGE\":\"m\"}{}" },
	{ "[" TIME ",\"MESSAGE\",\"m\"]" },
	{ "[]" },
	{ "\"m\"" },
	{ "{\"a\":999999999999999999999999}" },
	{ "Nov 25 09:28:01 mx postfix/smtpd[1]: text" },
	{ "" },
};

static void check(struct sv got, struct sv want)
{
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.p, want.p, want.n);
}

static void test_lines(void **state)
{
	struct syslog_line l;
	struct stamp stamp;
	struct journal j;

	journal_init(&j);
	stamp_init(&stamp, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = journal_parse(&j, &stamp, sv_from(rows[i].line), &l);

		assert_int_equal(r, rows[i].program.p ? 0 : -EINVAL);
		if (r < 0)
			continue;
		assert_int_equal(l.time_ms, INT64_C(1795564923123));
		check(l.host, rows[i].host);
		check(l.program, rows[i].program);
		check(l.message, rows[i].message);
	}
	journal_deinit(&j);
}

static void test_cut(void **state)
{
	struct syslog_line l;
	struct stamp stamp;
	struct journal j;

	journal_init(&j);
	stamp_init(&stamp, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t n = 0; n < strlen(rows[i].line); n++) {
			char *exact = malloc(n ? n : 1);

			assert_non_null(exact);
			memcpy(exact, rows[i].line, n);
			if (rows[i].line[n] != '\n' && rows[i].program.p)
				assert_int_equal(
					journal_parse(&j, &stamp, (struct sv) { exact, n }, &l),
					-EINVAL);
			free(exact);
		}
	journal_deinit(&j);
}

/* Brackets without end must not end the stack. */
static void test_depth(void **state)
{
	struct syslog_line l;
	struct stamp stamp;
	struct journal j;
	char deep[65536];

	journal_init(&j);
	stamp_init(&stamp, 0);
	memset(deep, '[', sizeof(deep));
	assert_int_equal(journal_parse(&j, &stamp, (struct sv) { deep, sizeof(deep) }, &l),
			 -EINVAL);
	journal_deinit(&j);
}

static void test_days(void **state)
{
	static const struct {
		const char *zone, *us;
		int32_t day;
	} cases[] = {
		{ "UTC", "0", 0 },
		{ "UTC", "951782399999999", 11015 }, /* 2000-02-28 */
		{ "UTC", "951782400000000", 11016 }, /* the leap day */
		{ "UTC", "951868800000000", 11017 }, /* 2000-03-01 */
		{ "UTC", "1795651199999999", 20782 },
		{ "UTC", "1795651200000000", 20783 },
		{ "<+0545>-5:45", "1795630499999999", 20782 },
		{ "<+0545>-5:45", "1795630500000000", 20783 },
		{ "<-0330>3:30", "1795663799999999", 20782 },
		{ "<-0330>3:30", "1795663800000000", 20783 },
		{ "UTC", "253402300799999999", 2932896 }, /* 9999-12-31 */
	};
	struct syslog_line l;
	struct stamp stamp;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct journal j;
		char line[128];

		setenv("TZ", cases[i].zone, 1);
		tzset();
		journal_init(&j);
		stamp_init(&stamp, 0);
		strcpy(line, "{\"MESSAGE\":\"m\",\"__REALTIME_TIMESTAMP\":\"");
		strcat(strcat(line, cases[i].us), "\"}");
		assert_int_equal(journal_parse(&j, &stamp, sv_from(line), &l), 0);
		assert_int_equal(l.day, cases[i].day);
		journal_deinit(&j);
	}
}

/* What was looked up for one line doesn't stick to the next. */
static void test_days_in_turn(void **state)
{
	struct syslog_line l;
	struct stamp stamp;
	struct journal j;
	static const char before[] =
		"{\"MESSAGE\":\"m\",\"__REALTIME_TIMESTAMP\":\"1795651199999999\"}";
	static const char after[] =
		"{\"MESSAGE\":\"m\",\"__REALTIME_TIMESTAMP\":\"1795651200000000\"}";

	setenv("TZ", "UTC", 1);
	tzset();
	journal_init(&j);
	stamp_init(&stamp, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(journal_parse(&j, &stamp, SV(before), &l), 0);
		assert_int_equal(l.day, 20782);
		assert_int_equal(journal_parse(&j, &stamp, SV(after), &l), 0);
		assert_int_equal(l.day, 20783);
	}
	journal_deinit(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),        cmocka_unit_test(test_cut),
		cmocka_unit_test(test_depth),        cmocka_unit_test(test_days),
		cmocka_unit_test(test_days_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
