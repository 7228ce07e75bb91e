/* The page of metrics: its form, by the specification's rules, and what is in it. */
#include "service/openmetrics.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct metrics m;
static struct view v;
static struct buf page;

static int begin(void **state)
{
	metrics_init(&m);
	buf_init(&page, 1024 * 1024);
	v = (struct view) { .metrics = &m, .answering = true, .started_ms = 1700000000123 };
	return 0;
}

static int end(void **state)
{
	metrics_deinit(&m);
	buf_deinit(&page);
	return 0;
}

static const char *write_page(enum metrics_format format)
{
	buf_clear(&page);
	assert_int_equal(metrics_write(&v, format, &page), 0);
	assert_int_equal(buf_add(&page, "", 1), 0);
	return buf_view(&page).p;
}

static void assert_line(const char *text, const char *line)
{
	char wanted[600];

	snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	if (!strstr(text, wanted))
		fail_msg("no line '%s' in\n%s", line, text);
}

static void the_format_is_the_one_that_is_accepted(void **state)
{
	static const struct {
		const char *accept;
		enum metrics_format format;
	} rows[] = {
		{ "", METRICS_PROMETHEUS },
		{ "*/*", METRICS_PROMETHEUS },
		{ "text/plain", METRICS_PROMETHEUS },
		{ "application/openmetrics-text", METRICS_OPENMETRICS },
		{ "Application/OpenMetrics-Text; version=1.0.0", METRICS_OPENMETRICS },
		{ "text/plain;q=0.5, application/openmetrics-text;version=1.0.0;q=0.4",
		  METRICS_OPENMETRICS },
		{ "application/openmetrics-text;q=0", METRICS_PROMETHEUS },
		{ "application/openmetrics-text; version=1.0.0; q=0.0,*/*", METRICS_PROMETHEUS },
		{ ",,, ,", METRICS_PROMETHEUS },
		{ "application/openmetrics-text;q", METRICS_OPENMETRICS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(metrics_format_for(rows[i].accept), rows[i].format);
}

static void histograms_are_cumulative(void **state)
{
	histogram_add(&m.verdict_time, 1);
	histogram_add(&m.verdict_time, 4);
	histogram_add(&m.verdict_time, 60000);
	const char *text = write_page(METRICS_OPENMETRICS);

	assert_line(text, "# TYPE frontdoor_verdict_seconds histogram");
	assert_line(text, "# UNIT frontdoor_verdict_seconds seconds");
	assert_line(text, "frontdoor_verdict_seconds_bucket{le=\"0.001\"} 1");
	assert_line(text, "frontdoor_verdict_seconds_bucket{le=\"0.002\"} 1");
	assert_line(text, "frontdoor_verdict_seconds_bucket{le=\"0.005\"} 2");
	assert_line(text, "frontdoor_verdict_seconds_bucket{le=\"1.0\"} 2");
	assert_line(text, "frontdoor_verdict_seconds_bucket{le=\"+Inf\"} 3");
	assert_line(text, "frontdoor_verdict_seconds_sum 60.005");
	assert_line(text, "frontdoor_verdict_seconds_count 3");
	assert_line(text, "process_start_time_seconds 1700000000.123");
}

static void formats_differ_where_they_must(void **state)
{
	const char *open = write_page(METRICS_OPENMETRICS);

	assert_line(open, "# TYPE frontdoor_sessions counter");
	assert_line(open, "frontdoor_sessions_total 0");
	assert_string_equal(open + strlen(open) - 6, "# EOF\n");
	const char *plain = write_page(METRICS_PROMETHEUS);
	assert_line(plain, "# TYPE frontdoor_sessions_total counter");
	assert_line(plain, "frontdoor_sessions_total 0");
	assert_null(strstr(plain, "# EOF"));
	assert_null(strstr(plain, "# UNIT"));
	assert_null(strstr(plain, " info\n"));
}

static void names_of_listeners_are_escaped(void **state)
{
	struct metrics_listener *l = metrics_listener(&m, "a\"b\\c\nd");
	struct event_rcpt e = { .finding = FINDING_PASS,
				.reason = REASON_SELF,
				.action = ACTION_PASS };

	metrics_verdict(&m, l, &e);
	assert_line(write_page(METRICS_OPENMETRICS),
		    "frontdoor_verdicts_total{listener=\"a\\\"b\\\\c\\nd\",finding=\"pass\","
		    "reason=\"self\",action=\"pass\"} 1");
}

static void a_page_without_room_is_not_given(void **state)
{
	struct buf small;

	buf_init(&small, 1000);
	assert_int_equal(metrics_write(&v, METRICS_OPENMETRICS, &small), -ENOBUFS);
	buf_deinit(&small);
}

/* Each family once, its TYPE before its samples, and no sample of another family between. */
static void families_stand_together(void **state)
{
	char text[65536], *rest, seen[100][128];
	size_t n = 0, samples = 0;

	snprintf(text, sizeof(text), "%s", write_page(METRICS_OPENMETRICS));
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "# TYPE ", 7) == 0) {
			size_t len = strcspn(line + 7, " ");
			assert_true(n < ARRAY_SIZE(seen) && len < 128);
			snprintf(seen[n], 128, "%.*s", (int)len, line + 7);
			for (size_t i = 0; i < n; i++)
				assert_string_not_equal(seen[i], seen[n]);
			n++;
		} else if (line[0] != '#') {
			assert_int_equal(strncmp(line, seen[n - 1], strlen(seen[n - 1])), 0);
			samples++;
		}
	}
	assert_true(n > 20 && samples > n);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_format_is_the_one_that_is_accepted), TEST(histograms_are_cumulative),
		TEST(formats_differ_where_they_must),         TEST(names_of_listeners_are_escaped),
		TEST(a_page_without_room_is_not_given),       TEST(families_stand_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
