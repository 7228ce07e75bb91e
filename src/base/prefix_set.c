#include "base/addr.h"

#include <errno.h>
#include <stdlib.h>

void prefix_set_init(struct prefix_set *s)
{
	*s = (struct prefix_set) { .sealed = true };
}

void prefix_set_deinit(struct prefix_set *s)
{
	free(s->ranges);
	prefix_set_init(s);
}

int prefix_set_add_range(struct prefix_set *s, const struct addr_range *r)
{
	if (s->n == s->alloc) {
		size_t alloc = s->alloc ? s->alloc * 2 : 4;
		struct addr_range *ranges = reallocarray(s->ranges, alloc, sizeof(*ranges));
		if (!ranges)
			return -ENOMEM;
		s->ranges = ranges;
		s->alloc = alloc;
	}
	s->ranges[s->n++] = *r;
	s->sealed = false;
	return 0;
}

int prefix_set_add(struct prefix_set *s, const struct prefix *p)
{
	struct addr_range r = { p->addr, prefix_last(p) };

	return prefix_set_add_range(s, &r);
}

int prefix_set_add_addr(struct prefix_set *s, const struct addr *a)
{
	return prefix_set_add(s, &(struct prefix) { *a, 128 });
}

static int range_cmp(const void *a, const void *b)
{
	return addr_cmp(&((const struct addr_range *)a)->lo, &((const struct addr_range *)b)->lo);
}

void prefix_set_seal(struct prefix_set *s)
{
	size_t out = 0;

	if (s->n > 1)
		qsort(s->ranges, s->n, sizeof(*s->ranges), range_cmp);
	for (size_t i = 0; i < s->n; i++) {
		if (out > 0 && addr_cmp(&s->ranges[i].lo, &s->ranges[out - 1].hi) <= 0) {
			if (addr_cmp(&s->ranges[i].hi, &s->ranges[out - 1].hi) > 0)
				s->ranges[out - 1].hi = s->ranges[i].hi;
			continue;
		}
		s->ranges[out++] = s->ranges[i];
	}
	s->n = out;
	s->sealed = true;
}

bool prefix_set_contains(const struct prefix_set *s, const struct addr *a)
{
	size_t lo = 0, hi = s->n;

	INVARIANT(s->sealed || s->n == 0);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (addr_cmp(a, &s->ranges[mid].lo) < 0)
			hi = mid;
		else if (addr_cmp(a, &s->ranges[mid].hi) > 0)
			lo = mid + 1;
		else
			return true;
	}
	return false;
}
