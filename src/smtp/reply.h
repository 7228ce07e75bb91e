/* SMTP replies (RFC 5321 4.2), as a backend sends them. */
#pragma once

#include "base/base.h"

#define REPLY_MAX       16384 /* octets of one reply, all its lines */
#define REPLY_LINE_MAX  1024  /* 4.5.3.1.5 asks for 512 */
#define REPLY_LINES_MAX 128

enum reply_outcome {
	REPLY_DONE = 0,
	REPLY_MORE,
	REPLY_BAD, /* no reply: malformed, codes that differ between lines, bare CR or LF, over a
		      limit */
};

struct reply {
	int code;      /* 200 to 599 */
	struct sv raw; /* all its lines with their CRLFs; points into in */
};

/* The first reply in in, whole. Nothing is consumed: ret_reply->raw.n bytes are. */
enum reply_outcome reply_parse(struct sv in, struct reply *ret_reply);

/* Each line's text without code, separator and CRLF. Start with *at = 0; false at the end. */
bool reply_next_line(const struct reply *reply, size_t *at, struct sv *ret_text);

/* EHLO keywords that are allowed on: true, else it must be taken out, since
 * nobody here knows what it does to the dialog.
 * text is a line's; only its first word counts. starttls: whether that one is. */
bool ehlo_keyword_allowed(struct sv text, bool starttls);

enum ehlo_starttls {
	EHLO_STARTTLS_HIDE,
	EHLO_STARTTLS_KEEP, /* the backend's, if it has it */
	EHLO_STARTTLS_OURS, /* there, once, whatever the backend says */
};

struct ehlo_offer {
	enum ehlo_starttls starttls;
	/* SASL mechanisms that bind to the TLS channel (RFC 5802: "-PLUS") are taken out: the
	 * channel ends here, not at the backend. */
	bool no_channel_binding;
};

#define EHLO_REDUCED_MAX (REPLY_MAX + 16)

/*
 * An EHLO reply cut down to what is allowed, into out[EHLO_REDUCED_MAX]: the greeting line, then
 * the allowed keywords, hyphens and the final space put right. Returns its length.
 */
size_t ehlo_reduce(const struct reply *reply, struct ehlo_offer offer, char *out);
