/*
 * What a worker waits for: its sockets, in an epoll instance of its own, and with them all of a
 * libuv loop (timers, other threads' wake-ups, the resolver). A uv_poll_t costs four system calls
 * before it is first waited for, and two with each change of what it waits for; a watch costs one
 * each. A socket is registered when something is wanted of it, and level-triggered.
 *
 * One thread; nothing is freed below a callback of its own: closed() comes at the turn's end.
 */
#pragma once

#include "base/base.h"

#include <uv.h>

#define POLLER_READABLE 1
#define POLLER_WRITABLE 2
#define POLLER_BROKEN   4 /* alone; nothing is waited for any more, until that is wanted again */

struct watch;
typedef void (*watch_ready_fn)(struct watch *w, int ready);
typedef void (*watch_closed_fn)(struct watch *w);

struct watch {
	struct poller *poller;
	struct watch *next; /* of those whose closed() is to come */
	watch_ready_fn ready;
	watch_closed_fn closed;
	int fd;
	int wanted; /* POLLER_READABLE, POLLER_WRITABLE */
	uint32_t serial;
};

struct poller {
	uv_loop_t *loop; /* the owner's */
	int fd;
	struct watch **by_fd; /* NULL: not watched */
	size_t n_by_fd;
	struct watch *closing, **closing_end;
	uint32_t serial;
};

/* 0; -errno. */
int poller_init(struct poller *p, uv_loop_t *loop);
/* Before uv_loop_close(). */
void poller_deinit(struct poller *p);
/* Waits once (or only looks), and serves what has come. false: the loop has nothing left that keeps
 * it alive (watches don't). */
bool poller_turn(struct poller *p, bool wait);

/* 0; -ENOMEM: the descriptor is still the caller's. */
int watch_open(struct watch *w, struct poller *p, int fd, watch_ready_fn ready);
/* 0: nothing. 0; -errno: it can't be waited for. */
int watch_want(struct watch *w, int wanted);
/* The descriptor too. ready() comes no more; closed() does, later. */
void watch_close(struct watch *w, watch_closed_fn closed);
/* The same, but the descriptor is the caller's again. */
void watch_detach(struct watch *w, watch_closed_fn closed);
