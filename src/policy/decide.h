/*
 * The verdict on one recipient domain: facts in, decision out (doc/events.md, doc/scanners.md).
 * Pure: no sockets, clock or globals. What DNS has to be asked for is a positive outcome; the
 * caller asks and calls again with it.
 */
#pragma once

#include "base/addr.h"
#include "dns/facts.h"
#include "policy/memory.h"
#include "policy/policy.h"
#include "policy/verdict.h"

enum decide_outcome {
	DECIDE_DONE = 0,
	DECIDE_NEEDS_DOMAIN,  /* facts->dns */
	DECIDE_NEEDS_CLIENT,  /* facts->names: nothing else matched this client */
	DECIDE_NEEDS_SOURCE,  /* facts->source(), for ret_decision->wanted_source */
	DECIDE_NEEDS_CONFIRM, /* a 5xx is near: ask the authoritative servers, give facts->dns anew
				 and set confirm_tried */
};

/* Does the host of a better MX take mail on port 25? */
enum primary_state { PRIMARY_UNKNOWN, PRIMARY_ANSWERS, PRIMARY_DOWN };

enum rcpt_shape { RCPT_DOMAIN, RCPT_POSTMASTER, RCPT_NO_DOMAIN /* literal or domainless */ };

struct decide_facts {
	const struct policy *policy;
	const struct memory *memory;
	enum action listener_action; /* ACTION_UNSET: none of its own */
	bool observe_only;           /* the backend's STARTTLS passes by us */
	bool authenticated;
	bool require_auth;   /* the listener is for users who log in, and for trusted clients */
	bool server_is_ours; /* the listener knows its server address by configuration or the
				kernel's table */
	struct addr client;
	struct addr server; /* the original destination */
	const struct prefix_set
		*interfaces; /* global addresses of this host; NULL in gateway mode */
	enum rcpt_shape shape;
	const char *domain;               /* lower-case A-labels; NULL unless RCPT_DOMAIN */
	const struct domain_facts *dns;   /* NULL: not asked yet */
	const struct client_names *names; /* NULL: not asked yet */
	bool enforce_stopped;             /* all that would be enforced is only observed */
	bool confirm_tried;
	int64_t now_ms; /* clock_mono_ms() */

	/* What is known of a source now, by its key; NULL: it was not asked for yet. Valid until
	 * decide() returns. Without this function no source is ever needed. */
	const struct egress_source *(*source)(void *user, const char *key);
	/* policy.strict_backup; a first call may begin a check. Without it: PRIMARY_UNKNOWN. */
	enum primary_state (*primary)(void *user, const struct addr *address);
	void *user; /* of both */
};

#define DECISION_NAME_MAX 256

struct decision {
	bool door_known; /* false: nobody had to look at the door; door, grade say nothing */
	enum door_kind door;
	enum grade grade;
	enum finding finding;
	enum action wanted; /* what would be done without restraint: ACTION_PASS unless finding says
			       otherwise */
	enum action action; /* what is to be done */
	enum restraint restraint; /* the last that lowered it */
	enum reason reason;
	int code; /* of the refusal: 450, 451, 530, 550, 556; 0 when it passes */
	bool hosted;
	bool own_front_door; /* passed as the door's own scanner, self or address: mail accepted so
				teaches that the domain is hosted */
	char scanner[DECISION_NAME_MAX]; /* "" unless the door is a scanner's */
	char mx[DECISION_NAME_MAX];      /* best MX host that is not us; "" without */
	struct addr meets;               /* RESTRAINT_IDENTITY: where */
	/* Deferred though a grade of listed is all that is known: one that comes again is to be
	 * told to memory_retry(). */
	bool retry_counts;
	char wanted_source[SOURCE_KEY_MAX]; /* DECIDE_NEEDS_SOURCE */
};

/* 0 or enum decide_outcome. ret_decision is set with DECIDE_DONE only, but for wanted_source. */
int decide(const struct decide_facts *facts, struct decision *ret_decision);

/* Is address one that the world reaches the backend by? */
bool server_address_is(const struct decide_facts *facts, const struct addr *address);

/* The kind of door, by the table. ret_best (may be NULL): index of the best host that is not us, or
 * -1. */
enum door_kind door_classify(const struct decide_facts *facts, int *ret_best);

/* What memory_door_seen() is told of a decision, if it concerns it. */
void decide_remember_door(const struct decide_facts *facts, const struct decision *decision,
			  struct memory *memory);

/* How it is known whose an MX host is; the first of these that says anything. */
enum owner_from {
	OWNER_CONFIGURED, /* scanners:, by the host's name or its CNAME target */
	OWNER_MX,         /* the catalogue, by the host's name */
	OWNER_CNAME,      /* the catalogue, by where its CNAME leads */
	OWNER_PTR,        /* the catalogue, by the name of its address */
	OWNER_DEFAULT,    /* nobody knows it: named after its parent domain */
};

/* Whose an MX host is. Views into the policy and the facts it was made of. */
struct door_owner {
	enum owner_from from;
	struct sv name;                  /* as in struct decision */
	const struct scanner *scanner;   /* OWNER_CONFIGURED; else NULL */
	const struct catalogue_row *row; /* OWNER_MX, _CNAME, _PTR; else NULL */
	/* The egress is bound to that tenant (or region, tenant->shared): door_owner_source() gives
	 * its SPF in place of the row's; tenant->ptr, if there is one, is asked in place of
	 * row->ptr; row->cidrs count all the same. NULL: it is not bound, as always with OWNER_PTR.
	 */
	const struct tenant *tenant;
	const struct dns_host *host;
	const char *told_by; /* the name of the host that was found */
};

/* facts->dns is there, host < its n_hosts. Of a former host: door_owner_of_host(). */
void door_owner_of(const struct decide_facts *facts, int host, struct door_owner *ret_owner);
void door_owner_of_host(const struct policy *policy, const struct dns_host *host,
			struct door_owner *ret_owner);
/* Does neither configuration nor catalogue say anything about the host's name and where it leads,
 * so that the name of its address is worth a look-up (dns_host.ptr)? */
bool policy_wants_ptr(const struct policy *policy, const struct dns_host *host);
/* The keys of the owner's sources that are the same for all clients, from i = 0 on, into key;
 * false: no more. A tenant's "exists:" is none of them: door_owner_exists(). */
bool door_owner_source(const struct door_owner *owner, size_t i, char key[SOURCE_KEY_MAX]);
/* The same for the sources that the tenant's own SPF stands in the place of: they count when DNS
 * says for certain that it has none. */
bool door_owner_replaced_source(const struct door_owner *owner, size_t i, char key[SOURCE_KEY_MAX]);
/* The source that says whether this client delivers for the owner's tenant; false: it has none. */
bool door_owner_exists(const struct door_owner *owner, const struct addr *client,
		       char key[SOURCE_KEY_MAX]);

/* The scanners that the hosts of a door belong to, each once: false when there are no more. *host
 * is -1 at first, then the first host of that scanner; facts->dns is there. */
bool door_next_scanner(const struct decide_facts *facts, int *host, char name[DECISION_NAME_MAX]);

/* The stricter of two decisions about one recipient (source-routed addresses). */
const struct decision *decision_stricter(const struct decision *a, const struct decision *b);

/* The reply for a refusal with its CRLF, cut to RFC 5321's 512 octets; into
 * out[512]. Returns its length. server: the address in "delivery to ADDRESS". */
size_t decision_reply(const struct decision *d, const struct policy *policy, const char *domain,
		      const struct addr *server, const char *id, char *out);
