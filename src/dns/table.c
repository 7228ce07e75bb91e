#include "dns/table.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

enum {
	/* Eviction looks at this many candidates and takes the one unused for longest: readers
	 * only note the time, so there is no exact order. */
	CANDIDATES = 16,
	/* A time noted is as good as a second older one: readers needn't write each time. */
	USED_GRAIN_MS = 1000,
	MAX_EVICTED = 8, /* for one that is added */
	MAX_BUCKETS = 1 << 24,
};

struct table_cell {
	void *value;
	void (*free_value)(void *value);
	struct epoch_node retired;
};

int table_init(struct table *t, struct epoch *epoch, size_t max, void (*free_value)(void *value),
	       void (*free_owner)(void *owner))
{
	size_t n_buckets = 64;

	while (n_buckets < max && n_buckets < MAX_BUCKETS)
		n_buckets *= 2;
	*t = (struct table) { .epoch = epoch, .n_buckets = n_buckets, .max = max };
	t->free_value = free_value;
	t->free_owner = free_owner;
	/* untouched pages cost nothing */
	t->buckets = calloc(n_buckets, sizeof(*t->buckets));
	return t->buckets ? 0 : -ENOMEM;
}

static void cell_free(struct table_cell *cell)
{
	if (!cell)
		return;
	cell->free_value(cell->value);
	free(cell);
}

static void cell_free_retired(struct epoch_node *node)
{
	cell_free(CONTAINER_OF(node, struct table_cell, retired));
}

static void entry_free(struct table_entry *e)
{
	cell_free(atomic_load_explicit(&e->cell, memory_order_relaxed));
	free(e);
}

static void entry_free_retired(struct epoch_node *node)
{
	entry_free(CONTAINER_OF(node, struct table_entry, retired));
}

static void owner_free(struct table_entry *e)
{
	if (e->table->free_owner && e->owner)
		e->table->free_owner(e->owner);
	e->owner = NULL;
}

void table_deinit(struct table *t)
{
	for (size_t i = 0; t->buckets && i < t->n_buckets; i++) {
		struct table_entry *e, *next;
		for (e = atomic_load(&t->buckets[i]); e; e = next) {
			next = atomic_load(&e->chain);
			owner_free(e);
			entry_free(e);
		}
	}
	free(t->buckets);
	t->buckets = NULL;
}

static _Atomic(struct table_entry *) *bucket(const struct table *t, uint64_t hash)
{
	return &t->buckets[hash & (t->n_buckets - 1)];
}

static struct table_entry *find(const struct table *t, struct sv key, uint64_t hash)
{
	struct table_entry *e = atomic_load_explicit(bucket(t, hash), memory_order_acquire);

	while (e && (e->hash != hash || !sv_eq((struct sv) { e->key, e->key_len }, key)))
		e = atomic_load_explicit(&e->chain, memory_order_acquire);
	return e;
}

const void *table_value(const struct table_entry *e)
{
	const struct table_cell *cell = atomic_load_explicit(&e->cell, memory_order_acquire);

	return cell ? cell->value : NULL;
}

const void *table_get(const struct table *t, struct sv key, struct table_entry **ret_entry)
{
	struct table_entry *e = find(t, key, map_hash(key));

	if (ret_entry)
		*ret_entry = e;
	return e ? table_value(e) : NULL;
}

void table_touch(struct table_entry *e, int64_t now_ms)
{
	int64_t used = atomic_load_explicit(&e->used_ms, memory_order_relaxed);

	if (now_ms - used >= USED_GRAIN_MS)
		atomic_store_explicit(&e->used_ms, now_ms, memory_order_relaxed);
}

static void order_remove(struct table *t, struct table_entry *e)
{
	*(e->prev ? &e->prev->next : &t->first) = e->next;
	*(e->next ? &e->next->prev : &t->last) = e->prev;
}

static void order_append(struct table *t, struct table_entry *e)
{
	e->prev = t->last;
	e->next = NULL;
	*(t->last ? &t->last->next : &t->first) = e;
	t->last = e;
}

static void evict(struct table *t, struct table_entry *e)
{
	_Atomic(struct table_entry *) *at = bucket(t, e->hash);
	struct table_entry *i;

	while ((i = atomic_load_explicit(at, memory_order_relaxed)) != e)
		at = &i->chain;
	/* e->chain stays, for readers that are at e */
	atomic_store_explicit(at, atomic_load_explicit(&e->chain, memory_order_relaxed),
			      memory_order_release);
	order_remove(t, e);
	owner_free(e);
	epoch_retire(t->epoch, &e->retired, entry_free_retired);
	t->n--;
	atomic_fetch_add_explicit(&t->evicted, 1, memory_order_relaxed);
}

/* Candidates that stay go to the end, so that the next eviction looks at others. */
static void make_room(struct table *t)
{
	struct table_entry *victim = NULL, *e = t->first, *next;
	int64_t oldest = INT64_MAX;

	for (int i = 0; e && i < CANDIDATES; i++, e = next) {
		int64_t used = atomic_load_explicit(&e->used_ms, memory_order_relaxed);
		next = e->next;
		if (used < oldest) {
			oldest = used;
			victim = e;
		}
		order_remove(t, e);
		order_append(t, e);
	}
	if (victim)
		evict(t, victim);
}

struct table_entry *table_add(struct table *t, struct sv key, int64_t now_ms)
{
	uint64_t hash = map_hash(key);
	struct table_entry *e = find(t, key, hash);
	_Atomic(struct table_entry *) *head = bucket(t, hash);

	if (e)
		return e;
	/* several: a table that had to grow over its bound for entries held comes back to it */
	for (int i = 0; i < MAX_EVICTED && t->n >= t->max; i++)
		make_room(t);
	e = calloc(1, sizeof(*e) + key.n + 1);
	if (!e)
		return NULL;
	e->table = t;
	e->hash = hash;
	e->key_len = (uint32_t)key.n;
	memcpy(e->key, key.p, key.n);
	atomic_init(&e->used_ms, now_ms);
	atomic_init(&e->chain, atomic_load_explicit(head, memory_order_relaxed));
	atomic_store_explicit(head, e, memory_order_release);
	order_append(t, e);
	t->n++;
	return e;
}

int table_set(struct table_entry *e, void *value)
{
	struct table_cell *cell = calloc(1, sizeof(*cell)), *old;

	if (!cell)
		return -ENOMEM;
	cell->value = value;
	cell->free_value = e->table->free_value;
	old = atomic_load_explicit(&e->cell, memory_order_relaxed);
	atomic_store_explicit(&e->cell, cell, memory_order_release);
	if (old)
		epoch_retire(e->table->epoch, &old->retired, cell_free_retired);
	return 0;
}

void table_hold(struct table_entry *e)
{
	if (e->holds++ == 0)
		order_remove(e->table, e);
}

void table_release(struct table_entry *e)
{
	INVARIANT(e->holds > 0);
	if (--e->holds == 0)
		order_append(e->table, e);
}
