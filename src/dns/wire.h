/*
 * One raw DNS answer (RFC 1035 4.1) → what it says about one name and type: the CNAME chain
 * followed, TTLs, AA and RCODE looked at. Pure: any bytes may come in, nothing is read past them.
 */
#pragma once

#include "base/addr.h"
#include "dns/facts.h"

enum wire_type {
	WIRE_A = 1,
	WIRE_NS = 2,
	WIRE_CNAME = 5,
	WIRE_SOA = 6,
	WIRE_PTR = 12,
	WIRE_MX = 15,
	WIRE_TXT = 16,
	WIRE_AAAA = 28,
};

#define WIRE_NAME_SIZE   256 /* a name as text, with its NUL */
#define WIRE_MAX_RECORDS 64
#define WIRE_MAX_ADDRS   4096 /* no message has more */

struct wire_record {
	struct addr addr;          /* A, AAAA */
	uint16_t preference;       /* MX */
	uint16_t text_at, text_n;  /* TXT: wire_text() */
	char name[WIRE_NAME_SIZE]; /* MX, NS, PTR */
};

struct wire_answer {
	enum dns_status status;
	bool aa;
	/* A CNAME leads to canonical, and the answer doesn't tell what is there: status is NODATA
	 * then, but only asking for canonical tells. */
	bool dangling;
	bool more;            /* there were more records than fit; of MX those kept are the best, of
				 TXT those that begin with "v=spf1" */
	uint32_t ttl;         /* least of everything the answer rests on; of a negative answer by
				 RFC 2308 5, 0 without SOA */
	uint32_t records_ttl; /* least of the records only */
	char canonical[WIRE_NAME_SIZE];
	uint16_t n;
	uint16_t text_n;  /* octets of text in use */
	uint16_t n_addrs; /* A, AAAA: all of them are in addrs, the first n in records, too */
	struct wire_record records[WIRE_MAX_RECORDS];
	char text[UINT16_MAX]; /* of TXT: no message has more */
	struct addr addrs[WIRE_MAX_ADDRS];
};

/* What a TXT record says, its strings in one (RFC 7208 3.3); any octets. */
static inline struct sv wire_text(const struct wire_answer *a, size_t i)
{
	return (struct sv) { a->text + a->records[i].text_at, a->records[i].text_n };
}

/*
 * name is lower-case without trailing dot, type one that has records above (no CNAME, no SOA).
 * Names come out the same way; the root is "". A byte that no host name has (dot or backslash
 * inside a label, control, space, 8-bit) comes out as a backslash: such a name is nobody's
 * (wire_name_is_askable()). DNS_FAILED for everything that is no answer to this question: another
 * one, malformed, truncated, any RCODE but NOERROR and NXDOMAIN, a referral, a CNAME loop.
 */
void wire_parse(const uint8_t *data, size_t len, const char *name, enum wire_type type,
		struct wire_answer *ret_answer);

/* What to make of an answer that never came (DNS_FAILED), or needn't be asked for (DNS_NXDOMAIN).
 */
void wire_answer_none(enum dns_status status, const char *name, struct wire_answer *ret_answer);

/* Seconds that the answer may be used: ttl clamped to [60 s, 24 h], of a negative one to
 * [60 s, 1 h]; of a failure 10. */
uint32_t wire_answer_lifetime(const struct wire_answer *answer);

/* A name that a question makes sense for: not empty, not over-long, made of printable bytes, and
 * its last label no number (an address in the place of a name). */
bool wire_name_is_askable(const char *name);
