/*
 * Names with a pointer each, in little more memory than the names take: they stand one behind the
 * other, and are found by 32 bits each. For one thread, or under its owner's lock.
 */
#pragma once

#include "base/base.h"

struct name_table {
	uint32_t *slots; /* where the name is, plus one; 0: free, UINT32_MAX: of one that is gone */
	size_t n_slots;  /* a power of two, or 0 */
	size_t n_taken;  /* slots that are not free */
	size_t n;
	char *names; /* value, length, octets; a value of NULL: gone */
	size_t used, alloc, gone /* octets */;
};

/* All zero is an empty one. */
void name_table_deinit(struct name_table *t);
/* NULL: it is not there. hash: map_hash(name), as below. */
void *name_table_get(const struct name_table *t, struct sv name, uint64_t hash);
/* value: not NULL. 0: added; 1: the name was there, and has another value; -ENOMEM; -ENOSPC: too
 * long, or no more than 4 GB of names fit. */
int name_table_put(struct name_table *t, struct sv name, uint64_t hash, void *value);
/* Its value, or NULL when the name was not there. */
void *name_table_remove(struct name_table *t, struct sv name, uint64_t hash);
/* Every name once: *at is 0 at first. It must not change meanwhile. */
bool name_table_next(const struct name_table *t, size_t *at, struct sv *ret_name);
