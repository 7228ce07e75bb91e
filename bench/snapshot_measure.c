/*
 * What the snapshot costs; bench/snapshot runs it and reads its lines, "NAME VALUE":
 *
 *     snapshot_measure write FILE N   N doors, handed over as fast as they are written
 *     snapshot_measure load FILE N    all of them, into a resolver that begins
 */
#include "base/clock.h"
#include "dns/resolver.h"
#include "doors_world.h"
#include "proxy/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STALE_MAX (7 * 86400 * 1000LL)

enum { WAITING = 100000 }; /* doors that may wait to be written: far below what has room */

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "snapshot_measure: %s\n", what);
	exit(1);
}

static double now_s(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void wait_for(struct snapshot *s, uint64_t written)
{
	struct snapshot_stats stats;

	for (;;) {
		snapshot_stats(s, &stats);
		if (stats.dropped || stats.failed)
			die("a door was not written");
		if (stats.written >= written)
			return;
		usleep(1000);
	}
}

static void write_doors(const char *file, unsigned int n)
{
	static struct world_door d;
	int64_t fetched = clock_mono_ms();
	double cpu = now_s(CLOCK_PROCESS_CPUTIME_ID), thread = 0;
	struct snapshot *s;
	struct stat st;

	if (snapshot_new(file, STALE_MAX, &s) < 0 || snapshot_start(s) < 0)
		die("no snapshot");
	for (unsigned int i = 0; i < n; i++) {
		world_door(i, fetched, 3600, &d);
		double start = now_s(CLOCK_MONOTONIC);

		snapshot_domain(s, d.name, &d.facts, true);
		thread += now_s(CLOCK_MONOTONIC) - start;
		if (i % WAITING == WAITING - 1)
			wait_for(s, i + 1);
	}
	snapshot_free(s);
	cpu = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (stat(file, &st) < 0)
		die("no file");
	printf("write_cpu_us %.3f\n", cpu / n * 1e6);
	printf("hand_over_us %.3f\n", thread / n * 1e6);
	printf("file_octets %.1f\n", (double)st.st_size / n);
}

struct loading {
	struct snapshot *snapshot;
	double seconds, cpu;
	uint64_t domains;
};

static int restore_domain(void *resolver, const struct domain_facts *facts)
{
	return resolver_restore_domain(resolver, facts);
}

static int restore_source(void *resolver, const struct egress_source *source)
{
	return resolver_restore_source(resolver, source);
}

static void restore(void *user, struct resolver *r)
{
	struct snapshot_visit visit = { .domain = restore_domain,
					.source = restore_source,
					.user = r };
	struct loading *l = user;
	struct snapshot_stats stats;
	double start = now_s(CLOCK_MONOTONIC), cpu = now_s(CLOCK_THREAD_CPUTIME_ID);

	if (snapshot_load(l->snapshot, &visit) < 0)
		die("the file can't be read");
	l->seconds = now_s(CLOCK_MONOTONIC) - start;
	l->cpu = now_s(CLOCK_THREAD_CPUTIME_ID) - cpu;
	snapshot_stats(l->snapshot, &stats);
	l->domains = stats.domains;
}

static void load(const char *file, unsigned int n)
{
	struct endpoint nobody = { .port = 9 };
	struct loading l = { 0 };
	struct resolver_conf conf = {
		.servers = &nobody, .n_servers = 1, .user = &l, .restore = restore
	};
	struct resolver *r;

	nobody.addr = addr_from_v4("\177\0\0\1");
	if (snapshot_new(file, STALE_MAX, &l.snapshot) < 0 || resolver_new(&conf, &r) < 0)
		die("no resolver");
	if (l.domains != n)
		die("doors are missing");
	printf("load_s %.3f\n", l.seconds);
	printf("load_cpu_s %.3f\n", l.cpu);
	resolver_free(r);
	snapshot_free(l.snapshot);
}

int main(int argc, char **argv)
{
	unsigned int n = argc == 4 ? (unsigned int)strtoul(argv[3], NULL, 10) : 0;

	if (n > 0 && strcmp(argv[1], "write") == 0)
		write_doors(argv[2], n);
	else if (n > 0 && strcmp(argv[1], "load") == 0)
		load(argv[2], n);
	else
		die("write|load FILE N");
	return 0;
}
