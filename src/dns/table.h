/*
 * A bounded hash table from short keys to immutable values: one thread writes, any thread reads
 * without blocking (epoch.h). The least recently used entries make room, but for those the writer
 * holds.
 */
#pragma once

#include "dns/epoch.h"

struct table_cell; /* a value, and how to get rid of it */

/* Fields are the writer's, but for the atomics and those of the key. */
struct table_entry {
	_Atomic(struct table_entry *) chain;
	_Atomic(struct table_cell *) cell;
	_Atomic int64_t used_ms;
	struct table_entry *prev, *next; /* order of eviction */
	struct epoch_node retired;
	struct table *table;
	void *owner;        /* the writer's own data, freed by free_owner with the entry */
	unsigned int holds; /* not evicted while > 0 */
	uint64_t hash;
	uint32_t key_len;
	char key[]; /* with a NUL after it */
};

struct table {
	struct epoch *epoch;
	_Atomic(struct table_entry *) *buckets;
	size_t n_buckets; /* a power of two; they never move, so readers need not care */
	_Atomic size_t n;
	size_t max;
	void (*free_value)(void *value);
	void (*free_owner)(void *owner); /* called in the writer's thread; NULL is fine */
	struct table_entry *first, *last;
	_Atomic uint64_t evicted;
};

/* 0, -ENOMEM. */
int table_init(struct table *t, struct epoch *epoch, size_t max, void (*free_value)(void *value),
	       void (*free_owner)(void *owner));
/* Entries are freed at once: no reader is left. */
void table_deinit(struct table *t);

/*
 * Any thread, inside the epoch: the value, or NULL. Valid until the reader leaves the epoch.
 * ret_entry (may be NULL) gets the entry or NULL, for table_touch().
 */
const void *table_get(const struct table *t, struct sv key, struct table_entry **ret_entry);
/* Any thread, inside the epoch: the entry was of use now. */
void table_touch(struct table_entry *e, int64_t now_ms);

/* The rest is for the writer's thread, which needs no epoch. */

/* The entry of key, made without value when there is none; NULL when memory ran out. */
struct table_entry *table_add(struct table *t, struct sv key, int64_t now_ms);
const void *table_value(const struct table_entry *e);
/* The table takes value over, and retires the former one. 0; -ENOMEM: nothing has changed, value is
 * the caller's. */
int table_set(struct table_entry *e, void *value);
void table_hold(struct table_entry *e);
void table_release(struct table_entry *e);
