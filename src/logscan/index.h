/*
 * A hash index over an array that its owner keeps: key → position. Open addressing, 8 octets a
 * slot, for tables of millions of small rows. Nothing is removed but everything at once.
 */
#pragma once

#include "base/base.h"

#define INDEX_NONE UINT32_MAX

struct index {
	struct index_slot {
		uint32_t hash, at; /* at: position + 1; 0: free */
	} * slots;
	size_t size; /* a power of two, or 0 */
	size_t n;
};

void index_deinit(struct index *x);
/* Empties it; memory is kept. */
void index_clear(struct index *x);

typedef bool (*index_same_fn)(const void *user, uint32_t position, const void *key);
/* The position for which same(user, position, key) holds, or INDEX_NONE. Here, so that same()
 * becomes a part of it: this is where a long log's time goes. */
static inline uint32_t index_find(const struct index *x, uint64_t hash, index_same_fn same,
				  const void *user, const void *key)
{
	size_t mask = x->size - 1;

	if (x->n == 0)
		return INDEX_NONE;
	for (size_t i = (uint32_t)hash & mask; x->slots[i].at; i = (i + 1) & mask)
		if (x->slots[i].hash == (uint32_t)hash && same(user, x->slots[i].at - 1, key))
			return x->slots[i].at - 1;
	return INDEX_NONE;
}
static inline bool index_any(const void *user, uint32_t position, const void *key)
{
	return true;
}
/* For a look-up that comes some time later, so that the caller can let come from memory: the slot
 * where it begins, and the position that is found there, most likely. */
static inline const void *index_slot(const struct index *x, uint64_t hash)
{
	return x->n ? &x->slots[(uint32_t)hash & (x->size - 1)] : x->slots;
}
static inline uint32_t index_guess(const struct index *x, uint64_t hash)
{
	return index_find(x, hash, index_any, NULL, NULL);
}
/* Of a key that is not there. 0 or -ENOMEM. */
int index_add(struct index *x, uint64_t hash, uint32_t position);
