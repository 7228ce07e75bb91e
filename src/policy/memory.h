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

/* Another one whenever anything has changed that is known of a scanner, but for when it was heard
 * of; no two memories ever have the same. What was looked up may be remembered with it, if it was
 * asked for before. */
uint64_t memory_version(const struct memory *m);

int memory_new(struct memory **ret_memory);
void memory_free(struct memory *m);

/* domain: lower-case A-labels. From a file, or learned. 0, 1: it was known, -ENOMEM, -ENOSPC. */
int memory_hosted_add(struct memory *m, struct sv domain);
/* No more so, until it is added again. Whether it was. */
bool memory_hosted_remove(struct memory *m, const char *domain);
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

enum scanner_standing {
	SCANNER_UNPROVEN,
	SCANNER_PROVEN,
	SCANNER_GROWN, /* it delivers from elsewhere, too: what the catalogue says is not enough */
};
/*
 * What policy/proof.h found out about a scanner (proof_apply() calls it): whether it is proven, and
 * the networks that are its rivals, sealed. Replaces what was known. 0 or -ENOMEM.
 */
int memory_scanner_set_proven(struct memory *m, const char *scanner, enum scanner_standing proof,
			      const struct prefix_set *rivals);
bool memory_scanner_is_proven(const struct memory *m, const char *scanner);
bool memory_scanner_has_grown(const struct memory *m, const char *scanner);
bool memory_scanner_is_rival(const struct memory *m, const char *scanner,
			     const struct addr *client);

/*
 * What the operator settled (frontdoor scanners --accept|--deny): clients in accepted deliver for
 * this scanner, networks in denied are no rivals of it whatever they send. Sealed; replaces what
 * was known. 0 or -ENOMEM.
 */
int memory_scanner_set_settled(struct memory *m, const char *scanner,
			       const struct prefix_set *accepted, const struct prefix_set *denied);
bool memory_scanner_accepts(const struct memory *m, const char *scanner, const struct addr *client);
bool memory_scanner_denies(const struct memory *m, const char *scanner, const struct addr *client);
/* Does anything stand there at all? Cheap. */
bool memory_has_settled(const struct memory *m);

/* Much less mail than usual comes from inside its egress (RESTRAINT_QUIET). */
void memory_scanner_set_quiet(struct memory *m, const char *scanner, bool quiet);
bool memory_scanner_is_quiet(const struct memory *m, const char *scanner);

/*
 * A client with a forward-confirmed name was deferred for this domain, for no better reason than
 * that its scanner's egress is not proven (decision.retry_counts). One network (/24, /48) counts as
 * one; what counts is coming again: MEMORY_RETRIES times, no two of them within
 * MEMORY_RETRY_APART_MS, over MEMORY_RETRY_MS at least. It passes then for MEMORY_RETRY_LIFE_MS
 * since it came last, which is when memory_retry_passes() last said so. Bounded: when
 * MEMORY_RETRY_MAX pairs are there, those that came but once make room, or of others
 * what is over the half; those first that came last longest ago.
 */
#define MEMORY_RETRIES        4
#define MEMORY_RETRY_MS       (6 * 3600 * 1000LL)
#define MEMORY_RETRY_APART_MS (60 * 1000LL)
#define MEMORY_RETRY_LIFE_MS  (7 * 24 * 3600 * 1000LL)
#define MEMORY_RETRY_MAX      100000
/* Whether it passes from now on, for the first time: then it is to be reported. */
bool memory_retry(struct memory *m, const char *domain, const struct addr *client, int64_t now_ms);
bool memory_retry_passes(const struct memory *m, const char *domain, const struct addr *client,
			 int64_t now_ms);

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
