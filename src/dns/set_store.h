/*
 * Sealed prefix sets, each kept once however many use it: a thousand domains whose SPF records lead
 * to the same provider have one set. One thread; readers of a set need to know only that it stays.
 */
#pragma once

#include "base/addr.h"

#define SET_STORE_MAX_RANGES 4000000 /* of all sets: 128 MB */

struct shared_set {
	struct prefix_set set;
	/* private */
	struct shared_set *next;
	uint64_t hash;
	size_t refs;
};

struct set_store {
	struct shared_set **buckets;
	size_t n; /* sets */
	size_t n_ranges;
};

int set_store_init(struct set_store *s);    /* 0, -ENOMEM */
void set_store_deinit(struct set_store *s); /* every set was put back */
/* One more user of the set with these prefixes; NULL: memory ran out, or there are too many. */
struct shared_set *set_store_get(struct set_store *s, const struct prefix_set *set);
void set_store_put(struct set_store *s, struct shared_set *shared);
