/* What the files about the prover share; of them only. */
#pragma once

#include "policy/pace.h"
#include "policy/proof_recent.h"
#include "proxy/prover.h"
#include "proxy/state.h"

#include <pthread.h>
#include <stdatomic.h>

struct naming;
struct told_mail;

#define PROVER_UNKNOWN 1

enum prover_job { JOB_NONE, JOB_LOOK, JOB_SAVE, JOB_LOAD };

/* What a thread of libuv's pool does with the state file; one thing at a time. */
struct prover_work {
	uv_work_t uv;
	enum prover_job job; /* JOB_NONE: nothing is under way */
	struct proof *proof; /* to save; loaded; what is settled */
	struct memory *learned;
	struct pace *pace; /* NULL: is not saved this time */
	int64_t saves, took_ms;
	int r;
	struct state_error error;
};

struct prover {
	struct prover_conf conf;
	char *state;    /* the file; conf.conf may change while it is written */
	bool successor; /* another process counts, too */
	uv_loop_t *loop;
	uv_timer_t timer;
	struct resolver_port *port;
	bool ending;

	pthread_mutex_t lock;
	struct told_mail *first, **end; /* of the queue */
	size_t queued;
	_Atomic uint64_t told, dropped, saved, save_failed;

	/* of the loop's thread */
	struct proof *proof; /* all of it */
	struct proof *news;  /* what isn't saved yet */
	struct proof_recent *recent;
	struct pace *pace;
	struct memory *learned; /* hosted domains and scanners heard that aren't saved yet */
	struct naming *naming;
	size_t n_naming;
	bool changed, urgent, offered, unsaved, pace_unsaved, merge, reload;
	bool silent; /* nothing is news */
	int64_t applied_ms, apply_took_ms, faded_ms, saved_ms, looked_ms, paced_ms, pace_saved_ms;
	int64_t complained_ms, disk_complained_ms;
	uint64_t dropped_told;
	struct map notes; /* scanner → struct noted */

	struct state_watch *watch;
	struct prover_work work;
	int64_t saves;
	uint64_t settled_hash; /* of what p->proof has; PROVER_UNKNOWN: look */
};

/* prover_notes.c: events, when something has changed. */
void prover_judged(void *prover, const char *scanner, const struct proof_state *state);
void prover_paced(void *prover, const struct pace_news *news);
void noted_free(void *noted);

/* prover_state.c */
void prover_state_tick(struct prover *p, int64_t now_ms);
void prover_count_now(struct prover *p); /* what was told so far */
void prover_save_now(struct prover *p);  /* in this thread */
/* Memory is told anew of everything. */
void prover_apply(struct prover *p);
