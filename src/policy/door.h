/*
 * A door as decide() sees it: the kind by the table in doc/events.md, whose it is, and which
 * clients it lets in. Of this room only. Pure.
 */
#pragma once

#include "policy/decide.h"

/* Hosts of one door that are looked at (a look-up takes as many); with more it is incomplete. */
#define DOOR_HOSTS_MAX 32

struct door {
	enum door_kind kind;
	enum grade grade;
	int best;        /* index of the best host that is not us; -1: none */
	bool incomplete; /* addresses that could let a client in are not known, or there are none */
	bool implicit;   /* no MX: the domain's own addresses */
	unsigned n_hosts;
	const struct dns_host *hosts;
	uint32_t owned;    /* bit i: hosts[i] is not us, and owners[i] is set */
	uint32_t distinct; /* bit i: the first host of that owner */
	const struct door_owner *owners;
	struct door_owner room[DOOR_HOSTS_MAX]; /* for owners, unless they are remembered */
};

/* facts->dns is there. Not all of *ret_door is written. */
void door_look(const struct decide_facts *facts, struct door *ret_door);
/* The door that the domain had before, as senders' caches may still have it; false: none. */
bool door_look_former(const struct decide_facts *facts, struct door *ret_door);

/* For each owner of a door, once; i is the index of its first host. */
#define DOOR_EACH_OWNER(door, i)                                                                   \
	for (unsigned(i) = 0; (i) < (door)->n_hosts; (i)++)                                        \
		if ((door)->distinct & (UINT32_C(1) << (i)))

/* Its name, terminated. Views of owners reach to the ends of their strings. */
static inline const char *door_owner_name(const struct door_owner *owner)
{
	return owner->name.p;
}

/* A catalogue row that names no egress is no more than a name for the default. */
static inline bool door_owner_is_bare(const struct door_owner *o)
{
	return o->row && !o->tenant && o->row->n_sources == 0 && o->row->cidrs.n == 0 &&
	       o->row->n_ptr == 0;
}

/* Does the client's network carry much of the mail of one of its scanners that aren't configured,
 * and has the operator not settled that it is none of them? */
bool door_client_is_rival(const struct decide_facts *facts, const struct door *door);
/* Is a name of the client's (facts->names) in the domain of such a scanner? */
bool door_client_is_related(const struct decide_facts *facts, const struct door *door);
/* The same of one whose egress is bound to a tenant: it is the provider's, if not the tenant's. */
bool door_client_is_of_provider(const struct decide_facts *facts, const struct door *door);
/* Has the operator settled that the client's network is none of a scanner of the door's? */
bool door_client_is_denied(const struct decide_facts *facts, const struct door *door);
/* Is one of its scanners known by anything else than the operator's word? */
bool door_is_guess(const struct door *door);
/* Does one of its scanners deliver much less than usual? */
bool door_is_quiet(const struct decide_facts *facts, const struct door *door);
/* Does a host of a better MX than ours answer? Of a backup door. */
bool door_primary_answers(const struct decide_facts *facts, const struct door *door);

/* ---- admit.c: who is let in ---- */

struct admission {
	enum reason reason;
	const struct door_owner *owner; /* NULL: the door has none */
};

/* What egress sources had to say. */
struct source_search {
	char *wanted; /* [SOURCE_KEY_MAX]: the first that nobody has asked for yet; "": none */
	bool failed;  /* one that might have let the client in is not known, or not wholly */
	bool stale;   /* one was last known a while ago, or is the one that is shipped */
	bool partial; /* one has terms that could not be turned into addresses */
};

/* Is the client in that source? Not of facts without source(). */
bool source_admits(const struct decide_facts *facts, const char *key, struct source_search *search);

/* By its address alone: REASON_INGRESS, REASON_EGRESS, REASON_SHARED_EGRESS or REASON_ADDRESS. */
bool door_admits_address(const struct decide_facts *facts, const struct door *door,
			 struct admission *ret_admission);
/* By the sources that are the same for all clients. */
bool door_admits_sources(const struct decide_facts *facts, const struct door *door,
			 struct source_search *search, struct admission *ret_admission);
/* By those that are asked about this client: the tenants'. */
bool door_admits_tenant(const struct decide_facts *facts, const struct door *door,
			struct source_search *search, struct admission *ret_admission);
/* Can a name of the client's let it in? Then facts->names is needed before it is refused. */
bool door_wants_names(const struct door *door);
/* Does one of facts->names? */
bool door_admits_name(const struct decide_facts *facts, const struct door *door,
		      struct admission *ret_admission);
