/*
 * Proof: the rules of doc/scanners.md ("How sure: grades") as a table of what was seen and what it
 * amounts to; attacks by volume; the counters against exact counts; rows, and merging.
 */
#include "fixture.h"

#include "policy/proof.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR    (3600 * 1000LL)
#define DAY     (24 * HOUR)
#define EPOCH   (20000 * DAY) /* day 0 of these tests */
#define SCANNER "acme.example"
#define MX      "mx1.acme.example"

static const struct proof_conf conf = { .mails = 20, .hours = 24, .rival = 0.1 };

/* In days and thousandths from day 0. */
static int64_t at(double days)
{
	return EPOCH + (int64_t)(days * (double)DAY);
}

static struct proof *fresh(void)
{
	struct proof *p;

	assert_int_equal(proof_new(&p), 0);
	return p;
}

static void domain_name(int number, char out[64])
{
	snprintf(out, 64, "d%d.example", number);
}

/* Mail for domains first to last: each gets as many messages. */
struct feed {
	int first, last;
	uint64_t messages;
	const char *client;
	const char *name; /* forward-confirmed; "?": can't be found out; NULL: none */
	double from, to;  /* days */
	bool inside;
};

#define INSIDE(first, last, messages, from, to)                                                    \
	{                                                                                          \
		first, last, messages, "198.51.100.1", NULL, from, to, true                        \
	}
#define OUTSIDE(first, last, messages, client, name, from, to)                                     \
	{                                                                                          \
		first, last, messages, client, name, from, to, false                               \
	}

static void feed(struct proof *p, const struct feed *f)
{
	bool failed = f->name && strcmp(f->name, "?") == 0;
	struct client_names names = { .status = failed    ? DNS_FAILED
						: f->name ? DNS_OK
							  : DNS_NXDOMAIN,
				      .n = f->name && !failed,
				      .names = &f->name };
	char domain[64];

	for (int i = f->first; i <= f->last; i++) {
		struct proof_mail m = { .scanner = SCANNER,
					.domain = domain,
					.mx_host = MX,
					.client = address(f->client),
					.inside = f->inside,
					.names = &names,
					.messages = f->messages,
					.first_ms = at(f->from),
					.last_ms = at(f->to) };

		domain_name(i, domain);
		assert_int_equal(proof_add(p, &m), 0);
	}
}

#define MAILS PROOF_LACKS_MAILS
#define HOURS PROOF_LACKS_HOURS
#define SHARE PROOF_LACKS_SHARE
#define FEEDS 4

static const struct {
	const char *what;
	struct feed feeds[FEEDS];
	double now;
	enum proof_outcome outcome;
	unsigned lacks;
	bool ask;
	size_t rivals;
} cases[] = {
	/* how much, how long */
	{ "20 mails in 24 hours", { INSIDE(1, 1, 20, 0, 1) }, 1, PROOF_PROVEN, 0, false, 0 },
	{ "one mail too few", { INSIDE(1, 1, 19, 0, 1) }, 1, PROOF_WANTING, MAILS, false, 0 },
	{ "a minute too short", { INSIDE(1, 1, 20, 0, 0.9993) }, 1, PROOF_WANTING, HOURS, 0, 0 },
	{ "of several domains", { INSIDE(1, 20, 1, 0, 1) }, 1, PROOF_PROVEN, 0, false, 0 },
	{ "hours are those of mail from inside",
	  { INSIDE(1, 1, 20, 0, 0.5), OUTSIDE(1, 1, 1, "192.0.2.1", NULL, 0.6, 2) },
	  2,
	  PROOF_WANTING,
	  HOURS,
	  false,
	  0 },
	{ "mail from outside does not count as seen at work",
	  { OUTSIDE(1, 1, 500, "192.0.2.1", NULL, 0, 2) },
	  2,
	  PROOF_WANTING,
	  MAILS | HOURS | SHARE,
	  false,
	  0 },
	{ "undecided for 14 days", { INSIDE(1, 1, 5, 0, 1) }, 14, PROOF_WANTING, MAILS, true, 0 },
	{ "not quite", { INSIDE(1, 1, 5, 0, 1) }, 13.99, PROOF_WANTING, MAILS, false, 0 },
	{ "decided: nobody is asked", { INSIDE(1, 1, 20, 0, 1) }, 99, PROOF_PROVEN, 0, false, 0 },

	/* the share from inside */
	{ "a half",
	  { INSIDE(1, 1, 20, 0, 2), OUTSIDE(1, 1, 20, "192.0.2.1", "a.b.example", 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  0 },
	{ "less than a half",
	  { INSIDE(1, 1, 20, 0, 2), OUTSIDE(1, 1, 21, "192.0.2.1", "a.b.example", 0, 2) },
	  2,
	  PROOF_WANTING,
	  SHARE,
	  false,
	  0 },
	{ "clients without a name don't count",
	  { INSIDE(1, 1, 20, 0, 2), OUTSIDE(1, 1, 9000, "192.0.2.1", NULL, 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  0 },
	{ "a name that can't be found out does",
	  { INSIDE(1, 1, 20, 0, 2), OUTSIDE(1, 1, 21, "192.0.2.1", "?", 0, 2) },
	  2,
	  PROOF_WANTING,
	  SHARE,
	  false,
	  0 },
	{ "domains weigh equally: one busy domain is one of four",
	  { INSIDE(1, 4, 20, 0, 2), OUTSIDE(1, 1, 90000, "192.0.2.1", "a.b.example", 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  0 },
	{ "and one busy domain does not speak for three",
	  { INSIDE(1, 1, 90000, 0, 2), OUTSIDE(2, 4, 2, "192.0.2.1", "a.b.example", 0, 2) },
	  2,
	  PROOF_WANTING,
	  SHARE,
	  false,
	  1 },
	{ "undecided by the share",
	  { INSIDE(1, 1, 20, 0, 2), OUTSIDE(1, 1, 21, "192.0.2.1", "a.b.example", 0, 2) },
	  14,
	  PROOF_WANTING,
	  SHARE,
	  true,
	  0 },

	/* new domains */
	{ "new domains don't count against it",
	  { INSIDE(1, 2, 20, 0, 40), OUTSIDE(11, 19, 9, "192.0.2.1", "a.b.example", 20, 40) },
	  40,
	  PROOF_PROVEN,
	  0,
	  false,
	  1 },
	{ "after 30 days they do",
	  { INSIDE(1, 2, 20, 0, 40), OUTSIDE(11, 19, 9, "192.0.2.1", "a.b.example", 20, 40) },
	  50.1,
	  PROOF_WANTING,
	  SHARE,
	  true,
	  1 },
	{ "those that were there when it began aren't new",
	  { INSIDE(1, 2, 20, 0, 10), OUTSIDE(11, 19, 9, "192.0.2.1", "a.b.example", 5, 10) },
	  10,
	  PROOF_WANTING,
	  SHARE,
	  false,
	  1 },
	{ "they may count for it",
	  { INSIDE(1, 1, 20, 0, 40), OUTSIDE(1, 1, 30, "192.0.2.1", "a.b.example", 0, 40),
	    INSIDE(11, 12, 20, 20, 40) },
	  40,
	  PROOF_PROVEN,
	  0,
	  false,
	  0 },

	/* rivals */
	{ "related: in the registrable domain of the MX host",
	  { INSIDE(1, 9, 20, 0, 2), OUTSIDE(1, 3, 3, "192.0.2.1", "out.eu.acme.example", 0, 2) },
	  2,
	  PROOF_RIVAL,
	  0,
	  false,
	  1 },
	{ "related, though others of the network are not",
	  { INSIDE(1, 9, 20, 0, 2), OUTSIDE(1, 3, 3, "192.0.2.1", NULL, 0, 2),
	    OUTSIDE(9, 9, 1, "192.0.2.200", "out.acme.example", 0, 2) },
	  2,
	  PROOF_RIVAL,
	  0,
	  false,
	  1 },
	{ "unrelated: reported, and no more",
	  { INSIDE(1, 9, 20, 0, 2), OUTSIDE(1, 3, 3, "192.0.2.1", "out.notacme.example", 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  1 },
	{ "a generic name is nobody's",
	  { INSIDE(1, 9, 20, 0, 2),
	    OUTSIDE(1, 3, 3, "192.0.2.1", "192-0-2-1.dyn.acme.example", 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  1 },
	{ "a tenth is not over a tenth",
	  { INSIDE(1, 9, 9, 0, 2), OUTSIDE(1, 3, 1, "192.0.2.1", "out.acme.example", 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  0 },
	{ "volume for two domains makes no rival",
	  { INSIDE(1, 9, 20, 0, 2), OUTSIDE(1, 2, 90000, "192.0.2.1", "a.b.example", 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  0 },
	{ "not even a related one",
	  { INSIDE(1, 9, 20, 0, 2), OUTSIDE(1, 2, 90000, "192.0.2.1", "a.acme.example", 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  0 },
	{ "unless it has no third",
	  { INSIDE(1, 2, 20, 0, 2), OUTSIDE(1, 2, 9, "192.0.2.1", "a.eu.acme.example", 0, 2) },
	  2,
	  PROOF_RIVAL,
	  0,
	  false,
	  1 },
	{ "which an unrelated one never gains by",
	  { INSIDE(1, 2, 20, 0, 2), OUTSIDE(1, 2, 9, "192.0.2.1", "a.b.example", 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  0 },
	{ "a network is a /24: its hosts count together",
	  { INSIDE(1, 9, 20, 0, 2), OUTSIDE(1, 3, 2, "192.0.2.1", NULL, 0, 2),
	    OUTSIDE(1, 3, 1, "192.0.2.254", NULL, 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  1 },
	{ "and not with the next",
	  { INSIDE(1, 9, 20, 0, 2), OUTSIDE(1, 3, 2, "192.0.2.1", NULL, 0, 2),
	    OUTSIDE(1, 3, 2, "192.0.3.1", NULL, 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  0 },
	{ "or a /48",
	  { INSIDE(1, 9, 20, 0, 2), OUTSIDE(1, 3, 2, "2001:db8:1:1::1", NULL, 0, 2),
	    OUTSIDE(1, 3, 1, "2001:db8:1:ffff::1", NULL, 0, 2),
	    OUTSIDE(4, 6, 2, "2001:db8:2::1", NULL, 0, 2) },
	  2,
	  PROOF_PROVEN,
	  0,
	  false,
	  1 },
	{ "a rival of a scanner that isn't proven yet",
	  { INSIDE(1, 9, 1, 0, 0.1), OUTSIDE(1, 3, 2, "192.0.2.1", "a.eu.acme.example", 0, 2) },
	  20,
	  PROOF_RIVAL,
	  MAILS | HOURS,
	  true,
	  1 },
};

static void test_rules(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proof *p = fresh();
		struct proof_state s;

		/* The order of events must not matter. */
		for (int k = 0; k < FEEDS; k++) {
			const struct feed *f = &cases[i].feeds[i % 2 ? k : FEEDS - 1 - k];

			if (f->messages)
				feed(p, f);
		}
		assert_int_equal(proof_judge(p, SCANNER, &conf, at(cases[i].now), &s), 0);
		if (s.outcome != cases[i].outcome || s.lacks != cases[i].lacks ||
		    s.ask_operator != cases[i].ask || s.n_rivals != cases[i].rivals)
			fail_msg("%s: outcome %d lacks %u ask %d rivals %zu share %f",
				 cases[i].what, s.outcome, s.lacks, s.ask_operator, s.n_rivals,
				 s.share);
		proof_state_deinit(&s);
		proof_free(p);
	}
}

static void test_numbers(void **state)
{
	static const struct feed feeds[] = {
		INSIDE(1, 4, 30, 1, 3),
		OUTSIDE(1, 3, 10, "192.0.2.9", "mta.other.example", 0, 4),
		OUTSIDE(1, 4, 10, "2001:db8:7:7::7", "out1.eu.acme.example", 2, 3),
	};
	struct proof *p = fresh();
	struct proof_state s;
	char text[ADDR_STRLEN + 4];

	assert_int_equal(proof_judge(p, SCANNER, &conf, at(5), &s), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(feeds); i++)
		feed(p, &feeds[i]);
	assert_int_equal(proof_judge(p, SCANNER, &conf, at(5), &s), 0);
	assert_int_equal(s.inside, 120);
	assert_int_equal(s.since_ms, at(0));
	assert_int_equal(s.first_ms, at(1));
	assert_int_equal(s.last_ms, at(3));
	assert_int_equal(s.domains, 4);
	assert_true(s.share > 0.637 && s.share < 0.638); /* (3 * 30/50 + 30/40) / 4 */
	assert_int_equal(s.n_rivals, 2);
	assert_true(s.rivals[0].related);
	assert_string_equal(prefix_format(&s.rivals[0].network, text), "2001:db8:7::/48");
	assert_string_equal(s.rivals[0].ptr_domain, "acme.example");
	assert_int_equal(s.rivals[0].domains, 4);
	assert_true(s.rivals[0].share > 0.212 && s.rivals[0].share < 0.213);
	assert_false(s.rivals[1].related);
	assert_string_equal(prefix_format(&s.rivals[1].network, text), "192.0.2.0/24");
	assert_string_equal(s.rivals[1].ptr_domain, "other.example");
	assert_int_equal(s.rivals[1].domains, 3);
	assert_true(s.rivals[1].share > 0.199 && s.rivals[1].share < 0.201);
	proof_state_deinit(&s);
	proof_free(p);
}

/* ---- attacks ---- */

static struct addr bot_address(unsigned number)
{
	uint32_t v4 = 0x0b000000u + number * 256 + 5; /* each from a network of its own */

	v4 = htonl(v4);
	return addr_from_v4(&v4);
}

static void add_one(struct proof *p, const char *domain, struct addr client, bool inside,
		    const struct client_names *names)
{
	assert_int_equal(proof_add(p, &(struct proof_mail) { .scanner = SCANNER,
							     .domain = domain,
							     .mx_host = MX,
							     .client = client,
							     .inside = inside,
							     .names = names,
							     .messages = 1,
							     .first_ms = at(0),
							     .last_ms = at(2) }),
			 0);
}

static int count_network(void *user, const struct proof_network *row)
{
	++*(size_t *)user;
	return 0;
}

static size_t count_networks(const struct proof *p)
{
	size_t n = 0;

	proof_each(p, &(struct proof_visit) { .network = count_network, .user = &n });
	return n;
}

/* Bots from a hundred thousand networks, before, among and after the mail of two rivals. */
static void test_flood(void **state)
{
	enum { BEFORE, AMONG, AFTER, ORDERS };
	const char *out = "out.acme.example", *other = "mta.other.example";
	struct client_names none = { .status = DNS_NXDOMAIN };
	struct client_names related = { .status = DNS_OK, .n = 1, .names = &out };
	struct client_names unrelated = { .status = DNS_OK, .n = 1, .names = &other };
	struct addr scanner = address("198.51.100.1"), r1 = address("192.0.2.7"),
		    r2 = address("203.0.113.7");

	for (int order = 0; order < ORDERS; order++) {
		struct proof *p = fresh();
		struct proof_state s;
		char domain[64];
		unsigned bot = 0;

		for (int d = 0; d < 3; d++) {
			domain_name(d, domain);
			for (int i = 0; i < 1000; i++)
				add_one(p, domain, scanner, true, NULL);
			for (int i = 0; order == BEFORE && i < 30000; i++)
				add_one(p, domain, bot_address(bot++), false, &none);
			/* A little over a tenth of all 39,000 */
			for (int i = 0; i < 4000; i++) {
				add_one(p, domain, r1, false, &related);
				add_one(p, domain, r2, false, &unrelated);
				for (int k = 0; order == AMONG && k < 30 && i % 4 == 0; k++)
					add_one(p, domain, bot_address(bot++), false, &none);
			}
			for (int i = 0; order == AFTER && i < 30000; i++)
				add_one(p, domain, bot_address(bot++), false, &none);
		}
		assert_int_equal(bot, 90000);
		assert_int_equal(count_networks(p), 3 * PROOF_NETWORKS);
		assert_int_equal(proof_judge(p, SCANNER, &conf, at(3), &s), 0);
		assert_int_equal(s.outcome, PROOF_RIVAL);
		assert_int_equal(s.n_rivals, 2);
		assert_true(prefix_contains(&s.rivals[0].network, &r1));
		assert_true(s.rivals[0].related);
		assert_string_equal(s.rivals[1].ptr_domain, "other.example");
		proof_state_deinit(&s);
		proof_free(p);
	}
}

/* Bots alone are neither rivals, nor do they keep the door from shutting. */
static void test_bots_only(void **state)
{
	static const struct feed inside = INSIDE(1, 5, 20, 0, 2);
	static const struct proof_conf fine = { .mails = 20, .hours = 24, .rival = 0.02 };
	struct client_names none = { .status = DNS_NXDOMAIN };
	struct proof *p = fresh();
	struct proof_state s;
	char domain[64];

	feed(p, &inside);
	for (unsigned i = 0; i < 50000; i++) {
		struct addr bot = bot_address(i / 2); /* some come twice */

		domain_name(1 + (int)(i % 5), domain);
		add_one(p, domain, bot, false, &none);
	}
	assert_int_equal(proof_judge(p, SCANNER, &conf, at(3), &s), 0);
	assert_int_equal(s.outcome, PROOF_PROVEN);
	assert_int_equal(s.n_rivals, 0);
	proof_state_deinit(&s);
	/* A share below what one counter holds is not seen in possible errors. */
	assert_int_equal(proof_judge(p, SCANNER, &fine, at(3), &s), 0);
	assert_int_equal(s.n_rivals, 0);
	proof_state_deinit(&s);
	proof_free(p);
}

/* ---- the counters ---- */

#define KINDS 400

struct check {
	uint64_t truth[KINDS], all, sum;
	bool seen[KINDS];
};

static bool is_bots(const struct prefix *network, unsigned number)
{
	struct addr bot = bot_address(number);

	return prefix_contains(network, &bot);
}

static int check_network(void *user, const struct proof_network *row)
{
	struct check *c = user;
	unsigned kind = 0;

	while (kind < KINDS && !is_bots(&row->network, kind))
		kind++;
	assert_true(kind < KINDS);
	c->seen[kind] = true;
	c->sum += row->messages;
	assert_true(row->messages >= c->truth[kind]);
	assert_true(row->messages - row->error <= c->truth[kind]);
	assert_true(row->error <= c->all / PROOF_NETWORKS);
	return 0;
}

/* What proof.h promises of them, over skewed streams in random order with random weights. */
static void test_counters(void **state)
{
	struct client_names none = { .status = DNS_NXDOMAIN };

	srandom(7);
	for (int round = 0; round < 50; round++) {
		struct proof *p = fresh();
		struct check c = { 0 };

		for (int i = 0; i < 3000; i++) {
			unsigned kind = (unsigned)random() % KINDS;
			uint64_t weight = 1 + (uint64_t)random() % 9;

			for (int k = round % 5; k > 0; k--)
				kind = (unsigned)random() % (kind + 1);
			assert_int_equal(
				proof_add(p, &(struct proof_mail) { .scanner = SCANNER,
								    .domain = "d.example",
								    .mx_host = MX,
								    .client = bot_address(kind),
								    .names = &none,
								    .messages = weight,
								    .first_ms = at(0),
								    .last_ms = at(0) }),
				0);
			c.truth[kind] += weight;
			c.all += weight;
		}
		proof_each(p, &(struct proof_visit) { .network = check_network, .user = &c });
		assert_int_equal(c.sum, c.all);
		for (unsigned kind = 0; kind < KINDS; kind++)
			assert_true(c.seen[kind] || c.truth[kind] <= c.all / PROOF_NETWORKS);
		proof_free(p);
	}
}

/* Too many domains: those that are known go on being counted, and the scanner's total. */
static void test_bounds(void **state)
{
	struct proof *p = fresh();
	struct addr inside = address("198.51.100.1");
	struct proof_mail m = { .scanner = SCANNER,
				.mx_host = MX,
				.client = inside,
				.inside = true,
				.messages = 1,
				.first_ms = at(0),
				.last_ms = at(1) };
	struct proof_state s;
	char domain[64];

	m.domain = domain;
	for (int i = 0; i < PROOF_SCANNER_DOMAINS + 5; i++) {
		domain_name(i, domain);
		assert_int_equal(proof_add(p, &m), i < PROOF_SCANNER_DOMAINS ? 0 : 1);
	}
	domain_name(0, domain);
	assert_int_equal(proof_add(p, &m), 0);
	assert_int_equal(proof_judge(p, SCANNER, &conf, at(1), &s), 0);
	assert_int_equal(s.inside, PROOF_SCANNER_DOMAINS + 6);
	assert_int_equal(s.domains, PROOF_SCANNER_DOMAINS);
	proof_state_deinit(&s);
	proof_free(p);

	p = fresh();
	m.domain = "d.example";
	m.scanner = domain;
	for (int i = 0; i < PROOF_SCANNERS_MAX + 5; i++) {
		domain_name(i, domain);
		assert_int_equal(proof_add(p, &m), i < PROOF_SCANNERS_MAX ? 0 : 1);
	}
	assert_int_equal(proof_scanner_count(p), PROOF_SCANNERS_MAX);
	proof_free(p);
}

/* ---- rows and merging ---- */

/* All rows as sorted text, malloc'ed. */
struct dump {
	char *lines[512];
	size_t n;
};

static int dump_scanner(void *user, const struct proof_scanner *r)
{
	struct dump *d = user;

	assert_true(asprintf(&d->lines[d->n++], "%s %llu %lld %lld %lld %lld", r->name,
			     (unsigned long long)r->inside, (long long)r->first_ms,
			     (long long)r->last_ms, (long long)r->inside_first_ms,
			     (long long)r->inside_last_ms) > 0);
	return 0;
}

static int dump_domain(void *user, const struct proof_domain *r)
{
	struct dump *d = user;

	assert_true(asprintf(&d->lines[d->n++], "%s %s %lld %llu %llu %llu", r->scanner, r->name,
			     (long long)r->first_ms, (unsigned long long)r->inside,
			     (unsigned long long)r->outside, (unsigned long long)r->confirmed) > 0);
	return 0;
}

static int dump_network(void *user, const struct proof_network *r)
{
	struct dump *d = user;
	char text[ADDR_STRLEN + 4];

	assert_true(asprintf(&d->lines[d->n++], "%s %s %s %llu %llu %d %s", r->scanner, r->domain,
			     prefix_format(&r->network, text), (unsigned long long)r->messages,
			     (unsigned long long)r->error, r->related,
			     r->ptr_domain ? r->ptr_domain : "-") > 0);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void expect_equal(const struct proof *a, const struct proof *b)
{
	struct dump dumps[2] = { 0 };
	const struct proof *const proofs[2] = { a, b };

	for (int i = 0; i < 2; i++) {
		proof_each(proofs[i], &(struct proof_visit) { dump_scanner, dump_domain,
							      dump_network, .user = &dumps[i] });
		qsort(dumps[i].lines, dumps[i].n, sizeof(char *), by_text);
	}
	assert_int_equal(dumps[0].n, dumps[1].n);
	for (size_t i = 0; i < dumps[0].n; i++) {
		assert_string_equal(dumps[0].lines[i], dumps[1].lines[i]);
		free(dumps[0].lines[i]);
		free(dumps[1].lines[i]);
	}
}

static int put_scanner(void *user, const struct proof_scanner *row)
{
	assert_int_equal(proof_put_scanner(user, row), 0);
	return 0;
}

static int put_domain(void *user, const struct proof_domain *row)
{
	assert_int_equal(proof_put_domain(user, row), 0);
	return 0;
}

static int put_network(void *user, const struct proof_network *row)
{
	assert_int_equal(proof_put_network(user, row), 0);
	return 0;
}

static void test_rows(void **state)
{
	static const struct feed feeds[] = {
		INSIDE(1, 4, 30, 1, 3),
		OUTSIDE(1, 3, 10, "192.0.2.9", "mta.other.example", 0, 4),
		OUTSIDE(2, 4, 10, "2001:db8:7:7::7", "out1.eu.acme.example", 2, 3),
		OUTSIDE(7, 7, 1, "192.0.2.9", NULL, 2, 3),
	};
	struct client_names none = { .status = DNS_NXDOMAIN };
	struct proof *p = fresh(), *copy = fresh();

	for (size_t i = 0; i < ARRAY_SIZE(feeds); i++)
		feed(p, &feeds[i]);
	for (unsigned i = 0; i < 100; i++) /* counters with errors */
		add_one(p, "d7.example", bot_address(i), false, &none);
	proof_each(p, &(struct proof_visit) { put_scanner, put_domain, put_network, .user = copy });
	expect_equal(p, copy);
	proof_free(p);
	proof_free(copy);
}

static void test_impossible_rows(void **state)
{
	struct proof_scanner s = { .name = SCANNER, .first_ms = 1, .last_ms = 2 };
	struct proof_domain d = { .scanner = SCANNER, .name = "d.example", .first_ms = 1 };
	struct proof_network n = { .scanner = SCANNER, .domain = "d.example", .messages = 1 };
	char long_name[300];
	struct proof *p = fresh();

	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(proof_put_domain(p, &d), -ENOENT);
	prefix_parse(SV("192.0.2.0/24"), &n.network);
	assert_int_equal(proof_put_network(p, &n), -ENOENT);

	s.last_ms = 0;
	assert_int_equal(proof_put_scanner(p, &s), -EINVAL);
	s.last_ms = INT64_MAX;
	assert_int_equal(proof_put_scanner(p, &s), -EINVAL);
	s.last_ms = 2;
	s.inside = (uint64_t)-1;
	assert_int_equal(proof_put_scanner(p, &s), -EINVAL);
	s.inside = 5;
	s.inside_first_ms = 7;
	assert_int_equal(proof_put_scanner(p, &s), -EINVAL);
	s.inside_first_ms = 0;
	s.name = "";
	assert_int_equal(proof_put_scanner(p, &s), -EINVAL);
	s.name = long_name;
	assert_int_equal(proof_put_scanner(p, &s), -EINVAL);
	s.name = SCANNER;
	assert_int_equal(proof_put_scanner(p, &s), 0);

	assert_int_equal(proof_put_network(p, &n), -ENOENT);
	d.confirmed = 1;
	assert_int_equal(proof_put_domain(p, &d), -EINVAL);
	d.confirmed = 0;
	d.first_ms = INT64_MIN;
	assert_int_equal(proof_put_domain(p, &d), -EINVAL);
	d.first_ms = 1;
	assert_int_equal(proof_put_domain(p, &d), 0);

	n.error = 1;
	assert_int_equal(proof_put_network(p, &n), -EINVAL);
	n.error = 0;
	n.messages = 0;
	assert_int_equal(proof_put_network(p, &n), -EINVAL);
	n.messages = 1;
	prefix_parse(SV("192.0.2.0/25"), &n.network);
	assert_int_equal(proof_put_network(p, &n), -EINVAL);
	prefix_parse(SV("2001:db8::/32"), &n.network);
	assert_int_equal(proof_put_network(p, &n), -EINVAL);
	prefix_parse(SV("2001:db8::/48"), &n.network);
	assert_int_equal(proof_put_network(p, &n), 0);
	proof_free(p);
}

/* What was known, what is learned, and what must be there then: mail from inside. */
static void test_merge(void **state)
{
	static const struct {
		const char *what;
		struct feed known, news;
		uint64_t inside;
	} rows[] = {
		{ "the same again", INSIDE(1, 1, 30, 1, 3), INSIDE(1, 1, 30, 1, 3), 30 },
		{ "more of it", INSIDE(1, 1, 30, 1, 3), INSIDE(1, 1, 50, 0, 4), 50 },
		{ "more time, judged stricter", INSIDE(1, 1, 30, 1, 3), INSIDE(1, 1, 9, 1, 4), 9 },
		{ "a part of it", INSIDE(1, 1, 30, 1, 3), INSIDE(1, 1, 10, 2, 2.5), 30 },
		{ "later", INSIDE(1, 1, 30, 1, 3), INSIDE(1, 1, 10, 3.1, 4), 40 },
		{ "from then on", INSIDE(1, 1, 30, 1, 3), INSIDE(1, 1, 10, 3, 4), 40 },
		{ "earlier", INSIDE(1, 1, 30, 1, 3), INSIDE(1, 1, 10, 0, 0.9), 40 },
		{ "overlapping, more", INSIDE(1, 1, 30, 1, 3), INSIDE(1, 1, 31, 2, 4), 31 },
		{ "overlapping, as much", INSIDE(1, 1, 30, 1, 3), INSIDE(1, 2, 15, 2, 4), 30 },
		{ "overlapping, less", INSIDE(1, 1, 30, 1, 3), INSIDE(1, 1, 29, 2, 4), 30 },
		{ "one mail, the same", INSIDE(1, 1, 1, 1, 1), INSIDE(1, 1, 1, 1, 1), 1 },
		{ "of outside only", INSIDE(1, 1, 30, 1, 3),
		  OUTSIDE(1, 1, 30, "192.0.2.1", NULL, 4, 5), 30 },
		{ "nothing was known", { 0 }, INSIDE(1, 1, 30, 1, 3), 30 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proof *p = fresh(), *news = fresh(), *merged = fresh();
		struct proof_state s;

		if (rows[i].known.messages)
			feed(p, &rows[i].known);
		feed(news, &rows[i].news);
		assert_int_equal(proof_merge(p, news), 0);
		assert_int_equal(proof_judge(p, SCANNER, &conf, at(9), &s), 0);
		if (s.inside != rows[i].inside)
			fail_msg("%s: %llu", rows[i].what, (unsigned long long)s.inside);
		proof_state_deinit(&s);

		/* Again and again makes no difference. */
		assert_int_equal(proof_merge(merged, p), 0);
		assert_int_equal(proof_merge(merged, news), 0);
		assert_int_equal(proof_merge(merged, p), 0);
		assert_int_equal(proof_judge(merged, SCANNER, &conf, at(9), &s), 0);
		assert_int_equal(s.inside, rows[i].inside);
		proof_state_deinit(&s);
		proof_free(p);
		proof_free(news);
		proof_free(merged);
	}
}

/* Scanners one by one; domains and networks come along; day after day adds up to the whole. */
static void test_merge_whole(void **state)
{
	static const struct feed days[] = {
		INSIDE(1, 3, 7, 0, 0.9),
		OUTSIDE(2, 5, 4, "192.0.2.9", "mta.other.example", 0.2, 0.5),
		INSIDE(2, 4, 9, 1, 1.9),
		OUTSIDE(1, 5, 4, "192.0.2.9", "out.acme.example", 1.2, 1.5),
	};
	struct proof *whole = fresh(), *merged = fresh();
	struct proof_mail other = { .scanner = "other.example",
				    .domain = "x.example",
				    .mx_host = "mx.other.example",
				    .inside = true,
				    .messages = 3,
				    .first_ms = at(0),
				    .last_ms = at(0.1) };

	for (size_t i = 0; i < ARRAY_SIZE(days); i += 2) {
		struct proof *day = fresh();

		for (size_t k = i; k < i + 2; k++) {
			feed(whole, &days[k]);
			feed(day, &days[k]);
		}
		if (i == 0) {
			proof_add(whole, &other);
			proof_add(day, &other);
		}
		assert_int_equal(proof_merge(merged, day), 0);
		proof_free(day);
	}
	expect_equal(whole, merged);
	assert_int_equal(proof_scanner_count(merged), 2);
	proof_free(whole);
	proof_free(merged);
}

/* ---- memory ---- */

static void test_apply(void **state)
{
	static const struct feed feeds[] = {
		INSIDE(1, 9, 20, 0, 2),
		OUTSIDE(1, 3, 5, "192.0.2.1", "a.b.example", 0, 2),
	};
	static const struct feed grown = OUTSIDE(1, 9, 9, "203.0.113.1", "a.eu.acme.example", 2, 3);
	struct addr rival = address("192.0.2.99"), other = address("192.0.3.99");
	struct proof *p = fresh();
	struct proof_mail few = { .scanner = "few.example",
				  .domain = "x.example",
				  .mx_host = "mx.few.example",
				  .inside = true,
				  .messages = 3,
				  .first_ms = at(0),
				  .last_ms = at(0.1) };
	struct proof_summary sum;
	struct memory *m;

	assert_int_equal(memory_new(&m), 0);
	for (size_t i = 0; i < ARRAY_SIZE(feeds); i++)
		feed(p, &feeds[i]);
	assert_int_equal(proof_add(p, &few), 0);
	assert_int_equal(proof_apply(p, &conf, at(8.5), 5000, m, &sum), 0);
	assert_true(memory_scanner_is_proven(m, SCANNER));
	assert_true(memory_scanner_is_rival(m, SCANNER, &rival));
	assert_false(memory_scanner_is_rival(m, SCANNER, &other));
	assert_false(memory_scanner_is_rival(m, "few.example", &rival));
	assert_false(memory_scanner_is_proven(m, "few.example"));
	assert_false(memory_scanner_is_proven(m, "unheard-of.example"));
	/* Heard 6.5 days ago, and 8.4, by a clock that began 5 seconds ago. */
	assert_true(memory_scanner_is_heard(m, SCANNER, 5000));
	assert_false(memory_scanner_is_heard(m, SCANNER, 5000 + DAY / 2 + 1));
	assert_false(memory_scanner_is_heard(m, "few.example", 5000));
	assert_int_equal(sum.proven, 1);
	assert_int_equal(sum.wanting, 1);
	assert_int_equal(sum.rival, 0);
	assert_int_equal(sum.unrelated, 1);
	assert_int_equal(sum.ask_operator, 0);

	/* Its egress has grown. */
	feed(p, &grown);
	assert_int_equal(proof_apply(p, &conf, at(15), 5000, m, &sum), 0);
	assert_false(memory_scanner_is_proven(m, SCANNER));
	rival = address("203.0.113.9");
	assert_true(memory_scanner_is_rival(m, SCANNER, &rival));
	assert_int_equal(sum.proven, 0);
	assert_int_equal(sum.rival, 1);
	assert_int_equal(sum.ask_operator, 2);
	memory_free(m);
	proof_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),    cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_flood),    cmocka_unit_test(test_bots_only),
		cmocka_unit_test(test_counters), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_rows),     cmocka_unit_test(test_impossible_rows),
		cmocka_unit_test(test_merge),    cmocka_unit_test(test_merge_whole),
		cmocka_unit_test(test_apply),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
