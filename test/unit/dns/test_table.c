#include "dns/table.h"

#include "cm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static int n_freed;

static void count_free(void *value)
{
	n_freed++;
	free(value);
}

static int *new_int(int v)
{
	int *p = malloc(sizeof(*p));

	*p = v;
	return p;
}

static void put(struct table *t, const char *key, int v, int64_t now)
{
	assert_int_equal(table_set(table_add(t, sv_from(key), now), new_int(v)), 0);
}

static int get(struct table *t, const char *key)
{
	const int *v = table_get(t, sv_from(key), NULL);

	return v ? *v : -1;
}

static void test_set_and_get(void **state)
{
	struct epoch epoch;
	struct table t;

	(void)state;
	n_freed = 0;
	epoch_init(&epoch);
	assert_int_equal(table_init(&t, &epoch, 100, count_free, NULL), 0);
	assert_int_equal(get(&t, "a"), -1);
	put(&t, "a", 1, 0);
	put(&t, "ab", 2, 0);
	put(&t, "a", 3, 0);
	assert_int_equal(get(&t, "a"), 3);
	assert_int_equal(get(&t, "ab"), 2);
	assert_int_equal(get(&t, "b"), -1);
	assert_int_equal(t.n, 2);
	/* an entry without a value */
	assert_string_equal(table_add(&t, SV("c"), 0)->key, "c");
	assert_int_equal(get(&t, "c"), -1);
	epoch_reclaim(&epoch);
	assert_int_equal(n_freed, 1);
	table_deinit(&t);
	epoch_deinit(&epoch);
	assert_int_equal(n_freed, 3);
}

static void test_least_recently_used_goes(void **state)
{
	struct table_entry *e;
	struct epoch epoch;
	struct table t;
	char key[16];

	(void)state;
	epoch_init(&epoch);
	table_init(&t, &epoch, 10, count_free, NULL);
	for (int i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "%d", i);
		put(&t, key, i, 1000 + i);
	}
	/* 0 is used, 1 is held: 2 is the oldest */
	table_get(&t, SV("0"), &e);
	table_touch(e, 5000);
	table_get(&t, SV("1"), &e);
	table_hold(e);
	put(&t, "new", 10, 6000);
	assert_int_equal(t.n, 10);
	assert_int_equal(get(&t, "2"), -1);
	for (int i = 3; i < 10; i++) {
		snprintf(key, sizeof(key), "more%d", i);
		put(&t, key, i, 6000);
	}
	assert_int_equal(get(&t, "9"), -1);
	assert_int_equal(get(&t, "0"), 0);
	assert_int_equal(get(&t, "1"), 1);
	table_release(e);
	put(&t, "last", 1, 6000);
	assert_int_equal(get(&t, "1"), -1);
	assert_int_equal(t.evicted, 9);
	table_deinit(&t);
	epoch_deinit(&epoch);
}

/* Nothing that a reader may still look at is freed. */
static void test_reader_inside(void **state)
{
	struct epoch_reader early, late;
	struct epoch epoch;
	struct table t;
	const int *seen;

	(void)state;
	n_freed = 0;
	epoch_init(&epoch);
	epoch_add(&epoch, &early);
	epoch_add(&epoch, &late);
	table_init(&t, &epoch, 1, count_free, NULL);
	put(&t, "a", 1, 0);
	epoch_enter(&epoch, &early);
	seen = table_get(&t, SV("a"), NULL);
	put(&t, "a", 2, 0); /* replaced */
	put(&t, "b", 3, 0); /* evicted */
	epoch_enter(&epoch, &late);
	epoch_reclaim(&epoch);
	assert_int_equal(n_freed, 0);
	assert_int_equal(*seen, 1);
	/* who came later doesn't see them */
	epoch_leave(&early);
	epoch_reclaim(&epoch);
	assert_int_equal(n_freed, 2);
	put(&t, "b", 4, 0);
	epoch_reclaim(&epoch);
	assert_int_equal(n_freed, 2);
	epoch_remove(&epoch, &late);
	epoch_reclaim(&epoch);
	assert_int_equal(n_freed, 3);
	epoch_remove(&epoch, &early);
	table_deinit(&t);
	epoch_deinit(&epoch);
}

/* Several readers against one writer that replaces and evicts all the time: a value read is whole,
 * and belongs to its key. For ThreadSanitizer and AddressSanitizer too. */

enum { READERS = 4, KEYS = 300, ROOM = 200, ROUNDS = 40000 };

struct stress {
	struct epoch epoch;
	struct table table;
	_Atomic bool stop;
	_Atomic unsigned long hits;
};

struct value {
	int key;
	int copies[16]; /* all key * 1000 + round % 1000 */
};

static void free_value(void *value)
{
	memset(value, 0xee, sizeof(struct value));
	free(value);
}

static void *read_all(void *user)
{
	struct stress *s = user;
	struct epoch_reader *reader = aligned_alloc(_Alignof(struct epoch_reader), sizeof(*reader));
	unsigned int n = 0;
	char key[16];

	epoch_add(&s->epoch, reader);
	while (!s->stop) {
		for (int i = 0; i < 50; i++) {
			struct table_entry *e;
			int k = (int)(n++ * 7919 % KEYS);
			snprintf(key, sizeof(key), "k%d", k);
			epoch_enter(&s->epoch, reader);
			const struct value *v = table_get(&s->table, sv_from(key), &e);
			if (!v)
				continue;
			s->hits++;
			table_touch(e, n);
			if (v->key != k)
				abort();
			for (size_t c = 1; c < ARRAY_SIZE(v->copies); c++)
				if (v->copies[c] != v->copies[0])
					abort();
		}
		epoch_leave(reader);
	}
	epoch_remove(&s->epoch, reader);
	free(reader);
	return NULL;
}

static void test_stress(void **state)
{
	static struct stress s;
	pthread_t readers[READERS];
	char key[16];

	(void)state;
	epoch_init(&s.epoch);
	table_init(&s.table, &s.epoch, ROOM, free_value, NULL);
	for (int i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, read_all, &s);
	for (int round = 0; round < ROUNDS || s.hits < 1000; round++) {
		struct value *v = malloc(sizeof(*v));
		v->key = (int)((unsigned int)round * 31 % KEYS);
		for (size_t c = 0; c < ARRAY_SIZE(v->copies); c++)
			v->copies[c] = v->key * 1000 + round % 1000;
		snprintf(key, sizeof(key), "k%d", v->key);
		assert_int_equal(table_set(table_add(&s.table, sv_from(key), round), v), 0);
		if (round % 16 == 0)
			epoch_reclaim(&s.epoch);
	}
	s.stop = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_true(s.table.evicted > 0);
	table_deinit(&s.table);
	epoch_deinit(&s.epoch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_get),
		cmocka_unit_test(test_least_recently_used_goes),
		cmocka_unit_test(test_reader_inside),
		cmocka_unit_test(test_stress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
