/* Time stamps of Exim and syslog, in a zone with two offsets. */
#include "logscan/stamp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define NEWEST 1290000000000ll /* 2010-11-17 13:20 UTC */

typedef int read_fn(struct stamp *s, struct sv line, int64_t *ret_ms, int32_t *ret_day,
		    size_t *ret_n);

/* From an exact copy, so that reading past its end is seen. */
static int read_copy(read_fn *fn, struct stamp *s, struct sv line, int64_t *ret_ms,
		     int32_t *ret_day, size_t *ret_n)
{
	char *copy = malloc(line.n ? line.n : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, line.p, line.n);
	r = fn(s, (struct sv) { copy, line.n }, ret_ms, ret_day, ret_n);
	free(copy);
	return r;
}

static void check(read_fn *fn, const char *line, const char *day, int64_t ms, int n)
{
	struct stamp s;
	int64_t got_ms = -1;
	int32_t got_day = -1;
	size_t got_n = 0;
	char text[16];

	stamp_init(&s, NEWEST);
	/* twice: the second time the hour is known */
	for (int i = 0; i < 2; i++) {
		int r = read_copy(fn, &s, sv_from(line), &got_ms, &got_day, &got_n);

		assert_int_equal(r, n > 0 ? 0 : -EINVAL);
		if (n == 0)
			continue;
		assert_int_equal(got_ms, ms);
		assert_int_equal(got_n, n);
		assert_string_equal(stamp_day(got_day, text), day);
	}
	for (size_t cut = 0; cut < strlen(line); cut++)
		read_copy(fn, &s, (struct sv) { line, cut }, &got_ms, &got_day, &got_n);
}

static void exim_stamps(void **state)
{
	static const struct {
		const char *line, *day;
		int64_t ms;
		int n; /* 0: none */
	} rows[] = {
		{ "2010-11-17 09:28:01 [15397] x", "2010-11-17", 1289982481000, 19 },
		{ "2010-11-17 09:28:01", "2010-11-17", 1289982481000, 19 },
		{ "2010-07-17 09:28:01.123 x", "2010-07-17", 1279351681123, 23 },
		{ "2010-07-17 09:28:01.123456 x", "2010-07-17", 1279351681123, 26 },
		{ "2010-11-17 09:28:01 +0100 x", "2010-11-17", 1289982481000, 25 },
		{ "2010-11-17 23:28:01.5 -0930 x", "2010-11-17", 1290070681500, 27 },
		{ "2010-11-17 09:28:01 +0100", "2010-11-17", 1289982481000, 25 },
		{ "2010-11-17 09:28:01 +010 x", "2010-11-17", 1289982481000, 19 },
		{ "2010-12-31 23:59:60 x", "2010-12-31", 1293836400000, 19 },
		{ "2012-02-29 00:00:00 x", "2012-02-29", 1330470000000, 19 },
		{ "2010-02-29 00:00:00 x", NULL, 0, 0 },
		{ "2010-11-31 00:00:00 x", NULL, 0, 0 },
		{ "2010-00-01 00:00:00 x", NULL, 0, 0 },
		{ "2010-13-01 00:00:00 x", NULL, 0, 0 },
		{ "1969-12-31 00:00:00 x", NULL, 0, 0 },
		{ "2010-11-17 24:00:00 x", NULL, 0, 0 },
		{ "2010-11-17 09:60:00 x", NULL, 0, 0 },
		{ "2010-11-17 09:00:61 x", NULL, 0, 0 },
		{ "2010-11-17T09:28:01 x", NULL, 0, 0 },
		{ "2010-11-17 09:28:01x", NULL, 0, 0 },
		{ "2010-11-17 09:28:01. x", NULL, 0, 0 },
		{ "2010-11-17 09:28:01 +0199 x", "2010-11-17", 1289982481000, 19 },
		{ "2010-11-17 09:28:01 +01000 x", NULL, 0, 0 },
		{ "2010-11-17 9:28:01  x", NULL, 0, 0 },
		{ "Nov 17 09:28:01 host x", NULL, 0, 0 },
		{ "", NULL, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(stamp_exim, rows[i].line, rows[i].day, rows[i].ms, rows[i].n);
}

static void rfc3339_stamps(void **state)
{
	static const struct {
		const char *line, *day;
		int64_t ms;
		int n;
	} rows[] = {
		{ "2010-11-17T09:28:01.123456+01:00 host", "2010-11-17", 1289982481123, 32 },
		{ "2010-11-17T08:28:01Z host", "2010-11-17", 1289982481000, 20 },
		{ "2010-11-17T09:28:01 host", "2010-11-17", 1289982481000, 19 },
		{ "2010-11-16T23:58:01-08:30 host", "2010-11-16", 1289982481000, 25 },
		{ "2010-11-17T09:28:01+0100 host", NULL, 0, 0 },
		{ "2010-11-17 09:28:01 host", NULL, 0, 0 },
		{ "2010-11-17T09:28 host", NULL, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(stamp_rfc3339, rows[i].line, rows[i].day, rows[i].ms, rows[i].n);
}

/* Of the 12 months before NEWEST, and a day after. */
static void rfc3164_stamps(void **state)
{
	static const struct {
		const char *line, *day;
		int64_t ms;
		int n;
	} rows[] = {
		{ "Nov 17 09:28:01 host x", "2010-11-17", 1289982481000, 15 },
		{ "Nov 17 09:28:01", "2010-11-17", 1289982481000, 15 },
		{ "Nov  7 09:28:01 host", "2010-11-07", 1289118481000, 15 },
		{ "Nov 07 09:28:01 host", "2010-11-07", 1289118481000, 15 },
		{ "Nov 18 13:28:01 host", "2010-11-18", 1290083281000, 15 },
		{ "Nov 19 09:28:01 host", "2009-11-19", 1258619281000, 15 },
		{ "Dec 31 23:28:01 host", "2009-12-31", 1262298481000, 15 },
		{ "Jan  1 00:28:01 host", "2010-01-01", 1262302081000, 15 },
		{ "Feb 29 00:28:01 host", NULL, 0, 0 },
		{ "nov 17 09:28:01 host", NULL, 0, 0 },
		{ "Nov  0 09:28:01 host", NULL, 0, 0 },
		{ "Nov 31 09:28:01 host", NULL, 0, 0 },
		{ "Nov 17 09:28.01 host", NULL, 0, 0 },
		{ "Nov 17  9:28:01 host", NULL, 0, 0 },
		{ "2010-11-17T09:28:01 host", NULL, 0, 0 },
	};
	static const char zeros[32];
	struct stamp s;
	int64_t ms;
	int32_t day;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(stamp_rfc3164, rows[i].line, rows[i].day, rows[i].ms, rows[i].n);
	/* no hour is known yet, and that is none */
	stamp_init(&s, NEWEST);
	assert_int_equal(stamp_rfc3164(&s, (struct sv) { zeros, sizeof(zeros) }, &ms, &day, &n),
			 -EINVAL);
	assert_int_equal(stamp_rfc3164(&s, SV("\0\0\0\0\0\0\0\0\0:28:01"), &ms, &day, &n), -EINVAL);
}

/* A log that is followed from one year into the next. */
static void years_pass(void **state)
{
	static const char *const months[] = { "Nov", "Dec", "Jan", "Feb" };
	static const char *const last[] = { "2010-11-28", "2010-12-28", "2011-01-28",
					    "2011-02-28" };
	struct stamp s;

	stamp_init(&s, NEWEST);
	for (size_t m = 0; m < ARRAY_SIZE(months); m++) {
		char text[16];
		int32_t day = 0;
		for (int d = m == 0 ? 17 : 1; d <= 31; d++) {
			char line[32];
			int64_t ms;
			size_t n;
			snprintf(line, sizeof(line), "%s %2d 12:00:00 h", months[m], d);
			if (stamp_rfc3164(&s, sv_from(line), &ms, &day, &n) < 0)
				assert_true(d > 28);
			if (d == 28)
				assert_string_equal(stamp_day(day, text), last[m]);
		}
	}
}

/* 2010-10-31: the clocks show 02:00 to 03:00 twice; 2010-03-28: they leap over it. */
static void clocks_change(void **state)
{
	static const struct {
		const char *line;
		int64_t ms;
	} rows[] = {
		{ "2010-10-31 01:59:59", 1288483199000 }, { "2010-10-31 02:00:01", 1288483201000 },
		{ "2010-10-31 02:59:59", 1288486799000 }, { "2010-10-31 02:59:30", 1288486770000 },
		{ "2010-10-31 02:00:01", 1288486801000 }, { "2010-10-31 02:00:00", 1288486800000 },
		{ "2010-10-31 02:30:00", 1288488600000 }, { "2010-10-31 02:59:59", 1288490399000 },
		{ "2010-10-31 03:00:00", 1288490400000 }, { "2010-03-28 01:59:59", 1269737999000 },
		{ "2010-03-28 02:30:00", 1269739800000 }, { "2010-03-28 03:00:00", 1269738000000 },
	};
	struct stamp s;

	stamp_init(&s, NEWEST);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ms;
		int32_t day;
		size_t n;
		assert_int_equal(stamp_exim(&s, sv_from(rows[i].line), &ms, &day, &n), 0);
		assert_int_equal(ms, rows[i].ms);
	}
}

/* Every hour of a year, in zones of which one changes by half an hour in the middle of one, against
 * the C library's own way back. */
static void hours_agree_with_localtime(void **state)
{
	static const char *const zones[] = { "Europe/Berlin", "Australia/Lord_Howe",
					     "America/St_Johns", "Asia/Kathmandu", "UTC" };

	for (size_t z = 0; z < ARRAY_SIZE(zones); z++) {
		struct stamp s;

		setenv("TZ", zones[z], 1);
		stamp_init(&s, 0);
		for (int64_t t = 1577836800; t < 1577836800 + 366 * 86400; t += 599) {
			time_t clock = (time_t)t;
			struct tm tm;
			char line[32], day_text[16];
			int64_t ms;
			int32_t day;
			size_t n;
			localtime_r(&clock, &tm);
			strftime(line, sizeof(line), "%Y-%m-%d %H:%M:%S", &tm);
			assert_int_equal(stamp_exim(&s, sv_from(line), &ms, &day, &n), 0);
			assert_int_equal(ms, t * 1000);
			assert_memory_equal(stamp_day(day, day_text), line, 10);
		}
	}
	setenv("TZ", "Europe/Berlin", 1);
	tzset();
}

static void days_print(void **state)
{
	static const struct {
		int32_t day;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01" },     { -1, "1969-12-31" },        { 11016, "2000-02-29" },
		{ 11017, "2000-03-01" }, { 20782, "2026-11-25" },     { 2932896, "9999-12-31" },
		{ 19782, "2024-02-29" }, { INT32_MAX, "9999-12-31" }, { INT32_MIN, "0000-03-01" },
	};
	char out[16];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(stamp_day(rows[i].day, out), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exim_stamps),    cmocka_unit_test(rfc3339_stamps),
		cmocka_unit_test(rfc3164_stamps), cmocka_unit_test(years_pass),
		cmocka_unit_test(clocks_change),  cmocka_unit_test(hours_agree_with_localtime),
		cmocka_unit_test(days_print),
	};

	setenv("TZ", "Europe/Berlin", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
