/*
 * What DNS said about one recipient domain, or about the name of one client. Immutable once made,
 * one block of memory, freed by facts_free(). No policy here: which door that makes is policy/'s.
 */
#pragma once

#include "base/addr.h"
#include "base/base.h"

enum dns_status {
	DNS_OK,       /* records were there */
	DNS_NODATA,   /* the name exists, without such records */
	DNS_NXDOMAIN, /* RFC 8020: nothing of that name or below */
	DNS_FAILED,   /* SERVFAIL, REFUSED, timeout, malformed, CNAME loop, lame: nobody knows */
};

/* One host of the MX set; without MX the domain itself, when it has addresses. */
struct dns_host {
	const char *name;       /* lower-case A-labels, no trailing dot; what the MX record says */
	const char *canonical;  /* where CNAMEs led; equals name without any */
	enum dns_status status; /* of its addresses: DNS_FAILED if either family failed and the
				   other gave nothing; DNS_OK with incomplete set if one failed */
	bool incomplete;        /* the look-up of one family failed */
	uint16_t preference;
	uint16_t n_addrs;
	const struct addr *addrs;
};

enum facts_kind {
	FACTS_MX,      /* hosts are the MX set, best preference first */
	FACTS_ADDRESS, /* no MX (NODATA); hosts[0] is the domain itself (implicit MX, RFC 5321 5.1)
			*/
	FACTS_NULL_MX, /* RFC 7505 */
	FACTS_NOTHING, /* neither MX nor address, or NXDOMAIN */
	FACTS_FAILED,  /* trouble: nothing is known */
};

struct domain_facts {
	enum facts_kind kind;
	bool nxdomain;
	bool aa;    /* the resolver answered with AA: a local zone there, perhaps forgotten */
	bool stale; /* a refresh failed since; this is the last good answer */
	int64_t fetched_ms;   /* clock_mono_ms() when last known good */
	int64_t expires_ms;   /* TTL, clamped */
	int64_t confirmed_ms; /* last confirmed at the authoritative servers; -1: never */
	uint32_t ttl;         /* of the MX set, as received, seconds */
	uint16_t n_hosts;
	const char *domain;
	const struct dns_host *hosts;
};

/* Names that lead to a client: PTR names whose addresses include it (forward-confirmed reverse
 * DNS). */
struct client_names {
	enum dns_status status; /* DNS_FAILED: could not be found out */
	int64_t expires_ms;
	uint16_t n;
	const char *const *names;
};

/* Which of the guessable names of a domain have which addresses, for the door_name of an event. */
enum door_name {
	DOOR_NAME_APEX,
	DOOR_NAME_WWW,
	DOOR_NAME_MAIL,
	DOOR_NAME_SMTP,
	DOOR_NAME_OTHER, /* "mx.": what leads here and is no MX is likely one of former days */
	DOOR_NAME_COUNT,
};
struct door_names {
	int64_t expires_ms;
	uint16_t n[DOOR_NAME_COUNT];
	const struct addr *addrs[DOOR_NAME_COUNT];
};

/* For making them: deep copies of template into one block; NULL when memory ran out. */
struct domain_facts *facts_copy(const struct domain_facts *templ);
struct client_names *client_names_copy(const struct client_names *templ);
struct door_names *door_names_copy(const struct door_names *templ);
/* Any of the three; NULL is fine. */
void facts_free(void *facts);

/* Lower-case A-labels of a recipient's domain (IDNA2008 with UTS 46 mapping, libidn2), trailing dot
 * taken off, into out[256]. 0; -EINVAL: no domain name. */
int domain_to_ascii(struct sv domain, char *out);
