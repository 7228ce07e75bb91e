#include "base/addr.h"

#include <endian.h>
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

/* As a number: comparing two is a few instructions, where memcmp() is a call. */
static inline unsigned __int128 number(const struct addr *a)
{
	uint64_t high, low;

	memcpy(&high, a->b, 8);
	memcpy(&low, a->b + 8, 8);
	return (unsigned __int128)be64toh(high) << 64 | be64toh(low);
}

/* The last range that begins at or before a; NULL: none. Without a branch that can be mispredicted:
 * the ranges of a set fit the caches, but clients come in no order. */
static const struct addr_range *range_before(const struct prefix_set *s, const struct addr *a)
{
	unsigned __int128 key = number(a);
	const struct addr_range *base = s->ranges;
	size_t n = s->n;

	INVARIANT(s->sealed || s->n == 0);
	if (n == 0)
		return NULL;
	while (n > 1) {
		size_t half = n / 2;
		base += number(&base[half].lo) <= key ? half : 0;
		n -= half;
	}
	return number(&base->lo) <= key ? base : NULL;
}

bool prefix_set_contains(const struct prefix_set *s, const struct addr *a)
{
	const struct addr_range *r = range_before(s, a);

	return r && number(a) <= number(&r->hi);
}

bool prefix_set_covers(const struct prefix_set *s, const struct addr_range *range)
{
	const struct addr_range *r = range_before(s, &range->lo);

	return r && number(&range->hi) <= number(&r->hi);
}

bool prefix_set_match(const struct prefix_set *s, const struct addr *a, struct prefix *ret_prefix)
{
	const struct addr_range *r = range_before(s, a);
	unsigned __int128 key = number(a), lo = key, hi = key;
	uint8_t bits = 128;

	if (!r || number(&r->hi) < key)
		return false;
	while (bits > 0) {
		unsigned __int128 bit = (unsigned __int128)1 << (128 - bits);
		if ((lo & ~bit) < number(&r->lo) || (hi | bit) > number(&r->hi))
			break;
		lo &= ~bit;
		hi |= bit;
		bits--;
	}
	*ret_prefix = (struct prefix) { *a, bits };
	for (unsigned int i = bits; i < 128; i++)
		ret_prefix->addr.b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	return true;
}
