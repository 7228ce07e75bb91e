#include "cli/prefixes.h"

/* The address after the last of a prefix; false: there is none. */
static bool step_past(struct addr *a)
{
	for (int i = 15; i >= 0; i--)
		if (++a->b[i] != 0)
			return true;
	return false;
}

/* No bit is set in a past that length. */
static bool is_aligned(const struct addr *a, unsigned bits)
{
	for (unsigned i = bits; i < 128; i++)
		if (a->b[i / 8] & (0x80 >> i % 8))
			return false;
	return true;
}

bool prefixes_next(struct prefixes *p, struct prefix *ret_prefix)
{
	const struct addr_range *r;
	struct addr last;

	if (p->range >= p->set->n)
		return false;
	r = &p->set->ranges[p->range];
	if (!p->within)
		p->at = r->lo;
	*ret_prefix = (struct prefix) { p->at, 128 };
	last = p->at;
	while (ret_prefix->bits > 0) {
		struct prefix wider = { p->at, (uint8_t)(ret_prefix->bits - 1) };
		struct addr end = prefix_last(&wider);

		if (!is_aligned(&p->at, wider.bits) || addr_cmp(&end, &r->hi) > 0)
			break;
		*ret_prefix = wider;
		last = end;
	}
	p->at = last;
	p->within = addr_cmp(&last, &r->hi) < 0 && step_past(&p->at);
	p->range += !p->within;
	return true;
}

size_t prefixes_count(const struct prefix_set *set)
{
	struct prefixes p = { .set = set };
	struct prefix prefix;
	size_t n = 0;

	while (prefixes_next(&p, &prefix))
		n++;
	return n;
}

bool prefixes_find(const struct prefix_set *set, const struct addr *a, struct prefix *ret_prefix)
{
	struct prefixes p = { .set = set };
	struct prefix prefix;

	while (prefixes_next(&p, &prefix)) {
		if (!prefix_contains(&prefix, a))
			continue;
		*ret_prefix = prefix;
		return true;
	}
	return false;
}

const char *prefixes_format(const struct prefix *p, char *out)
{
	return p->bits == 128 ? addr_format(&p->addr, out) : prefix_format(p, out);
}
