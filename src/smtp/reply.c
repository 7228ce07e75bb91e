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

/* Text of one line behind what there is; its place is remembered as the last. */
struct ehlo_writer {
	char *out;
	size_t n, last;
};

static void put(struct ehlo_writer *w, struct sv text)
{
	if (text.n > 0)
		memcpy(w->out + w->n, text.p, text.n);
	w->n += text.n;
}

static void begin_line(struct ehlo_writer *w, struct sv code)
{
	w->last = w->n;
	put(w, code);
	put(w, SV("-"));
}

static bool binds_channel(struct sv mechanism)
{
	return mechanism.n > 5 &&
	       sv_eq_nocase((struct sv) { mechanism.p + mechanism.n - 5, 5 }, SV("-PLUS"));
}

/* "AUTH" and its mechanisms but for those that bind to the channel; nothing when none is left. */
static void put_auth_line(struct ehlo_writer *w, struct sv code, struct sv text)
{
	struct ehlo_writer start = *w;
	size_t mechanisms = 0;

	begin_line(w, code);
	for (size_t at = 0; at < text.n;) {
		const char *space = memchr(text.p + at, ' ', text.n - at);
		size_t end = space ? (size_t)(space - text.p) : text.n;
		struct sv word = { text.p + at, end - at };
		if (at == 0) {
			put(w, word);
		} else if (word.n > 0 && !binds_channel(word)) {
			put(w, SV(" "));
			put(w, word);
			mechanisms++;
		}
		at = end + 1;
	}
	put(w, SV("\r\n"));
	if (mechanisms == 0)
		*w = start;
}

size_t ehlo_reduce(const struct reply *reply, struct ehlo_offer offer, char *out)
{
	struct ehlo_writer w = { .out = out };
	struct sv code = { reply->raw.p, CODE_LEN }, text;
	bool keep = offer.starttls == EHLO_STARTTLS_KEEP;
	size_t at = 0;

	/* No line grows, but for a greeting that is a code alone; and that has no other line. */
	for (bool greeting = true; reply_next_line(reply, &at, &text); greeting = false) {
		if (!greeting && !ehlo_keyword_allowed(text, keep))
			continue;
		if (!greeting && offer.no_channel_binding && sv_starts_nocase(text, SV("AUTH "))) {
			put_auth_line(&w, code, text);
			continue;
		}
		begin_line(&w, code);
		put(&w, text);
		put(&w, SV("\r\n"));
	}
	if (w.n > 0 && offer.starttls == EHLO_STARTTLS_OURS) {
		begin_line(&w, code);
		put(&w, SV("STARTTLS\r\n"));
	}
	if (w.n > 0)
		out[w.last + CODE_LEN] = ' ';
	return w.n;
}
