#include "dns/door_lines.h"

#include "dns/door_table.h"

#include <errno.h>

enum {
	MAX_LINES = 1 << 21,
	DOORS_A_LINE = 11, /* of a full table, on average: two in a hundred find no slot */
	PLACE_BITS = 24,
};

/* Addresses for all places, if there are so many. */
static const size_t arena_size = sizeof(void *) > 4 ? (size_t)DOOR_PLACE << PLACE_BITS
						    : (size_t)DOOR_PLACE << 20;

/* Whole pages. */
static size_t lines_size(const struct door_lines *l)
{
	size_t size = l->n * sizeof(*l->lines);

	return (size + 4095) & ~(size_t)4095;
}

int door_lines_init(struct door_lines *l, size_t max)
{
	*l = (struct door_lines) { .n = min_size(max / DOORS_A_LINE + 1, MAX_LINES) };
	if (slab_arena_init(&l->places, arena_size) < 0)
		return -ENOMEM;
	l->lines = alloc_pages(lines_size(l));
	if (l->lines)
		return 0;
	slab_arena_deinit(&l->places);
	return -ENOMEM;
}

void door_lines_deinit(struct door_lines *l)
{
	slab_arena_deinit(&l->places);
	free_pages(l->lines, lines_size(l));
	l->lines = NULL;
}

static uint32_t place_of(const struct door_lines *l, const struct door *d)
{
	return (uint32_t)(((const char *)d - l->places.base) / DOOR_PLACE);
}

/* NULL: none. Places from 1 on are doors'. */
static struct door *door_at(const struct door_lines *l, uint32_t slot)
{
	size_t place = slot & ((UINT32_C(1) << PLACE_BITS) - 1);

	return place ? (struct door *)(void *)(l->places.base + place * DOOR_PLACE) : NULL;
}

static struct door_line *line_of(const struct door_lines *l, uint64_t hash)
{
	return &l->lines[(hash & UINT32_MAX) * l->n >> 32];
}

static uint8_t tag_of(uint64_t hash)
{
	return (uint8_t)(hash >> 56);
}

/* Where in its line a door would be best: there it is looked for first. */
static unsigned int first_slot(uint64_t hash)
{
	return (unsigned int)((hash >> 32 & 0xffff) * DOOR_LINE_SLOTS >> 16);
}

static unsigned int next_slot(unsigned int i)
{
	return i + 1 == DOOR_LINE_SLOTS ? 0 : i + 1;
}

static bool door_is(const struct door *d, struct sv key)
{
	return d->key_len == key.n && memcmp(d->key, key.p, key.n) == 0;
}

/* With its name, or most of it. */
static void fetch_door(const struct door *d)
{
	__builtin_prefetch(d);
	__builtin_prefetch((const char *)d + 64);
}

struct door *door_lines_find(const struct door_lines *l, struct sv key, uint64_t hash)
{
	const struct door_line *line = line_of(l, hash);
	unsigned int i = first_slot(hash);
	uint32_t slot;
	struct door *d;

	for (int n = 0; n < DOOR_LINE_SLOTS; n++, i = next_slot(i)) {
		slot = atomic_load_explicit(&line->slots[i], memory_order_acquire);
		if (slot >> PLACE_BITS != tag_of(hash) || !slot)
			continue;
		d = door_at(l, slot);
		fetch_door(d);
		if (door_is(d, key))
			return d;
	}
	d = door_at(l, atomic_load_explicit(&line->chain, memory_order_acquire));
	while (d && (d->tag != tag_of(hash) || !door_is(d, key)))
		d = atomic_load_explicit(&d->chain, memory_order_acquire);
	return d;
}

void door_lines_add(struct door_lines *l, struct door *d, uint64_t hash)
{
	struct door_line *line = line_of(l, hash);
	uint32_t place = place_of(l, d);
	unsigned int i = first_slot(hash);

	d->tag = tag_of(hash);
	for (int n = 0; n < DOOR_LINE_SLOTS; n++, i = next_slot(i)) {
		if (atomic_load_explicit(&line->slots[i], memory_order_relaxed))
			continue;
		atomic_store_explicit(&line->slots[i], (uint32_t)tag_of(hash) << PLACE_BITS | place,
				      memory_order_release);
		return;
	}
	atomic_init(&d->chain,
		    door_at(l, atomic_load_explicit(&line->chain, memory_order_relaxed)));
	atomic_store_explicit(&line->chain, place, memory_order_release);
}

static struct door *after(const struct door *d)
{
	return atomic_load_explicit(&d->chain, memory_order_relaxed);
}

/* d->chain stays, for readers that are at d. */
void door_lines_remove(struct door_lines *l, struct door *d, uint64_t hash)
{
	struct door_line *line = line_of(l, hash);
	struct door *before;

	for (int k = 0; k < DOOR_LINE_SLOTS; k++)
		if (door_at(l, atomic_load_explicit(&line->slots[k], memory_order_relaxed)) == d) {
			atomic_store_explicit(&line->slots[k], 0, memory_order_release);
			return;
		}
	before = door_at(l, atomic_load_explicit(&line->chain, memory_order_relaxed));
	if (before == d) {
		atomic_store_explicit(&line->chain, after(d) ? place_of(l, after(d)) : 0,
				      memory_order_release);
		return;
	}
	while (after(before) != d)
		before = after(before);
	atomic_store_explicit(&before->chain, after(d), memory_order_release);
}

void door_lines_fetch(const struct door_lines *l, uint64_t hash)
{
	__builtin_prefetch(line_of(l, hash));
}

void door_lines_fetch_door(const struct door_lines *l, uint64_t hash)
{
	const struct door_line *line = line_of(l, hash);
	unsigned int i = first_slot(hash);

	for (int n = 0; n < DOOR_LINE_SLOTS; n++, i = next_slot(i)) {
		uint32_t slot = atomic_load_explicit(&line->slots[i], memory_order_relaxed);

		if (slot && slot >> PLACE_BITS == tag_of(hash)) {
			fetch_door(door_at(l, slot));
			return;
		}
	}
}

static void line_each(const struct door_lines *l, struct door_line *line,
		      void (*fn)(void *user, struct door *d), void *user)
{
	struct door *d, *next;

	for (int i = 0; i < DOOR_LINE_SLOTS; i++)
		if ((d = door_at(l, atomic_load(&line->slots[i]))))
			fn(user, d);
	for (d = door_at(l, atomic_load(&line->chain)); d; d = next) {
		next = after(d);
		fn(user, d);
	}
}

void door_lines_each(struct door_lines *l, void (*fn)(void *user, struct door *d), void *user)
{
	for (size_t i = 0; i < l->n; i++)
		line_each(l, &l->lines[i], fn, user);
}
