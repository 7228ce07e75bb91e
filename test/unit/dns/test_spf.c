/* SPF records: term by term, and what they expand to when a table answers. Real answers are in
 * test_source.c. */
#include "dns/expand.h"

#include "cm.h"

#include <stdio.h>
#include <stdlib.h>

static const char *term_text(const struct spf_term *t)
{
	static const char *const kinds[] = { "all", "include", "a",        "mx",    "ptr", "ip4",
					     "ip6", "exists",  "redirect", "other", "bad" };
	static char out[512];
	char text[ADDR_STRLEN + 4];
	size_t n = (size_t)snprintf(out, sizeof(out), "%c%s", t->qualifier, kinds[t->kind]);

	if (t->domain.n)
		n += (size_t)snprintf(out + n, sizeof(out) - n, " " SV_FMT, SV_ARG(t->domain));
	if (t->macros)
		n += (size_t)snprintf(out + n, sizeof(out) - n, " macros");
	if ((t->kind == SPF_A || t->kind == SPF_MX) && (t->bits4 != 32 || t->bits6 != 128))
		n += (size_t)snprintf(out + n, sizeof(out) - n, " %u/%u", t->bits4, t->bits6);
	if (t->kind == SPF_IP4 || t->kind == SPF_IP6)
		snprintf(out + n, sizeof(out) - n, " %s", prefix_format(&t->prefix, text));
	return out;
}

static void test_terms(void **state)
{
	static const struct {
		const char *term, *want;
	} cases[] = {
		{ "all", "+all" },
		{ "-ALL", "-all" },
		{ "all:x", "+bad" },
		{ "all/8", "+bad" },
		{ "include:a.net", "+include a.net" },
		{ "?include:A.Net.", "?include A.Net." },
		{ "include", "+bad" },
		{ "include:", "+bad" },
		{ "include:a.net/24", "+bad" },
		{ "include:%{d}.a.net", "+include %{d}.a.net macros" },
		{ "a", "+a" },
		{ "~a:b.net", "~a b.net" },
		{ "a/24", "+a 24/128" },
		{ "a//64", "+a 32/64" },
		{ "a:b.net/20//48", "+a b.net 20/48" },
		{ "a:%{d1r/}.net/20", "+a %{d1r/}.net macros 20/128" },
		{ "a/33", "+bad" },
		{ "a//129", "+bad" },
		{ "a/", "+bad" },
		{ "a///64", "+bad" },
		{ "a:/24", "+bad" },
		{ "a24", "+bad" },
		{ "mx", "+mx" },
		{ "MX:b.net/28", "+mx b.net 28/128" },
		{ "ptr", "+ptr" },
		{ "ptr:b.net", "+ptr b.net" },
		{ "exists:%{i}._spf.b.net", "+exists %{i}._spf.b.net macros" },
		{ "exists", "+bad" },
		{ "ip4:192.0.2.1", "+ip4 192.0.2.1/32" },
		{ "ip4:192.0.2.1/24", "+ip4 192.0.2.0/24" },
		{ "ip4:0.0.0.0/0", "+ip4 0.0.0.0/0" },
		{ "-ip4:192.0.2.0/25", "-ip4 192.0.2.0/25" },
		{ "ip4:192.0.2.1/33", "+bad" },
		{ "ip4:192.0.2.1/", "+bad" },
		{ "ip4:192.0.2", "+bad" },
		{ "ip4:2001:db8::1", "+bad" },
		{ "ip4:::ffff:192.0.2.1", "+bad" },
		{ "ip4", "+bad" },
		{ "ip4/24", "+bad" },
		{ "ip4=192.0.2.1", "+other" },
		{ "ip6:2001:DB8::1", "+ip6 2001:db8::1/128" },
		{ "ip6:2001:db8::1/32", "+ip6 2001:db8::/32" },
		{ "ip6:192.0.2.1", "+bad" },
		{ "ip6:::/0", "+ip6 ::/0" },
		{ "redirect=a.net", "+redirect a.net" },
		{ "REDIRECT=a.net", "+redirect a.net" },
		{ "redirect=", "+bad" },
		{ "-redirect=a.net", "+bad" },
		{ "redirect:a.net", "+bad" },
		{ "redirect=%{d}.a.net", "+redirect %{d}.a.net macros" },
		{ "exp=why.a.net", "+other" },
		{ "x-unknown_1.2=%{d}", "+other" },
		{ "1x=y", "+bad" },
		{ "=y", "+bad" },
		{ "nonsense", "+bad" },
		{ "+", "+bad" },
		{ ":", "+bad" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sv rest = sv_from(cases[i].term);
		struct spf_term t;
		assert_true(spf_next(&rest, &t));
		if (strcmp(term_text(&t), cases[i].want) != 0)
			fail_msg("%s: %s", cases[i].term, term_text(&t));
		assert_true(sv_eq(t.text, sv_from(cases[i].term)));
		assert_false(spf_next(&rest, &t));
	}
}

static void test_records(void **state)
{
	struct sv rest = spf_terms(SV("v=spf1  a   mx "));
	struct spf_term t;

	(void)state;
	assert_true(spf_is_record(SV("v=spf1")));
	assert_true(spf_is_record(SV("V=SPF1 -all")));
	assert_false(spf_is_record(SV("v=spf10 -all")));
	assert_false(spf_is_record(SV("v=spf1\t-all")));
	assert_false(spf_is_record(SV("v=spf")));
	assert_false(spf_is_record(SV("")));
	assert_true(spf_next(&rest, &t) && t.kind == SPF_A);
	assert_true(spf_next(&rest, &t) && t.kind == SPF_MX);
	assert_false(spf_next(&rest, &t));
	rest = (struct sv) { "\0+all", 5 };
	assert_true(spf_next(&rest, &t) && t.kind == SPF_BAD && t.text.n == 5);
}

/* ---- expansion ---- */

/* "NAME TYPE DATA"; "fail" as data: SERVFAIL. What isn't here is NXDOMAIN. */
struct record {
	const char *name, *type, *data;
};

static const struct record zone[] = {
	{ "plain", "TXT", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all" },
	{ "plain", "TXT", "other text" },
	{ "signs", "TXT", "v=spf1 -ip4:192.0.2.1 ~ip4:192.0.2.2 ?ip4:192.0.2.3 +ip4:192.0.2.4" },
	{ "after", "TXT", "v=spf1 ip4:192.0.2.1 -all ip4:192.0.2.2 include:plain" },
	{ "include", "TXT", "v=spf1 include:Plain. ip4:198.51.100.1 -include:after ?all" },
	{ "redirect", "TXT", "v=spf1 redirect=plain ip4:192.0.3.1" },
	{ "both", "TXT", "v=spf1 redirect=plain ip4:192.0.3.1 ~all" },
	{ "tworedirect", "TXT", "v=spf1 redirect=plain redirect=after" },
	{ "aterm", "TXT", "v=spf1 a a:host a:host/24//64" },
	{ "aterm", "A", "203.0.113.1" },
	{ "host", "A", "203.0.113.2" },
	{ "host", "A", "2001:db8:1::2" },
	{ "mxterm", "TXT", "v=spf1 mx mx:nullmx -all" },
	{ "mxterm", "MX", "host" },
	{ "mxterm", "MX", "aterm" },
	{ "nullmx", "MX", "" },
	{ "two", "TXT", "v=spf1 a" },
	{ "two", "TXT", "V=SPF1 mx" },
	{ "intwo", "TXT", "v=spf1 include:two ip4:192.0.2.1" },
	{ "none", "TXT", "other text" },
	{ "innone", "TXT", "v=spf1 include:none ip4:192.0.2.1" },
	{ "ingone", "TXT", "v=spf1 include:gone ip4:192.0.2.1" },
	{ "loop", "TXT", "v=spf1 ip4:192.0.2.1 include:loop2" },
	{ "loop2", "TXT", "v=spf1 ip4:192.0.2.2 include:loop ip4:192.0.2.3" },
	{ "selfish", "TXT", "v=spf1 redirect=selfish" },
	{ "twice", "TXT", "v=spf1 include:plain include:deeper include:plain" },
	{ "deeper", "TXT", "v=spf1 include:plain" },
	{ "macro", "TXT", "v=spf1 include:%{d}.x ip4:192.0.2.1" },
	{ "exists", "TXT", "v=spf1 exists:%{i}.x ip4:192.0.2.1" },
	{ "ptr", "TXT", "v=spf1 ptr ip4:192.0.2.1" },
	{ "odd", "TXT", "v=spf1 nonsense ip4:192.0.2.1 a:b..c" },
	{ "everybody", "TXT", "v=spf1 ip4:192.0.2.1 +all" },
	{ "world", "TXT", "v=spf1 ip4:0.0.0.0/0 ip4:192.0.2.1" },
	{ "world6", "TXT", "v=spf1 ip6:::/0 ip4:192.0.2.1" },
	{ "worldmapped", "TXT", "v=spf1 ip6:::ffff:0:0/96 ip6:::/16 ip4:192.0.2.1" },
	{ "worlda", "TXT", "v=spf1 a:host/7 ip4:192.0.2.1" },
	{ "halves", "TXT",
	  "v=spf1 ip4:16.0.0.0/8 ip4:17.0.0.0/8 ip4:18.0.0.0/8 ip4:19.0.0.0/8 ip4:20.0.0.0/8 "
	  "ip4:21.0.0.0/8 ip6:2001::/16" },
	{ "manymx", "TXT", "v=spf1 mx ip4:192.0.2.1" },
	{ "void", "TXT", "v=spf1 a:gone1 a:gone2 a:gone3 a:host ip4:192.0.2.1" },
	{ "chain", "TXT", "v=spf1 include:c1 ip4:192.0.2.100" },
	{ "wide", "TXT",
	  "v=spf1 a:host a:host a:host a:host a:host a:host a:host a:host a:host a:host "
	  "a:aterm ip4:192.0.2.1" },
	{ "broken", "TXT", "fail" },
	{ "inbroken", "TXT", "v=spf1 ip4:192.0.2.1 include:broken ip4:192.0.2.2" },
	{ "down", "TXT", "v=spf1 include:broken a:broken2 mx:broken3 a:host ip4:192.0.2.2" },
	{ "broken2", "A", "fail" },
	{ "broken3", "MX", "fail" },
	{ "mxbroken", "TXT", "v=spf1 mx:halfmx" },
	{ "halfmx", "MX", "broken2" },
	{ "halfmx", "MX", "host" },
	{ "exp", "TXT", "v=spf1 exp=why x=%{d} ip4:192.0.2.1" },
	{ "empty", "TXT", "v=spf1" },
	{ "octets", "TXT", "v=spf1 a:\x01\xff.b ip4:192.0.2.1" },
};

struct answer {
	struct expand_answer a;
	struct sv texts[16];
	const char *names[16];
	struct addr addrs[16];
	char made[16][64];
};

static unsigned int n_asked;

/* c1 to c12 include each other; manymx has twelve hosts. */
static void answer_made(struct answer *out, enum expand_want want, const char *name)
{
	int i = atoi(name + 1);

	if (name[0] == 'c' && i > 0 && i <= 12 && want == EXPAND_TXT) {
		snprintf(out->made[0], sizeof(out->made[0]), "v=spf1 ip4:192.0.2.%d include:c%d", i,
			 i + 1);
		out->texts[out->a.n++] = sv_from(out->made[0]);
	} else if (strcmp(name, "manymx") == 0 && want == EXPAND_MX) {
		for (; out->a.n < 12; out->a.n++) {
			snprintf(out->made[out->a.n], 64, "h%zu", out->a.n + 1);
			out->names[out->a.n] = out->made[out->a.n];
		}
	} else if (name[0] == 'h' && i > 0 && want == EXPAND_ADDRS) {
		snprintf(out->made[0], 64, "203.0.113.%d", i);
		addr_parse(sv_from(out->made[0]), &out->addrs[out->a.n++]);
	}
}

static void answer(struct answer *out, enum expand_want want, const char *name)
{
	static const char *const types[] = {
		[EXPAND_TXT] = "TXT", [EXPAND_MX] = "MX", [EXPAND_ADDRS] = "A", [EXPAND_A] = "A"
	};
	struct expand_answer *a = &out->a;

	n_asked++;
	*out = (struct answer) { .a = { .status = DNS_NXDOMAIN, .ttl = 600, .lifetime = 600 } };
	a->texts = out->texts;
	a->names = out->names;
	a->addrs = out->addrs;
	answer_made(out, want, name);
	for (size_t i = 0; i < ARRAY_SIZE(zone); i++) {
		if (strcmp(zone[i].name, name) != 0)
			continue;
		if (a->status == DNS_NXDOMAIN)
			a->status = DNS_NODATA;
		if (strcmp(zone[i].type, types[want]) != 0)
			continue;
		if (strcmp(zone[i].data, "fail") == 0) {
			*a = (struct expand_answer) { .status = DNS_FAILED, .lifetime = 10 };
			return;
		}
		if (want == EXPAND_TXT)
			out->texts[a->n++] = sv_from(zone[i].data);
		else if (want == EXPAND_MX)
			out->names[a->n++] = zone[i].data;
		else
			assert_int_equal(addr_parse(sv_from(zone[i].data), &out->addrs[a->n++]), 0);
	}
	if (a->n)
		a->status = DNS_OK;
}

static const char *ranges_text(const struct egress_source *s)
{
	static const char *const status[] = { "", "none", "failed" };
	static char out[8192];
	char lo[ADDR_STRLEN], hi[ADDR_STRLEN];
	size_t n = (size_t)snprintf(out, sizeof(out), "%s%s", status[s->status],
				    s->incomplete ? "?" : "");

	for (size_t i = 0; i < s->set.n; i++)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s-%s", n ? " " : "",
				      addr_format(&s->set.ranges[i].lo, lo),
				      addr_format(&s->set.ranges[i].hi, hi));
	if (s->left_out[0])
		snprintf(out + n, sizeof(out) - n, "%s[%s]", n ? " " : "", s->left_out);
	return out;
}

static struct egress_source *expand(const char *key)
{
	struct expand *e = expand_new(key);
	struct egress_source *s;
	struct answer a;

	n_asked = 0;
	while (e->want != EXPAND_NOTHING) {
		assert_true(n_asked < 100);
		answer(&a, e->want, e->name);
		expand_answer(e, &a.a);
	}
	s = expand_result(e, 5000);
	expand_free(e);
	return s;
}

#define ONE   "192.0.2.1-192.0.2.1"
#define PLAIN "192.0.2.0-192.0.2.255 2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"

static const struct {
	const char *key, *want;
} expansions[] = {
	{ "spf:plain", PLAIN },
	{ "spf:signs", "192.0.2.4-192.0.2.4" },
	{ "spf:after", ONE },
	{ "spf:include", "192.0.2.0-192.0.2.255 198.51.100.1-198.51.100.1 "
			 "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff" },
	{ "spf:redirect", "192.0.2.0-192.0.2.255 192.0.3.1-192.0.3.1 "
			  "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff" },
	{ "spf:both", "192.0.3.1-192.0.3.1" },
	{ "spf:tworedirect", "?"
			     " " PLAIN " [redirect=after: there is one before]" },
	{ "spf:aterm", "203.0.113.0-203.0.113.255 2001:db8:1::-2001:db8:1:0:ffff:ffff:ffff:ffff" },
	{ "spf:mxterm", "203.0.113.1-203.0.113.1 203.0.113.2-203.0.113.2 "
			"2001:db8:1::2-2001:db8:1::2" },
	{ "spf:two", "failed? [more than one SPF record]" },
	{ "spf:intwo", "? " ONE " [include:two: more than one SPF record]" },
	{ "spf:none", "none" },
	{ "spf:gone", "none" },
	{ "spf:host", "none" },
	{ "spf:innone", "? " ONE " [include:none: no SPF record]" },
	{ "spf:ingone", "? " ONE " [include:gone: no SPF record]" },
	{ "spf:loop", "? " ONE " 192.0.2.2-192.0.2.2 192.0.2.3-192.0.2.3 [include:loop: a loop]" },
	{ "spf:selfish", "? [redirect=selfish: a loop]" },
	{ "spf:twice", PLAIN },
	{ "spf:macro", "? " ONE " [include:%{d}.x: macros are not expanded]" },
	{ "spf:exists", "? " ONE " [exists:%{i}.x: can't be expanded]" },
	{ "spf:ptr", "? " ONE " [ptr: can't be expanded]" },
	{ "spf:odd", "? " ONE " [nonsense: is no term]" },
	{ "spf:everybody", "? " ONE " [+all: permits everybody]" },
	{ "spf:world", "? " ONE " [ip4:0.0.0.0/0: too much of the Internet]" },
	{ "spf:world6", "? " ONE " [ip6:::/0: too much of the Internet]" },
	{ "spf:worldmapped", "? " ONE " [ip6:::ffff:0:0/96: too much of the Internet]" },
	{ "spf:worlda",
	  "? " ONE " 2001:db8:1::2-2001:db8:1::2 [a:host/7: too much of the Internet]" },
	{ "spf:void", "? " ONE " [a:host: too many look-ups found nothing]" },
	{ "spf:wide", "? " ONE " 203.0.113.2-203.0.113.2 2001:db8:1::2-2001:db8:1::2 "
		      "[a:aterm: too many look-ups]" },
	{ "spf:broken", "failed? [look-up failed]" },
	{ "spf:inbroken", "failed? " ONE " 192.0.2.2-192.0.2.2 [include:broken: look-up failed]" },
	{ "spf:down", "failed? 192.0.2.2-192.0.2.2 [include:broken: look-up failed]" },
	{ "spf:mxbroken", "failed? 203.0.113.2-203.0.113.2 2001:db8:1::2-2001:db8:1::2 "
			  "[mx:halfmx: look-up failed]" },
	{ "spf:exp", ONE },
	{ "spf:empty", "" },
	{ "spf:octets", "? " ONE " [a:\\x01\\xff.b: no name]" },
	{ "host:host", "203.0.113.2-203.0.113.2 2001:db8:1::2-2001:db8:1::2" },
	{ "host:gone", "none" },
	{ "host:plain", "none" },
	{ "host:broken2", "failed? [look-up failed]" },
	{ "exists:host", "" },
	{ "exists:gone", "none" },
	{ "exists:plain", "none" },
	{ "exists:broken2", "failed? [look-up failed]" },
};

static void test_expansion(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expansions); i++) {
		struct egress_source *s = expand(expansions[i].key);
		const char *want = expansions[i].want;
		if (strcmp(ranges_text(s), want) != 0)
			fail_msg("%s:\n%s\n%s", expansions[i].key, ranges_text(s), want);
		assert_string_equal(s->key, expansions[i].key);
		assert_true(s->set.sealed);
		assert_int_equal(s->fetched_ms, s->status == SOURCE_FAILED ? -1 : 5000);
		facts_free(s);
	}
}

static void test_limits(void **state)
{
	struct egress_source *s = expand("spf:chain");
	struct addr a;

	(void)state;
	/* the tenth is the last that is looked up, and its own addresses count */
	assert_int_equal(n_asked, 11);
	assert_int_equal(s->set.n, 11);
	assert_string_equal(s->left_out, "include:c11: too many look-ups");
	facts_free(s);
	s = expand("spf:manymx");
	assert_int_equal(s->set.n, 11);
	assert_int_equal(n_asked, 12);
	assert_string_equal(s->left_out, "mx: too many hosts");
	facts_free(s);
	s = expand("spf:halves");
	assert_int_equal(s->set.n, 5);
	assert_int_equal(addr_parse(SV("20.0.0.1"), &a), 0);
	assert_false(prefix_set_contains(&s->set, &a));
	assert_int_equal(addr_parse(SV("19.0.0.1"), &a), 0);
	assert_true(prefix_set_contains(&s->set, &a));
	assert_string_equal(s->left_out, "ip4:20.0.0.0/8: too much of the Internet");
	facts_free(s);
	/* two failures are enough: nothing else is asked for */
	s = expand("spf:down");
	assert_int_equal(n_asked, 3);
	facts_free(s);
}

static void test_lifetimes(void **state)
{
	struct egress_source *s = expand("spf:twice");

	(void)state;
	assert_int_equal(s->ttl, 600);
	assert_int_equal(s->expires_ms, 605000);
	facts_free(s);
	s = expand("spf:gone");
	assert_int_equal(s->expires_ms, 305000);
	facts_free(s);
	s = expand("spf:inbroken");
	assert_int_equal(s->expires_ms, 15000);
	facts_free(s);
}

static void test_keys(void **state)
{
	static const char *const good[] = { "spf:a.net", "host:a.net", "exists:1.2.0.192.x_y.net",
					    "spf:a" };
	static const char *const bad[] = { "",           "spf:",           "spf",
					   "a.net",      "spf:A.net",      "spf:a.net.",
					   "spf:a..net", "host:192.0.2.1", "mx:a.net",
					   "spf:%{d}.a", "spf:.a",         "host:a b" };
	char key[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!expand_key_is_valid(good[i]))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (expand_key_is_valid(bad[i]))
			fail_msg("%s", bad[i]);
	snprintf(key, sizeof(key), "spf:%064d.a", 1);
	assert_false(expand_key_is_valid(key));
	snprintf(key, sizeof(key), "spf:%062da.a", 1);
	assert_true(expand_key_is_valid(key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terms),     cmocka_unit_test(test_records),
		cmocka_unit_test(test_expansion), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lifetimes), cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
