/*
 * When enforcing has to stop by itself (policy.enforce): after a complaint about mail that was
 * refused, or when the backend refuses much more of the scanners' mail for domains of the share
 * than for the others. From then on all is observed, until that is settled.
 *
 * - complaints: a file of the operator's, a domain or a client's address a line. One that was
 *   refused here (the last 65,536 domains and clients are remembered) stops enforcing until its
 *   line is gone; with the whole file gone, a disk that isn't there any more perhaps, until
 *   enforcing_resume(). Looked at every ENFORCING_LOOK_MS, in a thread of its own: disks may hang.
 * - rejections: recipients that came in by their own front door, in an hour; a share over
 *   max_rejections of those for domains in the share, and over twice that of the other domains,
 *   with ENFORCING_LEAST of each. Until enforcing_resume(). With a share of 0 or 100 % there is
 *   nothing to compare with.
 *
 * That it has stopped is kept in "STATE.enforcing", beside the state file.
 */
#pragma once

#include "base/buf.h"
#include "conf/conf.h"
#include "event/event.h"

#define ENFORCING_LOOK_MS 2000
#define ENFORCING_LEAST   50
#define ENFORCING_WHY_MAX 512

struct enforcing;

/* Reads what was kept. 0, -ENOMEM. events may be NULL. */
int enforcing_new(const struct conf *conf, struct event_sink *events, struct enforcing **ret_e);
/* Begins to look at complaints; not before privileges are dropped. */
int enforcing_start(struct enforcing *e);
void enforcing_free(struct enforcing *e);
/* From now on this configuration counts. */
void enforcing_reloaded(struct enforcing *e, const struct conf *conf);

/* ---- any thread; e may be NULL for the first two ---- */

bool enforcing_stopped(const struct enforcing *e);

struct enforcing_rcpt {
	const char *domain; /* lower-case A-labels */
	const struct addr *client;
	bool refused; /* by us, as delivered past the door */
	bool front;   /* passed as the door's own */
	int code;     /* the backend's last word; 0: none */
};
void enforcing_tell(struct enforcing *e, const struct enforcing_rcpt *r);

struct enforcing_view {
	double share; /* percent */
	bool stopped;
	int64_t since_ms; /* wall clock; when stopped */
	char why[ENFORCING_WHY_MAX];
};
void enforcing_view(struct enforcing *e, struct enforcing_view *ret_view);

/* The operator goes on. 0: enforcing; -EBUSY: the complaint still stands; text says so. */
int enforcing_resume(struct enforcing *e, struct buf *text);

/* Without a daemon: has the one with this configuration stopped, by what is kept? */
bool enforcing_was_stopped(const struct conf *conf);

/* ---- for tests: what the thread does each time ---- */
void enforcing_look(struct enforcing *e, int64_t now_ms);
