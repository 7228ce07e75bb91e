/* The snapshot file: what comes back after a restart, by which clock, and what becomes of files
 * that are damaged or can't be written. */
#include "base/clock.h"
#include "proxy/snapshot.h"
#include "proxy/snapshot_row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY       (86400 * 1000LL)
#define STALE_MAX (7 * DAY)
#define WALL      1800000000000LL

static char dir[] = "/tmp/test_snapshot.XXXXXX";
static char file[64], bad[80];

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(text), &a), 0);
	return a;
}

static int setup(void **state)
{
	static const char *const tails[] = { "", "-wal", "-shm", ".bad", ".bad-wal", ".bad-shm" };
	char path[96];

	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		snprintf(path, sizeof(path), "%s%s", file, tails[i]);
		(void)unlink(path);
	}
	clock_fake(1000 * 1000, WALL);
	return 0;
}

static int teardown(void **state)
{
	clock_fake(-1, -1);
	return 0;
}

/* What a load has found, by name. */
struct found {
	size_t n;
	struct domain_facts *facts[8];
	struct egress_source *sources[8];
	size_t n_sources;
};

static int on_domain(void *user, const struct domain_facts *facts)
{
	struct found *f = user;

	assert_true(f->n < ARRAY_SIZE(f->facts));
	f->facts[f->n++] = facts_copy(facts);
	return 0;
}

static int on_source(void *user, const struct egress_source *source)
{
	struct found *f = user;

	assert_true(f->n_sources < ARRAY_SIZE(f->sources));
	f->sources[f->n_sources++] = egress_source_copy(source);
	return 0;
}

static void load(struct found *f, struct snapshot_stats *ret_stats)
{
	struct snapshot_visit visit = { .domain = on_domain, .source = on_source, .user = f };
	struct snapshot *s;

	*f = (struct found) { 0 };
	assert_int_equal(snapshot_new(file, STALE_MAX, &s), 0);
	assert_int_equal(snapshot_load(s, &visit), 0);
	if (ret_stats)
		snapshot_stats(s, ret_stats);
	assert_int_equal(snapshot_start(s), 0);
	snapshot_free(s);
}

static void found_free(struct found *f)
{
	for (size_t i = 0; i < f->n; i++)
		facts_free(f->facts[i]);
	for (size_t i = 0; i < f->n_sources; i++)
		facts_free(f->sources[i]);
}

static struct snapshot *begin(void)
{
	struct snapshot *s;

	assert_int_equal(snapshot_new(file, STALE_MAX, &s), 0);
	assert_int_equal(snapshot_start(s), 0);
	return s;
}

static struct domain_facts facts_of(const char *domain, int64_t age_ms)
{
	static struct addr addrs[3];
	static struct dns_host hosts[2];

	addrs[0] = address("198.51.100.1");
	addrs[1] = address("2001:db8::1");
	addrs[2] = address("198.51.100.2");
	hosts[0] = (struct dns_host) { .name = "mx1.scan.example",
				       .canonical = "c7.farm.example",
				       .preference = 10,
				       .n_addrs = 2,
				       .addrs = addrs,
				       .ptr = "out.farm.example" };
	hosts[1] = (struct dns_host) { .name = "mx2.scan.example",
				       .canonical = "mx2.scan.example",
				       .preference = 20,
				       .n_addrs = 1,
				       .incomplete = true,
				       .addrs = &addrs[2],
				       .ptr = "" };
	return (struct domain_facts) { .kind = FACTS_MX,
				       .aa = true,
				       .fetched_ms = clock_mono_ms() - age_ms,
				       .expires_ms = clock_mono_ms() - age_ms + 3600 * 1000,
				       .confirmed_ms = clock_mono_ms(),
				       .ttl = 3600,
				       .n_hosts = 2,
				       .domain = domain,
				       .hosts = hosts };
}

static void assert_same_host(const struct dns_host *a, const struct dns_host *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->canonical, b->canonical);
	assert_string_equal(a->ptr, b->ptr);
	assert_int_equal(a->preference, b->preference);
	assert_int_equal(a->status, b->status);
	assert_int_equal(a->incomplete, b->incomplete);
	assert_int_equal(a->n_addrs, b->n_addrs);
	for (int i = 0; i < a->n_addrs; i++)
		assert_true(addr_eq(&a->addrs[i], &b->addrs[i]));
}

/* All of it comes back, at times of the clock of the new start. */
static void test_doors(void **state)
{
	struct snapshot *s = begin();
	struct domain_facts f = facts_of("example.org", 600 * 1000);
	struct snapshot_stats stats;
	struct found found;

	f.former_until_ms = clock_mono_ms() + 1800 * 1000;
	f.former_kind = FACTS_ADDRESS;
	f.former = &f.hosts[1];
	f.n_former = 1;
	snapshot_domain(s, "example.org", &f, true);
	snapshot_free(s);

	/* the machine has been started anew, and was down for 20 minutes */
	clock_fake(5000, WALL + 1200 * 1000);
	load(&found, &stats);
	assert_int_equal(found.n, 1);
	assert_int_equal(stats.domains, 1);
	assert_int_equal(stats.damaged, 0);
	struct domain_facts *g = found.facts[0];

	assert_string_equal(g->domain, "example.org");
	assert_int_equal(g->kind, FACTS_MX);
	assert_true(g->aa);
	assert_int_equal(g->ttl, 3600);
	assert_int_equal(g->confirmed_ms, -1);
	assert_int_equal(g->fetched_ms, 5000 - 1800 * 1000);
	assert_int_equal(g->expires_ms, 5000 + 1800 * 1000);
	assert_int_equal(g->n_hosts, 2);
	assert_same_host(&g->hosts[0], &f.hosts[0]);
	assert_same_host(&g->hosts[1], &f.hosts[1]);
	assert_int_equal(g->former_until_ms, 5000 + 600 * 1000);
	assert_int_equal(g->former_kind, FACTS_ADDRESS);
	assert_int_equal(g->n_former, 1);
	assert_same_host(&g->former[0], &f.hosts[1]);
	found_free(&found);

	/* once the grace is over, it is */
	clock_fake(5000, WALL + 1801 * 1000);
	load(&found, NULL);
	assert_int_equal(found.facts[0]->former_until_ms, 0);
	assert_int_equal(found.facts[0]->n_former, 0);
	found_free(&found);

	struct stat st;
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void test_sources(void **state)
{
	static const char *const texts[] = { "198.51.100.0/24", "2001:db8:7::/48" };
	struct egress_source e = { .key = "spf:_spf.example",
				   .status = SOURCE_KNOWN,
				   .incomplete = true,
				   .ttl = 300,
				   .left_out = "exists:%{i}.example",
				   .fetched_ms = clock_mono_ms() - 1000,
				   .expires_ms = clock_mono_ms() + 299 * 1000 };
	struct snapshot *s = begin();
	struct found found;

	prefix_set_init(&e.set);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct prefix p;

		assert_int_equal(prefix_parse(sv_from(texts[i]), &p), 0);
		assert_int_equal(prefix_set_add(&e.set, &p), 0);
	}
	prefix_set_seal(&e.set);
	snapshot_source(s, &e);
	/* none of these is worth it */
	e.key = "spf:other.example";
	e.fallback = true;
	snapshot_source(s, &e);
	e.key = "exists:192.0.2.1.example";
	e.fallback = false;
	e.status = SOURCE_NONE;
	snapshot_source(s, &e);
	e.key = "spf:third.example";
	e.status = SOURCE_FAILED;
	snapshot_source(s, &e);
	snapshot_free(s);

	load(&found, NULL);
	assert_int_equal(found.n_sources, 1);
	struct egress_source *g = found.sources[0];
	struct addr inside = address("2001:db8:7::9"), outside = address("198.51.101.1");

	assert_string_equal(g->key, "spf:_spf.example");
	assert_true(g->incomplete);
	assert_string_equal(g->left_out, "exists:%{i}.example");
	assert_int_equal(g->fetched_ms, clock_mono_ms() - 1000);
	assert_int_equal(g->expires_ms, clock_mono_ms() + 299 * 1000);
	assert_true(prefix_set_contains(&g->set, &inside));
	assert_false(prefix_set_contains(&g->set, &outside));
	found_free(&found);
	prefix_set_deinit(&e.set);
}

/* Later changes win; what has gone, has gone; what doesn't exist is kept for hosted domains only.
 */
static void test_changes(void **state)
{
	struct snapshot *s = begin();
	struct domain_facts f = facts_of("a.example", 1000), nothing = facts_of("b.example", 0);
	struct found found;

	snapshot_domain(s, "a.example", &f, false);
	f.ttl = 77;
	snapshot_domain(s, "a.example", &f, false);
	nothing.kind = FACTS_NOTHING;
	nothing.n_hosts = 0;
	snapshot_domain(s, "made-up.example", &nothing, false);
	nothing.domain = "hosted.example";
	snapshot_domain(s, "hosted.example", &nothing, true);
	f.domain = "gone.example";
	snapshot_domain(s, "gone.example", &f, false);
	snapshot_free(s);
	s = begin();
	snapshot_domain(s, "gone.example", NULL, false);
	f.kind = FACTS_FAILED; /* trouble takes nothing away */
	snapshot_domain(s, "a.example", &f, false);
	snapshot_free(s);

	load(&found, NULL);
	assert_int_equal(found.n, 2);
	for (size_t i = 0; i < 2; i++) {
		bool a = strcmp(found.facts[i]->domain, "a.example") == 0;

		assert_string_equal(found.facts[i]->domain, a ? "a.example" : "hosted.example");
		assert_int_equal(found.facts[i]->kind, a ? FACTS_MX : FACTS_NOTHING);
		assert_int_equal(found.facts[i]->ttl, a ? 77 : 3600);
	}
	found_free(&found);
}

/* What is too old does not come back; nor does a clock that was set back keep it young for ever. */
static void test_age(void **state)
{
	struct snapshot *s = begin();
	struct domain_facts f = facts_of("a.example", 0);
	struct found found;

	snapshot_domain(s, "a.example", &f, true);
	snapshot_free(s);

	/* a year too early: it counts from now on */
	clock_fake(9000, WALL - 365 * DAY);
	load(&found, NULL);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.facts[0]->fetched_ms, 9000);
	assert_true(found.facts[0]->expires_ms <= 9000);
	found_free(&found);
	/* and did so in the file */
	clock_fake(9000, WALL - 365 * DAY + STALE_MAX - 1000);
	load(&found, NULL);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.facts[0]->fetched_ms, 9000 - (STALE_MAX - 1000));
	found_free(&found);
	clock_fake(9000, WALL - 365 * DAY + STALE_MAX + 1000);
	load(&found, NULL);
	assert_int_equal(found.n, 0);
	clock_fake(9000, WALL - 365 * DAY);
	load(&found, NULL); /* it was taken out, not passed over */
	assert_int_equal(found.n, 0);
}

static void overwrite(const char *path, long at, const void *bytes, size_t n)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

static void run_sql(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* Every way a file can be wrong ends in an empty start and a file that works. */
static void test_bad_files(void **state)
{
	static const char *const wrong[] = { "no database", "PRAGMA user_version = 9",
					     "PRAGMA application_id = 1", "DROP TABLE door" };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct domain_facts f;
		struct found found;
		struct snapshot *s;

		setup(state);
		s = begin();
		f = facts_of("a.example", 0);
		snapshot_domain(s, "a.example", &f, true);
		snapshot_free(s);
		if (i == 0)
			overwrite(file, 0, "this is no database at all", 26);
		else
			run_sql(wrong[i]);
		load(&found, NULL);
		assert_int_equal(found.n, 0);
		assert_int_equal(access(bad, F_OK), 0);
		s = begin();
		snapshot_domain(s, "a.example", &f, true);
		snapshot_free(s);
		load(&found, NULL);
		assert_int_equal(found.n, 1);
		found_free(&found);
	}
}

/* A damaged row is left out, the others are not. */
static void test_bad_rows(void **state)
{
	static const char *const damage[] = {
		"UPDATE door SET facts = substr(facts, 1, 30) WHERE domain = 'a.example'",
		"UPDATE door SET facts = x'' WHERE domain = 'a.example'",
		"UPDATE door SET facts = zeroblob(200) WHERE domain = 'a.example'",
		"UPDATE door SET domain = 'c.example' WHERE domain = 'a.example'",
		"UPDATE door SET facts = facts || x'00' WHERE domain = 'a.example'",
	};

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		struct snapshot_stats stats;
		struct domain_facts f;
		struct found found;
		struct snapshot *s;

		setup(state);
		s = begin();
		f = facts_of("a.example", 0);
		snapshot_domain(s, "a.example", &f, true);
		f.domain = "b.example";
		snapshot_domain(s, "b.example", &f, true);
		snapshot_free(s);
		run_sql(damage[i]);
		load(&found, &stats);
		assert_int_equal(found.n, 1);
		assert_string_equal(found.facts[0]->domain, "b.example");
		assert_int_equal(stats.damaged, 1);
		found_free(&found);
	}
}

/* A row whose sum is right, whatever else it says, is read within its bounds: cut everywhere, and
 * with each octet changed. (What sums can't find is left to the sanitizers.) */
static void test_rows_cut(void **state)
{
	struct snapshot_clock clock = { WALL, 1000 * 1000 };
	struct domain_facts f = facts_of("a.example", 0), g;
	struct snapshot_room *room;
	bool future;
	size_t n;
	char *row = snapshot_pack_domain(&f, &clock, &n);

	assert_int_equal(snapshot_room_new(&room), 0);
	assert_int_equal(snapshot_unpack_domain((struct sv) { row, n }, "a.example", &clock, room,
						&g, &future),
			 0);
	assert_int_equal(snapshot_unpack_domain((struct sv) { row, n }, "b.example", &clock, room,
						&g, &future),
			 -EINVAL);
	for (size_t i = 0; i < n; i++) {
		char *cut = malloc(i + 1);

		memcpy(cut, row, i);
		assert_int_equal(snapshot_unpack_domain((struct sv) { cut, i }, "a.example", &clock,
							room, &g, &future),
				 -EINVAL);
		free(cut);
		row[i] ^= 0x41;
		assert_int_equal(snapshot_unpack_domain((struct sv) { row, n }, "a.example", &clock,
							room, &g, &future),
				 -EINVAL);
		row[i] ^= 0x41;
	}
	free(row);
	snapshot_room_free(room);
}

static void wait_for_failure(struct snapshot *s)
{
	struct snapshot_stats stats;

	do {
		usleep(20000);
		snapshot_stats(s, &stats);
	} while (stats.failed == 0);
	assert_int_equal(stats.written, 0);
	assert_int_equal(stats.dropped, 0);
}

/* The disk is full: what could not be written waits, and is written when there is room. */
static void test_full_disk(void **state)
{
	struct rlimit full = { 0 }, before;
	struct domain_facts f = facts_of("a.example", 0);
	struct found found;
	struct snapshot *s;
	char name[32];

	load(&found, NULL); /* the file is there */
	s = begin();
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	full.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		f.domain = name;
		snapshot_domain(s, name, &f, true);
	}
	wait_for_failure(s);
	f.ttl = 9; /* newer than what waits */
	f.domain = "d0.example";
	snapshot_domain(s, "d0.example", &f, true);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	snapshot_free(s);
	load(&found, NULL);
	assert_int_equal(found.n, 5);
	assert_int_equal(found.facts[0]->ttl, 9);
	assert_int_equal(found.facts[1]->ttl, 3600);
	found_free(&found);
}

/* What waits is bounded. */
static void test_bound(void **state)
{
	struct domain_facts f = facts_of("a.example", 0);
	struct snapshot_stats stats;
	struct snapshot *s;
	char name[32];

	assert_int_equal(snapshot_new(file, STALE_MAX, &s), 0);
	for (int i = 0; i < 400000; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		f.domain = name;
		snapshot_domain(s, name, &f, true);
	}
	snapshot_stats(s, &stats);
	assert_true(stats.dropped > 0 && stats.dropped < 400000);
	/* what is dropped is not the newer of two */
	f.domain = "d1.example";
	snapshot_domain(s, "d1.example", &f, true);
	snapshot_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_doors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sources, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_age, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rows_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
	};

	if (!mkdtemp(dir))
		return 1;
	snprintf(file, sizeof(file), "%s/doors", dir);
	snprintf(bad, sizeof(bad), "%s.bad", file);
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	setup(NULL);
	clock_fake(-1, -1);
	(void)rmdir(dir);
	return r;
}
