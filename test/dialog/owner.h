/*
 * A session without sockets around a real dialog: keeps what the dialog leaves, offers it again,
 * and records every byte of either side. For unit tests, replays and fuzzing.
 *
 * Each piece of input is a copy of its exact size, gone after the call: a view kept too long or a
 * read past the end shows under a sanitizer.
 */
#pragma once

#include "base/buf.h"
#include "smtp/dialog.h"

struct owner;

struct owner_rcpt {
	struct owner_rcpt *next;
	struct owner *owner;
	struct dialog_rcpt *rcpt; /* NULL after its end */
	char address[PATH_LOCAL_MAX + PATH_DOMAIN_MAX + 2];
	bool waiting; /* for its verdict */
	bool passed;  /* by its verdict */
	int reply;    /* what the client was told; 0: nothing yet */
	int n_replies;
	int code; /* of its end */
	int n_ends;
	uint64_t octets;
	void *user; /* the judge's */
};

/* Answers by owner_verdict(), now or later; path is valid now only. */
typedef void (*owner_judge_fn)(struct owner *o, struct owner_rcpt *r, const struct smtp_path *path);

struct owner {
	struct dialog d;
	bool open; /* the dialog is there: it is gone once its state is no longer TALKING */
	enum dialog_state state;
	bool drop_readahead;
	bool client_eof, backend_eof;
	bool connected; /* a backend is there, or on its way */
	int connects;
	int heard_greetings, heard_ehlos;
	struct buf client_in, backend_in;                            /* left by the dialog */
	struct buf from_client, from_backend, to_client, to_backend; /* all there ever was */
	/* The same as owner_check() reads it: since TLS began at the client, and without what the
	 * dialog says to the backend on its own account. */
	struct owner_record {
		struct buf from_client, from_backend, to_client, to_backend;
	} record;
	bool securing[2]; /* by enum dialog_side: a handshake is under way */
	bool name_wanted;
	int troubles;
	struct buf tarpit;
	int feeding;      /* inside dialog_feed() */
	bool carries;     /* chunks go past the dialog: dialog_carried() */
	uint64_t carried; /* octets */
	bool lazy;        /* checked at the end only: for runs of very many events */
	struct owner_rcpt *rcpts, **rcpts_end;
	owner_judge_fn judge;
	void (*ended)(struct owner *o, struct owner_rcpt *r); /* NULL is fine */
	void *user;
};

/* Of the three digits that p starts with; 0 when these are none. */
static inline int owner_code(const char *p)
{
	for (int i = 0; i < 3; i++)
		if (!ascii_is_digit(p[i]))
			return 0;
	return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
}

#define OWNER_HOSTNAME "fd.example"
#define OWNER_ID       "id1"
#define OWNER_CLIENT   "192.0.2.9"
#define OWNER_BANNER   "220 b.example ESMTP\r\n"
#define OWNER_EHLO_TLS "250-b.example\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"
#define OWNER_EHLO     "250-b.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 HELP\r\n"

/* conf: ops, hostname, id and client are filled in here. */
void owner_start(struct owner *o, struct dialog_conf conf, owner_judge_fn judge, void *user);
/* Ends the dialog if it is open still, checks the run once more, frees all. */
void owner_end(struct owner *o);
/* The dialog alone, so that its recipients' ends can be looked at. */
void owner_close(struct owner *o);

/* What the world does. Without effect where it can't be: bytes after an end of file, a backend that
 * was not connected to, anything when the dialog is over. In DIALOG_RELAY bytes are copied. */
void owner_client(struct owner *o, struct sv bytes);
void owner_backend(struct owner *o, struct sv bytes);
void owner_client_eof(struct owner *o);
void owner_backend_eof(struct owner *o);
void owner_backend_failed(struct owner *o, const char *why);
/* The handshake of that side, which must be under way, is done or has failed. */
void owner_secured(struct owner *o, enum dialog_side side, bool ok);
void owner_name(struct owner *o, struct sv name);
void owner_timeout(struct owner *o);
void owner_drain(struct owner *o);
void owner_verdict(struct owner_rcpt *r, const struct dialog_verdict *v);

/* What must hold after every event of every run (check.c); stops the program when it doesn't. */
void owner_check(const struct owner *o);
