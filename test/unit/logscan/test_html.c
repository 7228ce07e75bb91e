/* The summary within its page: nothing in it can end the element it stands in. */
#include "logscan/html.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The page of json; for free(). */
static char *page_of(const char *json, size_t n)
{
	char *page = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&page, &len);

	assert_non_null(out);
	assert_int_equal(html_write(out, json, n), 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(strlen(page), len);
	return page;
}

/* What a browser takes for the content of the summary's element; for free(). */
static char *summary_of(const char *page)
{
	static const char begin[] = "<script type=\"application/json\" id=\"summary\">\n";
	const char *p = strstr(page, begin);

	assert_non_null(p);
	p += sizeof(begin) - 1;
	const char *end = strstr(p, "</script");

	assert_non_null(end);
	assert_memory_equal(end - 1, "\n</script>\n<script>\n\"use strict\";", 33);
	return strndup(p, (size_t)(end - 1 - p));
}

static void test_written_as(void **state)
{
	static const struct {
		const char *json, *want;
	} cases[] = {
		{ "{}", "{}" },
		{ "", "" },
		{ "[\"</script>\"]", "[\"\\u003c/script\\u003e\"]" },
		{ "[\"</ScRiPt \"]", "[\"\\u003c/ScRiPt \"]" },
		{ "[\"<!--<script>\"]", "[\"\\u003c!--\\u003cscript\\u003e\"]" },
		{ "[\"]]>\"]", "[\"]]\\u003e\"]" },
		{ "[\"&lt;&amp;\"]", "[\"\\u0026lt;\\u0026amp;\"]" },
		{ "[\"a\xe2\x80\xa8z\xe2\x80\xa9\"]", "[\"a\\u2028z\\u2029\"]" },
		{ "[\"\xe2\x80\xa7\xe2\x80\xaa\xe2\x82\xac\xc3\xbc\"]",
		  "[\"\xe2\x80\xa7\xe2\x80\xaa\xe2\x82\xac\xc3\xbc\"]" },
		{ "[\"\\\"<\\\\\"]", "[\"\\\"\\u003c\\\\\"]" },
		{ "<", "\\u003c" },
		{ "\xe2\x80", "\xe2\x80" },
		{ "\xe2\xe2\x80\xa8", "\xe2\\u2028" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *page = page_of(cases[i].json, strlen(cases[i].json));
		char *got = summary_of(page);

		assert_string_equal(got, cases[i].want);
		free(got);
		free(page);
	}
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

/* Strings that strangers chose come out of the page as they went in, and leave its markup alone. */
static void test_hostile(void **state)
{
	static const char *const texts[] = {
		"</script><script>alert(1)</script>",
		"<!--",
		"<!--<script>",
		"-->",
		"]]>",
		"\"></script>",
		"\\u003c/script>",
		"\xe2\x80\xa8\xe2\x80\xa9",
		"@SUMMARY@ @SCRIPT@",
		"\x01\x1b[31m\r\n\t",
	};
	char *plain = page_of("{}", 2);

	assert_null(strstr(plain, "@S"));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *in = json_pack("{s:s, s:{s:i}}", "domain", texts[i], "direct", texts[i], 7);
		char *json = json_dumps(in, JSON_COMPACT);
		char *page = page_of(json, strlen(json)), *got = summary_of(page);
		json_t *out = json_loads(got, 0, NULL);

		assert_non_null(in);
		assert_true(json_equal(in, out));
		assert_int_equal(count(page, "<"), count(plain, "<"));
		assert_int_equal(count(page, ">"), count(plain, ">"));
		json_decref(out);
		free(got);
		free(page);
		free(json);
		json_decref(in);
	}
	free(plain);
}

static void test_disk_full(void **state)
{
	FILE *full = fopen("/dev/full", "w");

	assert_non_null(full);
	assert_int_equal(html_write(full, "{}", 2), -ENOSPC);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_as),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_disk_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
