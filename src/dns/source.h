/*
 * Looks up one egress source: what the addresses behind its key are now (facts.h, struct
 * egress_source). Nothing is kept here: that is the resolver's.
 */
#pragma once

#include "dns/channel.h"
#include "dns/lookup.h"

/* Is this a key: one of the three kinds, with a name that can be asked for? */
bool source_key_is_valid(const char *key);

struct source_lookup;

/* result is a struct egress_source of the callee's (facts_free()), of any status, NULL when memory
 * ran out. Not inside source_lookup(); the look-up is gone when the callback returns. NULL: memory
 * ran out. */
struct source_lookup *source_lookup(struct channel *c, const char *key, lookup_done_fn done,
				    void *user);
/* Only when its channel is freed before. NULL is fine. */
void source_lookup_abort(struct source_lookup *l);
