/*
 * A connection under test on one end of a socket pair, and a peer on the other that speaks TLS by
 * way of memory, so that a test decides how many octets cross at a time.
 */
#pragma once

#include "proxy/conn.h"

#include <openssl/ssl.h>

/* The connection's side, as a session would be. */
struct side {
	struct conn c;
	bool secured, broken, eof, closed;
	int error;    /* of reading: -errno */
	int readies;  /* calls of ready() */
	int secures;  /* with CONN_SECURED */
	size_t limit; /* pause reading when so much has come in; 0: never */
	size_t at_once;
	bool no_flush; /* what is queued stays, until the test says so */
	char *in;      /* ended by NUL */
	size_t n_in;
};

struct peer {
	SSL *ssl; /* NULL: it speaks in the clear */
	BIO *from_wire, *to_wire;
	int fd;
	size_t at_once; /* octets at a time, each way; 0: all */
	bool deaf;      /* takes nothing from the wire */
	bool done;      /* handshake */
	bool eof;       /* of the socket */
	bool notified;  /* close_notify came */
	int error;      /* SSL_get_error() of what failed for good */
	char *in;
	size_t n_in;
};

struct wire {
	uv_loop_t loop;
	struct poller poller;
	uv_timer_t later; /* so that the loop has something to wait for */
	struct side side;
	struct peer peer;
};

/* A peer in the clear, */
void wire_open(struct wire *w);
/* until it begins TLS; takes ssl over. */
void wire_peer_tls(struct wire *w, SSL *ssl);
void side_close(struct wire *w);
/* The socket only: no close_notify. */
void peer_close(struct wire *w);
/* Closes both, and fails when something is left over. */
void wire_close(struct wire *w);
/* Both go on by a step. */
void wire_step(struct wire *w);
void peer_step(struct wire *w);
/* Until cond, or it fails. */
void wire_never(const char *what);
#define wire_until(w, cond)                                                                        \
	do {                                                                                       \
		int steps_ = 0;                                                                    \
		while (!(cond)) {                                                                  \
			if (++steps_ > 200000)                                                     \
				wire_never(#cond);                                                 \
			wire_step(w);                                                              \
		}                                                                                  \
	} while (0)
/* Both do what they can, and the connection does not keep the loop busy. */
void wire_rest(struct wire *w);
void side_send(struct wire *w, const char *text);
/* Goes into the peer's TLS as far as that takes it; what is left is sent with the next steps. */
void peer_send(struct wire *w, const char *text, size_t n);
