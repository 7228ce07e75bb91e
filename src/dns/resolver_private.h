/* What the files of the resolver share: resolver.c (its thread), port.c (the workers' side),
 * tasks.c (look-ups joined and under way) and doors.c (what becomes of a domain's answer). */
#pragma once

#include "dns/channel.h"
#include "dns/confirm.h"
#include "dns/door_table.h"
#include "dns/grace.h"
#include "dns/host_cache.h"
#include "dns/lookup.h"
#include "dns/resolver.h"
#include "dns/set_store.h"
#include "dns/source.h"
#include "dns/table.h"
#include "dns/wheel.h"

#include "base/map.h"

enum { RESOLVER_KINDS = RESOLVER_SOURCE + 1 };

/* A question on its way to the resolver's thread and back, or a domain to keep. */
struct resolver_request {
	struct resolver_request *next;
	struct resolver_port *port; /* NULL: command is about domain (or key), nobody waits */
	enum {
		REQUEST_KEEP,
		REQUEST_RELEASE,
		REQUEST_KEEP_SOURCE,
		REQUEST_RELEASE_SOURCE,
		REQUEST_KEEP_CLIENT
	} command;
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

/* The current one is first. One is kept for the next turn of the loop, others are freed. */
struct view_block {
	struct view_block *next;
	size_t n;
	struct domain_facts views[64];
};

struct resolver_port {
	struct resolver *resolver;
	uv_async_t async;
	uv_prepare_t prepare;
	struct epoch_reader reader;
	struct view_block *views;    /* of doors, given out since the loop last waited */
	struct resolver_query *open; /* the port's thread's */
	unsigned int n_handles;
	_Atomic unsigned int refs; /* handles; every request; a callback that runs */
	pthread_mutex_t lock;      /* of the rest */
	struct request_queue outbox;
	bool closed;
};

/* Doors that wait for their turn to be refreshed, by their items. */
struct ready_list {
	struct wheel_item *first, **last;
};

/* The writer's own data on an egress source: owner of its table entry. */
struct source {
	struct wheel_item due; /* of source_wheel */
	struct table_entry *entry;
	struct task *task;
	struct source *next_ready;
	bool ready;
	bool kept;
	uint8_t fails; /* refreshes failed in a row */
	uint8_t n_told;
	int64_t tried_ms;
	int64_t gone_until_ms; /* DNS says that it is no more; 0: it doesn't */
	uint64_t told[4];      /* hashes of what was told to be left out */
};

/* One look-up for all who asked for the same. */
struct task {
	struct resolver *resolver;
	enum resolver_kind kind;
	struct door *door;         /* of a door; else NULL, and there is */
	struct table_entry *entry; /* the entry in the table of its kind */
	struct request_queue waiters;
	struct task *next, *prev; /* in the line, or among those that run */
	struct addr client;       /* on whose behalf it waits in the line; all zero: nobody's */
	bool refresh;             /* nobody asked */
	bool after_domain;        /* RESOLVER_CONFIRM: waits for RESOLVER_DOMAIN's facts */
	struct lookup *lookup;
	struct confirm *confirm;
	struct source_lookup *source;
};

struct task_list {
	struct task *first, *last;
	size_t n;
};

struct resolver_counters {
	_Atomic uint64_t lookups, joined, failed, stale, refreshed, in_flight, confirmed, aa,
		sources_failed;
};

struct resolver {
	struct resolver_conf conf;
	uv_loop_t loop;
	uv_thread_t thread;
	uv_async_t async;
	uv_timer_t tick;
	struct channel *channel;
	struct epoch epoch;
	struct door_table doors;
	struct table clients, names, sources;
	struct table exists;   /* sources that are about one client each */
	struct set_store sets; /* of sources and exists */
	struct host_cache hosts;
	struct wheel wheel, source_wheel;
	struct source *source_first, *source_last; /* ready */
	struct ready_list ready_used, ready_kept;  /* those in use come first */
	struct grace grace;
	struct map line_shares; /* network of a client → how many of the line are its own */
	struct task_list line;  /* asked for, not begun */
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
/* door_table's on_gone; user is the resolver. */
void door_gone(void *user, struct door *d);
void door_keep(struct resolver *r, struct door *d);
void door_let_go(struct resolver *r, struct door *d);
/* What is known of it; false: nothing. */
bool door_facts(const struct door *d, struct domain_facts *ret_facts);
/* The task of that kind, RESOLVER_DOMAIN or RESOLVER_CONFIRM; NULL: none. */
struct task *door_task(const struct door *d, enum resolver_kind kind);
/* A look-up of the domain ended; facts are taken over, NULL is a failure. asked: somebody waits for
 * it. The table has the outcome. */
void door_update(struct resolver *r, struct door *d, struct domain_facts *facts, bool asked);
/* The same of a confirmation; NULL leaves the facts as they are. */
void door_confirm(struct resolver *r, struct door *d, struct domain_facts *facts);
/* Whether to answer RESOLVER_CONFIRM by what is known: there was an attempt just now. */
bool door_confirmed_lately(const struct door *d, int64_t now_ms);
/* In the wheel for that time, out of the line of refreshes. */
void door_due(struct resolver *r, struct door *d, int64_t due_ms);
/* Doors whose time has come are put in the line of refreshes. */
void doors_tick(struct resolver *r);
/* The next to be refreshed, out of the line; NULL: none. */
struct door *doors_next_ready(struct resolver *r);

/* sources.c, all in the resolver's thread */

/* Where a source of this key is kept. */
struct table *sources_table(struct resolver *r, const char *key);
struct source *sources_get(struct resolver *r, const char *key); /* NULL: memory ran out */
void sources_free(void *source);
void sources_value_free(void *value); /* of both tables */
void sources_keep(struct resolver *r, struct source *s);
void sources_let_go(struct resolver *r, const char *key);

/* found is taken over; NULL: memory ran out. */
void client_update(struct resolver *r, struct table_entry *e, struct client_names *found);
void client_keep(struct resolver *r, const struct addr *client);
/* A look-up of the source ended; found is taken over, NULL: memory ran out. The table has the
 * outcome. */
void sources_update(struct resolver *r, struct source *s, struct egress_source *found);
/* Sources whose time has come are put in their line of refreshes. */
void sources_tick(struct resolver *r);
/* The next to be refreshed, out of the line; NULL: none. */
struct source *sources_next_ready(struct resolver *r);
