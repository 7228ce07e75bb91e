/*
 * Addresses of MX hosts that were asked for a moment ago: thousands of domains share the few hosts
 * of their scanner, and the questions for those would be most of all. Used for half of an answer's
 * life, so that what rests on it lives for the other half at least. Failures and half answers are
 * never kept. Bounded; one thread.
 */
#pragma once

#include "dns/pair.h"
#include "dns/table.h"

struct host_cache {
	struct table table;
};

int host_cache_init(struct host_cache *c, struct epoch *epoch); /* 0, -ENOMEM */
void host_cache_deinit(struct host_cache *c);

/* Sets the results of p, as pair_ask() of name would, lifetime being what is left; false: it has to
 * be asked. */
bool host_cache_get(struct host_cache *c, const char *name, int64_t now_ms, struct pair *p);
/* p was answered now. */
void host_cache_put(struct host_cache *c, const struct pair *p, int64_t now_ms);
