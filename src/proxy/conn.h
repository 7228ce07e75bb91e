/*
 * One TCP connection in a worker's loop: non-blocking, what can't be sent at once is queued up to a
 * cap. The seam behind which encryption or another way of doing I/O goes: after conn_secure() the
 * same calls read and write through TLS.
 */
#pragma once

#include "base/addr.h"
#include "base/buf.h"
#include "proxy/poller.h"

#include <sys/types.h>

#include <openssl/types.h>

#define CONN_READABLE POLLER_READABLE
#define CONN_WRITABLE POLLER_WRITABLE
#define CONN_BROKEN   POLLER_BROKEN
#define CONN_SECURED  8 /* the handshake is done */

struct conn;
struct conn_tls;
typedef void (*conn_ready_fn)(struct conn *c, int ready);
typedef void (*conn_closed_fn)(struct conn *c);

struct conn {
	struct watch watch;
	int fd;               /* -1: not open */
	bool open;            /* the handle is initialized, conn_close() was not called yet */
	bool reading;         /* wanted; takes effect with conn_arm() */
	bool connecting;      /* readable or writable will mean connected, broken that it is not */
	bool speaks_first;    /* we do: while connecting, there is nothing to wait for but that */
	uint8_t handles;      /* that are closing */
	struct buf out;       /* with TLS, cleared only when nothing is sent any more */
	struct conn_tls *tls; /* NULL: in the clear */
	conn_ready_fn ready;
	conn_closed_fn closed;
	void *user;
};

/* Takes fd over, closes it on failure. A TCP socket has TCP_NODELAY: what is sent at once belongs
 * together. */
int conn_open(struct conn *c, struct poller *poller, int fd, size_t out_max, conn_ready_fn ready,
	      void *user);
/* Closes at once; closed() comes when the memory of c may go. Only on an open one. */
void conn_close(struct conn *c, conn_closed_fn closed);
/* The same, but the descriptor lives on: it is returned. Never after conn_secure(): who takes it
 * could not go on with the encryption. */
int conn_detach(struct conn *c, conn_closed_fn closed);

/*
 * TLS from now on: the handshake begins when what is queued has gone out in the clear. Takes ssl
 * over, on failure too. Until its end nothing queued later is sent and ready() is not called; then
 * it is, never below a call of ours: with CONN_SECURED, or as for a broken connection, and
 * conn_tls_error() says why. What was read in the clear before is the caller's to forget (RFC 3207
 * 4.2). Once only, and not while connecting. 0; -ENOMEM.
 */
int conn_secure(struct conn *c, SSL *ssl);
/* The handshake is done. */
bool conn_is_secure(const struct conn *c);
/* Why TLS failed, in words that live as long as the program; NULL: it did not. */
const char *conn_tls_error(const struct conn *c);

/* > 0: bytes; 0: end of file; -EAGAIN; another -errno: the connection is broken. */
ssize_t conn_read(struct conn *c, void *to, size_t size);
/* Queues; large ones are sent at once as far as that goes. 0; -ENOBUFS: over the cap; -errno:
 * broken. */
int conn_send(struct conn *c, struct sv bytes);
/* 0: nothing is queued any more; 1: something is; -errno: broken. */
int conn_flush(struct conn *c);
/* Nothing more will be sent; only when nothing is queued. With TLS the peer is told that too
 * (close_notify). More than once does no harm. */
void conn_shutdown_write(struct conn *c);
/* Waits for what is wanted now: reading, and writability while something is queued. */
void conn_arm(struct conn *c);
