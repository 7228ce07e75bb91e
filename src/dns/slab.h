/*
 * Memory for many things of one size, in huge pages where there are some: they are looked for in no
 * order, and with pages of 4 KiB each costs a walk through the page tables as well. A heap takes
 * more, and puts them across cache lines. It grows to the most there ever were. For one thread.
 */
#pragma once

#include "base/base.h"

struct slab {
	size_t size;
	struct slab_item *unused;
	struct slab_block *blocks;
	size_t n_left; /* in the first block, never used */
};

/* size: of each thing; at most 64 KiB. They stand at multiples of it from a page's start on. */
void slab_init(struct slab *s, size_t size);
/* All that was taken from it is gone. */
void slab_deinit(struct slab *s);
void *slab_take(struct slab *s); /* NULL: memory ran out */
/* Back to the slab that it was taken from. */
void slab_give(void *item);

/* Zero, in huge pages where there are some; size: whole pages of 4096. NULL: memory ran out. */
void *alloc_pages(size_t size);
void free_pages(void *p, size_t size);
