/*
 * A hash map from byte strings to pointers, for one thread (or under its owner's lock). Keys are
 * copied; hashed by XXH3 with a seed of this process, so that peers can't choose collisions.
 */
#pragma once

#include "base/base.h"

struct map_entry {
	struct map_entry *next;
	void *value;
	uint64_t hash;
	uint32_t key_len;
	char key[];
};

struct map {
	struct map_entry **buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t n;
};

uint64_t map_hash(struct sv key);
void map_init(struct map *m);
/* free_value may be NULL. */
void map_deinit(struct map *m, void (*free_value)(void *value));
void *map_get(const struct map *m, struct sv key);
/* 0: added; 1: the key was there, ret_old (may be NULL) gets its former value; -ENOMEM. */
int map_put(struct map *m, struct sv key, void *value, void **ret_old);
/* Its value, or NULL when the key was not there. */
void *map_remove(struct map *m, struct sv key);
/* Every entry once, in no order: start with NULL. The map must not change meanwhile. */
struct map_entry *map_next(const struct map *m, const struct map_entry *e);
