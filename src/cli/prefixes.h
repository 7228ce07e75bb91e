/* The prefixes that a sealed set is made of, in order: of each range the fewest that cover it. */
#pragma once

#include "base/addr.h"

struct prefixes { /* zero, but for set, at first */
	const struct prefix_set *set;
	size_t range;
	bool within;    /* the range has been begun */
	struct addr at; /* where its next prefix begins */
};

/* false: no more */
bool prefixes_next(struct prefixes *p, struct prefix *ret_prefix);
size_t prefixes_count(const struct prefix_set *set);
/* Which of them contains the address; false: none. */
bool prefixes_find(const struct prefix_set *set, const struct addr *a, struct prefix *ret_prefix);
/* For people: an address alone as such; into out[ADDR_STRLEN + 4]. */
const char *prefixes_format(const struct prefix *p, char *out);
