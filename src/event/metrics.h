/*
 * What is counted for status, top and the metrics page. Any thread counts, any thread reads; nobody
 * waits.
 */
#pragma once

#include "event/event.h"

#include <pthread.h>
#include <stdatomic.h>

/* Add here and in metrics.c. */
enum metric {
	METRIC_SESSIONS, /* taken */
	METRIC_SESSIONS_ENDED,
	METRIC_LIMIT_TOTAL,    /* sessions refused: too many in all */
	METRIC_LIMIT_CLIENT,   /* too many of one client prefix */
	METRIC_LIMIT_RATE,     /* too many a second */
	METRIC_LIMIT_MEMORY,   /* sessions ended or refused: buffers in all */
	METRIC_LIMIT_COMMANDS, /* sessions ended: too many commands */
	METRIC_LIMIT_ERRORS,   /* too many errors */
	METRIC_LIMIT_SLOW,     /* below the least data rate, or a time limit of RFC 5321 4.5.3.2 */
	METRIC_BACKEND_DOWN,   /* sessions refused: the backend does not answer */
	METRIC_RELOADS,        /* configurations taken */
	METRIC_RELOADS_FAILED,
	METRIC_COUNT,
};

/* Times in ms; counts[i]: those not above bounds[i], and above the one before; the last one counts
 * the rest. */
#define HISTOGRAM_BOUNDS 12
struct histogram {
	uint32_t bounds[HISTOGRAM_BOUNDS];
	_Atomic uint64_t counts[HISTOGRAM_BOUNDS + 1];
	_Atomic uint64_t sum_ms;
};
void histogram_add(struct histogram *h, int64_t ms);

/* Recipients by what was decided, of one listener. */
struct metrics_listener {
	char name[64];
	_Atomic uint64_t verdicts[FINDING_COUNT][REASON_COUNT][ACTION_COUNT];
};

/* Listeners of all configurations that this process has had; what is beyond them is counted as one
 * called "other". */
#define METRICS_LISTENERS_MAX 64

/*
 * The most frequent of many keys, in bounded memory (Metwally, Agrawal, El Abbadi: "Efficient
 * computation of frequent and top-k elements in data streams", 2005). A key counted more often than
 * total / TOP_SLOTS is among them; its count is too high by error at most. Counts are halved every
 * TOP_HALF_MS, so that what is over goes away.
 */
#define TOP_SLOTS   256
#define TOP_KEY_MAX 80
#define TOP_HALF_MS (10 * 60 * 1000LL)
struct top {
	pthread_mutex_t lock;
	size_t n;
	int64_t halved_ms;
	uint64_t hash[TOP_SLOTS], count[TOP_SLOTS], error[TOP_SLOTS];
	char key[TOP_SLOTS][TOP_KEY_MAX]; /* cut */
};
struct top_row {
	char key[TOP_KEY_MAX];
	uint64_t count, error;
};
void top_init(struct top *t);
void top_deinit(struct top *t);
void top_add(struct top *t, struct sv key, int64_t now_ms);
/* The first max by count into rows. Returns how many. */
size_t top_read(struct top *t, int64_t now_ms, struct top_row *rows, size_t max);

struct metrics {
	_Atomic uint64_t counters[METRIC_COUNT];
	struct histogram verdict_time; /* from RCPT until it is decided */
	struct histogram session_time;
	struct top clients, domains; /* of direct delivery */
	pthread_mutex_t lock;        /* for adding a listener */
	_Atomic size_t n_listeners;
	struct metrics_listener *listeners[METRICS_LISTENERS_MAX];
};

void metrics_init(struct metrics *m);
void metrics_deinit(struct metrics *m);
/* The one of that name; NULL: no memory. It stays until metrics_deinit(). */
struct metrics_listener *metrics_listener(struct metrics *m, const char *name);
/* A recipient has been judged, and its end is known. listener may be NULL. */
void metrics_verdict(struct metrics *m, struct metrics_listener *listener,
		     const struct event_rcpt *e);
/* Verdicts by one of their parts. */
struct metrics_sums {
	uint64_t findings[FINDING_COUNT], reasons[REASON_COUNT], actions[ACTION_COUNT], all;
};
void metrics_sum(const struct metrics *m, struct metrics_sums *ret_sums);
/* Adds to sums. */
void metrics_sum_listener(const struct metrics_listener *l, struct metrics_sums *sums);

static inline uint64_t metrics_get(const struct metrics *m, enum metric what)
{
	return atomic_load_explicit(&((struct metrics *)m)->counters[what], memory_order_relaxed);
}

static inline void metrics_add(struct metrics *m, enum metric what, uint64_t n)
{
	atomic_fetch_add_explicit(&m->counters[what], n, memory_order_relaxed);
}

const char *metric_name(enum metric v); /* "sessions", ... */
const char *metric_help(enum metric v); /* a sentence */
