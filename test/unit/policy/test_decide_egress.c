/*
 * The verdict where it rests on whose an MX host is: owners of the catalogue and their sources,
 * each grade under each action, grace after a change, strict_backup, and who comes again and again.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW (100 * 86400 * 1000LL)

static const char providers[] =
	"id\tname\tkind\tmx_suffixes\tegress_spf\tegress_hosts\tegress_cidrs\tegress_ptr_suffixes\t"
	"source\tconfidence\n"
	"high\tHigh\tfilter\thigh.example\t_spf.high.example\tout.high.example\t198.51.100.0/25\t"
	"send.high.example\ttest\thigh\n"
	"medium\tMedium\tfilter\tmedium.example\t_spf.medium.example\t\t\t\ttest\tmedium\n"
	"bare\tBare\tfilter\tbare.example\t\t\t\t\ttest\thigh\n"
	"spf-tenant\tBound\tfilter\tbound.example\tall.bound.example\t\t\tbound."
	"example\ttest\thigh\n"
	"exists-tenant\tAsked\tfilter\tasked.example\tall.asked.example\t\t\t\ttest\thigh\n"
	"region\tRegions\tfilter\tregion.example\teu.spf.region.example us.spf.region.example"
	"\t\t\t\ttest\thigh\n";
static const char rules[] =
	"provider\tmx_regex\tderived_spf\tderived_ptr_regex\tmeasured\tsource\n"
	"spf-tenant\t^mx-([0-9a-f]+)\\.bound\\.example$\tspf-\\1.bound.example\t"
	"^out-\\1-[0-9]+\\.bound\\.example$\ttest\ttest\n"
	"exists-tenant\t^([0-9a-z]+)\\.asked\\.example$\texists:%{i}.spf.\\1.asked."
	"example\t\ttest\t"
	"test\n"
	"region\t^([a-z]+)-in\\.region\\.example$\t\\1.spf.region.example\t"
	"^\\1-out[0-9]\\.region\\.example$\ttest\ttest\n";

/* What a source is, by its key; what is not here has not been asked for, unless `known` says that
 * all have: then it does not exist. */
struct source_row {
	const char *key;
	enum source_status status;
	const char *prefix; /* NULL: none */
	bool incomplete, failed_part, stale, fallback;
};

/* One situation. */
struct scene {
	struct policy policy;
	struct memory *memory;
	struct domain_policy row;
	bool has_row;
	struct dns_host hosts[4], former[2];
	struct addr addrs[6];
	struct domain_facts dns;
	struct client_names names;
	const char *name;
	const struct source_row *sources;
	bool known; /* every source was asked for */
	int asked;  /* sources that decide() wanted */
	bool names_asked, confirm_asked;
	enum primary_state primary;
	struct addr primary_at; /* asked about */
	struct egress_source answer;
	struct decide_facts f;
};

static struct catalogue *catalogue;

static const struct egress_source *scene_source(void *user, const char *key)
{
	struct scene *s = user;

	prefix_set_deinit(&s->answer.set);
	s->answer = (struct egress_source) { .key = key, .status = SOURCE_NONE };
	prefix_set_init(&s->answer.set);
	for (const struct source_row *r = s->sources; r && r->key; r++) {
		if (strcmp(r->key, key) != 0)
			continue;
		s->answer.status = r->status;
		s->answer.incomplete = r->incomplete || r->failed_part;
		/* restored, from before the clock began */
		s->answer.fetched_ms = r->failed_part ? -1 : -5000;
		s->answer.stale = r->stale;
		s->answer.fallback = r->fallback;
		if (r->prefix)
			s->answer.set = PREFIXES(r->prefix);
		return &s->answer;
	}
	return s->known ? &s->answer : NULL;
}

static enum primary_state scene_primary(void *user, const struct addr *address)
{
	struct scene *s = user;

	s->primary_at = *address;
	return s->primary;
}

/* text: "PREF HOST ADDRESS; ..." */
static uint16_t scene_hosts(struct scene *s, struct dns_host *hosts, size_t first_addr,
			    const char *text)
{
	static char names[8][64];
	uint16_t n = 0;
	char address_text[64];
	unsigned preference;

	for (const char *at = text; at; at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL) {
		char *name = names[first_addr + n];

		assert_int_equal(sscanf(at, "%u %63s %63[^; ]", &preference, name, address_text),
				 3);
		s->addrs[first_addr + n] = address(address_text);
		hosts[n] = (struct dns_host) { .name = name,
					       .canonical = name,
					       .preference = (uint16_t)preference,
					       .n_addrs = 1,
					       .addrs = &s->addrs[first_addr + n] };
		n++;
	}
	return n;
}

static void scene_init(struct scene *s, const char *mx, const char *client, const char *name)
{
	*s = (struct scene) { .policy = { .action = ACTION_REJECT,
					  .guessed_action = ACTION_OBSERVE,
					  .on_dns_failure = ACTION_DEFER,
					  .on_unknown_domain = ACTION_PASS,
					  .shared_egress = ACTION_PASS,
					  .help_url = "",
					  .catalogue = catalogue,
					  .stale_max_ms = 7 * 86400 * 1000LL } };
	map_init(&s->policy.domains);
	assert_int_equal(memory_new(&s->memory), 0);
	assert_int_equal(memory_hosted_add(s->memory, SV("example.org")), 0);
	static const char *const heard[] = { "high",          "medium",        "bare",
					     "spf-tenant",    "exists-tenant", "region",
					     "nobody.example" };
	for (size_t i = 0; i < ARRAY_SIZE(heard); i++)
		memory_scanner_heard(s->memory, heard[i], NOW);
	s->dns = (struct domain_facts) { .kind = FACTS_MX,
					 .fetched_ms = NOW - 1000,
					 .confirmed_ms = NOW,
					 .domain = "example.org",
					 .hosts = s->hosts,
					 .former = s->former };
	s->dns.n_hosts = scene_hosts(s, s->hosts, 0, mx);
	s->name = name;
	s->names = (struct client_names) { .status = name ? DNS_OK : DNS_NXDOMAIN,
					   .n = name ? 1 : 0,
					   .names = &s->name };
	s->known = true;
	s->f = (struct decide_facts) { .policy = &s->policy,
				       .memory = s->memory,
				       .client = address(client),
				       .server = address("203.0.113.25"),
				       .shape = RCPT_DOMAIN,
				       .domain = "example.org",
				       .dns = &s->dns,
				       .now_ms = NOW,
				       .source = scene_source,
				       .primary = scene_primary,
				       .user = s };
}

static void scene_deinit(struct scene *s)
{
	prefix_set_deinit(&s->answer.set);
	memory_free(s->memory);
	map_deinit(&s->policy.domains, NULL);
}

static struct decision scene_decide(struct scene *s)
{
	struct decision d;

	if (s->has_row)
		assert_true(map_put(&s->policy.domains, SV("example.org"), &s->row, NULL) >= 0);
	for (int rounds = 0; rounds < 40; rounds++) {
		switch (decide(&s->f, &d)) {
		case DECIDE_DONE:
			return d;
		case DECIDE_NEEDS_CLIENT:
			assert_null(s->f.names);
			s->f.names = &s->names;
			s->names_asked = true;
			break;
		case DECIDE_NEEDS_SOURCE:
			assert_false(s->known);
			s->asked++;
			s->known = true;
			break;
		case DECIDE_NEEDS_CONFIRM:
			assert_false(s->f.confirm_tried);
			s->f.confirm_tried = s->confirm_asked = true;
			break;
		default:
			fail();
		}
	}
	fail_msg("decide() asks for ever");
	return d;
}

#define HIGH   "10 mx.high.example 192.0.2.1"
#define MEDIUM "10 mx.medium.example 192.0.2.2"
#define BARE   "10 mx.bare.example 192.0.2.3"
#define BOUND  "10 mx-a1.bound.example 192.0.2.4"
#define ASKED  "10 t7.asked.example 192.0.2.5"
#define NOBODY "10 mx.nobody.example 192.0.2.6"
#define REGION "10 eu-in.region.example 192.0.2.7"
#define BOT    "198.18.3.4"

/* ---- who is inside ---- */

static const struct source_row sources[] = {
	{ "spf:_spf.high.example", SOURCE_KNOWN, "198.51.101.0/24" },
	{ "host:out.high.example", SOURCE_KNOWN, "198.51.102.7/32" },
	{ "spf:_spf.medium.example", SOURCE_KNOWN, "198.51.103.0/24" },
	{ "spf:all.bound.example", SOURCE_KNOWN, "198.51.104.0/24" },
	{ "spf:spf-a1.bound.example", SOURCE_KNOWN, "198.51.105.0/24" },
	{ "spf:spf-b2.bound.example", SOURCE_KNOWN, "198.51.106.0/24" },
	{ "spf:all.asked.example", SOURCE_KNOWN, "198.51.107.0/24" },
	{ "spf:eu.spf.region.example", SOURCE_KNOWN, "198.51.110.0/24" },
	{ "spf:us.spf.region.example", SOURCE_KNOWN, "198.51.111.0/24" },
	{ "exists:198.51.108.9.spf.t7.asked.example", SOURCE_KNOWN, NULL },
	{ "exists:198.51.108.8.spf.t8.asked.example", SOURCE_KNOWN, NULL },
	{ NULL },
};

static void test_inside(void **state)
{
	static const struct {
		const char *mx, *client, *name;
		int reason; /* -1: direct */
		const char *scanner;
	} rows[] = {
		{ HIGH, "192.0.2.1", NULL, REASON_INGRESS, "high" },
		{ HIGH, "198.51.100.9", NULL, REASON_SHARED_EGRESS, "high" },
		{ HIGH, "198.51.101.9", NULL, REASON_SHARED_EGRESS, "high" },
		{ HIGH, "198.51.102.7", NULL, REASON_SHARED_EGRESS, "high" },
		{ HIGH, "198.51.102.8", NULL, -1, "high" },
		{ HIGH, BOT, "a.send.high.example", REASON_SHARED_EGRESS, "high" },
		/* a row with an egress of its own has no default one */
		{ HIGH, BOT, "a.high.example", -1, "high" },
		{ MEDIUM, "198.51.103.1", NULL, REASON_SHARED_EGRESS, "medium" },
		{ MEDIUM, "198.51.101.9", NULL, -1, "medium" },
		/* one without is no more than a name for the default egress */
		{ BARE, BOT, "out.bare.example", REASON_PTR, "bare" },
		{ BARE, BOT, "out.high.example", -1, "bare" },
		{ NOBODY, BOT, "out.nobody.example", REASON_PTR, "nobody.example" },
		/* the tenant's own, not what all of them send from */
		{ BOUND, "198.51.105.1", NULL, REASON_EGRESS, "spf-tenant" },
		{ BOUND, "198.51.104.1", NULL, -1, "spf-tenant" },
		{ BOUND, "198.51.106.1", NULL, -1, "spf-tenant" },
		{ BOUND, BOT, "out-a1-3.bound.example", REASON_PTR, "spf-tenant" },
		{ BOUND, BOT, "out-b2-3.bound.example", -1, "spf-tenant" },
		/* an MX of that provider that names no tenant: shared */
		{ "10 other.bound.example 192.0.2.9", "198.51.104.1", NULL, REASON_SHARED_EGRESS,
		  "spf-tenant" },
		{ "10 other.bound.example 192.0.2.9", BOT, "out-b2-3.bound.example",
		  REASON_SHARED_EGRESS, "spf-tenant" },
		/* a tenant that has no record of its own delivers from where all do */
		{ "10 mx-c3.bound.example 192.0.2.9", "198.51.104.1", NULL, REASON_SHARED_EGRESS,
		  "spf-tenant" },
		{ "10 mx-c3.bound.example 192.0.2.9", "198.51.105.1", NULL, -1, "spf-tenant" },
		{ "10 mx-c3.bound.example 192.0.2.9", BOT, "out-b2-3.bound.example",
		  REASON_SHARED_EGRESS, "spf-tenant" },
		{ "10 mx-c3.bound.example 192.0.2.9", BOT, "out-c3-3.bound.example", REASON_PTR,
		  "spf-tenant" },
		/* a region's is what all its customers send from */
		{ REGION, "198.51.110.1", NULL, REASON_SHARED_EGRESS, "region" },
		{ REGION, "198.51.111.1", NULL, -1, "region" },
		{ REGION, BOT, "eu-out1.region.example", REASON_SHARED_EGRESS, "region" },
		{ ASKED, "198.51.108.9", NULL, REASON_EGRESS, "exists-tenant" },
		{ ASKED, "198.51.108.8", NULL, -1, "exists-tenant" },
		{ ASKED, "198.51.107.1", NULL, -1, "exists-tenant" },
		/* the union over all hosts */
		{ HIGH ";20 mx.medium.example 192.0.2.2", "198.51.103.1", NULL,
		  REASON_SHARED_EGRESS, "medium" },
		{ HIGH ";20 mx.medium.example 192.0.2.2", "198.51.101.1", NULL,
		  REASON_SHARED_EGRESS, "high" },
		{ HIGH ";10 t7.asked.example 192.0.2.5;10 mx.nobody.example 192.0.2.6",
		  "198.51.108.9", NULL, REASON_EGRESS, "exists-tenant" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s;

		scene_init(&s, rows[i].mx, rows[i].client, rows[i].name);
		s.sources = sources;
		s.policy.guessed_action = ACTION_REJECT;
		struct decision d = scene_decide(&s);
		int reason = d.finding == FINDING_PASS ? (int)d.reason : -1;

		if (reason != rows[i].reason || strcmp(d.scanner, rows[i].scanner) != 0)
			fail_msg("row %zu: %s %s", i, reason_name(d.reason), d.scanner);
		assert_int_equal(d.own_front_door, reason >= 0);
		scene_deinit(&s);
	}
}

/* A source that nobody has asked for is wanted, but not when another one lets the client in; the
 * client's own comes last, its name after all of them. */
static void test_order(void **state)
{
	struct scene s;
	struct decision d;

	scene_init(&s, HIGH ";20 mx.medium.example 192.0.2.2", "198.51.103.1", NULL);
	s.sources = (const struct source_row[]) {
		{ "spf:_spf.medium.example", SOURCE_KNOWN, "198.51.103.0/24" }, { NULL }
	};
	s.known = false;
	d = scene_decide(&s);
	assert_int_equal(d.reason, REASON_SHARED_EGRESS);
	assert_int_equal(s.asked, 0);
	assert_false(s.names_asked);
	scene_deinit(&s);

	scene_init(&s, HIGH, BOT, NULL);
	s.known = false;
	assert_int_equal(decide(&s.f, &d), DECIDE_NEEDS_SOURCE);
	assert_string_equal(d.wanted_source, "spf:_spf.high.example");
	s.sources =
		(const struct source_row[]) { { "spf:_spf.high.example", SOURCE_NONE }, { NULL } };
	assert_int_equal(decide(&s.f, &d), DECIDE_NEEDS_SOURCE);
	assert_string_equal(d.wanted_source, "host:out.high.example");
	s.known = true;
	assert_int_equal(decide(&s.f, &d), DECIDE_NEEDS_CLIENT);
	scene_deinit(&s);

	scene_init(&s, ASKED, "2001:db8::1", NULL);
	s.known = false;
	assert_int_equal(decide(&s.f, &d), DECIDE_NEEDS_SOURCE);
	assert_string_equal(d.wanted_source,
			    "exists:2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
			    "0.0.0.0.0.0.0.1.spf.t7.asked.example");
	scene_deinit(&s);

	/* of a domain that isn't hosted what is about one client is not asked for */
	scene_init(&s, ASKED, BOT, NULL);
	s.f.domain = "relayed.example";
	s.known = false;
	assert_int_equal(decide(&s.f, &d), DECIDE_DONE);
	assert_int_equal(d.reason, REASON_NOT_HOSTED);
	scene_deinit(&s);
	scene_init(&s, HIGH, "198.51.101.9", NULL);
	s.f.domain = "relayed.example";
	s.known = false;
	assert_int_equal(decide(&s.f, &d), DECIDE_NEEDS_SOURCE);
	s.sources = sources;
	d = scene_decide(&s);
	assert_int_equal(d.reason, REASON_NOT_HOSTED);
	assert_true(d.own_front_door);
	scene_deinit(&s);

	/* who can't answer is not asked */
	scene_init(&s, HIGH, BOT, "x.example");
	s.f.source = NULL;
	assert_int_equal(scene_decide(&s).finding, FINDING_DIRECT);
	scene_deinit(&s);
}

/* Trouble with a source is trouble with DNS, never direct delivery: unless it doesn't matter. */
static void test_source_trouble(void **state)
{
	static const struct {
		struct source_row source;
		const char *client;
		enum finding finding;
		enum action action;
		enum restraint restraint;
		int code;
	} rows[] = {
		{ { "spf:_spf.high.example", SOURCE_FAILED },
		  BOT,
		  FINDING_DNS,
		  ACTION_DEFER,
		  RESTRAINT_NONE,
		  451 },
		{ { "spf:_spf.high.example", SOURCE_FAILED },
		  "198.51.100.9",
		  FINDING_PASS,
		  ACTION_PASS,
		  RESTRAINT_NONE,
		  0 },
		{ { "spf:_spf.high.example", SOURCE_KNOWN, "198.51.101.0/24", .failed_part = true },
		  BOT,
		  FINDING_DNS,
		  ACTION_DEFER,
		  RESTRAINT_NONE,
		  451 },
		{ { "spf:_spf.high.example", SOURCE_KNOWN, "198.51.101.0/24", .incomplete = true },
		  BOT,
		  FINDING_DIRECT,
		  ACTION_DEFER,
		  RESTRAINT_PARTIAL,
		  450 },
		{ { "spf:_spf.high.example", SOURCE_KNOWN, "198.51.101.0/24", .incomplete = true },
		  "198.51.101.5",
		  FINDING_PASS,
		  ACTION_PASS,
		  RESTRAINT_NONE,
		  0 },
		{ { "spf:_spf.high.example", SOURCE_KNOWN, "198.51.101.0/24", .stale = true },
		  BOT,
		  FINDING_DIRECT,
		  ACTION_DEFER,
		  RESTRAINT_STALE,
		  450 },
		{ { "spf:_spf.high.example", SOURCE_KNOWN, "198.51.101.0/24", .fallback = true },
		  BOT,
		  FINDING_DIRECT,
		  ACTION_DEFER,
		  RESTRAINT_STALE,
		  450 },
		{ { "spf:_spf.high.example", SOURCE_KNOWN, "198.51.101.0/24", .stale = true },
		  "198.51.101.5",
		  FINDING_PASS,
		  ACTION_PASS,
		  RESTRAINT_NONE,
		  0 },
		{ { "spf:_spf.high.example", SOURCE_NONE },
		  BOT,
		  FINDING_DIRECT,
		  ACTION_REJECT,
		  RESTRAINT_NONE,
		  550 },
	};
	struct prefix_set none;

	prefix_set_init(&none);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct source_row one[] = { rows[i].source, { NULL } };
		struct scene s;

		scene_init(&s, HIGH, rows[i].client, NULL);
		assert_int_equal(memory_scanner_set_proven(s.memory, "high", true, &none), 0);
		s.sources = one;
		struct decision d = scene_decide(&s);

		if (d.finding != rows[i].finding || d.action != rows[i].action ||
		    d.restraint != rows[i].restraint || d.code != rows[i].code)
			fail_msg("row %zu: %s %s '%s' %d", i, finding_name(d.finding),
				 action_name(d.action), restraint_name(d.restraint), d.code);
		scene_deinit(&s);
	}
}

/* ---- how sure ---- */

struct sure {
	const char *mx;
	bool proven;
	enum grade grade;
	enum action action, want;
	enum restraint restraint;
};

static void check_sure(const struct sure *row, size_t i)
{
	struct prefix_set none;
	struct scene s;

	prefix_set_init(&none);
	scene_init(&s, row->mx, BOT, NULL);
	s.policy.action = row->action;
	static const char *const names[] = { "high", "medium", "bare", "nobody.example" };
	for (size_t k = 0; row->proven && k < ARRAY_SIZE(names); k++)
		assert_int_equal(memory_scanner_set_proven(s.memory, names[k], true, &none), 0);
	struct decision d = scene_decide(&s);

	if (d.grade != row->grade || d.action != row->want || d.restraint != row->restraint)
		fail_msg("row %zu: %s %s '%s'", i, grade_name(d.grade), action_name(d.action),
			 restraint_name(d.restraint));
	assert_int_equal(d.wanted, row->action);
	scene_deinit(&s);
}

static void test_grades(void **state)
{
	static const struct sure rows[] = {
		{ HIGH, false, GRADE_LISTED, ACTION_OBSERVE, ACTION_OBSERVE, RESTRAINT_NONE },
		{ HIGH, false, GRADE_LISTED, ACTION_TAG, ACTION_TAG, RESTRAINT_NONE },
		{ HIGH, false, GRADE_LISTED, ACTION_DEFER, ACTION_DEFER, RESTRAINT_NONE },
		{ HIGH, false, GRADE_LISTED, ACTION_REJECT, ACTION_DEFER, RESTRAINT_LISTED },
		{ HIGH, false, GRADE_LISTED, ACTION_TARPIT, ACTION_DEFER, RESTRAINT_LISTED },
		{ HIGH, true, GRADE_PROVEN, ACTION_REJECT, ACTION_REJECT, RESTRAINT_NONE },
		{ HIGH, true, GRADE_PROVEN, ACTION_TARPIT, ACTION_TARPIT, RESTRAINT_NONE },
		{ HIGH, true, GRADE_PROVEN, ACTION_OBSERVE, ACTION_OBSERVE, RESTRAINT_NONE },
		{ MEDIUM, false, GRADE_GUESSED, ACTION_REJECT, ACTION_OBSERVE, RESTRAINT_GUESSED },
		{ MEDIUM, false, GRADE_GUESSED, ACTION_OBSERVE, ACTION_OBSERVE, RESTRAINT_NONE },
		{ MEDIUM, true, GRADE_PROVEN, ACTION_REJECT, ACTION_REJECT, RESTRAINT_NONE },
		/* of high confidence, but it says nothing */
		{ BARE, false, GRADE_GUESSED, ACTION_REJECT, ACTION_OBSERVE, RESTRAINT_GUESSED },
		{ NOBODY, false, GRADE_GUESSED, ACTION_REJECT, ACTION_OBSERVE, RESTRAINT_GUESSED },
		{ NOBODY, true, GRADE_PROVEN, ACTION_DEFER, ACTION_DEFER, RESTRAINT_NONE },
		/* the weakest of several */
		{ HIGH ";20 mx.medium.example 192.0.2.2", false, GRADE_GUESSED, ACTION_REJECT,
		  ACTION_OBSERVE, RESTRAINT_GUESSED },
		{ HIGH ";20 mx.nobody.example 192.0.2.6", true, GRADE_PROVEN, ACTION_REJECT,
		  ACTION_REJECT, RESTRAINT_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_sure(&rows[i], i);
}

/* What the operator wrote wins over the catalogue, and a single scanner that is only listed makes a
 * door of configured ones a listed one. */
static void test_configured(void **state)
{
	static char *mx[] = { "*.high.example" }, *keys[] = { "spf:own.example" };
	struct scanner scanner = {
		.name = "ours", .mx = mx, .n_mx = 1, .sources = keys, .n_sources = 1
	};
	const struct source_row own[] = { { "spf:own.example", SOURCE_KNOWN, "198.51.109.0/24" },
					  { NULL } };
	static const struct {
		const char *mx, *client;
		enum grade grade;
		int code;
		enum reason reason;
	} rows[] = {
		{ HIGH, BOT, GRADE_CONFIGURED, 550, REASON_NOT_EGRESS },
		{ HIGH, "198.51.109.1", GRADE_CONFIGURED, 0, REASON_EGRESS },
		{ HIGH, "198.51.100.1", GRADE_CONFIGURED, 550, REASON_NOT_EGRESS },
		{ HIGH ";20 mx-a1.bound.example 192.0.2.4", BOT, GRADE_LISTED, 450,
		  REASON_NOT_EGRESS },
		{ HIGH ";20 mx.nobody.example 192.0.2.6", BOT, GRADE_GUESSED, 0,
		  REASON_NOT_EGRESS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s;

		scene_init(&s, rows[i].mx, rows[i].client, NULL);
		memory_scanner_heard(s.memory, "ours", NOW);
		s.policy.scanners = &scanner;
		s.policy.n_scanners = 1;
		s.sources = own;
		struct decision d = scene_decide(&s);

		if (d.grade != rows[i].grade || d.code != rows[i].code ||
		    d.reason != rows[i].reason)
			fail_msg("row %zu: %s %d %s", i, grade_name(d.grade), d.code,
				 reason_name(d.reason));
		scene_deinit(&s);
	}
}

/* Less than reject, whatever the grade. */
static void test_restraints(void **state)
{
	struct prefix_set rival = PREFIXES("198.18.3.0/24"), none;
	struct scene s;
	struct decision d;

	prefix_set_init(&none);
	for (int what = 0; what < 4; what++) {
		static const enum restraint want[] = { RESTRAINT_QUIET, RESTRAINT_RIVAL,
						       RESTRAINT_NONE, RESTRAINT_NONE };

		scene_init(&s, HIGH, BOT, NULL);
		assert_int_equal(memory_scanner_set_proven(s.memory, "high", true,
							   what == 0 ? &none : &rival),
				 0);
		if (what == 0)
			memory_scanner_set_quiet(s.memory, "high", true);
		if (what == 2) /* the operator knows that it is none of the scanner's */
			assert_int_equal(
				memory_scanner_set_settled(s.memory, "high", &none, &rival), 0);
		if (what == 3)
			assert_int_equal(
				memory_scanner_set_settled(s.memory, "high", &rival, &none), 0);
		d = scene_decide(&s);
		assert_int_equal(d.restraint, want[what]);
		assert_int_equal(d.code, what < 2 ? 450 : what == 2 ? 550 : 0);
		if (what == 3) {
			assert_int_equal(d.reason, REASON_EGRESS);
			assert_true(d.own_front_door);
		}
		scene_deinit(&s);
	}
	prefix_set_deinit(&rival);
}

/* One whose egress has grown is guessed again, whatever the catalogue says of it. */
static void test_grown(void **state)
{
	struct prefix_set rival = PREFIXES("198.18.3.0/24");
	static const struct {
		const char *client, *name;
	} rows[] = { { BOT, "out.high.example" }, { "198.18.9.9", NULL } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s;

		scene_init(&s, HIGH, rows[i].client, rows[i].name);
		assert_int_equal(memory_scanner_set_proven(s.memory, "high", SCANNER_GROWN, &rival),
				 0);
		struct decision d = scene_decide(&s);

		assert_int_equal(d.grade, GRADE_GUESSED);
		assert_int_equal(d.code, 0);
		assert_int_equal(d.restraint, RESTRAINT_GUESSED);
		scene_deinit(&s);
	}
	prefix_set_deinit(&rival);
}

/* Before a 5xx the client's name is looked at: it may be the scanner's own, though names are no
 * part of what is known of its egress. */
static void test_name_before_reject(void **state)
{
	static const struct {
		const char *mx, *name;
		bool failed, asked;
		int code;
		enum restraint restraint;
	} rows[] = {
		{ MEDIUM, NULL, false, true, 550, RESTRAINT_NONE },
		{ MEDIUM, "bot.else.example", false, true, 550, RESTRAINT_NONE },
		{ MEDIUM, "out9.medium.example", false, true, 450, RESTRAINT_RIVAL },
		{ MEDIUM, NULL, true, true, 450, RESTRAINT_RIVAL },
		/* the operator's word needs none */
		{ "10 mx.ours.example 192.0.2.9", "out9.ours.example", false, false, 550,
		  RESTRAINT_NONE },
	};
	static char *mx[] = { "*.ours.example" };
	struct scanner scanner = { .name = "ours", .mx = mx, .n_mx = 1, .egress_mx = true };
	struct prefix_set none;

	prefix_set_init(&none);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s;

		scene_init(&s, rows[i].mx, BOT, rows[i].name);
		s.policy.scanners = &scanner;
		s.policy.n_scanners = 1;
		memory_scanner_heard(s.memory, "ours", NOW);
		assert_int_equal(memory_scanner_set_proven(s.memory, "medium", true, &none), 0);
		if (rows[i].failed)
			s.names.status = DNS_FAILED;
		struct decision d = scene_decide(&s);

		if (d.code != rows[i].code || d.restraint != rows[i].restraint ||
		    s.names_asked != rows[i].asked)
			fail_msg("row %zu: %d '%s'", i, d.code, restraint_name(d.restraint));
		scene_deinit(&s);
	}
}

/* ---- coming again ---- */

static void retry(struct scene *s)
{
	for (int i = 0; i < MEMORY_RETRIES; i++)
		(void)memory_retry(s->memory, "example.org", &s->f.client,
				   NOW - MEMORY_RETRY_MS + i * (MEMORY_RETRY_MS / 3));
}

/* Whoever has the scanner's own name is no worse off than others; whom the operator has denied gets
 * in by no patience. */
static void test_retries_of(void **state)
{
	static const struct {
		const char *mx, *scanner;
		enum scanner_standing standing;
		const char *name;
		bool held, denied, passes;
	} rows[] = {
		{ HIGH, "high", 0, "mta.honest.example", false, false, true },
		{ HIGH, "high", 0, "out9.high.example", false, false, true },
		{ HIGH, "high", 0, "out9.high.example", true, false, true },
		{ HIGH, "high", 0, "mta.honest.example", true, false, false },
		{ HIGH, "high", 0, "mta.honest.example", false, true, false },
		{ HIGH, "high", 0, "out9.high.example", true, true, false },
		{ HIGH, "high", SCANNER_PROVEN, "out9.high.example", true, false, false },
		{ HIGH, "high", SCANNER_PROVEN, "mta.honest.example", false, false, false },
		/* another tenant's host, or this one's by another number */
		{ BOUND, "spf-tenant", SCANNER_PROVEN, "out-b2-3.bound.example", false, false,
		  true },
		{ BOUND, "spf-tenant", SCANNER_PROVEN, "out-b2-3.bound.example", true, false,
		  true },
		{ BOUND, "spf-tenant", SCANNER_PROVEN, "out-b2-3.bound.example", true, true,
		  false },
		{ BOUND, "spf-tenant", SCANNER_PROVEN, "mta.honest.example", false, false, false },
	};
	struct prefix_set net = PREFIXES("198.18.3.0/24"), none;

	prefix_set_init(&none);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s;

		scene_init(&s, rows[i].mx, BOT, rows[i].name);
		s.sources = sources;
		retry(&s);
		assert_int_equal(memory_scanner_set_proven(s.memory, rows[i].scanner,
							   rows[i].standing,
							   rows[i].held ? &net : &none),
				 0);
		if (rows[i].denied)
			assert_int_equal(
				memory_scanner_set_settled(s.memory, rows[i].scanner, &none, &net),
				0);
		struct decision d = scene_decide(&s);

		if ((d.reason == REASON_RETRIED) != rows[i].passes ||
		    (d.code == 0) != rows[i].passes)
			fail_msg("row %zu: %s %d", i, reason_name(d.reason), d.code);
		assert_false(!rows[i].passes && d.retry_counts);
		scene_deinit(&s);
	}
	prefix_set_deinit(&net);
}

static void test_retries(void **state)
{
	struct prefix_set rival = PREFIXES("198.18.3.0/24");
	struct scene s;
	struct decision d;

	/* counted only for a client with a name, of a listed scanner, when it is deferred */
	scene_init(&s, HIGH, BOT, "mta.honest.example");
	d = scene_decide(&s);
	assert_true(d.retry_counts);
	assert_int_equal(d.code, 450);
	for (int i = 0; i < MEMORY_RETRIES; i++)
		(void)memory_retry(s.memory, "example.org", &s.f.client,
				   NOW - MEMORY_RETRY_MS + i * (MEMORY_RETRY_MS / 3));
	d = scene_decide(&s);
	assert_int_equal(d.reason, REASON_RETRIED);
	assert_int_equal(d.finding, FINDING_PASS);
	assert_int_equal(d.code, 0);
	assert_false(d.own_front_door);
	/* nobody gets in so that is a rival */
	assert_int_equal(memory_scanner_set_proven(s.memory, "high", false, &rival), 0);
	d = scene_decide(&s);
	assert_int_equal(d.code, 450);
	assert_false(d.retry_counts);
	scene_deinit(&s);

	static const struct {
		const char *mx, *name;
		enum action action;
		bool failed, counts;
	} rows[] = {
		{ HIGH, "mta.honest.example", ACTION_DEFER, false, true },
		{ HIGH, NULL, ACTION_REJECT, false, false },
		{ HIGH, NULL, ACTION_REJECT, true, false },
		{ HIGH, "mta.honest.example", ACTION_OBSERVE, false, false },
		{ MEDIUM, "mta.honest.example", ACTION_REJECT, false, false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scene_init(&s, rows[i].mx, BOT, rows[i].name);
		s.policy.action = rows[i].action;
		if (rows[i].failed)
			s.names.status = DNS_FAILED;
		assert_int_equal(scene_decide(&s).retry_counts, rows[i].counts);
		scene_deinit(&s);
	}
	prefix_set_deinit(&rival);
}

/* Names, and that there is no such record, of before DNS failed: good to let in, not to refuse. */
static void test_stale_knowledge(void **state)
{
	static const struct source_row stale_none[] = {
		{ .key = "spf:_spf.high.example", .status = SOURCE_NONE, .stale = true }, { 0 }
	};
	struct prefix_set none = { .sealed = true };

	for (int round = 0; round < 3; round++) {
		struct scene s;
		struct decision d;

		scene_init(&s, HIGH, BOT, "mta.honest.example");
		assert_int_equal(memory_scanner_set_proven(s.memory, "high", true, &none), 0);
		s.names.stale = round == 1;
		s.sources = round == 2 ? stale_none : NULL;
		d = scene_decide(&s);
		assert_int_equal(d.finding, FINDING_DIRECT);
		assert_int_equal(d.code, round ? 450 : 550);
		assert_int_equal(d.restraint, round ? RESTRAINT_STALE : RESTRAINT_NONE);
		scene_deinit(&s);
	}
}

/* ---- an address of all tenants ---- */

static void test_shared_egress(void **state)
{
	static const struct {
		const char *mx, *client;
		enum action shared, domain;
		bool observe_only;
		enum action want;
		enum reason reason;
	} rows[] = {
		{ HIGH, "198.51.101.9", ACTION_TAG, 0, false, ACTION_TAG, REASON_SHARED_EGRESS },
		{ HIGH, "198.51.101.9", ACTION_PASS, 0, false, ACTION_PASS, REASON_SHARED_EGRESS },
		{ HIGH, "198.51.101.9", ACTION_TAG, ACTION_OBSERVE, false, ACTION_PASS,
		  REASON_SHARED_EGRESS },
		{ HIGH, "198.51.101.9", ACTION_TAG, ACTION_REJECT, false, ACTION_TAG,
		  REASON_SHARED_EGRESS },
		{ HIGH, "198.51.101.9", ACTION_TAG, 0, true, ACTION_OBSERVE, REASON_SHARED_EGRESS },
		{ HIGH, "192.0.2.1", ACTION_TAG, 0, false, ACTION_PASS, REASON_INGRESS },
		{ BOUND, "198.51.105.1", ACTION_TAG, 0, false, ACTION_PASS, REASON_EGRESS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s;

		scene_init(&s, rows[i].mx, rows[i].client, NULL);
		s.sources = sources;
		s.policy.shared_egress = rows[i].shared;
		s.has_row = rows[i].domain != ACTION_UNSET;
		s.row.action = rows[i].domain;
		s.f.observe_only = rows[i].observe_only;
		struct decision d = scene_decide(&s);

		if (d.action != rows[i].want || d.reason != rows[i].reason)
			fail_msg("row %zu: %s %s", i, action_name(d.action), reason_name(d.reason));
		assert_int_equal(d.finding, FINDING_PASS);
		assert_int_equal(d.code, 0);
		assert_true(d.own_front_door);
		scene_deinit(&s);
	}
}

/* ---- domains.allow ---- */

static void test_allow_sources(void **state)
{
	static char *keys[] = { "spf:partner.example" };
	static const struct {
		struct source_row source;
		int code;
		enum reason reason;
	} rows[] = {
		{ { "spf:partner.example", SOURCE_KNOWN, "198.18.3.0/24" }, 0, REASON_ALLOWED },
		{ { "spf:partner.example", SOURCE_KNOWN, "198.18.4.0/24" },
		  450,
		  REASON_NOT_EGRESS },
		{ { "spf:partner.example", SOURCE_FAILED }, 451, REASON_DNS_FAILURE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct source_row one[] = { rows[i].source, { NULL } };
		struct scene s;

		scene_init(&s, HIGH, BOT, NULL);
		s.has_row = true;
		s.row.allow_sources = keys;
		s.row.n_allow_sources = 1;
		s.sources = one;
		struct decision d = scene_decide(&s);

		assert_int_equal(d.code, rows[i].code);
		assert_int_equal(d.reason, rows[i].reason);
		s.dns.kind = FACTS_NULL_MX; /* opens any kind of door */
		s.dns.n_hosts = 0;
		assert_int_equal(scene_decide(&s).code == 0, rows[i].code == 0);
		scene_deinit(&s);
	}
}

/* ---- grace ---- */

static void test_grace(void **state)
{
	static const struct {
		enum facts_kind kind, former_kind;
		const char *former;
		const char *client, *name;
		int64_t left_ms;
		int code;
		enum reason reason;
		enum restraint restraint;
	} rows[] = {
		/* from one scanner to another: the old one still delivers, others come again */
		{ FACTS_MX, FACTS_MX, HIGH, "192.0.2.1", NULL, 1, 0, REASON_GRACE, RESTRAINT_NONE },
		{ FACTS_MX, FACTS_MX, HIGH, "198.51.101.9", NULL, 1, 0, REASON_GRACE,
		  RESTRAINT_NONE },
		{ FACTS_MX, FACTS_MX, HIGH, BOT, "a.send.high.example", 1, 0, REASON_GRACE,
		  RESTRAINT_NONE },
		{ FACTS_MX, FACTS_MX, ASKED, "198.51.108.9", NULL, 1, 0, REASON_GRACE,
		  RESTRAINT_NONE },
		{ FACTS_MX, FACTS_MX, HIGH, BOT, NULL, 1, 450, REASON_NOT_EGRESS, RESTRAINT_GRACE },
		{ FACTS_MX, FACTS_MX, HIGH, "198.51.101.9", NULL, 0, 550, REASON_NOT_EGRESS,
		  RESTRAINT_NONE },
		/* from this server to a scanner */
		{ FACTS_MX, FACTS_MX, "10 mail.example.org 203.0.113.25", BOT, NULL, 1, 0,
		  REASON_GRACE, RESTRAINT_NONE },
		{ FACTS_MX, FACTS_ADDRESS, "0 example.org 203.0.113.25", BOT, NULL, 1, 0,
		  REASON_GRACE, RESTRAINT_NONE },
		{ FACTS_MX, FACTS_MX, HIGH ";20 mail.example.org 203.0.113.25", BOT, NULL, 1, 0,
		  REASON_GRACE, RESTRAINT_NONE },
		{ FACTS_MX, FACTS_ADDRESS, "0 example.org 192.0.2.7", "192.0.2.7", NULL, 1, 0,
		  REASON_GRACE, RESTRAINT_NONE },
		{ FACTS_MX, FACTS_ADDRESS, "0 example.org 192.0.2.7", BOT, NULL, 1, 450,
		  REASON_NOT_EGRESS, RESTRAINT_GRACE },
		/* nobody was let in before; but who has that in its cache comes again */
		{ FACTS_MX, FACTS_NULL_MX, NULL, BOT, NULL, 1, 450, REASON_NOT_EGRESS,
		  RESTRAINT_GRACE },
		/* to no mail at all */
		{ FACTS_NULL_MX, FACTS_MX, HIGH, "198.51.101.9", NULL, 1, 0, REASON_GRACE,
		  RESTRAINT_NONE },
		{ FACTS_NULL_MX, FACTS_MX, HIGH, BOT, NULL, 1, 450, REASON_NULL_MX,
		  RESTRAINT_GRACE },
		{ FACTS_NULL_MX, FACTS_MX, HIGH, BOT, NULL, 0, 556, REASON_NULL_MX,
		  RESTRAINT_NONE },
	};
	struct prefix_set none;

	prefix_set_init(&none);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s;

		scene_init(&s, MEDIUM, rows[i].client, rows[i].name);
		assert_int_equal(memory_scanner_set_proven(s.memory, "medium", true, &none), 0);
		s.sources = sources;
		s.dns.kind = rows[i].kind;
		if (rows[i].kind != FACTS_MX)
			s.dns.n_hosts = 0;
		s.dns.former_kind = rows[i].former_kind;
		s.dns.former_until_ms = NOW + rows[i].left_ms;
		if (rows[i].former)
			s.dns.n_former = scene_hosts(&s, s.former, 4, rows[i].former);
		struct decision d = scene_decide(&s);

		if (d.code != rows[i].code || d.reason != rows[i].reason ||
		    d.restraint != rows[i].restraint)
			fail_msg("row %zu: %d %s '%s'", i, d.code, reason_name(d.reason),
				 restraint_name(d.restraint));
		assert_false(d.own_front_door);
		scene_deinit(&s);
	}
}

/* ---- strict_backup ---- */

static void test_strict_backup(void **state)
{
	static const struct {
		bool strict;
		enum primary_state primary;
		enum action action;
		const char *client, *name;
		int code;
		enum reason reason;
	} rows[] = {
		{ false, PRIMARY_ANSWERS, ACTION_REJECT, BOT, NULL, 0, REASON_BACKUP },
		{ true, PRIMARY_ANSWERS, ACTION_REJECT, BOT, NULL, 451, REASON_BACKUP_CLOSED },
		{ true, PRIMARY_ANSWERS, ACTION_TARPIT, BOT, NULL, 451, REASON_BACKUP_CLOSED },
		{ true, PRIMARY_ANSWERS, ACTION_DEFER, BOT, NULL, 451, REASON_BACKUP_CLOSED },
		{ true, PRIMARY_ANSWERS, ACTION_OBSERVE, BOT, NULL, 0, REASON_BACKUP_CLOSED },
		{ true, PRIMARY_DOWN, ACTION_REJECT, BOT, NULL, 0, REASON_BACKUP },
		{ true, PRIMARY_UNKNOWN, ACTION_REJECT, BOT, NULL, 0, REASON_BACKUP },
		/* the primary itself, and whom it delivers by */
		{ true, PRIMARY_ANSWERS, ACTION_REJECT, "192.0.2.6", NULL, 0, REASON_BACKUP },
		{ true, PRIMARY_ANSWERS, ACTION_REJECT, BOT, "out.nobody.example", 0,
		  REASON_BACKUP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s;

		scene_init(&s,
			   NOBODY ";20 mail.example.org 203.0.113.25;30 mx.worse.example 192.0.2.8",
			   rows[i].client, rows[i].name);
		s.policy.strict_backup = rows[i].strict;
		s.policy.action = rows[i].action;
		s.primary = rows[i].primary;
		struct decision d = scene_decide(&s);

		if (d.code != rows[i].code || d.reason != rows[i].reason)
			fail_msg("row %zu: %d %s", i, d.code, reason_name(d.reason));
		assert_int_equal(d.door, DOOR_BACKUP);
		if (rows[i].strict && strcmp(rows[i].client, BOT) == 0) {
			struct addr better = address("192.0.2.6");

			assert_true(addr_eq(&s.primary_at, &better));
		}
		scene_deinit(&s);
	}
}

/* More hosts than are looked at are no reason to call anybody direct. */
static void test_many_hosts(void **state)
{
	struct dns_host hosts[200];
	char names[200][32];
	struct scene s;

	scene_init(&s, HIGH, BOT, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		snprintf(names[i], sizeof(names[i]), "mx%zu.m%zu.example", i, i);
		hosts[i] = s.hosts[0];
		hosts[i].name = hosts[i].canonical = names[i];
	}
	s.dns.hosts = hosts;
	s.dns.n_hosts = ARRAY_SIZE(hosts);
	s.policy.guessed_action = ACTION_REJECT;
	struct decision d = scene_decide(&s);

	assert_int_equal(d.finding, FINDING_DNS);
	assert_int_equal(d.code, 451);
	scene_deinit(&s);
}

static int setup(void **state)
{
	struct catalogue_error error;

	if (catalogue_read(SV(providers), SV(rules), SV(""), &catalogue, &error) == 0)
		return 0;
	print_error("%s\n", error.text);
	return -1;
}

static int teardown(void **state)
{
	catalogue_free(catalogue);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inside),         cmocka_unit_test(test_order),
		cmocka_unit_test(test_source_trouble), cmocka_unit_test(test_grades),
		cmocka_unit_test(test_configured),     cmocka_unit_test(test_restraints),
		cmocka_unit_test(test_retries),        cmocka_unit_test(test_shared_egress),
		cmocka_unit_test(test_allow_sources),  cmocka_unit_test(test_grace),
		cmocka_unit_test(test_strict_backup),  cmocka_unit_test(test_many_hosts),
		cmocka_unit_test(test_grown),          cmocka_unit_test(test_name_before_reject),
		cmocka_unit_test(test_retries_of),     cmocka_unit_test(test_stale_knowledge),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
