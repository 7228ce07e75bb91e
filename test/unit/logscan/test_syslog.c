/* Lines of syslog files, as rsyslog, syslog-ng, syslogd and postlogd write them. */
#include "logscan/syslog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define NEWEST_MS INT64_C(1795651200000) /* 2026-11-26 */

struct row {
	const char *line;
	const char *host, *program, *message; /* host NULL: no such line */
};

static const struct row rows[] = {
	{ "Nov  5 09:28:01 mx postfix/smtpd[123]: connect from a.b[192.0.2.1]", "mx",
	  "postfix/smtpd", "connect from a.b[192.0.2.1]" },
	{ "Nov 25 09:28:01 mx.example.org postfix/submission/smtpd[9]: x: y", "mx.example.org",
	  "postfix/submission/smtpd", "x: y" },
	{ "<22>Nov 25 09:28:01 mx prog: text", "mx", "prog", "text" },
	{ "2026-11-25T01:02:03.123456+01:00 mx postfix/qmgr[7]: 4A1B2C3D4E: removed", "mx",
	  "postfix/qmgr", "4A1B2C3D4E: removed" },
	{ "<22>2026-11-25T01:02:03Z 192.0.2.7 exim[7]: 1a", "192.0.2.7", "exim", "1a" },
	{ "Nov 25 09:28:01 mx prog[1]:", "mx", "prog", "" },
	{ "Nov 25 09:28:01 mx prog[1]:  two", "mx", "prog", " two" },
	{ "Nov 25 09:28:01 2001:db8::1 kernel: [12.3] a[1]: b", "2001:db8::1", "kernel",
	  "[12.3] a[1]: b" },
	/* what is missing must not be filled with what is beside it */
	{ "Nov 25 09:28:01 postfix/smtpd[1]: 4A1B2C3D4E: client=a[192.0.2.1]" },
	{ "Nov 25 09:28:01 prog: word: text" },
	{ "Nov 25 09:28:01 mx last message repeated 2 times" },
	{ "Nov 25 09:28:01 mx -- MARK --" },
	{ "Nov 25 09:28:01 mx prog[1 : text" },
	{ "Nov 25 09:28:01 mx prog[1] text" },
	{ "Nov 25 09:28:01 mx [1]: text" },
	{ "Nov 25 09:28:01 mx : text" },
	{ "Nov 25 09:28:01  prog: text" },
	{ "Nov 25 09:28:01mx prog: text" },
	{ "Nov 25 09:28:01 mx" },
	{ "Nov 25 09:28:01 mx " },
	{ "Nov 25 09:28:01 " },
	{ "Nov 25 09:28:01" },
	{ "<2222>Nov 25 09:28:01 mx prog: text" },
	{ "<>Nov 25 09:28:01 mx prog: text" },
	{ "<22" },
	{ "2010-11-17 09:28:01 [15397] 1PIcQq-00040L-2X Completed" },
	{ "postfix/smtpd[1]: text" },
	{ "" },
};

static void check(struct sv got, const char *want)
{
	assert_int_equal(got.n, strlen(want));
	assert_memory_equal(got.p, want, got.n);
}

static void test_lines(void **state)
{
	struct stamp stamp;
	struct syslog_line l;

	stamp_init(&stamp, NEWEST_MS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = syslog_parse(&stamp, sv_from(rows[i].line), &l);

		assert_int_equal(r == 0, rows[i].host != NULL);
		if (r < 0)
			continue;
		check(l.host, rows[i].host);
		check(l.program, rows[i].program);
		check(l.message, rows[i].message);
	}
}

/* A line that was cut says the same, or nothing. */
static void test_cut(void **state)
{
	struct stamp stamp;
	struct syslog_line l;

	stamp_init(&stamp, NEWEST_MS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t n = 0; n < strlen(rows[i].line); n++) {
			char *exact = malloc(n ? n : 1);

			assert_non_null(exact);
			memcpy(exact, rows[i].line, n);
			if (syslog_parse(&stamp, (struct sv) { exact, n }, &l) == 0) {
				assert_non_null(rows[i].host);
				check(l.host, rows[i].host);
				check(l.program, rows[i].program);
				assert_true(l.message.n <= strlen(rows[i].message));
				assert_memory_equal(l.message.p, rows[i].message, l.message.n);
			}
			free(exact);
		}
}

static void test_time(void **state)
{
	struct stamp stamp;
	struct syslog_line l;

	stamp_init(&stamp, NEWEST_MS);
	assert_int_equal(
		syslog_parse(&stamp, SV("2026-11-25T01:02:03.125+01:00 mx prog: text"), &l), 0);
	assert_int_equal(l.time_ms, INT64_C(1795564923125));
	assert_int_equal(l.day, 20782);
	assert_int_equal(syslog_parse(&stamp, SV("Nov 25 09:28:01 mx prog: text"), &l), 0);
	assert_int_equal(l.time_ms, INT64_C(1795598881000));
	assert_int_equal(l.day, 20782);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_time),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
