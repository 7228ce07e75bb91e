/*
 * A conversation as a table: what each side says and what comes out. Run as it stands, cut at each
 * octet, octet by octet; each with verdicts given at once, later in order, and later in the other
 * order.
 *
 * The local part of a recipient says its verdict: "ok..." passes, "tag..." passes and is tagged,
 * "bad..." 550, "soft..." 450, "drip..." 550 by tarpit. Anything else waits for a TALK_VERDICT.
 */
#pragma once

#include "owner.h"

enum talk_do {
	TALK_END,
	TALK_CLIENT,
	TALK_BACKEND,
	TALK_EXPECT_CLIENT, /* all that was sent to it since the last such step */
	TALK_EXPECT_BACKEND,
	TALK_CLIENT_EOF,
	TALK_BACKEND_EOF,
	TALK_TIMEOUT,
	TALK_DRAIN,
	TALK_SECURED_CLIENT,  /* n: 0, 1: its handshake, under way, ends so */
	TALK_SECURED_BACKEND, /* n: the same */
	TALK_NAME,            /* bytes: the client's name, which is wanted */
	TALK_TROUBLES,        /* n: how often the operator was told */
	TALK_VERDICT,         /* bytes: local part, whose own verdict is given now: "wait-ok1" */
	TALK_STATE,           /* n: enum dialog_state */
	TALK_WAITS,           /* n: enum dialog_wait */
	TALK_BUSY,            /* n: 0, 1 */
	TALK_CONNECTS,        /* n: how often the backend was asked for */
	TALK_BACKEND_DONE,    /* n: 0, 1: its connection is to be closed */
	TALK_TARPIT,          /* bytes: what is dripped */
};

struct talk_step {
	enum talk_do what;
	struct sv bytes;
	int n;
};

#define TALK_STEPS_MAX 64

struct talk {
	const char *name;
	enum dialog_starttls starttls;
	enum body_bare bare;
	enum dialog_upstream_tls upstream_tls;
	bool client_tls;
	bool xclient; /* of 192.0.2.9, port 4025, to 198.51.100.25, port 25 */
	bool relay;
	bool fronted;
	bool fronted_tls; /* what is offered under TLS is known too */
	bool draining;    /* from the start */
	uint32_t commands_max, errors_max;
	struct talk_step steps[TALK_STEPS_MAX];
	/* each recipient in order of RCPT: "ok1@b.net 250/250:12 ", told / its end: octets */
	const char *ends;
};

#define C(s)                                                                                       \
	{                                                                                          \
		TALK_CLIENT,                                                                       \
		{                                                                                  \
			s, sizeof(s) - 1                                                           \
		}                                                                                  \
	}
#define B(s)                                                                                       \
	{                                                                                          \
		TALK_BACKEND,                                                                      \
		{                                                                                  \
			s, sizeof(s) - 1                                                           \
		}                                                                                  \
	}
#define XC(s)                                                                                      \
	{                                                                                          \
		TALK_EXPECT_CLIENT,                                                                \
		{                                                                                  \
			s, sizeof(s) - 1                                                           \
		}                                                                                  \
	}
#define XB(s)                                                                                      \
	{                                                                                          \
		TALK_EXPECT_BACKEND,                                                               \
		{                                                                                  \
			s, sizeof(s) - 1                                                           \
		}                                                                                  \
	}
#define VERDICT(s)                                                                                 \
	{                                                                                          \
		TALK_VERDICT,                                                                      \
		{                                                                                  \
			s, sizeof(s) - 1                                                           \
		}                                                                                  \
	}
#define TARPIT(s)                                                                                  \
	{                                                                                          \
		TALK_TARPIT,                                                                       \
		{                                                                                  \
			s, sizeof(s) - 1                                                           \
		}                                                                                  \
	}
#define STATE(v)                                                                                   \
	{                                                                                          \
		TALK_STATE, { 0 }, v                                                               \
	}
#define WAITS(v)                                                                                   \
	{                                                                                          \
		TALK_WAITS, { 0 }, v                                                               \
	}
#define BUSY(v)                                                                                    \
	{                                                                                          \
		TALK_BUSY, { 0 }, v                                                                \
	}
#define CONNECTS(v)                                                                                \
	{                                                                                          \
		TALK_CONNECTS, { 0 }, v                                                            \
	}
#define DONE(v)                                                                                    \
	{                                                                                          \
		TALK_BACKEND_DONE, { 0 }, v                                                        \
	}
#define EOF_C                                                                                      \
	{                                                                                          \
		TALK_CLIENT_EOF                                                                    \
	}
#define EOF_B                                                                                      \
	{                                                                                          \
		TALK_BACKEND_EOF                                                                   \
	}
#define SECURED_C(v)                                                                               \
	{                                                                                          \
		TALK_SECURED_CLIENT, { 0 }, v                                                      \
	}
#define SECURED_B(v)                                                                               \
	{                                                                                          \
		TALK_SECURED_BACKEND, { 0 }, v                                                     \
	}
#define TROUBLES(v)                                                                                \
	{                                                                                          \
		TALK_TROUBLES, { 0 }, v                                                            \
	}
#define NAME(s)                                                                                    \
	{                                                                                          \
		TALK_NAME,                                                                         \
		{                                                                                  \
			s, sizeof(s) - 1                                                           \
		}                                                                                  \
	}
#define TIMEOUT                                                                                    \
	{                                                                                          \
		TALK_TIMEOUT                                                                       \
	}
#define DRAIN                                                                                      \
	{                                                                                          \
		TALK_DRAIN                                                                         \
	}

/* What the tables say often. */
#define CALM "220 b.example ESMTP\r\n"
#define EHLO_REPLY                                                                                 \
	"250-b.example\r\n250-PIPELINING\r\n250-XCLIENT NAME\r\n250-CHUNKING\r\n250 HELP\r\n"
#define EHLO_CUT "250-b.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 HELP\r\n"
#define GREET    B(CALM), XC(CALM)
#define HELLO    GREET, C("EHLO c.net\r\n"), XB("EHLO c.net\r\n"), B(EHLO_REPLY), XC(EHLO_CUT)
#define SENDER                                                                                     \
	C("MAIL FROM:<s@c.net>\r\n"), XB("MAIL FROM:<s@c.net>\r\n"), B("250 sender\r\n"),          \
		XC("250 sender\r\n")
#define RCPT(who, reply)                                                                           \
	C("RCPT TO:<" who "@b.net>\r\n"), XB("RCPT TO:<" who "@b.net>\r\n"), B(reply "\r\n"),      \
		XC(reply "\r\n")
#define ENVELOPE HELLO, SENDER, RCPT("ok", "250 rcpt")
#define GONE(why)                                                                                  \
	"421 4.3.0 " OWNER_HOSTNAME ": the mail server " why "; try again later (" OWNER_ID ")\r"  \
	"\n"
#define CLOSED     GONE("closed the connection")
#define SILENT     GONE("does not answer")
#define NO_REPLY   GONE("sent what is no SMTP reply")
#define UNASKED    GONE("sent a reply that nobody asked for")
#define GAVE_UP    GONE("gave up this session")
#define NO_RCPTS   "554 5.5.1 No valid recipients\r\n"
#define IDLE_LIMIT "421 4.4.2 " OWNER_HOSTNAME ": timeout, closing connection (" OWNER_ID ")\r\n"
#define DRAINED    "421 4.3.2 " OWNER_HOSTNAME " is shutting down; try again soon (" OWNER_ID ")\r\n"

#define TOO_MANY(what)                                                                             \
	"421 4.7.0 " OWNER_HOSTNAME ": too many " what " in one session (" OWNER_ID ")\r\n"
#define UNKNOWN "500 5.5.1 Command unknown\r\n"

#define TLS_READY   "220 2.0.0 Ready to start TLS\r\n"
#define NO_TLS      "454 4.7.0 TLS is not available just now\r\n"
#define FIRST_HELLO "503 5.5.1 EHLO first\r\n"

/* All of them, each in all its ways, as cmocka tests: the value of main(). */
int talk_main(const struct talk *talks, size_t n);
