#include "dns/facts.h"

#include "cm.h"

#include <errno.h>
#include <stdio.h>

static void test_domain_to_ascii(void **state)
{
	char long_ok[260], long_bad[260], label63[80], label64[80];
	const struct {
		const char *in;
		const char *out; /* NULL: -EINVAL */
	} cases[] = {
		{ "example.org", "example.org" },
		{ "Example.ORG", "example.org" },
		{ "example.org.", "example.org" },
		{ "localhost", "localhost" },
		{ "b\xc3\xbc"
		  "cher.example",
		  "xn--bcher-kva.example" },
		{ "B\xc3\x9c"
		  "CHER.example",
		  "xn--bcher-kva.example" },
		/* decomposed: u and a combining diaeresis */
		{ "bu\xcc\x88"
		  "cher.example",
		  "xn--bcher-kva.example" },
		/* non-transitional: the sharp s stays one */
		{ "stra\xc3\x9f"
		  "e.example",
		  "xn--strae-oqa.example" },
		/* ideographic full stop (UTS 46) */
		{ "\xe4\xbe\x8b\xe3\x80\x82\xe4\xbe\x8b", "xn--fsq.xn--fsq" },
		/* an A-label that IDNA2008 disallows, but that DNS has */
		{ "xn--ls8h.la", "xn--ls8h.la" },
		{ "XN--BCHER-KVA.example", "xn--bcher-kva.example" },
		{ "_dmarc.example", "_dmarc.example" },
		{ "", NULL },
		{ ".", NULL },
		{ "a..b", NULL },
		{ ".a", NULL },
		{ "a..", NULL },
		{ "a b", NULL },
		{ "a\tb", NULL },
		{ "a@b", NULL },
		{ "[192.0.2.1]", NULL },
		{ "a\\b.example", NULL },
		{ "\xff\xfe.example", NULL },
		{ "b\xc3", NULL },
		{ long_ok, long_ok },
		{ long_bad, NULL },
		{ label63, label63 },
		{ label64, NULL },
	};
	char out[256];

	(void)state;
	memset(long_ok, 'a', sizeof(long_ok));
	for (size_t i = 50; i < 250; i += 51)
		long_ok[i] = '.';
	memcpy(long_bad, long_ok, sizeof(long_bad));
	long_ok[253] = '\0';
	long_bad[254] = '\0';
	memset(label63, 'a', sizeof(label63));
	memset(label64, 'a', sizeof(label64));
	label63[63] = label64[64] = '\0';

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r;
		memcpy(out, "untouched", 10);
		r = domain_to_ascii(sv_from(cases[i].in), out);
		if (cases[i].out ? r != 0 || strcmp(out, cases[i].out) != 0
				 : r != -EINVAL || strcmp(out, "untouched") != 0)
			fail_msg("case %zu '%s': %d '%s'", i, cases[i].in, r, out);
	}
	assert_int_equal(domain_to_ascii((struct sv) { "a\0b.example", 11 }, out), -EINVAL);
	assert_int_equal(domain_to_ascii((struct sv) { NULL, 0 }, out), -EINVAL);
}

static void test_copies_are_deep(void **state)
{
	struct addr addrs[3];
	char name[] = "mx.filter.net", canonical[] = "real.filter.net", domain[] = "lab.net";
	const char *names[] = { name, canonical };
	struct dns_host hosts[2] = {
		{ .name = name, .canonical = name, .preference = 10, .n_addrs = 2, .addrs = addrs },
		{ .name = name, .canonical = canonical, .status = DNS_FAILED, .incomplete = true },
	};
	struct domain_facts facts = {
		.kind = FACTS_MX, .n_hosts = 2, .hosts = hosts, .domain = domain, .confirmed_ms = -1
	};
	struct client_names client = { .n = 2, .names = names };
	struct door_names doors = { .n = { 0, 2, 0, 1 },
				    .addrs = { NULL, addrs, NULL, addrs + 2 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++)
		memset(&addrs[i], (int)i + 1, sizeof(addrs[i]));
	struct domain_facts *f = facts_copy(&facts);
	struct client_names *c = client_names_copy(&client);
	struct door_names *d = door_names_copy(&doors);
	memset(addrs, 0, sizeof(addrs));
	name[0] = canonical[0] = domain[0] = '!';

	assert_string_equal(f->domain, "lab.net");
	assert_string_equal(f->hosts[0].name, "mx.filter.net");
	assert_string_equal(f->hosts[0].canonical, "mx.filter.net");
	assert_string_equal(f->hosts[1].canonical, "real.filter.net");
	assert_int_equal(f->hosts[0].addrs[1].b[15], 2);
	assert_int_equal(f->hosts[1].n_addrs, 0);
	assert_true(f->hosts[1].incomplete);
	assert_string_equal(c->names[1], "real.filter.net");
	assert_int_equal(d->addrs[DOOR_NAME_WWW][1].b[0], 2);
	assert_int_equal(d->addrs[DOOR_NAME_SMTP][0].b[0], 3);
	assert_int_equal(d->n[DOOR_NAME_APEX], 0);
	facts_free(f);
	facts_free(c);
	facts_free(d);
	facts_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domain_to_ascii),
		cmocka_unit_test(test_copies_are_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
