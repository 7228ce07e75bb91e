/* The addresses of one name: A and AAAA asked at once, on one channel. */
#pragma once

#include "dns/channel.h"

#define PAIR_MAX_ADDRS 64

struct pair;
/* Not inside pair_ask(). */
typedef void (*pair_done_fn)(struct pair *p);
/* An answer of one family that has addresses. */
typedef void (*pair_take_fn)(struct pair *p, const struct wire_answer *a);

/* Embedded by the owner; the results are there from done on. */
struct pair {
	pair_done_fn done;
	void *user;
	/* Set after pair_ask() by who wants all addresses, however many: then incomplete does not
	 * tell that they don't fit. */
	pair_take_fn take;
	enum dns_status
		status;  /* DNS_OK with any address; DNS_FAILED without, if a family failed */
	bool incomplete; /* a family failed, or there were more addresses than fit */
	bool failed;     /* a family failed */
	bool aa;
	uint32_t lifetime; /* seconds; of the families that did not fail */
	uint32_t cached_s; /* caches may have some of the addresses for so long: the greater of both
			    */
	uint16_t n;
	struct addr addrs[PAIR_MAX_ADDRS];
	char name[WIRE_NAME_SIZE];
	char canonical[WIRE_NAME_SIZE];
	/* private */
	bool require_aa;
	unsigned int pending;
	unsigned int n_nxdomain;
	struct channel_query queries[2];
};

/* With require_aa an answer without AA is a failure. */
void pair_ask(struct pair *p, struct channel *c, const char *name, bool require_aa,
	      pair_done_fn done, void *user);
