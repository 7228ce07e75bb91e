/*
 * Verdicts a second of one thread on N doors in random order, while expired ones are refreshed from
 * the server at PORT; bench/doors runs it and reads its lines, "NAME VALUE":
 *
 *     doors_verdicts N PORT
 *
 * A verdict is what the daemon does for a recipient: it looks for the door, decides, and meanwhile
 * looks for the sources that the decision needs. Of the scanners a third are in the configuration
 * (addresses, and a source with 40 networks), a third are proven, a third unknown. Half of the
 * clients come from inside: by an address of the MX, or where there is a source by one of that.
 *
 * The doors lie in more memory than a processor's cache has room for. The daemon begins to fetch
 * one when it has read the domain, and has other things to do for this recipient before it looks
 * at the door (judge_rcpt_near(), judge_rcpt()). That is not measured here: the verdicts on the
 * recipients before take its place. "unfetched" is without: each verdict waits for its own door.
 */
#include "base/clock.h"
#include "dns/resolver.h"
#include "doors_world.h"
#include "policy/decide.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 64, ALL_MS = 3000, KIND_MS = 400, NETWORKS = 40, TTL_S = 3600 };

static const char *const kind_names[WORLD_KINDS] = { "shared",    "own_name", "self",   "backup",
						     "elsewhere", "null",     "nothing" };

/* One recipient of one client. */
struct rcpt {
	struct addr client;
	char domain[WORLD_NAME];
};

struct rcpts {
	struct rcpt *r;
	unsigned int n;
};

struct bench {
	struct resolver *resolver;
	struct resolver_port *port;
	uv_loop_t loop;
	struct memory *memory;
	struct policy policy;
	struct decide_facts facts;
	unsigned int n;
};

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "doors_verdicts: %s\n", what);
	exit(1);
}

static void check(int r)
{
	if (r < 0)
		die("memory");
}

static double now_s(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned int next_random(unsigned int below)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005 + 1442695040888963407;
	return (unsigned int)(state >> 33) % below;
}

/* ---- the world ---- */

static bool is_configured(unsigned int scanner)
{
	return scanner % 3 == 0;
}

static struct addr outbound(unsigned int scanner, unsigned int network, unsigned int host)
{
	uint8_t v4[] = { 198, 19, (uint8_t)scanner, (uint8_t)(6 * network + 1 + host % 2) };

	return addr_from_v4(v4);
}

static void restore_source(struct resolver *r, unsigned int scanner)
{
	char key[SOURCE_KEY_MAX];
	struct egress_source s = { .key = key,
				   .status = SOURCE_KNOWN,
				   .fetched_ms = clock_mono_ms(),
				   .expires_ms = clock_mono_ms() + TTL_S * 1000,
				   .ttl = TTL_S,
				   .left_out = "" };

	snprintf(key, sizeof(key), "spf:_spf.filter%u.net", scanner);
	prefix_set_init(&s.set);
	for (unsigned int i = 0; i < NETWORKS; i++) {
		struct addr_range range = { outbound(scanner, i, 0), outbound(scanner, i, 1) };
		check(prefix_set_add_range(&s.set, &range));
	}
	prefix_set_seal(&s.set);
	check(resolver_restore_source(r, &s));
	prefix_set_deinit(&s.set);
}

/* A tenth of the doors has expired: they are refreshed as fast as that goes. */
static void restore(void *user, struct resolver *r)
{
	static struct world_door d;
	const struct bench *b = user;
	int64_t now = clock_mono_ms();

	for (unsigned int i = 0; i < b->n; i++) {
		world_door(i, i % 10 == 0 ? now - TTL_S * 1000 : now, TTL_S, &d);
		if (resolver_restore_domain(r, &d.facts) != 0)
			die("a door was not restored");
	}
	for (unsigned int s = 0; s < WORLD_SCANNERS; s++)
		if (is_configured(s))
			restore_source(r, s);
}

__attribute__((format(printf, 1, 2))) static char *text(const char *format, ...)
{
	char out[WORLD_HOST_NAME];
	va_list args;

	va_start(args, format);
	vsnprintf(out, sizeof(out), format, args);
	va_end(args);
	char *copy = strdup(out);
	if (!copy)
		die("memory");
	return copy;
}

static char **list_of(char *one)
{
	char **list = malloc(sizeof(*list));

	if (!list)
		die("memory");
	list[0] = one;
	return list;
}

static void configure_scanner(struct scanner *s, unsigned int scanner)
{
	uint8_t v4[] = { 198, 20, (uint8_t)scanner, 0 };
	struct prefix network = { .addr = addr_from_v4(v4), .bits = 120 };

	*s = (struct scanner) { .name = text("filter%u", scanner),
				.mx = list_of(text("*.filter%u.net", scanner)),
				.n_mx = 1,
				.egress_mx = true,
				.sources = list_of(text("spf:_spf.filter%u.net", scanner)),
				.n_sources = 1 };
	prefix_set_init(&s->cidrs);
	check(prefix_set_add(&s->cidrs, &network));
	prefix_set_seal(&s->cidrs);
}

static void prepare_policy(struct policy *policy, struct decide_facts *facts)
{
	static const uint8_t ours[] = { 203, 0, 113, 25 };

	*policy = (struct policy) { .generation = policy_next_generation(),
				    .action = ACTION_REJECT,
				    .guessed_action = ACTION_OBSERVE,
				    .on_dns_failure = ACTION_DEFER,
				    .on_unknown_domain = ACTION_PASS,
				    .stale_max_ms = 7 * 86400 * 1000LL,
				    .help_url = "",
				    .server_addresses_given = true,
				    .catalogue = catalogue_shipped() };
	map_init(&policy->domains);
	prefix_set_init(&policy->server_addresses);
	facts->server = addr_from_v4(ours);
	check(prefix_set_add_addr(&policy->server_addresses, &facts->server));
	prefix_set_seal(&policy->server_addresses);
	policy->scanners = calloc(WORLD_SCANNERS, sizeof(*policy->scanners));
	if (!policy->scanners)
		die("memory");
	for (unsigned int s = 0; s < WORLD_SCANNERS; s++)
		if (is_configured(s))
			configure_scanner(&policy->scanners[policy->n_scanners++], s);
	facts->policy = policy;
	facts->server_is_ours = true;
	facts->shape = RCPT_DOMAIN;
}

/* All scanners were heard of; the unknown ones stay guessed. */
static void prepare_memory(struct bench *b)
{
	const struct prefix_set none = { .sealed = true };
	char name[WORLD_NAME];

	check(memory_new(&b->memory));
	for (unsigned int i = 0; i < b->n; i++) {
		world_name(i, name);
		check(memory_hosted_add(b->memory, sv_from(name)));
	}
	for (unsigned int s = 0; s < WORLD_SCANNERS; s++) {
		snprintf(name, sizeof(name), "filter%u%s", s, is_configured(s) ? "" : ".net");
		memory_scanner_heard(b->memory, name, clock_mono_ms());
		if (s % 3 == 1)
			check(memory_scanner_set_proven(b->memory, name, true, &none));
	}
	b->facts.memory = b->memory;
}

static const struct egress_source *find_source(void *user, const char *key)
{
	return resolver_peek_source(((struct bench *)user)->port, key);
}

static void bench_open(struct bench *b, uint16_t port)
{
	struct endpoint server = { .addr = addr_from_v4("\177\0\0\1"), .port = port };
	struct resolver_conf conf = { .servers = &server,
				      .n_servers = 1,
				      .max_domains = b->n,
				      .user = b,
				      .restore = restore };
	char name[WORLD_NAME];

	if (resolver_new(&conf, &b->resolver) < 0 || uv_loop_init(&b->loop) < 0 ||
	    resolver_port_new(b->resolver, &b->loop, &b->port) < 0)
		die("no resolver");
	prepare_memory(b);
	prepare_policy(&b->policy, &b->facts);
	b->facts.source = find_source;
	b->facts.user = b;
	for (unsigned int i = 0; i < b->n; i++) {
		world_name(i, name);
		check(resolver_keep(b->resolver, name));
	}
}

static void bench_close(struct bench *b)
{
	resolver_port_free(b->port);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	resolver_free(b->resolver);
	memory_free(b->memory);
	for (size_t i = 0; i < b->policy.n_scanners; i++)
		scanner_deinit(&b->policy.scanners[i]);
	free(b->policy.scanners);
	prefix_set_deinit(&b->policy.server_addresses);
}

/* ---- who sends to whom ---- */

static struct addr client_of(unsigned int door)
{
	static struct world_door d;
	unsigned int scanner = door % WORLD_SCANNERS;
	uint8_t outside[] = { 100, 66, (uint8_t)next_random(256), (uint8_t)next_random(256) };

	if (next_random(2))
		return addr_from_v4(outside);
	if (is_configured(scanner) && next_random(2))
		return outbound(scanner, next_random(NETWORKS), next_random(2));
	world_door(door, 0, TTL_S, &d);
	return d.facts.n_hosts ? d.addrs[0][0] : addr_from_v4(outside);
}

/* kind: WORLD_KINDS for all of them. */
static struct rcpts make_rcpts(unsigned int doors, enum world_kind kind)
{
	struct rcpts rcpts = { .r = malloc(doors * sizeof(*rcpts.r)) };

	if (!rcpts.r)
		die("memory");
	for (unsigned int i = 0; i < doors; i++) {
		unsigned int door = next_random(doors);

		if (kind != WORLD_KINDS && world_kind(door) != kind)
			continue;
		struct rcpt *r = &rcpts.r[rcpts.n++];
		r->client = client_of(door);
		world_name(door, r->domain);
	}
	if (rcpts.n == 0)
		die("there are no such doors");
	return rcpts;
}

/* ---- verdicts ---- */

/* What was decided must be what is to be expected, or the figure is of something else. */
static void check_mix(const unsigned int findings[FINDING_COUNT], unsigned int done)
{
	unsigned int direct = findings[FINDING_DIRECT], passed = findings[FINDING_PASS];

	if (direct < done / 3 || direct > done / 3 * 2 || passed < done / 3 ||
	    !findings[FINDING_NULL])
		die("the verdicts are not what they should be");
}

static void judge(struct bench *b, const struct rcpt *r, unsigned int findings[FINDING_COUNT])
{
	struct decide_facts *f = &b->facts;
	struct decision decision;

	f->client = r->client;
	f->domain = r->domain;
	f->dns = resolver_peek_domain(b->port, f->domain);
	if (decide(f, &decision) != DECIDE_DONE)
		die("a door or a source was not known");
	findings[decision.finding]++;
}

static const struct rcpt *after(const struct rcpts *rcpts, const struct rcpt *r)
{
	return r + 1 == rcpts->r + rcpts->n ? rcpts->r : r + 1;
}

/* A turn of the loop, from *at on. The first step of a recipient's fetch runs below the verdict two
 * before its own, the second below the one before. */
static void turn(struct bench *b, const struct rcpts *rcpts, const struct rcpt **at, bool fetched,
		 unsigned int findings[FINDING_COUNT])
{
	const struct rcpt *now = *at, *next = after(rcpts, now), *second;
	uint64_t fetch = 0, last;

	if (fetched)
		fetch = resolver_fetch_domain(b->port, next->domain);
	for (int i = 0; i < BATCH; i++, now = next, next = second) {
		second = after(rcpts, next);
		if (fetched) {
			last = fetch;
			fetch = resolver_fetch_domain(b->port, second->domain);
			resolver_fetch_door(b->port, last);
		}
		judge(b, now, findings);
	}
	*at = now;
}

/* Verdicts a second. */
static double measure(struct bench *b, enum world_kind kind, bool fetched, int ms)
{
	static const struct client_names nameless = { .status = DNS_NXDOMAIN,
						      .expires_ms = INT64_MAX };
	struct rcpts rcpts = make_rcpts(b->n, kind);
	unsigned int done = 0, findings[FINDING_COUNT] = { 0 };
	const struct rcpt *at = rcpts.r;
	double cpu, end;

	b->facts.names = &nameless;
	cpu = now_s(CLOCK_THREAD_CPUTIME_ID);
	end = now_s(CLOCK_MONOTONIC) + ms / 1e3;
	for (; now_s(CLOCK_MONOTONIC) < end; done += BATCH) {
		uv_run(&b->loop, UV_RUN_NOWAIT);
		b->facts.now_ms = clock_mono_ms();
		turn(b, &rcpts, &at, fetched, findings);
	}
	cpu = now_s(CLOCK_THREAD_CPUTIME_ID) - cpu;
	if (kind == WORLD_KINDS)
		check_mix(findings, done);
	free(rcpts.r);
	return done / cpu;
}

int main(int argc, char **argv)
{
	struct bench b = { .n = argc == 3 ? (unsigned int)strtoul(argv[1], NULL, 10) : 0 };
	struct resolver_stats before, after;
	double wall;

	if (b.n < 1000)
		die("usage: doors_verdicts N PORT");
	bench_open(&b, (uint16_t)strtoul(argv[2], NULL, 10));
	resolver_stats(b.resolver, &before);
	wall = now_s(CLOCK_MONOTONIC);
	printf("verdicts_per_s %.0f\n", measure(&b, WORLD_KINDS, true, ALL_MS));
	printf("verdicts_per_s_unfetched %.0f\n", measure(&b, WORLD_KINDS, false, ALL_MS));
	for (unsigned int k = 0; k < WORLD_KINDS; k++)
		printf("verdicts_per_s_%s %.0f\n", kind_names[k], measure(&b, k, true, KIND_MS));
	wall = now_s(CLOCK_MONOTONIC) - wall;
	resolver_stats(b.resolver, &after);
	if (after.refreshed == before.refreshed)
		die("nothing was refreshed meanwhile");
	printf("refreshed_per_s %.0f\n", (double)(after.refreshed - before.refreshed) / wall);
	bench_close(&b);
	return 0;
}
