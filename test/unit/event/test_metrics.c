/* Counters by listener, histograms, the most frequent. */
#include "event/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct metrics m;

static int begin(void **state)
{
	metrics_init(&m);
	return 0;
}

static int end(void **state)
{
	metrics_deinit(&m);
	return 0;
}

static void times_fall_into_their_buckets(void **state)
{
	static const struct {
		int64_t ms;
		size_t bucket;
	} rows[] = { { -5, 0 }, { 0, 0 }, { 1, 0 },      { 2, 1 },      { 3, 2 },
		     { 5, 2 },  { 6, 3 }, { 10000, 11 }, { 10001, 12 }, { INT32_MAX, 12 } };
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t was = m.verdict_time.counts[rows[i].bucket];
		histogram_add(&m.verdict_time, rows[i].ms);
		assert_int_equal(m.verdict_time.counts[rows[i].bucket], was + 1);
		sum += rows[i].ms > 0 ? (uint64_t)rows[i].ms : 0;
	}
	assert_int_equal(m.verdict_time.sum_ms, sum);
}

static void bounds_ascend(void **state)
{
	for (int i = 1; i < HISTOGRAM_BOUNDS; i++) {
		assert_true(m.verdict_time.bounds[i] > m.verdict_time.bounds[i - 1]);
		assert_true(m.session_time.bounds[i] > m.session_time.bounds[i - 1]);
	}
}

static void every_counter_has_a_name_of_its_own(void **state)
{
	for (enum metric i = 0; i < METRIC_COUNT; i++) {
		assert_true(metric_help(i)[0]);
		for (enum metric k = 0; k < i; k++)
			assert_string_not_equal(metric_name(i), metric_name(k));
	}
}

static void verdicts_are_summed_by_each_part(void **state)
{
	struct metrics_listener *smtp = metrics_listener(&m, "smtp");
	struct metrics_listener *sub = metrics_listener(&m, "submission");
	struct event_rcpt e = { .finding = FINDING_DIRECT,
				.reason = REASON_NOT_EGRESS,
				.action = ACTION_REJECT,
				.rcpt_domain = "one.com" };
	struct metrics_sums sums;

	assert_ptr_equal(metrics_listener(&m, "smtp"), smtp);
	metrics_verdict(&m, smtp, &e);
	metrics_verdict(&m, smtp, &e);
	e.action = ACTION_OBSERVE;
	metrics_verdict(&m, sub, &e);
	metrics_verdict(&m, NULL, &e); /* no memory for its listener */
	metrics_sum(&m, &sums);
	assert_int_equal(sums.all, 3);
	assert_int_equal(sums.findings[FINDING_DIRECT], 3);
	assert_int_equal(sums.actions[ACTION_REJECT], 2);
	assert_int_equal(sums.actions[ACTION_OBSERVE], 1);
	assert_int_equal(sums.reasons[REASON_NOT_EGRESS], 3);
}

static void listeners_without_end_are_counted_as_one(void **state)
{
	struct metrics_listener *l = NULL;
	char name[32];

	for (int i = 0; i < 3 * METRICS_LISTENERS_MAX; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		l = metrics_listener(&m, name);
		assert_non_null(l);
	}
	assert_string_equal(l->name, "other");
	assert_int_equal(m.n_listeners, METRICS_LISTENERS_MAX);
	assert_string_equal(metrics_listener(&m, "l5")->name, "l5");
}

static void the_most_frequent_survive_a_flood(void **state)
{
	struct top_row rows[3];
	char key[32];

	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "once-%d", i);
		top_add(&m.clients, sv_from(key), 1);
		if (i % 10 == 0)
			top_add(&m.clients, SV("often"), 1);
		if (i % 20 == 0)
			top_add(&m.clients, SV("less"), 1);
	}
	assert_int_equal(top_read(&m.clients, 1, rows, 3), 3);
	assert_string_equal(rows[0].key, "often");
	assert_true(rows[0].count >= 2000 && rows[0].count - rows[0].error <= 2000);
	assert_string_equal(rows[1].key, "less");
	assert_int_equal(m.clients.n, TOP_SLOTS);
}

static void what_is_over_goes_away(void **state)
{
	struct top_row row;

	for (int i = 0; i < 8; i++)
		top_add(&m.domains, SV("one.com"), 1000);
	assert_int_equal(top_read(&m.domains, 1000 + TOP_HALF_MS - 1, &row, 1), 1);
	assert_int_equal(row.count, 8);
	assert_int_equal(top_read(&m.domains, 1000 + TOP_HALF_MS, &row, 1), 1);
	assert_int_equal(row.count, 4);
	assert_int_equal(top_read(&m.domains, 1000 + 4 * TOP_HALF_MS, &row, 1), 0);
	assert_int_equal(top_read(&m.domains, INT64_MAX, &row, 1), 0); /* no endless loop */
}

static void long_keys_are_cut(void **state)
{
	struct top_row row;
	char key[400];

	memset(key, 'x', sizeof(key));
	top_add(&m.domains, (struct sv) { key, sizeof(key) }, 1);
	assert_int_equal(top_read(&m.domains, 1, &row, 1), 1);
	assert_int_equal(strlen(row.key), TOP_KEY_MAX - 1);
}

static void *count(void *arg)
{
	struct event_rcpt e = { .finding = FINDING_DIRECT, .rcpt_domain = "one.com" };

	for (int i = 0; i < 10000; i++) {
		metrics_verdict(&m, metrics_listener(&m, "smtp"), &e);
		histogram_add(&m.session_time, i);
	}
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	struct metrics_sums sums;
	struct top_row row;
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	metrics_sum(&m, &sums);
	assert_int_equal(sums.all, 40000);
	assert_int_equal(top_read(&m.domains, 0, &row, 1), 1);
	assert_int_equal(row.count, 40000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(times_fall_into_their_buckets),
		TEST(bounds_ascend),
		TEST(every_counter_has_a_name_of_its_own),
		TEST(verdicts_are_summed_by_each_part),
		TEST(listeners_without_end_are_counted_as_one),
		TEST(the_most_frequent_survive_a_flood),
		TEST(what_is_over_goes_away),
		TEST(long_keys_are_cut),
		TEST(threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
