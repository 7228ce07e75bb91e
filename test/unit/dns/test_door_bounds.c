/* Doors kept, let go, saved and brought back; and floods: the bounds of the table and of the line
 * of look-ups. */
#include "cm.h"
#include "doors_fixture.h"

#include <stdio.h>

static int setup_small(void **state)
{
	(void)state;
	start_with((struct resolver_conf) { .max_domains = 100 });
	return 0;
}

static int setup_silent(void **state)
{
	(void)state;
	start_with((struct resolver_conf) { .max_in_flight = 2, .timeout_ms = 30000 });
	fake.mode = SAY_SILENCE;
	return 0;
}

/* ---- restored doors ---- */

struct saved {
	const char *domain;
	int64_t fetched_ms, expires_ms;
	int result;
	uint32_t ttl; /* 0: 600 */
	bool kept;
};

static const struct saved *saved;

static void restore(void *user, struct resolver *r)
{
	struct addr addr = addr_from_v4("\300\0\2\1");
	struct dns_host host = { .name = "a.net",
				 .canonical = "a.net",
				 .preference = 10,
				 .n_addrs = 1,
				 .addrs = &addr,
				 .ptr = "" };

	(void)user;
	for (const struct saved *s = saved; s->domain; s++) {
		struct domain_facts f = { .kind = FACTS_MX,
					  .fetched_ms = s->fetched_ms,
					  .expires_ms = s->expires_ms,
					  .confirmed_ms = -1,
					  .kept = s->kept,
					  .ttl = s->ttl ? s->ttl : 600,
					  .n_hosts = 1,
					  .domain = s->domain,
					  .hosts = &host };
		assert_int_equal(resolver_restore_domain(r, &f), s->result);
	}
}

static int setup_restored(void **state)
{
	static const struct saved doors[] = {
		{ "fresh.org", AT(-100), AT(500), 0 },
		{ "kept.org", AT(-5000), AT(-4400), 0 },
		{ "idle.org", AT(-5000), AT(-4400), 0 },
		{ "used.org", AT(-5000), AT(-4400), 0 },
		{ "long.org", AT(-5000), AT(-4940), 0, .ttl = 86400 },
		{ "old.org", AT(-8 * 86400), AT(-8 * 86400 + 600), 0 },
		{ "fresh.org", AT(-100), AT(500), 1 },
		{ 0 },
	};

	(void)state;
	saved = doors;
	start_with((struct resolver_conf) { .restore = restore });
	return 0;
}

#define STALE_A "MX stale 10 a.net=[192.0.2.1]"

static void test_restored(void **state)
{
	(void)state;
	assert_int_equal(stats().domains, 5);
	assert_string_equal(peek("fresh.org"), A);
	assert_string_equal(peek("kept.org"), STALE_A);
	assert_string_equal(peek("used.org"), STALE_A);
	assert_string_equal(peek("old.org"), "");
	/* what is known isn't asked for; what expired is looked up for whom waits for an answer */
	worker_run(&worker, 700);
	assert_int_equal(fake.n_udp, 0);
	fake.mode = SAY_B;
	resolver_keep(resolver, "kept.org");
	set_time(now + 31000);
	peek("used.org");
	WAIT_FOR(strstr(peek("kept.org"), B));
	WAIT_FOR(strstr(peek("used.org"), B));
	worker_run(&worker, 1200);
	/* a restart is no change, what came after it is */
	assert_string_equal(peek("kept.org"), B " | until 631: " A);
	assert_int_equal(stats().lookups, 2);
	assert_string_equal(peek("idle.org"), STALE_A);
	/* its addresses were good for a minute, its MX set was for a day */
	peek("long.org");
	set_time(now + 31000);
	WAIT_FOR(strstr(peek("long.org"), B " | until 86462: " A));
}

enum { KEPT = 150, OTHERS = 50 };

static const char *numbered(char *out, size_t size, const char *what, int i)
{
	snprintf(out, size, "%s%d.org", what, i);
	return out;
}

static int setup_full(void **state)
{
	static struct saved doors[KEPT + OTHERS + 1];
	static char names[KEPT + OTHERS][32];

	(void)state;
	for (int i = 0; i < KEPT + OTHERS; i++)
		doors[i] = (struct saved) {
			.domain = numbered(names[i], sizeof(names[i]), i < KEPT ? "kept" : "other",
					   i),
			.fetched_ms = AT(-5000),
			.expires_ms = AT(-4400),
			.kept = i < KEPT,
		};
	saved = doors;
	start_with((struct resolver_conf) { .max_domains = 100, .restore = restore });
	return 0;
}

/* More doors are kept than the table is for: none of them goes while the others come back. */
static void test_restored_when_full(void **state)
{
	char name[32];

	(void)state;
	fake.mode = SAY_FAILURE;
	for (int i = 0; i < KEPT; i++)
		assert_string_equal(peek(numbered(name, sizeof(name), "kept", i)), STALE_A);
	assert_true(stats().domains <= KEPT + 11);
	assert_string_equal(peek(numbered(name, sizeof(name), "other", KEPT)), "");
}

/* DNS is dead: all goes on by what was saved, until it is too old. */
static void test_restored_without_dns(void **state)
{
	(void)state;
	fake.mode = SAY_FAILURE;
	resolver_keep(resolver, "kept.org");
	set_time(now + 31000);
	WAIT_FOR(stats().failed >= 1);
	set_time(now + 6 * 86400 * 1000LL);
	WAIT_FOR(stats().failed >= 2);
	assert_string_equal(peek("kept.org"), STALE_A);
	assert_string_equal(peek("idle.org"), STALE_A);
	set_time(now + 86400 * 1000LL);
	WAIT_FOR(strcmp(peek("kept.org"), "") == 0 || strcmp(peek("kept.org"), "FAILED") == 0);
	assert_string_equal(get("kept.org"), "FAILED");
	fake.mode = SAY_A;
	set_time(now + 3601 * 1000);
	WAIT_FOR(strcmp(peek("kept.org"), A) == 0);
}

/* ---- kept and released, and who is told ---- */

static void test_released(void **state)
{
	uint64_t lookups;

	(void)state;
	resolver_keep(resolver, "x.org");
	WAIT_FOR(told.n == 1);
	assert_int_equal(told.n_kept, 1);
	set_time(AT(570));
	WAIT_FOR(told.n == 2);
	resolver_release(resolver, "x.org");
	resolver_release(resolver, "x.org");
	resolver_release(resolver, "nobody.org");
	lookups = stats().lookups;
	/* nobody used it either: it isn't refreshed any more */
	for (int t = 1140; t < 3000; t += 30) {
		set_time(AT(t));
		worker_run(&worker, t < 1300 ? 600 : 1);
	}
	worker_run(&worker, 600);
	assert_int_equal(stats().lookups, lookups);
	assert_int_equal(stats().domains, 1);
	assert_string_equal(peek("x.org"), "");
}

/* Whoever keeps a copy hears of answers, not of failures; and of doors that have gone. */
static void test_told(void **state)
{
	char name[32];

	(void)state;
	get("x.org");
	assert_int_equal(told.n, 1);
	next_refresh(SAY_A);
	WAIT_FOR(told.n == 2);
	next_refresh(SAY_FAILURE);
	set_time(now + 100000);
	WAIT_FOR(strstr(peek("x.org"), "stale"));
	fake.mode = SAY_FAILURE;
	get("failed.org");
	assert_int_equal(told.n, 2);
	fake.mode = SAY_NXDOMAIN;
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "flood%d.org", i);
		get(name);
	}
	WAIT_FOR(told.n == 302);
	assert_true(told.n_gone >= 199);
	assert_int_equal(stats().evicted, told.n_gone + 1u);
	assert_non_null(strstr(told.gone, "flood"));
}

/* A flood of made-up domains: doors in use stay, and are never asked for again. */
static void test_flood(void **state)
{
	char name[32];

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "good%d.org", i);
		get(name);
	}
	set_time(now + 61000);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "good%d.org", i);
		assert_string_equal(peek(name), A);
	}
	fake.mode = SAY_NXDOMAIN;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "flood%d.org", i);
		assert_string_equal(get(name), "NOTHING nxdomain");
		if (i % 3 == 0)
			peek(name);
	}
	assert_true(stats().domains <= 101);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "good%d.org", i);
		assert_string_equal(peek(name), A);
	}
}

/* ---- a line that is full ---- */

static int setup_full_line(void **state)
{
	(void)state;
	start_with((struct resolver_conf) { .max_in_flight = 2, .timeout_ms = 30000 });
	return 0;
}

/* ---- shares of the line ---- */

enum { FLOOD = 12000, SHARE = 1250, HALF = 10000 };

struct many {
	struct resolver_query query;
	bool done;
	bool failed;
};

static void on_many(struct resolver_query *query, const void *result)
{
	struct many *m = query->user;

	m->done = true;
	m->failed = ((const struct domain_facts *)result)->kind == FACTS_FAILED;
}

static void ask_for(struct many *m, const char *client, const char *prefix, int i)
{
	struct addr addr;
	char name[64];

	assert_int_equal(addr_parse(sv_from(client), &addr), 0);
	snprintf(name, sizeof(name), "%s%d.org", prefix, i);
	*m = (struct many) { .query = { .answer = on_many, .user = m } };
	assert_int_equal(resolver_ask(worker.port, RESOLVER_DOMAIN, name, &addr, &m->query), 0);
}

static unsigned int count_done(const struct many *m, size_t n)
{
	unsigned int done = 0;

	for (size_t i = 0; i < n; i++) {
		done += m[i].done;
		assert_int_equal(m[i].done, m[i].failed);
	}
	return done;
}

/* Nobody answers. One client asks for thousands of names: above its share they count as trouble,
 * and others find room all the same. */
static void test_shares(void **state)
{
	static struct many flood[FLOOD], more[2000], other, neighbour;

	(void)state;
	for (int i = 0; i < FLOOD; i++)
		ask_for(&flood[i], i % 2 ? "2001:db8::1" : "2001:db8::2", "flood", i);
	/* half of the line is the client's, and two look-ups are under way or about to begin */
	WAIT_FOR(count_done(flood, FLOOD) >= FLOOD - HALF - 2);
	worker_run(&worker, 50);
	assert_true(count_done(flood, FLOOD) <= FLOOD - HALF);
	ask_for(&other, "192.0.2.7", "other", 0);
	ask_for(&neighbour, "2001:db8::3", "neighbour", 0); /* the same /64 */
	WAIT_FOR(neighbour.done);
	assert_false(other.done);
	/* the next one has its share only: others wait */
	for (int i = 0; i < 2000; i++)
		ask_for(&more[i], "192.0.2.8", "more", i);
	WAIT_FOR(count_done(more, 2000) == 2000 - SHARE);
	worker_run(&worker, 50);
	assert_int_equal(count_done(more, 2000), 2000 - SHARE);
	assert_false(other.done);
	/* hung up: what they left behind is no work, and their share is theirs again */
	for (int i = 0; i < FLOOD; i++)
		resolver_cancel(&flood[i].query);
	resolver_cancel(&other.query);
	for (int i = 0; i < 2000; i++)
		resolver_cancel(&more[i].query);
}

/* Who finds no place in the line is answered by what was known last: a flood of other names makes
 * none unknown. */
static void test_known_in_a_flood(void **state)
{
	static struct many flood[FLOOD], more[4], known;

	(void)state;
	assert_string_equal(get("known0.org"), A);
	fake.mode = SAY_SILENCE;
	set_time(now + 100000 * 1000LL);
	for (int i = 0; i < FLOOD; i++)
		ask_for(&flood[i], "192.0.2.7", "flood", i);
	WAIT_FOR(count_done(flood, FLOOD) >= FLOOD - HALF - 2);
	/* in place of the two that have begun */
	for (int i = 0; i < 4; i++)
		ask_for(&more[i], "192.0.2.7", "more", i);
	WAIT_FOR(count_done(more, 4) >= 2);
	ask_for(&known, "192.0.2.7", "known", 0);
	WAIT_FOR(known.done);
	assert_false(known.failed);
	for (int i = 0; i < 4; i++)
		resolver_cancel(&more[i].query);
	for (int i = 0; i < FLOOD; i++)
		resolver_cancel(&flood[i].query);
}

int main(void)
{
#define WITH(test, how) cmocka_unit_test_setup_teardown(test, how, world_end)
	const struct CMUnitTest tests[] = {
		WITH(test_restored, setup_restored),
		WITH(test_restored_when_full, setup_full),
		WITH(test_restored_without_dns, setup_restored),
		WITH(test_released, doors_setup),
		WITH(test_told, setup_small),
		WITH(test_flood, setup_small),
		WITH(test_shares, setup_silent),
		WITH(test_known_in_a_flood, setup_full_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
