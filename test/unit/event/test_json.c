#include "event/event.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct event_rcpt sample(void)
{
	struct event_rcpt e = { .time_ms = 1795550462003, /* 2026-11-24T20:01:02.003Z */
				.id = "AbC123",
				.listener = "smtp",
				.client_name = "out.example.net",
				.helo = "worm",
				.rcpt_domain = "example.org",
				.door = DOOR_SCANNER,
				.door_known = true,
				.door_name = "apex",
				.grade = GRADE_CONFIGURED,
				.finding = FINDING_DIRECT,
				.action = ACTION_DEFER,
				.wanted = ACTION_REJECT,
				.restraint = RESTRAINT_NEVER_HEARD,
				.reason = REASON_NOT_EGRESS,
				.scanner = "acme",
				.mx = "mx1.acme.example",
				.reply = 450,
				.bytes = 4096,
				.ms = 12 };

	assert_int_equal(endpoint_parse(SV("192.0.2.9:40000"), &e.client), 0);
	assert_int_equal(endpoint_parse(SV("[2001:db8::25]:25"), &e.server), 0);
	return e;
}

static void expect(const struct event_rcpt *e, const char *want)
{
	char *json = event_rcpt_json(e);

	assert_non_null(json);
	assert_string_equal(json, want);
	free(json);
}

static void test_all_fields(void **state)
{
	struct event_rcpt e = sample();

	expect(&e, "{\"time\":\"2026-11-24T20:01:02.003Z\",\"id\":\"AbC123\",\"listener\":\"smtp\","
		   "\"client\":\"192.0.2.9\",\"client_port\":40000,"
		   "\"client_name\":\"out.example.net\",\"server\":\"2001:db8::25\","
		   "\"helo\":\"worm\",\"rcpt_domain\":\"example.org\",\"door\":\"scanner\","
		   "\"door_name\":\"apex\",\"grade\":\"configured\",\"finding\":\"direct\","
		   "\"action\":\"defer\",\"wanted\":\"reject\",\"restraint\":\"never-heard\","
		   "\"reason\":\"not-egress\",\"scanner\":\"acme\",\"mx\":\"mx1.acme.example\","
		   "\"reply\":450,\"message_reply\":null,\"tls\":false,\"auth\":false,"
		   "\"bytes\":4096,\"ms\":12}");
}

static void test_unknown_fields(void **state)
{
	struct event_rcpt e = { .time_ms = 0,
				.finding = FINDING_PASS,
				.action = ACTION_PASS,
				.wanted = ACTION_PASS,
				.reason = REASON_TRUSTED,
				.message_reply = 250,
				.tls = true,
				.auth = true };

	expect(&e, "{\"time\":\"1970-01-01T00:00:00.000Z\",\"id\":null,\"listener\":null,"
		   "\"client\":\"::\",\"client_port\":null,"
		   "\"client_name\":null,\"server\":\"::\",\"helo\":null,"
		   "\"rcpt_domain\":null,\"door\":null,\"door_name\":null,\"grade\":null,"
		   "\"finding\":\"pass\",\"action\":\"pass\",\"wanted\":\"pass\","
		   "\"restraint\":null,\"reason\":\"trusted\",\"scanner\":null,\"mx\":null,"
		   "\"reply\":null,\"message_reply\":250,\"tls\":true,\"auth\":true,"
		   "\"bytes\":0,\"ms\":0}");
}

/* Whatever a peer says, a line is one JSON object. */
static void test_hostile(void **state)
{
	static const char *const helos[] = { "a\"b\\c", "line\nbreak\r", "\xff\xfe\x80",
					     "b\xc3\xbc"
					     "cher",
					     "\x01\x1b[31m" };

	for (size_t i = 0; i < ARRAY_SIZE(helos); i++) {
		struct event_rcpt e = sample();
		json_error_t error;

		snprintf(e.helo, sizeof(e.helo), "%s", helos[i]);
		memset(e.mx, 0xff, sizeof(e.mx) - 1);
		char *json = event_rcpt_json(&e);

		assert_null(strpbrk(json, "\r\n\x1b"));
		json_t *o = json_loads(json, 0, &error);

		assert_non_null(o);
		assert_true(json_is_string(json_object_get(o, "helo")));
		json_decref(o);
		free(json);
	}
}

/* A decision's words are an event's, whoever tells it: the daemon, explain. */
static void test_decided(void **state)
{
	struct decision d = { .door = DOOR_SCANNER,
			      .door_known = true,
			      .grade = GRADE_CONFIGURED,
			      .finding = FINDING_DIRECT,
			      .action = ACTION_DEFER,
			      .wanted = ACTION_REJECT,
			      .restraint = RESTRAINT_NEVER_HEARD,
			      .reason = REASON_NOT_EGRESS,
			      .scanner = "acme",
			      .mx = "mx1.acme.example" };
	struct event_rcpt e = sample(), want = sample();

	e.door_known = false;
	e.door = DOOR_DNS;
	e.grade = GRADE_NONE;
	e.finding = FINDING_PASS;
	e.action = e.wanted = ACTION_PASS;
	e.restraint = RESTRAINT_NONE;
	e.reason = REASON_TRUSTED;
	e.scanner[0] = e.mx[0] = '\0';
	event_rcpt_decided(&e, &d);
	want.door_name = NULL;
	char *json = event_rcpt_json(&want);
	assert_non_null(json);
	expect(&e, json);
	free(json);

	d.door = DOOR_BACKUP;
	event_rcpt_decided(&e, &d);
	assert_string_equal(e.door_name, "mx");
	event_copy(e.helo, 4, "worm");
	assert_string_equal(e.helo, "wor");
	event_copy(e.helo, 4, NULL);
	assert_string_equal(e.helo, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_fields),
		cmocka_unit_test(test_unknown_fields),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_decided),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
