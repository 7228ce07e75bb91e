/* The resolver when DNS fails, lies or changes: a fake server, and time set by the test. */
#include "base/clock.h"
#include "dns/resolver.h"

#include "cm.h"
#include "world.h"

#include <stdio.h>

enum { GOOD, BAD, CHANGED }; /* fake.mode */
enum { SERVFAIL = 2, NXDOMAIN = 3, FORMERR = 1 };

static bool is(const char *name, const char *label)
{
	size_t n = strlen(label);

	return strncmp(name, label, n) == 0 && strcmp(name + n, ".lab.net") == 0;
}

static bool rcode(struct msg *m, int code)
{
	m->b[3] = (uint8_t)((m->b[3] & 0xf0) | code);
	return true;
}

static bool nodata(struct msg *m)
{
	msg_soa(m, "lab.net", 600, 600);
	return true;
}

static bool addrs_of(struct msg *m, const char *name, uint16_t type, const char *v4, const char *v6)
{
	const char *addr = type == WIRE_A ? v4 : type == WIRE_AAAA ? v6 : NULL;

	if (!addr)
		return nodata(m);
	msg_addr(m, name, 600, addr);
	return true;
}

static bool mx(struct msg *m, const char *name, uint16_t type, const char *host)
{
	if (type != WIRE_MX)
		return nodata(m);
	msg_mx(m, name, 600, 10, host);
	return true;
}

static bool answer_ptr(struct msg *m, const char *name)
{
	int last = name[0] - '0';

	if (last == 3)
		return rcode(m, SERVFAIL);
	msg_name(m, MSG_ANSWER, name, WIRE_PTR, 600, "servfail.lab.net");
	if (last == 1)
		msg_name(m, MSG_ANSWER, name, WIRE_PTR, 600, "client.lab.net");
	return true;
}

/* Questions that the domain's own server gets. */
static bool answer_direct(struct msg *m, const char *name, uint16_t type)
{
	if (is(name, "moved"))
		mx(m, name, type, "new.lab.net");
	else if (is(name, "led"))
		msg_name(m, MSG_ANSWER, name, WIRE_CNAME, 600, "elsewhere.net");
	else
		mx(m, name, type, "mx.lab.net");
	if (!is(name, "lame"))
		m->b[2] |= MSG_AA >> 8;
	return true;
}

static bool answer_transport(struct msg *m, const char *name, uint16_t type, bool tcp)
{
	if (is(name, "trunc") && !tcp) {
		m->b[2] |= MSG_TC >> 8;
		return true;
	}
	if (is(name, "trunc"))
		return mx(m, name, type, "mx.lab.net");
	if (is(name, "garbage")) {
		mx(m, name, WIRE_MX, "mx.lab.net");
		m->n -= 3;
		return true;
	}
	if (is(name, "wrongid")) {
		m->b[0] ^= 0xff;
		return mx(m, name, type, "mx.lab.net");
	}
	if (is(name, "noise")) {
		memset(m->b + 2, 0xff, 40);
		m->n = 42;
		return true;
	}
	/* an answer to what nobody asked */
	if (is(name, "wrongq")) {
		msg_begin(m, (uint16_t)(m->b[0] << 8 | m->b[1]), MSG_QR | MSG_RD | MSG_RA,
			  "plain.lab.net", type);
		return mx(m, "plain.lab.net", type, "mx.lab.net");
	}
	/* no EDNS known here (RFC 6891 7) */
	if (is(name, "formerr"))
		return fake.edns ? rcode(m, FORMERR) : mx(m, name, type, "mx.lab.net");
	return !strstr(name, "timeout") || strncmp(name, "www.", 4) == 0;
}

static bool answer_alias(struct msg *m, const char *name)
{
	if (is(name, "loop")) {
		msg_name(m, MSG_ANSWER, name, WIRE_CNAME, 600, "loop2.lab.net");
		msg_name(m, MSG_ANSWER, "loop2.lab.net", WIRE_CNAME, 600, name);
	} else if (is(name, "dangle")) {
		msg_name(m, MSG_ANSWER, name, WIRE_CNAME, 70, "plain.lab.net");
	} else if (is(name, "ring")) {
		msg_name(m, MSG_ANSWER, name, WIRE_CNAME, 600, "ring2.lab.net");
	} else {
		msg_name(m, MSG_ANSWER, name, WIRE_CNAME, 600, "ring.lab.net");
	}
	return true;
}

/* Hundreds of MX hosts, the best ones last; too many for UDP. */
static bool answer_crowd(struct msg *m, const char *name, uint16_t type, bool tcp)
{
	char host[32];

	if (strncmp(name, "crowd-", 6) == 0)
		return addrs_of(m, name, type, "192.0.2.5", NULL);
	if (!tcp) {
		m->b[2] |= MSG_TC >> 8;
		return true;
	}
	for (uint16_t i = 300; type == WIRE_MX && i > 0; i--) {
		snprintf(host, sizeof(host), "crowd-%03u.lab.net", i);
		msg_mx(m, name, 600, i, host);
	}
	return type == WIRE_MX || nodata(m);
}

static bool answer_flip(struct fake *f, struct msg *m, const char *name, uint16_t type)
{
	if (f->mode == BAD)
		return rcode(m, SERVFAIL);
	return mx(m, name, type, f->mode == CHANGED ? "new.lab.net" : "mx.lab.net");
}

static bool answer_half(struct fake *f, struct msg *m, const char *name, uint16_t type)
{
	if (strncmp(name, "host-", 5) == 0)
		return f->mode == BAD ? rcode(m, SERVFAIL)
				      : addrs_of(m, name, type, "192.0.2.77", NULL);
	mx(m, name, type, "mx.lab.net");
	if (type == WIRE_MX)
		msg_mx(m, name, 600, 20, "host-half.lab.net");
	return true;
}

static bool answer(struct fake *f, struct msg *m, const char *name, uint16_t type, bool tcp)
{
	if (!f->rd)
		return answer_direct(m, name, type);
	if (strstr(name, "in-addr.arpa"))
		return answer_ptr(m, name);
	if (type == WIRE_NS) {
		if (strcmp(name, "lab.net") != 0)
			return nodata(m);
		msg_name(m, MSG_ANSWER, name, WIRE_NS, 600, "ns.lab.net");
		return true;
	}
	if (is(name, "servfail"))
		return rcode(m, SERVFAIL);
	if (is(name, "referral")) {
		msg_name(m, MSG_AUTHORITY, "lab.net", WIRE_NS, 600, "ns.lab.net");
		return true;
	}
	if (is(name, "mx"))
		return addrs_of(m, name, type, "192.0.2.1", "2001:db8::1");
	if (is(name, "new"))
		return addrs_of(m, name, type, "192.0.2.2", "2001:db8::2");
	if (is(name, "ns"))
		return addrs_of(m, name, type, "127.0.0.1", NULL);
	if (is(name, "client"))
		return addrs_of(m, name, type, "192.0.2.1", NULL);
	if (is(name, "implicit-a"))
		return type == WIRE_AAAA ? rcode(m, SERVFAIL)
					 : addrs_of(m, name, type, "192.0.2.3", NULL);
	if (is(name, "implicit-none"))
		return type == WIRE_A ? rcode(m, SERVFAIL) : nodata(m);
	if (strncmp(name, "flip", 4) == 0)
		return answer_flip(f, m, name, type);
	if (strncmp(name, "crowd", 5) == 0)
		return answer_crowd(m, name, type, tcp);
	if (is(name, "tohost"))
		return mx(m, name, type, "ring.lab.net");
	if (is(name, "half") || strncmp(name, "host-", 5) == 0)
		return answer_half(f, m, name, type);
	if (is(name, "loop") || is(name, "dangle") || is(name, "ring") || is(name, "ring2"))
		return answer_alias(m, name);
	if (!answer_transport(m, name, type, tcp))
		return false;
	return m->n > 100 || m->b[6] || m->b[7] || m->b[2] & 2 || m->b[3] & 15 || m->b[2] == 0xff ||
	       mx(m, name, type, "mx.lab.net");
}

static void start(int timeout_ms, size_t max_domains, size_t max_in_flight)
{
	struct resolver_conf conf = {
		.timeout_ms = timeout_ms,
		.tries = 2,
		.stale_max_ms = 3600 * 1000,
		.max_domains = max_domains,
		.max_in_flight = max_in_flight,
	};

	world_start(conf, answer, 1000000);
}

static int setup(void **state)
{
	(void)state;
	start(60, 0, 0);
	return 0;
}

static int setup_small(void **state)
{
	(void)state;
	start(60, 16, 3);
	return 0;
}

static int setup_slow(void **state)
{
	(void)state;
	start(20000, 16, 3);
	return 0;
}

static const char *get(const char *domain)
{
	struct answer a = worker_get(&worker, RESOLVER_DOMAIN, domain);
	const char *text = facts_text(a.facts);

	worker_free_answer(&a);
	return text;
}

static const char *peek(const char *domain)
{
	const struct domain_facts *f = resolver_peek_domain(worker.port, domain);

	return f ? facts_text(f) : "";
}

#define PLAIN "MX 10 mx.lab.net=[192.0.2.1 2001:db8::1]"
#define NEW   "MX 10 new.lab.net=[192.0.2.2 2001:db8::2]"
#define STALE "MX stale 10 mx.lab.net=[192.0.2.1 2001:db8::1]"

static void test_faults(void **state)
{
	static const struct {
		const char *domain;
		const char *facts;
		int lifetime;
	} cases[] = {
		{ "plain.lab.net", PLAIN, 600 },
		{ "servfail.lab.net", "FAILED", 10 },
		{ "timeout.lab.net", "FAILED", 10 },
		{ "wrongid.lab.net", "FAILED", 10 },
		{ "wrongq.lab.net", "FAILED", 10 },
		{ "noise.lab.net", "FAILED", 10 },
		{ "garbage.lab.net", "FAILED", 10 },
		{ "loop.lab.net", "FAILED", 10 },
		{ "ring.lab.net", "FAILED", 10 },
		{ "referral.lab.net", "FAILED", 10 },
		/* its MX host is an alias that leads nowhere */
		{ "tohost.lab.net", "MX 10 ring.lab.net=[failed?]", 30 },
		{ "dangle.lab.net", PLAIN, 70 },
		{ "trunc.lab.net", PLAIN, 600 },
		{ "implicit-none.lab.net", "FAILED", 10 },
		{ "implicit-a.lab.net", "ADDRESS 0 implicit-a.lab.net=[? 192.0.2.3]", 30 },
		{ "formerr.lab.net", PLAIN, 600 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer a = worker_get(&worker, RESOLVER_DOMAIN, cases[i].domain);
		const char *text = facts_text(a.facts);
		if (strcmp(text, cases[i].facts) != 0 ||
		    a.facts->expires_ms != now + cases[i].lifetime * 1000)
			fail_msg("%s: %s, expires %+ld", cases[i].domain, text,
				 (long)(a.facts->expires_ms - now));
		assert_false(a.facts->aa);
		worker_free_answer(&a);
	}
	assert_true(fake.n_tcp > 0);
}

static void test_client_faults(void **state)
{
	static const struct {
		const char *client;
		enum dns_status status;
		unsigned int n;
		int lifetime;
	} cases[] = {
		{ "192.0.2.1", DNS_OK, 1, 30 },
		{ "192.0.2.2", DNS_FAILED, 0, 10 },
		{ "192.0.2.3", DNS_FAILED, 0, 10 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer a = worker_get(&worker, RESOLVER_CLIENT, cases[i].client);
		if (a.client->status != cases[i].status || a.client->n != cases[i].n ||
		    a.client->expires_ms != now + cases[i].lifetime * 1000)
			fail_msg("%s: status %d, %u names, expires %+ld", cases[i].client,
				 a.client->status, a.client->n, (long)(a.client->expires_ms - now));
		worker_free_answer(&a);
	}
}

/* The best of hundreds are known; what is beyond them may be anybody: the last one says so, and
 * nobody takes the set for complete. */
static void test_hundreds_of_hosts(void **state)
{
	struct answer a = worker_get(&worker, RESOLVER_DOMAIN, "crowd.lab.net");
	const struct domain_facts *f = resolver_peek_domain(worker.port, "crowd.lab.net");

	(void)state;
	assert_non_null(f);
	assert_string_equal(facts_text(a.facts), facts_text(f));
	assert_int_equal(f->kind, FACTS_MX);
	assert_int_equal(f->n_hosts, 32);
	for (size_t i = 0; i < f->n_hosts; i++) {
		assert_int_equal(f->hosts[i].preference, i + 1);
		assert_int_equal(f->hosts[i].n_addrs, 1);
		assert_int_equal(f->hosts[i].incomplete, i == 31);
	}
	worker_free_answer(&a);
}

/* A failure is asked anew after ten seconds, not before. */
static void test_failure_forgotten(void **state)
{
	(void)state;
	fake.mode = BAD;
	assert_string_equal(get("flip.lab.net"), "FAILED");
	set_time(now + 10000);
	assert_string_equal(get("flip.lab.net"), "FAILED");
	fake.mode = GOOD;
	set_time(now + 9000);
	assert_string_equal(peek("flip.lab.net"), "FAILED");
	assert_string_equal(get("flip.lab.net"), "FAILED");
	set_time(now + 1000);
	assert_string_equal(peek("flip.lab.net"), "");
	assert_string_equal(get("flip.lab.net"), PLAIN);
}

static void test_refreshed_ahead(void **state)
{
	uint64_t lookups;

	(void)state;
	assert_string_equal(get("flip.lab.net"), PLAIN);
	fake.mode = CHANGED;
	lookups = stats().lookups;
	set_time(now + 530 * 1000);
	assert_string_equal(peek("flip.lab.net"), PLAIN);
	worker_run(&worker, 1200);
	assert_int_equal(stats().lookups, lookups);
	/* the last tenth of 600 s */
	set_time(now + 15 * 1000);
	WAIT_FOR(stats().refreshed == 1);
	assert_string_equal(peek("flip.lab.net"), NEW);
	/* used since: once more; then nobody asks, and it expires */
	set_time(now + 545 * 1000);
	WAIT_FOR(stats().refreshed == 2);
	lookups = stats().lookups;
	set_time(now + 545 * 1000);
	worker_run(&worker, 1200);
	set_time(now + 100 * 1000);
	worker_run(&worker, 1200);
	assert_int_equal(stats().lookups, lookups);
	assert_string_equal(peek("flip.lab.net"), "");
	/* and is still there to be stale */
	fake.mode = BAD;
	assert_string_equal(get("flip.lab.net"), "MX stale 10 new.lab.net=[192.0.2.2 2001:db8::2]");
}

static void test_stale(void **state)
{
	struct answer a;
	uint64_t failed;
	int64_t begin = now;

	(void)state;
	assert_string_equal(get("flip.lab.net"), PLAIN);
	fake.mode = BAD;
	/* a refresh ahead fails: nothing is stale until it expires */
	set_time(begin + 550 * 1000);
	WAIT_FOR(stats().failed == 1);
	assert_string_equal(peek("flip.lab.net"), PLAIN);
	assert_int_equal(stats().stale, 0);
	/* then it is, without anybody waiting */
	set_time(begin + 601 * 1000);
	WAIT_FOR(strcmp(peek("flip.lab.net"), STALE) == 0);
	WAIT_FOR(stats().failed == 2);
	assert_int_equal(stats().stale, 1);
	a = worker_get(&worker, RESOLVER_DOMAIN, "flip.lab.net");
	assert_int_equal(a.facts->fetched_ms, begin);
	worker_free_answer(&a);

	/* tried again every half minute, while in use */
	set_time(now + 31 * 1000);
	peek("flip.lab.net");
	WAIT_FOR(stats().failed == 3);
	fake.mode = CHANGED;
	set_time(now + 31 * 1000);
	peek("flip.lab.net");
	WAIT_FOR(strcmp(peek("flip.lab.net"), NEW) == 0);

	/* and never older than stale_max, an hour */
	fake.mode = BAD;
	set_time(now + 601 * 1000);
	failed = stats().failed;
	assert_string_equal(get("flip.lab.net"), "MX stale 10 new.lab.net=[192.0.2.2 2001:db8::2]");
	assert_true(stats().failed > failed);
	set_time(now + 3000 * 1000);
	assert_string_equal(peek("flip.lab.net"), "");
	assert_string_equal(get("flip.lab.net"), "FAILED");
}

/* One host's addresses can't be had: its last good ones serve on, beside the fresh others. */
static void test_stale_host(void **state)
{
	int64_t begin = now;
	struct answer a;

	(void)state;
	assert_string_equal(get("half.lab.net"), "MX 10 mx.lab.net=[192.0.2.1 2001:db8::1] "
						 "20 host-half.lab.net=[192.0.2.77]");
	fake.mode = BAD;
	set_time(now + 601 * 1000);
	a = worker_get(&worker, RESOLVER_DOMAIN, "half.lab.net");
	assert_string_equal(facts_text(a.facts), "MX stale 10 mx.lab.net=[192.0.2.1 2001:db8::1] "
						 "20 host-half.lab.net=[192.0.2.77]");
	assert_int_equal(a.facts->fetched_ms, begin);
	worker_free_answer(&a);
	/* nothing to go on with: the host is a failed one */
	set_time(now + 3601 * 1000);
	assert_string_equal(get("half.lab.net"), "MX 10 mx.lab.net=[192.0.2.1 2001:db8::1] "
						 "20 host-half.lab.net=[failed?]");
	fake.mode = GOOD;
	set_time(now + 31 * 1000);
	WAIT_FOR(strstr(get("half.lab.net"), "192.0.2.77"));
}

static struct answer confirm(const char *domain)
{
	return worker_get(&worker, RESOLVER_CONFIRM, domain);
}

static void test_confirm(void **state)
{
	struct answer a;
	unsigned int n;
	int64_t at;

	(void)state;
	assert_string_equal(get("moved.lab.net"), PLAIN);
	a = confirm("moved.lab.net");
	assert_string_equal(facts_text(a.facts), NEW);
	assert_int_equal(a.facts->confirmed_ms, now);
	assert_false(a.facts->aa);
	worker_free_answer(&a);
	assert_string_equal(peek("moved.lab.net"), NEW);
	at = now;
	n = fake.n_udp;
	set_time(now + 9 * 1000);
	a = confirm("moved.lab.net");
	assert_int_equal(a.facts->confirmed_ms, at);
	worker_free_answer(&a);
	assert_int_equal(fake.n_udp, n);
	set_time(now + 1000);
	a = confirm("moved.lab.net");
	assert_int_equal(a.facts->confirmed_ms, now);
	worker_free_answer(&a);

	/* the recursive resolver says otherwise later: that isn't confirmed */
	set_time(now + 590 * 1000);
	WAIT_FOR(strcmp(peek("moved.lab.net"), PLAIN) == 0);
	assert_int_equal(resolver_peek_domain(worker.port, "moved.lab.net")->confirmed_ms, -1);

	/* the same again stays confirmed */
	a = confirm("plain.lab.net");
	at = a.facts->confirmed_ms;
	assert_int_equal(at, now);
	worker_free_answer(&a);
	set_time(now + 545 * 1000);
	WAIT_FOR(resolver_peek_domain(worker.port, "plain.lab.net") &&
		 resolver_peek_domain(worker.port, "plain.lab.net")->fetched_ms == now);
	assert_int_equal(resolver_peek_domain(worker.port, "plain.lab.net")->confirmed_ms, at);
}

static void test_unconfirmed(void **state)
{
	static const char *const domains[] = { "lame.lab.net", "led.lab.net" };
	struct answer a;
	unsigned int n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
		a = confirm(domains[i]);
		assert_string_equal(facts_text(a.facts), PLAIN);
		assert_int_equal(a.facts->confirmed_ms, -1);
		worker_free_answer(&a);
		n = fake.n_udp;
		set_time(now + 29 * 1000);
		a = confirm(domains[i]);
		worker_free_answer(&a);
		assert_int_equal(fake.n_udp, n);
		set_time(now + 1000);
		a = confirm(domains[i]);
		worker_free_answer(&a);
		assert_true(fake.n_udp > n);
	}
	assert_int_equal(stats().confirmed, 0);
	a = confirm("servfail.lab.net");
	assert_int_equal(a.facts->kind, FACTS_FAILED);
	worker_free_answer(&a);
}

/* Kept domains are refreshed unasked, and asked for again when they fail. */
static void test_kept(void **state)
{
	(void)state;
	resolver_keep(resolver, "flip.lab.net");
	resolver_keep(resolver, "flip.lab.net");
	WAIT_FOR(strcmp(peek("flip.lab.net"), PLAIN) == 0);
	assert_int_equal(stats().lookups, 1);
	for (unsigned int i = 1; i <= 3; i++) {
		set_time(now + 545 * 1000);
		WAIT_FOR(stats().refreshed == i);
	}
	fake.mode = BAD;
	resolver_keep(resolver, "flip-bad.lab.net");
	WAIT_FOR(stats().failed >= 1);
	fake.mode = GOOD;
	set_time(now + 61 * 1000);
	WAIT_FOR(strcmp(peek("flip-bad.lab.net"), PLAIN) == 0);
}

static void test_bounds(void **state)
{
	static struct answer answers[300];
	char name[64];

	(void)state;
	resolver_keep(resolver, "plain.lab.net");
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		snprintf(name, sizeof(name), "flip%zu.lab.net", i);
		worker_ask(&worker, RESOLVER_DOMAIN, name, &answers[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		worker_wait(&worker, &answers[i]);
		assert_string_equal(facts_text(answers[i].facts), PLAIN);
		worker_free_answer(&answers[i]);
	}
	/* those under way can't go; once they are done, the table shrinks to its bound */
	for (int i = 0; i < 100; i++) {
		set_time(now + 10);
		snprintf(name, sizeof(name), "flip%d.lab.net", 300 + i);
		get(name);
	}
	assert_true(stats().domains <= 17);
	assert_true(stats().evicted >= 380);
	assert_string_equal(peek("plain.lab.net"), PLAIN);
}

/* Neither questions nor look-ups under way are more than three; the others wait their turn: of the
 * eight of the first look-up two are answered, and three more stay open. */
static void test_in_flight(void **state)
{
	static struct answer answers[20];
	char name[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		snprintf(name, sizeof(name), "timeout%zu.lab.net", i);
		worker_ask(&worker, i ? RESOLVER_DOMAIN : RESOLVER_NAMES, name, &answers[i]);
	}
	WAIT_FOR(fake.n_udp == 5);
	worker_run(&worker, 50);
	assert_int_equal(fake.n_udp, 5);
	assert_in_range(stats().lookups, 1, 3);
}

/* The end comes while everything is under way. */
static void test_sudden_end(void **state)
{
	static struct answer answers[40];
	static const char *const domains[] = { "timeout.lab.net", "plain.lab.net", "led.lab.net",
					       "moved.lab.net" };
	char name[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		enum resolver_kind kind = i % 3 == 0   ? RESOLVER_NAMES
					  : i % 3 == 1 ? RESOLVER_CONFIRM
						       : RESOLVER_DOMAIN;
		snprintf(name, sizeof(name), "x%zu.%s", i / 12, domains[i % 4]);
		worker_ask(&worker, kind, i % 2 ? name : domains[i % 4], &answers[i]);
	}
	worker_run(&worker, 5);
	resolver_keep(resolver, "timeout.lab.net");
	resolver_keep(resolver, "flip.lab.net");
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		if (answers[i].done)
			worker_free_answer(&answers[i]);
}

int main(void)
{
#define WITH(test, how) cmocka_unit_test_setup_teardown(test, how, world_end)
	const struct CMUnitTest tests[] = {
		WITH(test_faults, setup),
		WITH(test_client_faults, setup),
		WITH(test_hundreds_of_hosts, setup),
		WITH(test_failure_forgotten, setup),
		WITH(test_refreshed_ahead, setup),
		WITH(test_stale, setup),
		WITH(test_stale_host, setup),
		WITH(test_confirm, setup),
		WITH(test_unconfirmed, setup),
		WITH(test_kept, setup),
		WITH(test_bounds, setup_small),
		WITH(test_in_flight, setup_slow),
		WITH(test_sudden_end, setup),
		WITH(test_sudden_end, setup_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
