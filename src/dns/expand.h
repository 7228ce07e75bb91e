/*
 * What one egress source expands to (facts.h, struct egress_source), without asking anybody: it
 * says what it wants to know, one question at a time, and is told the answers. So the same rules
 * hold for the resolver (source.c) and for a file of records.
 *
 * An SPF record is walked as RFC 7208 4.6 has it, depth first, include and redirect followed. What
 * permits nobody is passed over: terms with another qualifier than +, and all that stands behind
 * all. What can't be turned into addresses is left out, and so is what stands behind a limit of
 * 4.6.4; what was found before stays. Nobody opens a door to the whole world by one record: a
 * prefix shorter than /8 (IPv6: /16) is left out, and so are those that make it more than four of
 * these in all.
 */
#pragma once

#include "dns/spf.h"
#include "dns/wire.h"

#define EXPAND_MAX_TERMS    10    /* that need a look-up; 4.6.4 */
#define EXPAND_MAX_MX       10    /* hosts of one mx term; 4.6.4 */
#define EXPAND_MAX_VOID     2     /* look-ups that found nothing; 4.6.4 */
#define EXPAND_MAX_FAILED   2     /* look-ups: DNS is down, and each of them lasts */
#define EXPAND_MAX_PREFIXES 20000 /* of one source */

/* Is this a key: one of the kinds, with a lower-case name that can be asked for? */
bool expand_key_is_valid(const char *key);

enum expand_want {
	EXPAND_NOTHING, /* it is at its end: expand_result() */
	EXPAND_TXT,     /* the TXT records of name */
	EXPAND_MX,      /* the MX records of name */
	EXPAND_ADDRS,   /* the A and AAAA records of name */
	EXPAND_A,       /* whether name has an A record */
};

struct expand_frame {
	const char *name;
	char *text; /* its record */
	struct sv rest;
	struct spf_term redirect; /* text.n 0: none */
	bool all;
};

struct expand {
	enum expand_want want;
	const char *name; /* what it is wanted of */
	/* private */
	char key[SOURCE_KEY_MAX];
	enum source_status status;
	struct expand_frame frames[EXPAND_MAX_TERMS + 1]; /* records that are being read */
	size_t depth;
	char seen[EXPAND_MAX_TERMS + 1][WIRE_NAME_SIZE]; /* whose records were asked for */
	size_t n_seen;
	struct spf_term term; /* that the question is for */
	char asked[WIRE_NAME_SIZE];
	char hosts[EXPAND_MAX_MX][WIRE_NAME_SIZE];
	size_t n_hosts, host; /* of an mx term */
	unsigned int n_terms, n_void, n_failed;
	bool no_memory, incomplete, failed;
	uint32_t ttl, lifetime;
	uint64_t room4, room6; /* addresses; networks of 64 bits */
	char left_out[256], why_failed[256];
	struct prefix_set set;
};

/* The key is valid; NULL: memory ran out. */
struct expand *expand_new(const char *key);
void expand_free(struct expand *e);

/* An answer to what is wanted; ttl and lifetime in seconds (wire_answer_lifetime()). Nothing is
 * kept of it. */
struct expand_answer {
	enum dns_status status;
	bool more;   /* there are some that are not here */
	bool failed; /* some could not be had */
	uint32_t ttl, lifetime;
	size_t n;
	const struct sv *texts;   /* EXPAND_TXT */
	const char *const *names; /* EXPAND_MX; best first */
	const struct addr *addrs; /* EXPAND_ADDRS */
};
void expand_answer(struct expand *e, const struct expand_answer *a);

/*
 * To be freed by facts_free(); NULL: memory ran out. SOURCE_FAILED: its record could not be had or
 * says nothing that counts, or a part of it could not be had: set has the others then. Times are
 * those of now_ms.
 */
struct egress_source *expand_result(struct expand *e, int64_t now_ms);
