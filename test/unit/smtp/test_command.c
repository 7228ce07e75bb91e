#include "smtp/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_verbs(void **state)
{
	static const struct {
		const char *line;
		enum command_error error;
		enum smtp_verb verb;
		const char *args;
	} rows[] = {
		{ "EHLO a.example", COMMAND_OK, VERB_EHLO, "a.example" },
		{ "ehlo a.example", COMMAND_OK, VERB_EHLO, "a.example" },
		{ "HeLo \t a.example \t", COMMAND_OK, VERB_HELO, "a.example" },
		{ "MAIL FROM:<>", COMMAND_OK, VERB_MAIL, "FROM:<>" },
		{ "RCPT TO:<a@b> NOTIFY=NEVER", COMMAND_OK, VERB_RCPT, "TO:<a@b> NOTIFY=NEVER" },
		{ "BDAT 5 LAST", COMMAND_OK, VERB_BDAT, "5 LAST" },
		{ "AUTH PLAIN x", COMMAND_OK, VERB_AUTH, "PLAIN x" },
		{ "VRFY\ta", COMMAND_OK, VERB_VRFY, "a" },
		{ "EXPN a", COMMAND_OK, VERB_EXPN, "a" },
		{ "DATA", COMMAND_OK, VERB_DATA, "" },
		{ "DATA  ", COMMAND_OK, VERB_DATA, "" },
		{ "RSET", COMMAND_OK, VERB_RSET, "" },
		{ "QUIT\t", COMMAND_OK, VERB_QUIT, "" },
		{ "starttls", COMMAND_OK, VERB_STARTTLS, "" },
		{ "NOOP", COMMAND_OK, VERB_NOOP, "" },
		{ "NOOP a b", COMMAND_OK, VERB_NOOP, "a b" },
		{ "HELP", COMMAND_OK, VERB_HELP, "" },
		{ "HELP MAIL", COMMAND_OK, VERB_HELP, "MAIL" },

		{ "EHLO", COMMAND_SYNTAX },
		{ "HELO ", COMMAND_SYNTAX },
		{ "MAIL", COMMAND_SYNTAX },
		{ "RCPT", COMMAND_SYNTAX },
		{ "BDAT", COMMAND_SYNTAX },
		{ "AUTH", COMMAND_SYNTAX },
		{ "VRFY", COMMAND_SYNTAX },
		{ "DATA x", COMMAND_SYNTAX },
		{ "RSET x", COMMAND_SYNTAX },
		{ "QUIT x", COMMAND_SYNTAX },
		{ "STARTTLS x", COMMAND_SYNTAX },

		{ "", COMMAND_UNKNOWN },
		{ " ", COMMAND_UNKNOWN },
		{ " DATA", COMMAND_UNKNOWN },
		{ "DAT", COMMAND_UNKNOWN },
		{ "DATAX", COMMAND_UNKNOWN },
		{ "UNKNOWN", COMMAND_UNKNOWN },
		{ "XCLIENT ADDR=192.0.2.1", COMMAND_UNKNOWN },
		{ "ETRN a", COMMAND_UNKNOWN },
		{ "GET / HTTP/1.1", COMMAND_UNKNOWN },
		{ "MAILFROM:<a@b>", COMMAND_UNKNOWN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct command c = { .verb = VERB_COUNT };
		enum command_error e = command_parse(sv_from(rows[i].line), &c);
		if (e != rows[i].error)
			fail_msg("%s: %d", rows[i].line, (int)e);
		if (e == COMMAND_UNKNOWN)
			assert_int_equal(c.verb, VERB_UNKNOWN);
		if (e ==
		    COMMAND_SYNTAX) /* a BDAT that can't be read on after is still known as one */
			assert_true(sv_starts_nocase(sv_from(rows[i].line),
						     sv_from(verb_name(c.verb))));
		if (e != COMMAND_OK)
			continue;
		assert_int_equal(c.verb, rows[i].verb);
		if (!sv_eq(c.args, sv_from(rows[i].args)))
			fail_msg("%s: %.*s", rows[i].line, SV_ARG(c.args));
	}
	assert_string_equal(verb_name(VERB_STARTTLS), "STARTTLS");
	for (int verb = 0; verb < VERB_COUNT; verb++)
		assert_non_null(verb_name((enum smtp_verb)verb));
}

static const char *written(const struct smtp_path *path)
{
	static char wire[PATH_WIRE_MAX + 1];

	wire[path_write(path, wire)] = '\0';
	return wire;
}

static void test_mail(void **state)
{
	static const struct {
		const char *args;
		enum command_error error;
		const char *path;
		const char *params;
		bool smtputf8;
	} rows[] = {
		{ "FROM:<>", COMMAND_OK, "<>", "" },
		{ "from:<a@b>", COMMAND_OK, "<a@b>", "" },
		{ "FROM: <a@b>", COMMAND_OK, "<a@b>", "" },
		{ "FROM:a@b", COMMAND_OK, "<a@b>", "" },
		{ "FROM:\ta@b SIZE=1", COMMAND_OK, "<a@b>", "SIZE=1" },
		{ "FROM:<@x,@y:a@b>", COMMAND_OK, "<a@b>", "" },
		{ "FROM:<a@b>  SIZE=1  BODY=7BIT ", COMMAND_OK, "<a@b>", "SIZE=1  BODY=7BIT" },
		{ "FROM:<a@b> SIZE=12345678901234567890", COMMAND_OK, "<a@b>",
		  "SIZE=12345678901234567890" },
		{ "FROM:<a@b> size=0 body=8bitmime ret=hdrs", COMMAND_OK, "<a@b>",
		  "size=0 body=8bitmime ret=hdrs" },
		{ "FROM:<a@b> BODY=BINARYMIME", COMMAND_OK, "<a@b>", "BODY=BINARYMIME" },
		{ "FROM:<a@b> RET=FULL ENVID=QQ+2B314159", COMMAND_OK, "<a@b>",
		  "RET=FULL ENVID=QQ+2B314159" },
		{ "FROM:<a@b> ENVID=a=b", COMMAND_OK, "<a@b>", "ENVID=a=b" },
		{ "FROM:<a@b> AUTH=<>", COMMAND_OK, "<a@b>", "AUTH=<>" },
		{ "FROM:<a@b> AUTH=e+3Dmc2@example.com", COMMAND_OK, "<a@b>",
		  "AUTH=e+3Dmc2@example.com" },
		{ "FROM:<a@b> SMTPUTF8", COMMAND_OK, "<a@b>", "SMTPUTF8", true },
		{ "FROM:<\xc3\xb6@b> SIZE=1 SMTPUTF8", COMMAND_OK, "<\xc3\xb6@b>",
		  "SIZE=1 SMTPUTF8", true },

		{ "", COMMAND_SYNTAX },
		{ "FROM", COMMAND_SYNTAX },
		{ "<a@b>", COMMAND_SYNTAX },
		{ "FROM <a@b>", COMMAND_SYNTAX },
		{ "TO:<a@b>", COMMAND_SYNTAX },
		{ "FROM:<a@b> SIZE", COMMAND_SYNTAX },
		{ "FROM:<a@b> SIZE=", COMMAND_SYNTAX },
		{ "FROM:<a@b> SIZE=1k", COMMAND_SYNTAX },
		{ "FROM:<a@b> SIZE=-1", COMMAND_SYNTAX },
		{ "FROM:<a@b> SIZE=123456789012345678901", COMMAND_SYNTAX },
		{ "FROM:<a@b> SIZE=1 SIZE=1", COMMAND_SYNTAX },
		{ "FROM:<a@b> BODY=9BIT", COMMAND_SYNTAX },
		{ "FROM:<a@b> BODY", COMMAND_SYNTAX },
		{ "FROM:<a@b> RET=NONE", COMMAND_SYNTAX },
		{ "FROM:<a@b> ENVID=", COMMAND_SYNTAX },
		{ "FROM:<a@b> ENVID=a+", COMMAND_SYNTAX },
		{ "FROM:<a@b> ENVID=a+4", COMMAND_SYNTAX },
		{ "FROM:<a@b> ENVID=a+4x", COMMAND_SYNTAX },
		{ "FROM:<a@b> ENVID=\xc3\xb6 SMTPUTF8", COMMAND_SYNTAX },
		{ "FROM:<a@b> AUTH=\x01", COMMAND_SYNTAX },
		{ "FROM:<a@b> SMTPUTF8=1", COMMAND_SYNTAX },
		{ "FROM:<a@b> SMTPUTF8 SMTPUTF8", COMMAND_SYNTAX },
		{ "FROM:<a@b> SIZE=1\tBODY=7BIT", COMMAND_SYNTAX },
		{ "FROM:<a@b> =", COMMAND_SYNTAX },
		{ "FROM:<a@b> <c@d>", COMMAND_SYNTAX },

		{ "FROM:<a@b> NOTIFY=NEVER", COMMAND_PARAMETER },
		{ "FROM:<a@b> HOLDFOR=1", COMMAND_PARAMETER },
		{ "FROM:<a@b> REQUIRETLS", COMMAND_PARAMETER },
		{ "FROM:<a@b> X-Y=1", COMMAND_PARAMETER },

		{ "FROM:", COMMAND_ADDRESS },
		{ "FROM: ", COMMAND_ADDRESS },
		{ "FROM:<a@b", COMMAND_ADDRESS },
		{ "FROM:<a@b>SIZE=1", COMMAND_ADDRESS },
		{ "FROM:a@b>", COMMAND_ADDRESS },
		{ "FROM:<a@b@c>", COMMAND_ADDRESS },
		{ "FROM:<\xc3\xb6@b>", COMMAND_ADDRESS },
		{ "FROM:<a@\xc3\xb6> SIZE=1", COMMAND_ADDRESS },
		{ "FROM:<\xb6@b> SMTPUTF8", COMMAND_ADDRESS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct smtp_path path = { .local_len = 77 };
		struct sv params = SV("untouched");
		bool smtputf8 = !rows[i].smtputf8;
		enum command_error e =
			command_mail(sv_from(rows[i].args), &path, &params, &smtputf8);
		if (e != rows[i].error)
			fail_msg("%s: %d", rows[i].args, (int)e);
		if (e != COMMAND_OK) {
			assert_true(path.local_len == 77 && smtputf8);
			assert_true(sv_eq(params, SV("untouched")));
			continue;
		}
		assert_string_equal(written(&path), rows[i].path);
		assert_true(sv_eq(params, sv_from(rows[i].params)));
		assert_int_equal(smtputf8, rows[i].smtputf8);
	}
}

static void test_rcpt(void **state)
{
	static const struct {
		const char *args;
		enum command_error error;
		const char *path;
		const char *params;
		bool smtputf8;
	} rows[] = {
		{ "TO:<a@b>", COMMAND_OK, "<a@b>", "" },
		{ "to: a@b", COMMAND_OK, "<a@b>", "" },
		{ "TO:<Postmaster>", COMMAND_OK, "<Postmaster>", "" },
		{ "TO:<a@b> NOTIFY=NEVER", COMMAND_OK, "<a@b>", "NOTIFY=NEVER" },
		{ "TO:<a@b> NOTIFY=success,FAILURE,Delay", COMMAND_OK, "<a@b>",
		  "NOTIFY=success,FAILURE,Delay" },
		{ "TO:<a@b> ORCPT=rfc822;a+2Bx@b NOTIFY=DELAY", COMMAND_OK, "<a@b>",
		  "ORCPT=rfc822;a+2Bx@b NOTIFY=DELAY" },
		{ "TO:<a@b> ORCPT=rfc822;x=y@b", COMMAND_OK, "<a@b>", "ORCPT=rfc822;x=y@b" },
		{ "TO:<\xc3\xb6@b> ORCPT=utf-8;\xc3\xb6@b", COMMAND_OK, "<\xc3\xb6@b>",
		  "ORCPT=utf-8;\xc3\xb6@b", true },
		{ "TO:<a@b> ORCPT=utf-8;\\x{F6}@b", COMMAND_OK, "<a@b>", "ORCPT=utf-8;\\x{F6}@b" },

		{ "FROM:<a@b>", COMMAND_SYNTAX },
		{ "<a@b>", COMMAND_SYNTAX },
		{ "TO:<a@b> NOTIFY", COMMAND_SYNTAX },
		{ "TO:<a@b> NOTIFY=", COMMAND_SYNTAX },
		{ "TO:<a@b> NOTIFY=NEVER,DELAY", COMMAND_SYNTAX },
		{ "TO:<a@b> NOTIFY=DELAY,NEVER", COMMAND_SYNTAX },
		{ "TO:<a@b> NOTIFY=DELAY,", COMMAND_SYNTAX },
		{ "TO:<a@b> NOTIFY=,DELAY", COMMAND_SYNTAX },
		{ "TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY", COMMAND_SYNTAX },
		{ "TO:<a@b> ORCPT=", COMMAND_SYNTAX },
		{ "TO:<a@b> ORCPT=a@b", COMMAND_SYNTAX },
		{ "TO:<a@b> ORCPT=;a@b", COMMAND_SYNTAX },
		{ "TO:<a@b> ORCPT=rfc822;", COMMAND_SYNTAX },
		{ "TO:<a@b> ORCPT=rfc+822;a", COMMAND_SYNTAX },
		{ "TO:<a@b> ORCPT=rfc822;a+@b", COMMAND_SYNTAX },
		{ "TO:<a@b> ORCPT=utf-8;\xc3\xb6@b", COMMAND_SYNTAX },
		{ "TO:<a@b> ORCPT=utf-8;\xc3@b", COMMAND_SYNTAX, .smtputf8 = true },

		{ "TO:<a@b> SIZE=1", COMMAND_PARAMETER },
		{ "TO:<a@b> RRVS=x", COMMAND_PARAMETER },

		{ "TO:<>", COMMAND_ADDRESS },
		{ "TO:", COMMAND_ADDRESS },
		{ "TO:<a@b>,<c@d>", COMMAND_ADDRESS },
		{ "TO:<\xc3\xb6@b>", COMMAND_ADDRESS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct smtp_path path = { .local_len = 77 };
		struct sv params = SV("untouched");
		enum command_error e =
			command_rcpt(sv_from(rows[i].args), rows[i].smtputf8, &path, &params);
		if (e != rows[i].error)
			fail_msg("%s: %d", rows[i].args, (int)e);
		if (e != COMMAND_OK) {
			assert_true(path.local_len == 77 && sv_eq(params, SV("untouched")));
			continue;
		}
		assert_string_equal(written(&path), rows[i].path);
		assert_true(sv_eq(params, sv_from(rows[i].params)));
	}
}

/* Nothing is read past the end of the view, whatever stands there. */
static void test_cut_short(void **state)
{
	static const struct sv whole = { "MAIL FROM:<a@b> BODY=7BIT ENVID=a+41", 36 };

	for (size_t n = 0; n <= whole.n; n++) {
		struct command c;
		struct smtp_path path;
		struct sv params;
		bool smtputf8;
		enum command_error e = command_parse((struct sv) { whole.p, n }, &c);
		if (e == COMMAND_OK)
			e = command_mail(c.args, &path, &params, &smtputf8);
		/* The path alone; with BODY; with "ENVID=a"; and all of it. */
		bool good = n == 15 || n == 16 || n == 25 || n == 26 || n == 33 || n == whole.n;
		if ((e == COMMAND_OK) != good)
			fail_msg("%.*s: %d", (int)n, whole.p, (int)e);
	}
}

static void test_bdat(void **state)
{
	static const struct {
		const char *args;
		enum command_error error;
		uint64_t size;
		bool last;
	} rows[] = {
		{ "0", COMMAND_OK, 0, false },
		{ "0 LAST", COMMAND_OK, 0, true },
		{ "123  last ", COMMAND_OK, 123, true },
		{ "007", COMMAND_OK, 7, false },
		{ "9223372036854775807", COMMAND_OK, INT64_MAX, false },
		{ "9223372036854775808", COMMAND_SYNTAX },
		{ "99999999999999999999999", COMMAND_SYNTAX },
		{ "", COMMAND_SYNTAX },
		{ "LAST", COMMAND_SYNTAX },
		{ "-1", COMMAND_SYNTAX },
		{ "+1", COMMAND_SYNTAX },
		{ "1x", COMMAND_SYNTAX },
		{ "0x10", COMMAND_SYNTAX },
		{ "1LAST", COMMAND_SYNTAX },
		{ "1 LASTX", COMMAND_SYNTAX },
		{ "1 LAST LAST", COMMAND_SYNTAX },
		{ "1 2", COMMAND_SYNTAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t size = 99;
		bool last = !rows[i].last;
		enum command_error e = command_bdat(sv_from(rows[i].args), &size, &last);
		if (e != rows[i].error)
			fail_msg("%s: %d", rows[i].args, (int)e);
		if (e != COMMAND_OK) {
			assert_true(size == 99 && last);
			continue;
		}
		assert_true(size == rows[i].size && last == rows[i].last);
	}
}

static void test_clean(void **state)
{
	static const struct {
		struct sv text;
		bool ascii;
		bool utf8;
	} rows[] = {
#define T(s) { (s), sizeof(s) - 1 }
		{ T(""), true, true },
		{ T("abc ~"), true, true },
		{ T("a\tb"), false, false },
		{ T("a\0"), false, false },
		{ T("a\r\n"), false, false },
		{ T("\x1b[0m"), false, false },
		{ T("\x7f"), false, false },
		{ T("\xc3\xb6"), false, true },
		{ T("\xc2\xa0"), false, true },
		{ T("\xc2\x9b"), false, false }, /* CSI */
		{ T("\xe2\x82\xac"), false, true },
		{ T("\xe0\xa0\x80"), false, true },
		{ T("\xe0\x9f\xbf"), false, false },
		{ T("\xed\x9f\xbf"), false, true },
		{ T("\xed\xa0\x80"), false, false },
		{ T("\xf0\x90\x80\x80"), false, true },
		{ T("\xf0\x8f\xbf\xbf"), false, false },
		{ T("\xf4\x8f\xbf\xbf"), false, true },
		{ T("\xf4\x90\x80\x80"), false, false },
		{ T("\xf5\x80\x80\x80"), false, false },
		{ T("\xc1\xbf"), false, false },
		{ T("\x80"), false, false },
		{ T("\xc3"), false, false },
		{ T("\xe2\x82"), false, false },
		{ T("\xf0\x90\x80"), false, false },
		{ T("\xe2\x28\xa1"), false, false },
		{ T("\xe2\x82\x28"), false, false },
		{ T("\xff"), false, false },
#undef T
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = rows[i].text.n;
		char *exact = malloc(n ? n : 1);
		assert_non_null(exact);
		memcpy(exact, rows[i].text.p, n);
		if (text_is_clean((struct sv) { exact, n }, false) != rows[i].ascii ||
		    text_is_clean((struct sv) { exact, n }, true) != rows[i].utf8)
			fail_msg("row %zu", i);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verbs), cmocka_unit_test(test_mail),
		cmocka_unit_test(test_rcpt),  cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_clean), cmocka_unit_test(test_cut_short),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
