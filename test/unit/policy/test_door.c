/* The door table of doc/events.md, row by row, and which addresses are the server's. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define OURS "203.0.113.25"

/*
 * An MX set as text: "PREF NAME ADDRESS...", hosts apart by ';'. "!" as an address: the look-up
 * failed; "?": of one family only.
 */
static struct dns_host *hosts_of(const char *text, uint16_t *ret_n)
{
	struct dns_host *hosts = calloc(8, sizeof(*hosts));
	char *copy = strdup(text), *save, *save_host;
	uint16_t n = 0;

	for (char *part = strtok_r(copy, ";", &save); part; part = strtok_r(NULL, ";", &save)) {
		struct addr *addrs = calloc(8, sizeof(*addrs));
		struct dns_host *h = &hosts[n++];

		h->preference = (uint16_t)atoi(strtok_r(part, " ", &save_host));
		h->name = h->canonical = strdup(strtok_r(NULL, " ", &save_host));
		h->status = DNS_NXDOMAIN;
		for (char *a; (a = strtok_r(NULL, " ", &save_host));) {
			if (*a == '!') {
				h->status = DNS_FAILED;
			} else if (*a == '?') {
				h->incomplete = true;
			} else {
				addrs[h->n_addrs++] = address(a);
				h->status = DNS_OK;
			}
		}
		h->addrs = addrs;
	}
	free(copy);
	*ret_n = n;
	return hosts;
}

static void hosts_free(struct dns_host *hosts, uint16_t n)
{
	for (unsigned i = 0; i < n; i++) {
		free((char *)hosts[i].name);
		free((struct addr *)hosts[i].addrs);
	}
	free(hosts);
}

static void test_table(void **state)
{
	static const struct {
		enum facts_kind facts;
		const char *hosts;
		enum door_kind door;
		int best;
	} rows[] = {
		{ FACTS_MX, "10 mx.acme.example 198.51.100.1", DOOR_SCANNER, 0 },
		{ FACTS_MX, "10 a.example 198.51.100.1 2001:db8::1;20 b.example 198.51.100.2",
		  DOOR_SCANNER, 0 },
		{ FACTS_MX, "20 b.example 198.51.100.2;10 a.example 198.51.100.1", DOOR_SCANNER,
		  1 },
		{ FACTS_MX, "10 mail.example " OURS, DOOR_SELF, -1 },
		{ FACTS_MX, "10 mail.example 198.51.100.9 " OURS, DOOR_SELF, -1 },
		{ FACTS_MX, "0 mail.example 2001:db8:25::1", DOOR_SELF, -1 },
		{ FACTS_MX, "10 a.example 198.51.100.1;10 mail.example " OURS, DOOR_SELF, 0 },
		{ FACTS_MX, "10 mail.example " OURS ";10 a.example 198.51.100.1", DOOR_SELF, 1 },
		{ FACTS_MX, "10 mail.example " OURS ";20 a.example 198.51.100.1", DOOR_SELF, 1 },
		{ FACTS_MX, "20 mail.example " OURS ";20 b.example 198.51.100.2;30 c.example " OURS,
		  DOOR_SELF, 1 },
		{ FACTS_MX, "10 a.example 198.51.100.1;20 mail.example " OURS, DOOR_BACKUP, 0 },
		{ FACTS_MX, "10 a.example !;20 mail.example " OURS, DOOR_BACKUP, 0 },
		{ FACTS_MX, "10 a.example;20 mail.example " OURS, DOOR_BACKUP, 0 },
		{ FACTS_MX, "10 mail.example !", DOOR_SCANNER, 0 },
		{ FACTS_MX, "10 mail.example", DOOR_SCANNER, 0 },
		{ FACTS_MX, "", DOOR_DNS, -1 }, /* never to be made; not "no MX" either */
		{ FACTS_ADDRESS, "0 example.org " OURS, DOOR_SELF, -1 },
		{ FACTS_ADDRESS, "0 example.org 198.51.100.7 192.0.2.99", DOOR_SELF, -1 },
		{ FACTS_ADDRESS, "0 example.org 198.51.100.7", DOOR_ELSEWHERE, -1 },
		{ FACTS_NULL_MX, "", DOOR_NULL, -1 },
		{ FACTS_NOTHING, "", DOOR_UNKNOWN, -1 },
		{ FACTS_FAILED, "", DOOR_DNS, -1 },
	};
	struct prefix_set interfaces = PREFIXES("192.0.2.99/32");
	struct policy policy = { .server_addresses = PREFIXES("2001:db8:25::/48") };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct domain_facts dns = { .kind = rows[i].facts, .confirmed_ms = -1 };
		struct decide_facts facts = { .policy = &policy,
					      .server = address(OURS),
					      .interfaces = &interfaces,
					      .dns = &dns };
		struct dns_host *hosts = hosts_of(rows[i].hosts, &dns.n_hosts);
		int best = 77;

		dns.hosts = hosts;
		enum door_kind door = door_classify(&facts, &best);

		if (door != rows[i].door || best != rows[i].best)
			fail_msg("%s: %s, best %d", rows[i].hosts, door_kind_name(door), best);
		assert_int_equal(door_classify(&facts, NULL), rows[i].door);
		hosts_free(hosts, dns.n_hosts);
	}
	prefix_set_deinit(&interfaces);
	prefix_set_deinit(&policy.server_addresses);
}

static void test_server_addresses(void **state)
{
	struct policy policy = { .server_addresses = PREFIXES("2001:db8:25::/48", "203.0.113.9") };
	struct prefix_set interfaces = PREFIXES("192.0.2.99/32");
	struct decide_facts facts = { .policy = &policy, .server = address("10.0.0.5") };
	static const char *const ours[] = { "10.0.0.5", "2001:db8:25:7::1", "203.0.113.9" };
	static const char *const others[] = { "10.0.0.6", "2001:db8:26::1", "203.0.113.8", "::" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		struct addr a = address(ours[i]);

		assert_true(server_address_is(&facts, &a));
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		struct addr a = address(others[i]);

		assert_false(server_address_is(&facts, &a));
	}
	struct addr iface = address("192.0.2.99"), none = { 0 };

	assert_false(server_address_is(&facts, &iface));
	facts.interfaces = &interfaces;
	assert_true(server_address_is(&facts, &iface));
	facts.server = none; /* not known: the address of nobody */
	assert_false(server_address_is(&facts, &none));
	prefix_set_deinit(&interfaces);
	prefix_set_deinit(&policy.server_addresses);
}

/* The last good door serves while it is younger than stale_max. */
static void test_stale(void **state)
{
	struct addr a = address("198.51.100.1");
	struct dns_host host = {
		.name = "mx.example", .canonical = "mx.example", .n_addrs = 1, .addrs = &a
	};
	struct policy policy = { .stale_max_ms = 1000 };
	struct domain_facts dns = {
		.kind = FACTS_MX, .stale = true, .fetched_ms = 5000, .n_hosts = 1, .hosts = &host
	};
	struct decide_facts facts = { .policy = &policy, .dns = &dns, .now_ms = 6000 };

	assert_int_equal(door_classify(&facts, NULL), DOOR_SCANNER);
	facts.now_ms = 6001;
	assert_int_equal(door_classify(&facts, NULL), DOOR_DNS);
	dns.stale = false;
	assert_int_equal(door_classify(&facts, NULL), DOOR_SCANNER);
}

/* Each scanner of a door once, with its first host; our own host is nobody's. */
static void test_scanners(void **state)
{
	struct domain_facts dns = { .kind = FACTS_MX };
	struct policy policy = { 0 };
	struct decide_facts facts = { .policy = &policy, .dns = &dns, .server = address(OURS) };
	struct dns_host *hosts = hosts_of("5 mail.b.example " OURS ";10 mx1.a.example 198.51.100.1;"
					  "10 mx2.a.example;20 mx.b.example 198.51.100.3;"
					  "30 mx3.a.example",
					  &dns.n_hosts);
	char name[DECISION_NAME_MAX];
	int host = -1;

	dns.hosts = hosts;
	assert_true(door_next_scanner(&facts, &host, name));
	assert_int_equal(host, 1);
	assert_string_equal(name, "a.example");
	assert_true(door_next_scanner(&facts, &host, name));
	assert_int_equal(host, 3);
	assert_string_equal(name, "b.example");
	assert_false(door_next_scanner(&facts, &host, name));
	hosts_free(hosts, dns.n_hosts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_server_addresses),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_scanners),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
