/*
 * The ledger of observing: what frontdoor saw pass by the wrong door and let through, read back
 * from its own events (doc/events.md), grouped by domain, client network, reason and scanner. No
 * I/O.
 *
 * Groups are ordered by how honest their senders look: a point count of what bots seldom have. It
 * is a reading order for an operator, never a verdict. Memory grows with groups, up to LEDGER_MAX.
 */
#pragma once

#include "base/addr.h"
#include "base/map.h"

#define LEDGER_MAX 500000

/* What speaks for a group; each is explained in frontdoor(8). */
enum ledger_sign {
	SIGN_NAMED,    /* 3: a confirmed name that does not spell out its address */
	SIGN_RELATED,  /* 3: that name lies in the domain of the MX host */
	SIGN_ACCEPTED, /* 2: the mail server took at least half of its mail */
	SIGN_REGULAR,  /* 2: seen on three days or more */
	SIGN_HELO,     /* 1: greets with its confirmed name */
	SIGN_TLS,      /* 1: at least half of it encrypted */
	SIGN_DOMAINS,  /* 1: named, and the network delivers for three domains or more */
	SIGN_COUNT,
};
const char *ledger_sign_name(enum ledger_sign s);

#define LEDGER_HONEST 6 /* points from which on a group looks honest */
#define LEDGER_BOT    3 /* points below which it looks like a bot */

struct ledger_group {
	const char *domain, *reason, *scanner, *mx;   /* the ledger's; "" where there is none */
	struct prefix network;                        /* /24, /48 */
	struct addr client;                           /* the last one */
	char *client_name;                            /* NULL: it has none */
	uint64_t recipients, accepted, rejected, tls; /* accepted, rejected: by the backend */
	uint64_t days; /* bits: the days since the first event, modulo 64 */
	int64_t first_ms, last_ms;
	bool helo_matches;
	unsigned signs; /* bits by enum ledger_sign; after ledger_finish() */
	int points;
};

struct ledger {
	struct map groups, words;
	struct ledger_group **order; /* after ledger_finish(): n_order of them */
	size_t n_order;
	uint64_t lines, bad, recipients, direct, observed, refused, left_out;
	int64_t since_ms, until_ms, first_ms, last_ms;
};

/* Events from since_ms on, before until_ms, wall clock. */
void ledger_init(struct ledger *l, int64_t since_ms, int64_t until_ms);
void ledger_deinit(struct ledger *l);
/* One line of a file of events; what is no event is counted as bad. 0, -ENOMEM. */
int ledger_add(struct ledger *l, struct sv line);
/* Signs, points and the order. 0, -ENOMEM. */
int ledger_finish(struct ledger *l);
/* "2026-11-23T20:01:02.003Z"; -EINVAL. */
int ledger_time(struct sv text, int64_t *ret_ms);
