/* The vocabulary of verdicts: their names in events (doc/events.md) and configuration. */
#pragma once

#include "base/base.h"
#include "dns/facts.h"

enum door_kind {
	DOOR_SCANNER,
	DOOR_SELF,
	DOOR_BACKUP,
	DOOR_ELSEWHERE,
	DOOR_NULL,
	DOOR_UNKNOWN,
	DOOR_DNS, /* DNS trouble and no good answer left */
	DOOR_KIND_COUNT,
};

enum grade { GRADE_NONE, GRADE_CONFIGURED, GRADE_PROVEN, GRADE_LISTED, GRADE_GUESSED, GRADE_COUNT };

enum finding { FINDING_PASS, FINDING_DIRECT, FINDING_NULL, FINDING_DNS, FINDING_COUNT };

/* By severity, so that the stricter of two is the greater. */
enum action {
	ACTION_UNSET,
	ACTION_PASS,
	ACTION_OBSERVE,
	ACTION_TAG,
	ACTION_SCAN,
	ACTION_DIVERT,
	ACTION_DEFER,
	ACTION_REJECT,
	ACTION_TARPIT,
	ACTION_COUNT,
};

/* Why; doc/events.md explains each to operators. Closed list: add here, in verdict.c and there. */
enum reason {
	REASON_AUTHENTICATED,  /* pass: the backend's 235 */
	REASON_TRUSTED,        /* pass: client in trusted */
	REASON_POSTMASTER,     /* pass: bare postmaster (RFC 5321 4.5.1) */
	REASON_NOT_HOSTED,     /* pass: the backend judges */
	REASON_SELF,           /* pass: the MX is the backend */
	REASON_IMPLICIT_MX,    /* pass: no MX, and the address is the backend's */
	REASON_BACKUP,         /* pass: the backend is a backup MX */
	REASON_INGRESS,        /* pass: client is an address of the MX */
	REASON_EGRESS,         /* pass: client is in the scanner's egress prefixes */
	REASON_PTR,            /* pass: client's confirmed name is the scanner's */
	REASON_ALLOWED,        /* pass: domains.allow */
	REASON_ADDRESS,        /* pass: door elsewhere, client is that address */
	REASON_UNKNOWN_DOMAIN, /* on_unknown_domain */
	REASON_NOT_EGRESS,     /* direct: the door's scanner is elsewhere, client is not it */
	REASON_NOT_ADDRESS,    /* direct: door elsewhere, client is another */
	REASON_NULL_MX,        /* null */
	REASON_DNS_FAILURE,    /* dns: on_dns_failure */
	REASON_PTR_FAILURE, /* dns: client matches nothing else and its name could not be found out
			     */
	REASON_LITERAL,     /* address literal or domainless recipient: 550 5.1.3 */
	REASON_SHARED_EGRESS, /* pass: client is in an egress that all tenants of the provider send
				 from */
	REASON_GRACE,         /* pass: client was let in by the MX set of before, whose TTL lasts */
	REASON_RETRIED,       /* pass: a network that has come again and again, as MTAs do */
	REASON_BACKUP_CLOSED, /* direct: strict_backup, and the primary answers: 451 */
	REASON_AUTH_REQUIRED, /* direct: the listener takes mail of users who log in only: 530 5.7.0
			       */
	REASON_COUNT,
};

/* Why the action carried out is weaker than the one configured; REASON-like, for explain and
 * events. */
enum restraint {
	RESTRAINT_NONE,
	RESTRAINT_GUESSED, /* grade guessed: guessed_action */
	RESTRAINT_LISTED,  /* grade listed: defer until proven */
	RESTRAINT_RIVAL, /* a network that carries much of the scanner's mail, or whose name is the
			    scanner's, or can't be found out: defer */
	RESTRAINT_NEVER_HEARD, /* no mail accepted from this scanner in 7 days: defer */
	RESTRAINT_UNCONFIRMED, /* not confirmed at the authoritative servers: defer */
	RESTRAINT_PRIVATE,  /* original destination is private, server_addresses empty: observe */
	RESTRAINT_IDENTITY, /* hosted domains meet at a foreign address: observe */
	RESTRAINT_STARTTLS, /* the backend's STARTTLS passes by us: observe */
	RESTRAINT_STALE,    /* judged by a stale door or source: defer */
	RESTRAINT_GRACE,    /* the MX set has changed, and the former one's TTL lasts: defer */
	RESTRAINT_QUIET,    /* much less mail than usual comes from inside: defer */
	RESTRAINT_PARTIAL,  /* a source has terms that can't be turned into addresses: defer */
	RESTRAINT_SHARE, /* the domain is not of the share that policy.enforce begins with: observe
			  */
	RESTRAINT_STOPPED, /* enforcing has stopped by itself: observe */
	RESTRAINT_COUNT,
};

const char *door_kind_name(enum door_kind v);
const char *grade_name(enum grade v);
const char *finding_name(enum finding v);
const char *action_name(enum action v);
const char *reason_name(enum reason v);       /* "not-hosted", ... */
const char *restraint_name(enum restraint v); /* "never-heard", ...; "" for NONE */
/* ACTION_UNSET for a word that is no action. */
enum action action_from_name(struct sv name);
/* The first of the names that has this address, as events call it: "apex", "www", "mail", "smtp",
 * "other"; "none". */
const char *door_names_word(const struct door_names *names, const struct addr *server);
