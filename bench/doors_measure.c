/*
 * What the table of doors costs; bench/doors runs it and reads its lines, "NAME VALUE":
 *
 *     doors_measure zone FILE         writes the zone that the name server is to have
 *     doors_measure memory N          resident memory of N doors, and how fast they are restored
 *     doors_measure cold N PORT       look-ups a second of N domains that nobody knows
 *     doors_measure fill N PORT       first look-ups a second of N domains that are to be kept, as
 * at a start that knows none of them doors_measure flood N PORT      resident memory before and
 * after N made-up domains, in a table a tenth as large
 */
#include "base/clock.h"
#include "dns/resolver.h"
#include "doors_world.h"
#include "policy/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW = 4000 };

struct bench {
	struct resolver *resolver;
	struct resolver_port *port;
	uv_loop_t loop;
	struct endpoint server;
	unsigned int n;
	uint32_t ttl;
	double restore_s;
	unsigned int asked, answered, failed;
};

struct question {
	struct resolver_query query;
	struct bench *bench;
};

static struct question questions[WINDOW];

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "doors_measure: %s\n", what);
	exit(1);
}

static double now_s(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long resident(void)
{
	long pages = 0;
	FILE *f;

	malloc_trim(0);
	f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		die("/proc/self/statm");
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static void restore(void *user, struct resolver *r)
{
	static struct world_door d;
	struct bench *b = user;
	int64_t now = clock_mono_ms();
	double start = now_s(CLOCK_MONOTONIC);

	for (unsigned int i = 0; i < b->n; i++) {
		world_door(i, now, b->ttl, &d);
		if (resolver_restore_domain(r, &d.facts) != 0)
			die("a door was not restored");
	}
	b->restore_s = now_s(CLOCK_MONOTONIC) - start;
}

static void bench_open(struct bench *b, size_t max_domains)
{
	struct resolver_conf conf = { .servers = &b->server,
				      .n_servers = 1,
				      .max_domains = max_domains,
				      .user = b,
				      .restore = restore };

	b->server.addr = addr_from_v4("\177\0\0\1");
	if (resolver_new(&conf, &b->resolver) < 0 || uv_loop_init(&b->loop) < 0 ||
	    resolver_port_new(b->resolver, &b->loop, &b->port) < 0)
		die("no resolver");
}

static void bench_close(struct bench *b)
{
	resolver_port_free(b->port);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	resolver_free(b->resolver);
}

static struct memory *hosted(unsigned int n)
{
	struct memory *m;
	char name[WORLD_NAME];

	if (memory_new(&m) < 0)
		die("memory");
	for (unsigned int i = 0; i < n; i++) {
		world_name(i, name);
		if (memory_hosted_add(m, sv_from(name)) < 0)
			die("memory");
	}
	return m;
}

static void memory(unsigned int n)
{
	struct bench b = { .n = n, .ttl = 3600, .server.port = 9 };
	struct resolver_stats stats;
	long before = resident(), after, all;
	struct memory *m;

	bench_open(&b, n);
	after = resident();
	resolver_stats(b.resolver, &stats);
	if (stats.domains != n)
		die("doors are missing");
	m = hosted(n);
	all = resident();
	memory_free(m);
	printf("with_hosted_bytes %ld\nresident_bytes %ld\nbytes_a_door %.1f\nrestored_per_ms "
	       "%.1f\n",
	       all, after, (double)(after - before) / n, n / b.restore_s / 1000);
	bench_close(&b);
}

/* ---- look-ups ---- */

static void ask_next(struct question *q);

static void on_answer(struct resolver_query *query, const void *result)
{
	struct question *q = query->user;
	const struct domain_facts *facts = result;

	q->bench->answered++;
	if (facts->kind == FACTS_FAILED)
		q->bench->failed++;
	ask_next(q);
}

static void ask_next(struct question *q)
{
	struct bench *b = q->bench;
	char name[WORLD_NAME];

	if (b->asked == b->n)
		return;
	world_name(b->asked++, name);
	q->query = (struct resolver_query) { .answer = on_answer, .user = q };
	if (resolver_ask(b->port, RESOLVER_DOMAIN, name, NULL, &q->query) < 0)
		die("memory");
}

static void ask_all(struct bench *b, unsigned int n)
{
	b->n = n;
	b->asked = b->answered = b->failed = 0;
	for (size_t i = 0; i < WINDOW; i++) {
		questions[i].bench = b;
		ask_next(&questions[i]);
	}
	while (b->answered < n)
		uv_run(&b->loop, UV_RUN_ONCE);
}

static void cold(unsigned int n, uint16_t port)
{
	struct bench b = { .server.port = port };
	double start;

	bench_open(&b, 0);
	start = now_s(CLOCK_MONOTONIC);
	ask_all(&b, n);
	printf("lookups_per_s %.0f\nfailed %u\n", n / (now_s(CLOCK_MONOTONIC) - start), b.failed);
	bench_close(&b);
}

static void fill(unsigned int n, uint16_t port)
{
	struct bench b = { .server.port = port };
	struct resolver_stats stats;
	char name[WORLD_NAME];
	double start;

	bench_open(&b, n);
	start = now_s(CLOCK_MONOTONIC);
	for (unsigned int i = 0; i < n; i++) {
		world_name(i, name);
		if (resolver_keep(b.resolver, name) < 0)
			die("memory");
	}
	do {
		usleep(1000);
		resolver_stats(b.resolver, &stats);
	} while (stats.lookups < n || stats.in_flight);
	printf("filled_per_s %.0f\nfailed %lu\n", n / (now_s(CLOCK_MONOTONIC) - start),
	       (unsigned long)stats.failed);
	bench_close(&b);
}

static void flood(unsigned int n, uint16_t port)
{
	struct bench b = { .server.port = port };
	unsigned int size = n / 10;
	struct resolver_stats stats;
	long full;

	bench_open(&b, size);
	ask_all(&b, 2 * size);
	full = resident();
	ask_all(&b, n);
	resolver_stats(b.resolver, &stats);
	printf("full_bytes %ld\nafter_bytes %ld\ndoors %lu\nevicted %lu\n", full, resident(),
	       (unsigned long)stats.domains, (unsigned long)stats.evicted);
	bench_close(&b);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	unsigned int n = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;
	uint16_t port = argc > 3 ? (uint16_t)strtoul(argv[3], NULL, 10) : 0;

	if (strcmp(what, "zone") == 0 && argc == 3)
		return world_write_zone(argv[2]) < 0;
	if (strcmp(what, "memory") == 0 && n)
		memory(n);
	else if (strcmp(what, "cold") == 0 && n && port)
		cold(n, port);
	else if (strcmp(what, "fill") == 0 && n && port)
		fill(n, port);
	else if (strcmp(what, "flood") == 0 && n && port)
		flood(n, port);
	else
		die("usage: see the head of its source");
	return 0;
}
