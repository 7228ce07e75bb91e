#include "smtp/body.h"
#include "smtp/body_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT_MAX 1024

struct text {
	char p[TEXT_MAX];
	size_t n;
};

static void add(struct text *t, struct sv v)
{
	assert_true(t->n + v.n <= TEXT_MAX);
	memcpy(t->p + t->n, v.p, v.n);
	t->n += v.n;
}

static struct sv view(const struct text *t)
{
	return (struct sv) { t->p, t->n };
}

static bool at_is(struct sv v, size_t at, const char *what)
{
	size_t n = strlen(what);

	return at + n <= v.n && memcmp(v.p + at, what, n) == 0;
}

/* For messages: the octets, readable. */
static const char *show(struct sv v)
{
	static char out[4][4 * TEXT_MAX];
	static unsigned turn;
	char *o = out[turn++ % 4];
	size_t n = 0;

	for (size_t i = 0; i < v.n && n < sizeof(out[0]) - 4; i++) {
		if (v.p[i] == '\r' || v.p[i] == '\n') {
			o[n++] = '\\';
			o[n++] = v.p[i] == '\r' ? 'r' : 'n';
		} else {
			o[n++] = v.p[i];
		}
	}
	o[n] = '\0';
	return o;
}

/* ---- the slow and obvious reference ---- */

/* Where the message of a strict client ends: at its ".\r\n". v.n when it doesn't. */
static size_t strict_end(struct sv v)
{
	for (size_t i = 0; i < v.n; i++) {
		if (at_is(v, i, ".\r\n") && (i == 0 || (i >= 2 && at_is(v, i - 2, "\r\n"))))
			return i;
	}
	return v.n;
}

/* What a receiver that knows nothing but CRLF has after taking the stuffed dots away. */
static void strict_decode(struct sv message, struct text *out)
{
	for (size_t i = 0; i < message.n; i++) {
		bool line_start = i == 0 || (i >= 2 && at_is(message, i - 2, "\r\n"));
		if (!(line_start && message.p[i] == '.'))
			add(out, (struct sv) { message.p + i, 1 });
	}
}

/*
 * What the backend should have in the end of what the client sent: lines by CRLF, a stuffed dot
 * off each (a dot and nothing else in front of a bare newline is none), then bare newlines made
 * CRLF.
 */
static void wanted_content(struct sv message, struct text *out, bool *ret_bare)
{
	*ret_bare = false;
	for (size_t i = 0; i < message.n; i++) {
		bool line_start = i == 0 || (i >= 2 && at_is(message, i - 2, "\r\n"));
		bool lone = at_is(message, i, ".\n") || at_is(message, i, ".\r");
		if (at_is(message, i, "\r\n")) {
			add(out, SV("\r\n"));
			i++;
		} else if (message.p[i] == '\r' || message.p[i] == '\n') {
			add(out, SV("\r\n"));
			*ret_bare = true;
		} else if (!(line_start && message.p[i] == '.' && !lone)) {
			add(out, (struct sv) { message.p + i, 1 });
		}
	}
}

/* Where a receiver that takes CR, LF and CRLF for line ends sees the message end (behind the dot
 * line). */
static size_t lenient_end(struct sv v)
{
	for (size_t i = 0; i < v.n; i++) {
		bool line_start = i == 0 || v.p[i - 1] == '\r' || v.p[i - 1] == '\n';
		if (!line_start || v.p[i] != '.')
			continue;
		if (at_is(v, i + 1, "\r\n"))
			return i + 3;
		if (at_is(v, i + 1, "\r") || at_is(v, i + 1, "\n"))
			return i + 2;
	}
	return 0;
}

/* ---- running it ---- */

struct sink {
	struct text text;
	size_t calls;
	int result;
};

static int take(void *user, struct sv octets)
{
	struct sink *sink = user;

	assert_true(octets.n > 0);
	sink->calls++;
	add(&sink->text, octets);
	return sink->result;
}

/* Feeds in up to cut, then step octets at a time, each piece as a copy of its exact size. Returns
 * how many were used when the end was found, 0 when it wasn't. */
static size_t run(struct body *b, enum body_bare mode, struct sv in, size_t cut, size_t step,
		  struct sink *sink)
{
	size_t start = 0;
	size_t end = min_size(cut, in.n);

	body_init(b, mode);
	*sink = (struct sink) { .calls = 0 };
	for (;;) {
		size_t used = SIZE_MAX;
		char *exact = malloc(end - start ? end - start : 1);
		assert_non_null(exact);
		memcpy(exact, in.p + start, end - start);
		int r = body_feed(b, (struct sv) { exact, end - start }, take, sink, &used);
		free(exact);
		if (r == BODY_END)
			return start + used;
		assert_int_equal(r, BODY_MORE);
		assert_int_equal(used, end - start);
		if (end == in.n)
			return 0;
		start = end;
		end = min_size(end + step, in.n);
	}
}

/* Checks what came out for in, which holds an end of message. */
static void check_normalized(struct sv in, const struct body *b, size_t used, struct sv out)
{
	struct text wanted = { .n = 0 };
	struct text decoded = { .n = 0 };
	size_t end = strict_end(in);
	bool bare;

	wanted_content((struct sv) { in.p, end }, &wanted, &bare);
	if (used != end + 3)
		fail_msg("%s: ended after %zu, not %zu", show(in), used, end + 3);
	assert_int_equal(b->octets, end);
	assert_int_equal(b->bare, bare);
	assert_int_equal(b->state, BODY_ENDED);

	size_t out_end = strict_end(out);
	strict_decode((struct sv) { out.p, out_end }, &decoded);
	if (out_end + 3 != out.n || !sv_eq(view(&decoded), view(&wanted)))
		fail_msg("%s: gave %s, which is %s, not %s", show(in), show(out),
			 show(view(&decoded)), show(view(&wanted)));
	if (lenient_end(out) != out.n)
		fail_msg("%s: gave %s, where a lenient server sees an earlier end", show(in),
			 show(out));
	if (!bare && !sv_eq(out, (struct sv) { in.p, used }))
		fail_msg("%s: changed to %s", show(in), show(out));
}

static void check_rejected(struct sv in, const struct body *b, size_t used, struct sv out)
{
	size_t end = strict_end(in);
	struct text ignored = { .n = 0 };
	bool bare;
	size_t clean = 0;

	wanted_content((struct sv) { in.p, end }, &ignored, &bare);
	while (clean < end && !(in.p[clean] == '\n' && (clean == 0 || in.p[clean - 1] != '\r')) &&
	       !(in.p[clean] == '\r' && in.p[clean + 1] != '\n'))
		clean++;
	assert_int_equal(used, end + 3);
	assert_int_equal(b->octets, end);
	assert_int_equal(b->bare, bare);
	if (!bare)
		clean = used;
	else if (clean > 0 && in.p[clean - 1] == '.' && (clean == 1 || in.p[clean - 2] == '\n'))
		clean--; /* a lone dot is held back until it is known what it is */
	if (!sv_eq(out, (struct sv) { in.p, clean }))
		fail_msg("%s: rejected, gave %s", show(in), show(out));
}

static void check_all_ways(struct sv in)
{
	static struct sink sink, other;
	struct body b;

	size_t used = run(&b, BODY_NORMALIZE, in, in.n, 1, &sink);
	check_normalized(in, &b, used, view(&sink.text));
	for (size_t cut = 0; cut < in.n; cut++) {
		assert_int_equal(run(&b, BODY_NORMALIZE, in, cut, in.n, &other), used);
		if (!sv_eq(view(&other.text), view(&sink.text)))
			fail_msg("%s: cut at %zu gave %s, not %s", show(in), cut,
				 show(view(&other.text)), show(view(&sink.text)));
	}
	assert_int_equal(run(&b, BODY_NORMALIZE, in, 1, 1, &other), used);
	check_normalized(in, &b, used, view(&other.text));

	used = run(&b, BODY_REJECT, in, in.n, 1, &sink);
	check_rejected(in, &b, used, view(&sink.text));
	used = run(&b, BODY_REJECT, in, 1, 1, &sink);
	check_rejected(in, &b, used, view(&sink.text));
}

/* All strings up to 6 octets of what matters, at the message's start and behind a line. */
static void test_every_short_string(void **state)
{
	static const char alphabet[] = { '\r', '\n', '.', 'a' };
	static const struct sv before[] = { { "", 0 }, { "a\r\n", 3 }, { "a", 1 } };

	for (size_t context = 0; context < ARRAY_SIZE(before); context++) {
		for (size_t n = 0; n <= 6; n++) {
			for (unsigned code = 0; code < 1u << (2 * n); code++) {
				struct text in = { .n = 0 };
				add(&in, before[context]);
				for (size_t i = 0; i < n; i++)
					in.p[in.n++] = alphabet[code >> (2 * i) & 3];
				add(&in, SV("\r\n.\r\nQUIT"));
				check_all_ways(view(&in));
			}
		}
	}
}

/* Written out, for the reader, and against a mistake that the reference shares. */
static void test_rows(void **state)
{
#define IN(s)                                                                                      \
	{                                                                                          \
		(s), sizeof(s) - 1                                                                 \
	}
	static const struct {
		struct sv in;
		struct sv out;
	} rows[] = {
		{ IN(".\r\n"), IN(".\r\n") },
		{ IN("a\r\n.\r\n"), IN("a\r\n.\r\n") },
		{ IN("..a\r\n.\r\n"), IN("..a\r\n.\r\n") },
		{ IN(".a\r\n.\r\n"), IN(".a\r\n.\r\n") },
		{ IN("a\nb\r\n.\r\n"), IN("a\r\nb\r\n.\r\n") },
		{ IN("a\rb\r\n.\r\n"), IN("a\r\nb\r\n.\r\n") },
		{ IN("a\n.\nMAIL\r\n.\r\n"), IN("a\r\n..\r\nMAIL\r\n.\r\n") },
		{ IN("a\n.\r\nMAIL\r\n.\r\n"), IN("a\r\n..\r\nMAIL\r\n.\r\n") },
		{ IN("a\r\n.\nMAIL\r\n.\r\n"), IN("a\r\n..\r\nMAIL\r\n.\r\n") },
		{ IN("a\r\n.\rMAIL\r\n.\r\n"), IN("a\r\n..\r\nMAIL\r\n.\r\n") },
		{ IN("a\r\n.\r\r\nMAIL\r\n.\r\n"), IN("a\r\n..\r\n\r\nMAIL\r\n.\r\n") },
		{ IN("a\r.\rMAIL\r\n.\r\n"), IN("a\r\n..\r\nMAIL\r\n.\r\n") },
		{ IN("a\n..b\r\n.\r\n"), IN("a\r\n...b\r\n.\r\n") },
		{ IN("a\n\r\n.\r\n"), IN("a\r\n\r\n.\r\n") },
		{ IN("a\r\r\n.\r\n"), IN("a\r\n\r\n.\r\n") },
	};
#undef IN
	struct sink sink;
	struct body b;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(run(&b, BODY_NORMALIZE, rows[i].in, TEXT_MAX, 1, &sink),
				 rows[i].in.n);
		if (!sv_eq(view(&sink.text), rows[i].out))
			fail_msg("%s: gave %s", show(rows[i].in), show(view(&sink.text)));
		check_all_ways(rows[i].in);
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Mostly text with CRLF line ends, and now and then something else. */
static void random_text(uint32_t *seed, size_t n, struct text *t)
{
	uint32_t noise = next_random(seed) % 4; /* 0: clean */

	t->n = 0;
	while (t->n < n) {
		uint32_t dice = next_random(seed) % 64;
		if (dice < 4)
			add(t, SV("\r\n"));
		else if (dice < 6)
			add(t, SV("\r\n.."));
		else if (dice < 7)
			add(t, SV("."));
		else if (dice < 7 + noise)
			add(t, SV("\n"));
		else if (dice < 7 + 2 * noise)
			add(t, SV("\r"));
		else if (dice < 7 + 3 * noise)
			add(t, SV("\r\n."));
		else
			add(t, SV("x"));
	}
}

static void test_random(void **state)
{
	static struct sink sink;
	static struct text in;
	uint32_t seed = 20;
	struct body b;

	for (int round = 0; round < 3000; round++) {
		random_text(&seed, next_random(&seed) % 300, &in);
		add(&in, SV("\r\n.\r\n"));
		for (size_t step = 1; step <= 64; step = step * 2 + round % 2) {
			size_t cut = next_random(&seed) % (in.n + 1);
			size_t used = run(&b, BODY_NORMALIZE, view(&in), cut, step, &sink);
			check_normalized(view(&in), &b, used, view(&sink.text));
		}
	}
}

/* The first octet that needs a look, by the words of body_scan.h. */
static size_t slow_scan(struct sv v)
{
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == '\n' && !(i > 0 && v.p[i - 1] == '\r'))
			return i;
		if (v.p[i] == '\r' && !at_is(v, i, "\r\n"))
			return i;
		if (v.p[i] == '.' && i >= 2 && at_is(v, i - 2, "\r\n"))
			return i;
	}
	return v.n;
}

static void check_scan(struct sv v)
{
	char *exact = malloc(v.n ? v.n : 1);

	assert_non_null(exact);
	memcpy(exact, v.p, v.n);
	struct sv copy = { exact, v.n };
	size_t slow = slow_scan(copy);
	if (body_scan(copy) != slow || body_scan_16(copy) != slow ||
	    body_scan_portable(copy) != slow)
		fail_msg("%s: %zu, %zu and %zu, not %zu", show(v), body_scan(copy),
			 body_scan_16(copy), body_scan_portable(copy), slow);
	free(exact);
}

static void test_scan(void **state)
{
	static const struct sv seeds[] = {
		{ "\n", 1 },       { "\r", 1 },        { ".", 1 },          { "\r\n", 2 },
		{ "\r\n.", 3 },    { "\r\r\n", 3 },    { "\n.", 2 },        { "\r.", 2 },
		{ ".\r\n", 3 },    { "\r\n\r\n.", 5 }, { "\r\n..", 4 },     { "\r\nx.\n", 5 },
		{ "\x8a\x8d", 2 }, { "\x0b\x0c", 2 },  { "\r\n/-\x2f", 5 }, { "\r\n\n", 3 },
	};
	static struct text t;
	uint32_t seed = 7;

	/* Each of them at every place in the vector and in the word, and nothing else. */
	for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
		for (size_t before = 0; before < 72; before++) {
			for (size_t after = 0; after < 36; after++) {
				t.n = 0;
				for (size_t k = 0; k < before; k++)
					add(&t, SV("x"));
				add(&t, seeds[i]);
				for (size_t k = 0; k < after; k++)
					add(&t, SV("x"));
				check_scan(view(&t));
			}
		}
	}
	for (int round = 0; round < 20000; round++) {
		random_text(&seed, next_random(&seed) % 200, &t);
		check_scan(view(&t));
	}
}

struct views {
	struct sv in;
	size_t calls;
};

static int take_view(void *user, struct sv octets)
{
	struct views *views = user;

	assert_ptr_equal(octets.p, views->in.p);
	assert_int_equal(octets.n, views->in.n);
	views->calls++;
	return 0;
}

/* A clean message is passed on as it lies there, dot line and all. */
static void test_clean_is_one_view(void **state)
{
	struct text t = { .n = 0 };
	struct body b;
	size_t used;

	for (int line = 0; line < 10; line++)
		add(&t, SV("some text and a dot.\r\n..stuffed\r\n\r\n.x\r\n"));
	add(&t, SV(".\r\n"));
	struct views views = { .in = view(&t) };
	body_init(&b, BODY_NORMALIZE);
	assert_int_equal(body_feed(&b, views.in, take_view, &views, &used), BODY_END);
	assert_int_equal(used, t.n);
	assert_int_equal(views.calls, 1);

	/* Behind the end nothing is taken. */
	assert_int_equal(body_feed(&b, views.in, take_view, &views, &used), BODY_END);
	assert_int_equal(used, 0);
	assert_int_equal(views.calls, 1);
}

static void test_emit_fails(void **state)
{
	struct sink sink = { .result = -5 };
	struct body b;
	size_t used = 99;

	body_init(&b, BODY_NORMALIZE);
	assert_int_equal(body_feed(&b, SV("a\nb\nc"), take, &sink, &used), -5);
	assert_int_equal(sink.calls, 1);
	assert_int_equal(used, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_every_short_string),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_clean_is_one_view),
		cmocka_unit_test(test_emit_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
