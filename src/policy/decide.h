/*
 * The verdict on one recipient domain: facts in, decision out (DESIGN.md, "Which door a domain
 * has", "How sure", "The verdict"). Pure: no sockets, clock or globals. What DNS has to be asked
 * for is a positive outcome; the caller asks and calls again with it.
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
	DECIDE_NEEDS_CONFIRM, /* a 5xx is near: ask the authoritative servers, give facts->dns anew
				 and set confirm_tried */
};

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
	bool confirm_tried;
	int64_t now_ms; /* clock_mono_ms() */
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
};

/* 0 or enum decide_outcome. ret_decision is set with DECIDE_DONE only. */
int decide(const struct decide_facts *facts, struct decision *ret_decision);

/* Is address one that the world reaches the backend by? */
bool server_address_is(const struct decide_facts *facts, const struct addr *address);

/* The kind of door, by the table. ret_best (may be NULL): index of the best host that is not us, or
 * -1. */
enum door_kind door_classify(const struct decide_facts *facts, int *ret_best);

/* The scanners that the hosts of a door belong to, each once: false when there are no more. *host
 * is -1 at first, then the first host of that scanner; facts->dns is there. */
bool door_next_scanner(const struct decide_facts *facts, int *host, char name[DECISION_NAME_MAX]);

/* The stricter of two decisions about one recipient (source-routed addresses). */
const struct decision *decision_stricter(const struct decision *a, const struct decision *b);

/* The reply for a refusal with its CRLF, as DESIGN.md words it, cut to RFC 5321's 512 octets; into
 * out[512]. Returns its length. server: the address in "delivery to ADDRESS". */
size_t decision_reply(const struct decision *d, const struct policy *policy, const char *domain,
		      const struct addr *server, const char *id, char *out);
