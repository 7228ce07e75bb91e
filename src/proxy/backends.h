/*
 * Which backends can't be reached, or greet nobody, so that new sessions are told so at once
 * instead of each waiting for a connection of its own.
 *
 * A session whose connection fails, or that is not greeted for BACKENDS_SILENT_MS, raises a
 * suspicion; what decides is a probe, a connection from our own address (a backend may refuse one
 * client alone), which waits for a greeting as long as that session did if that is what was missed.
 * A backend that is down is probed each second until it answers. Where sessions reach what the
 * probe can't (routes by source address), the probe's word counts no more.
 *
 * Bounded: BACKENDS_MAX are remembered, BACKENDS_PROBING connections are open at once. What finds
 * no room is taken for up.
 */
#pragma once

#include "base/addr.h"
#include "conf/conf.h"
#include "event/event.h"

#include <uv.h>

#define BACKENDS_MAX      256
#define BACKENDS_PROBING  64
#define BACKENDS_PROBE_MS 3000
/* RFC 5321 4.5.3.2.1 has clients wait 5 minutes; a mail server that is well needs seconds. */
#define BACKENDS_SILENT_MS 30000

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
/* Its first octets came. */
void backends_greeted(struct backends *b, const struct endpoint *at);
/* A session is connected since since_ms and was not greeted for patience_ms. send: what a
 * connection has to begin with. Nothing follows when another session was greeted after since_ms. */
void backends_silent(struct backends *b, const struct endpoint *at, enum listener_send send,
		     int64_t since_ms, int64_t patience_ms);
