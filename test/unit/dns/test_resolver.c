/* The resolver against a real name server. What a real one can't show is in test_faults.c. */
#include "base/clock.h"
#include "dns/resolver.h"

#include "cm.h"
#include "nsd.h"
#include "worker.h"

#include <stdio.h>

static const char lab_zone[] =
	"$ORIGIN lab.net.\n$TTL 300\n"
	"@ SOA ns1 hostmaster 1 3600 600 86400 120\n@ NS ns1\n@ NS ns2\nns1 A 127.0.0.1\n"
	"ns2 A 127.0.0.1\n"
	"mx1 A 192.0.2.1\nmx1 AAAA 2001:db8::1\nmx2 A 192.0.2.2\nmx2 A 192.0.2.3\n"
	"v6 AAAA 2001:db8::6\n"
	"scanner MX 20 mx2\nscanner MX 10 mx1\n"
	"upper MX 10 MX1.LAB.NET.\n"
	"twice MX 10 mx1\ntwice MX 20 mx1\n"
	"equal MX 10 mx2\nequal MX 10 mx1\n"
	"only6 MX 10 v6\n"
	"implicit A 192.0.2.10\nimplicit AAAA 2001:db8::10\n"
	"null MX 0 .\n"
	"nullplus MX 0 .\nnullplus MX 10 mx1\n"
	"text TXT \"no address\"\n"
	"alias CNAME scanner\naliasgone CNAME gone\naliasaddr CNAME implicit\n"
	"hostalias CNAME mx2\nviaalias MX 10 hostalias\n"
	"literal MX 10 192.0.2.9.\nliteral MX 20 mx1\n"
	"hostgone MX 10 gone\nhosttext MX 10 text\n"
	"odd MX 10 a\\.b.lab.net.\n"
	"long 200000 MX 10 long\nlong 200000 A 192.0.2.20\nlong 200000 AAAA 2001:db8::20\n"
	"short 5 MX 10 mx1\n"
	"www.names A 192.0.2.31\nnames A 192.0.2.30\nsmtp.names CNAME mx1\nnames MX 10 mx1\n"
	"ptr1 A 192.0.2.41\nptr2 A 192.0.2.99\nptr6 AAAA 2001:db8::41\n"
	"deep.in.zone MX 10 mx1\n"
	"many MX 1 mx1\n";

static const char reverse_zone[] =
	"$ORIGIN 2.0.192.in-addr.arpa.\n$TTL 300\n"
	"@ SOA ns1.lab.net. hostmaster.lab.net. 1 3600 600 86400 120\n@ NS ns1.lab.net.\n"
	"41 PTR PTR1.lab.net.\n41 PTR ptr2.lab.net.\n41 PTR gone.lab.net.\n"
	"42 PTR ptr1.lab.net.\n"
	"43 TXT \"no name\"\n"
	"44 CNAME 44.sub\n44.sub PTR ptr1.lab.net.\n"
	"46 CNAME 46.sub\n46.sub PTR mx1.lab.net.\n"
	"2 PTR mx2.lab.net.\n";

static const char reverse6_zone[] =
	"$ORIGIN 8.b.d.0.1.0.0.2.ip6.arpa.\n$TTL 300\n"
	"@ SOA ns1.lab.net. hostmaster.lab.net. 1 3600 600 86400 120\n@ NS ns1.lab.net.\n"
	"1.4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR ptr6.lab.net.\n"
	"1.4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR ptr1.lab.net.\n";

static struct nsd nsd;
static struct resolver *resolver;
static struct worker worker;

static int setup(void **state)
{
	static char zone[16384];
	size_t n = (size_t)snprintf(zone, sizeof(zone), "%s", lab_zone);
	struct endpoint server = { .addr = addr_from_v4("\177\0\0\1") };
	struct resolver_conf conf = { .servers = &server, .n_servers = 1, .timeout_ms = 1000 };

	(void)state;
	for (int i = 2; i <= 40; i++)
		n += (size_t)snprintf(zone + n, sizeof(zone) - n,
				      "many MX %d host%d\nhost%d A 198.51.100.%d\n", i, i, i, i);
	const struct nsd_zone zones[] = {
		{ "lab.net", zone },
		{ "2.0.192.in-addr.arpa", reverse_zone },
		{ "8.b.d.0.1.0.0.2.ip6.arpa", reverse6_zone },
		{ 0 },
	};
	if (nsd_start(&nsd, zones) < 0)
		return -1;
	server.port = nsd.port;
	conf.confirm_port = nsd.port;
	assert_int_equal(resolver_new(&conf, &resolver), 0);
	worker_init(&worker, resolver);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	worker_deinit(&worker);
	resolver_free(resolver);
	nsd_stop(&nsd);
	return 0;
}

static void test_domains(void **state)
{
	static const struct {
		const char *domain;
		const char *facts;
		int lifetime; /* seconds */
	} cases[] = {
		/* without AAAA the negative answer's 120 s count */
		{ "scanner.lab.net",
		  "MX 10 mx1.lab.net=[192.0.2.1 2001:db8::1] 20 mx2.lab.net=[192.0.2.2 192.0.2.3]",
		  120 },
		{ "upper.lab.net", "MX 10 mx1.lab.net=[192.0.2.1 2001:db8::1]", 300 },
		{ "twice.lab.net", "MX 10 mx1.lab.net=[192.0.2.1 2001:db8::1]", 300 },
		{ "equal.lab.net",
		  "MX 10 mx1.lab.net=[192.0.2.1 2001:db8::1] 10 mx2.lab.net=[192.0.2.2 192.0.2.3]",
		  120 },
		{ "only6.lab.net", "MX 10 v6.lab.net=[2001:db8::6]", 120 },
		{ "implicit.lab.net", "ADDRESS 0 implicit.lab.net=[192.0.2.10 2001:db8::10]", 120 },
		{ "null.lab.net", "NULL", 300 },
		{ "nullplus.lab.net", "MX 10 mx1.lab.net=[192.0.2.1 2001:db8::1]", 300 },
		{ "text.lab.net", "NOTHING", 120 },
		{ "gone.lab.net", "NOTHING nxdomain", 120 },
		{ "alias.lab.net",
		  "MX 10 mx1.lab.net=[192.0.2.1 2001:db8::1] 20 mx2.lab.net=[192.0.2.2 192.0.2.3]",
		  120 },
		{ "aliasgone.lab.net", "NOTHING nxdomain", 120 },
		{ "aliasaddr.lab.net",
		  "ADDRESS 0 aliasaddr.lab.net>implicit.lab.net=[192.0.2.10 2001:db8::10]", 120 },
		{ "viaalias.lab.net", "MX 10 hostalias.lab.net>mx2.lab.net=[192.0.2.2 192.0.2.3]",
		  120 },
		{ "literal.lab.net",
		  "MX 10 192.0.2.9=[nxdomain] 20 mx1.lab.net=[192.0.2.1 2001:db8::1]", 300 },
		{ "hostgone.lab.net", "MX 10 gone.lab.net=[nxdomain]", 120 },
		{ "hosttext.lab.net", "MX 10 text.lab.net=[nodata]", 120 },
		{ "odd.lab.net", "MX 10 a\\b.lab.net=[nxdomain]", 300 },
		{ "long.lab.net", "MX 10 long.lab.net=[192.0.2.20 2001:db8::20]", 86400 },
		{ "short.lab.net", "MX 10 mx1.lab.net=[192.0.2.1 2001:db8::1]", 60 },
		/* refused: another zone */
		{ "elsewhere.org", "FAILED", 10 },
		{ "onion.onion", "NOTHING nxdomain", 3600 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t before = clock_mono_ms();
		struct answer a = worker_get(&worker, RESOLVER_DOMAIN, cases[i].domain);
		const char *text = facts_text(a.facts);
		int64_t left = a.facts->expires_ms - before - cases[i].lifetime * 1000;
		if (strcmp(text, cases[i].facts) != 0 || left < 0 || left > 5000)
			fail_msg("%s: %s; expires %+ld ms", cases[i].domain, text, (long)left);
		assert_string_equal(a.facts->domain, cases[i].domain);
		assert_int_equal(a.facts->confirmed_ms, -1);
		/* nsd is authoritative, and so looks like a forgotten local zone */
		if (a.facts->kind != FACTS_FAILED && !strstr(cases[i].domain, "onion"))
			assert_true(a.facts->aa);
		worker_free_answer(&a);
	}
}

static void test_many_hosts(void **state)
{
	struct answer a = worker_get(&worker, RESOLVER_DOMAIN, "many.lab.net");

	(void)state;
	assert_int_equal(a.facts->n_hosts, 32);
	for (size_t i = 0; i < 32; i++) {
		assert_int_equal(a.facts->hosts[i].preference, i + 1);
		assert_int_equal(a.facts->hosts[i].status, DNS_OK);
		assert_int_equal(a.facts->hosts[i].incomplete, i == 31);
	}
	worker_free_answer(&a);
}

static void test_mx_ttl(void **state)
{
	struct answer a = worker_get(&worker, RESOLVER_DOMAIN, "long.lab.net");
	struct answer b = worker_get(&worker, RESOLVER_DOMAIN, "short.lab.net");

	(void)state;
	assert_int_equal(a.facts->ttl, 200000);
	assert_int_equal(b.facts->ttl, 5);
	worker_free_answer(&a);
	worker_free_answer(&b);
}

static void test_clients(void **state)
{
	static const struct {
		const char *client;
		enum dns_status status;
		const char *name; /* the only one */
	} cases[] = {
		{ "192.0.2.41", DNS_OK, "ptr1.lab.net" },
		{ "192.0.2.42", DNS_OK, NULL }, /* the name leads elsewhere */
		{ "192.0.2.43", DNS_NODATA, NULL },
		{ "192.0.2.44", DNS_OK, NULL },
		{ "192.0.2.45", DNS_NXDOMAIN, NULL },
		{ "192.0.2.2", DNS_OK, "mx2.lab.net" },
		{ "2001:db8::41", DNS_OK, "ptr6.lab.net" },
		{ "2001:db8::42", DNS_NXDOMAIN, NULL },
		{ "198.51.100.1", DNS_FAILED, NULL }, /* refused */
	};
	struct addr client;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer a = worker_get(&worker, RESOLVER_CLIENT, cases[i].client);
		const char *name = a.client->n ? a.client->names[0] : NULL;
		if (a.client->status != cases[i].status || a.client->n != (cases[i].name != NULL) ||
		    (name && strcmp(name, cases[i].name) != 0))
			fail_msg("%s: status %d, %u names, %s", cases[i].client, a.client->status,
				 a.client->n, name ? name : "");
		worker_free_answer(&a);
		addr_parse(sv_from(cases[i].client), &client);
		assert_non_null(resolver_peek_client(worker.port, &client));
	}
}

static void test_names(void **state)
{
	struct answer a = worker_get(&worker, RESOLVER_NAMES, "names.lab.net");
	char text[ADDR_STRLEN];

	(void)state;
	assert_int_equal(a.names->n[DOOR_NAME_APEX], 1);
	assert_string_equal(addr_format(&a.names->addrs[DOOR_NAME_APEX][0], text), "192.0.2.30");
	assert_int_equal(a.names->n[DOOR_NAME_WWW], 1);
	assert_string_equal(addr_format(&a.names->addrs[DOOR_NAME_WWW][0], text), "192.0.2.31");
	assert_int_equal(a.names->n[DOOR_NAME_MAIL], 0);
	assert_int_equal(a.names->n[DOOR_NAME_SMTP], 2);
	worker_free_answer(&a);
	assert_non_null(resolver_peek_names(worker.port, "names.lab.net"));
	assert_null(resolver_peek_names(worker.port, "scanner.lab.net"));
}

static void test_peek(void **state)
{
	struct resolver_stats before, after;
	const struct domain_facts *f;
	struct answer a;

	(void)state;
	assert_null(resolver_peek_domain(worker.port, "deep.in.zone.lab.net"));
	a = worker_get(&worker, RESOLVER_DOMAIN, "deep.in.zone.lab.net");
	worker_free_answer(&a);
	resolver_stats(resolver, &before);
	f = resolver_peek_domain(worker.port, "deep.in.zone.lab.net");
	assert_non_null(f);
	assert_string_equal(facts_text(f), "MX 10 mx1.lab.net=[192.0.2.1 2001:db8::1]");
	/* known: answered from the table */
	a = worker_get(&worker, RESOLVER_DOMAIN, "deep.in.zone.lab.net");
	worker_free_answer(&a);
	resolver_stats(resolver, &after);
	assert_int_equal(after.lookups, before.lookups);
}

static void test_confirm(void **state)
{
	struct resolver_stats before, after;
	struct answer a;

	(void)state;
	resolver_stats(resolver, &before);
	a = worker_get(&worker, RESOLVER_CONFIRM, "scanner.lab.net");
	assert_in_range(clock_mono_ms() - a.facts->confirmed_ms, 0, 5000);
	assert_int_equal(a.facts->kind, FACTS_MX);
	assert_int_equal(a.facts->n_hosts, 2);
	worker_free_answer(&a);

	/* not known before; its zone is two labels up */
	a = worker_get(&worker, RESOLVER_CONFIRM, "deep.in.zone.lab.net");
	assert_in_range(clock_mono_ms() - a.facts->confirmed_ms, 0, 5000);
	worker_free_answer(&a);
	a = worker_get(&worker, RESOLVER_CONFIRM, "gone.lab.net");
	assert_int_equal(a.facts->kind, FACTS_NOTHING);
	assert_true(a.facts->confirmed_ms >= 0);
	worker_free_answer(&a);
	a = worker_get(&worker, RESOLVER_CONFIRM, "implicit.lab.net");
	assert_string_equal(facts_text(a.facts),
			    "ADDRESS 0 implicit.lab.net=[192.0.2.10 2001:db8::10]");
	assert_true(a.facts->confirmed_ms >= 0);
	worker_free_answer(&a);

	/* nobody to ask */
	a = worker_get(&worker, RESOLVER_CONFIRM, "elsewhere.org");
	assert_int_equal(a.facts->kind, FACTS_FAILED);
	assert_int_equal(a.facts->confirmed_ms, -1);
	worker_free_answer(&a);

	resolver_stats(resolver, &after);
	assert_int_equal(after.confirmed - before.confirmed, 4);
	/* once is enough for a while */
	a = worker_get(&worker, RESOLVER_CONFIRM, "scanner.lab.net");
	assert_true(a.facts->confirmed_ms >= 0);
	worker_free_answer(&a);
	resolver_stats(resolver, &before);
	assert_int_equal(after.lookups, before.lookups);
}

static void test_joined(void **state)
{
	struct resolver_stats before, after;
	struct answer answers[50];

	(void)state;
	resolver_stats(resolver, &before);
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		worker_ask(&worker, RESOLVER_DOMAIN, "joined.lab.net", &answers[i]);
	/* one is cancelled: it never gets an answer */
	resolver_cancel(&answers[7].query);
	resolver_cancel(&answers[7].query);
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		if (i != 7)
			worker_wait(&worker, &answers[i]);
	worker_run(&worker, 20);
	assert_false(answers[7].done);
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		worker_free_answer(&answers[i]);
	resolver_stats(resolver, &after);
	assert_int_equal(after.lookups - before.lookups, 1);
}

/* Questions that are open when the port goes stay unanswered. */
static void test_port_goes(void **state)
{
	static struct answer answers[20];
	struct worker other;
	char name[64];

	(void)state;
	worker_init(&other, resolver);
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		snprintf(name, sizeof(name), "leaving%zu.lab.net", i);
		worker_ask(&other, RESOLVER_DOMAIN, name, &answers[i]);
	}
	worker_deinit(&other);
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		assert_false(answers[i].done);
}

static void test_keep(void **state)
{
	(void)state;
	assert_int_equal(resolver_keep(resolver, "mx1.lab.net"), 0);
	for (int i = 0; i < 100 && !resolver_peek_domain(worker.port, "mx1.lab.net"); i++)
		worker_run(&worker, 20);
	assert_string_equal(facts_text(resolver_peek_domain(worker.port, "mx1.lab.net")),
			    "ADDRESS 0 mx1.lab.net=[192.0.2.1 2001:db8::1]");
}

static void test_long_key(void **state)
{
	struct resolver_query q = { 0 };
	char name[300];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[299] = '\0';
	assert_int_equal(resolver_ask(worker.port, RESOLVER_DOMAIN, name, NULL, &q), -ENAMETOOLONG);
	assert_int_equal(resolver_keep(resolver, name), -ENAMETOOLONG);
	resolver_cancel(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domains),   cmocka_unit_test(test_many_hosts),
		cmocka_unit_test(test_mx_ttl),    cmocka_unit_test(test_clients),
		cmocka_unit_test(test_names),     cmocka_unit_test(test_peek),
		cmocka_unit_test(test_confirm),   cmocka_unit_test(test_joined),
		cmocka_unit_test(test_port_goes), cmocka_unit_test(test_keep),
		cmocka_unit_test(test_long_key),
	};

	if (!nsd_is_installed()) {
		puts("SKIP: no nsd here (Debian package nsd)");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
