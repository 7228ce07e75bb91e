#include "smtp/line.h"

/* Up to and with the first CRLF of in from at on; 0 when there is none. */
static size_t end_of_line(struct sv in, size_t at)
{
	while (at < in.n) {
		const char *lf = memchr(in.p + at, '\n', in.n - at);
		if (!lf)
			return 0;
		size_t i = (size_t)(lf - in.p);
		if (i > 0 && in.p[i - 1] == '\r')
			return i + 1;
		at = i + 1;
	}
	return 0;
}

/* Drops the bad line that in starts with; what is left when its end has not come yet is nothing,
 * or a CR whose LF may follow. */
static size_t drop_line(struct line_reader *r, struct sv in)
{
	size_t end = end_of_line(in, 0);

	r->skipping = end == 0;
	if (end > 0)
		return end;
	return in.n > 0 && in.p[in.n - 1] == '\r' ? in.n - 1 : in.n;
}

static bool has_cr_or_nul(struct sv v)
{
	return v.n > 0 && (memchr(v.p, '\r', v.n) || memchr(v.p, '\0', v.n));
}

/*
 * Judges the line that in starts with. An error is found at the earliest octet that proves it, so
 * the outcome is the same however the stream was cut: NUL and bare newlines within the first max
 * octets are LINE_BARE, max octets without an end are LINE_LONG.
 */
static enum line_outcome judge(struct sv in, size_t max, size_t *ret_len)
{
	struct sv window = { in.p, min_size(in.n, max) };
	const char *lf = window.n > 0 ? memchr(window.p, '\n', window.n) : NULL;

	if (lf) {
		struct sv text = { in.p, (size_t)(lf - in.p) };
		if (text.n == 0 || text.p[text.n - 1] != '\r')
			return LINE_BARE;
		text.n--;
		if (has_cr_or_nul(text))
			return LINE_BARE;
		*ret_len = text.n;
		return LINE_DONE;
	}
	if (window.n > 0 && window.p[window.n - 1] == '\r')
		window.n--;
	if (has_cr_or_nul(window))
		return LINE_BARE;
	return in.n >= max ? LINE_LONG : LINE_MORE;
}

enum line_outcome line_next(struct line_reader *r, struct sv in, size_t max, size_t *ret_used,
			    struct sv *ret_line)
{
	size_t len = 0;

	if (r->skipping) {
		*ret_used = drop_line(r, in);
		return LINE_MORE;
	}

	enum line_outcome outcome = judge(in, max, &len);
	switch (outcome) {
	case LINE_DONE:
		*ret_line = (struct sv) { in.p, len };
		*ret_used = len + 2;
		break;
	case LINE_MORE:
		*ret_used = 0;
		break;
	case LINE_BARE:
	case LINE_LONG:
		*ret_used = drop_line(r, in);
		break;
	}
	return outcome;
}
