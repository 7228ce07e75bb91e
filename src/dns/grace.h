/*
 * What a domain's former answers go on to count for when a fresh one differs: others' caches may
 * have them as long as their TTL lasts, and honest mail comes by them meanwhile.
 *
 * Another MX set (names, preferences) or another kind: what was before is told as former. The time
 * runs from the moment the change is seen, not from our last look: somebody may have asked just
 * before the change. A second change within that time adds to what is former, with preferences
 * that tell nothing (0): senders may have any of the answers, so all of them count.
 *
 * The same hosts with other addresses: a host has those of the answer before beside its own, as
 * long. That lets everybody in who can come by a cache, and a scanner whose addresses rotate all
 * the time doesn't look like a domain that is always moving.
 *
 * A first answer has no former one, nor has one of nothing or of a null MX: nobody sends by those.
 */
#pragma once

#include "dns/door_table.h"

/* Memory for what is made of two answers; much too large for a stack. */
struct grace {
	struct dns_host hosts[HOST_SET_MAX_HOSTS];
	struct dns_host former[HOST_SET_MAX_HOSTS];
	struct addr addrs[2 * HOST_SET_MAX_HOSTS][HOST_SET_MAX_ADDRS];
	size_t n_addrs; /* of addrs, taken */
};

/* Hosts of *facts whose addresses could not be had keep their last good ones, and make the whole
 * answer a stale one. Whether there were any. What facts points to then belongs to g, until its
 * next use. */
bool grace_fill(struct grace *g, const struct domain_facts *last, struct domain_facts *facts);

/* last was known of d when *facts came. Without memory facts stay as they are. */
void grace_apply(struct grace *g, struct door_table *t, struct door *d,
		 const struct domain_facts *last, int64_t now_ms, struct domain_facts *facts);

/* Do both name the same hosts in the same order, at the same preferences? */
bool grace_same_hosts(const struct domain_facts *a, const struct domain_facts *b);
/* The same addresses, in any order: servers rotate them. */
bool grace_same_addrs(const struct dns_host *a, const struct dns_host *b);
