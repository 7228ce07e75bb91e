/*
 * Counting in the running daemon: workers tell what became of each recipient, and one owner, the
 * main thread, counts it (policy/proof.h, proof_recent.h, pace.h), tells memory what follows, saves
 * it in the background, and notices what others write to the state file: frontdoor logs --learn,
 * and frontdoor scanners --accept|--deny|--forget.
 *
 * Workers never wait: what they tell goes into a bounded queue, and is dropped and counted when
 * that is full. Names of clients outside are looked up before these are counted, PROVER_NAMES_MAX
 * at once; of more, and when DNS fails, the client counts as one that has a name. Trouble with the
 * disk is logged, and what could not be saved is tried again with what came since.
 */
#pragma once

#include "conf/conf.h"
#include "dns/resolver.h"
#include "event/event.h"
#include "policy/memory.h"
#include "policy/proof.h"

#define PROVER_QUEUE_MAX 50000
#define PROVER_NAMES_MAX 5000

struct prover;

struct prover_conf {
	const struct conf *conf;
	struct memory *memory;
	struct event_sink *events; /* may be NULL; prover_set_events() */
};

/* Reads the state file and tells memory; what there is to say of that is logged. 0, -ENOMEM. */
int prover_new(const struct prover_conf *conf, struct prover **ret_prover);
/* Not while workers run. */
void prover_set_events(struct prover *p, struct event_sink *events);
/* In the thread of the loop: what is proven is judged by this configuration now, but for its state
 * file. It must live until the next call, or the end. */
void prover_change(struct prover *p, const struct conf *conf);
/* The same thread. Saves all that is counted so far; what is counted from now on is added to the
 * file, whoever else saves there. false: something is being saved, try again. */
bool prover_hand_over(struct prover *p);
/* Nobody took over. */
void prover_stay(struct prover *p);
/* Begins to count, in the thread of loop. */
int prover_start(struct prover *p, uv_loop_t *loop, struct resolver *resolver);
/* No more jobs begin; false: one is under way. */
bool prover_end(struct prover *p);
/* When workers have ended, prover_end() has said true and the loop runs no more: counts what was
 * told, saves it, and lets the loop close what it has to. */
void prover_stop(struct prover *p);
void prover_free(struct prover *p);

/* ---- any thread ---- */

/* One recipient of a message, or of an attempt to deliver one. */
struct prover_mail {
	const char *session; /* with transaction: the message, which counts once for a domain */
	uint32_t transaction;
	const char *domain;  /* lower-case A-labels */
	const char *scanner; /* ""; then there is no more to tell than hosted */
	const char *mx_host; /* of that scanner; outside only */
	struct addr client;
	bool inside;   /* the scanner's egress */
	bool accepted; /* with its message; else it was offered */
	bool hosted;   /* the domain is known to be hosted since this message */
};
void prover_tell(struct prover *p, const struct prover_mail *m);

/* memory_retry(), and the event when the network passes from now on. */
bool prover_retried(struct prover *p, const char *domain, const char *scanner,
		    const struct addr *client);

struct prover_stats {
	uint64_t told, dropped, saved, save_failed;
};
void prover_stats(const struct prover *p, struct prover_stats *ret_stats);

/* ---- for tests: what a timer calls in the loop ---- */
void prover_tick(struct prover *p);
