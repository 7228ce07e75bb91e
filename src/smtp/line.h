/*
 * Lines of an SMTP command stream: they end with CRLF and with nothing else (RFC 5321 2.3.8). A
 * bare CR or LF never ends a line; the whole of it, up to the next CRLF, is one line in error.
 */
#pragma once

#include "base/base.h"

#define SMTP_PLAIN_LINE_MAX   512   /* RFC 5321 4.5.3.1.4, for commands without parameters */
#define SMTP_COMMAND_LINE_MAX 4096  /* RFC 5321 4.5.3.1.4 asks for 512 and what extensions add */
#define SMTP_AUTH_LINE_MAX    12288 /* RFC 4954 4 */

enum line_outcome {
	LINE_DONE = 0, /* ret_line is a line without its CRLF; NUL is not allowed in it either */
	LINE_MORE,     /* no line yet: come again, with more unless something was used */
	LINE_BARE,     /* a bare CR, bare LF or NUL was met: reply 500 5.5.2 once */
	LINE_LONG,     /* over max octets (CRLF counted): reply 500 5.5.2 once */
};

struct line_reader {
	bool skipping; /* an error was told; the rest of the line is being dropped */
};

/*
 * Takes at most one line from in. ret_used bytes of in are done with, in every outcome. With
 * LINE_MORE that is what was dropped of a bad line, else 0. After LINE_BARE and LINE_LONG the rest
 * of that line is dropped silently, by calls that do nothing else: a caller who can't use a line
 * yet leaves it where it is and has it told again. ret_line points into in.
 */
enum line_outcome line_next(struct line_reader *r, struct sv in, size_t max, size_t *ret_used,
			    struct sv *ret_line);
