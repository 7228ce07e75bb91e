/*
 * Which backends can't be reached, so that new sessions are told so at once instead of each waiting
 * for a connection of its own.
 *
 * A session whose connection fails raises a suspicion; what decides is a probe, a connection from
 * our own address (a backend may refuse one client alone). A backend that is down is probed each
 * second until it answers. Where sessions reach what the probe can't (routes by source address),
 * the probe's word counts no more.
 *
 * Bounded: BACKENDS_MAX are remembered, BACKENDS_PROBING connections are open at once. What finds
 * no room is taken for up.
 */
#pragma once

#include "base/addr.h"
#include "event/event.h"

#include <uv.h>

#define BACKENDS_MAX      256
#define BACKENDS_PROBING  64
#define BACKENDS_PROBE_MS 3000

struct backends;

/* events may be NULL, and must outlive it. 0, -ENOMEM. */
int backends_new(struct event_sink *events, struct backends **ret_backends);
/* From now on it probes, in the loop's thread. 0, -errno. */
int backends_start(struct backends *b, uv_loop_t *loop);
/* No more of it; its handles close in the loop. */
void backends_stop(struct backends *b);
/* When no worker runs any more. NULL is fine. */
void backends_free(struct backends *b);
size_t backends_down(const struct backends *b); /* how many; any thread */

/* ---- workers ---- */

/* as_client: sessions come from their clients' addresses; then one a second is let through. */
bool backends_is_down(struct backends *b, const struct endpoint *at, bool as_client);
/* error: of connect(), positive. */
void backends_failed(struct backends *b, const struct endpoint *at, int error);
void backends_reached(struct backends *b, const struct endpoint *at);
