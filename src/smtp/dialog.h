/*
 * The conversation between one client and one backend, as bytes: bytes from both sides in, bytes
 * for both sides and calls of struct dialog_ops out. No I/O, no clock, no policy: who may deliver
 * is asked of ops->rcpt() and answered by dialog_verdict(), at once or later.
 *
 * Order (RFC 2920): every command that the client sent and that was not yet answered is an entry of
 * one queue, whether the backend or we will answer it. A reply is sent when its entry is the first.
 * Commands go to the backend in the client's order; while a recipient waits for its verdict,
 * only further RCPTs are read ahead, and nothing behind it is passed on.
 *
 * A transaction whose recipients were all refused by us never reaches the backend's DATA or BDAT:
 * DATA is answered 554 5.5.1, BDAT chunks are swallowed by count (RFC 3030 2).
 *
 * BDAT has no go-ahead: a server that refuses it and does not read its octets takes them for
 * commands. So it goes to the backend only once all replies before it are in, CHUNKING was offered,
 * a recipient is accepted and nothing of this message has failed; else it is swallowed here too.
 * Nor does anything go behind a chunk before its reply: Exim 4.96, when a message ends with a CR
 * before its body, takes the next command for more of it and answers one too few from then on.
 *
 * Fronted: when conf.front_banner is given, the backend is not there yet. Greeting, EHLO, MAIL,
 * RSET and NOOP are answered from here, and ops->connect() is called when the first permitted
 * recipient or any other command needs the backend; what the client said is then repeated to it.
 *
 * The approach (dialog_approach.c) is what is said to the backend before the client's own words:
 * STARTTLS where its leg is to be encrypted by then, XCLIENT, and what a fronted client has said.
 *
 * STARTTLS ended here (RFC 3207): the backend's handshake comes first where it is to have one, then
 * our 220, then the client's. Afterwards nothing that was said before counts: EHLO is needed again,
 * and what either side sent behind its last clear-text line is thrown away unread.
 */
#pragma once

#include "base/addr.h"
#include "smtp/body.h"
#include "smtp/command.h"
#include "smtp/line.h"
#include "smtp/path.h"
#include "smtp/reply.h"

#define DIALOG_QUEUE_MAX 256  /* commands read ahead of their replies */
#define DIALOG_RCPTS_MAX 1000 /* recipients held for a transaction; more get 452 4.5.3 */
#define DIALOG_HELO_MAX  255
#define DIALOG_TAG_MAX   2000 /* octets of the header that tag puts on top */
/* Octets of one BDAT: servers count them in 32 bits, signed or not, and a larger number means
 * another to them. */
#define DIALOG_CHUNK_MAX (INT32_MAX - DIALOG_TAG_MAX)

struct dialog;

enum dialog_side { DIALOG_CLIENT, DIALOG_BACKEND };

enum dialog_state {
	DIALOG_TALKING, /* feed it */
	DIALOG_RELAY,   /* both sides' bytes are to be copied from now on; nothing more can change a
			   verdict */
	DIALOG_TARPIT,  /* the backend is of no use any more; drip dialog->tarpit to the client */
	DIALOG_CLOSING, /* send what was given out, then close both sides */
};

enum dialog_starttls {
	DIALOG_STARTTLS_HIDE, /* not offered; 502 when tried */
	DIALOG_STARTTLS_PASS, /* the backend's; a 220 makes it DIALOG_RELAY */
	DIALOG_STARTTLS_OURS, /* offered and ended here: ops->secure() */
};

/* Whether the backend's leg is encrypted too (upstream_tls in frontdoor.yaml(5)). */
enum dialog_upstream_tls {
	DIALOG_UPSTREAM_MIRROR, /* when the client's is, and the backend offers STARTTLS */
	DIALOG_UPSTREAM_OFF,
	DIALOG_UPSTREAM_ALWAYS, /* or there is no session */
};

/* The client's identity for XCLIENT (Postfix's XCLIENT_README), as text. The name comes by
 * dialog_client_name(); HELO and PROTO are what the client itself says afterwards. */
struct dialog_xclient {
	char addr[ADDR_STRLEN + 5], port[6]; /* "192.0.2.1", "IPV6:2001:db8::1" */
	char destaddr[ADDR_STRLEN + 5], destport[6];
};

/* A class of messages: recipients of different classes can't share one. */
enum dialog_class { DIALOG_CLASS_PASS, DIALOG_CLASS_TAG, DIALOG_CLASS_SHARED };

enum dialog_verdict_kind { DIALOG_PASS, DIALOG_TAG, DIALOG_REFUSE, DIALOG_DRIP };

struct dialog_verdict {
	enum dialog_verdict_kind kind;
	/* DIALOG_REFUSE, DIALOG_DRIP: the reply, CRLF and all; copied. */
	struct sv reply;
	/* DIALOG_TAG: "domain" and "mx" for the header's lists; copied. */
	struct sv domain;
	struct sv mx;
	bool shared; /* DIALOG_TAG: the header says "shared-egress", not "direct": a class apart */
};

struct dialog_rcpt {
	struct dialog_rcpt *next;
	void *user;                   /* the owner's, from ops->rcpt() on until ops->rcpt_end() */
	const struct smtp_path *path; /* inside ops->rcpt() only */
	/* private */
	uint32_t transaction;
	uint32_t entry; /* number of the queue entry that answers it */
	bool answered;
	bool accepted;
};

struct dialog_ops {
	/* Bytes for a side; to be kept or sent by the owner, views of what was fed among them. < 0:
	 * no room or memory: the dialog then closes. */
	int (*send)(struct dialog *d, enum dialog_side to, struct sv bytes);
	/* One is to be judged next: what that takes may be brought near meanwhile. May be NULL. */
	void (*rcpt_near)(struct dialog *d, const struct smtp_path *path);
	/* A recipient to judge; answer by dialog_verdict(), here or later. */
	void (*rcpt)(struct dialog *d, struct dialog_rcpt *rcpt);
	/* What the client was told about it; not called when it never was (connection lost). */
	void (*rcpt_reply)(struct dialog *d, struct dialog_rcpt *rcpt, int code, struct sv reply);
	/* Once for each rcpt, in the end: its message was answered with code after octets bytes, or
	 * code is 0: refused, reset, or lost. The dialog forgets rcpt after it. */
	void (*rcpt_end)(struct dialog *d, struct dialog_rcpt *rcpt, int code, uint64_t octets);
	/* The backend is wanted (fronted dialogs only). */
	void (*connect)(struct dialog *d);
	/*
	 * TLS on that side: what was given out for it goes out in the clear, what was read from it
	 * and not taken is thrown away, then comes the handshake; answer by dialog_secured(),
	 * later.
	 */
	void (*secure)(struct dialog *d, enum dialog_side side);
	/* The backend can't be used as the configuration wants it: a line for the log. May be NULL.
	 */
	void (*trouble)(struct dialog *d, const char *why);
	/* The client's forward-confirmed name is wanted: dialog_client_name(), here or later. */
	void (*client_name)(struct dialog *d);
	/* The backend's greeting (ehlo false), or its EHLO reply as cut down. May be NULL. */
	void (*heard)(struct dialog *d, bool ehlo, struct sv reply);
};

struct dialog_conf {
	const struct dialog_ops *ops;
	enum dialog_starttls starttls;
	enum dialog_upstream_tls upstream_tls;
	bool client_tls, backend_tls;         /* that side is encrypted from its first octet */
	const struct dialog_xclient *xclient; /* NULL: not sent; outlives the dialog */
	enum body_bare bare;
	bool relay_authenticated; /* after the backend's 235 the rest is copied: DIALOG_RELAY */
	/* Of a session; 0: none. Errors are 5xx replies since the last accepted message. Beyond it
	 * the next command is answered 421, but within a transaction DIALOG_RCPTS_MAX later: one
	 * message with many bad recipients must not fail for ever. */
	uint32_t commands_max, errors_max;
	const char *hostname;     /* in our own 421 replies; outlives the dialog */
	const char *id;           /* session id, in the same */
	const char *client;       /* the client's address as text, for the tag header */
	struct sv front_banner;   /* fronted: "220 ...\r\n"; outlives the dialog. n == 0: not */
	struct sv front_ehlo;     /* fronted: the EHLO reply as offered in the clear, and */
	struct sv front_ehlo_tls; /* once TLS is on; n == 0: the backend is asked */
};

enum dialog_wait { /* whose turn it is, for the owner's timeouts (RFC 5321 4.5.3.2) */
		   DIALOG_WAIT_COMMAND,       /* client: 5 minutes */
		   DIALOG_WAIT_DATA,          /* client: 3 minutes a block */
		   DIALOG_WAIT_VERDICT,       /* ours */
		   DIALOG_WAIT_BACKEND,       /* 5 minutes */
		   DIALOG_WAIT_BACKEND_DATA,  /* 2 minutes: its reply to DATA */
		   DIALOG_WAIT_BACKEND_FINAL, /* 10 minutes after the final dot */
		   DIALOG_WAIT_HANDSHAKE,     /* client: its TLS handshake */
		   DIALOG_WAIT_COUNT,
};

enum dialog_limit { DIALOG_NO_LIMIT, DIALOG_LIMIT_COMMANDS, DIALOG_LIMIT_ERRORS };

struct dialog_private;

struct dialog {
	struct dialog_conf conf;
	void *user; /* the owner's */
	enum dialog_state state;
	bool authenticated;
	bool esmtp;
	bool client_tls, backend_tls; /* encrypted, and ended here */
	bool backend_starttls;        /* the backend's last EHLO reply offered STARTTLS */
	struct sv front_told;  /* the EHLO reply that the client was given from here, of conf's */
	bool backend_chunking; /* the same of CHUNKING; false after HELO */
	bool drop_readahead;   /* with DIALOG_RELAY: what was read before it must not be copied (RFC
				  3207 4.2) */
	bool backend_done;     /* the backend's connection is of no use any more: close it */
	bool linger; /* with DIALOG_CLOSING: the client may be sending still; let it read our last
			words */
	uint32_t commands;              /* lines of the client's that were taken */
	uint32_t replies;               /* of the backend */
	uint32_t errors;                /* as conf.errors_max */
	enum dialog_limit limit;        /* reached: the session ends, or has, for that */
	struct sv tarpit;               /* DIALOG_TARPIT: what to drip */
	char helo[DIALOG_HELO_MAX + 1]; /* escaped; "" before HELO */
	struct dialog_private *p;
};

int dialog_init(struct dialog *d, const struct dialog_conf *conf, void *user); /* 0, -ENOMEM */
/* Ends every rcpt that is left (code 0). */
void dialog_deinit(struct dialog *d);

/*
 * Bytes from a side. Returns how many of them are done with; the owner keeps the others and offers
 * them again, with more behind them, and after every other call that may have changed something (an
 * answer, bytes of the other side). After the client's end of file it is fed once more, with
 * nothing if need be.
 */
size_t dialog_feed(struct dialog *d, enum dialog_side from, struct sv in);
/*
 * How many of the client's next octets go to the backend as they are (a chunk's, RFC 3030 2): the
 * owner may carry them past the dialog, when it holds none back that came before them, and then
 * says how many it has.
 */
uint64_t dialog_untouched(const struct dialog *d);
void dialog_carried(struct dialog *d, uint64_t n);
/* That side will send no more. For the client: what it has sent before is still answered. */
void dialog_eof(struct dialog *d, enum dialog_side from);
/* The backend can't be reached or failed: the client gets 421 4.3.0 and the text. */
void dialog_backend_failed(struct dialog *d, const char *why);
/* The owner's time limit for dialog_waits_for() has passed. */
void dialog_timeout(struct dialog *d);
/* Ends it: 421, the enhanced code and the words, in the place of the first reply that is owed. */
void dialog_give_up(struct dialog *d, const char *code, const char *why);
/* Let the transaction in progress end, then close with 421 4.3.2. */
void dialog_drain(struct dialog *d);
/* Answers ops->secure(): the handshake of that side is done, or has failed. */
void dialog_secured(struct dialog *d, enum dialog_side side, bool ok);
/* Answers ops->client_name(): the name, or "[UNAVAILABLE]", "[TEMPUNAVAIL]"; copied. */
void dialog_client_name(struct dialog *d, struct sv name);
/* Answers ops->rcpt(). */
void dialog_verdict(struct dialog *d, struct dialog_rcpt *rcpt,
		    const struct dialog_verdict *verdict);

enum dialog_wait dialog_waits_for(const struct dialog *d);
/* A message is on its way, or a reply is owed. */
bool dialog_is_busy(const struct dialog *d);
