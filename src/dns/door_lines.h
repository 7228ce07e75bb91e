/*
 * Where the doors of a table are, by the hashes of their names (map_hash()). One thread writes, any
 * thread reads.
 */
#pragma once

#include "dns/slab.h"

#include <stdatomic.h>

struct door;

/* Doors begin at multiples of it within the arena. */
#define DOOR_PLACE 128

enum { DOOR_LINE_SLOTS = 15 };

/*
 * The doors of one range of hashes, in one cache line. A slot tells by 8 bits of the hash nearly
 * always whether its door is the one, so that what is looked at is that door alone; the other 24
 * say where it is. Lines are few, so that caches hold as many of them as can be. Those doors that
 * find no slot, two in a hundred, are in the chain.
 */
struct door_line {
	_Alignas(64) _Atomic uint32_t slots[DOOR_LINE_SLOTS]; /* tag << 24 | place; 0: free */
	_Atomic uint32_t chain;                               /* place of the first; 0: none */
};

struct door_lines {
	struct slab_arena places; /* what doors are taken from */
	struct door_line *lines;
	size_t n; /* they never move, so readers need not care */
};

/* max: doors of a full table. 0, -ENOMEM. */
int door_lines_init(struct door_lines *l, size_t max);
/* The slabs of places are deinitialized. */
void door_lines_deinit(struct door_lines *l);

/* Any thread, inside the epoch. */
struct door *door_lines_find(const struct door_lines *l, struct sv key, uint64_t hash);
/* Hints, in two steps: the second follows what the first fetches into the cache. */
void door_lines_fetch(const struct door_lines *l, uint64_t hash);
void door_lines_fetch_door(const struct door_lines *l, uint64_t hash);

/* The writer's thread. */
void door_lines_add(struct door_lines *l, struct door *d, uint64_t hash);
void door_lines_remove(struct door_lines *l, struct door *d, uint64_t hash);
/* Each door once; fn may free it. */
void door_lines_each(struct door_lines *l, void (*fn)(void *user, struct door *d), void *user);
