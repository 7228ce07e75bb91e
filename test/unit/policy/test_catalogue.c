/* The catalogue that is shipped, row by row, and whose tenants its hosts are. */
#include "policy/catalogue.h"

#include "policy/catalogue_data.h"
#include "policy/scanner.h"

#include <pthread.h>
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
#define ACME       "acme\tAcme\tfilter\tacme.net\t\t\t\t\t\thigh\n"

/* The shipped one, told if it can't be read. */
static struct catalogue *shipped(void)
{
	struct catalogue_error error = { "" };
	struct catalogue *c = NULL;
	int r = catalogue_read(catalogue_data_providers, catalogue_data_derive,
			       catalogue_data_spf_snapshot, &c, &error);

	if (r != 0)
		fail_msg("%d: %s", r, error.text);
	return c;
}

static const char *id_of(const struct catalogue *c, const char *host)
{
	const struct catalogue_row *row = catalogue_find(c, host);

	return row ? row->id : "none";
}

static size_t lines_of(struct sv text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	return n;
}

static bool set_has(const struct prefix_set *set, const char *address)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(address), &a), 0);
	return prefix_set_contains(set, &a);
}

static void test_every_row(void **state)
{
	struct catalogue *c = shipped();
	size_t kinds[3] = { 0 }, confidences[3] = { 0 };

	assert_int_equal(catalogue_count(c), lines_of(catalogue_data_providers) - 1);
	assert_int_equal(catalogue_count(c), 153);
	for (size_t i = 0; i < catalogue_count(c); i++) {
		const struct catalogue_row *row = catalogue_row(c, i);

		assert_ptr_equal(catalogue_by_id(c, sv_from(row->id)), row);
		assert_null(row->file);
		kinds[row->kind]++;
		confidences[row->confidence]++;
	}
	/* As data/README.md counts them. */
	assert_int_equal(kinds[PROVIDER_FILTER], 106);
	assert_int_equal(kinds[PROVIDER_MAILBOX], 41);
	assert_int_equal(kinds[PROVIDER_FORWARDER], 6);
	assert_int_equal(confidences[CONFIDENCE_HIGH], 51);
	assert_int_equal(confidences[CONFIDENCE_MEDIUM], 71);
	assert_int_equal(confidences[CONFIDENCE_LOW], 31);
	catalogue_free(c);
	assert_int_equal(catalogue_count(catalogue_shipped()), 153);
	assert_ptr_equal(catalogue_shipped(), catalogue_shipped());
}

/* By trying every suffix of every row. */
static const struct catalogue_row *find_slowly(const struct catalogue *c, const char *host)
{
	const struct catalogue_row *found = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < catalogue_count(c); i++) {
		const struct catalogue_row *row = catalogue_row(c, i);

		for (size_t k = 0; k < row->n_mx; k++) {
			if (strlen(row->mx[k]) <= longest || !name_is_below(host, row->mx[k]))
				continue;
			longest = strlen(row->mx[k]);
			found = row;
		}
	}
	return found;
}

static void test_every_suffix(void **state)
{
	struct catalogue *c = shipped();
	size_t suffixes = 0;

	for (size_t i = 0; i < catalogue_count(c); i++) {
		const struct catalogue_row *row = catalogue_row(c, i);

		for (size_t k = 0; k < row->n_mx; k++, suffixes++) {
			char below[300], glued[300];

			snprintf(below, sizeof(below), "a.b-1.%s", row->mx[k]);
			snprintf(glued, sizeof(glued), "x%s", row->mx[k]);
			assert_ptr_equal(catalogue_find(c, row->mx[k]), row);
			assert_ptr_equal(catalogue_find(c, below), row);
			assert_ptr_equal(catalogue_find(c, glued), find_slowly(c, glued));
			if (catalogue_find(c, glued) == row)
				assert_non_null(strchr(strchr(row->mx[k], '.') + 1, '.'));
		}
	}
	assert_int_equal(suffixes, 244);
	assert_string_equal(id_of(c, "xmimecast.com"), "none");
	assert_string_equal(id_of(c, "com"), "none");
	assert_string_equal(id_of(c, ""), "none");
	assert_string_equal(id_of(c, "."), "none");
	assert_string_equal(id_of(c, "mx.example.org"), "none");
	/* Regional rows narrow the general one. */
	assert_string_equal(id_of(c, "eu-smtp-inbound-1.mimecast.com"), "mimecast-eu");
	assert_string_equal(id_of(c, "jer-smtp-inbound-1.mimecast.com"), "mimecast");
	assert_string_equal(id_of(c, "d1.a.ess.de.barracudanetworks.com"), "barracuda-de");
	assert_string_equal(id_of(c, "d1.ess.barracudanetworks.com"), "barracuda-us");
	catalogue_free(c);
}

static void test_row_content(void **state)
{
	struct catalogue *c = shipped();
	const struct catalogue_row *row = catalogue_by_id(c, SV("barracuda-us"));

	assert_string_equal(row->name, "Barracuda Email Gateway Defense (US)");
	assert_int_equal(row->kind, PROVIDER_FILTER);
	assert_int_equal(row->confidence, CONFIDENCE_HIGH);
	assert_int_equal(row->n_sources, 1);
	assert_string_equal(row->sources[0], "spf:spf.ess.barracudanetworks.com");
	assert_true(set_has(&row->cidrs, "209.222.87.255"));
	assert_false(set_has(&row->cidrs, "209.222.88.0"));
	assert_int_equal(row->n_ptr, 1);
	assert_string_equal(row->ptr[0], "ess.barracuda.com");
	row = catalogue_by_id(c, SV("proofpoint-essentials-us"));
	assert_int_equal(row->n_sources, 2);
	assert_string_equal(row->sources[0], "spf:_spf-us.ppe-hosted.com");
	assert_string_equal(row->sources[1], "host:dispatch-us.ppe-hosted.com");
	assert_null(catalogue_by_id(c, SV("nobody")));
	catalogue_free(c);
}

static const struct tenant *tenant(const struct catalogue *c, const char *host)
{
	const struct catalogue_row *row = catalogue_find(c, host);

	assert_non_null(row);
	return catalogue_tenant(c, row, host);
}

static void test_tenants(void **state)
{
	static const struct {
		const char *host, *spf, *exists;
		bool shared;
		const char
			*own; /* a name that is the tenant's; NULL: there is no rule about them */
		const char *others[4];
	} rows[] = {
		{ "mx0a-00112233.pphosted.com",
		  "spf:spf-00112233.pphosted.com",
		  NULL,
		  false,
		  "mx0b-00112233.pphosted.com",
		  { "mx0b-00112234.pphosted.com", "mx0b-00112233.pphosted.com.evil.example",
		    "mx0b-00112233xpphosted.com", "x.mx0b-00112233.pphosted.com" } },
		{ "mxb-0a1b2c3d.gslb.pphosted.com",
		  "spf:spf-0a1b2c3d.pphosted.com",
		  NULL,
		  false,
		  "mx0a-0a1b2c3d.pphosted.com",
		  { "mx0a-00112233.pphosted.com", "mx-0a1b2c3d.pphosted.com",
		    "0a1b2c3d.pphosted.com", "mx0a-0a1b2c3dd.pphosted.com" } },
		{ "mxa-00aabbcc.gslb.gpphosted.com",
		  NULL,
		  NULL,
		  false,
		  "mx0b-00aabbcc.gpphosted.com",
		  { "mx0b-00aabbcc.pphosted.com", "mx0b-00aabbcd.gpphosted.com" } },
		{ "mx1.hc1234-56.iphmx.com",
		  NULL,
		  "%{i}.spf.hc1234-56.iphmx.com",
		  false,
		  "esa2.hc1234-56.iphmx.com",
		  { "esa2.hc1234-57.iphmx.com", "esa2.hc1234-56xiphmx.com",
		    "esa2.xhc1234-56.iphmx.com", "esax.hc1234-56.iphmx.com" } },
		{ "mx2.hc2802-61.c3s2.iphmx.com",
		  NULL,
		  "%{i}.spf.hc2802-61.c3s2.iphmx.com",
		  false,
		  "esa.hc2802-61.c3s2.iphmx.com",
		  { "esa1.hc2802-61.iphmx.com", "esa1.hc2802-61.c3s2.iphmx.com.example" } },
		{ "contoso-de.mail.cloud.nospamproxy.com",
		  "spf:spf.contoso-de.cloud.nospamproxy.com",
		  NULL,
		  false,
		  NULL,
		  { "spf.contoso-de.cloud.nospamproxy.com" } },
		/* What these name is a region, and not a customer. */
		{ "d123456.a.ess.de.barracudanetworks.com",
		  "spf:spf.ess.de.barracudanetworks.com",
		  NULL,
		  true,
		  "egress-ip12b.ess.de.barracuda.com",
		  { "egress-ip12b.ess.uk.barracuda.com", "www.ess.de.barracuda.com",
		    "egress-ip12bxess.de.barracuda.com" } },
		{ "jer-smtp-inbound-1.mimecast.com",
		  "spf:jer._netblocks.mimecast.com",
		  NULL,
		  true,
		  NULL,
		  { "jer-smtp-outbound-1.mimecast.com" } },
		{ "sb-smtp-inbound-psc-1.mimecast.co.za",
		  "spf:sb._netblocks.mimecast.com",
		  NULL,
		  true,
		  NULL,
		  { "x.mimecast.com" } },
	};
	struct catalogue *c = shipped();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct tenant *t = tenant(c, rows[i].host);

		if (!t)
			fail_msg("%s: no tenant", rows[i].host);
		assert_string_equal(t->spf ? t->spf : "", rows[i].spf ? rows[i].spf : "");
		assert_string_equal(t->exists ? t->exists : "",
				    rows[i].exists ? rows[i].exists : "");
		assert_int_equal(t->shared, rows[i].shared);
		assert_int_equal(t->ptr != NULL, rows[i].own != NULL);
		if (rows[i].own && !tenant_admits_name(t, rows[i].own))
			fail_msg("%s is not %s's", rows[i].own, rows[i].host);
		for (size_t k = 0; k < ARRAY_SIZE(rows[i].others) && rows[i].others[k]; k++)
			if (tenant_admits_name(t, rows[i].others[k]))
				fail_msg("%s is %s's", rows[i].others[k], rows[i].host);
	}
	catalogue_free(c);
}

static void test_no_tenant(void **state)
{
	static const char *const hosts[] = {
		"pphosted.com",
		"mx0a-0011223.pphosted.com",  /* 7 digits */
		"mx0a-0011223g.pphosted.com", /* no digit */
		"mx0a-00112233.x.pphosted.com",
		"iphmx.com",
		"mx1.iphmx.com",
		"mail.cloud.nospamproxy.com",
		"d123456.c.ess.de.barracudanetworks.com",
		"eu-smtp-inbound-1.mimecast.com", /* a row of its own, without rules */
		"inbound.mimecast.com",
		"aspmx.l.google.com",
	};
	struct catalogue *c = shipped();
	char host[256];

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
		if (tenant(c, hosts[i]))
			fail_msg("%s names a tenant", hosts[i]);
	/* As long as names can be. */
	memset(host, 'a', sizeof(host));
	for (size_t i = 60; i < 200; i += 60)
		host[i] = '.';
	strcpy(host + 253 - strlen(".mail.cloud.nospamproxy.com"), ".mail.cloud.nospamproxy.com");
	assert_int_equal(strlen(host), 253);
	assert_null(tenant(c, host));
	catalogue_free(c);
}

/* What was given out stays as it was while others are asked for. */
static void test_tenant_lasts(void **state)
{
	struct catalogue *c = shipped();
	const struct tenant *first = tenant(c, "mx0a-00112233.pphosted.com");
	char host[64], spf[64];

	for (unsigned i = 0; i < 200; i++) {
		snprintf(host, sizeof(host), "mx0a-%08x.pphosted.com", i);
		snprintf(spf, sizeof(spf), "spf:spf-%08x.pphosted.com", i);
		assert_string_equal(tenant(c, host)->spf, spf);
		assert_string_equal(tenant(c, host)->spf, spf);
	}
	assert_string_equal(first->spf, "spf:spf-00112233.pphosted.com");
	assert_true(tenant_admits_name(first, "mx0b-00112233.pphosted.com"));
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(host, sizeof(host), "mx0a-%08x.pphosted.com", i);
		snprintf(spf, sizeof(spf), "spf:spf-%08x.pphosted.com", i);
		assert_string_equal(tenant(c, host)->spf, spf);
	}
	catalogue_free(c);
}

/* A thread's memory of one catalogue says nothing about the next, which may lie at its place. */
static void test_tenant_of_next(void **state)
{
	static const char *const rules[] = {
		RULES_HEAD "acme\t^(.+)\\.acme\\.net$\tspf.\\1.acme.net\t\t\t\n",
		RULES_HEAD "acme\t^(.+)\\.acme\\.net$\tout.\\1.acme.net\t\t\t\n", ""
	};
	static const char *const spf[] = { "spf:spf.one.acme.net", "spf:out.one.acme.net", "" };

	for (int round = 0; round < 20; round++) {
		struct catalogue_error error;
		const struct tenant *t;
		struct catalogue *c;

		assert_int_equal(catalogue_read(SV(HEAD ACME), sv_from(rules[round % 3]), SV(""),
						&c, &error),
				 0);
		t = tenant(c, "one.acme.net");
		assert_string_equal(t && t->spf ? t->spf : "", spf[round % 3]);
		catalogue_free(c);
	}
}

static void test_several_rules(void **state)
{
	struct catalogue_error error;
	struct catalogue *c;

	assert_int_equal(
		catalogue_read(
			SV(HEAD "acme\tAcme\tfilter\tacme.net\tx.spf.acme.net\t\t\t\t\tlow\n"),
			SV(RULES_HEAD "acme\t^a-([a-z]+)\\.acme\\.net$\t\\1.spf.acme.net\t\t\t\n"
				      "acme\t^[a-z]-([a-z|]+)\\.acme\\.net$\t\\1.own.acme.net\t"
				      "^(o|out)[(]?\\1-[0-9]\\.acme\\.net$\t\t\n"),
			SV(""), &c, &error),
		0);
	assert_string_equal(tenant(c, "a-one.acme.net")->spf, "spf:one.spf.acme.net");
	assert_true(tenant(c, "a-one.acme.net")->shared);
	assert_string_equal(tenant(c, "b-one.acme.net")->spf, "spf:one.own.acme.net");
	assert_false(tenant(c, "b-one.acme.net")->shared);
	assert_true(tenant_admits_name(tenant(c, "b-one.acme.net"), "outone-1.acme.net"));
	/* The name comes twice: any of them may be it. */
	assert_true(tenant_admits_name(tenant(c, "b-o.acme.net"), "oo-1.acme.net"));
	assert_false(tenant_admits_name(tenant(c, "b-o.acme.net"), "ooo-1.acme.net"));
	assert_false(tenant_admits_name(tenant(c, "b-one.acme.net"), "outtwo-1.acme.net"));
	catalogue_free(c);
}

static void test_fallback(void **state)
{
	struct catalogue *c = shipped();
	size_t known = 0, listed = 0;
	const struct prefix_set *set;

	/* Each SPF name of a row that stands in the snapshot is found there. */
	for (size_t i = 0; i < catalogue_count(c); i++) {
		const struct catalogue_row *row = catalogue_row(c, i);

		for (size_t k = 0; k < row->n_sources; k++) {
			listed += strncmp(row->sources[k], "spf:", 4) == 0;
			known += catalogue_fallback(c, row->sources[k]) != NULL;
		}
	}
	assert_true(known > 120 && known <= listed);
	set = catalogue_fallback(c, "spf:spf.ess.de.barracudanetworks.com");
	assert_non_null(set);
	assert_true(set->sealed);
	assert_true(set_has(set, "18.184.203.230"));
	assert_false(set_has(set, "18.184.204.1"));
	assert_non_null(catalogue_fallback(c, "spf:spf.tmes.trendmicro.eu"));
	assert_true(set_has(catalogue_fallback(c, "spf:spf.tmes.trendmicro.eu"),
			    "2a05:d014:10e:d900::1"));
	/* It led to names only: nothing is known of addresses. */
	assert_null(catalogue_fallback(c, "spf:_spf-us.ppe-hosted.com"));
	assert_null(catalogue_fallback(c, "host:spf.ess.de.barracudanetworks.com"));
	assert_null(catalogue_fallback(c, "spf:example.org"));
	catalogue_free(c);
}

/* Rows of the snapshot, counted by its lines. */
static void test_every_set(void **state)
{
	struct sv rest = catalogue_data_spf_snapshot;
	struct catalogue *c = shipped();
	size_t rows = 0, empty = 0;

	for (size_t line = 0; rest.n > 0; line++) {
		const char *end = memchr(rest.p, '\n', rest.n), *tab = memchr(rest.p, '\t', rest.n);
		char key[300];

		assert_non_null(end);
		snprintf(key, sizeof(key), "spf:%.*s", (int)(tab - rest.p), rest.p);
		if (line > 0) {
			rows++;
			empty += !catalogue_fallback(c, key);
		}
		rest.n -= (size_t)(end + 1 - rest.p);
		rest.p = end + 1;
	}
	assert_int_equal(rows, 138);
	assert_int_equal(empty, 5);
	catalogue_free(c);
}

/* Threads ask for the same and for other hosts at once, while catalogues come and go. */
static void *ask_around(void *mine)
{
	uintptr_t wrong = 0;
	char host[64], spf[64];

	for (unsigned round = 0; round < 20; round++) {
		struct catalogue *c = round % 2 ? shipped() : NULL;
		const struct catalogue *asked = c ? c : catalogue_shipped();

		for (unsigned i = 0; i < 300; i++) {
			const struct tenant *t;

			snprintf(host, sizeof(host), "mx0a-%08x.pphosted.com",
				 i + 100 * (unsigned)(uintptr_t)mine);
			snprintf(spf, sizeof(spf), "spf:spf-%.8s.pphosted.com", host + 5);
			t = catalogue_tenant(asked, catalogue_find(asked, host), host);
			wrong += !t || strcmp(t->spf, spf) != 0 || !tenant_admits_name(t, host);
		}
		catalogue_free(c);
	}
	return (void *)wrong;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	void *wrong;

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_around, (void *)i), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),      cmocka_unit_test(test_every_suffix),
		cmocka_unit_test(test_row_content),    cmocka_unit_test(test_tenants),
		cmocka_unit_test(test_no_tenant),      cmocka_unit_test(test_tenant_lasts),
		cmocka_unit_test(test_tenant_of_next), cmocka_unit_test(test_several_rules),
		cmocka_unit_test(test_fallback),       cmocka_unit_test(test_every_set),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
