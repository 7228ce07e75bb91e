/*
 * How much one client and all together may take of us: sessions at a time, new ones a minute,
 * memory. Shared by the workers; one short lock of many for each session that begins or ends, none
 * in between. Memory is bounded: a fixed table of client prefixes (an IPv4 address, an IPv6 /64),
 * in which those with sessions are never replaced. A prefix that finds no room is not counted: the
 * total still holds.
 *
 * A quarter of all sessions, LIMITER_KEPT_MAX at most, is kept for clients that must get through:
 * those in `trusted`, and those that mail of a scanner came from within LIMITER_KNOWN_MS. When
 * these have a quarter, a scanner is as any client. The numbers come with each call, so that
 * another configuration counts at once.
 */
#pragma once

#include "base/addr.h"
#include "conf/limits_conf.h"
#include "event/metrics.h"

#define LIMITER_KNOWN_MS (7 * 24 * 3600 * 1000LL)
#define LIMITER_KEPT_MAX 800
#define LIMITER_TELL_MS  (60 * 1000LL)
/* Of a minute's new connections, so many seconds' may come at once. */
#define LIMITER_BURST_S 10

struct limiter;

enum limiter_who {
	LIMITER_ANYBODY,
	LIMITER_TRUSTED,
	LIMITER_BALANCER, /* who the client is, its PROXY header will say: only the total counts */
};

enum limiter_outcome {
	LIMITER_ADMITTED,
	LIMITER_TOTAL,
	LIMITER_CLIENT,
	LIMITER_RATE,
	LIMITER_MEMORY,
};

/* What a session has taken. All zero: nothing. */
struct limiter_ticket {
	uint64_t key;
	bool counted; /* in its client's entry */
	bool known;   /* within the quarter */
	bool held;
};

/* sessions: how many descriptors carry; memory: the host's, octets. 0; -ENOMEM. */
int limiter_new(size_t sessions, uint64_t memory, struct limiter **ret_limiter);
void limiter_free(struct limiter *l);

/* *ret_ticket is set when admitted; given back by limiter_release(), once. */
enum limiter_outcome limiter_admit(struct limiter *l, const struct limits_conf *conf,
				   const struct addr *client, enum limiter_who who, int64_t now_ms,
				   struct limiter_ticket *ret_ticket);
void limiter_release(struct limiter *l, struct limiter_ticket *ticket);
/* Mail came from inside a scanner's egress. */
void limiter_heard_scanner(struct limiter *l, const struct addr *client, int64_t now_ms);

/* The same by key, until then at most; and all of them, by key: to keep them over a restart. */
void limiter_know(struct limiter *l, uint64_t key, int64_t until_ms, int64_t now_ms);
void limiter_known_each(struct limiter *l, int64_t now_ms,
			void (*fn)(void *user, uint64_t key, int64_t until_ms), void *user);

/* A session becomes a client that is dripped to: half of its descriptors stay in use; and n such
 * clients are gone. */
void limiter_drip(struct limiter *l);
void limiter_undrip(struct limiter *l, size_t n);

/* Sessions at a time, at most. */
size_t limiter_connections(const struct limiter *l, const struct limits_conf *conf);
size_t limiter_sessions(const struct limiter *l);
/* Buffers hold more than they may: nobody is read whose own are not nearly empty. */
bool limiter_is_tight(const struct limiter *l, const struct limits_conf *conf);

/* What the client is told after 421: enhanced code, and words. */
const char *limiter_code(enum limiter_outcome why);
const char *limiter_words(enum limiter_outcome why);
enum metric limiter_metric(enum limiter_outcome why);

/*
 * Something was refused or ended for this reason: true at most once in LIMITER_TELL_MS, with how
 * many it were since the last time, this one among them.
 */
bool limiter_tell(struct limiter *l, enum metric why, int64_t now_ms, uint64_t *ret_n);
