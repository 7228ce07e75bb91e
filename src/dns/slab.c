#include "dns/slab.h"

#include <errno.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#else /* it looks for pointers in what malloc() gave only */
#define __lsan_register_root_region(p, size)   (void)(p)
#define __lsan_unregister_root_region(p, size) (void)(p)
#endif

enum { BLOCK_SIZE = 1 << 21 }; /* a huge page */

/* At a multiple of its size, so that its things find it. They follow from their size on. */
struct slab_block {
	struct slab_block *next;
	struct slab *slab;
};

struct slab_item {
	struct slab_item *next;
};

void *alloc_pages(size_t size)
{
	size_t whole = size + BLOCK_SIZE, before;
	char *p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *aligned;

	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (BLOCK_SIZE - 1);
	aligned = p + before;
	(void)madvise(aligned, size, MADV_HUGEPAGE);
	munmap(aligned + size, BLOCK_SIZE - before);
	if (before)
		munmap(p, before);
	__lsan_register_root_region(aligned, size);
	return aligned;
}

void free_pages(void *p, size_t size)
{
	__lsan_unregister_root_region(p, size);
	munmap(p, size);
}

int slab_arena_init(struct slab_arena *a, size_t size)
{
	char *p = mmap(NULL, size + BLOCK_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before = -(uintptr_t)p & (BLOCK_SIZE - 1);

	INVARIANT(size % BLOCK_SIZE == 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	*a = (struct slab_arena) { .base = p + before, .size = size };
	munmap(a->base + size, BLOCK_SIZE - before);
	if (before)
		munmap(p, before);
	return 0;
}

void slab_arena_deinit(struct slab_arena *a)
{
	if (a->base)
		munmap(a->base, a->size);
	*a = (struct slab_arena) { 0 };
}

static void *arena_take(struct slab_arena *a)
{
	char *block = a->base + a->used;

	if (a->used == a->size || mprotect(block, BLOCK_SIZE, PROT_READ | PROT_WRITE) < 0)
		return NULL;
	(void)madvise(block, BLOCK_SIZE, MADV_HUGEPAGE);
	__lsan_register_root_region(block, BLOCK_SIZE);
	a->used += BLOCK_SIZE;
	return block;
}

void slab_init(struct slab *s, size_t size, struct slab_arena *arena)
{
	INVARIANT(size >= sizeof(struct slab_block) && size <= 1 << 16);
	*s = (struct slab) { .size = size, .arena = arena };
}

void *slab_take(struct slab *s)
{
	struct slab_item *item = s->unused;
	struct slab_block *b;

	if (item) {
		s->unused = item->next;
		return item;
	}
	if (s->n_left == 0) {
		b = s->arena ? arena_take(s->arena) : alloc_pages(BLOCK_SIZE);
		if (!b)
			return NULL;
		*b = (struct slab_block) { .next = s->blocks, .slab = s };
		s->blocks = b;
		s->n_left = BLOCK_SIZE / s->size - 1;
	}
	return (char *)s->blocks + s->size * s->n_left--;
}

void slab_give(void *item)
{
	uintptr_t block = (uintptr_t)item & ~(uintptr_t)(BLOCK_SIZE - 1);
	struct slab *s = ((struct slab_block *)block)->slab;
	struct slab_item *i = item;

	i->next = s->unused;
	s->unused = i;
}

void slab_deinit(struct slab *s)
{
	struct slab_block *b;

	while ((b = s->blocks)) {
		s->blocks = b->next;
		if (s->arena) /* goes as a whole: others may not map anything there until then */
			__lsan_unregister_root_region(b, BLOCK_SIZE);
		else
			free_pages(b, BLOCK_SIZE);
	}
	*s = (struct slab) { .size = s->size, .arena = s->arena };
}
