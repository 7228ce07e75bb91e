/*
 * What one line of a mail server's log says: the vocabulary that all parsers share. Views point
 * into the line, or into the parser's own buffer until its next call. Nothing is guessed: what is
 * ambiguous, or only looks like a known form, is ENTRY_UNPARSED.
 */
#pragma once

#include "base/addr.h"

enum entry_kind {
	ENTRY_OTHER,     /* a line of a known program that says nothing of interest here */
	ENTRY_UNPARSED,  /* no known format, or cut, or ambiguous */
	ENTRY_ARRIVAL,   /* a message was taken: id, client, and what else the line has */
	ENTRY_QUEUED,    /* Postfix's qmgr: sender and bytes of a message */
	ENTRY_RECIPIENT, /* one recipient of a message, and where it went */
	ENTRY_DONE,      /* the message has left: Completed, removed */
	ENTRY_REFUSED,   /* a recipient refused, for now or for good: client, sender, recipient */
};

/* Where a recipient went: it tells whether the domain is at home here. */
enum entry_way {
	WAY_UNKNOWN, /* deferred, failed, discarded: no word about it */
	WAY_LOCAL,   /* into a mailbox, pipe or file of this host, or by LMTP */
	WAY_REMOTE,  /* by SMTP to next_hop */
};

struct entry {
	enum entry_kind kind;
	int64_t time_ms; /* since 1970 UTC */
	int32_t day;     /* of the log's own calendar: days since 1970-01-01 */

	struct sv id; /* of the message; empty: NOQUEUE */

	/* ENTRY_ARRIVAL, ENTRY_REFUSED */
	bool local;         /* handed in on this host: sendmail, a bounce, an internal copy */
	bool weak;          /* counts only when nothing else is known of how the message arrived */
	bool authenticated; /* by SMTP AUTH */
	bool has_client;
	struct endpoint client; /* port 0: not told */
	bool has_server;
	struct endpoint server;
	struct sv client_name; /* the MTA's own verified reverse name; empty: none */
	struct sv helo;        /* as the client said; empty: not told */

	/* ENTRY_ARRIVAL, ENTRY_QUEUED, ENTRY_REFUSED */
	bool has_sender;
	struct sv sender; /* without <>; empty: the null sender */
	bool has_bytes;
	uint64_t bytes;

	/* ENTRY_ARRIVAL: the envelope's recipients, for entry_next_recipient() */
	bool has_recipients;
	struct sv recipients;

	/* ENTRY_RECIPIENT, ENTRY_REFUSED: as in the envelope, without <> */
	struct sv recipient;
	enum entry_way way;
	bool has_next_hop;
	struct addr next_hop;
};

/*
 * Takes the next address off *recipients, which are separated by single spaces; a quoted local part
 * may have spaces in it. false: no more.
 */
bool entry_next_recipient(struct sv *recipients, struct sv *ret_address);

/*
 * The length of the address at the start of v by RFC 5321's quoting: up to a space or one of the
 * octets in stop, outside quotes; a backslash inside quotes takes the next octet with it. -EINVAL:
 * a quote that does not end.
 */
int entry_address_len(struct sv v, const char *stop, size_t *ret_len);
