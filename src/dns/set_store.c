#include "dns/set_store.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

enum { BUCKETS = 4096 };

int set_store_init(struct set_store *s)
{
	*s = (struct set_store) { .buckets = calloc(BUCKETS, sizeof(struct shared_set *)) };
	return s->buckets ? 0 : -ENOMEM;
}

void set_store_deinit(struct set_store *s)
{
	INVARIANT(s->n == 0);
	free(s->buckets);
	s->buckets = NULL;
}

static size_t bytes(const struct prefix_set *set)
{
	return set->n * sizeof(*set->ranges);
}

static bool is_same(const struct shared_set *shared, uint64_t hash, const struct prefix_set *set)
{
	return shared->hash == hash && shared->set.n == set->n &&
	       (set->n == 0 || memcmp(shared->set.ranges, set->ranges, bytes(set)) == 0);
}

static struct shared_set *shared_new(const struct prefix_set *set, uint64_t hash)
{
	struct shared_set *shared = malloc(sizeof(*shared) + bytes(set));

	if (!shared)
		return NULL;
	*shared = (struct shared_set) { .hash = hash };
	shared->set =
		(struct prefix_set) { .ranges = (void *)(shared + 1), .n = set->n, .sealed = true };
	if (set->n)
		memcpy(shared->set.ranges, set->ranges, bytes(set));
	return shared;
}

struct shared_set *set_store_get(struct set_store *s, const struct prefix_set *set)
{
	uint64_t hash = map_hash((struct sv) { (const char *)set->ranges, bytes(set) });
	struct shared_set **bucket = &s->buckets[hash % BUCKETS], *shared = *bucket;

	INVARIANT(set->sealed || set->n == 0);
	while (shared && !is_same(shared, hash, set))
		shared = shared->next;
	if (!shared) {
		if (set->n > SET_STORE_MAX_RANGES - s->n_ranges)
			return NULL;
		shared = shared_new(set, hash);
		if (!shared)
			return NULL;
		shared->next = *bucket;
		*bucket = shared;
		s->n++;
		s->n_ranges += set->n;
	}
	shared->refs++;
	return shared;
}

void set_store_put(struct set_store *s, struct shared_set *shared)
{
	struct shared_set **at = &s->buckets[shared->hash % BUCKETS];

	if (--shared->refs)
		return;
	while (*at != shared)
		at = &(*at)->next;
	*at = shared->next;
	s->n--;
	s->n_ranges -= shared->set.n;
	free(shared);
}
