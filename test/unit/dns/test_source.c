/* Egress sources: what a real name server's records expand to, and their life over time while a
 * fake one fails, lies or changes. */
#include "base/clock.h"
#include "dns/resolver.h"
#include "dns/set_store.h"

#include "cm.h"
#include "nsd.h"
#include "world.h"

#include <stdio.h>

static const char *get(const char *key)
{
	struct answer a = worker_get(&worker, RESOLVER_SOURCE, key);
	const char *text = source_text(a.source);

	assert_string_equal(a.source->key, key);
	worker_free_answer(&a);
	return text;
}

static const char *peek(const char *key)
{
	const struct egress_source *s = resolver_peek_source(worker.port, key);

	return s ? source_text(s) : "-";
}

#define CHECK(text, want)                                                                          \
	do {                                                                                       \
		const char *got_ = (text);                                                         \
		if (strcmp(got_, want) != 0)                                                       \
			fail_msg("%s:%d\n%s\n%s", __FILE__, __LINE__, got_, want);                 \
	} while (0)

/* ---- a real name server ---- */

static const char lab_zone[] =
	"$ORIGIN lab.net.\n$TTL 300\n"
	"@ SOA ns1 hostmaster 1 3600 600 86400 120\n@ NS ns1\nns1 A 127.0.0.1\n"
	"plain TXT \"v=spf1 ip4:192.0.2.0/24 \" \"ip6:2001:db8::/32 -all\"\n"
	"plain TXT \"google-site-verification=x\"\n"
	"Upper TXT \"V=SPF1 IP4:192.0.2.1 INCLUDE:PLAIN.lab.net -ALL\"\n"
	"split TXT \"v=spf1 ip4:192.0\" \".2.7 -all\"\n"
	"include TXT \"v=spf1 include:plain.lab.net ip4:198.51.100.1 ~all\"\n"
	"redirect TXT \"v=spf1 redirect=include.lab.net\"\n"
	"alias CNAME include\n"
	"hosts TXT \"v=spf1 a a:mail.lab.net/24 mx:plain.lab.net mx -all\"\n"
	"hosts A 203.0.113.1\nhosts MX 10 mx1\nhosts MX 20 mx2\nplain MX 10 mx1\n"
	"mail A 198.51.100.77\nmx1 A 192.0.2.11\nmx1 AAAA 2001:db8::11\nmx2 CNAME mx3\n"
	"mx3 A 192.0.2.13\n"
	"loop TXT \"v=spf1 include:loop2.lab.net ip4:192.0.2.1 -all\"\n"
	"loop2 TXT \"v=spf1 include:loop.lab.net ip4:192.0.2.2 -all\"\n"
	"two TXT \"v=spf1 a -all\"\ntwo TXT \"v=spf1 mx -all\"\n"
	"none TXT \"nothing about mail\"\n"
	"short 5 TXT \"v=spf1 ip4:192.0.2.1\"\nlong 200000 TXT \"v=spf1 ip4:192.0.2.1\"\n"
	"mixed 4000 TXT \"v=spf1 include:plain.lab.net\"\n";

static struct nsd nsd;

static size_t write_big(char *zone, size_t n, size_t size)
{
	n += (size_t)snprintf(zone + n, size - n, "big TXT \"v=spf1 \"");
	for (int i = 0; i < 700; i++)
		n += (size_t)snprintf(zone + n, size - n, " \"ip4:10.%d.%d.0/25 \"", i / 256,
				      i % 256);
	n += (size_t)snprintf(zone + n, size - n, " \"-all\"\n");
	for (int i = 0; i < 50; i++)
		n += (size_t)snprintf(zone + n, size - n, "crowd TXT \"token %d\"\n", i);
	for (int i = 0; i < 300; i++)
		n += (size_t)snprintf(zone + n, size - n,
				      "farm A 10.9.%d.%d\nfarm AAAA 2001:db8::%x\n", i / 128,
				      2 * (i % 128), 2 * i + 1);
	n += (size_t)snprintf(zone + n, size - n, "crowd TXT \"v=spf1 ip4:192.0.2.1\"\n");
	for (int i = 1; i <= 12; i++)
		n += (size_t)snprintf(
			zone + n, size - n,
			"deep%d TXT \"v=spf1 ip4:192.0.2.%d include:deep%d.lab.net\"\n", i, i,
			i + 1);
	return n;
}

static int setup_nsd(void **state)
{
	static char zone[65536];
	size_t n = (size_t)snprintf(zone, sizeof(zone), "%s", lab_zone);
	struct endpoint server = { .addr = addr_from_v4("\177\0\0\1") };
	struct resolver_conf conf = { .servers = &server, .n_servers = 1, .timeout_ms = 1000 };
	const struct nsd_zone zones[] = { { "lab.net", zone }, { 0 } };

	(void)state;
	write_big(zone, n, sizeof(zone));
	if (nsd_start(&nsd, zones) < 0)
		return -1;
	server.port = nsd.port;
	assert_int_equal(resolver_new(&conf, &resolver), 0);
	worker_init(&worker, resolver);
	return 0;
}

static int teardown_nsd(void **state)
{
	(void)state;
	worker_deinit(&worker);
	resolver_free(resolver);
	nsd_stop(&nsd);
	return 0;
}

#define PLAIN   "192.0.2.0/24 2001:db8::/32"
#define INCLUDE "192.0.2.0/24 198.51.100.1/32 2001:db8::/32"

static void test_records(void **state)
{
	static const struct {
		const char *key, *want;
		int lifetime;
	} cases[] = {
		{ "spf:plain.lab.net", PLAIN, 300 },
		{ "spf:upper.lab.net", PLAIN, 300 },
		{ "spf:split.lab.net", "192.0.2.7/32", 300 },
		{ "spf:include.lab.net", INCLUDE, 300 },
		{ "spf:redirect.lab.net", INCLUDE, 300 },
		{ "spf:alias.lab.net", INCLUDE, 300 },
		/* the absence of AAAA lives for 120 s */
		{ "spf:hosts.lab.net",
		  "192.0.2.11/32 192.0.2.13/32 198.51.100.0/24 203.0.113.1/32 2001:db8::11/128",
		  120 },
		{ "spf:loop.lab.net", "? 192.0.2.1/32 192.0.2.2/32 [include:loop.lab.net: a loop]",
		  300 },
		{ "spf:two.lab.net", "failed [more than one SPF record]", 10 },
		{ "spf:none.lab.net", "none", 300 },
		{ "spf:gone.lab.net", "none", 120 },
		{ "spf:short.lab.net", "192.0.2.1/32", 60 },
		{ "spf:long.lab.net", "192.0.2.1/32", 86400 },
		{ "spf:mixed.lab.net", PLAIN, 300 },
		{ "spf:crowd.lab.net", "192.0.2.1/32", 300 },
		{ "host:mx1.lab.net", "192.0.2.11/32 2001:db8::11/128", 300 },
		{ "host:mx2.lab.net", "192.0.2.13/32", 120 },
		{ "host:gone.lab.net", "none", 120 },
		{ "host:plain.lab.net", "none", 120 },
		{ "exists:mail.lab.net", "", 300 },
		{ "exists:gone.lab.net", "none", 120 },
		{ "exists:plain.lab.net", "none", 120 },
		{ "nonsense", "none", 300 },
		{ "spf:UPPER.lab.net", "none", 300 },
	};

	(void)state;
	clock_fake(1000000, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer a = worker_get(&worker, RESOLVER_SOURCE, cases[i].key);
		int64_t life = a.source->expires_ms - 1000000;
		const char *text = source_text(a.source);
		if (strcmp(text, cases[i].want) != 0 || life != cases[i].lifetime * 1000)
			fail_msg("%s: %s, %ld ms", cases[i].key, text, (long)life);
		assert_string_equal(a.source->key, cases[i].key);
		worker_free_answer(&a);
	}
	clock_fake(-1, -1);
}

/* Hundreds of prefixes, which no UDP answer holds; hundreds of addresses. */
static void test_large(void **state)
{
	struct answer a = worker_get(&worker, RESOLVER_SOURCE, "spf:big.lab.net");
	struct addr last;

	(void)state;
	assert_int_equal(a.source->status, SOURCE_KNOWN);
	assert_false(a.source->incomplete);
	assert_int_equal(a.source->set.n, 700);
	assert_int_equal(addr_parse(SV("10.2.187.127"), &last), 0);
	assert_true(prefix_set_contains(&a.source->set, &last));
	worker_free_answer(&a);
	a = worker_get(&worker, RESOLVER_SOURCE, "host:farm.lab.net");
	assert_false(a.source->incomplete);
	assert_int_equal(a.source->set.n, 600);
	worker_free_answer(&a);
}

static void test_depth(void **state)
{
	struct answer a = worker_get(&worker, RESOLVER_SOURCE, "spf:deep1.lab.net");

	(void)state;
	assert_int_equal(a.source->set.n, 11);
	assert_true(a.source->incomplete);
	assert_string_equal(a.source->left_out, "include:deep12.lab.net: too many look-ups");
	worker_free_answer(&a);
}

/* Names that lead to the same prefixes share them. */
static void test_shared(void **state)
{
	const struct egress_source *a, *b;

	(void)state;
	get("spf:plain.lab.net");
	get("spf:mixed.lab.net");
	a = resolver_peek_source(worker.port, "spf:plain.lab.net");
	b = resolver_peek_source(worker.port, "spf:mixed.lab.net");
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(a->set.n, 2);
	assert_ptr_equal(a->set.ranges, b->set.ranges);
}

static void test_store(void **state)
{
	struct shared_set *shared[1000], *empty, *another;
	struct set_store store;
	struct prefix_set set;

	(void)state;
	assert_int_equal(set_store_init(&store), 0);
	prefix_set_init(&set);
	empty = set_store_get(&store, &set);
	assert_non_null(empty);
	for (uint8_t i = 0; i < 100; i++)
		prefix_set_add_addr(&set, &(struct addr) { { 0x20, 1, i } });
	prefix_set_seal(&set);
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		shared[i] = set_store_get(&store, &set);
	assert_int_equal(store.n, 2);
	assert_int_equal(store.n_ranges, 100);
	assert_ptr_equal(shared[999], shared[0]);
	assert_int_equal(shared[0]->set.n, 100);
	assert_memory_equal(shared[0]->set.ranges, set.ranges, 100 * sizeof(*set.ranges));
	/* one that differs in its last octet only */
	set.ranges[99].hi.b[15] = 1;
	another = set_store_get(&store, &set);
	assert_ptr_not_equal(another, shared[0]);
	assert_int_equal(store.n, 3);
	set_store_put(&store, another);
	assert_int_equal(store.n, 2);
	/* a bound on all of them */
	store.n_ranges = SET_STORE_MAX_RANGES - 99;
	assert_null(set_store_get(&store, &set));
	store.n_ranges = 100;
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		set_store_put(&store, shared[i]);
	assert_int_equal(store.n, 1);
	assert_int_equal(store.n_ranges, 0);
	set_store_put(&store, empty);
	set_store_deinit(&store);
	prefix_set_deinit(&set);
}

/* ---- a fake one ---- */

enum { GOOD, BAD, CHANGED, PART, GONE, SILENT, PART_SILENT, DANGLING }; /* fake.mode */
enum { SERVFAIL = 2, NXDOMAIN = 3 };
enum { TTL = 600 };

static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;
static char told[4096]; /* "KIND: TEXT\n" of each */
static _Atomic unsigned int n_published;
static struct prefix_set shipped;

static void txt(struct msg *m, const char *name, const char *text)
{
	uint8_t rdata[256];

	rdata[0] = (uint8_t)strlen(text);
	memcpy(rdata + 1, text, rdata[0]);
	msg_raw(m, MSG_ANSWER, name, WIRE_TXT, 1, TTL, rdata, 1u + rdata[0]);
}

static bool rcode(struct msg *m, int code)
{
	if (code == NXDOMAIN)
		msg_soa(m, "lab.net", 120, 120);
	m->b[3] = (uint8_t)((m->b[3] & 0xf0) | code);
	return true;
}

/* root includes part; both have an address of their own, which changes. */
static bool answer(struct fake *f, struct msg *m, const char *name, uint16_t type, bool tcp)
{
	bool part = strncmp(name, "part", 4) == 0;
	int mode = f->mode;

	(void)tcp;
	if (type != WIRE_TXT) {
		if (mode == BAD || mode == SILENT)
			return mode == BAD && rcode(m, SERVFAIL);
		if (mode == GONE || type != WIRE_A)
			return rcode(m, NXDOMAIN);
		msg_addr(m, name, TTL, "192.0.2.9");
		return true;
	}
	if (mode == GONE)
		return rcode(m, NXDOMAIN);
	if (mode == SILENT || (mode == PART_SILENT && part))
		return false;
	if (mode == BAD || (mode == PART && part))
		return rcode(m, SERVFAIL);
	if (part)
		txt(m, name, "v=spf1 ip4:192.0.2.2 -all");
	else if (mode == CHANGED || mode == PART)
		txt(m, name, "v=spf1 ip4:192.0.2.3 include:part.lab.net -all");
	else if (mode == DANGLING)
		txt(m, name, "v=spf1 ip4:192.0.2.1 ptr -all");
	else
		txt(m, name, "v=spf1 ip4:192.0.2.1 include:part.lab.net -all");
	return true;
}

static void on_trouble(void *user, const char *kind, const char *text)
{
	size_t n;

	(void)user;
	pthread_mutex_lock(&told_lock);
	n = strlen(told);
	snprintf(told + n, sizeof(told) - n, "%s: %s\n", kind, text);
	pthread_mutex_unlock(&told_lock);
}

static bool was_told(const char *what)
{
	bool was;

	pthread_mutex_lock(&told_lock);
	was = strstr(told, what);
	pthread_mutex_unlock(&told_lock);
	return was;
}

static void forget_told(void)
{
	pthread_mutex_lock(&told_lock);
	told[0] = '\0';
	pthread_mutex_unlock(&told_lock);
}

static void on_source(void *user, const struct egress_source *source)
{
	(void)user;
	assert_non_null(source);
	n_published++;
}

static const struct prefix_set *fallback(void *user, const char *key)
{
	(void)user;
	return strcmp(key, "spf:shipped.lab.net") == 0 ? &shipped : NULL;
}

static void pass(int64_t seconds)
{
	set_time(now + seconds * 1000);
}

/* What a snapshot of before the start has: one in its TTL, one past it, one too old. */
static void restore(void *user, struct resolver *r)
{
	static const struct {
		const char *key;
		int64_t age_s;
	} rows[] = { { "spf:young.lab.net", 100 },
		     { "spf:old.lab.net", 1000 },
		     { "spf:ancient.lab.net", 3601 },
		     { "exists:old.lab.net", 100 } };
	struct prefix_set set;
	struct addr a;

	(void)user;
	prefix_set_init(&set);
	addr_parse(SV("192.0.2.77"), &a);
	prefix_set_add_addr(&set, &a);
	prefix_set_seal(&set);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct egress_source s = { .key = rows[i].key,
					   .fetched_ms = now - rows[i].age_s * 1000,
					   .expires_ms = now + (TTL - rows[i].age_s) * 1000,
					   .ttl = TTL,
					   .left_out = "",
					   .set = set };
		assert_int_equal(resolver_restore_source(r, &s), 0);
	}
	prefix_set_deinit(&set);
}

static int start(bool restored, int timeout_ms)
{
	struct resolver_conf conf = {
		.timeout_ms = timeout_ms,
		.tries = 2,
		.stale_max_ms = 3600 * 1000,
		.fallback = fallback,
		.on_source = on_source,
		.on_trouble = on_trouble,
		.restore = restored ? restore : NULL,
	};
	struct addr a;

	forget_told();
	n_published = 0;
	prefix_set_init(&shipped);
	addr_parse(SV("192.0.2.99"), &a);
	prefix_set_add_addr(&shipped, &a);
	prefix_set_seal(&shipped);
	world_start(conf, answer, 10000000);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return start(false, 60);
}

static int setup_slow(void **state)
{
	(void)state;
	return start(false, 20000);
}

static int setup_restored(void **state)
{
	(void)state;
	return start(true, 60);
}

static int teardown(void **state)
{
	int r = world_end(state);

	prefix_set_deinit(&shipped);
	return r;
}

#define ROOT  "spf:root.lab.net"
#define KNOWN "192.0.2.1/32 192.0.2.2/32"
#define FRESH "192.0.2.2/32 192.0.2.3/32"

static bool peek_is(const char *key, const char *want)
{
	return strcmp(peek(key), want) == 0;
}

static void test_first_failure(void **state)
{
	(void)state;
	fake.mode = BAD;
	CHECK(get(ROOT), "failed [look-up failed]");
	assert_int_equal(stats().sources_failed, 1);
	/* its own short life, then it is asked for anew */
	assert_true(peek_is(ROOT, "failed [look-up failed]"));
	pass(11);
	CHECK(peek(ROOT), "-");
	fake.mode = GOOD;
	CHECK(get(ROOT), KNOWN);
	assert_int_equal(stats().sources, 1);
	assert_true(was_told("egress-back: " ROOT));
}

static void test_timeout(void **state)
{
	(void)state;
	fake.mode = SILENT;
	CHECK(get(ROOT), "failed [look-up failed]");
}

/* A part fails at first sight: what is there counts, and is known not to be all. */
static void test_part_first(void **state)
{
	(void)state;
	fake.mode = PART;
	CHECK(get(ROOT), "? 192.0.2.3/32 [include:part.lab.net: look-up failed]");
	fake.mode = GOOD;
	pass(31); /* it was used: looked up again in the background */
	WAIT_FOR(peek_is(ROOT, KNOWN));
}

/* No answer in the midst of it. */
static void test_part_timeout(void **state)
{
	(void)state;
	fake.mode = PART_SILENT;
	CHECK(get(ROOT), "? 192.0.2.1/32 [include:part.lab.net: look-up failed]");
}

/* The resolver ends while it is under way; the sanitizers look on. */
static void test_abort(void **state)
{
	static struct answer a;

	(void)state;
	fake.mode = PART_SILENT;
	worker_ask(&worker, RESOLVER_SOURCE, ROOT, &a);
	WAIT_FOR(fake.n_udp >= 2);
	assert_false(a.done);
}

static void test_refresh(void **state)
{
	unsigned int asked;

	(void)state;
	CHECK(get(ROOT), KNOWN);
	assert_int_equal(n_published, 1);
	asked = fake.n_udp;
	fake.mode = CHANGED;
	pass(TTL - 61);
	CHECK(peek(ROOT), KNOWN);
	worker_run(&worker, 1100);
	assert_int_equal(fake.n_udp, asked); /* not yet */
	pass(3);
	WAIT_FOR(peek_is(ROOT, FRESH));
	assert_int_equal(n_published, 2);
	/* nobody wants it any more: it runs out, and is asked for on demand */
	pass(TTL + 10);
	worker_run(&worker, 1100);
	pass(TTL + 10);
	CHECK(peek(ROOT), "-");
	fake.mode = GOOD;
	CHECK(get(ROOT), KNOWN);
	assert_false(was_told(":"));
}

static void test_kept(void **state)
{
	(void)state;
	assert_int_equal(resolver_keep_source(resolver, ROOT), 0);
	WAIT_FOR(peek_is(ROOT, KNOWN));
	for (int i = 0; i < 3; i++) {
		unsigned int published = n_published;
		pass(TTL - 30);
		WAIT_FOR(n_published > published);
	}
	CHECK(peek(ROOT), KNOWN);
}

static void test_let_go(void **state)
{
	(void)state;
	assert_int_equal(resolver_release_source(resolver, "spf:never.lab.net"), 0);
	resolver_keep_source(resolver, ROOT);
	WAIT_FOR(peek_is(ROOT, KNOWN));
	assert_int_equal(resolver_release_source(resolver, ROOT), 0);
	assert_int_equal(resolver_release_source(resolver, ROOT), 0);
	unsigned int published = n_published;
	/* out of use it runs out */
	for (int i = 0; i < 3; i++) {
		pass(TTL + 10);
		worker_run(&worker, 1100);
	}
	assert_int_equal(n_published, published);
	CHECK(peek(ROOT), "-");
	/* and may be kept again */
	resolver_keep_source(resolver, ROOT);
	WAIT_FOR(peek_is(ROOT, KNOWN));
	published = n_published;
	pass(TTL - 30);
	WAIT_FOR(n_published > published);
}

/* DNS stops: the set is used on, reported once, retried less and less, given up after stale_max. */
static void test_stale(void **state)
{
	uint64_t failed;

	(void)state;
	resolver_keep_source(resolver, ROOT);
	WAIT_FOR(peek_is(ROOT, KNOWN));
	fake.mode = BAD;
	pass(TTL - 30);
	WAIT_FOR(stats().sources_failed == 1);
	CHECK(peek(ROOT), KNOWN); /* in its TTL still */
	WAIT_FOR(was_told("egress-stale: " ROOT ": look-up failed; what was known goes on to "
			  "count (prefixes: 2)"));
	forget_told();
	pass(31);
	WAIT_FOR(peek_is(ROOT, "stale " KNOWN));
	WAIT_FOR(stats().sources_failed == 2);
	failed = 2;
	for (int wait = 60; wait <= 480; wait *= 2) {
		pass(wait - 10);
		worker_run(&worker, 1100);
		assert_int_equal(stats().sources_failed, failed);
		pass(12);
		WAIT_FOR(stats().sources_failed > failed);
		failed = stats().sources_failed;
	}
	CHECK(peek(ROOT), "stale " KNOWN);
	assert_false(was_told("egress-stale"));
	pass(3600);
	WAIT_FOR(strncmp(peek(ROOT), "failed", 6) == 0 || peek_is(ROOT, "-"));
	fake.mode = CHANGED;
	pass(700);
	WAIT_FOR(peek_is(ROOT, FRESH));
	assert_true(was_told("egress-back: " ROOT ": looked up again (prefixes: 2)"));
}

/* A part fails on refresh: what was known stays, what is new counts, too. */
static void test_stale_part(void **state)
{
	(void)state;
	resolver_keep_source(resolver, ROOT);
	WAIT_FOR(peek_is(ROOT, KNOWN));
	fake.mode = PART;
	pass(TTL - 30);
	WAIT_FOR(peek_is(ROOT, "192.0.2.1/32 192.0.2.2/32 192.0.2.3/32"));
	assert_true(was_told("egress-stale: " ROOT ": include:part.lab.net: look-up failed"));
	fake.mode = CHANGED;
	pass(31);
	WAIT_FOR(peek_is(ROOT, FRESH));
	assert_true(was_told("egress-back"));
}

static void test_fallback(void **state)
{
	static const char key[] = "spf:shipped.lab.net";

	(void)state;
	fake.mode = BAD;
	CHECK(get(key), "stale fallback 192.0.2.99/32 [look-up failed]");
	assert_true(was_told("never known: what was shipped counts"));
	pass(20); /* no RCPT waits for it any more */
	CHECK(peek(key), "stale fallback 192.0.2.99/32 [look-up failed]");
	fake.mode = GOOD;
	pass(31);
	WAIT_FOR(peek_is(key, KNOWN));
	/* and again after stale_max */
	fake.mode = BAD;
	resolver_keep_source(resolver, key);
	pass(TTL - 30);
	WAIT_FOR(stats().sources_failed == 2);
	pass(3600);
	WAIT_FOR(strncmp(peek(key), "stale fallback 192.0.2.99/32", 28) == 0);
}

static void test_gone_shipped(void **state)
{
	(void)state;
	fake.mode = GONE;
	CHECK(get("spf:shipped.lab.net"), "stale fallback 192.0.2.99/32");
	assert_true(was_told("egress-gone: spf:shipped.lab.net: there is no such record; what was "
			     "shipped counts"));
	fake.mode = GOOD;
	pass(3600);
	WAIT_FOR(peek_is("spf:shipped.lab.net", KNOWN));
	assert_true(was_told("egress-back: spf:shipped.lab.net"));
}

static void test_none(void **state)
{
	(void)state;
	fake.mode = GONE;
	CHECK(get(ROOT), "none");
	pass(119);
	CHECK(peek(ROOT), "none");
	pass(2);
	CHECK(peek(ROOT), "-");
	fake.mode = GOOD;
	CHECK(get(ROOT), KNOWN);
	assert_false(was_told(":"));
}

/* That there was none is known well enough to go on by, when nobody can say any more. */
static void test_none_stale(void **state)
{
	(void)state;
	fake.mode = GONE;
	CHECK(get(ROOT), "none");
	fake.mode = BAD;
	pass(121);
	CHECK(get(ROOT), "none stale");
	assert_false(was_told(":"));
	pass(7 * 24 * 3600);
	WAIT_FOR(!peek_is(ROOT, "none stale"));
	/* it grew too old by itself, or a look-up failed after that */
	assert_int_equal(strncmp(get(ROOT), "failed", 6), 0);
	fake.mode = GOOD;
	pass(601);
	CHECK(get(ROOT), KNOWN);
}

/* A record that is taken away lives on for its TTL. */
static void test_gone(void **state)
{
	(void)state;
	resolver_keep_source(resolver, ROOT);
	WAIT_FOR(peek_is(ROOT, KNOWN));
	fake.mode = GONE;
	pass(TTL - 30);
	WAIT_FOR(peek_is(ROOT, "stale " KNOWN));
	assert_true(was_told("egress-gone: " ROOT));
	forget_told();
	pass(TTL - 10);
	worker_run(&worker, 1100);
	CHECK(peek(ROOT), "stale " KNOWN);
	pass(20);
	WAIT_FOR(peek_is(ROOT, "none"));
	assert_false(was_told(":"));
}

static void test_gone_and_back(void **state)
{
	(void)state;
	resolver_keep_source(resolver, ROOT);
	WAIT_FOR(peek_is(ROOT, KNOWN));
	fake.mode = GONE;
	pass(TTL - 30);
	WAIT_FOR(peek_is(ROOT, "stale " KNOWN));
	fake.mode = CHANGED;
	pass(31);
	WAIT_FOR(peek_is(ROOT, FRESH));
	assert_true(was_told("egress-back"));
}

static void test_left_out_once(void **state)
{
	(void)state;
	fake.mode = DANGLING;
	resolver_keep_source(resolver, ROOT);
	WAIT_FOR(peek_is(ROOT, "? 192.0.2.1/32 [ptr: can't be expanded]"));
	WAIT_FOR(was_told("egress-left-out: " ROOT ": ptr: can't be expanded; left out"));
	forget_told();
	pass(TTL - 30);
	WAIT_FOR(n_published == 2);
	assert_false(was_told(":"));
}

static void test_exists(void **state)
{
	(void)state;
	CHECK(get("exists:7.2.0.192.spf.lab.net"), "");
	assert_int_equal(n_published, 1);
	fake.mode = GONE;
	CHECK(get("exists:8.2.0.192.spf.lab.net"), "none");
	assert_int_equal(n_published, 1); /* nothing for a snapshot */
	CHECK(peek("exists:7.2.0.192.spf.lab.net"), "");
	fake.mode = BAD;
	CHECK(get("exists:9.2.0.192.spf.lab.net"), "failed [look-up failed]");
	assert_int_equal(stats().sources, 3);
	/* not refreshed */
	pass(TTL + 1);
	CHECK(peek("exists:7.2.0.192.spf.lab.net"), "-");
	/* but used while DNS is down, and nobody is told of a single client */
	CHECK(get("exists:7.2.0.192.spf.lab.net"), "stale");
	pass(600);
	worker_run(&worker, 1100);
	CHECK(peek("exists:7.2.0.192.spf.lab.net"), "stale");
	assert_false(was_told(":"));
	pass(3600);
	WAIT_FOR(strcmp(peek("exists:7.2.0.192.spf.lab.net"), "stale") != 0);
	fake.mode = GOOD;
	pass(60);
	CHECK(get("exists:7.2.0.192.spf.lab.net"), "");
}

static void test_restored(void **state)
{
	(void)state;
	fake.mode = BAD;
	CHECK(peek("spf:young.lab.net"), "192.0.2.77/32");
	CHECK(peek("spf:old.lab.net"), "stale 192.0.2.77/32");
	CHECK(peek("spf:ancient.lab.net"), "-");
	CHECK(peek("exists:old.lab.net"), "192.0.2.77/32");
	pass(12);
	WAIT_FOR(stats().sources_failed >= 1);
	CHECK(peek("spf:old.lab.net"), "stale 192.0.2.77/32");
	fake.mode = GOOD;
	resolver_keep_source(resolver, "spf:old.lab.net");
	resolver_keep_source(resolver, "spf:young.lab.net");
	pass(TTL);
	WAIT_FOR(peek_is("spf:old.lab.net", KNOWN));
	WAIT_FOR(peek_is("spf:young.lab.net", KNOWN));
}

#define TEST(name)          cmocka_unit_test_setup_teardown(name, setup, teardown)
#define RESTORED_TEST(name) cmocka_unit_test_setup_teardown(name, setup_restored, teardown)

int main(void)
{
	const struct CMUnitTest real[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_shared),
	};
	const struct CMUnitTest store[] = {
		cmocka_unit_test(test_store),
	};
	const struct CMUnitTest tests[] = {
		TEST(test_first_failure),
		TEST(test_timeout),
		TEST(test_part_first),
		TEST(test_part_timeout),
		cmocka_unit_test_setup_teardown(test_abort, setup_slow, teardown),
		TEST(test_refresh),
		TEST(test_kept),
		TEST(test_let_go),
		TEST(test_stale),
		TEST(test_stale_part),
		TEST(test_fallback),
		TEST(test_gone_shipped),
		TEST(test_none),
		TEST(test_none_stale),
		TEST(test_gone),
		TEST(test_gone_and_back),
		TEST(test_left_out_once),
		TEST(test_exists),
		RESTORED_TEST(test_restored),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL) +
		     cmocka_run_group_tests(store, NULL, NULL);

	if (nsd_is_installed())
		return failed + cmocka_run_group_tests(real, setup_nsd, teardown_nsd);
	return failed ? failed : 77;
}
