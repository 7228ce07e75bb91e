/*
 * One TCP connection in a worker's loop: non-blocking, what can't be sent at once is queued up to a
 * cap. The seam behind which encryption or another way of doing I/O goes.
 */
#pragma once

#include "base/addr.h"
#include "base/buf.h"

#include <sys/types.h>
#include <uv.h>

#define CONN_READABLE 1
#define CONN_WRITABLE 2
#define CONN_BROKEN   4

struct conn;
typedef void (*conn_ready_fn)(struct conn *c, int ready);
typedef void (*conn_closed_fn)(struct conn *c);

struct conn {
	uv_poll_t poll;
	int fd; /* -1: not open */
	int armed;
	bool open;       /* the handle is initialized, conn_close() was not called yet */
	bool reading;    /* wanted; takes effect with conn_arm() */
	bool connecting; /* writable will mean connected, or not */
	struct buf out;
	conn_ready_fn ready;
	conn_closed_fn closed;
	void *user;
};

/* Takes fd over, closes it on failure. */
int conn_open(struct conn *c, uv_loop_t *loop, int fd, size_t out_max, conn_ready_fn ready,
	      void *user);
/* Closes at once; closed() comes when the memory of c may go. Only on an open one. */
void conn_close(struct conn *c, conn_closed_fn closed);
/* The same, but the descriptor lives on: it is returned. */
int conn_detach(struct conn *c, conn_closed_fn closed);

/* > 0: bytes; 0: end of file; -EAGAIN; another -errno: the connection is broken. */
ssize_t conn_read(struct conn *c, void *to, size_t size);
/* Queues; large ones are sent at once as far as that goes. 0; -ENOBUFS: over the cap; -errno:
 * broken. */
int conn_send(struct conn *c, struct sv bytes);
/* 0: nothing is queued any more; 1: something is; -errno: broken. */
int conn_flush(struct conn *c);
/* Waits for what is wanted now: reading, and writability while something is queued. */
void conn_arm(struct conn *c);
