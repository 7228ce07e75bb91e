/* Whose an MX host is: configuration, catalogue, and what is left. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

static struct dns_host host_at(const char *name, const char *canonical, const char *ptr,
			       const struct addr *address)
{
	return (struct dns_host) { .name = name,
				   .canonical = canonical ? canonical : name,
				   .status = DNS_OK,
				   .ptr = ptr ? ptr : "",
				   .addrs = address,
				   .n_addrs = address ? 1 : 0 };
}

static char *const acme_mx[] = { "*.mx.acme.example", "eu-smtp-inbound-1.mimecast.com",
				 "in.acme.example" };
static char *const acme_sources[] = { "spf:_spf.acme.example", "host:out.acme.example" };
static struct scanner scanners[] = { { .name = "acme",
				       .mx = (char **)acme_mx,
				       .n_mx = 3,
				       .sources = (char **)acme_sources,
				       .n_sources = 2 } };

static struct policy shipped_policy(void)
{
	return (struct policy) { .catalogue = catalogue_shipped(),
				 .scanners = scanners,
				 .n_scanners = ARRAY_SIZE(scanners),
				 .generation = policy_next_generation() };
}

static const struct owner_case {
	const char *name, *canonical, *ptr, *address;
	enum owner_from from;
	const char *owner, *told_by;
	bool tenant, wants_ptr;
} cases[] = {
	/* The operator's word goes before the catalogue's, by the name that the name leads to, too.
	 */
	{ "a.mx.acme.example", NULL, NULL, "192.0.2.1", OWNER_CONFIGURED, "acme",
	  "a.mx.acme.example", false, false },
	{ "mx.example.org", "a.mx.acme.example", NULL, "192.0.2.1", OWNER_CONFIGURED, "acme",
	  "a.mx.acme.example", false, false },
	{ "eu-smtp-inbound-1.mimecast.com", NULL, NULL, "192.0.2.1", OWNER_CONFIGURED, "acme",
	  "eu-smtp-inbound-1.mimecast.com", false, false },
	{ "x.mimecast.com", "a.mx.acme.example", NULL, "192.0.2.1", OWNER_CONFIGURED, "acme",
	  "a.mx.acme.example", false, false },
	/* The catalogue: by the name, by where it leads, by the name of its address. */
	{ "eu-smtp-inbound-2.mimecast.com", NULL, NULL, "192.0.2.1", OWNER_MX, "mimecast-eu",
	  "eu-smtp-inbound-2.mimecast.com", false, false },
	{ "mx0a-00112233.pphosted.com", NULL, NULL, "192.0.2.1", OWNER_MX, "proofpoint",
	  "mx0a-00112233.pphosted.com", true, false },
	{ "mx.example.org", "mx0a-00112233.pphosted.com", NULL, "192.0.2.1", OWNER_CNAME,
	  "proofpoint", "mx0a-00112233.pphosted.com", true, false },
	{ "mx0a-00112233.pphosted.com", "mx.hornetsecurity.com", NULL, "192.0.2.1", OWNER_MX,
	  "proofpoint", "mx0a-00112233.pphosted.com", true, false },
	{ "mx.example.org", NULL, "mx0a-00112233.pphosted.com", "192.0.2.1", OWNER_PTR,
	  "proofpoint", "mx0a-00112233.pphosted.com", false, true },
	{ "mx.hornetsecurity.com", NULL, "mx0a-00112233.pphosted.com", "192.0.2.1", OWNER_MX,
	  "hornetsecurity", "mx.hornetsecurity.com", false, false },
	/* A name below a provider that has machines of customers says nothing. */
	{ "mx.example.org", NULL, "vps.secureserver.net", "192.0.2.1", OWNER_DEFAULT, "example.org",
	  "mx.example.org", false, true },
	{ "mx.example.org", NULL, "in.smtp.secureserver.net", "192.0.2.1", OWNER_PTR,
	  "godaddy-workspace", "in.smtp.secureserver.net", false, true },
	{ "mx.example.org", NULL, "ip-192-0-2-1.smtp.secureserver.net", "192.0.2.1", OWNER_DEFAULT,
	  "example.org", "mx.example.org", false, true },
	{ "mx.example.org", NULL, "c0000201.x.pphosted.com", "192.0.2.1", OWNER_DEFAULT,
	  "example.org", "mx.example.org", false, true },
	{ "mx.example.org", NULL, "host.mail.yandex.net", "192.0.2.1", OWNER_PTR, "yandex",
	  "host.mail.yandex.net", false, true },
	{ "mx.example.org", NULL, "host.vm.yandex.net", "192.0.2.1", OWNER_DEFAULT, "example.org",
	  "mx.example.org", false, true },
	{ "mx.example.org", NULL, "mail.xpphosted.com", "192.0.2.1", OWNER_DEFAULT, "example.org",
	  "mx.example.org", false, true },
	/* Nobody's. */
	{ "mx.example.org", "in.example.net", NULL, "192.0.2.1", OWNER_DEFAULT, "example.org",
	  "mx.example.org", false, true },
	{ "example.org", NULL, NULL, "192.0.2.1", OWNER_DEFAULT, "example.org", "example.org",
	  false, true },
	{ "xmimecast.com", NULL, NULL, "192.0.2.1", OWNER_DEFAULT, "xmimecast.com", "xmimecast.com",
	  false, true },
	{ "mx", NULL, NULL, "192.0.2.1", OWNER_DEFAULT, "mx", "mx", false, true },
	{ "192.0.2.1", NULL, NULL, NULL, OWNER_DEFAULT, "192.0.2.1", "192.0.2.1", false, false },
};

static void check_case(const struct policy *policy, const struct owner_case *t)
{
	struct addr a = t->address ? address(t->address) : (struct addr) { { 0 } };
	struct dns_host host = host_at(t->name, t->canonical, t->ptr, t->address ? &a : NULL);
	struct domain_facts dns = { .kind = FACTS_MX, .n_hosts = 1, .hosts = &host };
	struct decide_facts facts = { .policy = policy, .dns = &dns };
	struct door_owner o;

	door_owner_of(&facts, 0, &o);
	if (o.from != t->from || !sv_eq(o.name, sv_from(t->owner)))
		fail_msg("%s %s: %d " SV_FMT, t->name, t->ptr ? t->ptr : "", o.from,
			 SV_ARG(o.name));
	assert_string_equal(o.told_by, t->told_by);
	assert_ptr_equal(o.host, &host);
	assert_int_equal(o.tenant != NULL, t->tenant);
	assert_int_equal(o.scanner != NULL, o.from == OWNER_CONFIGURED);
	assert_int_equal(o.row != NULL,
			 o.from == OWNER_MX || o.from == OWNER_CNAME || o.from == OWNER_PTR);
	assert_int_equal(policy_wants_ptr(policy, &host), t->wants_ptr);
}

/* Twice, and in either order: what is remembered of one host is not told of another. */
static void test_owners(void **state)
{
	struct policy policy = shipped_policy(), forgetful = policy;

	forgetful.generation = 0;
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			check_case(&policy, &cases[i]);
			check_case(&forgetful, &cases[i]);
		}
	for (size_t i = ARRAY_SIZE(cases); i-- > 0;)
		check_case(&policy, &cases[i]);
}

/* More hosts than are remembered. */
static void test_many_hosts(void **state)
{
	struct policy policy = shipped_policy();
	struct door_owner o;
	char name[64], domain[64];

	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 3000; i++) {
			struct dns_host host;

			snprintf(domain, sizeof(domain), "d%d.example", i);
			snprintf(name, sizeof(name), "mx.d%d.example", i);
			host = host_at(name, NULL, NULL, NULL);
			door_owner_of_host(&policy, &host, &o);
			assert_true(sv_eq(o.name, sv_from(domain)));
		}
}

static void check_like_forgetful(const struct policy *policy, const char *name)
{
	struct dns_host host = host_at(name, NULL, NULL, NULL);
	struct policy forgetful = *policy;
	struct door_owner o, expected;

	forgetful.generation = 0;
	door_owner_of_host(policy, &host, &o);
	door_owner_of_host(&forgetful, &host, &expected);
	if (o.from != expected.from || !sv_eq(o.name, expected.name) || o.row != expected.row ||
	    o.scanner != expected.scanner || o.tenant != expected.tenant)
		fail_msg("%s: " SV_FMT ", not " SV_FMT, name, SV_ARG(o.name),
			 SV_ARG(expected.name));
}

/* In this order and the other way round, with nothing remembered at first. */
static void check_siblings(const char *const *names, size_t n)
{
	struct policy policy = shipped_policy();

	for (size_t i = 0; i < 2 * n; i++)
		check_like_forgetful(&policy, names[i % n]);
	policy = shipped_policy();
	for (size_t i = 2 * n; i-- > 0;)
		check_like_forgetful(&policy, names[i % n]);
}

/* What a domain tells of one host below it is no more told of another than is right: one that is
 * named by itself, that is the suffix itself, that is below a public suffix. */
static void test_siblings(void **state)
{
	static const char *const names[] = { "mx.acme.example",
					     "a.mx.acme.example",
					     "b.mx.acme.example",
					     "x.acme.example",
					     "in.acme.example",
					     "y.acme.example",
					     "eu-smtp-inbound-2.mimecast.com",
					     "eu-smtp-inbound-1.mimecast.com",
					     "zz.mimecast.com",
					     "one.co.uk",
					     "two.co.uk",
					     "co.uk",
					     "mail.one.co.uk",
					     "mx.one.co.uk",
					     "2.2.0.192",
					     "3.2.0.192",
					     ".",
					     ".x",
					     "x." };
	const struct catalogue *c = catalogue_shipped();
	char below[2][300], beside[300];

	check_siblings(names, ARRAY_SIZE(names));
	for (size_t i = 0; i < catalogue_count(c); i++)
		for (size_t k = 0; k < catalogue_row(c, i)->n_mx; k++) {
			const char *suffix = catalogue_row(c, i)->mx[k];
			const char *const around[] = { below[0], suffix, beside, below[1] };

			snprintf(below[0], sizeof(below[0]), "one.%s", suffix);
			snprintf(below[1], sizeof(below[1]), "two.%s", suffix);
			snprintf(beside, sizeof(beside), "zz%s", strchr(suffix, '.'));
			check_siblings(around, ARRAY_SIZE(around));
		}
}

/* A name longer than is remembered, at its greatest length. */
static void test_long_host(void **state)
{
	struct policy policy = shipped_policy();
	struct dns_host host;
	struct door_owner o;
	char name[256];

	memset(name, 'a', sizeof(name));
	for (size_t i = 60; i < 200; i += 60)
		name[i] = '.';
	strcpy(name + 253 - strlen(".mimecast.com"), ".mimecast.com");
	host = host_at(name, NULL, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		door_owner_of_host(&policy, &host, &o);
		assert_true(sv_eq(o.name, SV("mimecast")));
		assert_null(o.tenant);
	}
}

/* The configuration is read anew, and the new policy lies where the old one lay. */
static void test_reload(void **state)
{
	struct dns_host host = host_at("a.mx.acme.example", NULL, NULL, NULL);
	struct policy policy = shipped_policy();
	struct door_owner o;

	door_owner_of_host(&policy, &host, &o);
	assert_int_equal(o.from, OWNER_CONFIGURED);
	policy = shipped_policy();
	policy.n_scanners = 0;
	door_owner_of_host(&policy, &host, &o);
	assert_int_equal(o.from, OWNER_DEFAULT);
	policy = shipped_policy();
	policy.catalogue = NULL;
	door_owner_of_host(&policy, &host, &o);
	assert_int_equal(o.from, OWNER_CONFIGURED);
	assert_false(policy_wants_ptr(&policy, &host));
	host = host_at("mx.mimecast.com", NULL, "x.mimecast.com", NULL);
	door_owner_of_host(&policy, &host, &o);
	assert_int_equal(o.from, OWNER_DEFAULT);
	assert_true(sv_eq(o.name, SV("mimecast.com")));
	assert_false(policy_wants_ptr(&policy, &host));
}

/* The name of the machine changes under the same MX host, or what that is an alias of. */
static void test_changes(void **state)
{
	struct addr a = address("192.0.2.1"), b = address("203.0.113.7");
	struct policy policy = shipped_policy();
	struct door_owner o;
	struct dns_host host = host_at("mx.example.org", NULL, "mx1-7.pphosted.com", &a);

	door_owner_of_host(&policy, &host, &o);
	assert_int_equal(o.from, OWNER_PTR);
	host.ptr = "";
	door_owner_of_host(&policy, &host, &o);
	assert_int_equal(o.from, OWNER_DEFAULT);
	host.ptr = "ip-113-7.pphosted.com";
	door_owner_of_host(&policy, &host, &o);
	assert_int_equal(o.from, OWNER_PTR);
	host.addrs = &b;
	door_owner_of_host(&policy, &host, &o);
	assert_int_equal(o.from, OWNER_DEFAULT);
	host.canonical = "mx.hornetsecurity.com";
	door_owner_of_host(&policy, &host, &o);
	assert_int_equal(o.from, OWNER_CNAME);
	assert_string_equal(o.row->id, "hornetsecurity");
	host.canonical = "mx.mimecast.com";
	door_owner_of_host(&policy, &host, &o);
	assert_string_equal(o.row->id, "mimecast");
}

static void test_sources(void **state)
{
	static const struct {
		const char *host;
		const char *keys[4];
	} rows[] = {
		{ "a.mx.acme.example", { "spf:_spf.acme.example", "host:out.acme.example" } },
		{ "mx1-us1.ppe-hosted.com",
		  { "spf:_spf-us.ppe-hosted.com", "host:dispatch-us.ppe-hosted.com" } },
		{ "mx0a-00112233.pphosted.com", { "spf:spf-00112233.pphosted.com" } },
		{ "mx.pphosted.com", { NULL } },
		{ "mxa-00aabbcc.gslb.gpphosted.com", { NULL } },
		{ "mx1.hc1-2.iphmx.com", { NULL } },
		{ "x.mail.cloud.nospamproxy.com", { "spf:spf.x.cloud.nospamproxy.com" } },
		{ "jer-smtp-inbound-1.mimecast.com", { "spf:jer._netblocks.mimecast.com" } },
		{ "mx.mimecast.com", { "spf:_netblocks.mimecast.com" } },
		{ "d1.a.ess.de.barracudanetworks.com", { "spf:spf.ess.de.barracudanetworks.com" } },
		{ "mx.example.org", { NULL } },
	};
	struct policy policy = shipped_policy();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dns_host host = host_at(rows[i].host, NULL, NULL, NULL);
		char key[SOURCE_KEY_MAX];
		struct door_owner o;
		size_t n = 0;

		door_owner_of_host(&policy, &host, &o);
		for (; rows[i].keys[n]; n++) {
			if (!door_owner_source(&o, n, key))
				fail_msg("%s: no source %zu", rows[i].host, n);
			assert_string_equal(key, rows[i].keys[n]);
		}
		if (door_owner_source(&o, n, key))
			fail_msg("%s: %s too", rows[i].host, key);
	}
}

/* What a rule derives takes the place of SPF names, and of nothing else. */
static void test_tenant_sources(void **state)
{
	static const char providers[] =
		"id\tname\tkind\tmx_suffixes\tegress_spf\tegress_hosts\tegress_cidrs\t"
		"egress_ptr_suffixes\tsource\tconfidence\n"
		"acme\tAcme\tfilter\tacme.net\tspf.acme.net all.acme.net\tout.acme.net\t"
		"192.0.2.0/24\tacme.net\t\thigh\n"
		"other\tOther\tfilter\tother.net\tspf.other.net\t\t\t\t\thigh\n";
	static const char rules[] =
		"provider\tmx_regex\tderived_spf\tderived_ptr_regex\tmeasured\tsource\n"
		"acme\t^(.+)\\.s\\.acme\\.net$\t\\1.spf.acme.net\t\t\t\n"
		"acme\t^(.+)\\.e\\.acme\\.net$\texists:%{i}.q.\\1.acme.net\t\t\t\n"
		"other\t^(.+)\\.other\\.net$\t\t^\\1\\.out\\.other\\.net$\t\t\n";
	static const struct {
		const char *host;
		const char *keys[4];
	} rows[] = {
		{ "one.s.acme.net", { "spf:one.spf.acme.net", "host:out.acme.net" } },
		{ "one.e.acme.net", { "host:out.acme.net" } },
		{ "one.acme.net", { "spf:spf.acme.net", "spf:all.acme.net", "host:out.acme.net" } },
		{ "one.other.net", { "spf:spf.other.net" } },
	};
	struct catalogue_error error;
	struct catalogue *c;

	assert_int_equal(catalogue_read(sv_from(providers), sv_from(rules), SV(""), &c, &error), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct policy policy = { .catalogue = c, .generation = policy_next_generation() };
		struct dns_host host = host_at(rows[i].host, NULL, NULL, NULL);
		char key[SOURCE_KEY_MAX];
		struct door_owner o;
		size_t n = 0;

		door_owner_of_host(&policy, &host, &o);
		for (; rows[i].keys[n]; n++) {
			assert_true(door_owner_source(&o, n, key));
			assert_string_equal(key, rows[i].keys[n]);
		}
		assert_false(door_owner_source(&o, n, key));
	}
	catalogue_free(c);
}

static void test_exists(void **state)
{
	struct policy policy = shipped_policy();
	struct dns_host host = host_at("mx1.hc1234-56.iphmx.com", NULL, NULL, NULL);
	struct addr v4 = address("192.0.2.129"), v6 = address("2001:db8::cb01");
	char key[SOURCE_KEY_MAX] = "", longest[256];
	struct door_owner o;

	door_owner_of_host(&policy, &host, &o);
	assert_true(door_owner_exists(&o, &v4, key));
	assert_string_equal(key, "exists:192.0.2.129.spf.hc1234-56.iphmx.com");
	/* RFC 7208 7.4 */
	assert_true(door_owner_exists(&o, &v6, key));
	assert_string_equal(key, "exists:2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c."
				 "b.0.1.spf.hc1234-56.iphmx.com");
	/* As long as is remembered of a host: still a name. */
	memset(longest, 'a', sizeof(longest));
	longest[3] = longest[60] = '.';
	strcpy(longest + 127 - strlen(".iphmx.com"), ".iphmx.com");
	host = host_at(longest, NULL, NULL, NULL);
	door_owner_of_host(&policy, &host, &o);
	assert_non_null(o.tenant);
	assert_true(door_owner_exists(&o, &v6, key));
	assert_true(strlen(key) < 7 + 254);

	host = host_at("mx0a-00112233.pphosted.com", NULL, NULL, NULL);
	door_owner_of_host(&policy, &host, &o);
	assert_false(door_owner_exists(&o, &v4, key));
	host = host_at("mx.example.org", NULL, NULL, NULL);
	door_owner_of_host(&policy, &host, &o);
	assert_false(door_owner_exists(&o, &v4, key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owners),   cmocka_unit_test(test_many_hosts),
		cmocka_unit_test(test_siblings), cmocka_unit_test(test_long_host),
		cmocka_unit_test(test_reload),   cmocka_unit_test(test_changes),
		cmocka_unit_test(test_sources),  cmocka_unit_test(test_tenant_sources),
		cmocka_unit_test(test_exists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
