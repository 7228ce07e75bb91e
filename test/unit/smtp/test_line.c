#include "smtp/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* What a stream of octets comes to, as text: "line|" for a line, "!bare|", "!long|". */
struct told {
	char text[4096];
	size_t n;
};

static void tell(struct told *t, struct sv what)
{
	assert_true(t->n + what.n + 1 < sizeof(t->text));
	memcpy(t->text + t->n, what.p, what.n);
	t->n += what.n;
	t->text[t->n++] = '|';
	t->text[t->n] = '\0';
}

/* Calls line_next() as an owner of a buffer does, who leaves each line where it is once before it
 * takes it; returns how many octets it keeps. in is given as a copy of its exact size. */
static size_t drain(struct line_reader *r, struct sv in, size_t max, struct told *told)
{
	char *exact = malloc(in.n ? in.n : 1);
	size_t at = 0;

	assert_non_null(exact);
	memcpy(exact, in.p, in.n);
	for (;;) {
		size_t used = SIZE_MAX;
		struct sv line = { NULL, 0 };
		struct sv rest = { exact + at, in.n - at };
		enum line_outcome outcome = line_next(r, rest, max, &used, &line);

		assert_true(used <= rest.n);
		if (outcome == LINE_DONE) {
			size_t again = SIZE_MAX;
			assert_int_equal(line_next(r, rest, max, &again, &line), LINE_DONE);
			assert_int_equal(again, used);
		}
		at += used;
		if (outcome == LINE_MORE && used == 0)
			break;
		if (outcome == LINE_MORE)
			continue;
		assert_true(used > 0);
		if (outcome == LINE_DONE)
			assert_ptr_equal(line.p + line.n + 2, exact + at);
		tell(told, outcome == LINE_DONE   ? line
			   : outcome == LINE_BARE ? SV("!bare")
						  : SV("!long"));
	}
	free(exact);
	return in.n - at;
}

/* Fed up to cut, then step octets at a time. */
static size_t run(struct sv in, size_t max, size_t cut, size_t step, struct told *told)
{
	struct line_reader r = { 0 };
	size_t start = 0;
	size_t end = min_size(cut, in.n);

	*told = (struct told) { .n = 0 };
	for (;;) {
		start = end - drain(&r, (struct sv) { in.p + start, end - start }, max, told);
		if (end == in.n)
			return in.n - start;
		end = min_size(end + step, in.n);
	}
}

static const struct row {
	const char *name;
	struct sv in;
	const char *told;
	size_t kept;
	size_t max;
} rows[] = {
#define IN(s)                                                                                      \
	{                                                                                          \
		(s), sizeof(s) - 1                                                                 \
	}
	{ "nothing", IN(""), "", 0, 64 },
	{ "one line", IN("EHLO a\r\n"), "EHLO a|", 0, 64 },
	{ "empty line", IN("\r\n"), "|", 0, 64 },
	{ "pipelined", IN("RSET\r\nQUIT\r\n"), "RSET|QUIT|", 0, 64 },
	{ "the rest is kept", IN("RSET\r\nQU"), "RSET|", 2, 64 },
	{ "half an end is kept", IN("RSET\r"), "", 5, 64 },
	{ "bare LF is no end", IN("RSET\nQUIT\r\nNOOP\r\n"), "!bare|NOOP|", 0, 64 },
	{ "bare LF, no end yet", IN("RSET\nQUIT"), "!bare|", 0, 64 },
	{ "bare LF, then half an end", IN("RSET\nQUIT\r"), "!bare|", 1, 64 },
	{ "bare LF alone", IN("\n"), "!bare|", 0, 64 },
	{ "many bare LFs are told once", IN("a\nb\nc\n\r\nd\r\n"), "!bare|d|", 0, 64 },
	{ "LF CR", IN("a\n\rb\r\nc\r\n"), "!bare|c|", 0, 64 },
	{ "bare CR is no end", IN("RSET\rQUIT\r\nNOOP\r\n"), "!bare|NOOP|", 0, 64 },
	{ "CR CR LF", IN("RSET\r\r\nNOOP\r\n"), "!bare|NOOP|", 0, 64 },
	{ "NUL", IN("RS\0ET\r\nNOOP\r\n"), "!bare|NOOP|", 0, 64 },
	{ "NUL first", IN("\0\r\n"), "!bare|", 0, 64 },
	{ "8-bit is somebody else's", IN("\xff\x80\r\n"), "\xff\x80|", 0, 64 },
	{ "as long as allowed", IN("12345678\r\na\r\n"), "12345678|a|", 0, 10 },
	{ "one octet more", IN("123456789\r\na\r\n"), "!long|a|", 0, 10 },
	{ "much more", IN("12345678901234567890\r\na\r\n"), "!long|a|", 0, 10 },
	{ "long without an end", IN("12345678901234567890"), "!long|", 0, 10 },
	{ "exactly full without an end", IN("1234567890"), "!long|", 0, 10 },
	{ "full but for one", IN("123456789"), "", 9, 10 },
	{ "a CR in the last place", IN("123456789\r"), "!long|", 1, 10 },
	{ "bare, then long: told once", IN("1\n345678901234567\r\na\r\n"), "!bare|a|", 0, 10 },
	{ "long, then bare: told once", IN("1234567890123\n4567\r\na\r\n"), "!long|a|", 0, 10 },
	{ "bare CR in the last place", IN("123456789\rx\r\na\r\n"), "!long|a|", 0, 10 },
	{ "bare CR, then long: told once", IN("1\r345678901234567\r\na\r\n"), "!bare|a|", 0, 10 },
	{ "bare CR, told before the end", IN("RSET\rQUIT"), "!bare|", 0, 64 },
	{ "NUL, told before the end", IN("RSET\0"), "!bare|", 0, 64 },
	{ "two bad lines are told twice", IN("a\nb\r\nc\rd\r\ne\r\n"), "!bare|!bare|e|", 0, 64 },
	{ "dropping, CR CR LF", IN("a\nb\r\r\nc\r\n"), "!bare|c|", 0, 64 },
	{ "dropping, CR x", IN("a\nb\rx\r\nc\r\n"), "!bare|c|", 0, 64 },
#undef IN
};

static void test_rows(void **state)
{
	struct told told;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		for (size_t cut = 0; cut <= row->in.n; cut++) {
			size_t kept = run(row->in, row->max, cut, row->in.n + 1, &told);
			if (strcmp(told.text, row->told) != 0 || kept != row->kept)
				fail_msg("%s, cut at %zu: told %s, kept %zu", row->name, cut,
					 told.text, kept);
		}
		size_t kept = run(row->in, row->max, 1, 1, &told);
		if (strcmp(told.text, row->told) != 0 || kept != row->kept)
			fail_msg("%s, by octets: told %s, kept %zu", row->name, told.text, kept);
	}
}

/* Every string over a small alphabet: the same however it was cut. */
static void test_cuts(void **state)
{
	static const char alphabet[] = { '\r', '\n', 'a', '\0' };
	struct told whole, cut;

	for (size_t n = 0; n <= 7; n++) {
		for (unsigned code = 0; code < 1u << (2 * n); code++) {
			char text[8];
			for (size_t i = 0; i < n; i++)
				text[i] = alphabet[code >> (2 * i) & 3];
			struct sv in = { text, n };
			size_t kept = run(in, 5, n, n + 1, &whole);
			assert_int_equal(run(in, 5, 1, 1, &cut), kept);
			assert_string_equal(cut.text, whole.text);
			assert_int_equal(run(in, 5, n / 2, n + 1, &cut), kept);
			assert_string_equal(cut.text, whole.text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_cuts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
