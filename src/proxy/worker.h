/*
 * A worker: one thread, one loop, its own listening sockets (SO_REUSEPORT), its sessions. Workers
 * share what is in struct server; each of them reads the door table through a port of its own.
 */
#pragma once

#include "conf/conf.h"
#include "dns/resolver.h"
#include "event/event.h"
#include "event/metrics.h"
#include "policy/memory.h"
#include "proxy/conn.h"
#include "proxy/limiter.h"
#include "proxy/setup.h"
#include "proxy/sockets.h"
#include "proxy/tarpit.h"

#include <stdatomic.h>

#define WORKER_SCRATCH (128 * 1024)

struct session;
struct enforcing;
struct hosted;
struct named_event;
struct prover;
struct backends;
struct primaries;
struct resolving;

/* What all threads share; filled by server.c before the workers start. A session goes by its own
 * setup, never by this one's. */
struct server {
	struct setup *setup; /* the main thread's alone: for the sessions from now on */
	struct hosted *hosted;
	struct resolving *resolving;
	struct resolver *resolver; /* resolving's */
	struct backends *backends;
	struct primaries *_Atomic primaries; /* NULL: nobody wants to know */
	struct memory *memory;
	struct limiter *limiter;
	struct prover *prover;
	struct event_sink *events;
	struct enforcing *enforcing;
	struct metrics metrics;
	size_t tarpit_max; /* clients that one worker drips to */
	char hostname[256];
};

struct worker;

struct worker_conf {
	struct server *server;
	struct setup *setup;     /* a reference is taken, of both */
	struct sockets *sockets; /* its own are those of its slot */
	int number, workers;
};
/* Starts the thread. 0, -errno. */
int worker_new(const struct worker_conf *conf, struct worker **ret_worker);
/* Any thread: for new sessions from now on; a reference of both is taken. What waits on a socket
 * that is none any more is accepted before. 0, -ENOMEM. */
int worker_change(struct worker *w, struct setup *setup, struct sockets *sockets);
/* Any thread: no new sessions; those without a transaction end now, the others when it is done, all
 * within limit_ms. Then the worker ends. */
void worker_drain(struct worker *w, int64_t limit_ms);
/* Any thread: no new sessions, another process takes them. Sessions go on for gentle_ms, then as
 * with worker_drain(), until limit_ms from now. */
void worker_hand_over(struct worker *w, int64_t gentle_ms, int64_t limit_ms);
bool worker_is_done(const struct worker *w);
/* Did its loop turn since the last call, and within the last seconds? One caller. */
bool worker_answers(struct worker *w);
/* Waits for its end. */
void worker_join(struct worker *w);

/* ---- for sessions, in the worker's thread ---- */

struct worker_shared {
	struct server *server;
	struct setup *setup; /* of sessions that begin now */
	uv_loop_t loop;
	struct poller poller; /* of loop */
	struct resolver_port *port;
	struct tarpit *tarpit;
	int number;
	bool draining;
	uint32_t next_id;
	int pipe[2];               /* session_chunk.c's: empty but within a call; -1: not open */
	struct named_event *named; /* judge.c's */
	size_t n_named;
	char scratch[WORKER_SCRATCH]; /* what was just read; nobody's after a callback returns */
};

/* At a limit: counted, and told the operator, not each time. client: NULL, or whose session. */
void worker_at_limit(struct worker_shared *shared, const struct listener *listener,
		     enum metric metric, const char *words, const struct addr *client);
#define WORKER_REFUSAL_MAX 512
/* The 421 of a client that was not admitted, into out. */
struct sv worker_refusal(const struct worker_shared *shared, enum limiter_outcome why,
			 char out[WORKER_REFUSAL_MAX]);
void worker_session_begun(struct worker_shared *shared, struct session *s);
void worker_session_ended(struct worker_shared *shared, struct session *s);
