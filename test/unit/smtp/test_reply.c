#include "smtp/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum reply_outcome parse(struct sv in, struct reply *reply)
{
	char *exact = malloc(in.n ? in.n : 1);

	assert_non_null(exact);
	memcpy(exact, in.p, in.n);
	enum reply_outcome r = reply_parse((struct sv) { exact, in.n }, reply);
	if (r == REPLY_DONE) {
		assert_ptr_equal(reply->raw.p, exact);
		reply->raw.p = in.p;
	}
	free(exact);
	return r;
}

/* What is known of the whole must be so of each beginning: not known yet, or the same. */
static void check_beginnings(const char *name, struct sv in, enum reply_outcome whole)
{
	struct reply reply;
	bool known = false;

	for (size_t n = 0; n <= in.n; n++) {
		enum reply_outcome r = parse((struct sv) { in.p, n }, &reply);
		if (r != whole && (known || r != REPLY_MORE))
			fail_msg("%s: %d after %zu octets, %d in the end", name, (int)r, n,
				 (int)whole);
		known = known || r != REPLY_MORE;
	}
}

static void test_rows(void **state)
{
#define IN(s)                                                                                      \
	{                                                                                          \
		(s), sizeof(s) - 1                                                                 \
	}
	static const struct {
		struct sv in;
		enum reply_outcome outcome;
		int code;
		size_t rest;
	} rows[] = {
		{ IN("250 ok\r\n"), REPLY_DONE, 250, 0 },
		{ IN("250\r\n"), REPLY_DONE, 250, 0 },
		{ IN("250 \r\n"), REPLY_DONE, 250, 0 },
		{ IN("354 go\r\n250 more"), REPLY_DONE, 354, 8 },
		{ IN("250-a\r\n250-b\r\n250 c\r\n"), REPLY_DONE, 250, 0 },
		{ IN("250-\r\n250\r\n220 x\r\n"), REPLY_DONE, 250, 7 },
		{ IN("599 8-bit \xc3\xb6\xff\r\n"), REPLY_DONE, 599, 0 },
		{ IN("200 a\tb\r\n"), REPLY_DONE, 200, 0 },

		{ IN(""), REPLY_MORE },
		{ IN("2"), REPLY_MORE },
		{ IN("250"), REPLY_MORE },
		{ IN("250-a\r\n"), REPLY_MORE },
		{ IN("250-a\r\n25"), REPLY_MORE },
		{ IN("250 ok"), REPLY_MORE },
		{ IN("250 ok\r"), REPLY_MORE },
		{ IN("250\r"), REPLY_MORE },

		{ IN("250 ok\n"), REPLY_BAD },
		{ IN("250\n"), REPLY_BAD },
		{ IN("\n"), REPLY_BAD },
		{ IN("\r\n"), REPLY_BAD },
		{ IN("25\r\n"), REPLY_BAD },
		{ IN("2500 ok\r\n"), REPLY_BAD },
		{ IN("250ok\r\n"), REPLY_BAD },
		{ IN("250\tok\r\n"), REPLY_BAD },
		{ IN("ok\r\n"), REPLY_BAD },
		{ IN(" 250 ok\r\n"), REPLY_BAD },
		{ IN("100 a\r\n"), REPLY_BAD },
		{ IN("600 a\r\n"), REPLY_BAD },
		{ IN("2x0 a\r\n"), REPLY_BAD },
		{ IN("25x a\r\n"), REPLY_BAD },
		{ IN("250 a\rb\r\n"), REPLY_BAD },
		{ IN("250 a\r\r\n"), REPLY_BAD },
		{ IN("250\r \r\n"), REPLY_BAD },
		{ IN("250 a\0b\r\n"), REPLY_BAD },
		{ IN("250-a\r\n251 b\r\n"), REPLY_BAD },
		{ IN("250-a\r\n550 b\r\n"), REPLY_BAD },
		{ IN("250-a\r\nb\r\n"), REPLY_BAD },
		{ IN("250-a\n250 b\r\n"), REPLY_BAD },
		{ IN("HTTP/1.1 400 Bad Request\r\n"), REPLY_BAD },
	};
#undef IN

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct reply reply = { .code = 77 };
		enum reply_outcome r = parse(rows[i].in, &reply);
		if (r != rows[i].outcome)
			fail_msg("%.*s: %d", SV_ARG(rows[i].in), (int)r);
		check_beginnings(rows[i].in.p, rows[i].in, r);
		if (r != REPLY_DONE) {
			assert_int_equal(reply.code, 77);
			continue;
		}
		assert_int_equal(reply.code, rows[i].code);
		assert_int_equal(rows[i].in.n - reply.raw.n, rows[i].rest);
	}
}

/* lines lines of line_len octets, CRLF counted, the last one of last_len. */
static void check_limit(enum reply_outcome wanted, size_t lines, size_t line_len, size_t last_len)
{
	static char text[2 * REPLY_MAX];
	struct reply reply;
	size_t n = 0;

	memset(text, 'x', sizeof(text));
	for (size_t i = 1; i <= lines; i++) {
		size_t len = i < lines ? line_len : last_len;
		assert_true(n + len <= sizeof(text));
		memcpy(text + n, i < lines ? "250-" : "250 ", 4);
		memcpy(text + n + len - 2, "\r\n", 2);
		n += len;
	}
	struct sv in = { text, n };
	if (parse(in, &reply) != wanted)
		fail_msg("%zu lines of %zu, last %zu", lines, line_len, last_len);
	check_beginnings("limit", in, wanted);
	if (wanted == REPLY_DONE)
		assert_int_equal(reply.raw.n, n);
}

static void test_limits(void **state)
{
	struct reply reply;

	check_limit(REPLY_DONE, 1, 0, REPLY_LINE_MAX);
	check_limit(REPLY_BAD, 1, 0, REPLY_LINE_MAX + 1);
	check_limit(REPLY_BAD, 1, 0, REPLY_LINE_MAX + 2);
	check_limit(REPLY_DONE, 2, REPLY_LINE_MAX, REPLY_LINE_MAX);
	check_limit(REPLY_DONE, REPLY_LINES_MAX, 10, 10);
	check_limit(REPLY_BAD, REPLY_LINES_MAX + 1, 10, 10);
	check_limit(REPLY_DONE, REPLY_MAX / REPLY_LINE_MAX, REPLY_LINE_MAX, REPLY_LINE_MAX);
	check_limit(REPLY_DONE, 17, 1000, REPLY_MAX - 16000);
	check_limit(REPLY_BAD, 17, 1000, REPLY_MAX - 16000 + 1);

	/* An end that would come too late is not waited for. */
	static char endless[REPLY_LINE_MAX];
	memset(endless, 'x', sizeof(endless));
	memcpy(endless, "250 ", 4);
	assert_int_equal(parse((struct sv) { endless, REPLY_LINE_MAX - 1 }, &reply), REPLY_MORE);
	assert_int_equal(parse((struct sv) { endless, REPLY_LINE_MAX }, &reply), REPLY_BAD);

	/* What follows a reply doesn't count. */
	static char much[2 * REPLY_MAX] = "250 ok\r\n";
	assert_int_equal(parse((struct sv) { much, sizeof(much) }, &reply), REPLY_DONE);
	assert_int_equal(reply.raw.n, 8);
}

static void test_lines(void **state)
{
	struct reply reply;
	struct sv text;
	size_t at = 0;

	assert_int_equal(reply_parse(SV("250-a b\r\n250-\r\n250-c\r\n250\r\n"), &reply),
			 REPLY_DONE);
	assert_true(reply_next_line(&reply, &at, &text) && sv_eq(text, SV("a b")));
	assert_true(reply_next_line(&reply, &at, &text) && sv_eq(text, SV("")));
	assert_true(reply_next_line(&reply, &at, &text) && sv_eq(text, SV("c")));
	assert_true(reply_next_line(&reply, &at, &text) && sv_eq(text, SV("")));
	assert_false(reply_next_line(&reply, &at, &text));
}

static void test_keywords(void **state)
{
	static const char *const allowed[] = {
		"SIZE", "SIZE 52428800", "size 1",     "8BITMIME",         "SMTPUTF8",
		"DSN",  "PIPELINING",    "CHUNKING",   "BINARYMIME",       "ENHANCEDSTATUSCODES",
		"AUTH", "AUTH PLAIN",    "AUTH=LOGIN", "auth=PLAIN LOGIN", "HELP",
		"VRFY",
	};
	static const char *const taken_out[] = {
		"",
		" ",
		" SIZE",
		"SIZEX",
		"SIZE=1",
		"XCLIENT ADDR",
		"XFORWARD",
		"PRDR",
		"PIPECONNECT",
		"LIMITS RCPTMAX=1",
		"ETRN",
		"REQUIRETLS",
		"DELIVERBY",
		"EXPN",
		"AUTHX",
		"STARTTLSX",
		"SIZE 1\x1b[0m",
		"AUTH \xff",
		"SIZE\t1",
		"DSN\x7f",
		"BURL",
		"X-EXPS",
		"TURN",
		"ATRN",
	};

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		if (!ehlo_keyword_allowed(sv_from(allowed[i]), false))
			fail_msg("%s", allowed[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(taken_out); i++) {
		if (ehlo_keyword_allowed(sv_from(taken_out[i]), true))
			fail_msg("%s", taken_out[i]);
	}
	assert_true(ehlo_keyword_allowed(SV("STARTTLS"), true));
	assert_false(ehlo_keyword_allowed(SV("STARTTLS"), false));
}

static void test_reduce(void **state)
{
	static const struct {
		const char *in;
		const char *out;
		struct ehlo_offer offer;
	} rows[] = {
		{ "250 hi\r\n", "250 hi\r\n" },
		{ "250\r\n", "250 \r\n" },
		{ "250-hi\r\n250 PRDR\r\n", "250 hi\r\n" },
		{ "250-hi\r\n250-XCLIENT\r\n250 SIZE 1\r\n", "250-hi\r\n250 SIZE 1\r\n" },
		{ "250-hi\r\n250-SIZE 1\r\n250 XCLIENT\r\n", "250-hi\r\n250 SIZE 1\r\n" },
		{ "250-hi\r\n250-SIZE\r\n250\r\n", "250-hi\r\n250 SIZE\r\n" },
		{ "250-a.example Hello b [192.0.2.1]\r\n250-SIZE 52428800\r\n250-LIMITS "
		  "MAILMAX=9\r\n"
		  "250-8BITMIME\r\n250-PIPELINING\r\n250-PIPECONNECT\r\n250-CHUNKING\r\n"
		  "250-STARTTLS\r\n250-PRDR\r\n250 HELP\r\n",
		  "250-a.example Hello b [192.0.2.1]\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n"
		  "250-PIPELINING\r\n250-CHUNKING\r\n250 HELP\r\n" },
		{ "250-XCLIENT\r\n250-DSN\r\n250 STARTTLS\r\n",
		  "250-XCLIENT\r\n250-DSN\r\n250 STARTTLS\r\n",
		  { EHLO_STARTTLS_KEEP } },
		{ "250 hi\r\n", "250-hi\r\n250 STARTTLS\r\n", { EHLO_STARTTLS_OURS } },
		{ "250-hi\r\n250-STARTTLS\r\n250-starttls\r\n250 HELP\r\n",
		  "250-hi\r\n250-HELP\r\n250 STARTTLS\r\n",
		  { EHLO_STARTTLS_OURS } },
		{ "250-hi\r\n250-REQUIRETLS\r\n250 HELP\r\n",
		  "250-hi\r\n250-HELP\r\n250 STARTTLS\r\n",
		  { EHLO_STARTTLS_OURS } },
		{ "250-hi\r\n250-AUTH SCRAM-SHA-1 SCRAM-SHA-256-plus PLAIN\r\n250 DSN\r\n",
		  "250-hi\r\n250-AUTH SCRAM-SHA-1 PLAIN\r\n250 DSN\r\n",
		  { .no_channel_binding = true } },
		{ "250-hi\r\n250-DSN\r\n250 AUTH SCRAM-SHA-256-PLUS\r\n",
		  "250-hi\r\n250 DSN\r\n",
		  { .no_channel_binding = true } },
		{ "250-hi\r\n250 AUTH  A  B\r\n",
		  "250-hi\r\n250 AUTH A B\r\n",
		  { .no_channel_binding = true } },
		{ "250-hi\r\n250 AUTH SCRAM-SHA-1-PLUS\r\n",
		  "250-hi\r\n250 AUTH SCRAM-SHA-1-PLUS\r\n" },
		{ "250-XCLIENT\r\n250-DSN\r\n250 STARTTLS\r\n", "250-XCLIENT\r\n250 DSN\r\n" },
		{ "250-hi\r\n250-AUTH PLAIN\r\n250 AUTH=PLAIN\r\n",
		  "250-hi\r\n250-AUTH PLAIN\r\n250 AUTH=PLAIN\r\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct reply reply, again;
		char out[EHLO_REDUCED_MAX];

		assert_int_equal(reply_parse(sv_from(rows[i].in), &reply), REPLY_DONE);
		size_t n = ehlo_reduce(&reply, rows[i].offer, out);
		if (!sv_eq((struct sv) { out, n }, sv_from(rows[i].out)))
			fail_msg("%s: %.*s", rows[i].in, (int)n, out);
		assert_int_equal(reply_parse((struct sv) { out, n }, &again), REPLY_DONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),   cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lines),  cmocka_unit_test(test_keywords),
		cmocka_unit_test(test_reduce),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
