#include "smtp/path.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define X10(s) s s s s s s s s s s
#define X50(s) X10(s) X10(s) X10(s) X10(s) X10(s)

static int parse(const char *text, bool utf8, struct smtp_path *path, size_t *used)
{
	size_t n = strlen(text);
	char *exact = malloc(n ? n : 1);

	assert_non_null(exact);
	memcpy(exact, text, n);
	int r = path_parse((struct sv) { exact, n }, utf8, path, used);
	free(exact);
	return r;
}

static void test_good(void **state)
{
	static const struct {
		const char *text;
		enum path_kind kind;
		const char *local;
		const char *domain;
		const char *wire;
		const char *rest; /* not taken */
		bool utf8;
	} rows[] = {
		{ "<>", PATH_NULL, "", "", "<>", "" },
		{ " <> SIZE=1", PATH_NULL, "", "", "<>", " SIZE=1" },
		{ "<a@b.example>", PATH_MAILBOX, "a", "b.example", "<a@b.example>", "" },
		{ "<a@b.example> X", PATH_MAILBOX, "a", "b.example", "<a@b.example>", " X" },
		{ "\t <a@b>", PATH_MAILBOX, "a", "b", "<a@b>", "" },
		{ "<a@B.Example.>", PATH_MAILBOX, "a", "B.Example", "<a@B.Example>", "" },
		{ "a@b", PATH_MAILBOX, "a", "b", "<a@b>", "" },
		{ "a@b. X", PATH_MAILBOX, "a", "b", "<a@b>", " X" },
		{ "\"a b\"@c X", PATH_MAILBOX, "a b", "c", "<\"a b\"@c>", " X" },
		{ "a@b>", PATH_MAILBOX, "a", "b", "<a@b>", ">" },
		{ "<a@b>c", PATH_MAILBOX, "a", "b", "<a@b>", "c" },

		{ "<postmaster>", PATH_POSTMASTER, "postmaster", "", "<postmaster>", "" },
		{ "<PostMaster>", PATH_POSTMASTER, "PostMaster", "", "<PostMaster>", "" },
		{ "<\"postmaster\">", PATH_POSTMASTER, "postmaster", "", "<postmaster>", "" },
		{ "postmaster", PATH_POSTMASTER, "postmaster", "", "<postmaster>", "" },
		{ "<postmaster@a>", PATH_MAILBOX, "postmaster", "a", "<postmaster@a>", "" },
		{ "<root>", PATH_DOMAINLESS, "root", "", "<root>", "" },
		{ "<\"\">", PATH_DOMAINLESS, "", "", "<\"\">", "" },

		/* atoms, and dots where a dot-string has none */
		{ "<!#$%&'*+-/=?^_`{|}~a0@b>", PATH_MAILBOX, "!#$%&'*+-/=?^_`{|}~a0", "b",
		  "<!#$%&'*+-/=?^_`{|}~a0@b>", "" },
		{ "<a..b@c>", PATH_MAILBOX, "a..b", "c", "<a..b@c>", "" },
		{ "<a.@c>", PATH_MAILBOX, "a.", "c", "<a.@c>", "" },
		{ "<.a@c>", PATH_MAILBOX, ".a", "c", "<.a@c>", "" },
		{ "<\"a..b\"@c>", PATH_MAILBOX, "a..b", "c", "<\"a..b\"@c>", "" },
		{ "<\"a.\"@c>", PATH_MAILBOX, "a.", "c", "<\"a.\"@c>", "" },
		{ "<\".a\"@c>", PATH_MAILBOX, ".a", "c", "<\".a\"@c>", "" },

		/* quoted strings */
		{ "<\"a.b\"@c>", PATH_MAILBOX, "a.b", "c", "<a.b@c>", "" },
		{ "<\"\"@c>", PATH_MAILBOX, "", "c", "<\"\"@c>", "" },
		{ "<\"a@b\"@c>", PATH_MAILBOX, "a@b", "c", "<\"a@b\"@c>", "" },
		{ "<\"a\\\"b\\\\\"@c>", PATH_MAILBOX, "a\"b\\", "c", "<\"a\\\"b\\\\\"@c>", "" },
		{ "<\"\\a\\ \"@c>", PATH_MAILBOX, "a ", "c", "<\"a \"@c>", "" },
		{ "<\"<>\"@c>", PATH_MAILBOX, "<>", "c", "<\"<>\"@c>", "" },

		/* address literals */
		{ "<a@[192.0.2.1]>", PATH_LITERAL, "a", "[192.0.2.1]", "<a@[192.0.2.1]>", "" },
		{ "a@[192.0.2.1]", PATH_LITERAL, "a", "[192.0.2.1]", "<a@[192.0.2.1]>", "" },
		{ "<a@[IPv6:2001:db8::1]>", PATH_LITERAL, "a", "[IPv6:2001:db8::1]",
		  "<a@[IPv6:2001:db8::1]>", "" },
		{ "<a@[ipv6:::1]>", PATH_LITERAL, "a", "[ipv6:::1]", "<a@[ipv6:::1]>", "" },

		/* source routes */
		{ "<@a:u@d>", PATH_MAILBOX, "u", "d", "<u@d>", "" },
		{ "<@a.example,@[192.0.2.1],@b:u@d> X", PATH_MAILBOX, "u", "d", "<u@d>", " X" },
		{ "<@a:\"u@x\"@d>", PATH_MAILBOX, "u@x", "d", "<\"u@x\"@d>", "" },

		/* odd but seen domains */
		{ "<a@1.2>", PATH_MAILBOX, "a", "1.2", "<a@1.2>", "" },
		{ "<a@x_y.example>", PATH_MAILBOX, "a", "x_y.example", "<a@x_y.example>", "" },

		/* RFC 6531 */
		{ "<j\xc3\xb6rg@k\xc3\xb6ln.example>", PATH_MAILBOX, "j\xc3\xb6rg",
		  "k\xc3\xb6ln.example", "<j\xc3\xb6rg@k\xc3\xb6ln.example>", "", true },
		{ "<\"\xf0\x9f\x93\xab x\"@b>", PATH_MAILBOX, "\xf0\x9f\x93\xab x", "b",
		  "<\"\xf0\x9f\x93\xab x\"@b>", "", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct smtp_path path;
		char wire[PATH_WIRE_MAX];
		size_t used;

		if (parse(rows[i].text, rows[i].utf8, &path, &used) != 0)
			fail_msg("%s: refused", rows[i].text);
		path.local[path.local_len] = '\0';
		path.domain[path.domain_len] = '\0';
		assert_int_equal(path.kind, rows[i].kind);
		assert_string_equal(path.local, rows[i].local);
		assert_string_equal(path.domain, rows[i].domain);
		assert_string_equal(rows[i].text + used, rows[i].rest);
		size_t n = path_write(&path, wire);
		if (!sv_eq((struct sv) { wire, n }, sv_from(rows[i].wire)))
			fail_msg("%s: written %.*s", rows[i].text, (int)n, wire);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		bool utf8;
	} rows[] = {
		{ "" },
		{ "  " },
		{ "<" },
		{ ">" },
		{ "<a@b" },
		{ "< a@b>" },
		{ "<a@b >" },
		{ "<a b@c>" },
		{ "<@>" },
		{ "<a@>" },
		{ "<@b>" },
		{ "<a@.>" },
		{ "<a@b..>" },
		{ "<a@b..c>" },
		{ "<a@.b>" },
		{ "<a@b@c>" },
		{ "<a@b,c@d>" },
		{ "<a,b@c>" },
		{ "<a:b@c>" },
		{ "<a;b@c>" },
		{ "<a(c)@b>" },
		{ "<a\\@b@c>" },
		{ "<a@b!c>" },
		{ "<a@b/c>" },
		{ "<<a@b>>" },
		{ "<a@b\x01>" },
		{ "<a\x7f@b>" },
		{ "<a\tb@c>" },
		/* quoted strings */
		{ "<\"a@b>" },
		{ "<\"a\"b@c>" },
		{ "<a\"b\"@c>" },
		{ "<\"a\".b@c>" },
		{ "<\"a\\\"@c>" },
		{ "<\"a\tb\"@c>" },
		{ "<\"a\x01\"@c>" },
		{ "<\"a\\\x01\"@c>" },
		{ "<\"a\\\xc3\xb6\"@c>", true },
		{ "\"" },
		{ "\"\\" },
		/* literals */
		{ "<a@[]>" },
		{ "<a@[192.0.2.1>" },
		{ "<a@[192.0.2]>" },
		{ "<a@[192.0.2.256]>" },
		{ "<a@[2001:db8::1]>" },
		{ "<a@[IPv6:192.0.2.1]>" },
		{ "<a@[IPv6:]>" },
		{ "<a@[IPv6:2001:db8::g]>" },
		{ "<a@[x:192.0.2.1]>" },
		{ "<a@[192.0.2.1]x>" },
		{ "<a@[192.0.2.1].>" },
		{ "<a@[ 192.0.2.1]>" },
		{ "<@[192.0.2.1>:a@b]>" },
		/* source routes */
		{ "<@a>" },
		{ "<@a:>" },
		{ "<@a:u>" },
		{ "<@a:postmaster>" },
		{ "<@a,u@d>" },
		{ "<@a,@:u@d>" },
		{ "<@a,:u@d>" },
		{ "<@a:@b:u@d>" },
		{ "<@a,@b u@d>" },
		/* 8-bit */
		{ "<\xc3\xb6@b>" },
		{ "<a@\xc3\xb6>" },
		{ "<\"\xc3\xb6\"@b>" },
		{ "<\xc3@b>", true },
		{ "<\xff@b>", true },
		{ "<\xc0\xaf@b>", true },
		{ "<\xed\xa0\x80@b>", true },
		{ "<\xf4\x90\x80\x80@b>", true },
		{ "<a@\xb6>", true },
		{ "<a@b\xc3.c>", true },
		{ "<\xc2\x85@b>", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct smtp_path path;
		size_t used = 99;
		memset(&path, 'x', sizeof(path));
		if (parse(rows[i].text, rows[i].utf8, &path, &used) != -EINVAL)
			fail_msg("row %zu, %s: taken", i, rows[i].text);
		assert_int_equal(used, 99);
		assert_int_equal(path.local[0], 'x');
	}
}

/* No beginning of a good path, but for those that are paths themselves, is taken, and none is read
 * past its end. */
static void test_cut_short(void **state)
{
	static const char whole[] = "<@a.b,@[192.0.2.1]:\"q\\\"\"@[IPv6:::1]>";

	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		struct smtp_path path;
		size_t used;
		char cut[sizeof(whole)];
		memcpy(cut, whole, n);
		cut[n] = '\0';
		assert_int_equal(parse(cut, false, &path, &used), -EINVAL);
	}
}

/* A quoted local part and a domain of so many octets as written. */
static void check_length(bool good, int local, int domain)
{
	static const char quoted_pairs[] = X50("\\\"\\\"\\\"\\\"\\\"\\\"");
	static const char labels[] = X50("abcdefg.") "x";
	char text[1024];
	char wire[PATH_WIRE_MAX];
	struct smtp_path path;
	size_t used;

	snprintf(text, sizeof(text), "<\"%.*s\"@%.*s>", local, quoted_pairs, domain, labels);
	int r = parse(text, false, &path, &used);
	if (r != (good ? 0 : -EINVAL))
		fail_msg("local %d, domain %d: %d", local, domain, r);
	if (good)
		assert_true(path_write(&path, wire) <= PATH_WIRE_MAX);
}

static void test_lengths(void **state)
{
	check_length(true, 2 * PATH_LOCAL_MAX, PATH_DOMAIN_MAX);
	check_length(false, 2 * PATH_LOCAL_MAX + 2, PATH_DOMAIN_MAX);
	check_length(false, 2 * PATH_LOCAL_MAX, PATH_DOMAIN_MAX + 2);
	assert_true(domain_is_valid(SV(X10("abcdef") "abc.x")));
	assert_false(domain_is_valid(SV(X10("abcdef") "abcd.x")));
	assert_true(domain_is_valid(SV("x." X10("\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6"))));
}

static void test_domains(void **state)
{
	static const char *const good[] = { "a", "a.b", "1", "a-b.c", "xn--a", "\xc3\xb6.a", "_a" };
	static const char *const bad[] = {
		"", ".", "a.", ".a", "a..b", "a b", "a@b", "[a]", "a/b"
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(domain_is_valid(sv_from(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(domain_is_valid(sv_from(bad[i])));
	assert_false(domain_is_valid((struct sv) { "a\0b", 3 }));
}

static void test_routes(void **state)
{
	static const struct {
		const char *local;
		const char *domains[PATH_ROUTES_MAX];
		int n;
	} rows[] = {
		{ "user", { NULL }, 0 },
		{ "", { NULL }, 0 },
		{ "first.last", { NULL }, 0 },
		{ "bounce+u=other.example", { NULL }, 0 },
		{ "u@other.example", { "other.example" }, 1 },
		{ "u%other.example", { "other.example" }, 1 },
		{ "other.example!u", { "other.example" }, 1 },
		{ "u%other.example.", { "other.example" }, 1 },
		{ "u%other", { NULL }, 0 },
		{ "u%", { NULL }, 0 },
		{ "%", { NULL }, 0 },
		{ "@!%", { NULL }, 0 },
		{ "!other.example", { NULL }, 0 },
		{ "first.last@", { NULL }, 0 },
		{ "u%.other.example", { NULL }, 0 },
		{ "u%a..example", { NULL }, 0 },
		{ "a.example!b.example!u%c.example", { "a.example", "b.example", "c.example" }, 3 },
		{ "u%a.example@b.example", { "a.example", "b.example" }, 2 },
		{ "u%a.example!v", { "a.example" }, 1 },
		{ "@a.example,@b.example:u@c.example",
		  { "a.example", "b.example", "c.example" },
		  3 },
		{ "<u@a.example>", { "a.example" }, 1 },
		{ "u @ a.example", { NULL }, 0 },
		{ "a%b.c%d.e%f.g%h.i", { "b.c", "d.e", "f.g", "h.i" }, 4 },
		{ "a%b.c%d.e%f.g%h.i%j.k", { NULL }, -E2BIG },
		{ "u@k\xc3\xb6ln.example", { "k\xc3\xb6ln.example" }, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct smtp_path path = { .kind = PATH_MAILBOX };
		struct sv found[PATH_ROUTES_MAX];

		path.local_len = (uint16_t)strlen(rows[i].local);
		memcpy(path.local, rows[i].local, path.local_len);
		int n = path_routes(&path, found);
		if (n != rows[i].n)
			fail_msg("%s: %d", rows[i].local, n);
		for (int k = 0; k < n; k++) {
			if (!sv_eq(found[k], sv_from(rows[i].domains[k])))
				fail_msg("%s: %.*s", rows[i].local, SV_ARG(found[k]));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),      cmocka_unit_test(test_bad),
		cmocka_unit_test(test_cut_short), cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_domains),   cmocka_unit_test(test_routes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
