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
	const char *ptr; /* forward-confirmed name of one of its addresses; "": none, or nobody
			    wanted it (resolver_conf.wants_ptr) */
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
	bool kept;  /* it is kept ready: a hosted domain. Of what is peeked at or restored
				 only */
	int64_t fetched_ms;   /* clock_mono_ms() when last known good */
	int64_t expires_ms;   /* TTL, clamped */
	int64_t confirmed_ms; /* last confirmed at the authoritative servers; -1: never */
	uint32_t ttl;         /* of the MX set, as received, seconds */
	uint32_t cached_s;    /* others' caches may have some of it for that long: the greatest TTL,
				 clamped; 0: as long as expires_ms tells */
	uint16_t n_hosts;
	/* With the address in hosts it says which set of hosts that is, for good: two that are
	 * equal in both are the same, now or then, and sets don't change. 0: nothing is said. Of
	 * what is peeked at only. */
	uint32_t hosts_serial;
	const char *domain;
	const struct dns_host *hosts;
	/* What the answer said before it changed (another MX set, or another kind): who had it in a
	 * cache goes on by it until former_until_ms, the end of the TTL that it came with. 0: no
	 * such answer. former has the n_former hosts of former_kind. */
	int64_t former_until_ms;
	enum facts_kind former_kind;
	uint16_t n_former;
	const struct dns_host *former;
};

/*
 * The addresses behind one name that an egress is made of. Its key says what was asked:
 *   "spf:NAME"    what the SPF record of NAME permits (RFC 7208): ip4, ip6, a, mx, include,
 *                 redirect; whatever the qualifier, + is all that counts
 *   "host:NAME"   its A and AAAA records
 *   "exists:NAME" whether NAME has an A record (RFC 7208 5.7): set is empty
 */
enum source_status {
	SOURCE_KNOWN,
	SOURCE_NONE,   /* DNS says for certain that there is no such name, or no such record */
	SOURCE_FAILED, /* nobody knows, and nothing was known before */
};

#define SOURCE_KEY_MAX 264 /* with the NUL */

struct egress_source {
	const char *key;
	enum source_status status;
	bool incomplete; /* something is missing: while fetched_ms is -1 because a look-up failed,
			    else because a term can't be turned into addresses, as macros, or
			    stands behind a limit (left_out) */
	bool stale;      /* a refresh failed since; this is the last good answer */
	bool fallback;   /* never looked up with success: from the snapshot that is shipped */
	int64_t fetched_ms; /* clock_mono_ms() when last known good; -1: never */
	int64_t expires_ms;
	uint32_t ttl;          /* least of all it rests on, as received, seconds */
	const char *left_out;  /* the first term left out, for people; "": none */
	struct prefix_set set; /* sealed; a copy has its own, the rest share equal ones */
};

/* Names that lead to a client: PTR names whose addresses include it (forward-confirmed reverse
 * DNS). */
struct client_names {
	enum dns_status status; /* DNS_FAILED: could not be found out */
	bool stale;         /* looked up again without success; these are the names of fetched_ms */
	int64_t fetched_ms; /* clock_mono_ms() when they were found out */
	bool kept;          /* resolver_keep_client() was called for it */
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

/* dns_host.ptr of a host whose name could not be found out: the last one known is to serve on. An
 * empty string at an address of its own, that copies keep. */
extern const char facts_ptr_failed[];

/* For making them: deep copies of template into one block; NULL when memory ran out. */
struct domain_facts *facts_copy(const struct domain_facts *templ);
struct client_names *client_names_copy(const struct client_names *templ);
struct door_names *door_names_copy(const struct door_names *templ);
struct egress_source *egress_source_copy(const struct egress_source *templ);
/* Any of the four; NULL is fine. */
void facts_free(void *facts);

/* Lower-case A-labels of a recipient's domain (IDNA2008 with UTS 46 mapping, libidn2), trailing dot
 * taken off, into out[256]. 0; -EINVAL: no domain name. */
int domain_to_ascii(struct sv domain, char *out);
