/*
 * The door table and the one thread that fills it. Any worker thread reads the table without
 * blocking; a domain that is not in it, or too old, is asked for, and the answer comes back in the
 * asking thread's own loop. Questions about one name that are under way at once are one look-up.
 *
 * Doors in use are refreshed before they expire; when a refresh fails the last good answer stays
 * (stale) until stale_max. Failures are kept for a few seconds only. The table is bounded.
 */
#pragma once

#include "base/addr.h"
#include "dns/facts.h"

#include <uv.h>

struct resolver;
struct resolver_port;

struct resolver_conf {
	const struct endpoint *servers; /* n_servers 0: /etc/resolv.conf */
	size_t n_servers;
	int timeout_ms;        /* for one try at one server; default 2000 */
	int tries;             /* default 3 */
	int64_t stale_max_ms;  /* default 7 days */
	size_t max_domains;    /* default 1,000,000; the least recently used go first */
	size_t max_in_flight;  /* look-ups of domains at once; more are queued. Default 2000 */
	uint16_t confirm_port; /* port of authoritative servers: 53, others in tests */
};

enum resolver_kind {
	RESOLVER_DOMAIN,  /* key: domain in lower-case A-labels → struct domain_facts */
	RESOLVER_CONFIRM, /* the same, asked at the domain's authoritative servers: NS set and
			     addresses from the recursive resolver, then MX (and A, AAAA without MX)
			     directly, RD clear, AA required. At most once per domain in 300 s.
			     facts->confirmed_ms tells whether it worked */
	RESOLVER_CLIENT,  /* addr of a client → struct client_names */
	RESOLVER_NAMES,   /* domain → struct door_names */
};

struct resolver_query;
/*
 * The answer, in the asking thread: result is a const struct domain_facts, client_names or
 * door_names, never NULL, valid until the callback returns. Never called inside resolver_ask().
 */
typedef void (*resolver_answer_fn)(struct resolver_query *query, const void *result);

struct resolver_query { /* embedded by the owner; zero before the first use */
	resolver_answer_fn answer;
	void *user;
	/* private */
	struct resolver_query *next, *prev;
	struct resolver_request *request;
};

int resolver_new(const struct resolver_conf *conf,
		 struct resolver **ret_resolver); /* starts its thread */
void resolver_free(struct resolver *r);           /* after every port is gone */

/* A worker's way in. All calls on a port are made in the thread of loop. */
int resolver_port_new(struct resolver *r, uv_loop_t *loop, struct resolver_port **ret_port);
/* Open questions are forgotten unanswered. Asynchronous: its handles close in the loop. */
void resolver_port_free(struct resolver_port *port);

/*
 * What is known now and fresh enough to decide by (or stale with a failed refresh), without
 * blocking; NULL: ask. Marks it as in use. The result is valid until the thread returns to its
 * loop.
 */
const struct domain_facts *resolver_peek_domain(struct resolver_port *port, const char *domain);
const struct client_names *resolver_peek_client(struct resolver_port *port,
						const struct addr *client);
const struct door_names *resolver_peek_names(struct resolver_port *port, const char *domain);

/* 0: the answer will come; -ENOMEM, -ENAMETOOLONG. client is for RESOLVER_CLIENT, domain for the
 * others. */
int resolver_ask(struct resolver_port *port, enum resolver_kind kind, const char *domain,
		 const struct addr *client, struct resolver_query *query);
/* No answer will come any more; a no-op on a query that is not under way. */
void resolver_cancel(struct resolver_query *query);

/* Keep this door ready from now on (hosted domains): looked up in the background, refreshed, not
 * evicted. */
int resolver_keep(struct resolver *r, const char *domain);

struct resolver_stats {
	uint64_t domains, lookups, joined, failed, stale, refreshed, evicted, in_flight, confirmed,
		aa;
};
void resolver_stats(struct resolver *r, struct resolver_stats *ret_stats); /* any thread */
