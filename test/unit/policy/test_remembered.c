/* What is remembered of a set of hosts changes no verdict: whatever it rests on changes, the
 * verdict is the one that facts get of which nothing may be remembered. */
#include "fixture.h"

#define NOW (1000 * 1000LL)

static const struct addr *addr_at(const char *text)
{
	static struct addr addrs[8];
	static size_t n;

	addrs[n] = address(text);
	return &addrs[n++];
}

static void assert_same(const struct decision *a, const struct decision *b)
{
	assert_int_equal(a->door_known, b->door_known);
	assert_int_equal(a->door, b->door);
	assert_int_equal(a->grade, b->grade);
	assert_int_equal(a->finding, b->finding);
	assert_int_equal(a->wanted, b->wanted);
	assert_int_equal(a->action, b->action);
	assert_int_equal(a->restraint, b->restraint);
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->own_front_door, b->own_front_door);
	assert_string_equal(a->scanner, b->scanner);
	assert_string_equal(a->mx, b->mx);
}

/* Several times, so that it is remembered and then recalled. */
static struct decision decide_again(const struct decide_facts *facts)
{
	struct domain_facts dns = *facts->dns;
	struct decide_facts fresh = *facts;
	struct decision expected, got;

	dns.hosts_serial = 0;
	fresh.dns = &dns;
	assert_int_equal(decide(&fresh, &expected), DECIDE_DONE);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(decide(facts, &got), DECIDE_DONE);
		assert_same(&got, &expected);
	}
	return got;
}

struct world {
	struct policy policy;
	struct memory *memory;
	struct dns_host hosts[2];
	struct domain_facts dns;
	struct client_names nameless;
	struct decide_facts facts;
};

static void world_init(struct world *w)
{
	*w = (struct world) {
		.policy = { .generation = policy_next_generation(),
			    .action = ACTION_REJECT,
			    .guessed_action = ACTION_OBSERVE,
			    .stale_max_ms = 3600 * 1000,
			    .server_addresses_given = true,
			    .catalogue = catalogue_shipped() },
		.hosts = { { .name = "mx1.guess.example",
			     .canonical = "mx1.guess.example",
			     .preference = 10,
			     .n_addrs = 1,
			     .addrs = addr_at("198.51.101.1"),
			     .ptr = "" },
			   { .name = "mx2.other.example",
			     .canonical = "mx2.other.example",
			     .preference = 20,
			     .n_addrs = 1,
			     .addrs = addr_at("198.51.101.2"),
			     .ptr = "" } },
		.dns = { .kind = FACTS_MX,
			 .fetched_ms = NOW - 1000,
			 .expires_ms = NOW + 1000,
			 .confirmed_ms = -1,
			 .n_hosts = 2,
			 .hosts_serial = 7,
			 .domain = "example.org",
			 .hosts = w->hosts },
		.nameless = { .status = DNS_NXDOMAIN },
		.facts = { .policy = &w->policy,
			   .server = address("203.0.113.25"),
			   .client = address("192.0.2.7"),
			   .shape = RCPT_DOMAIN,
			   .domain = "example.org",
			   .dns = &w->dns,
			   .names = &w->nameless,
			   .now_ms = NOW },
	};
	map_init(&w->policy.domains);
	assert_int_equal(memory_new(&w->memory), 0);
	assert_int_equal(memory_hosted_add(w->memory, SV("example.org")), 0);
	memory_scanner_heard(w->memory, "guess.example", NOW);
	memory_scanner_heard(w->memory, "other.example", NOW);
	w->facts.memory = w->memory;
}

static void test_memory_changes(void **state)
{
	const struct prefix_set none = { .sealed = true };
	struct prefix_set client = PREFIXES("192.0.2.0/24");
	struct world w;

	world_init(&w);
	assert_int_equal(decide_again(&w.facts).grade, GRADE_GUESSED);
	memory_scanner_set_proven(w.memory, "guess.example", true, &none);
	assert_int_equal(decide_again(&w.facts).grade, GRADE_GUESSED);
	memory_scanner_set_proven(w.memory, "other.example", true, &none);
	assert_int_equal(decide_again(&w.facts).action, ACTION_REJECT);
	memory_scanner_set_proven(w.memory, "other.example", true, &client);
	assert_int_equal(decide_again(&w.facts).restraint, RESTRAINT_RIVAL);
	memory_scanner_set_quiet(w.memory, "guess.example", true);
	assert_int_equal(decide_again(&w.facts).action, ACTION_DEFER);
	memory_scanner_set_settled(w.memory, "other.example", &client, &none);
	assert_int_equal(decide_again(&w.facts).finding, FINDING_PASS);
	memory_scanner_set_settled(w.memory, "other.example", &none, &none);
	memory_scanner_set_proven(w.memory, "other.example", false, &none);
	assert_int_equal(decide_again(&w.facts).grade, GRADE_GUESSED);
	prefix_set_deinit(&client);
	memory_free(w.memory);
}

static void test_all_else_changes(void **state)
{
	static char *mx[] = { "*.guess.example", "*.other.example" };
	struct scanner named = { .name = "named", .mx = mx, .n_mx = 2, .egress_mx = true };
	struct prefix_set interfaces = PREFIXES("198.51.101.2/32");
	struct world w, other;

	world_init(&w);
	assert_int_equal(decide_again(&w.facts).door, DOOR_SCANNER);
	/* who we are */
	w.facts.server = *w.hosts[0].addrs;
	assert_int_equal(decide_again(&w.facts).door, DOOR_SELF);
	w.facts.server = address("203.0.113.25");
	w.facts.interfaces = &interfaces;
	assert_int_equal(decide_again(&w.facts).door, DOOR_BACKUP);
	w.facts.interfaces = NULL;
	/* what DNS said, at the same place */
	w.hosts[0].name = w.hosts[0].canonical = "mx1.third.example";
	w.dns.hosts_serial = 8;
	assert_string_equal(decide_again(&w.facts).scanner, "third.example");
	w.dns.hosts_serial = 8 + 256; /* takes the other's place */
	w.hosts[0].name = w.hosts[0].canonical = "mx1.guess.example";
	assert_string_equal(decide_again(&w.facts).scanner, "guess.example");
	w.dns.kind = FACTS_ADDRESS;
	assert_int_equal(decide_again(&w.facts).door, DOOR_ELSEWHERE);
	w.dns.kind = FACTS_MX;
	/* how old it is */
	w.dns.stale = true;
	w.facts.now_ms = NOW + 2 * 3600 * 1000;
	assert_int_equal(decide_again(&w.facts).door, DOOR_DNS);
	w.facts.now_ms = NOW;
	assert_int_equal(decide_again(&w.facts).door, DOOR_SCANNER);
	/* what the operator says */
	world_init(&other);
	other.policy.scanners = &named;
	other.policy.n_scanners = 1;
	w.facts.policy = &other.policy;
	assert_string_equal(decide_again(&w.facts).scanner, "named");
	prefix_set_deinit(&interfaces);
	memory_free(w.memory);
	memory_free(other.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_changes),
		cmocka_unit_test(test_all_else_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
