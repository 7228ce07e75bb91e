/* A file of DNS records as doors: what it says, what it does not say, and written again. */
#include "scene.h"

#include "base/clock.h"
#include "dns/lookup.h"

static void *answer(struct doors *d, enum resolver_kind kind, const char *name, const char *client)
{
	struct doors_question q = { .kind = kind, .domain = name };

	if (client)
		q.client = scene_addr(client);
	assert_int_equal(doors_ask(d, &q, 1, NULL, NULL), 0);
	assert_non_null(q.answer);
	return q.answer;
}

static void test_domains(void **state)
{
	struct doors *d = scene_doors("; a comment\n"
				      "a.net. 300 IN MX 20 mx2.a.net. ; and one more\n"
				      "A.NET MX 10 MX1.a.net\n"
				      "mx1.a.net. A 192.0.2.1\nmx1.a.net. AAAA 2001:db8::1\n"
				      "mx2.a.net. CNAME other.net.\nother.net. A 192.0.2.2\n"
				      "addr.net. A 192.0.2.3\n"
				      "null.net. MX 0 .\n"
				      "nx.net. NXDOMAIN\nfail.net. SERVFAIL\n"
				      "half.net. MX 1 mx.half.net.\nmx.half.net. SERVFAIL\n"
				      "part.net. MX 1 mx.part.net.\nmx.part.net. A 192.0.2.4\n"
				      "mx.part.net. SERVFAIL\n"
				      "text.net. CNAME loop.net.\nloop.net. CNAME text.net.\n"
				      "\n# end\n");
	static const struct {
		const char *name;
		enum facts_kind kind;
	} kinds[] = {
		{ "a.net", FACTS_MX },         { "addr.net", FACTS_ADDRESS },
		{ "null.net", FACTS_NULL_MX }, { "nx.net", FACTS_NOTHING },
		{ "fail.net", FACTS_FAILED },  { "absent.net", FACTS_FAILED },
		{ "half.net", FACTS_MX },      { "text.net", FACTS_FAILED },
	};
	struct domain_facts *f;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		f = answer(d, RESOLVER_DOMAIN, kinds[i].name, NULL);
		if (f->kind != kinds[i].kind)
			fail_msg("%s: %d", kinds[i].name, f->kind);
		facts_free(f);
	}
	f = answer(d, RESOLVER_DOMAIN, "a.net", NULL);
	assert_int_equal(f->n_hosts, 2);
	assert_string_equal(f->hosts[0].name, "mx1.a.net");
	assert_int_equal(f->hosts[0].n_addrs, 2);
	assert_int_equal(f->hosts[1].preference, 20);
	assert_string_equal(f->hosts[1].canonical, "other.net");
	assert_int_equal(f->hosts[1].n_addrs, 1);
	facts_free(f);
	f = answer(d, RESOLVER_DOMAIN, "half.net", NULL);
	assert_int_equal(f->hosts[0].status, DNS_FAILED);
	facts_free(f);
	f = answer(d, RESOLVER_DOMAIN, "part.net", NULL);
	assert_int_equal(f->hosts[0].status, DNS_OK);
	assert_true(f->hosts[0].incomplete);
	facts_free(f);
	doors_close(d);
}

static void test_clients(void **state)
{
	struct doors *d =
		scene_doors("1.2.0.192.in-addr.arpa. PTR good.net.\ngood.net. A 192.0.2.1\n"
			    "2.2.0.192.in-addr.arpa. PTR liar.net.\nliar.net. A 192.0.2.9\n"
			    "3.2.0.192.in-addr.arpa. SERVFAIL\n");
	struct client_names *n = answer(d, RESOLVER_CLIENT, NULL, "192.0.2.1");

	assert_int_equal(n->n, 1);
	assert_string_equal(n->names[0], "good.net");
	facts_free(n);
	n = answer(d, RESOLVER_CLIENT, NULL, "192.0.2.2");
	assert_int_equal(n->n, 0);
	assert_int_equal(n->status, DNS_OK);
	facts_free(n);
	n = answer(d, RESOLVER_CLIENT, NULL, "192.0.2.3");
	assert_int_equal(n->status, DNS_FAILED);
	facts_free(n);
	n = answer(d, RESOLVER_CLIENT, NULL, "192.0.2.4");
	assert_int_equal(n->status, DNS_NXDOMAIN);
	facts_free(n);
	doors_close(d);
}

static void test_names(void **state)
{
	struct doors *d = scene_doors("a.net. A 192.0.2.1\nmail.a.net. A 192.0.2.2\n"
				      "mx.a.net. AAAA 2001:db8::3\n");
	struct door_names *n = answer(d, RESOLVER_NAMES, "a.net", NULL);

	assert_int_equal(n->n[DOOR_NAME_APEX], 1);
	assert_int_equal(n->n[DOOR_NAME_WWW], 0);
	assert_int_equal(n->n[DOOR_NAME_MAIL], 1);
	assert_int_equal(n->n[DOOR_NAME_OTHER], 1);
	facts_free(n);
	doors_close(d);
}

/* "STATUS RANGE... [LEFT OUT]" */
static const char *source_text(const struct egress_source *s)
{
	static const char *const status[] = { "known", "none", "failed" };
	static char out[4096];
	char lo[ADDR_STRLEN], hi[ADDR_STRLEN];
	size_t n = (size_t)snprintf(out, sizeof(out), "%s%s", status[s->status],
				    s->incomplete ? "?" : "");

	for (size_t i = 0; i < s->set.n; i++)
		n += (size_t)snprintf(out + n, sizeof(out) - n, " %s-%s",
				      addr_format(&s->set.ranges[i].lo, lo),
				      addr_format(&s->set.ranges[i].hi, hi));
	return out;
}

static const char sources_text[] =
	"a.net. 300 IN TXT \"v=spf1 ip4:192.0.2.0/24 \" \"include:b.net\" ; a comment\n"
	"a.net. TXT \"other text; # no comment\"\n"
	"B.net. TXT \"V=spf1 ip6:2001:db8::/32 a mx:c.net -all\"\nb.net. A 198.51.100.1\n"
	"c.net. MX 10 mx.c.net.\nmx.c.net. A 198.51.100.2\nmx.c.net. A 198.51.100.3\n"
	"escaped.net. TXT \"v=spf1 ip4:192.0.2.\\049 \\\"\\\\ \\; -all\"\n"
	"words.net. TXT v=spf1 ;\n"
	"alias.net. CNAME a.net.\n"
	"macro.net. TXT \"v=spf1 exists:%{i}.x ip4:192.0.2.1\"\n"
	"fail.net. SERVFAIL TXT\nincludes.net. TXT \"v=spf1 ip4:192.0.2.1 include:fail.net\"\n"
	"two.net. TXT \"v=spf1 a\"\ntwo.net. TXT \"v=spf1 mx\"\n"
	"twice.net. TXT \"v=spf1 ip4:192.0.2.1\"\ntwice.net. TXT \"v=spf1 \" ip4:192.0.2.1\n"
	"host.net. A 192.0.2.7\nhost.net. AAAA 2001:db8::7\n"
	"half.net. A 192.0.2.8\nhalf.net. SERVFAIL AAAA\n"
	"gone.net. NXDOMAIN\nnodata.net. NODATA\n";

static const struct {
	const char *key, *want;
} sources[] = {
	{ "spf:a.net", "known 192.0.2.0-192.0.2.255 198.51.100.1-198.51.100.1 "
		       "198.51.100.2-198.51.100.2 198.51.100.3-198.51.100.3 "
		       "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff" },
	{ "spf:alias.net", "known 192.0.2.0-192.0.2.255 198.51.100.1-198.51.100.1 "
			   "198.51.100.2-198.51.100.2 198.51.100.3-198.51.100.3 "
			   "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff" },
	{ "spf:escaped.net", "known? 192.0.2.1-192.0.2.1" },
	{ "spf:words.net", "known" },
	{ "spf:macro.net", "known? 192.0.2.1-192.0.2.1" },
	{ "spf:fail.net", "failed?" },
	{ "spf:includes.net", "failed? 192.0.2.1-192.0.2.1" },
	{ "spf:two.net", "failed?" },
	{ "spf:twice.net", "known 192.0.2.1-192.0.2.1" },
	{ "spf:host.net", "none" },
	{ "spf:gone.net", "none" },
	{ "spf:nodata.net", "none" },
	{ "spf:not-in-the-file.net", "failed?" },
	{ "host:host.net", "known 192.0.2.7-192.0.2.7 2001:db8::7-2001:db8::7" },
	{ "host:half.net", "failed? 192.0.2.8-192.0.2.8" },
	{ "host:a.net", "none" },
	{ "host:absent.net", "failed?" },
	{ "exists:host.net", "known" },
	{ "exists:a.net", "none" },
	{ "exists:absent.net", "failed?" },
};

static void test_sources(void **state)
{
	struct doors *d = scene_doors(sources_text);

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		struct egress_source *s = answer(d, RESOLVER_SOURCE, sources[i].key, NULL);

		if (strcmp(source_text(s), sources[i].want) != 0)
			fail_msg("%s: %s", sources[i].key, source_text(s));
		assert_string_equal(s->key, sources[i].key);
		facts_free(s);
	}
	doors_close(d);
}

/* Each of them alone in a file that was written of it; of one that failed nothing is known then. */
static void test_sources_round(void **state)
{
	struct doors *first = scene_doors(sources_text), *second;

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		struct doors_question q = { .kind = RESOLVER_SOURCE, .domain = sources[i].key };
		struct egress_source *s;
		char *written = NULL;
		size_t size;
		FILE *out = open_memstream(&written, &size);
		bool failed = strncmp(sources[i].want, "failed", 6) == 0;

		doors_ask(first, &q, 1, NULL, NULL);
		doors_write(out, &q);
		fclose(out);
		second = scene_doors(written);
		s = answer(second, RESOLVER_SOURCE, sources[i].key, NULL);
		if (strcmp(source_text(s), failed ? "failed?" : sources[i].want) != 0)
			fail_msg("%s: %s\n%s", sources[i].key, source_text(s), written);
		facts_free(s);
		facts_free(q.answer);
		doors_close(second);
		free(written);
	}
	doors_close(first);
}

/* A set that is no list of prefixes any more is written as prefixes again. */
static void test_range_round(void **state)
{
	struct addr_range range = { scene_addr("192.0.2.3"), scene_addr("192.0.2.200") };
	struct egress_source s = { .key = "spf:a.net", .left_out = "" }, *again;
	char *written = NULL;
	size_t size;
	FILE *out = open_memstream(&written, &size);
	struct addr inside = scene_addr("192.0.2.0");
	struct doors *d;

	prefix_set_init(&s.set);
	prefix_set_add_range(&s.set, &range);
	prefix_set_seal(&s.set);
	doors_write(out, &(struct doors_question) {
				 .kind = RESOLVER_SOURCE, .domain = s.key, .answer = &s });
	fclose(out);
	d = scene_doors(written);
	again = answer(d, RESOLVER_SOURCE, s.key, NULL);
	for (int i = 0; i < 256; i++) {
		inside.b[15] = (uint8_t)i;
		assert_int_equal(prefix_set_contains(&again->set, &inside), i >= 3 && i <= 200);
	}
	facts_free(again);
	prefix_set_deinit(&s.set);
	doors_close(d);
	free(written);
}

/* What the judge asks with: wanted, asked for once, kept, and after too many rounds failed. */
static void test_egress(void **state)
{
	struct doors *d = scene_doors(sources_text);
	struct egress e = { 0 };
	char *written = NULL;
	size_t size;
	FILE *out = open_memstream(&written, &size);

	assert_null(egress_find(&e, "spf:a.net"));
	assert_int_equal(egress_want(&e, "spf:a.net"), 0);
	assert_int_equal(egress_want(&e, "spf:a.net"), 0);
	assert_int_equal(egress_want(&e, "spf:absent.net"), 0);
	assert_int_equal(e.n_wanted, 2);
	assert_null(egress_find(&e, "spf:a.net"));
	assert_int_equal(egress_ask(&e, d, NULL, NULL, NULL), 0);
	assert_false(egress_wants(&e));
	assert_int_equal(egress_find(&e, "spf:a.net")->set.n, 5);
	assert_int_equal(egress_find(&e, "spf:absent.net")->status, SOURCE_FAILED);
	assert_null(egress_find(&e, "spf:b.net"));
	egress_write(&e, out);
	fclose(out);
	assert_non_null(strstr(written, "a.net. TXT \"v=spf1\" \" ip4:192.0.2.0/24\""));
	assert_non_null(strstr(written, "absent.net. SERVFAIL TXT\n"));
	while (e.rounds < EGRESS_ROUNDS)
		assert_int_equal(egress_ask(&e, d, NULL, NULL, NULL), 0);
	assert_int_equal(egress_find(&e, "spf:b.net")->status, SOURCE_FAILED);
	egress_deinit(&e);
	doors_close(d);
	free(written);
}

/* Of mail that is judged as it comes: answers live as long as they may. */
static void test_egress_expires(void **state)
{
	struct doors *d = scene_doors(sources_text);
	struct egress e = { 0 };

	clock_fake(1000000, 0);
	egress_want(&e, "spf:a.net");
	egress_want(&e, "spf:fail.net");
	assert_int_equal(egress_ask(&e, d, NULL, NULL, NULL), 0);
	egress_forget(&e);
	assert_false(egress_wants(&e));
	clock_fake(1011000, 0);
	egress_forget(&e);
	assert_int_equal(e.n_wanted, 1);
	assert_null(egress_find(&e, "spf:fail.net"));
	assert_non_null(egress_find(&e, "spf:a.net"));
	assert_int_equal(egress_ask(&e, d, NULL, NULL, NULL), 0);
	assert_int_equal(egress_find(&e, "spf:fail.net")->status, SOURCE_FAILED);
	egress_deinit(&e);
	doors_close(d);
	clock_fake(-1, -1);
}

/* Where the file says nothing, what is shipped does; it is not written into files. */
static void test_egress_shipped(void **state)
{
	static const char key[] = "spf:spf.protection.outlook.com";
	struct doors *d = scene_doors(sources_text);
	const struct egress_source *s;
	struct egress e = { 0 };
	char *written = NULL;
	size_t size;
	FILE *out = open_memstream(&written, &size);

	egress_want(&e, key);
	egress_want(&e, "spf:absent.net");
	assert_int_equal(egress_ask(&e, d, catalogue_shipped(), NULL, NULL), 0);
	s = egress_find(&e, key);
	assert_int_equal(s->status, SOURCE_KNOWN);
	assert_true(s->fallback && s->set.n > 0);
	assert_int_equal(egress_find(&e, "spf:absent.net")->status, SOURCE_FAILED);
	egress_write(&e, out);
	fclose(out);
	assert_string_equal(written, "absent.net. SERVFAIL TXT\n");
	egress_deinit(&e);
	doors_close(d);
	free(written);
}

/* Written and read again it says the same. */
static void test_round(void **state)
{
	static const char text[] =
		"a.net. MX 10 mx1.a.net.\nmx1.a.net. A 192.0.2.1\n"
		"null.net. MX 0 .\nnx.net. NXDOMAIN\nfail.net. SERVFAIL\n"
		"al.net. MX 1 mx.al.net.\nmx.al.net. CNAME c.net.\nc.net. A 192.0.2.7\n"
		"addr.net. AAAA 2001:db8::7\n"
		"1.2.0.192.in-addr.arpa. PTR mx1.a.net.\n"
		"empty.net. NODATA\n"
		/* a host without addresses, one that is a domain, too, one that does not exist */
		"none.net. MX 5 h1.none.net.\nnone.net. MX 5 h2.none.net.\nnone.net. MX 6 "
		"nx.net.\nh1.none.net. NODATA\nh2.none.net. MX 5 mx1.a.net.\n"
		/* one family of a host failed; it is a domain by its address, too */
		"part.net. MX 1 host.net.\nhost.net. A 192.0.2.8\nhost.net. SERVFAIL AAAA\n"
		/* a failed domain whose address as a host is known */
		"uses.net. MX 1 bad.net.\nbad.net. A 192.0.2.6\nbad.net. SERVFAIL MX\n"
		"two.net. MX 0 .\ntwo.net. MX 1 mx1.a.net.\ntwo.net. MX 2 mx1.a.net.\n"
		"9.2.0.192.in-addr.arpa. SERVFAIL\n";
	static const char *const domains[] = { "a.net",    "null.net", "nx.net",   "fail.net",
					       "al.net",   "addr.net", "none.net", "h2.none.net",
					       "part.net", "host.net", "uses.net", "bad.net",
					       "two.net",  "empty.net" };
	struct doors *first = scene_doors(text), *second;
	char *written = NULL;
	size_t size;
	FILE *out = open_memstream(&written, &size);

	for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
		struct doors_question q = { .kind = RESOLVER_DOMAIN, .domain = domains[i] };

		doors_ask(first, &q, 1, NULL, NULL);
		doors_write(out, &q);
		facts_free(q.answer);
	}
	for (int i = 1; i < 10; i += 8) {
		struct doors_question q = { .kind = RESOLVER_CLIENT };
		char client[32];

		snprintf(client, sizeof(client), "192.0.2.%d", i);
		q.client = scene_addr(client);
		doors_ask(first, &q, 1, NULL, NULL);
		doors_write(out, &q);
		facts_free(q.answer);
	}
	fclose(out);
	second = scene_doors(written);
	for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
		struct domain_facts *a = answer(first, RESOLVER_DOMAIN, domains[i], NULL);
		struct domain_facts *b = answer(second, RESOLVER_DOMAIN, domains[i], NULL);

		if (a->kind != b->kind || a->nxdomain != b->nxdomain || a->n_hosts != b->n_hosts)
			fail_msg("%s", domains[i]);
		for (size_t k = 0; k < a->n_hosts; k++) {
			assert_string_equal(a->hosts[k].canonical, b->hosts[k].canonical);
			if (a->hosts[k].status != b->hosts[k].status ||
			    a->hosts[k].incomplete != b->hosts[k].incomplete)
				fail_msg("%s of %s", a->hosts[k].name, domains[i]);
			assert_int_equal(a->hosts[k].n_addrs, b->hosts[k].n_addrs);
			assert_memory_equal(a->hosts[k].addrs, b->hosts[k].addrs,
					    a->hosts[k].n_addrs * sizeof(struct addr));
		}
		facts_free(a);
		facts_free(b);
	}
	struct client_names *n = answer(second, RESOLVER_CLIENT, NULL, "192.0.2.9");

	assert_int_equal(n->status, DNS_FAILED);
	facts_free(n);
	free(written);
	doors_close(first);
	doors_close(second);
}

/* What the records of other names of one domain say of it. */
static void test_sets(void **state)
{
	struct doors *d =
		scene_doors("two.net. MX 0 .\ntwo.net. MX 7 b.net.\ntwo.net. MX 7 a.net.\ntwo.net. "
			    "MX 9 a.net.\n"
			    "here.net. A 192.0.2.1\nhere.net. NXDOMAIN\n"
			    "2.2.0.192.in-addr.arpa. PTR slow.net.\nslow.net. SERVFAIL\n");
	struct domain_facts *f = answer(d, RESOLVER_DOMAIN, "two.net", NULL);
	struct client_names *n = answer(d, RESOLVER_CLIENT, NULL, "192.0.2.2");

	assert_int_equal(f->n_hosts, 2);
	assert_string_equal(f->hosts[0].name, "a.net");
	assert_string_equal(f->hosts[1].name, "b.net");
	facts_free(f);
	f = answer(d, RESOLVER_DOMAIN, "here.net", NULL);
	assert_int_equal(f->kind, FACTS_ADDRESS);
	facts_free(f);
	assert_int_equal(n->status, DNS_FAILED); /* its address may lead back */
	facts_free(n);
	doors_close(d);
}

/* Strangers choose the names of MX hosts and clients. */
static void test_hostile_names(void **state)
{
	static const char *const hostile[] = {
		"#", ";x", "a;b.net", "a#b", "\\.net", "10", "\"q\""
	};

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		struct addr a = scene_addr("192.0.2.1");
		struct dns_host host = {
			.name = hostile[i], .canonical = hostile[i], .n_addrs = 1, .addrs = &a
		};
		struct domain_facts facts = {
			.kind = FACTS_MX, .n_hosts = 1, .domain = "a.net", .hosts = &host
		};
		struct client_names names = { .n = 1, .names = &hostile[i] };
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		struct domain_facts *f;
		struct client_names *n;
		struct doors *d;

		doors_write(out, &(struct doors_question) { .kind = RESOLVER_DOMAIN,
							    .domain = "a.net",
							    .answer = &facts });
		doors_write(out, &(struct doors_question) {
					 .kind = RESOLVER_CLIENT, .client = a, .answer = &names });
		fclose(out);
		d = scene_doors(text);
		f = answer(d, RESOLVER_DOMAIN, "a.net", NULL);
		n = answer(d, RESOLVER_CLIENT, NULL, "192.0.2.1");
		if (f->kind != FACTS_MX || f->n_hosts != 1 || f->hosts[0].n_addrs != 1 || n->n != 1)
			fail_msg("%s", text);
		facts_free(f);
		facts_free(n);
		doors_close(d);
		free(text);
	}
}

static void test_faults(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "a.net", ":1: no record; accepted: NAME [TTL] [IN] MX" },
		{ "ok.net. A 192.0.2.1\na.net SRV x", ":2: no record" },
		{ "a.net MX mx.a.net", ":1: no preference" },
		{ "a.net MX 70000 mx.a.net", ":1: no preference" },
		{ "a.net MX 10", ":1: no name" },
		{ "a.net A 2001:db8::1", ":1: no address of that family" },
		{ "a.net AAAA 192.0.2.1", ":1: no address of that family" },
		{ "a.net SERVFAIL CNAME", ":1: no type; accepted: NAME SERVFAIL [" },
		{ "a.net TXT", ":1: no text; accepted: NAME TXT" },
		{ "a.net TXT \"v=spf1", ":1: no text" },
		{ "a.net TXT \"v=spf1\\\"", ":1: no text" },
		{ "a.net A 192.0.2.1 more", ":1: no record" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char file[] = "/tmp/frontdoor-doors-XXXXXX", *told = NULL;
		size_t size;
		FILE *err = open_memstream(&told, &size);
		int fd = mkstemp(file);
		struct doors *d;

		assert_int_equal(write(fd, cases[i].text, strlen(cases[i].text)),
				 strlen(cases[i].text));
		close(fd);
		assert_int_equal(doors_open_file(file, err, &d), -EINVAL);
		fclose(err);
		unlink(file);
		if (!strstr(told, cases[i].want))
			fail_msg("%s: %s", cases[i].text, told);
		free(told);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domains),        cmocka_unit_test(test_clients),
		cmocka_unit_test(test_names),          cmocka_unit_test(test_round),
		cmocka_unit_test(test_faults),         cmocka_unit_test(test_sets),
		cmocka_unit_test(test_hostile_names),  cmocka_unit_test(test_sources),
		cmocka_unit_test(test_sources_round),  cmocka_unit_test(test_range_round),
		cmocka_unit_test(test_egress),         cmocka_unit_test(test_egress_expires),
		cmocka_unit_test(test_egress_shipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
