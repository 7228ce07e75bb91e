/* What the files of the resolver share: resolver.c (its thread), port.c (the workers' side),
 * tasks.c (look-ups joined and under way) and doors.c (what becomes of a domain's answer). */
#pragma once

#include "dns/channel.h"
#include "dns/confirm.h"
#include "dns/lookup.h"
#include "dns/resolver.h"
#include "dns/table.h"
#include "dns/wheel.h"

enum { RESOLVER_KINDS = RESOLVER_NAMES + 1 };

/* A question on its way to the resolver's thread and back, or a domain to keep. */
struct resolver_request {
	struct resolver_request *next;
	struct resolver_port *port; /* NULL: keep domain */
	/* of the port's thread, which alone writes and follows it; NULL: cancelled */
	_Atomic(struct resolver_query *) query;
	void *result; /* NULL: memory ran out */
	enum resolver_kind kind;
	struct addr client;
	char domain[]; /* empty for RESOLVER_CLIENT */
};

struct request_queue {
	struct resolver_request *first, *last;
};

struct resolver_port {
	struct resolver *resolver;
	uv_async_t async;
	uv_prepare_t prepare;
	struct epoch_reader reader;
	struct resolver_query *open; /* the port's thread's */
	unsigned int n_handles;
	_Atomic unsigned int refs; /* handles; every request; a callback that runs */
	pthread_mutex_t lock;      /* of the rest */
	struct request_queue outbox;
	bool closed;
};

/* The writer's own data on a domain: owner of its table entry. */
struct door {
	struct wheel_item due;
	struct table_entry *entry;
	struct task *tasks[RESOLVER_CONFIRM + 1]; /* RESOLVER_DOMAIN, RESOLVER_CONFIRM */
	struct door *next_ready;
	bool ready; /* a refresh waits its turn */
	bool kept;
	uint8_t fails;        /* refreshes failed in a row */
	int64_t tried_ms;     /* when the last of them failed */
	int64_t confirmed_ms; /* last attempt to confirm; -1: never */
	bool confirmed;       /* it worked */
};

/* One look-up for all who asked for the same. */
struct task {
	struct resolver *resolver;
	enum resolver_kind kind;
	struct table_entry *entry;
	struct request_queue waiters;
	struct task *next, *prev; /* in the line, or among those that run */
	bool refresh;             /* nobody asked */
	bool after_domain;        /* RESOLVER_CONFIRM: waits for RESOLVER_DOMAIN's facts */
	struct lookup *lookup;
	struct confirm *confirm;
};

struct task_list {
	struct task *first, *last;
	size_t n;
};

struct resolver_counters {
	_Atomic uint64_t lookups, joined, failed, stale, refreshed, in_flight, confirmed, aa;
};

struct resolver {
	struct resolver_conf conf;
	uv_loop_t loop;
	uv_thread_t thread;
	uv_async_t async;
	uv_timer_t tick;
	struct channel *channel;
	struct epoch epoch;
	struct table domains, clients, names;
	struct wheel wheel;
	struct door *ready_first, *ready_last;
	struct task_list line;         /* asked for, not begun */
	struct task_list confirm_line; /* the same, of RESOLVER_CONFIRM */
	struct task_list running;
	size_t n_confirming;
	bool pumping;
	struct resolver_counters counters;
	pthread_mutex_t lock; /* of the rest */
	struct request_queue inbox;
	bool stop;
};

static inline struct sv domain_key(const char *domain)
{
	return sv_from(domain);
}

static inline struct sv client_key(const struct addr *client)
{
	return (struct sv) { (const char *)client->b, sizeof(client->b) };
}

static inline void request_queue_add(struct request_queue *q, struct resolver_request *req)
{
	req->next = NULL;
	*(q->first ? &q->last->next : &q->first) = req;
	q->last = req;
}

static inline struct resolver_request *request_queue_take(struct request_queue *q)
{
	struct resolver_request *req = q->first;

	if (req)
		q->first = req->next;
	return req;
}

/* port.c */

/* An answer for the port's thread: req goes back to its port, with a copy of value (NULL: none).
 * The resolver's thread. */
void port_answer(struct resolver_request *req, const void *value);
/* req is dropped: the resolver ends. */
void port_drop(struct resolver_request *req);
/* Any thread: may value still be used? */
bool resolver_usable(const struct resolver *r, enum resolver_kind kind, const void *value,
		     int64_t now_ms);

/* resolver.c */

/* Any thread; req is taken over. */
void resolver_send(struct resolver *r, struct resolver_request *req);

/* tasks.c, all in the resolver's thread */

void tasks_ask(struct resolver *r, struct resolver_request *req);
/* Begins what there is room for. */
void tasks_pump(struct resolver *r);
/* Everything is dropped; the channel is freed before. */
void tasks_abort(struct resolver *r);

/* doors.c, all in the resolver's thread */

struct door *door_get(struct resolver *r, const char *domain); /* NULL: memory ran out */
void door_free(void *door);
void door_keep(struct resolver *r, struct door *d);
/* A look-up of the domain ended; facts are taken over, NULL is a failure. asked: somebody waits for
 * it. The table has the outcome. */
void door_update(struct resolver *r, struct door *d, struct domain_facts *facts, bool asked);
/* The same of a confirmation; NULL leaves the facts as they are. */
void door_confirm(struct resolver *r, struct door *d, struct domain_facts *facts);
/* Whether to answer RESOLVER_CONFIRM by what is known: there was an attempt just now. */
bool door_confirmed_lately(const struct door *d, int64_t now_ms);
/* Doors whose time has come are put in the line of refreshes. */
void doors_tick(struct resolver *r);
/* The next to be refreshed, out of the line; NULL: none. */
struct door *doors_next_ready(struct resolver *r);
