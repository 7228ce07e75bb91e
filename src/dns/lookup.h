/*
 * Look-ups of several questions each: all that DNS says about one domain, one client, or the
 * guessable names of a domain. They end when every question of theirs is answered. Nothing is kept
 * here: that is the resolver's.
 */
#pragma once

#include "dns/channel.h"

#define LOOKUP_MAX_HOSTS 32 /* of an MX set */
#define LOOKUP_MAX_PTR   10 /* names of a client */
#define LOOKUP_MAX_NAMED 4  /* hosts of an MX set whose own names are asked for */

struct lookup;

/* result is the callee's (facts_free()), NULL when memory ran out. Not inside lookup_...(). The
 * look-up is gone when the callback returns. */
typedef void (*lookup_done_fn)(void *user, void *result);

struct host_cache;

/* What a domain's look-up goes by beside DNS. */
struct lookup_aid {
	bool (*wants_ptr)(void *user, const struct dns_host *host); /* NULL: of none */
	void *user;
	struct host_cache *hosts; /* of MX hosts; NULL: all are asked for */
};

/*
 * → struct domain_facts. The domain's own records are asked for on own, the addresses of its MX
 * hosts on hosts. authoritative: own asks the domain's servers, so its answers must have AA set,
 * and CNAMEs that lead out of what those servers know are a failure; aa is about hosts only then.
 * confirmed_ms is -1. Of LOOKUP_MAX_NAMED hosts at most that aid (may be NULL) wants the first
 * address is asked for its name; who can't be told has facts_ptr_failed, as all have when
 * authoritative.
 */
struct lookup *lookup_domain(struct channel *own, struct channel *hosts, bool authoritative,
			     const char *domain, const struct lookup_aid *aid, lookup_done_fn done,
			     void *user);
/* → struct client_names. */
struct lookup *lookup_client(struct channel *c, const struct addr *client, lookup_done_fn done,
			     void *user);
/* What each guessable name has in front of the domain. */
extern const char *const lookup_name_labels[DOOR_NAME_COUNT];
/* → struct door_names. */
struct lookup *lookup_names(struct channel *c, const char *domain, lookup_done_fn done, void *user);

/* The name that the PTR of an address is asked at (RFC 1035 3.5, RFC 3596 2.5); into
 * out[WIRE_NAME_SIZE].
 */
void lookup_reverse_name(const struct addr *a, char *out);

/* Only when its channels are freed before. NULL is fine. */
void lookup_abort(struct lookup *l);

/* A domain about which nothing is known. */
struct domain_facts *lookup_failed(const char *domain);
