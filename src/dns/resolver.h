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
	size_t max_domains;    /* default 1,000,000; see door_table.h for what goes first */
	size_t max_in_flight;  /* look-ups of domains at once; more are queued. Default 2000 */
	uint16_t confirm_port; /* port of authoritative servers: 53, others in tests */

	/* All called in the resolver's thread (restore: in that of resolver_new(), before there is
	 * one); they must not wait, and not call resolver_ask(). Each may be NULL. */
	void *user;
	/* Is the forward-confirmed name of this host's addresses wanted in dns_host.ptr? */
	bool (*wants_ptr)(void *user, const struct dns_host *host);
	/* What to take for a source that was never looked up with success; NULL: nothing. Sealed,
	 * and stays as it is. */
	const struct prefix_set *(*fallback)(void *user, const char *key);
	/* A door's facts are new, or (facts NULL) the door has gone. kept: it is to be kept ready.
	 */
	void (*on_domain)(void *user, const char *domain, const struct domain_facts *facts,
			  bool kept);
	void (*on_source)(void *user, const struct egress_source *source);
	/* The names of a client that resolver_keep_client() was called for. */
	void (*on_client)(void *user, const struct addr *client, const struct client_names *names);
	/* About a source; text is one line, without newline, that begins with its key:
	 *   "egress-stale"    a refresh failed, for the first time since the last good one: its
	 *                     former set goes on to count, or the fallback does
	 *   "egress-gone"     its record is there no more: the set counts for its TTL yet, then the
	 *                     fallback, if there is one
	 *   "egress-back"     it is well again after one of these
	 *   "egress-left-out" a term of it is left out (once for each reason) */
	void (*on_trouble)(void *user, const char *kind, const char *text);
	/* For resolver_restore_...(). */
	void (*restore)(void *user, struct resolver *r);
};

enum resolver_kind {
	RESOLVER_DOMAIN,  /* key: domain in lower-case A-labels → struct domain_facts */
	RESOLVER_CONFIRM, /* the same, asked at the domain's authoritative servers: NS set and
			     addresses from the recursive resolver, then MX (and A, AAAA without MX)
			     directly, RD clear, AA required. At most once per domain in 10 s.
			     facts->confirmed_ms tells whether it worked */
	RESOLVER_CLIENT,  /* addr of a client → struct client_names */
	RESOLVER_NAMES,   /* domain → struct door_names */
	RESOLVER_SOURCE,  /* key of a source, as "spf:NAME" → struct egress_source */
};

struct resolver_query;
/*
 * The answer, in the asking thread: result is a const struct domain_facts, client_names,
 * door_names or egress_source, never NULL, valid until the callback returns. Never called inside
 * resolver_ask().
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
/* Before the thread waits for anything but by uv_run(loop): what was looked up is of no use any
 * more. */
void resolver_port_rest(struct resolver_port *port);
/* Open questions are forgotten unanswered. Asynchronous: its handles close in the loop. */
void resolver_port_free(struct resolver_port *port);

/*
 * What is known now and fresh enough to decide by (or stale with a failed refresh), without
 * blocking; NULL: ask. Marks it as in use. The result is valid until the thread returns to its
 * loop.
 */
const struct domain_facts *resolver_peek_domain(struct resolver_port *port, const char *domain);
/*
 * A peek at this domain is near: what it will look at is fetched into the processor's cache, while
 * the caller does something else. In two steps, for the second follows what the first has fetched,
 * whose result it takes. Neither waits; they are hints, and no use of the domain.
 */
uint64_t resolver_fetch_domain(const struct resolver_port *port, const char *domain);
void resolver_fetch_door(const struct resolver_port *port, uint64_t fetch);
const struct client_names *resolver_peek_client(struct resolver_port *port,
						const struct addr *client);
const struct door_names *resolver_peek_names(struct resolver_port *port, const char *domain);
const struct egress_source *resolver_peek_source(struct resolver_port *port, const char *key);

/* 0: the answer will come; -ENOMEM, -ENAMETOOLONG. client is for RESOLVER_CLIENT, domain (or key)
 * for the others; of those client, unless NULL, says on whose behalf it is asked: each client has
 * a share of the look-ups that wait, and over it what is not known counts as trouble with DNS. */
int resolver_ask(struct resolver_port *port, enum resolver_kind kind, const char *domain,
		 const struct addr *client, struct resolver_query *query);
/* No answer will come any more; a no-op on a query that is not under way. */
void resolver_cancel(struct resolver_query *query);

/* Keep this door ready from now on (hosted domains): looked up in the background, refreshed, not
 * evicted. */
int resolver_keep(struct resolver *r, const char *domain);
/* No more so: it goes the way of any other door. */
int resolver_release(struct resolver *r, const char *domain);
/* The same as resolver_keep() of a source, by its key. */
int resolver_keep_source(struct resolver *r, const char *key);
int resolver_release_source(struct resolver *r, const char *key);
/* Its names let mail in: conf.on_client() is told of them, now and whenever they are looked up. */
int resolver_keep_client(struct resolver *r, const struct addr *client);

/* From conf.restore only: what was known before a restart. Times are clock_mono_ms(), and may be
 * before the start of that clock. What has expired is stale until it could be refreshed. Doors that
 * are kept are so from here on: a full table would push them out before resolver_keep() comes.
 * Copied. 0, -ENOMEM, 1: there is one already. */
int resolver_restore_domain(struct resolver *r, const struct domain_facts *facts);
int resolver_restore_source(struct resolver *r, const struct egress_source *source);
int resolver_restore_client(struct resolver *r, const struct addr *client,
			    const struct client_names *names);

struct resolver_stats {
	uint64_t domains, lookups, joined, failed, stale, refreshed, evicted, in_flight, confirmed,
		aa, sources, sources_failed;
};
void resolver_stats(struct resolver *r, struct resolver_stats *ret_stats); /* any thread */
