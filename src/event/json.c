/*
 * Events as JSON: the names are a contract (doc/events.md). What is not known is null.
 *
 * Written here and not by a library: an event is one flat object of two dozen members, made for
 * every recipient, and building and dumping a tree of it took as long as carrying the mail. The
 * tests read the lines back with Jansson.
 */
#include "event/json.h"

#include "base/clock.h"
#include "base/log.h"
#include "smtp/command.h"

#include <stdio.h>
#include <stdlib.h>

struct line {
	char *out;
	size_t n;
};

static void add(struct line *l, struct sv v)
{
	INVARIANT(v.n < EVENT_JSON_MAX - l->n);
	memcpy(l->out + l->n, v.p, v.n);
	l->n += v.n;
}

static void add_char(struct line *l, char c)
{
	add(l, (struct sv) { &c, 1 });
}

static void add_key(struct line *l, const char *key)
{
	add_char(l, l->n == 0 ? '{' : ',');
	add_char(l, '"');
	add(l, sv_from(key));
	add(l, SV("\":"));
}

/* A word of ours, which needs no escaping; null when empty. */
static void put_word(struct line *l, const char *key, const char *word)
{
	add_key(l, key);
	if (!word || !*word) {
		add(l, SV("null"));
		return;
	}
	add_char(l, '"');
	add(l, sv_from(word));
	add_char(l, '"');
}

/* A text that a peer may have chosen. What is not printable UTF-8 is shown as \xNN. */
static void put_text(struct line *l, const char *key, const char *text)
{
	char quoted[4 * EVENT_TEXT_MAX + 8];
	struct sv v = sv_from(text);

	if (v.n == 0) {
		put_word(l, key, NULL);
		return;
	}
	if (!text_is_clean(v, true))
		v = sv_from(log_quote(v, quoted, sizeof(quoted)));
	add_key(l, key);
	add_char(l, '"');
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == '"' || v.p[i] == '\\')
			add_char(l, '\\');
		add_char(l, v.p[i]);
	}
	add_char(l, '"');
}

static void put_number(struct line *l, const char *key, uint64_t number)
{
	char digits[24];
	char *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + number % 10);
	while (number /= 10);
	add_key(l, key);
	add(l, (struct sv) { p, (size_t)(digits + sizeof(digits) - p) });
}

static void put_code(struct line *l, const char *key, int code)
{
	if (code > 0)
		put_number(l, key, (uint64_t)code);
	else
		put_word(l, key, NULL);
}

static void put_bool(struct line *l, const char *key, bool value)
{
	add_key(l, key);
	add(l, value ? SV("true") : SV("false"));
}

static size_t end_line(struct line *l)
{
	add(l, SV("}\n"));
	return l->n;
}

size_t event_rcpt_line(const struct event_rcpt *e, char *out)
{
	struct line l = { out, 0 };
	char text[ADDR_STRLEN];

	put_word(&l, "time", clock_rfc3339(e->time_ms, text));
	put_word(&l, "id", e->id);
	put_text(&l, "listener", e->listener);
	put_word(&l, "client", addr_format(&e->client.addr, text));
	put_code(&l, "client_port", e->client.port);
	put_word(&l, "server", addr_format(&e->server.addr, text));
	put_text(&l, "helo", e->helo);
	put_text(&l, "rcpt_domain", e->rcpt_domain);
	put_word(&l, "door", e->door_known ? door_kind_name(e->door) : NULL);
	put_word(&l, "door_name", e->door_name);
	put_word(&l, "grade", e->grade != GRADE_NONE ? grade_name(e->grade) : NULL);
	put_word(&l, "finding", finding_name(e->finding));
	put_word(&l, "action", action_name(e->action));
	put_word(&l, "wanted", action_name(e->wanted));
	put_word(&l, "restraint", restraint_name(e->restraint));
	put_word(&l, "reason", reason_name(e->reason));
	put_text(&l, "scanner", e->scanner);
	put_text(&l, "mx", e->mx);
	put_code(&l, "reply", e->reply);
	put_code(&l, "message_reply", e->message_reply);
	put_bool(&l, "tls", e->tls);
	put_bool(&l, "auth", e->auth);
	put_number(&l, "bytes", e->bytes);
	put_number(&l, "ms", e->ms > 0 ? (uint64_t)e->ms : 0);
	return end_line(&l);
}

size_t event_note_line(int64_t time_ms, const char *kind, const char *text, char *out)
{
	struct line l = { out, 0 };
	char time[32];

	put_word(&l, "time", clock_rfc3339(time_ms, time));
	put_word(&l, "event", kind);
	put_text(&l, "text", text);
	return end_line(&l);
}

char *event_rcpt_json(const struct event_rcpt *e)
{
	char out[EVENT_JSON_MAX];
	size_t n = event_rcpt_line(e, out);

	return sv_dup((struct sv) { out, n - 1 });
}
