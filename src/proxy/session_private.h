/*
 * Inside a session: how it begins (session_open.c: who the client is, encryption, the way to the
 * backend), how it goes on (session.c: bytes, ends) and what it may take (session_limits.c).
 */
#pragma once

#include "proxy/session.h"

#define SESSION_OUT_MAX      (1024 * 1024)
#define SESSION_IN_MAX       (WORKER_SCRATCH + 64 * 1024)
#define SESSION_HANDSHAKE_MS (60 * 1000)
#define SESSION_OUT_PAUSE    (128 * 1024)

/* ---- session.c ---- */

void session_end(struct session *s);
/* After every event: see the head of session.c. */
void session_settle(struct session *s);
void session_client_ready(struct conn *c, int ready);
void session_backend_ready(struct conn *c, int ready);
int session_send(struct dialog *d, enum dialog_side to, struct sv bytes);
/* Of a client that has no dialog: text in the clear, then the end. */
void session_refuse(struct session *s, struct sv text);
/* The client is told. */
void session_connect_failed(struct session *s, const char *error);

static inline bool session_is_talking(const struct session *s)
{
	return s->dialog_open && s->dialog.state == DIALOG_TALKING;
}

/* Once a second: the kernel would try for minutes. */
void session_check_connecting(struct session *s, int64_t now_ms);

/* ---- session_chunk.c ---- */

enum chunk_move { CHUNK_TO_READ, CHUNK_MOVED, CHUNK_MORE };
/* What the client has sent of a large chunk goes to the backend within the kernel.
 * CHUNK_TO_READ: it is to be read as anything else is. CHUNK_MORE: there is more, come again. */
enum chunk_move session_move_chunk(struct session *s);

/* ---- session_limits.c ---- */

/* Before conn_arm(): whose turn it is, and until when. */
void session_set_deadline(struct session *s);
/* Before conn_arm(): may take reading back. */
void session_spare_memory(struct session *s);
/* At the dialog's end: tells the operator if that was for a limit. */
void session_note_limit(struct session *s);

/* ---- session_open.c ---- */

const struct endpoint *session_backend(const struct session *s);
/* Before SESSION_TALKS. */
void session_opening_ready(struct session *s, int ready);
/* The backend's connection is there. true: its handshake has begun, or has failed already. */
bool session_secure_connected(struct session *s);
/* What was read in the clear of a side that is now in its handshake is forgotten. */
void session_handshakes_begun(struct session *s);
/* true: the event was the end of that side's handshake. */
bool session_handshake_ended(struct session *s, enum dialog_side side, int ready);
