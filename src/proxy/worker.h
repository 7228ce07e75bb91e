/*
 * A worker: one thread, one loop, its own listening sockets (SO_REUSEPORT), its sessions. Workers
 * share what is in struct server; each of them reads the door table through a port of its own.
 */
#pragma once

#include "conf/conf.h"
#include "dns/resolver.h"
#include "event/event.h"
#include "policy/memory.h"
#include "proxy/conn.h"
#include "proxy/front.h"
#include "proxy/tarpit.h"

#include <stdatomic.h>

#define WORKER_SCRATCH (128 * 1024)

struct session;
struct hosted;
struct named_event;
struct prover;
struct primaries;
struct resolving;
struct tls_client;
struct tls_server;

enum starttls_seen { STARTTLS_UNKNOWN, STARTTLS_OFFERED, STARTTLS_ABSENT };

/* A listener as all workers see it. */
struct listener {
	const struct listener_conf *conf;
	struct front *front;
	struct tls_client *tls; /* towards the backend */
	_Atomic int starttls;   /* enum starttls_seen: what the backend offers */
	_Atomic bool closed;    /* must not serve yet: the open-relay probe is undecided */
	bool probe_failed;      /* told the operator; the prober's alone */
};

/* What all threads share; filled by server.c before the workers start. */
struct server {
	const struct conf *conf;
	struct hosted *hosted;
	struct resolving *resolving;
	struct resolver *resolver;   /* resolving's */
	struct primaries *primaries; /* NULL: nobody wants to know */
	struct memory *memory;
	struct prover *prover;
	struct tls_server *tls; /* NULL: no certificates */
	struct event_sink *events;
	struct listener *listeners; /* conf->n_listeners */
	struct prefix_set interfaces;
	size_t tarpit_max; /* clients that one worker drips to */
	char hostname[256];
	_Atomic uint64_t sessions_total;
};

struct worker;

/* Binds its sockets, then starts the thread. 0; 1: an address can't be had, the operator was told;
 * -errno. */
int worker_new(struct server *server, int number, struct worker **ret_worker);
/* Any thread: no new sessions; those without a transaction end now, the others when it is done, all
 * within limit_ms. Then the worker ends. */
void worker_drain(struct worker *w, int64_t limit_ms);
bool worker_is_done(const struct worker *w);
/* Waits for its end. */
void worker_join(struct worker *w);

/* ---- for sessions, in the worker's thread ---- */

struct worker_shared {
	struct server *server;
	uv_loop_t loop;
	struct resolver_port *port;
	struct tarpit *tarpit;
	int number;
	bool draining;
	uint32_t next_id;
	struct named_event *named; /* judge.c's */
	size_t n_named;
	char scratch[WORKER_SCRATCH]; /* what was just read; nobody's after a callback returns */
};

void worker_session_begun(struct worker_shared *shared, struct session *s);
void worker_session_ended(struct worker_shared *shared, struct session *s);
