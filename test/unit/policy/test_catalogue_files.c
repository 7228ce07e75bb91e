/* Files of the catalogue: those that extend the shipped one, and what is wrong with others. */
#include "policy/catalogue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEAD                                                                                       \
	"id\tname\tkind\tmx_suffixes\tegress_spf\tegress_hosts\tegress_cidrs\tegress_ptr_suffixes" \
	"\tsource\tconfidence\n"
#define RULES_HEAD "provider\tmx_regex\tderived_spf\tderived_ptr_regex\tmeasured\tsource\n"
#define SPF_HEAD   "name\tconfirmed_by_domains\tcidrs\tother_terms\n"
#define ACME       "acme\tAcme\tfilter\tacme.net\t\t\t\t\t\thigh\n"

static struct catalogue *extended(const char *const *texts, size_t n)
{
	static const char *const files[] = { "first.tsv", "second.tsv", "third.tsv" };
	struct catalogue_error error = { "" };
	struct catalogue *c = NULL;
	struct sv views[3];
	int r;

	assert_true(n <= ARRAY_SIZE(views));
	for (size_t i = 0; i < n; i++)
		views[i] = sv_from(texts[i]);
	r = catalogue_extend(files, views, n, &c, &error);
	if (r != 0)
		fail_msg("%d: %s", r, error.text);
	return c;
}

static const char *id_of(const struct catalogue *c, const char *host)
{
	const struct catalogue_row *row = catalogue_find(c, host);

	return row ? row->id : "none";
}

static bool set_has(const struct prefix_set *set, const char *address)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(address), &a), 0);
	return prefix_set_contains(set, &a);
}

static const struct tenant *tenant(const struct catalogue *c, const char *host)
{
	const struct catalogue_row *row = catalogue_find(c, host);

	assert_non_null(row);
	return catalogue_tenant(c, row, host);
}

static void test_extended(void **state)
{
	static const char *const texts[] = {
		/* another row for its id, a new one, one below another's suffix */
		"# ours\r\n" HEAD "\n"
		"mimecast\tMimecast as we know "
		"it\tfilter\tmimecast.com\tOWN.example.\t\t192.0.2.0/24\t"
		"\tour own\thigh\r\n"
		"acme_2\tAcme\tmailbox\tMX.acme.NET in.acme.org\t_spf.acme.net\tout.acme.net\t"
		"198.51.100.0/24 2001:db8::/32\tout.acme.net\t\tmedium\n"
		"part\tPart\tforwarder\tpart.pphosted.com\t\t\t\t\t\tlow",
		HEAD ACME "acme_2\tAcme once more\tfilter\tmx.acme.net\t\t\t\t\t\tlow\n",
	};
	struct catalogue *c = extended(texts, 1);
	const struct catalogue_row *row;

	assert_int_equal(catalogue_count(c), 155);
	row = catalogue_by_id(c, SV("mimecast"));
	assert_ptr_equal(catalogue_find(c, "jer-smtp-inbound-1.mimecast.com"), row);
	assert_string_equal(row->name, "Mimecast as we know it");
	assert_string_equal(row->sources[0], "spf:own.example");
	assert_int_equal(row->n_ptr, 0);
	assert_string_equal(row->file, "first.tsv");
	assert_int_equal(row->line, 4);
	/* What only the former row had is nobody's; rules are about the id. */
	assert_string_equal(id_of(c, "x.mimecast-offshore.com"), "none");
	assert_string_equal(tenant(c, "jer-smtp-inbound-1.mimecast.com")->spf,
			    "spf:jer._netblocks.mimecast.com");
	row = catalogue_by_id(c, SV("acme_2"));
	assert_ptr_equal(catalogue_find(c, "a.mx.acme.net"), row);
	assert_ptr_equal(catalogue_find(c, "in.acme.org"), row);
	assert_int_equal(row->kind, PROVIDER_MAILBOX);
	assert_int_equal(row->n_sources, 2);
	assert_string_equal(row->sources[1], "host:out.acme.net");
	assert_true(set_has(&row->cidrs, "2001:db8::1"));
	assert_string_equal(id_of(c, "mx.part.pphosted.com"), "part");
	assert_string_equal(id_of(c, "mx.pphosted.com"), "proofpoint");
	catalogue_free(c);

	/* The last file wins. */
	c = extended(texts, 2);
	assert_int_equal(catalogue_count(c), 156);
	row = catalogue_by_id(c, SV("acme_2"));
	assert_string_equal(row->file, "second.tsv");
	assert_string_equal(id_of(c, "mx.acme.net"), "acme_2");
	assert_string_equal(id_of(c, "in.acme.org"), "none");
	assert_string_equal(id_of(c, "in.acme.net"), "acme");
	catalogue_free(c);
}

/* Rows that say that the same suffix is theirs: their union. */
static void test_union(void **state)
{
	static const char *const texts[] = {
		HEAD
		"one\tOne\tfilter\tx.acme.net acme.net\tspf.one.net\t\t192.0.2.0/25\tone.net\t\t"
		"high\n"
		"two\tTwo\tmailbox\tacme.net two.net\tspf.one.net spf.two.net\t\t"
		"192.0.2.128/25\ttwo.net\t\tlow\n"
		"ours\tOurs\tfilter\tpphosted.com\t\t\t203.0.113.0/24\t\t\tmedium\n"
		"three\tThree\tfilter\ttwo.net acme.net\t\thost.three.net\t\t\t\tmedium\n",
	};
	struct catalogue *c = extended(texts, 1);
	const struct catalogue_row *row = catalogue_find(c, "mx.acme.net");

	assert_int_equal(catalogue_count(c), 157);
	assert_string_equal(row->id, "one+two+three");
	assert_string_equal(row->name, "One; Two; Three");
	assert_int_equal(row->kind, PROVIDER_FILTER);
	assert_int_equal(row->confidence, CONFIDENCE_LOW);
	assert_int_equal(row->n_sources, 3);
	assert_string_equal(row->sources[0], "spf:spf.one.net");
	assert_string_equal(row->sources[1], "spf:spf.two.net");
	assert_string_equal(row->sources[2], "host:host.three.net");
	assert_int_equal(row->n_ptr, 2);
	assert_true(set_has(&row->cidrs, "192.0.2.1"));
	assert_true(set_has(&row->cidrs, "192.0.2.255"));
	assert_ptr_equal(catalogue_by_id(c, SV("one+two+three")), row);
	assert_string_equal(id_of(c, "mx.x.acme.net"), "one");
	assert_string_equal(id_of(c, "mx.two.net"), "two+three");
	/* Nobody's tenants are told apart where one row has none. */
	row = catalogue_find(c, "mx0a-00112233.pphosted.com");
	assert_string_equal(row->id, "proofpoint+ours");
	assert_int_equal(row->confidence, CONFIDENCE_MEDIUM);
	assert_null(catalogue_tenant(c, row, "mx0a-00112233.pphosted.com"));
	catalogue_free(c);
}

#define ROW(id, kind, mx, spf, cidrs, ptr, confidence)                                             \
	HEAD "\n" id "\tName\t" kind "\t" mx "\t" spf "\t\t" cidrs "\t" ptr "\tsource"             \
	     "\t" confidence

static void test_wrong_rows(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "f:1: the head is missing; accepted: first a line of 10 columns: id, name, "
		      "kind, mx_suffixes, egress_spf, egress_hosts, egress_cidrs, "
		      "egress_ptr_suffixes, source, confidence" },
		{ "# nothing\n", "f:1: the head is missing" },
		{ ACME, "f:1: the head is missing" },
		{ "id\tname\n", "f:1: the head is missing" },
		{ HEAD "a\tb\n",
		  "f:2: 2 columns; accepted: 10, separated by tabs: id, name, kind" },
		{ HEAD "a\tb\tc\td\te\tf\tg\th\ti\tj\tk\n", "f:2: 11 columns; accepted: 10" },
		{ HEAD "acme\tAcm\xc3\xa9\n",
		  "f:2: an octet that is no printable ASCII character, in column 2; accepted: " },
		{ HEAD "acme\x01\n", "f:2: an octet that is no printable ASCII character, in" },
		{ ROW("Acme", "filter", "acme.net", "", "", "", "high"),
		  "f:3: id: 'Acme' can't be; accepted: lower-case letters, digits, - and _, 48 "
		  "at" },
		{ ROW("", "filter", "acme.net", "", "", "", "high"), "f:3: id: '' can't be" },
		{ ROW("acme.net", "filter", "acme.net", "", "", "", "high"),
		  "f:3: id: 'acme.net' can't be" },
		{ ROW("a+b", "filter", "acme.net", "", "", "", "high"), "f:3: id: 'a+b' can't" },
		{ HEAD "acme\t\tfilter\tacme.net\t\t\t\t\t\thigh",
		  "f:2: name: too short or too long; accepted: 1 to 100 octets" },
		{ ROW("acme", "scanner", "acme.net", "", "", "", "high"),
		  "f:3: kind: 'scanner' is not known; accepted: filter, mailbox, forwarder" },
		{ ROW("acme", "filter", "acme.net", "", "", "", "sure"),
		  "f:3: confidence: 'sure' is not known; accepted: high, medium, low" },
		{ ROW("acme", "filter", "", "", "", "", "high"),
		  "f:3: mx_suffixes: there is none, so no MX host can be the row's; accepted: " },
		{ ROW("acme", "filter", "acme.net,acme.org", "", "", "", "high"),
		  "f:3: mx_suffixes: 'acme.net,acme.org' is no domain name; accepted: mx.exa" },
		{ ROW("acme", "filter", "*.acme.net", "", "", "", "high"),
		  "f:3: mx_suffixes: '*.acme.net' is no domain name" },
		{ ROW("acme", "filter", "192.0.2.1", "", "", "", "high"),
		  "f:3: mx_suffixes: '192.0.2.1' is no domain name" },
		{ ROW("acme", "filter", "net", "", "", "", "high"),
		  "f:3: mx_suffixes: below 'net' are names of everybody (public suffix); accep" },
		{ ROW("acme", "filter", "CO.uk", "", "", "", "high"),
		  "f:3: mx_suffixes: below 'co.uk' are names of everybody" },
		{ ROW("acme", "filter", "acme.net", "spf:acme.net", "", "", "high"),
		  "f:3: egress_spf: 'spf:acme.net' is no domain name" },
		{ ROW("acme", "filter", "acme.net", "", "192.0.2.1/24", "", "high"),
		  "f:3: egress_cidrs: '192.0.2.1/24' has bits set past its length; accepted: " },
		{ ROW("acme", "filter", "acme.net", "", "192.0.2.0/33", "", "high"),
		  "f:3: egress_cidrs: '192.0.2.0/33' is no prefix; accepted: 192.0.2.0/24, 2001" },
		{ ROW("acme", "filter", "acme.net", "", "acme.net", "", "high"),
		  "f:3: egress_cidrs: 'acme.net' is no prefix" },
		{ ROW("acme", "filter", "acme.net", "", "0.0.0.0/0", "", "high"),
		  "f:3: egress_cidrs: '0.0.0.0/0' is too wide; accepted: /8 and longer (IPv6: "
		  "/16" },
		{ ROW("acme", "filter", "acme.net", "", "2000::/3", "", "high"),
		  "f:3: egress_cidrs: '2000::/3' is too wide" },
		{ ROW("acme", "filter", "acme.net", "", "::/16", "", "high"),
		  "f:3: egress_cidrs: '::/16' is too wide" }, /* all of IPv4 */
		{ ROW("acme", "filter", "acme.net", "", "", "com", "high"),
		  "f:3: egress_ptr_suffixes: below 'com' are names of everybody" },
		{ ROW("acme", "filter", "acme.net",
		      "a.b a.c a.d a.e a.f a.g a.h a.i a.j a.k a.l a.m a.n a.o a.p a.q a.r", "", "",
		      "high"),
		  "f:3: egress_spf: 17 names; accepted: at most 16" },
		{ HEAD ACME "\n" ACME,
		  "f:4: id: 'acme' stands in line 2 already; accepted: each once" },
		{ HEAD "a\tN\tfilter\tx.net\t\t\t\t\t\tlow\nb\tN\tfilter\tx.net\t\t\t\t\t\tlow\n"
		       "c\tN\tfilter\tx.net\t\t\t\t\t\tlow\nd\tN\tfilter\tx.net\t\t\t\t\t\tlow\n"
		       "e\tN\tfilter\tx.net\t\t\t\t\t\tlow\n",
		  "f:6: mx_suffixes: 'x.net' stands in 4 rows already (a+b+c+d); accepted: in " },
	};
	static const char *const files[] = { "f" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct catalogue_error error = { "" };
		struct catalogue *c = NULL;
		struct sv text = sv_from(rows[i].text);
		int r = catalogue_extend(files, &text, 1, &c, &error);

		if (r != -EINVAL || c || strncmp(error.text, rows[i].says, strlen(rows[i].says)))
			fail_msg("row %zu: %d\n%s\n%s", i, r, rows[i].says, error.text);
	}
}

static void test_wrong_rules(void **state)
{
	static const struct {
		const char *row, *says;
	} rows[] = {
		{ "a\tb", "derive.tsv:2: 2 columns; accepted: 6, separated by tabs: provider" },
		{ "acne\t^(a)$\tb.net\t\t\t", "derive.tsv:2: provider: there is no row 'acne'" },
		{ "acme\ta$\tb.net\t\t\t", "derive.tsv:2: mx_regex: 'a$' can't be; accepted: an "
					   "extended regular expression from ^ to $" },
		{ "acme\t^a\tb.net\t\t\t", "derive.tsv:2: mx_regex: '^a' can't be" },
		{ "acme\t^(a$\tb.net\t\t\t", "derive.tsv:2: mx_regex: '^(a$' can't be" },
		{ "acme\t^a)$\tb.net\t\t\t", "derive.tsv:2: mx_regex: '^a)$' can't be" },
		{ "acme\t^(a)\\1$\tb.net\t\t\t", "derive.tsv:2: mx_regex: '^(a)" },
		{ "acme\t^a|b$\tb.net\t\t\t", "derive.tsv:2: mx_regex: '^a|b$' can't be" },
		{ "acme\t^a{65}$\tb.net\t\t\t", "derive.tsv:2: mx_regex: '^a{65}$' can't be" },
		{ "acme\t^a{1,300}$\tb.net\t\t\t",
		  "derive.tsv:2: mx_regex: '^a{1,300}$' can't be" },
		{ "acme\t^a{9}b{9}$\tb.net\t\t\t", "derive.tsv:2: mx_regex: '^a{9}b{9}$' can't" },
		{ "acme\t^a\\$\tb.net\t\t\t", "derive.tsv:2: mx_regex: '^a" },
		{ "acme\t^(a)$\tb net\t\t\t", "derive.tsv:2: derived_spf: 'b net' can't be; acce" },
		{ "acme\t^(a)$\t\\1.\\1.net\t\t\t", "derive.tsv:2: derived_spf: '" },
		{ "acme\t^(a)$\texists:a.net\t\t\t", "derive.tsv:2: derived_spf: 'exists:a.net'" },
		{ "acme\t^(a)$\tB.net\t\t\t", "derive.tsv:2: derived_spf: 'B.net' can't be" },
		{ "acme\t^(a)$\t\t\\1$\t\t", "derive.tsv:2: derived_ptr_regex: '" },
		{ "acme\t^(a)$\t\t^(x\\1)$\t\t", "derive.tsv:2: derived_ptr_regex: '^(x" },
		{ "acme\t^(a)$\t\t^x\\1+$\t\t", "derive.tsv:2: derived_ptr_regex: '^x" },
		{ "acme\t^(a)$\t\t^x\\1\\1$\t\t", "derive.tsv:2: derived_ptr_regex: '^x" },
		{ "acme\t^(a)$\t\t^x\\2$\t\t", "derive.tsv:2: derived_ptr_regex: '^x" },
		{ "acme\t^(a)$\t\t\t\t",
		  "derive.tsv:2: nothing is derived; accepted: derived_spf" },
		{ "acme\t^a$\t\\1.net\t\t\t", "derive.tsv:2: mx_regex: \\1 is used but not set" },
		{ "acme\t^a$\t\t^\\1\\.net$\t\t", "derive.tsv:2: mx_regex: \\1 is used but not" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct catalogue_error error = { "" };
		struct catalogue *c = NULL;
		char text[256];
		int r;

		snprintf(text, sizeof(text), RULES_HEAD "%s\n", rows[i].row);
		r = catalogue_read(SV(HEAD ACME), sv_from(text), SV(""), &c, &error);
		if (r != -EINVAL || c || strncmp(error.text, rows[i].says, strlen(rows[i].says)))
			fail_msg("row %zu: %d\n%s\n%s", i, r, rows[i].says, error.text);
	}
}

static void test_wrong_snapshot(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "name\n", "spf_snapshot.tsv:1: the head is missing" },
		{ SPF_HEAD "a.net\n", "spf_snapshot.tsv:2: 1 columns; accepted: 4" },
		{ SPF_HEAD "a b\t\t\t\n", "spf_snapshot.tsv:2: name: 'a b' is no domain name" },
		{ SPF_HEAD "a.net\t\t192.0.2.1/24\t\n",
		  "spf_snapshot.tsv:2: cidrs: '192.0.2.1/24'" },
		{ SPF_HEAD "a.net\t\t192.0.2.1\t\nA.net\t\t192.0.2.1\t\n",
		  "spf_snapshot.tsv:3: name: 'a.net' stands here already" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct catalogue_error error = { "" };
		struct catalogue *c = NULL;
		int r = catalogue_read(SV(HEAD ACME), SV(""), sv_from(rows[i].text), &c, &error);

		if (r != -EINVAL || c || strncmp(error.text, rows[i].says, strlen(rows[i].says)))
			fail_msg("row %zu: %d\n%s\n%s", i, r, rows[i].says, error.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extended),       cmocka_unit_test(test_union),
		cmocka_unit_test(test_wrong_rows),     cmocka_unit_test(test_wrong_rules),
		cmocka_unit_test(test_wrong_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
