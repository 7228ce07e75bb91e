#include "proxy/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IP4       "\xc0\0\x02\x01\xcb\0\x71\x19\xc0\0\0\x19" /* 192.0.2.1:49152 to 203.0.113.25:25 */
#define NET6      "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"
#define IP6       NET6 "\x01" NET6 "\x02\xc0\0\0\x19"
#define MAPPED    "\0\0\0\0\0\0\0\0\0\0\xff\xff"
#define IP4_TEXT  "192.0.2.1:49152 203.0.113.25:25"
#define IP6_TEXT  "[2001:db8::1]:49152 [2001:db8::2]:25"

#define IN(s)                                                                                      \
	{                                                                                          \
		(s), sizeof(s) - 1                                                                 \
	}

/* From a copy of exactly that size, so that a sanitizer sees a read past its end. */
static enum proxy_header_outcome parse(struct sv in, struct proxy_header *ret_header)
{
	char *exact = malloc(in.n ? in.n : 1);

	assert_non_null(exact);
	memcpy(exact, in.p, in.n);
	enum proxy_header_outcome r = proxy_header_parse((struct sv) { exact, in.n }, ret_header);
	free(exact);
	return r;
}

static void check_addresses(size_t row, const struct proxy_header *h, const char *wanted)
{
	char source[ADDR_STRLEN + 8], destination[ADDR_STRLEN + 8], both[2 * sizeof(source) + 1];

	snprintf(both, sizeof(both), "%s %s", endpoint_format(&h->source, source),
		 endpoint_format(&h->destination, destination));
	if (!wanted ? !h->is_local : h->is_local || strcmp(both, wanted) != 0)
		fail_msg("row %zu: %s, local %d", row, both, h->is_local);
}

static void headers(void **state)
{
	static const struct {
		struct sv in;
		size_t rest;
		const char *addresses; /* NULL: the connection's own */
	} rows[] = {
		{ IN("PROXY TCP4 192.0.2.1 203.0.113.25 49152 25\r\n"), 0, IP4_TEXT },
		{ IN("PROXY TCP4 192.0.2.1 203.0.113.25 49152 25\r\nEHLO a\r\n"), 8, IP4_TEXT },
		{ IN("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), 0,
		  "255.255.255.255:65535 255.255.255.255:65535" },
		{ IN("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), 0, "0.0.0.0:0 0.0.0.0:0" },
		{ IN("PROXY TCP6 2001:db8::1 2001:DB8::2 49152 25\r\n"), 0, IP6_TEXT },
		{ IN("PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 2001:db8::2 49152 25\r\n"),
		  0, IP6_TEXT },
		{ IN("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:cb00:7119 49152 25\r\n"), 0, IP4_TEXT },
		{ IN("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 49152 25\r\n"), 0,
		  "192.0.2.1:49152 [2001:db8::2]:25" },
		{ IN("PROXY UNKNOWN\r\n"), 0, NULL },
		{ IN("PROXY UNKNOWN\r\nPROXY TCP4"), 10, NULL },
		{ IN("PROXY UNKNOWN \r\n"), 0, NULL },
		{ IN("PROXY UNKNOWN 192.0.2.1 whatever ~!\r\n"), 0, NULL },
		{ IN("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
		  0, NULL },

		{ IN(SIGNATURE "\x21\x11\0\x0c" IP4), 0, IP4_TEXT },
		{ IN(SIGNATURE "\x21\x11\0\x0c" IP4 "EHLO a\r\n"), 8, IP4_TEXT },
		{ IN(SIGNATURE "\x21\x21\0\x24" IP6), 0, IP6_TEXT },
		{ IN(SIGNATURE "\x21\x21\0\x24" MAPPED "\xc0\0\x02\x01" MAPPED
			       "\xcb\0\x71\x19\xc0\0\0\x19"),
		  0, IP4_TEXT },
		/* TLVs: an empty NOOP; ALPN; a checksum; a type that nobody knows */
		{ IN(SIGNATURE "\x21\x11\0\x0f" IP4 "\x04\0\0"), 0, IP4_TEXT },
		{ IN(SIGNATURE "\x21\x11\0\x13" IP4 "\x01\0\x04smtpEHLO"), 4, IP4_TEXT },
		{ IN(SIGNATURE "\x21\x11\0\x13" IP4 "\x03\0\x04\x0b\x49\x9a\x2c"), 0, IP4_TEXT },
		{ IN(SIGNATURE "\x21\x21\0\x28" IP6 "\xff\0\x01x"), 0, IP6_TEXT },
		/* as HAProxy 2.6 sent them: a checksum, and in the first a unique id */
		{ IN(SIGNATURE "\x21\x11\0\x19\x7f\0\0\x01\x7f\0\0\x01\xe5\x8e\x98\x59\x03"
			       "\0\x04"
			       "A\xd5\x98\xd4\x05\0\x03"
			       "abcEHLO a\r\n"),
		  8, "127.0.0.1:58766 127.0.0.1:39001" },
		{ IN(SIGNATURE "\x21\x21\0+\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0"
			       "\0\0\0\0\0\x01\xb4\x44\x98\x59\x03\0\x04H\x07\x0e\x9a"),
		  0, "[::1]:46148 [::1]:39001" },
		/* LOCAL, and what no address is taken of: skipped unseen */
		{ IN(SIGNATURE "\x20\0\0\0"), 0, NULL },
		{ IN(SIGNATURE "\x20\0\0\0QUIT\r\n"), 6, NULL },
		{ IN(SIGNATURE "\x20\xff\0\x02xyQ"), 1, NULL },
		{ IN(SIGNATURE "\x20\x11\0\x0c" IP4), 0, NULL },
		{ IN(SIGNATURE "\x21\0\0\0"), 0, NULL },
		{ IN(SIGNATURE "\x21\0\0\x03zyx"), 0, NULL },
		{ IN(SIGNATURE "\x21\x10\0\x0c" IP4), 0, NULL },
		{ IN(SIGNATURE "\x21\x01\0\0"), 0, NULL },
		{ IN(SIGNATURE "\x21\x12\0\x0c" IP4), 0, NULL },
		{ IN(SIGNATURE "\x21\x22\0\x24" IP6), 0, NULL },
		{ IN(SIGNATURE "\x21\x31\0\0"), 0, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t used = rows[i].in.n - rows[i].rest;
		for (size_t n = 0; n <= rows[i].in.n; n++) {
			struct proxy_header h = { .used = 77 };
			enum proxy_header_outcome r = parse((struct sv) { rows[i].in.p, n }, &h);
			if (r != (n < used ? PROXY_HEADER_MORE : PROXY_HEADER_DONE) ||
			    h.used != (n < used ? 77 : used))
				fail_msg("row %zu, %zu octets: %d, %zu used", i, n, (int)r, h.used);
			if (r == PROXY_HEADER_DONE)
				check_addresses(i, &h, rows[i].addresses);
		}
	}
}

/* Each row's last octet is the one that makes it bad; whatever comes behind doesn't help. */
static void no_headers(void **state)
{
	static const struct sv rows[] = {
		IN("E"),
		IN("\n"),
		IN("\x16"),
		IN("p"),
		IN("PROXy"),
		IN("PROXY\t"),
		IN("PROXY\r"),
		IN("PROXY  "),
		IN("PROXY t"),
		IN("PROXY TCP5"),
		IN("PROXY TCP4\r"),
		IN("PROXY TCP4  "),
		IN("PROXY TCP4 1.."),
		IN("PROXY TCP4 ."),
		IN("PROXY TCP4 256"),
		IN("PROXY TCP4 01"),
		IN("PROXY TCP4 1.2.3.4."),
		IN("PROXY TCP4 1.2.3.00"),
		IN("PROXY TCP4 1.2.3 "),
		IN("PROXY TCP4 1.2.3. "),
		IN("PROXY TCP4 1.2.3.4\r"),
		IN("PROXY TCP4 :"),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8 0x"),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8 00"),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8 65536"),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8 -"),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8  "),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8 1\r"),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r"),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 "),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r"),
		IN("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rE"),
		IN("PROXY TCP4 1.2.3.4 20:"),
		IN("PROXY TCP6 1.2.3.4 "),
		IN("PROXY TCP6 12345:: "),
		IN("PROXY TCP6 1:2:3:4:5:6:7 "),
		IN("PROXY TCP6 1:2:3:4:5:6:7:8:9 "),
		IN("PROXY TCP6 1::2::3 "),
		IN("PROXY TCP6 ::1%"),
		IN("PROXY TCP6 ["),
		IN("PROXY TCP6 ::g"),
		IN("PROXY TCP6 ::ffff:1.2.3.256 "),
		IN("PROXY TCP6 ::1 1.2.3.4 "),
		IN("PROXY TCP6 ::1 ::1\r"),
		IN("PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0000:00000:"),
		IN("PROXY UNKNOWN\n"),
		IN("PROXY UNKNOWN\t"),
		IN("PROXY UNKNOWNX"),
		IN("PROXY UNKNOWN a\n"),
		IN("PROXY UNKNOWN a\0"),
		IN("PROXY UNKNOWN a\r\r"),
		IN("PROXY UNKNOWN \xc3"),
		/* 107 octets without CRLF */
		IN("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535 \r"),

		IN("\r\r"),
		IN("\r\n\r\nQ"),
		IN(SIGNATURE "\x11"),
		IN(SIGNATURE "\x31"),
		IN(SIGNATURE "\x01"),
		IN(SIGNATURE "\x22"),
		IN(SIGNATURE "\x2f"),
		IN(SIGNATURE "\x21\x41"),
		IN(SIGNATURE "\x21\x13"),
		IN(SIGNATURE "\x21\xff"),
		/* too short for its addresses, too long for anybody */
		IN(SIGNATURE "\x21\x11\0\x0b"),
		IN(SIGNATURE "\x21\x11\0\0"),
		IN(SIGNATURE "\x21\x21\0\x23"),
		IN(SIGNATURE "\x21\x21\0\x0c"),
		IN(SIGNATURE "\x21\x11\x0f\xf1"),
		IN(SIGNATURE "\x20\0\x0f\xf1"),
		IN(SIGNATURE "\x21\0\xff\xff"),
		/* TLVs: none fits into two octets; longer than the header; a checksum of three
		 * octets; two of them; a wrong one */
		IN(SIGNATURE "\x21\x11\0\x0e"),
		IN(SIGNATURE "\x21\x11\0\x10" IP4 "\x04\0\x02"),
		IN(SIGNATURE "\x21\x11\0\x10" IP4 "\x04\x01\0"),
		IN(SIGNATURE "\x21\x11\0\x12" IP4 "\x03\0\x03"),
		IN(SIGNATURE "\x21\x11\0\x1a" IP4 "\x03\0\x04\x0b\x49\x9a\x2c\x03\0\x04"),
		IN(SIGNATURE "\x21\x11\0\x13" IP4 "\x03\0\x04\x0b\x49\x9a\x2d"),
		IN(SIGNATURE "\x21\x11\0\x13" IP4 "\x03\0\x04\0\0\0\0"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char longer[512] = "";
		size_t bad_at = rows[i].n;
		memcpy(longer, rows[i].p, bad_at);
		memcpy(longer + bad_at, "\r\n", 2);
		for (size_t n = 0; n <= sizeof(longer); n++) {
			struct proxy_header h = { .used = 77 };
			enum proxy_header_outcome r = parse((struct sv) { longer, n }, &h);
			if (r != (n < bad_at ? PROXY_HEADER_MORE : PROXY_HEADER_BAD) ||
			    h.used != 77)
				fail_msg("row %zu, %zu octets of %zu: %d", i, n, bad_at, (int)r);
		}
	}
}

static void cap_of_version_2(void **state)
{
	static char in[PROXY_HEADER_MAX] = SIGNATURE "\x21\x11\x0f\xf0" IP4 "\x04\x0f\xe1";
	struct proxy_header h;

	assert_int_equal(proxy_header_parse((struct sv) { in, sizeof(in) - 1 }, &h),
			 PROXY_HEADER_MORE);
	assert_int_equal(proxy_header_parse((struct sv) { in, sizeof(in) }, &h), PROXY_HEADER_DONE);
	assert_int_equal(h.used, sizeof(in));
}

static void written(void **state)
{
	static const struct {
		const char *source, *destination, *v1;
		struct sv v2;
	} rows[] = {
		{ "192.0.2.1:49152", "203.0.113.25:25",
		  "PROXY TCP4 192.0.2.1 203.0.113.25 49152 25\r\n",
		  IN(SIGNATURE "\x21\x11\0\x0c" IP4) },
		{ "255.255.255.255:65535", "255.255.255.255:65535",
		  "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
		  IN(SIGNATURE "\x21\x11\0\x0c\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") },
		{ "[2001:db8::1]:49152", "[2001:db8::2]:25",
		  "PROXY TCP6 2001:db8::1 2001:db8::2 49152 25\r\n",
		  IN(SIGNATURE "\x21\x21\0\x24" IP6) },
		{ "192.0.2.1:49152", "[2001:db8::2]:25",
		  "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 49152 25\r\n",
		  IN(SIGNATURE "\x21\x21\0\x24" MAPPED "\xc0\0\x02\x01" NET6 "\x02\xc0\0\0\x19") },
		{ "[2001:db8::2]:49152", "192.0.2.1:25",
		  "PROXY TCP6 2001:db8::2 ::ffff:192.0.2.1 49152 25\r\n",
		  IN(SIGNATURE "\x21\x21\0\x24" NET6 "\x02" MAPPED "\xc0\0\x02\x01\xc0\0\0\x19") },
		{ "[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
		  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
		  "PROXY TCP6 1111:2222:3333:4444:5555:6666:7777:8888 "
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		  IN(SIGNATURE
		     "\x21\x21\0\x24\x11\x11\x22\x22\x33\x33\x44\x44\x55\x55\x66\x66\x77"
		     "\x77\x88\x88\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
		     "\xff\xff\xff\xff\xff") },
	};
	char v1[PROXY_HEADER_V1_MAX], v2[PROXY_HEADER_V2_MAX], both[2 * ADDR_STRLEN + 16];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proxy_header h;
		struct endpoint source, destination;
		assert_int_equal(endpoint_parse(sv_from(rows[i].source), &source), 0);
		assert_int_equal(endpoint_parse(sv_from(rows[i].destination), &destination), 0);
		snprintf(both, sizeof(both), "%s %s", rows[i].source, rows[i].destination);

		struct sv one = { v1, proxy_header_write_v1(&source, &destination, v1) };
		if (!sv_eq(one, sv_from(rows[i].v1)))
			fail_msg("row %zu: " SV_FMT, i, SV_ARG(one));
		assert_int_equal(parse(one, &h), PROXY_HEADER_DONE);
		check_addresses(i, &h, both);

		struct sv two = { v2, proxy_header_write_v2(&source, &destination, v2) };
		assert_true(sv_eq(two, rows[i].v2));
		assert_int_equal(parse(two, &h), PROXY_HEADER_DONE);
		check_addresses(i, &h, both);
	}
	assert_true(sv_eq((struct sv) { v1, proxy_header_write_v1_unknown(v1) },
			  SV("PROXY UNKNOWN\r\n")));
	assert_true(sv_eq((struct sv) { v2, proxy_header_write_v2_local(v2) },
			  SV(SIGNATURE "\x20\0\0\0")));
}

/* A row is known at its last octet, in chunks of any size, whatever comes behind. */
static void lures(void **state)
{
	static const struct {
		struct sv in;
		enum proxy_lure_outcome outcome;
	} rows[] = {
		{ IN("PROXY "), PROXY_LURE_YES },
		{ IN(SIGNATURE), PROXY_LURE_YES },
		{ IN("E"), PROXY_LURE_NO },
		{ IN("p"), PROXY_LURE_NO },
		{ IN("\0"), PROXY_LURE_NO },
		{ IN("\n"), PROXY_LURE_NO },
		{ IN("\x16"), PROXY_LURE_NO },
		{ IN(" "), PROXY_LURE_NO },
		{ IN("PRx"), PROXY_LURE_NO },
		{ IN("PP"), PROXY_LURE_NO },
		{ IN("PROXY\r"), PROXY_LURE_NO },
		{ IN("\rP"), PROXY_LURE_NO },
		{ IN("\r\nE"), PROXY_LURE_NO },
		{ IN("\r\n\r\n\r"), PROXY_LURE_NO },
		{ IN("\r\n\r\n\0\r\nQUIT\r"), PROXY_LURE_NO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char in[64];
		size_t known = rows[i].in.n, n = known + sizeof("PROXY TCP4") - 1;
		memcpy(in, rows[i].in.p, known);
		memcpy(in + known, "PROXY TCP4", n - known);
		for (size_t step = 1; step <= n; step++) {
			struct proxy_lure lure = { 0 };
			for (size_t at = 0; at < n; at += step) {
				size_t end = min_size(at + step, n);
				enum proxy_lure_outcome r =
					proxy_lure_feed(&lure, (struct sv) { in + at, end - at });
				if (r != (end < known ? PROXY_LURE_MAYBE : rows[i].outcome))
					fail_msg("row %zu, step %zu, %zu octets: %d", i, step, end,
						 (int)r);
			}
		}
	}
	struct proxy_lure lure = { 0 };
	assert_int_equal(proxy_lure_feed(&lure, SV("")), PROXY_LURE_MAYBE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(no_headers),
		cmocka_unit_test(cap_of_version_2),
		cmocka_unit_test(written),
		cmocka_unit_test(lures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
