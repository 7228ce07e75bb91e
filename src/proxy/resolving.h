/*
 * The resolver as the daemon runs it: made from the configuration, begun from the snapshot, which
 * it keeps up to date, and with its troubles told to the operator. Sources of the configuration are
 * kept ready, and those of the catalogue's rows that hosted domains lead to.
 */
#pragma once

#include "dns/resolver.h"
#include "event/event.h"
#include "proxy/setup.h"

struct resolving;

/* memory (whose hosted domains are kept from the start on) and events (may be NULL) must outlive
 * it. Takes a reference of setup. 0, -errno. */
int resolving_new(struct setup *setup, const struct memory *memory, struct event_sink *events,
		  struct resolving **ret_resolving);
/* By this configuration from now on, but for the servers, timeout, stale_max and state. Sources
 * that are new in it are kept ready, those that were in was alone are not any more. 0; -ENOMEM: not
 * all of them. */
int resolving_change(struct resolving *r, const struct policy *was, struct setup *setup);
/* After all ports. NULL is fine. */
void resolving_free(struct resolving *r);
struct resolver *resolving_resolver(struct resolving *r);
