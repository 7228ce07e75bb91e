#include "policy/name_table.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

enum { HEAD = sizeof(void *) + sizeof(uint16_t), FIRST_SLOTS = 16, FIRST_ALLOC = 1024 };

void name_table_deinit(struct name_table *t)
{
	free(t->slots);
	free(t->names);
	*t = (struct name_table) { 0 };
}

static void *value_at(const char *entry)
{
	void *value;

	memcpy(&value, entry, sizeof(value));
	return value;
}

static struct sv name_at(const char *entry)
{
	uint16_t n;

	memcpy(&n, entry + sizeof(void *), sizeof(n));
	return (struct sv) { entry + HEAD, n };
}

/* The slot of the name, or the first that is free for it; there is always one. */
static uint32_t *slot_of(const struct name_table *t, struct sv name, uint64_t hash)
{
	for (size_t i = hash;; i++) {
		uint32_t *slot = &t->slots[i & (t->n_slots - 1)];

		if (*slot == 0 ||
		    (*slot != UINT32_MAX && sv_eq(name_at(t->names + *slot - 1), name)))
			return slot;
	}
}

static char *entry_of(const struct name_table *t, struct sv name, uint64_t hash)
{
	uint32_t slot = t->n ? *slot_of(t, name, hash) : 0;

	return slot ? t->names + slot - 1 : NULL;
}

void *name_table_get(const struct name_table *t, struct sv name, uint64_t hash)
{
	const char *entry = entry_of(t, name, hash);

	return entry ? value_at(entry) : NULL;
}

/* Those that are gone leave no trace. */
static void squeeze(struct name_table *t)
{
	size_t to = 0;

	for (size_t at = 0; at < t->used;) {
		size_t size = HEAD + name_at(t->names + at).n;

		if (value_at(t->names + at)) {
			memmove(t->names + to, t->names + at, size);
			to += size;
		}
		at += size;
	}
	t->used = to;
	t->gone = 0;
}

/* Slots for twice the names there are, with room for one more. */
static int rebuild(struct name_table *t)
{
	size_t n_slots = FIRST_SLOTS, at = 0;
	uint32_t *slots;
	struct sv name;

	while (n_slots < 2 * (t->n + 1))
		n_slots *= 2;
	slots = calloc(n_slots, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(t->slots);
	t->slots = slots;
	t->n_slots = n_slots;
	t->n_taken = t->n;
	squeeze(t);
	while (name_table_next(t, &at, &name))
		*slot_of(t, name, map_hash(name)) = (uint32_t)(name.p - HEAD - t->names) + 1;
	return 0;
}

/* Room for one more name of n octets. By a quarter: what isn't used yet is not resident either. */
static int make_room(struct name_table *t, size_t n)
{
	size_t need = t->used + HEAD + n, alloc = t->alloc + t->alloc / 4;
	char *names;

	if (n > UINT16_MAX || need >= UINT32_MAX)
		return -ENOSPC;
	if (4 * (t->n_taken + 1) > 3 * t->n_slots && rebuild(t) < 0)
		return -ENOMEM;
	if (t->used + HEAD + n <= t->alloc)
		return 0;
	if (alloc < need)
		alloc = need + FIRST_ALLOC;
	names = realloc(t->names, alloc);
	if (!names)
		return -ENOMEM;
	t->names = names;
	t->alloc = alloc;
	return 0;
}

int name_table_put(struct name_table *t, struct sv name, uint64_t hash, void *value)
{
	uint16_t n = (uint16_t)name.n;
	char *entry = entry_of(t, name, hash);
	int r;

	INVARIANT(value);
	if (entry) {
		memcpy(entry, &value, sizeof(value));
		return 1;
	}
	r = make_room(t, name.n);
	if (r < 0)
		return r;
	INVARIANT(t->names);
	entry = t->names + t->used;
	memcpy(entry, &value, sizeof(value));
	memcpy(entry + sizeof(value), &n, sizeof(n));
	memcpy(entry + HEAD, name.p, name.n);
	*slot_of(t, name, hash) = (uint32_t)t->used + 1;
	t->used += HEAD + name.n;
	t->n_taken++;
	t->n++;
	return 0;
}

void *name_table_remove(struct name_table *t, struct sv name, uint64_t hash)
{
	uint32_t *slot = t->n ? slot_of(t, name, hash) : NULL;
	void *value, *none = NULL;
	char *entry;

	if (!slot || *slot == 0)
		return NULL;
	entry = t->names + *slot - 1;
	value = value_at(entry);
	memcpy(entry, &none, sizeof(none));
	*slot = UINT32_MAX;
	t->n--;
	t->gone += HEAD + name.n;
	/* without memory it goes on as it is */
	if (t->gone > FIRST_ALLOC && t->gone > t->used / 2)
		(void)rebuild(t);
	return value;
}

bool name_table_next(const struct name_table *t, size_t *at, struct sv *ret_name)
{
	while (*at < t->used) {
		const char *entry = t->names + *at;
		struct sv name = name_at(entry);

		*at += HEAD + name.n;
		if (value_at(entry)) {
			*ret_name = name;
			return true;
		}
	}
	return false;
}
