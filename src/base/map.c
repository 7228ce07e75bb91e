#include "base/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static atomic_bool seeded; /* spares the call of pthread_once() */

static void seed_init(void)
{
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
	atomic_store_explicit(&seeded, true, memory_order_release);
}

uint64_t map_hash(struct sv key)
{
	if (!atomic_load_explicit(&seeded, memory_order_acquire))
		pthread_once(&seed_once, seed_init);
	return XXH3_64bits_withSeed(key.p, key.n, seed);
}

void map_init(struct map *m)
{
	*m = (struct map) { 0 };
}

void map_deinit(struct map *m, void (*free_value)(void *value))
{
	for (size_t i = 0; i < m->n_buckets; i++)
		for (struct map_entry *e = m->buckets[i], *next; e; e = next) {
			next = e->next;
			if (free_value)
				free_value(e->value);
			free(e);
		}
	free(m->buckets);
	map_init(m);
}

static struct map_entry **map_slot(const struct map *m, struct sv key, uint64_t hash)
{
	struct map_entry **at = &m->buckets[hash & (m->n_buckets - 1)];

	while (*at &&
	       ((*at)->hash != hash || !sv_eq((struct sv) { (*at)->key, (*at)->key_len }, key)))
		at = &(*at)->next;
	return at;
}

void *map_get(const struct map *m, struct sv key)
{
	if (m->n == 0)
		return NULL;
	struct map_entry *e = *map_slot(m, key, map_hash(key));
	return e ? e->value : NULL;
}

static int map_grow(struct map *m)
{
	size_t n = m->n_buckets ? m->n_buckets * 2 : 16;
	struct map_entry **buckets = calloc(n, sizeof(struct map_entry *));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_buckets; i++)
		for (struct map_entry *e = m->buckets[i], *next; e; e = next) {
			next = e->next;
			e->next = buckets[e->hash & (n - 1)];
			buckets[e->hash & (n - 1)] = e;
		}
	free(m->buckets);
	m->buckets = buckets;
	m->n_buckets = n;
	return 0;
}

int map_put(struct map *m, struct sv key, void *value, void **ret_old)
{
	uint64_t hash = map_hash(key);
	int r;

	if (m->n >= m->n_buckets) {
		r = map_grow(m);
		if (r < 0)
			return r;
	}
	struct map_entry **at = map_slot(m, key, hash);
	if (*at) {
		if (ret_old)
			*ret_old = (*at)->value;
		(*at)->value = value;
		return 1;
	}
	struct map_entry *e = malloc(sizeof(*e) + key.n);
	if (!e)
		return -ENOMEM;
	*e = (struct map_entry) { .value = value, .hash = hash, .key_len = (uint32_t)key.n };
	if (key.n)
		memcpy(e->key, key.p, key.n);
	*at = e;
	m->n++;
	return 0;
}

void *map_remove(struct map *m, struct sv key)
{
	if (m->n == 0)
		return NULL;
	struct map_entry **at = map_slot(m, key, map_hash(key));
	struct map_entry *e = *at;
	if (!e)
		return NULL;
	void *value = e->value;
	*at = e->next;
	free(e);
	m->n--;
	return value;
}

struct map_entry *map_next(const struct map *m, const struct map_entry *e)
{
	size_t i = 0;

	if (e) {
		if (e->next)
			return e->next;
		i = (e->hash & (m->n_buckets - 1)) + 1;
	}
	for (; i < m->n_buckets; i++)
		if (m->buckets[i])
			return m->buckets[i];
	return NULL;
}
