/*
 * The verdict. First the full matrix: kind of door, client, action and restraint, each cell checked
 * against the design's tables written down here; then the invariants over all of it; then what the
 * matrix has no room for.
 */
#include "fixture.h"

#include "policy/share.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW    (1000 * 1000LL)
#define SERVER "203.0.113.25"

enum {               /* doors */
       D_CONFIGURED, /* MX mx.acme.example, scanner acme with cidr and ptr */
       D_GUESSED,    /* MX mx1.guess.example, no scanner of the configuration's */
       D_MIXED,      /* both */
       D_HALF,       /* as D_CONFIGURED, with a second host whose look-up failed */
       D_DEAD,       /* an MX host without any address */
       D_SELF,
       D_IMPLICIT,
       D_BACKUP,
       D_ELSEWHERE,
       D_NULL,
       D_UNKNOWN,
       D_TROUBLE,
       DOORS,
};

enum {              /* clients */
       C_MX,        /* the address of mx.acme.example */
       C_CIDR,      /* in acme's prefix */
       C_PTR,       /* named below acme's ptr suffix */
       C_GUESS_MX,  /* the address of mx1.guess.example */
       C_GUESS_PTR, /* named below guess.example */
       C_GENERIC,   /* so named, but spelling out its address */
       C_APEX,      /* the address of the domain itself */
       C_STRANGER,
       C_NAMELESS, /* its name can't be found out */
       C_ALLOWED,  /* in the allow of the domain's row */
       C_TRUSTED,
       CLIENTS,
};

enum { /* restraints */
       R_NONE,
       R_NEVER_HEARD,
       R_STALE,
       R_PRIVATE,
       R_IDENTITY,
       R_STARTTLS,
       R_SHARE,
       R_STOPPED,
       R_UNCONFIRMED,
       RESTRAINTS,
};

static const enum action matrix_actions[] = { ACTION_OBSERVE, ACTION_TAG, ACTION_DEFER,
					      ACTION_REJECT, ACTION_TARPIT };

static struct {
	struct policy policy;
	struct scanner acme;
	struct memory *calm, *unheard, *doubt;
	bool proven; /* guess.example is, in all of them */
	struct addr mx_acme, mx_guess, apex, ours;
} world;

static char *acme_mx[] = { "*.acme.example" }, *acme_ptr[] = { "out.acme.example" };

static struct memory *memory_of(bool heard, bool doubt)
{
	struct memory *m;
	char name[32];

	assert_int_equal(memory_new(&m), 0);
	assert_int_equal(memory_hosted_add(m, SV("example.org")), 0);
	if (heard) {
		memory_scanner_heard(m, "acme", NOW);
		memory_scanner_heard(m, "guess.example", NOW);
	}
	for (int i = 0; doubt && i < MEMORY_MEET_MIN; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		memory_hosted_add(m, sv_from(name));
		memory_door_seen(m, name, false, &world.apex);
	}
	return m;
}

static int setup(void **state)
{
	world.mx_acme = address("198.51.100.1");
	world.mx_guess = address("198.51.101.1");
	world.apex = address("192.0.2.80");
	world.ours = address(SERVER);
	world.acme = (struct scanner) { .name = "acme",
					.mx = acme_mx,
					.n_mx = 1,
					.egress_mx = true,
					.cidrs = PREFIXES("198.51.100.128/25"),
					.ptr = acme_ptr,
					.n_ptr = 1 };
	world.policy = (struct policy) { .guessed_action = ACTION_TARPIT,
					 .on_dns_failure = ACTION_DEFER,
					 .on_unknown_domain = ACTION_PASS,
					 .confirm = true,
					 .stale_max_ms = 7 * 86400 * 1000LL,
					 .help_url = "",
					 .trusted = PREFIXES("127.0.0.0/8", "192.0.2.200/32"),
					 .scanners = &world.acme,
					 .n_scanners = 1 };
	map_init(&world.policy.domains);
	struct domain_policy *row = calloc(1, sizeof(*row));

	row->allow = PREFIXES("192.0.2.150/32");
	assert_int_equal(map_put(&world.policy.domains, SV("example.org"), row, NULL), 0);
	world.calm = memory_of(true, false);
	world.unheard = memory_of(false, false);
	world.doubt = memory_of(true, true);
	return 0;
}

static int teardown(void **state)
{
	memory_free(world.calm);
	memory_free(world.unheard);
	memory_free(world.doubt);
	prefix_set_deinit(&world.acme.cidrs);
	prefix_set_deinit(&world.policy.trusted);
	map_deinit(&world.policy.domains, domain_policy_free);
	return 0;
}

/* Facts in storage of the caller's. */
struct stage {
	struct decide_facts f;
	struct policy policy;
	struct domain_facts dns;
	struct dns_host hosts[2];
	struct client_names names;
	const char *name;
	bool names_asked, confirm_asked;
};

static void stage_host(struct stage *s, const char *name, uint16_t pref, const struct addr *a)
{
	s->hosts[s->dns.n_hosts++] = (struct dns_host) { .name = name,
							 .canonical = name,
							 .preference = pref,
							 .n_addrs = a ? 1 : 0,
							 .addrs = a,
							 .status = a ? DNS_OK : DNS_NXDOMAIN };
}

static void stage_door(struct stage *s, int door)
{
	s->dns = (struct domain_facts) { .kind = FACTS_MX,
					 .fetched_ms = NOW - 1000,
					 .confirmed_ms = NOW - 1000,
					 .domain = "example.org",
					 .hosts = s->hosts };
	switch (door) {
	case D_CONFIGURED:
	case D_HALF:
		stage_host(s, "mx.acme.example", 10, &world.mx_acme);
		if (door == D_HALF) {
			stage_host(s, "mx2.acme.example", 20, NULL);
			s->hosts[1].status = DNS_FAILED;
		}
		break;
	case D_GUESSED:
		stage_host(s, "mx1.guess.example", 10, &world.mx_guess);
		break;
	case D_MIXED:
		stage_host(s, "mx.acme.example", 10, &world.mx_acme);
		stage_host(s, "mx1.guess.example", 20, &world.mx_guess);
		break;
	case D_DEAD:
		stage_host(s, "mx.acme.example", 10, NULL);
		break;
	case D_SELF:
		stage_host(s, "mail.example.org", 10, &world.ours);
		break;
	case D_BACKUP:
		stage_host(s, "mx.acme.example", 10, &world.mx_acme);
		stage_host(s, "mail.example.org", 20, &world.ours);
		break;
	case D_IMPLICIT:
		s->dns.kind = FACTS_ADDRESS;
		stage_host(s, "example.org", 0, &world.ours);
		break;
	case D_ELSEWHERE:
		s->dns.kind = FACTS_ADDRESS;
		stage_host(s, "example.org", 0, &world.apex);
		break;
	case D_NULL:
		s->dns.kind = FACTS_NULL_MX;
		break;
	case D_UNKNOWN:
		s->dns.kind = FACTS_NOTHING;
		break;
	default:
		s->dns.kind = FACTS_FAILED;
	}
}

static void stage_client(struct stage *s, int client)
{
	static const struct {
		const char *address, *name;
	} clients[CLIENTS] = {
		[C_MX] = { "198.51.100.1", NULL },
		[C_CIDR] = { "198.51.100.200", NULL },
		[C_PTR] = { "198.51.102.7", "n3.out.acme.example" },
		[C_GUESS_MX] = { "198.51.101.1", NULL },
		[C_GUESS_PTR] = { "198.51.102.9", "out4.guess.example" },
		[C_GENERIC] = { "198.51.102.9", "198-51-102-9.dyn.guess.example" },
		[C_APEX] = { "192.0.2.80", NULL },
		[C_STRANGER] = { "198.18.3.4", "mail.stranger.example" },
		[C_NAMELESS] = { "198.18.3.5", NULL },
		[C_ALLOWED] = { "192.0.2.150", NULL },
		[C_TRUSTED] = { "192.0.2.200", NULL },
	};

	s->f.client = address(clients[client].address);
	s->name = clients[client].name;
	s->names = (struct client_names) { .status = s->name ? DNS_OK : DNS_NXDOMAIN,
					   .n = s->name ? 1 : 0,
					   .names = &s->name };
	if (client == C_NAMELESS)
		s->names.status = DNS_FAILED;
}

static void stage_set(struct stage *s, int door, int client, enum action action, int restraint)
{
	memset(s, 0, sizeof(*s));
	s->policy = world.policy;
	s->policy.action = action;
	s->f = (struct decide_facts) { .policy = &s->policy,
				       .memory = world.calm,
				       .server = world.ours,
				       .shape = RCPT_DOMAIN,
				       .domain = "example.org",
				       .now_ms = NOW };
	stage_client(s, client);
	stage_door(s, door);
	switch (restraint) {
	case R_NEVER_HEARD:
		s->f.memory = world.unheard;
		break;
	case R_STALE:
		s->dns.stale = true;
		break;
	case R_PRIVATE:
		s->f.server = address("10.0.0.5");
		/* The domain's own names must still lead to the server. */
		s->policy.server_addresses = (struct prefix_set) { 0 };
		break;
	case R_IDENTITY:
		s->f.memory = world.doubt;
		break;
	case R_STARTTLS:
		s->f.observe_only = true;
		break;
	case R_SHARE:
		s->policy.enforce.spared = SHARE_ALL;
		break;
	case R_STOPPED:
		s->policy.enforce.spared = SHARE_ALL; /* the other one is told */
		s->f.enforce_stopped = true;
		break;
	case R_UNCONFIRMED:
		s->dns.confirmed_ms = NOW - 10 * 1000 - 1;
		break;
	default:
		break;
	}
}

/* Asks as a session does, giving what is needed. */
static struct decision stage_decide(struct stage *s)
{
	struct decision d;

	for (int rounds = 0; rounds < 5; rounds++) {
		switch (decide(&s->f, &d)) {
		case DECIDE_DONE:
			return d;
		case DECIDE_NEEDS_DOMAIN:
			assert_null(s->f.dns);
			s->f.dns = &s->dns;
			break;
		case DECIDE_NEEDS_CLIENT:
			assert_null(s->f.names);
			s->f.names = &s->names;
			s->names_asked = true;
			break;
		case DECIDE_NEEDS_CONFIRM:
			assert_false(s->f.confirm_tried);
			s->f.confirm_tried = true;
			s->confirm_asked = true;
			break;
		default:
			fail();
		}
	}
	fail_msg("decide() asks for ever");
	return d;
}

/* The oracle. Who gets in, by door: the reason, or -1: nobody of that kind. */
static int admitted(int door, int client)
{
	static const int8_t none = -1;

	if (client == C_TRUSTED)
		return REASON_TRUSTED;
	if (client == C_ALLOWED)
		return REASON_ALLOWED;
	switch (door) {
	case D_SELF:
		return REASON_SELF;
	case D_IMPLICIT:
		return REASON_IMPLICIT_MX;
	case D_BACKUP:
		return REASON_BACKUP;
	case D_UNKNOWN:
		return REASON_UNKNOWN_DOMAIN;
	case D_ELSEWHERE:
		return client == C_APEX ? REASON_ADDRESS : none;
	case D_NULL:
	case D_TROUBLE:
		return none;
	default:
		break;
	}
	bool acme = door != D_GUESSED, guess = door == D_GUESSED || door == D_MIXED;

	if (client == C_MX && acme && door != D_DEAD)
		return REASON_INGRESS;
	if (client == C_GUESS_MX && guess)
		return REASON_INGRESS;
	if (client == C_CIDR && acme)
		return REASON_EGRESS;
	if ((client == C_PTR && acme) || (client == C_GUESS_PTR && guess))
		return REASON_PTR;
	return none;
}

struct expected {
	enum finding finding;
	enum reason reason;
	enum action action;
	enum restraint restraint;
	int code;
};

static bool cap(struct expected *e, enum action to, enum restraint why)
{
	if (e->action <= to)
		return false;
	e->action = to;
	e->restraint = why;
	return true;
}

static struct expected oracle(int door, int client, enum action action, int restraint,
			      enum action guessed)
{
	int reason = admitted(door, client);
	struct expected e = { FINDING_PASS, (enum reason)reason, ACTION_PASS, RESTRAINT_NONE, 0 };
	bool by_scanner = door <= D_DEAD;
	bool unsure =
		((door == D_GUESSED || door == D_MIXED) && !world.proven) || door == D_ELSEWHERE;

	if (reason >= 0)
		return e;
	e.action = action;
	if (door == D_TROUBLE || door == D_HALF || door == D_DEAD ||
	    (client == C_NAMELESS && by_scanner)) {
		e.finding = FINDING_DNS;
		e.reason = door == D_CONFIGURED || door == D_GUESSED || door == D_MIXED
				   ? REASON_PTR_FAILURE
				   : REASON_DNS_FAILURE;
		e.action = action >= ACTION_DEFER ? ACTION_DEFER : ACTION_OBSERVE;
		if (unsure && guessed < ACTION_DEFER)
			cap(&e, ACTION_OBSERVE, RESTRAINT_GUESSED);
	} else {
		e.finding = door == D_NULL ? FINDING_NULL : FINDING_DIRECT;
		e.reason = door == D_NULL        ? REASON_NULL_MX
			   : door == D_ELSEWHERE ? REASON_NOT_ADDRESS
						 : REASON_NOT_EGRESS;
		if (unsure)
			cap(&e, guessed, RESTRAINT_GUESSED);
		if (restraint == R_NEVER_HEARD && by_scanner)
			cap(&e, ACTION_DEFER, RESTRAINT_NEVER_HEARD);
		if (restraint == R_STALE)
			cap(&e, ACTION_DEFER, RESTRAINT_STALE);
	}
	if (restraint == R_PRIVATE)
		cap(&e, ACTION_OBSERVE, RESTRAINT_PRIVATE);
	if (restraint == R_IDENTITY)
		cap(&e, ACTION_OBSERVE, RESTRAINT_IDENTITY);
	if (restraint == R_STARTTLS)
		cap(&e, ACTION_OBSERVE, RESTRAINT_STARTTLS);
	if (restraint == R_SHARE)
		cap(&e, ACTION_OBSERVE, RESTRAINT_SHARE);
	if (restraint == R_STOPPED)
		cap(&e, ACTION_OBSERVE, RESTRAINT_STOPPED);
	if (restraint == R_UNCONFIRMED)
		cap(&e, ACTION_DEFER, RESTRAINT_UNCONFIRMED);
	if (e.action >= ACTION_DEFER)
		e.code = e.finding == FINDING_DNS    ? 451
			 : e.action == ACTION_DEFER  ? 450
			 : e.finding == FINDING_NULL ? 556
						     : 550;
	return e;
}

/* A door whose own address is the private server is not the matrix's business. */
static bool no_cell(int door, int restraint)
{
	return restraint == R_PRIVATE && (door == D_SELF || door == D_IMPLICIT || door == D_BACKUP);
}

static void check_cell(int door, int client, enum action action, int restraint, enum action guessed)
{
	struct stage s;

	stage_set(&s, door, client, action, restraint);
	s.policy.guessed_action = guessed;
	struct decision d = stage_decide(&s);
	struct expected e = oracle(door, client, action, restraint, guessed);

	if (d.finding != e.finding || d.reason != e.reason || d.action != e.action ||
	    d.restraint != e.restraint || d.code != e.code)
		fail_msg("door %d client %d action %s restraint %d guessed %s: %s %s %s '%s' %d; "
			 "expected %s %s %s '%s' %d",
			 door, client, action_name(action), restraint, action_name(guessed),
			 finding_name(d.finding), reason_name(d.reason), action_name(d.action),
			 restraint_name(d.restraint), d.code, finding_name(e.finding),
			 reason_name(e.reason), action_name(e.action), restraint_name(e.restraint),
			 e.code);

	/* Invariants. */
	assert_true(d.hosted || client == C_TRUSTED);
	assert_true(d.code == 0 || d.action >= ACTION_DEFER);
	assert_true(d.finding != FINDING_DNS || d.code < 500);
	assert_true(action > ACTION_OBSERVE || d.code == 0);
	assert_true(d.action <= d.wanted);
	assert_true((d.action < d.wanted) == (d.restraint != RESTRAINT_NONE));
	if (client == C_TRUSTED || client == C_ALLOWED)
		assert_int_equal(d.code, 0);
	if (d.code >= 500)
		assert_true(NOW - s.dns.confirmed_ms <= 10 * 1000);
	/* Names are only asked for when nothing else let the client in. */
	if (d.finding == FINDING_PASS && d.reason != REASON_PTR)
		assert_false(s.names_asked);
	assert_int_equal(s.confirm_asked, d.restraint == RESTRAINT_UNCONFIRMED);
	if (d.door_known && (door == D_GUESSED || door == D_MIXED))
		assert_int_equal(d.grade, world.proven ? GRADE_PROVEN : GRADE_GUESSED);
	if (d.door_known && door == D_ELSEWHERE)
		assert_int_equal(d.grade, GRADE_GUESSED);
	if (d.door_known && door == D_CONFIGURED)
		assert_int_equal(d.grade, GRADE_CONFIGURED);
}

static void matrix(void)
{
	for (int door = 0; door < DOORS; door++)
		for (int client = 0; client < CLIENTS; client++)
			for (int restraint = 0; restraint < RESTRAINTS; restraint++)
				for (size_t a = 0; a < ARRAY_SIZE(matrix_actions); a++)
					for (size_t g = 0; g < ARRAY_SIZE(matrix_actions); g++)
						if (!no_cell(door, restraint))
							check_cell(door, client, matrix_actions[a],
								   restraint, matrix_actions[g]);
}

static void test_matrix(void **state)
{
	matrix();
}

static void set_proven(bool proven, const struct prefix_set *rivals)
{
	static const char *const names[] = { "guess.example", "acme" };
	struct memory *const all[] = { world.calm, world.unheard, world.doubt };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			assert_int_equal(
				memory_scanner_set_proven(all[i], names[k], proven, rivals), 0);
	world.proven = proven;
}

/* A scanner that isn't configured, but proven, is as good as one that is; guessed_action has
 * nothing to say then, and never heard is never heard. */
static void test_proven(void **state)
{
	struct prefix_set none;
	struct stage s;

	prefix_set_init(&none);
	set_proven(true, &none);
	matrix();

	/* Every host's scanner has to be. */
	stage_set(&s, D_GUESSED, C_STRANGER, ACTION_REJECT, R_NONE);
	s.policy.guessed_action = ACTION_OBSERVE;
	stage_host(&s, "mx.unheard-of.example", 20, &world.mx_acme);
	struct decision d = stage_decide(&s);

	assert_int_equal(d.grade, GRADE_GUESSED);
	assert_int_equal(d.action, ACTION_OBSERVE);
	assert_int_equal(d.restraint, RESTRAINT_GUESSED);
	set_proven(false, &none);
}

/* The network of a rival gets 450 at most, whatever the grade, unless all is configured. */
static void test_rival(void **state)
{
	static const struct {
		int door;
		bool proven;
		int client;
		enum action action;
		int code;
		enum restraint restraint;
	} rows[] = {
		{ D_GUESSED, true, C_STRANGER, ACTION_REJECT, 450, RESTRAINT_RIVAL },
		{ D_GUESSED, true, C_STRANGER, ACTION_TARPIT, 450, RESTRAINT_RIVAL },
		{ D_GUESSED, true, C_STRANGER, ACTION_DEFER, 450, RESTRAINT_NONE },
		{ D_GUESSED, true, C_STRANGER, ACTION_OBSERVE, 0, RESTRAINT_NONE },
		{ D_GUESSED, true, C_GENERIC, ACTION_REJECT, 550, RESTRAINT_NONE },
		{ D_GUESSED, false, C_STRANGER, ACTION_REJECT, 450, RESTRAINT_RIVAL },
		{ D_MIXED, true, C_STRANGER, ACTION_REJECT, 450, RESTRAINT_RIVAL },
		{ D_CONFIGURED, true, C_STRANGER, ACTION_REJECT, 550, RESTRAINT_NONE },
		{ D_ELSEWHERE, true, C_STRANGER, ACTION_REJECT, 550, RESTRAINT_NONE },
		{ D_NULL, true, C_STRANGER, ACTION_REJECT, 556, RESTRAINT_NONE },
		{ D_GUESSED, true, C_GUESS_MX, ACTION_REJECT, 0, RESTRAINT_NONE },
	};
	struct prefix_set rivals = PREFIXES("198.18.3.0/24", "2001:db8:7::/48"), none;

	prefix_set_init(&none);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stage s;

		set_proven(rows[i].proven, &rivals);
		stage_set(&s, rows[i].door, rows[i].client, rows[i].action, R_NONE);
		struct decision d = stage_decide(&s);

		if (d.code != rows[i].code || d.restraint != rows[i].restraint)
			fail_msg("row %zu: %d %s", i, d.code, restraint_name(d.restraint));
	}
	set_proven(false, &none);
	prefix_set_deinit(&rivals);
}

/* Authenticated sessions, and domains not hosted, are never refused, whatever else is so. */
static void test_never_refused(void **state)
{
	for (int door = 0; door < DOORS; door++) {
		for (int client = 0; client < CLIENTS; client++) {
			struct stage s;
			struct decision d;

			stage_set(&s, door, client, ACTION_TARPIT, R_NONE);
			s.f.authenticated = true;
			d = stage_decide(&s);
			assert_int_equal(d.reason, REASON_AUTHENTICATED);
			assert_int_equal(d.action, ACTION_PASS);
			assert_null(s.f.dns);

			stage_set(&s, door, client, ACTION_TARPIT, R_NONE);
			s.f.domain = "relayed.example";
			s.policy.on_unknown_domain = ACTION_REJECT;
			d = stage_decide(&s);
			assert_false(d.hosted);
			assert_int_equal(d.finding, FINDING_PASS);
			assert_int_equal(d.action, ACTION_PASS);
			assert_int_equal(d.code, 0);
			assert_int_equal(d.reason,
					 client == C_TRUSTED ? REASON_TRUSTED : REASON_NOT_HOSTED);
			assert_null(s.f.names);
			assert_false(s.confirm_asked);
		}
	}
}

/* What a pass teaches: the domain is hosted when the backend then accepts. */
static void test_own_front_door(void **state)
{
	static const struct {
		int door, client;
		bool hosted, own;
		const char *scanner;
	} rows[] = {
		{ D_CONFIGURED, C_MX, false, true, "acme" },
		{ D_CONFIGURED, C_CIDR, false, true, "acme" },
		{ D_CONFIGURED, C_PTR, false, false, "acme" }, /* names aren't asked for */
		{ D_CONFIGURED, C_PTR, true, true, "acme" },
		{ D_CONFIGURED, C_STRANGER, false, false, "acme" },
		{ D_GUESSED, C_GUESS_MX, false, true, "guess.example" },
		{ D_GUESSED, C_GENERIC, true, false, "guess.example" },
		{ D_MIXED, C_MX, true, true, "acme" },
		{ D_MIXED, C_GUESS_PTR, true, true, "guess.example" },
		{ D_MIXED, C_STRANGER, true, false, "acme" },
		{ D_SELF, C_STRANGER, false, true, "" },
		{ D_IMPLICIT, C_STRANGER, false, true, "" },
		{ D_BACKUP, C_STRANGER, false, false, "" },
		{ D_ELSEWHERE, C_APEX, false, true, "" },
		{ D_ELSEWHERE, C_STRANGER, false, false, "" },
		{ D_NULL, C_STRANGER, false, false, "" },
		{ D_UNKNOWN, C_STRANGER, false, false, "" },
		{ D_TROUBLE, C_MX, false, false, "" },
		{ D_CONFIGURED, C_ALLOWED, true, false, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stage s;

		stage_set(&s, rows[i].door, rows[i].client, ACTION_REJECT, R_NONE);
		if (!rows[i].hosted)
			s.f.domain = "new.example";
		struct decision d = stage_decide(&s);

		if (d.own_front_door != rows[i].own || strcmp(d.scanner, rows[i].scanner) != 0)
			fail_msg("row %zu: %d %s", i, d.own_front_door, d.scanner);
	}
}

static void test_shapes(void **state)
{
	static const struct {
		enum rcpt_shape shape;
		enum action listener, policy;
		int restraint, code;
		enum reason reason;
	} rows[] = {
		{ RCPT_POSTMASTER, ACTION_UNSET, ACTION_REJECT, R_NONE, 0, REASON_POSTMASTER },
		{ RCPT_NO_DOMAIN, ACTION_UNSET, ACTION_OBSERVE, R_NONE, 0, REASON_LITERAL },
		{ RCPT_NO_DOMAIN, ACTION_UNSET, ACTION_TAG, R_NONE, 0, REASON_LITERAL },
		{ RCPT_NO_DOMAIN, ACTION_UNSET, ACTION_DEFER, R_NONE, 550, REASON_LITERAL },
		{ RCPT_NO_DOMAIN, ACTION_UNSET, ACTION_REJECT, R_NONE, 550, REASON_LITERAL },
		{ RCPT_NO_DOMAIN, ACTION_OBSERVE, ACTION_REJECT, R_NONE, 0, REASON_LITERAL },
		{ RCPT_NO_DOMAIN, ACTION_DEFER, ACTION_OBSERVE, R_NONE, 550, REASON_LITERAL },
		{ RCPT_NO_DOMAIN, ACTION_UNSET, ACTION_REJECT, R_STARTTLS, 0, REASON_LITERAL },
		{ RCPT_NO_DOMAIN, ACTION_UNSET, ACTION_REJECT, R_SHARE, 0, REASON_LITERAL },
		{ RCPT_NO_DOMAIN, ACTION_UNSET, ACTION_REJECT, R_STOPPED, 0, REASON_LITERAL },
		{ RCPT_NO_DOMAIN, ACTION_UNSET, ACTION_REJECT, R_PRIVATE, 0, REASON_LITERAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stage s;

		stage_set(&s, D_CONFIGURED, C_STRANGER, rows[i].policy, rows[i].restraint);
		s.f.shape = rows[i].shape;
		s.f.domain = NULL;
		s.f.listener_action = rows[i].listener;
		struct decision d = stage_decide(&s);

		if (d.code != rows[i].code || d.reason != rows[i].reason)
			fail_msg("row %zu: %d %s", i, d.code, reason_name(d.reason));
		assert_null(s.f.dns);
	}
}

/* Nothing but a login or the operator's trust lets mail through a listener for users. */
static void test_require_auth(void **state)
{
	static const struct {
		int door, client;
		enum rcpt_shape shape;
		bool authenticated;
		int code;
		enum reason reason;
	} rows[] = {
		{ D_SELF, C_STRANGER, RCPT_DOMAIN, false, 530, REASON_AUTH_REQUIRED },
		{ D_CONFIGURED, C_STRANGER, RCPT_POSTMASTER, false, 530, REASON_AUTH_REQUIRED },
		{ D_CONFIGURED, C_STRANGER, RCPT_NO_DOMAIN, false, 530, REASON_AUTH_REQUIRED },
		{ D_CONFIGURED, C_TRUSTED, RCPT_DOMAIN, false, 0, REASON_TRUSTED },
		{ D_CONFIGURED, C_STRANGER, RCPT_DOMAIN, true, 0, REASON_AUTHENTICATED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stage s;
		char text[512];

		/* with nothing enforced, and with all restraint there is */
		stage_set(&s, rows[i].door, rows[i].client, ACTION_OBSERVE, R_STARTTLS);
		s.f.require_auth = true;
		s.f.authenticated = rows[i].authenticated;
		s.f.shape = rows[i].shape;
		struct decision d = stage_decide(&s);

		if (d.code != rows[i].code || d.reason != rows[i].reason)
			fail_msg("row %zu: %d %s", i, d.code, reason_name(d.reason));
		assert_false(d.hosted || d.own_front_door || d.door_known);
		if (!d.code)
			continue;
		size_t n = decision_reply(&d, s.f.policy, "example.org", &s.f.server, "id9", text);
		assert_true(sv_eq((struct sv) { text, n },
				  SV("530 5.7.0 Authentication required (id9)\r\n")));
	}
}

/* Whose action counts: the domain's, the scanner's (the weakest of several), the listener's, the
 * policy's. */
static void test_whose_action(void **state)
{
	static const struct {
		int door;
		enum action domain, scanner, listener, policy, want;
	} rows[] = {
		{ D_CONFIGURED, 0, 0, 0, ACTION_REJECT, ACTION_REJECT },
		{ D_CONFIGURED, 0, 0, ACTION_DEFER, ACTION_REJECT, ACTION_DEFER },
		{ D_CONFIGURED, 0, 0, ACTION_REJECT, ACTION_OBSERVE, ACTION_REJECT },
		{ D_CONFIGURED, 0, ACTION_TAG, ACTION_DEFER, ACTION_REJECT, ACTION_TAG },
		{ D_CONFIGURED, 0, ACTION_REJECT, ACTION_DEFER, ACTION_OBSERVE, ACTION_REJECT },
		{ D_CONFIGURED, ACTION_OBSERVE, ACTION_REJECT, 0, ACTION_REJECT, ACTION_OBSERVE },
		{ D_CONFIGURED, ACTION_REJECT, ACTION_OBSERVE, 0, ACTION_OBSERVE, ACTION_REJECT },
		{ D_MIXED, 0, ACTION_REJECT, 0, ACTION_DEFER, ACTION_DEFER },
		{ D_MIXED, 0, ACTION_TAG, 0, ACTION_DEFER, ACTION_TAG },
		{ D_NULL, 0, ACTION_OBSERVE, ACTION_DEFER, ACTION_REJECT, ACTION_DEFER },
		{ D_ELSEWHERE, 0, ACTION_OBSERVE, 0, ACTION_REJECT, ACTION_REJECT },
	};
	struct domain_policy *row = map_get(&world.policy.domains, SV("example.org"));

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stage s;

		stage_set(&s, rows[i].door, C_STRANGER, rows[i].policy, R_NONE);
		row->action = rows[i].domain;
		world.acme.action = rows[i].scanner;
		s.f.listener_action = rows[i].listener;
		struct decision d = stage_decide(&s);

		if (d.action != rows[i].want)
			fail_msg("row %zu: %s", i, action_name(d.action));
	}
	row->action = world.acme.action = ACTION_UNSET;
}

static void test_unknown_domain(void **state)
{
	static const struct {
		enum action on;
		int restraint;
		enum action want;
		int code;
	} rows[] = {
		{ ACTION_PASS, R_NONE, ACTION_PASS, 0 },
		{ ACTION_DEFER, R_NONE, ACTION_DEFER, 450 },
		{ ACTION_REJECT, R_NONE, ACTION_REJECT, 550 },
		{ ACTION_REJECT, R_UNCONFIRMED, ACTION_DEFER, 450 },
		{ ACTION_REJECT, R_STALE, ACTION_DEFER, 450 },
		{ ACTION_REJECT, R_PRIVATE, ACTION_OBSERVE, 0 },
		{ ACTION_REJECT, R_IDENTITY, ACTION_OBSERVE, 0 },
		{ ACTION_DEFER, R_STARTTLS, ACTION_OBSERVE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stage s;

		stage_set(&s, D_UNKNOWN, C_STRANGER, ACTION_OBSERVE, rows[i].restraint);
		s.policy.on_unknown_domain = rows[i].on;
		struct decision d = stage_decide(&s);

		assert_int_equal(d.reason, REASON_UNKNOWN_DOMAIN);
		assert_int_equal(d.finding, FINDING_PASS);
		assert_int_equal(d.action, rows[i].want);
		assert_int_equal(d.code, rows[i].code);
	}
}

/* Ways out of a restraint. */
static void test_certain(void **state)
{
	struct stage s;
	struct decision d;

	stage_set(&s, D_CONFIGURED, C_STRANGER, ACTION_REJECT, R_PRIVATE);
	s.policy.server_addresses_given = true;
	assert_int_equal(stage_decide(&s).code, 550);
	stage_set(&s, D_CONFIGURED, C_STRANGER, ACTION_REJECT, R_PRIVATE);
	s.f.server_is_ours = true;
	assert_int_equal(stage_decide(&s).code, 550);

	stage_set(&s, D_CONFIGURED, C_STRANGER, ACTION_REJECT, R_UNCONFIRMED);
	s.policy.confirm = false;
	assert_int_equal(stage_decide(&s).code, 550);
	assert_false(s.confirm_asked);

	/* Asked and answered: another door perhaps. */
	stage_set(&s, D_CONFIGURED, C_STRANGER, ACTION_REJECT, R_UNCONFIRMED);
	s.f.dns = &s.dns;
	s.f.names = &s.names;
	assert_int_equal(decide(&s.f, &d), DECIDE_NEEDS_CONFIRM);
	stage_door(&s, D_SELF);
	s.f.confirm_tried = true;
	assert_int_equal(stage_decide(&s).reason, REASON_SELF);
	s.dns.confirmed_ms = -1;
	stage_door(&s, D_CONFIGURED);
	s.dns.confirmed_ms = NOW;
	assert_int_equal(stage_decide(&s).code, 550);

	stage_set(&s, D_CONFIGURED, C_STRANGER, ACTION_REJECT, R_IDENTITY);
	d = stage_decide(&s);
	assert_true(addr_eq(&d.meets, &world.apex));
	assert_string_equal(d.mx, "mx.acme.example");

	stage_set(&s, D_TROUBLE, C_STRANGER, ACTION_REJECT, R_NONE);
	s.policy.on_dns_failure = ACTION_PASS;
	d = stage_decide(&s);
	assert_int_equal(d.action, ACTION_OBSERVE);
	assert_int_equal(d.finding, FINDING_DNS);
	assert_int_equal(d.code, 0);
}

/* Names in domains.allow open every kind of door, and no other does. */
static void test_allow_ptr(void **state)
{
	struct domain_policy *row = map_get(&world.policy.domains, SV("example.org"));
	char *suffix[] = { "stranger.example" };

	row->allow_ptr = suffix;
	row->n_allow_ptr = 1;
	for (int door = 0; door < DOORS; door++) {
		struct stage s;

		stage_set(&s, door, C_STRANGER, ACTION_REJECT, R_NONE);
		assert_int_equal(stage_decide(&s).action, ACTION_PASS);
		stage_set(&s, door, C_GENERIC, ACTION_REJECT, R_NONE);
		assert_int_equal(
			stage_decide(&s).finding,
			oracle(door, C_GENERIC, ACTION_REJECT, R_NONE, ACTION_TARPIT).finding);
		stage_set(&s, door, C_NAMELESS, ACTION_REJECT, R_NONE);
		assert_true(stage_decide(&s).code < 500);
	}
	row->allow_ptr = NULL;
	row->n_allow_ptr = 0;
}

/* An MX host that is an alias into a scanner's domain belongs to that scanner. */
static void test_alias(void **state)
{
	struct stage s;
	struct decision d;

	stage_set(&s, D_CONFIGURED, C_CIDR, ACTION_REJECT, R_NONE);
	s.hosts[0].name = "mail.customer.example";
	s.hosts[0].canonical = "c7.acme.example";
	d = stage_decide(&s);
	assert_int_equal(d.reason, REASON_EGRESS);
	assert_string_equal(d.scanner, "acme");
	assert_string_equal(d.mx, "mail.customer.example");

	stage_set(&s, D_GUESSED, C_GUESS_PTR, ACTION_REJECT, R_NONE);
	s.hosts[0].name = "mail.customer.example";
	s.hosts[0].canonical = "mx1.guess.example";
	d = stage_decide(&s);
	assert_int_equal(d.reason, REASON_PTR);
	assert_string_equal(d.scanner, "customer.example");
}

static void test_edges(void **state)
{
	struct stage s;

	/* Never confirmed is not "confirmed when the clock began". */
	stage_set(&s, D_CONFIGURED, C_STRANGER, ACTION_REJECT, R_NONE);
	s.f.now_ms = 1000;
	s.dns.fetched_ms = 500;
	s.dns.confirmed_ms = -1;
	assert_int_equal(stage_decide(&s).restraint, RESTRAINT_UNCONFIRMED);

	/* One family of an MX host's addresses is not known: the client may be among them. */
	stage_set(&s, D_CONFIGURED, C_STRANGER, ACTION_REJECT, R_NONE);
	s.hosts[0].incomplete = true;
	assert_int_equal(stage_decide(&s).reason, REASON_DNS_FAILURE);

	/* The default PTR egress of a configured scanner: only when its row has no egress. */
	stage_set(&s, D_CONFIGURED, C_PTR, ACTION_REJECT, R_NONE);
	s.name = "n3.acme.example";
	assert_int_equal(stage_decide(&s).reason, REASON_NOT_EGRESS);
	world.acme.egress_default_ptr = true;
	s.f.names = NULL;
	assert_int_equal(stage_decide(&s).reason, REASON_PTR);
	world.acme.egress_default_ptr = false;
}

static void test_stricter(void **state)
{
	struct decision pass = { .action = ACTION_PASS },
			observe = { .action = ACTION_OBSERVE, .finding = FINDING_DNS };
	struct decision direct = { .action = ACTION_OBSERVE, .finding = FINDING_DIRECT };
	struct decision reject = { .action = ACTION_REJECT, .finding = FINDING_DIRECT };

	assert_ptr_equal(decision_stricter(&pass, &direct), &direct);
	assert_ptr_equal(decision_stricter(&direct, &pass), &direct);
	assert_ptr_equal(decision_stricter(&reject, &observe), &reject);
	assert_ptr_equal(decision_stricter(&direct, &observe), &observe);
	assert_ptr_equal(decision_stricter(&pass, &pass), &pass);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matrix),         cmocka_unit_test(test_never_refused),
		cmocka_unit_test(test_own_front_door), cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_require_auth),   cmocka_unit_test(test_whose_action),
		cmocka_unit_test(test_unknown_domain), cmocka_unit_test(test_certain),
		cmocka_unit_test(test_allow_ptr),      cmocka_unit_test(test_alias),
		cmocka_unit_test(test_stricter),       cmocka_unit_test(test_edges),
		cmocka_unit_test(test_proven),         cmocka_unit_test(test_rival),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
