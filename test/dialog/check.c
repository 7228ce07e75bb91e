/*
 * What must hold in every run, whatever the peers do. Both sides' streams are read here once more,
 * by a reader of its own that knows CRLF, DATA, BDAT and AUTH and nothing of the dialog:
 *
 * - each command has one reply, in order; over that comes at most one last 421;
 * - what the backend reads as commands is what the client's stream holds as commands, in its order
 *   (the client's RCPTs less the refused ones), and so is each message;
 * - BDAT goes only to a backend that has a reason to take its octets: one that refuses BDAT without
 *   reading them would take them for commands;
 * - a recipient that was refused is in no command to the backend;
 * - the client never has more successes for ends of messages than the backend gave.
 */
#include "owner.h"

#include <stdio.h>
#include <stdlib.h>

enum said_kind { SAID_COMMAND, SAID_BODY, SAID_SASL };

struct said {
	enum said_kind kind;
	struct sv line;    /* without CRLF */
	struct sv payload; /* of BDAT, or the message with its final dot line */
	bool whole;        /* all of the payload is there */
	bool last;         /* BDAT LAST */
	uint64_t size;
	int code; /* 0: not answered */
	struct sv reply;
};

struct reading {
	struct said *said;
	size_t n, alloc;
	size_t unanswered;
	struct sv replies; /* those left over */
	bool greeted;
	bool ended; /* QUIT, or a relay begins: what follows is not read */
	bool relay; /* is one expected */
};

static bool next_crlf(struct sv in, size_t from, size_t *ret_end)
{
	for (size_t i = from; i + 1 < in.n; i++)
		if (in.p[i] == '\r' && in.p[i + 1] == '\n') {
			*ret_end = i + 2;
			return true;
		}
	return false;
}

/* A line in in at at, with its CRLF. One that can't be any more is the rest of in: it is answered
 * before its end comes. */
static bool next_line(struct sv in, size_t at, size_t max, struct sv *ret_line, size_t *ret_end)
{
	bool bad = in.n - at >= max;

	*ret_end = in.n;
	if (next_crlf(in, at, ret_end)) {
		*ret_line = (struct sv) { in.p + at, *ret_end - 2 - at };
		return true;
	}
	for (size_t i = at; i < in.n; i++)
		bad |= in.p[i] == '\n' || in.p[i] == '\0' || (in.p[i] == '\r' && i + 1 < in.n);
	*ret_line = (struct sv) { in.p + at, in.n - at };
	return bad;
}

/* A whole reply off the front of *in; its code, 0: none there. */
static int take_reply(struct sv *in, struct sv *ret_reply)
{
	size_t at = 0, end;

	for (;;) {
		if (!next_crlf(*in, at, &end) || end - at < 5)
			return 0;
		bool more = in->p[at + 3] == '-';
		at = end;
		if (!more)
			break;
	}
	int code = owner_code(in->p);
	*ret_reply = (struct sv) { in->p, at };
	*in = (struct sv) { in->p + at, in->n - at };
	return code;
}

static bool is_verb(struct sv line, const char *verb)
{
	size_t n = strlen(verb);

	return sv_starts_nocase(line, sv_from(verb)) &&
	       (line.n == n || line.p[n] == ' ' || line.p[n] == '\t');
}

static struct said *add(struct reading *r, enum said_kind kind, struct sv line)
{
	if (r->n == r->alloc) {
		r->alloc = r->alloc ? 2 * r->alloc : 16;
		r->said = realloc(r->said, r->alloc * sizeof(*r->said));
		INVARIANT(r->said);
	}
	r->said[r->n] = (struct said) { .kind = kind, .line = line, .whole = true };
	return &r->said[r->n++];
}

static void answer(struct reading *r, struct said *s)
{
	s->code = r->unanswered == 0 ? take_reply(&r->replies, &s->reply) : 0;
	if (s->code == 0)
		r->unanswered++;
}

/* Digits, then LAST or nothing: false when it is no BDAT whose octets can be counted. */
static bool chunk_size(struct sv line, struct said *s)
{
	size_t i = 4;

	while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'))
		i++;
	size_t digits = i;
	for (; i < line.n && ascii_is_digit(line.p[i]); i++)
		s->size = s->size > UINT64_MAX / 20 ? s->size
						    : s->size * 10 + (uint64_t)(line.p[i] - '0');
	if (i == digits)
		return false;
	while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'))
		i++;
	size_t end = line.n;
	while (end > i && (line.p[end - 1] == ' ' || line.p[end - 1] == '\t'))
		end--;
	s->last = end > i;
	return end == i || sv_eq_nocase((struct sv) { line.p + i, end - i }, SV("LAST"));
}

/* The end of the message at at; false: not there yet. */
static bool body_end(struct sv in, size_t at, size_t *ret_end)
{
	bool start = true;

	for (size_t i = at; i + 2 < in.n; i++) {
		if (start && in.p[i] == '.' && in.p[i + 1] == '\r' && in.p[i + 2] == '\n') {
			*ret_end = i + 3;
			return true;
		}
		start = i > at && in.p[i] == '\n' && in.p[i - 1] == '\r';
	}
	return false;
}

static size_t read_chunk(struct reading *r, struct said *s, struct sv in, size_t at)
{
	if (!chunk_size(s->line, s)) {
		r->ended = true;
		return at;
	}
	size_t n = s->size < in.n - at ? (size_t)s->size : in.n - at;
	s->whole = n == s->size;
	s->payload = (struct sv) { in.p + at, n };
	return at + n;
}

/* Reads on after a command whose reply says how; returns where. */
static size_t read_dialogue(struct reading *r, struct sv in, size_t at)
{
	struct said *s = &r->said[r->n - 1];
	bool data = is_verb(s->line, "DATA"), auth = is_verb(s->line, "AUTH");
	bool tls = is_verb(s->line, "STARTTLS");
	size_t end;

	/* unanswered, it may still be we who refuse it: what follows is read as commands */
	if (data && s->code == 354) {
		bool whole = body_end(in, at, &end);
		s = add(r, SAID_BODY, (struct sv) { 0 });
		s->whole = whole;
		end = whole ? end : in.n;
		s->payload = (struct sv) { in.p + at, end - at };
		if (whole)
			answer(r, s);
		return end;
	}
	struct sv line;
	while (auth && s->code == 334 && next_line(in, at, SMTP_AUTH_LINE_MAX, &line, &end)) {
		s = add(r, SAID_SASL, line);
		answer(r, s);
		at = end;
	}
	if (auth && s->code == 334)
		return in.n;
	if (r->relay && ((auth && s->code == 235) || (tls && s->code == 220)))
		r->ended = true;
	return at;
}

static void read_stream(struct sv in, struct sv replies, bool relay, struct reading *r)
{
	struct sv greeting, line;
	size_t at = 0, end;

	*r = (struct reading) { .replies = replies, .relay = relay };
	int code = take_reply(&r->replies, &greeting);
	r->greeted = code != 0;
	r->ended = code >= 300;
	while (!r->ended && at < in.n) {
		bool auth = sv_starts_nocase((struct sv) { in.p + at, in.n - at }, SV("AUTH "));
		if (!next_line(in, at, auth ? SMTP_AUTH_LINE_MAX : SMTP_COMMAND_LINE_MAX, &line,
			       &end))
			break;
		struct said *s = add(r, SAID_COMMAND, line);
		at = end;
		if (is_verb(s->line, "BDAT"))
			at = read_chunk(r, s, in, at);
		answer(r, s);
		if (is_verb(s->line, "QUIT"))
			r->ended = true;
		if (!r->ended)
			at = read_dialogue(r, in, at);
	}
}

/* ---- the rules ---- */

static bool ends_message(const struct said *s)
{
	return s->kind == SAID_BODY ||
	       (s->kind == SAID_COMMAND && is_verb(s->line, "BDAT") && s->last);
}

static size_t successes(const struct reading *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (ends_message(&r->said[i]) && r->said[i].code >= 200 && r->said[i].code < 300)
			n++;
	return n;
}

static void check_replies(const struct owner *o, const struct reading *client)
{
	struct sv last, left = client->replies;
	bool idle = o->open && o->d.state == DIALOG_TALKING &&
		    dialog_waits_for(&o->d) == DIALOG_WAIT_COMMAND;

	if (client->relay)
		return;
	/* what is over the count is one 421, the last words */
	if (left.n > 0) {
		INVARIANT(take_reply(&left, &last) == 421);
		INVARIANT(left.n == 0);
	}
	INVARIANT(!idle || client->unanswered == 0);
}

static bool holds(struct sv in, struct sv part)
{
	return part.n == 0 || (in.n >= part.n && memmem(in.p, in.n, part.p, part.n));
}

/* Without white space: what rebuilding may change. */
static bool same_words(struct sv a, struct sv b)
{
	size_t i = 0, k = 0;

	for (;;) {
		while (i < a.n && (a.p[i] == ' ' || a.p[i] == '\t'))
			i++;
		while (k < b.n && (b.p[k] == ' ' || b.p[k] == '\t'))
			k++;
		if (i == a.n || k == b.n)
			return i == a.n && k == b.n;
		if (ascii_lower(a.p[i++]) != ascii_lower(b.p[k++]))
			return false;
	}
}

static bool is_path_command(struct sv line)
{
	return is_verb(line, "MAIL") || is_verb(line, "RCPT");
}

/* May the client's c have become the backend's b? */
static bool stands_for(const struct said *c, const struct said *b)
{
	if (c->kind != b->kind)
		return false;
	if (c->kind == SAID_SASL)
		return sv_eq(c->line, b->line) || sv_eq(b->line, SV("*"));
	if (c->kind == SAID_BODY) {
		bool bare = false;
		for (size_t i = 0; i < c->payload.n; i++)
			if (c->payload.p[i] == '\n' || c->payload.p[i] == '\r')
				bare |= c->payload.p[i] == '\n'
						? i == 0 || c->payload.p[i - 1] != '\r'
						: i + 1 == c->payload.n ||
							  c->payload.p[i + 1] != '\n';
		/* a header may have come on top; an unfinished one may be cut */
		return bare || !b->whole || (c->whole && sv_ends_nocase(b->payload, c->payload));
	}
	if (is_verb(b->line, "BDAT")) {
		uint64_t extra = b->size - c->size;
		return is_verb(c->line, "BDAT") && c->last == b->last && b->size >= c->size &&
		       extra <= DIALOG_TAG_MAX &&
		       (b->payload.n <= extra ||
			(b->payload.n - extra <= c->payload.n &&
			 memcmp(b->payload.p + extra, c->payload.p, b->payload.n - extra) == 0));
	}
	if (is_path_command(b->line)) {
		const char *open = memchr(b->line.p, '<', b->line.n);
		const char *close = memrchr(b->line.p, '>', b->line.n);
		if (!sv_starts_nocase(c->line, (struct sv) { b->line.p, 4 }) || !open || !close)
			return false;
		/* what was quoted or routed is written anew */
		return memchr(c->line.p, '"', c->line.n) || memchr(c->line.p, '\\', c->line.n) ||
		       memchr(c->line.p, ':', c->line.n) != memrchr(c->line.p, ':', c->line.n) ||
		       holds(c->line, (struct sv) { open + 1, (size_t)(close - open) - 1 });
	}
	return same_words(c->line, b->line);
}

/* The backend's commands are some of the client's, in their order. */
static void check_commands(const struct reading *client, const struct reading *backend)
{
	size_t k = 0;

	for (size_t i = 0; i < backend->n; i++, k++) {
		while (k < client->n && !stands_for(&client->said[k], &backend->said[i]))
			k++;
		if (k == client->n)
			fprintf(stderr, "no command of the client's: " SV_FMT "\n",
				SV_ARG(backend->said[i].line));
		INVARIANT(k < client->n);
	}
}

static void check_refused(const struct owner *o, const struct reading *backend)
{
	for (size_t i = 0; i < backend->n; i++) {
		const struct said *s = &backend->said[i];
		if (s->kind != SAID_COMMAND || !is_verb(s->line, "RCPT"))
			continue;
		const char *close = memrchr(s->line.p, '>', s->line.n);
		INVARIANT(close && s->line.n > 9);
		struct sv path = { s->line.p + 9, (size_t)(close - s->line.p) - 9 };
		bool permitted = memchr(path.p, '"', path.n);
		for (const struct owner_rcpt *r = o->rcpts; r; r = r->next)
			permitted |= r->passed && sv_eq(path, sv_from(r->address));
		INVARIANT(permitted);
	}
}

/* What the backend's state would be by RFC 5321 and 3030, when each BDAT came. */
static void check_chunks(const struct reading *backend)
{
	bool offered = false, failed = false, chunked = false;
	size_t accepted = 0;

	for (size_t i = 0; i < backend->n; i++) {
		const struct said *s = &backend->said[i];
		bool ok = s->code >= 200 && s->code < 300;
		bool bdat = s->kind == SAID_COMMAND && is_verb(s->line, "BDAT");

		if (bdat) {
			INVARIANT(offered && accepted > 0 && !failed && s->size <= INT32_MAX);
			chunked = true;
		}
		if (chunked && s->code >= 300)
			failed = true;
		if (s->kind == SAID_COMMAND && is_verb(s->line, "EHLO") && ok)
			offered = holds(s->reply, SV("CHUNKING"));
		if (s->kind == SAID_COMMAND && is_verb(s->line, "HELO") && ok)
			offered = false;
		if (s->kind == SAID_COMMAND && is_verb(s->line, "RCPT") && ok)
			accepted++;
		bool fresh = s->kind == SAID_COMMAND &&
			     (is_verb(s->line, "RSET") || (ok && is_verb(s->line, "EHLO")) ||
			      (ok && is_verb(s->line, "HELO")) || (ok && is_verb(s->line, "MAIL")));
		if (fresh || ends_message(s)) {
			accepted = 0;
			failed = chunked = false;
		}
	}
}

void owner_check(const struct owner *o)
{
	bool relay = o->open ? o->d.state == DIALOG_RELAY : o->state == DIALOG_RELAY;
	struct reading client, backend;

	read_stream(buf_view(&o->record.from_client), buf_view(&o->record.to_client), relay,
		    &client);
	read_stream(buf_view(&o->record.to_backend), buf_view(&o->record.from_backend), relay,
		    &backend);
	check_replies(o, &client);
	check_commands(&client, &backend);
	check_refused(o, &backend);
	check_chunks(&backend);
	for (size_t i = 0; i < client.n; i++)
		INVARIANT(client.said[i].whole || client.said[i].code < 200 ||
			  client.said[i].code >= 300);
	INVARIANT(successes(&client) <= successes(&backend));
	for (const struct owner_rcpt *r = o->rcpts; r; r = r->next)
		INVARIANT(r->n_ends == (r->rcpt ? 0 : 1));
	free(client.said);
	free(backend.said);
}
