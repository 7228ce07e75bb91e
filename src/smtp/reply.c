#include "smtp/reply.h"

#include "smtp/command.h"

#define CODE_LEN 3

static int code_value(const char *p)
{
	return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
}

/* What there is of a line's code and separator, checked as early as it comes, so that a backend
 * that speaks something else is noticed at once. first: the code of the reply's first line. */
static bool head_is_valid(struct sv line, const char *first)
{
	for (size_t i = 0; i < min_size(line.n, CODE_LEN); i++) {
		if (!ascii_is_digit(line.p[i]) || (first && line.p[i] != first[i]))
			return false;
	}
	if (line.n > 0 && (line.p[0] < '2' || line.p[0] > '5'))
		return false;
	return line.n <= CODE_LEN || line.p[CODE_LEN] == ' ' || line.p[CODE_LEN] == '-' ||
	       line.p[CODE_LEN] == '\r';
}

/* One line from in: its length with CRLF in ret_len. */
static enum reply_outcome parse_line(struct sv in, const char *first, size_t *ret_len)
{
	struct sv line = { in.p, min_size(in.n, REPLY_LINE_MAX) };
	const char *lf = line.n > 0 ? memchr(line.p, '\n', line.n) : NULL;
	bool long_line = !lf && in.n >= REPLY_LINE_MAX;

	if (lf)
		line.n = (size_t)(lf - line.p);
	if (!head_is_valid(line, first))
		return REPLY_BAD;

	/* Without its LF a last CR may still be half of a line's end. */
	struct sv text = line;
	bool cr = text.n > 0 && text.p[text.n - 1] == '\r';
	if (cr)
		text.n--;
	if (text.n > 0 && (memchr(text.p, '\r', text.n) || memchr(text.p, '\0', text.n)))
		return REPLY_BAD;
	if (long_line)
		return REPLY_BAD;
	if (!lf)
		return REPLY_MORE;
	if (!cr || text.n < CODE_LEN)
		return REPLY_BAD;
	*ret_len = line.n + 1;
	return REPLY_DONE;
}

enum reply_outcome reply_parse(struct sv in, struct reply *ret_reply)
{
	size_t at = 0;

	for (size_t lines = 0; lines < REPLY_LINES_MAX; lines++) {
		struct sv rest = { in.p + at, in.n - at };
		size_t len = 0;
		enum reply_outcome r = parse_line(rest, at > 0 ? in.p : NULL, &len);

		if (r == REPLY_BAD || at + (r == REPLY_DONE ? len : rest.n) > REPLY_MAX)
			return REPLY_BAD;
		if (r == REPLY_MORE)
			return REPLY_MORE;
		at += len;
		if (rest.p[CODE_LEN] != '-') {
			ret_reply->code = code_value(in.p);
			ret_reply->raw = (struct sv) { in.p, at };
			return REPLY_DONE;
		}
	}
	return REPLY_BAD;
}

bool reply_next_line(const struct reply *reply, size_t *at, struct sv *ret_text)
{
	struct sv rest = { reply->raw.p + *at, reply->raw.n - *at };
	const char *lf = rest.n > 0 ? memchr(rest.p, '\n', rest.n) : NULL;

	if (!lf)
		return false;
	size_t len = (size_t)(lf - rest.p) + 1;
	size_t skip = min_size(CODE_LEN + 1, len - 2);
	*ret_text = (struct sv) { rest.p + skip, len - 2 - skip };
	*at += len;
	return true;
}

bool ehlo_keyword_allowed(struct sv text, bool starttls)
{
	static const struct sv allowed[] = {
		{ "SIZE", 4 }, { "8BITMIME", 8 },    { "SMTPUTF8", 8 },
		{ "DSN", 3 },  { "PIPELINING", 10 }, { "CHUNKING", 8 },
		{ "AUTH", 4 }, { "BINARYMIME", 10 }, { "ENHANCEDSTATUSCODES", 19 },
		{ "HELP", 4 }, { "VRFY", 4 },
	};
	const char *space = text.n > 0 ? memchr(text.p, ' ', text.n) : NULL;
	struct sv keyword = { text.p, space ? (size_t)(space - text.p) : text.n };

	if (!text_is_clean(text, false))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		if (sv_eq_nocase(keyword, allowed[i]))
			return true;
	}
	/* "AUTH=LOGIN": the form of a draft before RFC 2554, for old clients. */
	if (sv_starts_nocase(keyword, SV("AUTH=")))
		return true;
	return starttls && sv_eq_nocase(keyword, SV("STARTTLS"));
}

size_t ehlo_reduce(const struct reply *reply, bool starttls, char *out)
{
	struct sv text;
	size_t at = 0;
	size_t n = 0;
	size_t last = 0;

	/* No line grows, but for a greeting that is a code alone; and that has no other line. */
	for (bool greeting = true; reply_next_line(reply, &at, &text); greeting = false) {
		if (!greeting && !ehlo_keyword_allowed(text, starttls))
			continue;
		last = n;
		memcpy(out + n, reply->raw.p, CODE_LEN);
		n += CODE_LEN;
		out[n++] = '-';
		memcpy(out + n, text.p, text.n);
		n += text.n;
		out[n++] = '\r';
		out[n++] = '\n';
	}
	if (n > 0)
		out[last + CODE_LEN] = ' ';
	return n;
}
