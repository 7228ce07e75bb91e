/*
 * A session: one client's connection, the backend's connection for it, and the dialog between them.
 * It owns both, its time limits and its open questions; nothing else does. It lives in one worker's
 * thread.
 */
#pragma once

#include "proxy/proxy_header.h"
#include "proxy/worker.h"
#include "smtp/dialog.h"

#define SESSION_ID_LEN 12

/* Of the client's connection. */
enum session_phase {
	SESSION_HEADER,    /* a PROXY header is awaited: who the client is isn't known yet */
	SESSION_HANDSHAKE, /* encrypted from the first octet: that is awaited */
	SESSION_TALKS,
};

struct session {
	struct session *next, *prev; /* the worker's list */
	struct worker_shared *worker;
	struct setup *setup;       /* held */
	struct listener *listener; /* of it */
	struct conn client, backend;
	struct buf client_in, backend_in; /* read, not taken by the dialog yet */
	struct dialog dialog;
	struct endpoint peer;        /* the client */
	struct endpoint server;      /* where it went; behind a load balancer, what that one says */
	struct endpoint destination; /* of its connection to us, before it was steered here */
	int64_t begun_ms, deadline_ms;
	/* What the deadline was set for: whose turn, and of which command or reply. */
	bool timed;
	enum dialog_wait waits;
	uint32_t turn;
	struct limiter_ticket ticket;
	uint32_t slow_s, slow_octets; /* of the message: seconds waited for it, what came */
	int64_t connecting_ms;        /* since then, the backend */
	uint32_t refused, accepted;   /* recipients refused by us; messages accepted */
	uint64_t fetch;               /* of the next recipient's door; 0: none */
	enum session_phase phase;
	uint8_t securing;      /* bits by enum dialog_side: in a handshake */
	uint8_t secure_failed; /* the same: it could not even begin */
	struct proxy_lure lure;
	struct dialog_xclient *xclient; /* NULL: not sent */
	struct resolver_query name_query;
	bool naming; /* name_query is open */
	bool trusted;
	bool relay; /* bytes are copied; the dialog has nothing to say any more */
	bool client_eof, backend_eof;
	bool backend_deaf; /* takes no more bytes */
	bool greeted;      /* the backend has said something */
	bool misled;       /* was greeted from here with what the backend doesn't offer any more */
	bool dialog_open;
	bool tight;     /* not read as it would be: the buffers of all hold too much */
	bool lingering; /* the last words are out; what the client still sends is thrown away */
	bool dead;      /* waits for its handles to close */
	bool settling;
	uint8_t handles; /* not closed yet */
	char *front;     /* the block that front_wanted() made */
	char id[SESSION_ID_LEN + 1];
	char peer_text[ADDR_STRLEN];
};

/* Takes fd over, and the ticket. */
void session_start(struct worker_shared *w, struct listener *listener, int fd,
		   const struct endpoint *peer, const struct endpoint *server,
		   const struct limiter_ticket *ticket);
/* Once a second: ends it when its time is up. */
void session_check_time(struct session *s, int64_t now_ms);
void session_drain(struct session *s);
/* At once, unanswered. */
void session_kill(struct session *s);
/* Lets the dialog and the connections go on after something has happened to the dialog (a verdict).
 */
void session_go_on(struct session *s);
