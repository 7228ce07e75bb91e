/*
 * The resolver as the daemon runs it: made from the configuration, begun from the snapshot, which
 * it keeps up to date, and with its troubles told to the operator. Sources of the configuration are
 * kept ready, and those of the catalogue's rows that hosted domains lead to.
 */
#pragma once

#include "conf/conf.h"
#include "dns/resolver.h"
#include "event/event.h"

struct resolving;

/* conf, memory (whose hosted domains are kept from the start on) and events (may be NULL) must
 * outlive it. 0, -errno. */
int resolving_new(const struct conf *conf, const struct memory *memory, struct event_sink *events,
		  struct resolving **ret_resolving);
/* After all ports. NULL is fine. */
void resolving_free(struct resolving *r);
struct resolver *resolving_resolver(struct resolving *r);
