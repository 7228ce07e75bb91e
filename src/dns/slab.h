/*
 * Memory for many things of one size, in huge pages where there are some: they are looked for in no
 * order, and with pages of 4 KiB each costs a walk through the page tables as well. A heap takes
 * more, and puts them across cache lines. It grows to the most there ever were. For one thread.
 */
#pragma once

#include "base/base.h"

/* Addresses for the blocks of some slabs, so that 32 bits tell their things apart. */
struct slab_arena {
	char *base;
	size_t size, used;
};

/* Takes addresses, no memory; size: a multiple of 2 MiB. 0, -ENOMEM. */
int slab_arena_init(struct slab_arena *a, size_t size);
/* Its slabs are deinitialized. */
void slab_arena_deinit(struct slab_arena *a);

struct slab {
	size_t size;
	struct slab_arena *arena; /* NULL: blocks may be anywhere */
	struct slab_item *unused;
	struct slab_block *blocks;
	size_t n_left; /* in the first block, never used */
};

/* size: of each thing; at most 64 KiB. They stand at multiples of it from a block's start on, none
 * at that itself. arena may be NULL. */
void slab_init(struct slab *s, size_t size, struct slab_arena *arena);
/* All that was taken from it is gone. */
void slab_deinit(struct slab *s);
void *slab_take(struct slab *s); /* NULL: memory, or the arena, ran out */
/* Back to the slab that it was taken from. */
void slab_give(void *item);

/* Zero, in huge pages where there are some; size: whole pages of 4096. NULL: memory ran out. */
void *alloc_pages(size_t size);
void free_pages(void *p, size_t size);
