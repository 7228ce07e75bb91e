/* The table of doors by itself: what is shared, what goes first, and readers while it changes. */
#include "dns/door_table.h"

#include "base/map.h"

#include "cm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct epoch epoch;
static struct door_table table;
static unsigned int n_gone;

static void on_gone(void *user, struct door *d)
{
	assert_ptr_equal(user, &n_gone);
	assert_true(d->key_len > 0);
	n_gone++;
}

static void open_table(size_t max)
{
	n_gone = 0;
	epoch_init(&epoch);
	assert_int_equal(door_table_init(&table, &epoch, max, on_gone, &n_gone), 0);
}

static void close_table(void)
{
	door_table_deinit(&table);
	epoch_deinit(&epoch);
}

static struct addr v4(uint8_t a, uint8_t b)
{
	uint8_t octets[] = { 192, 0, a, b };

	return addr_from_v4(octets);
}

static struct dns_host host(const char *name, const struct addr *addrs, uint16_t n)
{
	return (struct dns_host) { .name = name,
				   .canonical = name,
				   .preference = 10,
				   .n_addrs = n,
				   .addrs = addrs,
				   .ptr = "" };
}

static struct door *put(const char *key, enum facts_kind kind, const struct dns_host *hosts,
			uint16_t n, int64_t now)
{
	struct door *d = door_table_add(&table, sv_from(key), false, now);
	struct domain_facts facts = { .kind = kind,
				      .fetched_ms = now,
				      .expires_ms = now + 60000,
				      .confirmed_ms = -1,
				      .n_hosts = n,
				      .hosts = hosts };

	assert_non_null(d);
	assert_int_equal(door_write(&table, d, &facts), 0);
	return d;
}

static struct door *put_mx(const char *key, int64_t now)
{
	struct addr a = v4(2, 1);
	struct dns_host h = host("mx.lab.net", &a, 1);

	return put(key, FACTS_MX, &h, 1, now);
}

static bool has(const char *key)
{
	return door_table_find(&table, sv_from(key));
}

static void test_what_is_written_is_read(void **state)
{
	struct addr addrs[] = { v4(2, 9), v4(2, 1), v4(2, 9) }, former_addr = v4(2, 7);
	struct dns_host hosts[] = { host("a.lab.net", addrs, 3), host("b.lab.net", addrs, 1) };
	struct dns_host former = host("old.lab.net", &former_addr, 1);
	struct domain_facts f = { .kind = FACTS_MX,
				  .aa = true,
				  .stale = true,
				  .fetched_ms = -5000,
				  .expires_ms = 700000000,
				  .confirmed_ms = 1234,
				  .ttl = 4000000000,
				  .n_hosts = 2,
				  .hosts = hosts,
				  .former_until_ms = 9000,
				  .former_kind = FACTS_ADDRESS,
				  .n_former = 1,
				  .former = &former };
	struct domain_facts got;
	struct door *d;

	(void)state;
	open_table(10);
	hosts[0].canonical = "c.lab.net";
	hosts[1].ptr = "p.lab.net";
	hosts[1].incomplete = true;
	d = door_table_add(&table, SV("x.org"), false, 0);
	assert_false(door_read(d, 0, &got));
	assert_int_equal(door_write(&table, d, &f), 0);
	assert_true(door_read(d, 0, &got));
	assert_string_equal(got.domain, "x.org");
	assert_int_equal(got.kind, FACTS_MX);
	assert_true(got.aa && got.stale && !got.nxdomain);
	assert_int_equal(got.fetched_ms, -5000);
	assert_int_equal(got.expires_ms, 700000000);
	assert_int_equal(got.confirmed_ms, 1234);
	assert_int_equal(got.ttl, 4000000000);
	assert_int_equal(got.n_hosts, 2);
	/* sorted, and each once */
	assert_int_equal(got.hosts[0].n_addrs, 2);
	assert_true(addr_eq(&got.hosts[0].addrs[0], &addrs[1]));
	assert_string_equal(got.hosts[0].canonical, "c.lab.net");
	assert_string_equal(got.hosts[1].ptr, "p.lab.net");
	assert_true(got.hosts[1].incomplete);
	assert_int_equal(got.former_until_ms, 9000);
	assert_int_equal(got.former_kind, FACTS_ADDRESS);
	assert_string_equal(got.former[0].name, "old.lab.net");
	assert_true(addr_eq(&got.former[0].addrs[0], &former_addr));
	/* until then, and no longer */
	assert_true(door_read(d, 8999, &got) && got.n_former == 1);
	assert_true(door_read(d, 9000, &got) && got.n_former == 0 && got.former_until_ms == 0);
	/* a failure has no time of a good answer */
	f = (struct domain_facts) {
		.kind = FACTS_FAILED, .fetched_ms = -1, .expires_ms = 10000, .confirmed_ms = -1
	};
	assert_int_equal(door_write(&table, d, &f), 0);
	assert_true(door_read(d, 0, &got));
	assert_int_equal(got.fetched_ms, -1);
	assert_int_equal(got.expires_ms, 10000);
	assert_int_equal(got.confirmed_ms, -1);
	assert_int_equal(got.n_hosts + got.n_former, 0);
	close_table();
}

/* A thousand doors of one scanner have one set; it goes with the last of them. */
static void test_equal_sets_are_one(void **state)
{
	struct addr here[] = { v4(2, 1), v4(2, 2) }, there[] = { v4(2, 2), v4(2, 1) };
	struct dns_host a = host("mx.lab.net", here, 2), b = host("mx.lab.net", there, 2);
	struct dns_host own = host("mine.lab.net", here, 2);
	struct domain_facts one, other;
	struct door *d = NULL;
	char key[32];

	(void)state;
	open_table(10000);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "d%d.org", i);
		d = put(key, FACTS_MX, i % 2 ? &a : &b, 1, 0);
	}
	assert_int_equal(table.sets.n_sets, 1);
	assert_int_equal(table.sets.n_lists, 1);
	door_read(d, 0, &one);
	door_read(door_table_find(&table, SV("d0.org")), 0, &other);
	assert_ptr_equal(one.hosts, other.hosts);
	/* another name, the same addresses */
	put("d0.org", FACTS_MX, &own, 1, 0);
	assert_int_equal(table.sets.n_sets, 2);
	assert_int_equal(table.sets.n_lists, 1);
	/* any difference makes another set */
	b.preference = 11;
	put("d1.org", FACTS_MX, &b, 1, 0);
	a.incomplete = true;
	put("d2.org", FACTS_MX, &a, 1, 0);
	assert_int_equal(table.sets.n_sets, 4);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "d%d.org", i);
		put(key, FACTS_NULL_MX, NULL, 0, 0);
	}
	assert_int_equal(table.sets.n_sets, 0);
	assert_int_equal(table.sets.n_lists, 0);
	close_table();
}

static void test_limits_of_a_set(void **state)
{
	static struct addr addrs[HOST_SET_MAX_ADDRS + 5];
	struct dns_host many = host("many.lab.net", addrs, ARRAY_SIZE(addrs));
	struct dns_host hosts[HOST_SET_MAX_HOSTS + 3];
	static char names[ARRAY_SIZE(hosts)][16];
	struct domain_facts f;

	(void)state;
	open_table(10);
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++)
		addrs[i] = v4((uint8_t)(200 - i), 1);
	door_read(put("a.org", FACTS_MX, &many, 1, 0), 0, &f);
	assert_int_equal(f.hosts[0].n_addrs, HOST_SET_MAX_ADDRS);
	assert_true(f.hosts[0].incomplete);
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		snprintf(names[i], sizeof(names[i]), "mx%zu.net", i);
		hosts[i] = host(names[i], addrs, 1);
	}
	door_read(put("b.org", FACTS_MX, hosts, ARRAY_SIZE(hosts), 0), 0, &f);
	assert_int_equal(f.n_hosts, HOST_SET_MAX_HOSTS);
	for (size_t i = 0; i < f.n_hosts; i++)
		assert_int_equal(f.hosts[i].incomplete, i + 1u == HOST_SET_MAX_HOSTS);
	close_table();
}

static void use(const char *key, int64_t now)
{
	struct door *d = door_table_find(&table, sv_from(key));

	assert_non_null(d);
	door_touch(d, now);
}

/* Made-up names, of whatever kind, come and go; what is of use, and what is held, stays. */
static void test_flood(void **state)
{
	static const enum facts_kind kinds[] = { FACTS_NOTHING, FACTS_FAILED, FACTS_MX };
	char key[32];

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		int64_t now = 1000;
		open_table(100);
		for (int i = 0; i < 50; i++) {
			snprintf(key, sizeof(key), "good%d.org", i);
			put_mx(key, now);
		}
		door_hold(put_mx("held.org", now));
		door_table_keep(&table, put_mx("kept.org", now), true, now);
		/* used again later than a sender's tries at once */
		for (int i = 0; i < 50; i++) {
			snprintf(key, sizeof(key), "good%d.org", i);
			use(key, now + DOOR_REUSE_S * 1000);
		}
		now += 61000;
		for (int i = 0; i < 5000; i++, now += 10) {
			snprintf(key, sizeof(key), "flood%d.org", i);
			put(key, kinds[k], NULL, 0, now);
			if (kinds[k] != FACTS_MX)
				use(key, now + 100000); /* and coming back helps them nothing */
			assert_true(table.n <= 101);
		}
		for (int i = 0; i < 50; i++) {
			snprintf(key, sizeof(key), "good%d.org", i);
			assert_true(has(key));
		}
		assert_true(has("held.org") && has("kept.org"));
		assert_false(has("flood0.org"));
		assert_int_equal(n_gone, table.evicted);
		assert_true(n_gone >= 4900);
		close_table();
	}
}

/* The same name tried several times at once is not "of use"; once released, a door goes the way of
 * any other. */
static void test_probation(void **state)
{
	struct door *kept;
	char key[32];

	(void)state;
	open_table(20);
	put_mx("once.org", 0);
	for (int i = 0; i < DOOR_REUSE_S; i++)
		use("once.org", i * 1000);
	kept = put_mx("kept.org", 0);
	door_table_keep(&table, kept, true, 0);
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "other%d.org", i);
		put_mx(key, 70000);
	}
	assert_false(has("once.org"));
	assert_true(has("kept.org"));
	door_table_keep(&table, kept, false, 70000);
	for (int i = 40; i < 80; i++) {
		snprintf(key, sizeof(key), "other%d.org", i);
		put_mx(key, 70000);
	}
	assert_false(has("kept.org"));
	assert_true(table.n <= 20);
	close_table();
}

/* More kept doors than there is room: they stay, and a tenth is left for others. */
static void test_kept_beyond_the_bound(void **state)
{
	char key[32];

	(void)state;
	open_table(50);
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "kept%d.org", i);
		door_table_keep(&table, put_mx(key, 0), true, 0);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "other%d.org", i);
		put_mx(key, 0);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "kept%d.org", i);
		assert_true(has(key));
	}
	assert_true(has("other199.org") && has("other196.org"));
	assert_true(table.n <= 206);
	close_table();
}

/* All are held while it grows; it comes back once they are released, though nothing new comes. */
static void test_grown_comes_back(void **state)
{
	static struct door *doors[100];
	char key[32];

	(void)state;
	open_table(20);
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "d%d.org", i);
		doors[i] = put_mx(key, 0);
		door_hold(doors[i]);
	}
	door_table_trim(&table, 0);
	assert_int_equal(table.n, 100);
	for (int i = 0; i < 100; i++)
		door_release(&table, doors[i], 0);
	door_table_trim(&table, 0);
	assert_int_equal(table.n, 20);
	close_table();
}

/* Many more doors than lines have slots, with names of all sizes. */
static void test_crowded_line(void **state)
{
	struct door *doors[120];
	char names[120][256];
	unsigned int n_there = 0;

	(void)state;
	open_table(10);
	for (unsigned int i = 0; i < ARRAY_SIZE(doors); i++) {
		snprintf(names[i], sizeof(names[i]), "%0*u.org", (int)(1 + i * 2), i);
		doors[i] = put_mx(names[i], 0);
		door_table_keep(&table, doors[i], true, 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(doors); i++) {
		struct sv key = sv_from(names[i]);

		door_table_fetch_door(&table, map_hash(key));
		assert_ptr_equal(door_table_find(&table, key), doors[i]);
	}
	assert_int_equal(n_gone, 0);
	/* those at the front of a chain, amid and at the end of it */
	for (unsigned int i = 0; i < ARRAY_SIZE(doors); i++)
		if (i % 3)
			door_table_keep(&table, doors[i], false, 0);
	door_table_trim(&table, 1000);
	assert_true(n_gone > 60);
	for (unsigned int i = 0; i < ARRAY_SIZE(doors); i++) {
		struct door *d = door_table_find(&table, sv_from(names[i]));

		assert_true(!d || d == doors[i]);
		assert_true(d || i % 3);
		n_there += d != NULL;
	}
	assert_int_equal(n_there, ARRAY_SIZE(doors) - n_gone);
	assert_int_equal(table.n, n_there);
	close_table();
}

/* What a reader saw stays whole until it leaves. */
static void test_reader_inside(void **state)
{
	struct addr a = v4(2, 1), b = v4(2, 2);
	struct dns_host first = host("first.lab.net", &a, 1),
			second = host("second.lab.net", &b, 1);
	struct epoch_reader *reader = aligned_alloc(_Alignof(struct epoch_reader), sizeof(*reader));
	struct domain_facts seen;

	(void)state;
	open_table(1);
	epoch_add(&epoch, reader);
	put("x.org", FACTS_MX, &first, 1, 0);
	epoch_enter(&epoch, reader);
	door_read(door_table_find(&table, SV("x.org")), 0, &seen);
	put("x.org", FACTS_MX, &second, 1, 0);
	for (int i = 0; i < 10; i++) { /* and evicted */
		char key[16];
		snprintf(key, sizeof(key), "y%d.org", i);
		put_mx(key, 0);
	}
	epoch_reclaim(&epoch);
	assert_false(has("x.org"));
	assert_string_equal(seen.domain, "x.org");
	assert_string_equal(seen.hosts[0].name, "first.lab.net");
	assert_true(addr_eq(&seen.hosts[0].addrs[0], &a));
	epoch_remove(&epoch, reader);
	free(reader);
	close_table();
}

/* Readers against one writer that changes and evicts all the time: what is read is of one moment.
 * For ThreadSanitizer and AddressSanitizer too. */

enum { READERS = 3, KEYS = 300, ROOM = 200, ROUNDS = 60000 };

static _Atomic bool stop;
static _Atomic unsigned long hits;

/* Version v of a door: every field tells v. */
static void write_version(struct door *d, uint32_t v)
{
	struct addr a = v4((uint8_t)(v >> 8), (uint8_t)v);
	char name[32];
	struct dns_host h = host(name, &a, 1);
	struct domain_facts f = { .kind = FACTS_MX,
				  .fetched_ms = v,
				  .expires_ms = 3 * (int64_t)v,
				  .confirmed_ms = v + 7,
				  .ttl = v,
				  .n_hosts = 1,
				  .hosts = &h };

	snprintf(name, sizeof(name), "mx%u.lab.net", v % 100);
	if (v % 3 == 0) {
		f.former_until_ms = 1000000 + v;
		f.n_former = 1;
		f.former = &h;
	}
	assert_int_equal(door_write(&table, d, &f), 0);
}

static void check_version(const struct domain_facts *f)
{
	uint32_t v = f->ttl;
	struct addr a = v4((uint8_t)(v >> 8), (uint8_t)v);
	char name[32];

	snprintf(name, sizeof(name), "mx%u.lab.net", v % 100);
	if (f->fetched_ms != v || f->expires_ms != 3 * (int64_t)v || f->confirmed_ms != v + 7 ||
	    f->n_hosts != 1 || strcmp(f->hosts[0].name, name) != 0 ||
	    !addr_eq(&f->hosts[0].addrs[0], &a) ||
	    f->former_until_ms != (v % 3 ? 0 : 1000000 + v) ||
	    (v % 3 == 0 && (f->n_former != 1 || strcmp(f->former[0].name, name) != 0)))
		abort();
}

static void *read_all(void *user)
{
	struct epoch_reader *reader = aligned_alloc(_Alignof(struct epoch_reader), sizeof(*reader));
	unsigned int n = 0;
	char key[16];

	(void)user;
	epoch_add(&epoch, reader);
	while (!stop) {
		for (int i = 0; i < 50; i++) {
			struct domain_facts f;
			snprintf(key, sizeof(key), "k%u", n++ * 7919 % KEYS);
			epoch_enter(&epoch, reader);
			struct door *d = door_table_find(&table, sv_from(key));
			if (!d || !door_read(d, 0, &f))
				continue;
			hits++;
			door_touch(d, n);
			if (strcmp(f.domain, key) != 0)
				abort();
			check_version(&f);
		}
		epoch_leave(reader);
	}
	epoch_remove(&epoch, reader);
	free(reader);
	return NULL;
}

static void test_stress(void **state)
{
	pthread_t readers[READERS];
	char key[16];

	(void)state;
	open_table(ROOM);
	for (int i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, read_all, NULL);
	for (uint32_t round = 1; round < ROUNDS || hits < 1000; round++) {
		snprintf(key, sizeof(key), "k%u", round * 31 % KEYS);
		write_version(door_table_add(&table, sv_from(key), false, round), round);
		if (round % 16 == 0)
			epoch_reclaim(&epoch);
	}
	stop = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_true(table.evicted > 0);
	close_table();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_equal_sets_are_one),
		cmocka_unit_test(test_limits_of_a_set),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_probation),
		cmocka_unit_test(test_kept_beyond_the_bound),
		cmocka_unit_test(test_grown_comes_back),
		cmocka_unit_test(test_crowded_line),
		cmocka_unit_test(test_reader_inside),
		cmocka_unit_test(test_stress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
