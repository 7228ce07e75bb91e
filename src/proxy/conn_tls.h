/*
 * The encrypted side of a connection: what conn.c does once conn_secure() was called. For conn.c
 * alone; contracts that conn.h has already are not repeated.
 */
#pragma once

#include "proxy/conn.h"

/* What the poll handle says, as CONN_...: calls c->ready() where that is for the session. */
void conn_tls_ready(struct conn *c, int ready);
/* The events to poll for, as UV_...; sees to it that the session hears of what needs none. */
int conn_tls_wants(struct conn *c);
ssize_t conn_tls_read(struct conn *c, void *to, size_t size);
int conn_tls_send(struct conn *c, struct sv bytes);
int conn_tls_flush(struct conn *c);
/* Tells the peer that nothing more comes, where that is possible and true. false: the socket takes
 * nothing at the moment; it is done as soon as it does, and then the socket is shut down. */
bool conn_tls_end(struct conn *c);
/* Frees all that is encryption's, by way of one more handle that closes. */
void conn_tls_close(struct conn *c);

/* conn.c's: from here on a copy into the queue costs more than a system call of its own. */
#define CONN_SEND_AT_ONCE 8192
void conn_handle_closed(struct conn *c);
