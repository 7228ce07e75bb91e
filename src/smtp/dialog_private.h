/*
 * Inside the dialog: the queue of replies that are owed to the client, and the state of the
 * transaction. Shared by dialog.c (queue, feeding, ends), dialog_rcpts.c (recipients and their
 * class), dialog_client.c (commands), dialog_message.c (message octets), dialog_backend.c (replies)
 * and dialog_approach.c (what is said before the client's words).
 */
#pragma once

#include "smtp/dialog.h"

enum entry_kind {
	ENTRY_LOCAL,   /* text is the reply */
	ENTRY_VERDICT, /* a recipient being judged */
	ENTRY_JUDGED,  /* a permitted recipient; text is the command to pass on in its turn */
	ENTRY_BACKEND, /* passed on: the backend's reply is awaited */
};

/* What an awaited reply answers. */
enum entry_what {
	WHAT_GREETING,
	WHAT_HELO,
	WHAT_EHLO,
	WHAT_MAIL,
	WHAT_RCPT,
	WHAT_DATA,
	WHAT_END_OF_DATA,
	WHAT_BDAT,
	WHAT_BDAT_LAST,
	WHAT_AUTH,
	WHAT_STARTTLS,
	WHAT_QUIT,
	WHAT_OTHER,
};

struct dialog_entry {
	enum entry_kind kind;
	enum entry_what what;
	bool drip;  /* ENTRY_LOCAL: tarpit instead, if nothing speaks against it */
	bool close; /* ENTRY_LOCAL: the last reply */
	bool owned; /* text is to be freed */
	enum dialog_class class;
	uint32_t transaction;
	const char *text;
	size_t text_len;
	struct dialog_rcpt *rcpt;
	char *domain, *mx; /* ENTRY_JUDGED of class tag */
	uint64_t octets;   /* of the message (WHAT_END_OF_DATA, WHAT_BDAT_LAST) */
};

enum client_mode {
	MODE_COMMAND,
	MODE_HOLD,  /* the reply to the last command decides how to read on */
	MODE_BODY,  /* after 354 */
	MODE_CHUNK, /* octets of a BDAT */
	MODE_SASL,  /* a line of an AUTH exchange */
	MODE_DONE,  /* after QUIT: nothing more is read */
};

/* How far the backend is. Each from BANNER on names what is awaited. */
enum approach {
	APPROACH_DONE, /* it is there and knows all that the client said */
	APPROACH_NONE, /* no backend (fronted) */
	APPROACH_BANNER,
	APPROACH_HELLO,     /* the reply to an EHLO of our own: what does it offer? */
	APPROACH_STARTTLS,  /* the reply to it */
	APPROACH_HANDSHAKE, /* dialog_secured() */
	APPROACH_NAME,      /* dialog_client_name() */
	APPROACH_XCLIENT,   /* its new greeting */
	APPROACH_EHLO,      /* the reply to the client's EHLO, repeated */
	APPROACH_MAIL,      /* the same of MAIL */
};

struct transaction {
	uint32_t id;
	bool mail; /* MAIL was passed on (or answered here) and not refused since */
	bool open; /* the backend has accepted it */
	bool smtputf8;
	bool chunked;     /* a BDAT was passed on */
	bool failed;      /* something was refused since: the backend gets no more chunks */
	uint32_t pending; /* recipients passed on, unanswered */
	uint32_t accepted;
	uint32_t refused; /* by us */
	uint32_t count;   /* of recipients held */
	enum dialog_class class;
	uint64_t octets;
	char *tag_domains, *tag_mxs; /* comma lists, class tag */
	char *sender_refusal; /* fronted: the backend's words for the sender that was accepted here
			       */
};

struct dialog_private {
	struct dialog_entry *ring; /* of ring_size, a power of two */
	uint32_t ring_size;
	uint32_t head, tail;   /* numbers of the first entry and of the one to come */
	uint32_t next_forward; /* first entry that may be VERDICT or JUDGED */
	int depth;             /* inside dialog_feed() */
	bool client_eof;
	bool draining;
	bool said_goodbye; /* a 421 or QUIT's 221 went to the client */
	enum client_mode mode;
	enum approach approach;
	struct line_reader reader;
	struct body body;
	uint64_t chunk_left;
	bool chunk_last;
	const char
		*chunk_refusal; /* the chunk is swallowed, then answered so ("": it was already) */
	bool body_discard;      /* the backend answered before the end: the rest is dropped */
	char *early_reply;      /* what it said, if that was a refusal */
	char *front_helo;       /* commands to repeat, with CRLF */
	char *front_mail;
	char *banner;        /* the backend's, for a client that was not greeted yet */
	char *client_name;   /* for XCLIENT */
	char *xclient_offer; /* the attributes that the backend takes, as in its EHLO reply */
	bool hello_said;     /* to the backend, by us, on its connection as it is now */
	bool xclient_said;
	bool securing_client, securing_backend; /* dialog_secured() is awaited */
	bool need_hello;                        /* since STARTTLS */
	char *drip_text;
	struct dialog_rcpt *rcpts; /* of all transactions under way, oldest first */
	struct dialog_rcpt **rcpts_end;
	struct transaction t;
};

struct dialog_entry *dialog_entry_at(struct dialog *d, uint32_t number);
/* Appends; NULL when memory ran out: the dialog is closing then. */
struct dialog_entry *dialog_push(struct dialog *d, enum entry_kind kind, enum entry_what what);
/* Appends a reply of ours: static text with its CRLF. */
struct dialog_entry *dialog_reply(struct dialog *d, const char *text);
/* The same, made; the dialog's hostname and id can be used. */
struct dialog_entry *dialog_reply_printf(struct dialog *d, const char *fmt, ...) PRINTF(2, 3);
/* Passes a command on and awaits the reply. parts are put together with a CRLF at the end. */
void dialog_forward(struct dialog *d, enum entry_what what, const struct sv *parts, size_t n);
void dialog_send(struct dialog *d, enum dialog_side to, struct sv bytes);
/* Nothing more will come of this dialog. */
void dialog_close(struct dialog *d);
/* Passes judged recipients on, sends replies whose turn it is. */
void dialog_turn(struct dialog *d);
/* Ends the recipients of transaction with the message's reply (0: none); UINT32_MAX: of all. */
void dialog_end_rcpts(struct dialog *d, uint32_t transaction, int code, uint64_t octets);
void dialog_end_rcpt(struct dialog *d, struct dialog_rcpt *rcpt);
void dialog_reset_transaction(struct dialog *d);
/* It comes to nothing: its recipients end without a reply of the message. */
void dialog_abandon_transaction(struct dialog *d);
/* May this recipient share the message of those before it? If so it is counted with them. */
bool dialog_class_admits(struct dialog *d, const struct dialog_entry *e);
/* The header of class tag, into out[DIALOG_TAG_MAX]; its length, 0 when the class is another. */
size_t dialog_tag_header(const struct dialog *d, char *out);

/* n octets of a chunk are done with. */
void dialog_chunk_passed(struct dialog *d, uint64_t n);
/* One step of the client's bytes: false when nothing can be done with them now. */
bool dialog_client_step(struct dialog *d, struct sv in, size_t *ret_used);
/* dialog_message.c: the same for octets of a message and of a chunk. */
bool dialog_step_body(struct dialog *d, struct sv in, size_t *ret_used);
bool dialog_step_chunk(struct dialog *d, struct sv in, size_t *ret_used);
/* A BDAT was read, and size octets follow: passes it on, or swallows them and refuses it. */
void dialog_chunk_begin(struct dialog *d, uint64_t size, bool last);
/* One reply of the backend. */
void dialog_backend_reply(struct dialog *d, const struct reply *reply);
/* Its last reply, told to the client; both are done. */
void dialog_close_after(struct dialog *d, const struct reply *reply);
/* Notes what an EHLO reply offers, and cuts it down into out[EHLO_REDUCED_MAX]; its length. */
size_t dialog_learn_ehlo(struct dialog *d, const struct reply *reply, char *out);
/* The backend's greeting, to a client that waits for it. */
void dialog_greet(struct dialog *d, const struct reply *reply);

#define HELLO_FIRST "503 5.5.1 EHLO first\r\n"
#define TLS_NOT_NOW "454 4.7.0 TLS is not available just now\r\n" /* RFC 3207 4 */

/* Our 220, and its handshake. */
void dialog_secure_client(struct dialog *d);

/* Is there anything to say to the backend before the client's own words? */
bool dialog_approach_needed(const struct dialog *d);
/* The backend is wanted and there is none. */
void dialog_approach_begin(struct dialog *d);
/* A reply of the backend, or the end of its handshake, during the approach. */
void dialog_approach_reply(struct dialog *d, const struct reply *reply);
void dialog_approach_secured(struct dialog *d, bool ok);

static inline bool smtp_is_success(int code)
{
	return code >= 200 && code < 300;
}
