/*
 * Pace: weeks of mail by the minute, with a clock of the test's own. Mail is spread evenly over
 * each hour, more on weekdays by day than else.
 */
#include "fixture.h"

#include "policy/pace.h"

#include <errno.h>
#include <stdio.h>

#define MINUTE (60 * 1000LL)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define MONDAY (19730 * DAY) /* 2024-01-08 */

struct watched {
	struct pace *p;
	int64_t now;
	uint64_t per_hour; /* on a weekday by day */
	int n_quiet, n_heard, n_given_up;
	double usual;
	uint64_t came;
};

static void on_news(void *user, const struct pace_news *news)
{
	struct watched *w = user;

	assert_string_equal(news->scanner, "acme");
	w->n_quiet += news->quiet;
	w->n_heard += !news->quiet;
	w->n_given_up += news->given_up;
	w->usual = news->usual;
	w->came = news->came;
	assert_int_equal(pace_is_quiet(w->p, "acme"), news->quiet);
}

static struct watched begin(uint64_t per_hour)
{
	struct watched w = { .now = MONDAY, .per_hour = per_hour };

	assert_int_equal(pace_new(&w.p), 0);
	return w;
}

/* Nights and weekends have a tenth. */
static uint64_t messages_in(const struct watched *w, int64_t minute)
{
	int64_t hour = minute / 60 % 24, day = (minute / 60 / 24 + 3) % 7;
	uint64_t n = day >= 5 || hour < 6 || hour >= 22 ? w->per_hour / 10 : w->per_hour;
	int64_t at = minute % 60;

	return n * (uint64_t)(at + 1) / 60 - n * (uint64_t)at / 60;
}

/* share: of what is usual. */
static void go(struct watched *w, int64_t ms, double share)
{
	double owed = 0;

	for (int64_t end = w->now + ms; w->now < end; w->now += MINUTE) {
		owed += share * (double)messages_in(w, w->now / MINUTE);
		if (owed >= 1) {
			pace_count(w->p, "acme", (uint64_t)owed, w->now);
			owed -= (double)(uint64_t)owed;
		}
		pace_tick(w->p, w->now, on_news, w);
	}
}

static void expect(const struct watched *w, int n_quiet, int n_heard)
{
	assert_int_equal(w->n_quiet, n_quiet);
	assert_int_equal(w->n_heard, n_heard);
}

/* Nights, weekends: three weeks in which nothing happens. */
static void test_as_usual(void **state)
{
	struct watched w = begin(600);

	go(&w, 21 * DAY, 1);
	expect(&w, 0, 0);
	go(&w, 3 * DAY, 0.5);
	expect(&w, 0, 0);
	assert_false(pace_is_quiet(w.p, "acme"));
	pace_free(w.p);
}

static void test_quiet(void **state)
{
	struct watched w = begin(600);

	go(&w, 14 * DAY + 12 * HOUR, 1);
	/* A little more than a fifth is enough. */
	go(&w, 3 * HOUR, 0.22);
	expect(&w, 0, 0);
	go(&w, HOUR, 1);
	go(&w, 50 * MINUTE, 0.1);
	expect(&w, 0, 0);
	go(&w, 10 * MINUTE, 0.1);
	expect(&w, 1, 0);
	assert_true(w.came < 120 && w.usual > 500 && w.usual < 700);
	assert_true(pace_is_quiet(w.p, "acme"));
	/* Not told again; a third is not enough to be heard again, a half is. */
	go(&w, 2 * HOUR, 0.33);
	expect(&w, 1, 0);
	go(&w, 2 * HOUR, 0.5);
	expect(&w, 1, 1);
	assert_int_equal(w.n_given_up, 0);
	pace_free(w.p);
}

/* All of it stops: quiet through nights and weekends, with nothing said, for a week. */
static void test_gone(void **state)
{
	struct watched w = begin(600);

	go(&w, 14 * DAY + 12 * HOUR, 1);
	go(&w, 6 * DAY + 20 * HOUR, 0);
	expect(&w, 1, 0);
	go(&w, 6 * HOUR, 0);
	expect(&w, 1, 1);
	assert_int_equal(w.n_given_up, 1);
	/* What is usual is learned anew. */
	go(&w, 7 * DAY, 0.05);
	expect(&w, 1, 1);
	pace_free(w.p);
}

/* Hours in which it was quiet don't become usual. */
static void test_does_not_get_used_to_it(void **state)
{
	struct watched w = begin(600);

	go(&w, 14 * DAY + 8 * HOUR, 1);
	for (int day = 0; day < 4; day++) {
		go(&w, 6 * HOUR, 0.1);
		assert_true(pace_is_quiet(w.p, "acme"));
		go(&w, 18 * HOUR, 1);
		assert_false(pace_is_quiet(w.p, "acme"));
	}
	expect(&w, 4, 4);
	pace_free(w.p);
}

static void test_little_mail(void **state)
{
	struct watched w = begin(9);

	go(&w, 14 * DAY + 12 * HOUR, 1);
	go(&w, 5 * DAY, 0);
	expect(&w, 0, 0);
	pace_free(w.p);

	/* By night it has too little, by day not. */
	w = begin(60);
	go(&w, 14 * DAY, 1);
	go(&w, 5 * HOUR, 0);
	expect(&w, 0, 0);
	go(&w, 3 * HOUR, 0);
	expect(&w, 1, 0);
	pace_free(w.p);
}

/* In the first days: judged by the same hour of other days, not at the weekend. */
static void test_first_week(void **state)
{
	struct watched w = begin(600);

	go(&w, DAY, 1);
	expect(&w, 0, 0);
	go(&w, 9 * HOUR, 1);
	go(&w, 2 * HOUR, 0.1);
	expect(&w, 1, 0);
	go(&w, 13 * HOUR, 1);
	expect(&w, 1, 1);
	go(&w, 3 * DAY, 1);
	expect(&w, 1, 1);
	go(&w, DAY, 0);
	expect(&w, 1, 1);
	pace_free(w.p);
}

/* Clocks are set, machines sleep: such hours say nothing. */
static void test_clock(void **state)
{
	static const int64_t jumps[] = { 20 * MINUTE, 3 * HOUR,  30 * DAY,     -20 * MINUTE,
					 -3 * HOUR,   -30 * DAY, -MONDAY - DAY };

	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		struct watched w = begin(600);

		go(&w, 14 * DAY + 12 * HOUR, 1);
		if (w.now + jumps[i] < 0)
			w.now = 0;
		else
			w.now += jumps[i];
		go(&w, 55 * MINUTE, 0.05);
		expect(&w, 0, 0);
		pace_free(w.p);
	}
	struct watched w = begin(600);

	go(&w, 14 * DAY + 12 * HOUR, 1);
	/* A jump back by less than a tick may be: nothing comes of it but that watching begins
	 * anew. */
	w.now -= MINUTE + 1;
	go(&w, 55 * MINUTE, 0.05);
	expect(&w, 0, 0);
	go(&w, 30 * MINUTE, 0.05);
	expect(&w, 1, 0);
	pace_free(w.p);
}

static int put(void *p, const struct pace_row *row)
{
	return pace_put(p, row);
}

/* Saved and put back: it goes on, quiet or not, once an hour was watched. */
static void test_restart(void **state)
{
	struct watched w = begin(600);
	struct pace *saved;

	for (int quiet = 0; quiet < 2; quiet++) {
		go(&w, 14 * DAY + 12 * HOUR - w.now % DAY, 1);
		go(&w, 2 * HOUR, quiet ? 0.05 : 1);
		assert_int_equal(pace_is_quiet(w.p, "acme"), quiet);
		assert_int_equal(pace_new(&saved), 0);
		assert_int_equal(pace_each(w.p, put, saved), 0);
		pace_free(w.p);
		w.p = saved;
		w.n_quiet = w.n_heard = 0;
		w.now += 10 * MINUTE;
		assert_int_equal(pace_is_quiet(w.p, "acme"), quiet);
		go(&w, 30 * MINUTE, 0.05);
		expect(&w, 0, 0);
		go(&w, 2 * HOUR, quiet ? 1 : 0.05);
		expect(&w, !quiet, quiet);
		go(&w, 4 * HOUR, 1);
		assert_false(pace_is_quiet(w.p, "acme"));
	}
	pace_free(w.p);
}

static int count_rows(void *user, const struct pace_row *row)
{
	return ++*(int *)user == 3 ? -7 : 0;
}

static void test_rows(void **state)
{
	struct pace *p;
	struct pace_row row = { .scanner = "acme" };
	char name[PACE_NAME_MAX + 1];
	int n = 0;

	assert_int_equal(pace_new(&p), 0);
	assert_int_equal(pace_put(p, &row), 0);
	row.usual[7] = -1;
	assert_int_equal(pace_put(p, &row), -EINVAL);
	row.usual[7] = 0.0f / 0.0f;
	assert_int_equal(pace_put(p, &row), -EINVAL);
	row.usual[7] = 1e30f;
	assert_int_equal(pace_put(p, &row), -EINVAL);
	row.usual[7] = 1;
	row.quiet_ms = -1;
	assert_int_equal(pace_put(p, &row), -EINVAL);
	row.quiet_ms = 0;
	row.scanner = "";
	assert_int_equal(pace_put(p, &row), -EINVAL);
	memset(name, 'x', PACE_NAME_MAX);
	name[PACE_NAME_MAX] = '\0';
	row.scanner = name;
	assert_int_equal(pace_put(p, &row), -EINVAL);
	pace_count(p, name, 1, MONDAY);
	pace_count(p, "", 1, MONDAY);
	/* Many scanners: the first are kept, until they have had no mail for long. */
	row.scanner = name;
	row.last_ms = MONDAY;
	for (int i = 0; i < PACE_SCANNERS_MAX - 1; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		assert_int_equal(pace_put(p, &row), 0);
	}
	snprintf(name, sizeof(name), "late");
	assert_int_equal(pace_put(p, &row), 1);
	pace_count(p, "late", 1, MONDAY);
	pace_tick(p, MONDAY + 22 * DAY, NULL, NULL);
	assert_int_equal(pace_put(p, &row), 0);
	assert_int_equal(pace_each(p, count_rows, &n), -7);
	pace_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_usual),    cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_gone),        cmocka_unit_test(test_does_not_get_used_to_it),
		cmocka_unit_test(test_little_mail), cmocka_unit_test(test_first_week),
		cmocka_unit_test(test_clock),       cmocka_unit_test(test_restart),
		cmocka_unit_test(test_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
