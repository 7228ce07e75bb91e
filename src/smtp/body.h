/*
 * The octets of a message after DATA's 354 (RFC 5321 4.1.1.4, 4.5.2), streamed: looks for CRLF.CRLF
 * and nothing like it, and takes bare CR and LF out, since servers differ in what they take for a
 * line end. Message octets that are clean are passed on untouched, in views of what came in.
 *
 * BODY_NORMALIZE: a bare CR or bare LF becomes CRLF. A dot that then begins a line, and was no
 * stuffed dot in the client's framing, is stuffed; so is a lone dot line that would come out
 * (CRLF.LF, CRLF.CR...), so that nothing but the client's own CRLF.CRLF ends the message at the
 * backend. BODY_REJECT: octets are dropped from the first bare one on; bare is set; the end is
 * still found.
 */
#pragma once

#include "base/base.h"

enum body_bare { BODY_NORMALIZE, BODY_REJECT };

enum body_state {
	BODY_LINE_START, /* also before the first octet */
	BODY_TEXT,
	BODY_CR,
	BODY_DOT,        /* "." at a line's start: held back */
	BODY_DOT_CR,     /* ".\r" at a line's start: held back */
	BODY_AFTER_BARE, /* a bare newline was just normalized: a dot here is stuffed */
	BODY_ENDED,
};

struct body {
	enum body_bare mode;
	enum body_state state;
	bool bare;       /* a bare CR or LF was met */
	uint64_t octets; /* of the message as received, the end not counted */
};

typedef int (*body_emit_fn)(void *user, struct sv octets);

enum body_outcome { BODY_MORE = 0, BODY_END };

void body_init(struct body *b, enum body_bare mode);

/*
 * Takes octets of in, all of them with BODY_MORE; with BODY_END those up to and with the final
 * CRLF.CRLF's end, ret_used tells how many. emit gets what the backend is to see, the final dot
 * line included (unless mode is BODY_REJECT and bare is set). A negative value of emit is returned
 * at once.
 */
int body_feed(struct body *b, struct sv in, body_emit_fn emit, void *user, size_t *ret_used);
