/*
 * What stands beside the counts: an egress that has moved is noticed by what it offers, and what
 * the operator settled holds. Attackers try to open a door, to keep one open, and to hide what they
 * can.
 */
#include "fixture.h"

#include "policy/proof_recent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR    (3600 * 1000LL)
#define DAY     (24 * HOUR)
#define NOW     (20000 * DAY)
#define SCANNER "acme.example"
#define MX      "mx1.acme.example"
#define DOMAINS 5

static const struct proof_conf conf = { .mails = 20, .hours = 24, .rival = 0.1 };

/* A scanner that is proven, and its clients. */
struct scene {
	struct proof *proof;
	struct proof_recent *recent;
	struct memory *memory;
	int64_t now;
};

static struct proof_mail mail(const char *domain, const char *client, const char *name,
			      struct client_names *names)
{
	static const char *of[1];

	of[0] = name;
	*names = (struct client_names) { .status = name ? DNS_OK : DNS_NXDOMAIN,
					 .n = name != NULL,
					 .names = of };
	return (struct proof_mail) { .scanner = SCANNER,
				     .domain = domain,
				     .mx_host = MX,
				     .client = address(client),
				     .names = names };
}

static void accept_mail(struct scene *s, int domain, const char *client, const char *name,
			bool inside, uint64_t messages)
{
	struct client_names names;
	char text[64];

	snprintf(text, sizeof(text), "d%d.example", domain);
	struct proof_mail m = mail(text, client, name, &names);

	m.inside = inside;
	m.messages = messages;
	m.first_ms = s->now - 3 * DAY;
	m.last_ms = s->now;
	assert_int_equal(proof_add(s->proof, &m), 0);
}

/* Returns whether something is held since then. */
static bool offer(struct scene *s, int domain, const char *client, const char *name, int times)
{
	struct client_names names;
	bool held = false;
	char text[64];

	snprintf(text, sizeof(text), "d%d.example", domain);
	struct proof_mail m = mail(text, client, name, &names);

	m.inside = strcmp(client, "198.51.100.1") == 0;
	m.messages = 1;
	m.first_ms = m.last_ms = s->now;
	for (int i = 0; i < times; i++) {
		int r = proof_recent_add(s->recent, &m, s->proof);

		assert_true(r == 0 || r == 1);
		held = held || r == 1;
	}
	return held;
}

static void offer_all(struct scene *s, const char *client, const char *name, int domains, int times)
{
	for (int i = 0; i < domains; i++)
		offer(s, i, client, name, times);
}

/* What the daemon does from time to time. Returns whether something is held since then. */
static bool judge(struct scene *s)
{
	struct proof_summary sum;
	int r = proof_recent_judge(s->recent, &conf, s->now, s->proof);

	assert_true(r == 0 || r == 1);
	assert_int_equal(proof_apply(s->proof, &conf, s->now, s->now, s->memory, &sum), 0);
	return r == 1;
}

static struct scene begin(void)
{
	struct scene s = { .now = NOW };

	assert_int_equal(proof_new(&s.proof), 0);
	assert_int_equal(proof_recent_new(&s.recent), 0);
	assert_int_equal(memory_new(&s.memory), 0);
	for (int i = 0; i < DOMAINS; i++)
		accept_mail(&s, i, "198.51.100.1", NULL, true, 40);
	offer_all(&s, "198.51.100.1", NULL, DOMAINS, 20);
	assert_false(judge(&s));
	assert_true(memory_scanner_is_proven(s.memory, SCANNER));
	return s;
}

static void end(struct scene *s)
{
	proof_free(s->proof);
	proof_recent_free(s->recent);
	memory_free(s->memory);
}

static bool is_rival(const struct scene *s, const char *client)
{
	struct addr a = address(client);

	return memory_scanner_is_rival(s->memory, SCANNER, &a);
}

static bool is_proven(const struct scene *s)
{
	return memory_scanner_is_proven(s->memory, SCANNER);
}

static void settle(struct scene *s, const char *network, bool accepted)
{
	struct proof_settled row = { .scanner = SCANNER, .accepted = accepted };

	assert_int_equal(prefix_parse(sv_from(network), &row.network), 0);
	assert_int_equal(proof_put_settled(s->proof, &row), 0);
}

/* ---- a moved egress ---- */

static void test_moved(void **state)
{
	static const struct {
		const char *what, *name;
		int domains, times;
		bool rival, proven;
	} rows[] = {
		{ "as much as a fifth", "out.new-cloud.example", 3, 5, true, true },
		{ "without a name", NULL, 3, 5, true, true },
		{ "for two domains", "out.new-cloud.example", 2, 50, false, true },
		{ "three messages each", "out.new-cloud.example", 5, 3, false, true },
		{ "in the scanner's domain: guessed again", "out7.eu.acme.example", 3, 5, true,
		  false },
		{ "in its domain, little: deferred", "out7.eu.acme.example", 1, 1, true, true },
		{ "in its domain, for two domains", "out7.eu.acme.example", 2, 50, true, true },
		{ "a customer's line in its domain", "192-0-2-7.dyn.acme.example", 1, 9, false,
		  true },
		{ "a name made to look like it", "acme.example.evil.example", 1, 9, false, true },
		{ "and with much mail", "mx1-acme.example", 5, 90, true, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s = begin();

		offer_all(&s, "192.0.2.7", rows[i].name, rows[i].domains, rows[i].times);
		judge(&s);
		if (is_rival(&s, "192.0.2.7") != rows[i].rival || is_proven(&s) != rows[i].proven)
			fail_msg("%s: rival %d proven %d", rows[i].what, is_rival(&s, "192.0.2.7"),
				 is_proven(&s));
		assert_int_equal(memory_scanner_has_grown(s.memory, "acme.example"),
				 !rows[i].proven);
		assert_int_equal(is_rival(&s, "192.0.2.200"), rows[i].rival);
		/* Nobody else is treated otherwise for that. */
		assert_false(is_rival(&s, "192.0.3.7"));
		assert_false(is_rival(&s, "198.51.100.1"));
		end(&s);
	}
}

/* At once, for one in the scanner's domain: it is told by adding already, and once. */
static void test_related_at_once(void **state)
{
	struct scene s = begin();

	assert_true(offer(&s, 0, "192.0.2.7", "out7.acme.example", 1));
	assert_false(offer(&s, 0, "192.0.2.8", "out8.acme.example", 9));
	assert_false(offer(&s, 0, "203.0.113.8", "out.other.example", 9));
	end(&s);
}

/* A catalogue's row may name more domains than the MX host's. */
static void test_related_by_row(void **state)
{
	static const char *const mx[] = { "acme.example", "in.filter.example" }, *const ptr[] = {
		"eu.out.example"
	};
	static const struct {
		const char *name, *client;
		bool related;
		const char *domain;
	} rows[] = {
		{ "mail.acme.example", "192.0.2.7", true, "acme.example" },
		{ "out.filter.example", "192.0.2.7", true, "filter.example" },
		{ "us.out.example", "192.0.2.7", true, "out.example" },
		{ "out.example.org", "192.0.2.7", false, "example.org" },
		{ "xfilter.example", "192.0.2.7", false, "xfilter.example" },
		{ "192-0-2-7.out.example", "192.0.2.7", false, "out.example" },
	};
	const struct catalogue_row row = { .mx = mx, .n_mx = 2, .ptr = ptr, .n_ptr = 1 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client_names names;
		struct proof_mail m = mail("d.example", rows[i].client, rows[i].name, &names);
		const char *domain;

		m.row = &row;
		if (proof_is_related(&m, &domain) != rows[i].related)
			fail_msg("%s", rows[i].name);
		assert_string_equal(domain, rows[i].domain);
		m.row = NULL;
		assert_int_equal(proof_is_related(&m, &domain), i == 0);
	}
}

/* What is offered fades; who was found is deferred for a week after. */
static void test_lasts(void **state)
{
	struct scene s = begin();

	offer_all(&s, "192.0.2.7", "out.new-cloud.example", 3, 5);
	assert_true(judge(&s));
	assert_false(judge(&s)); /* nothing new */
	for (int i = 0; i < 10; i++)
		proof_recent_fade(s.recent);
	s.now += PROOF_HOLD_MS;
	assert_false(judge(&s));
	assert_true(is_rival(&s, "192.0.2.7"));
	s.now++;
	judge(&s);
	assert_false(is_rival(&s, "192.0.2.7"));
	/* Little by little is no rival: a few each hour, over many. */
	for (int i = 0; i < 20; i++) {
		offer_all(&s, "192.0.2.9", "out.new-cloud.example", 3, 2);
		offer_all(&s, "198.51.100.1", NULL, DOMAINS, 20);
		proof_recent_fade(s.recent);
		assert_false(judge(&s));
	}
	end(&s);
}

/* ---- attacks ---- */

static const char *bot(int number, char out[32])
{
	snprintf(out, 32, "11.%d.%d.5", number / 256 % 256, number % 256);
	return out;
}

/* Many networks with little each, with names and without: nobody is a rival. */
static void test_many_networks(void **state)
{
	struct scene s = begin();
	char text[32];

	for (int i = 0; i < 3000; i++)
		offer_all(&s, bot(i, text), i % 2 ? "host.bots.example" : NULL, DOMAINS, 5);
	assert_false(judge(&s));
	assert_true(is_proven(&s));
	for (int i = 0; i < 3000; i++)
		assert_false(is_rival(&s, bot(i, text)));
	end(&s);
}

/* Noise does not hide an egress: that of clients without a name counts for nobody else. */
static void test_noise(void **state)
{
	struct scene s = begin();
	char text[32];

	for (int i = 0; i < 500; i++)
		offer_all(&s, bot(i, text), NULL, DOMAINS, 10);
	offer_all(&s, "192.0.2.7", "out.new-cloud.example", 3, 5);
	for (int i = 500; i < 1000; i++)
		offer_all(&s, bot(i, text), NULL, DOMAINS, 10);
	assert_true(judge(&s));
	assert_true(is_rival(&s, "192.0.2.7"));
	assert_false(is_rival(&s, bot(7, text)));
	assert_true(is_proven(&s));
	end(&s);
}

/* One network with very much mail, and more networks in turn: each is deferred, that is all; and
 * what is remembered of them is bounded. One with a name in the scanner's domain is not pushed out.
 */
static void test_in_turn(void **state)
{
	struct scene s = begin();
	char text[32];
	int rivals = 0;

	offer(&s, 0, "203.0.113.7", "out7.acme.example", 1);
	for (int i = 0; i < 200; i++) {
		s.now += 60000;
		offer_all(&s, bot(i, text), "host.bots.example", DOMAINS, 1000);
		judge(&s);
		assert_true(is_proven(&s));
		assert_false(is_rival(&s, "192.0.2.66"));
		proof_recent_fade(s.recent);
	}
	for (int i = 0; i < 200; i++)
		rivals += is_rival(&s, bot(i, text));
	assert_true(rivals > 0 && rivals < PROOF_HELD);
	assert_true(is_rival(&s, "203.0.113.7"));
	end(&s);
}

/* Made-up domains by the hundred thousand: what is known goes on being watched. */
static void test_flood_of_domains(void **state)
{
	struct scene s = begin();

	for (int i = 0; i < 5 * RECENT_DOMAINS_MAX; i++)
		offer(&s, 1000 + i, "11.0.0.5", NULL, 1);
	offer_all(&s, "192.0.2.7", "out.new-cloud.example", 3, 5);
	judge(&s);
	assert_true(is_rival(&s, "192.0.2.7"));
	assert_true(is_proven(&s));
	/* They fade, and others find room. */
	for (int i = 0; i < 8; i++)
		proof_recent_fade(s.recent);
	for (int i = 0; i < 3; i++) {
		offer(&s, 900000 + i, "198.51.100.1", NULL, 20);
		offer(&s, 900000 + i, "203.0.113.9", "out.newer-cloud.example", 20);
	}
	judge(&s);
	assert_true(is_rival(&s, "203.0.113.9"));
	end(&s);
}

/* Before the proof, while all is accepted: much mail from a named network keeps the share of the
 * inside small, so nothing is proven. That is told, and the operator ends it. */
static void test_kept_open(void **state)
{
	struct scene s = { .now = NOW };
	struct proof_state p;

	assert_int_equal(proof_new(&s.proof), 0);
	assert_int_equal(proof_recent_new(&s.recent), 0);
	assert_int_equal(memory_new(&s.memory), 0);
	for (int i = 0; i < DOMAINS; i++) {
		accept_mail(&s, i, "198.51.100.1", NULL, true, 40);
		accept_mail(&s, i, "192.0.2.7", "mta.evil.example", false, 400);
	}
	judge(&s);
	assert_false(is_proven(&s));
	assert_true(is_rival(&s, "192.0.2.7")); /* which is told */
	settle(&s, "192.0.2.0/24", false);
	judge(&s);
	assert_true(is_proven(&s));
	assert_false(is_rival(&s, "192.0.2.7"));
	/* Accepted, its mail counts for the scanner: the share, not the messages seen at work. */
	settle(&s, "192.0.2.0/24", true);
	judge(&s);
	assert_true(is_proven(&s));
	assert_int_equal(proof_judge(s.proof, SCANNER, &conf, s.now, &p), 0);
	assert_true(p.share > 0.999);
	assert_int_equal(p.inside, 40 * DOMAINS);
	proof_state_deinit(&p);
	end(&s);
}

/* ---- what is settled ---- */

static void test_settled(void **state)
{
	struct addr client = address("192.0.2.7"), neighbour = address("192.0.2.8");
	struct scene s = begin();

	/* A related rival, and a part of its network accepted: it is the scanner's. */
	offer_all(&s, "192.0.2.7", "out7.acme.example", 3, 20);
	judge(&s);
	assert_false(is_proven(&s));
	settle(&s, "192.0.2.7", true);
	judge(&s);
	assert_true(is_proven(&s));
	assert_false(is_rival(&s, "192.0.2.7"));
	assert_true(memory_scanner_accepts(s.memory, SCANNER, &client));
	assert_false(memory_scanner_accepts(s.memory, SCANNER, &neighbour));
	/* The same network again replaces. */
	settle(&s, "192.0.2.7", false);
	judge(&s);
	assert_false(memory_scanner_accepts(s.memory, SCANNER, &client));
	assert_true(memory_scanner_denies(s.memory, SCANNER, &client));
	assert_false(offer(&s, 0, "192.0.2.9", "out9.acme.example", 1));
	/* Settled before anything was seen of the scanner. */
	struct proof_settled other = { .scanner = "other.example", .accepted = true };

	assert_int_equal(prefix_parse(SV("192.0.2.0/24"), &other.network), 0);
	assert_int_equal(proof_put_settled(s.proof, &other), 0);
	judge(&s);
	assert_true(memory_scanner_accepts(s.memory, "other.example", &client));
	/* Forgotten: all as before. */
	proof_forget_settled(s.proof);
	judge(&s);
	assert_false(memory_has_settled(s.memory));
	assert_true(is_rival(&s, "192.0.2.7"));
	assert_false(is_proven(&s));
	end(&s);
}

static void test_bad_rows(void **state)
{
	struct scene s = begin();
	struct proof_settled settled = { .scanner = "", .accepted = true };
	struct proof_held held = { .scanner = SCANNER, .since_ms = 1, .last_ms = 2, .share = 0.5 };
	struct proof_held bad;

	assert_int_equal(prefix_parse(SV("192.0.2.0/24"), &settled.network), 0);
	assert_int_equal(proof_put_settled(s.proof, &settled), -EINVAL);
	settled.scanner = SCANNER;
	settled.network.addr.b[15] = 1;
	assert_int_equal(proof_put_settled(s.proof, &settled), -EINVAL);
	settled.network.bits = 200;
	assert_int_equal(proof_put_settled(s.proof, &settled), -EINVAL);

	assert_int_equal(prefix_parse(SV("192.0.2.0/24"), &held.network), 0);
	assert_int_equal(proof_put_held(s.proof, &held), 0);
	bad = held;
	bad.network.bits = 128;
	assert_int_equal(proof_put_held(s.proof, &bad), -EINVAL);
	bad = held;
	bad.since_ms = 3;
	assert_int_equal(proof_put_held(s.proof, &bad), -EINVAL);
	bad.since_ms = -1;
	assert_int_equal(proof_put_held(s.proof, &bad), -EINVAL);
	bad = held;
	bad.share = 2;
	assert_int_equal(proof_put_held(s.proof, &bad), -EINVAL);
	bad.share = 0.0 / 0.0;
	assert_int_equal(proof_put_held(s.proof, &bad), -EINVAL);
	end(&s);
}

static void test_too_many_settled(void **state)
{
	struct scene s = begin();
	struct proof_settled row = { .scanner = SCANNER };
	char text[32];

	for (int i = 0; i < PROOF_SETTLED; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.0/24", i / 256, i % 256);
		settle(&s, text, true);
	}
	assert_int_equal(prefix_parse(SV("11.0.0.0/24"), &row.network), 0);
	assert_int_equal(proof_put_settled(s.proof, &row), 1);
	settle(&s, "10.0.7.0/24", false);
	end(&s);
}

/* ---- rows, and merging ---- */

struct rows {
	int settled, held;
	struct proof_held last;
};

static int see_settled(void *user, const struct proof_settled *row)
{
	assert_string_equal(row->scanner, SCANNER);
	((struct rows *)user)->settled++;
	return 0;
}

static int see_held(void *user, const struct proof_held *row)
{
	struct rows *r = user;

	r->held++;
	r->last = *row;
	return 0;
}

static void test_merging(void **state)
{
	struct scene s = begin();
	struct proof *news, *joined;
	struct rows rows = { 0 };
	struct proof_visit see = { .settled = see_settled, .held = see_held, .user = &rows };
	struct proof_state p;

	settle(&s, "10.0.0.0/8", true);
	offer_all(&s, "192.0.2.7", "out.new-cloud.example", 3, 5);
	judge(&s);
	/* Merged with itself nothing counts twice; joined, all does. */
	assert_int_equal(proof_new(&news), 0);
	assert_int_equal(proof_new(&joined), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(proof_merge(news, s.proof), 0);
		assert_int_equal(proof_join(joined, s.proof), 0);
	}
	assert_int_equal(proof_each(news, &see), 0);
	assert_int_equal(rows.settled, 1);
	assert_int_equal(rows.held, 1);
	assert_int_equal(rows.last.since_ms, NOW);
	assert_int_equal(rows.last.domains, 3);
	assert_false(rows.last.related);
	assert_string_equal(rows.last.ptr_domain, "new-cloud.example");
	assert_int_equal(proof_judge(news, SCANNER, &conf, NOW, &p), 0);
	assert_int_equal(p.inside, 40 * DOMAINS);
	assert_int_equal(p.n_rivals, 1);
	assert_true(p.rivals[0].held);
	proof_state_deinit(&p);
	assert_int_equal(proof_judge(joined, SCANNER, &conf, NOW, &p), 0);
	assert_int_equal(p.inside, 80 * DOMAINS);
	proof_state_deinit(&p);
	proof_free(news);
	proof_free(joined);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved),          cmocka_unit_test(test_related_at_once),
		cmocka_unit_test(test_related_by_row), cmocka_unit_test(test_lasts),
		cmocka_unit_test(test_many_networks),  cmocka_unit_test(test_noise),
		cmocka_unit_test(test_in_turn),        cmocka_unit_test(test_flood_of_domains),
		cmocka_unit_test(test_kept_open),      cmocka_unit_test(test_settled),
		cmocka_unit_test(test_bad_rows),       cmocka_unit_test(test_too_many_settled),
		cmocka_unit_test(test_merging),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
