/*
 * What frontdoor has seen, shared by all workers: which domains are hosted, which scanners were
 * heard of late, which are proven, and whether hosted domains meet at an address that may be our
 * own. Safe from any
 * thread; readers hardly ever wait. Time is given by the caller.
 */
#pragma once

#include "base/addr.h"
#include "dns/facts.h"
#include "policy/policy.h"

#define MEMORY_HEARD_MS   (7 * 24 * 3600 * 1000LL)
#define MEMORY_HOSTED_MAX 4000000

struct memory;

int memory_new(struct memory **ret_memory);
void memory_free(struct memory *m);

/* domain: lower-case A-labels. From a file, or learned. 0, 1: it was known, -ENOMEM, -ENOSPC. */
int memory_hosted_add(struct memory *m, struct sv domain);
bool memory_is_hosted(const struct memory *m, const char *domain);
/* Calls fn for each hosted domain until it returns < 0, which is returned; fn must not call
 * memory_. */
int memory_hosted_each(struct memory *m, int (*fn)(void *user, const char *domain), void *user);
size_t memory_hosted_count(const struct memory *m);

/* Mail was accepted from inside this scanner's egress, then: the latest time counts; name as in
 * struct decision. */
void memory_scanner_heard(struct memory *m, const char *scanner, int64_t now_ms);
/* The same of a time by the wall clock, which the monotonic clock did not see: from logs, or from
 * before the start. One in the future is now. */
void memory_scanner_heard_at(struct memory *m, const char *scanner, int64_t wall_ms,
			     int64_t now_wall_ms, int64_t now_mono_ms);
bool memory_scanner_is_heard(const struct memory *m, const char *scanner, int64_t now_ms);
/* As memory_hosted_each(). */
int memory_heard_each(struct memory *m, int (*fn)(void *user, const char *scanner, int64_t when_ms),
		      void *user);

/*
 * What policy/proof.h found out about a scanner (proof_apply() calls it): whether it is proven, and
 * the networks that are its rivals, sealed. Replaces what was known. 0 or -ENOMEM.
 */
int memory_scanner_set_proven(struct memory *m, const char *scanner, bool proven,
			      const struct prefix_set *rivals);
bool memory_scanner_is_proven(const struct memory *m, const char *scanner);
bool memory_scanner_is_rival(const struct memory *m, const char *scanner,
			     const struct addr *client);

/*
 * The NAT safeguard: a hosted domain's door was seen (once for each domain). self: some of its
 * addresses is a server address; else where it leads to: the first address of its best MX, unless a
 * configured or proven scanner's. When MEMORY_MEET_MIN hosted domains or more meet at one such
 * address, and these are more than those that are self, that address may be ours: true with the
 * address.
 */
#define MEMORY_MEET_MIN 20
void memory_door_seen(struct memory *m, const char *domain, bool self, const struct addr *leads_to);
bool memory_identity_doubt(const struct memory *m, struct addr *ret_addr);
