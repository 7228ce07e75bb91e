#include "logscan/index.h"

#include <errno.h>
#include <stdlib.h>

void index_deinit(struct index *x)
{
	free(x->slots);
	*x = (struct index) { 0 };
}

void index_clear(struct index *x)
{
	if (x->slots)
		memset(x->slots, 0, x->size * sizeof(*x->slots));
	x->n = 0;
}

static void put(struct index_slot *slots, size_t size, struct index_slot slot)
{
	size_t i = slot.hash & (size - 1);

	while (slots[i].at)
		i = (i + 1) & (size - 1);
	slots[i] = slot;
}

static int grow(struct index *x)
{
	size_t size = x->size ? 2 * x->size : 64;
	struct index_slot *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < x->size; i++)
		if (x->slots[i].at)
			put(slots, size, x->slots[i]);
	free(x->slots);
	x->slots = slots;
	x->size = size;
	return 0;
}

int index_add(struct index *x, uint64_t hash, uint32_t position)
{
	int r = 3 * (x->n + 1) > 2 * x->size ? grow(x) : 0;

	if (r < 0)
		return r;
	put(x->slots, x->size, (struct index_slot) { (uint32_t)hash, position + 1 });
	x->n++;
	return 0;
}
