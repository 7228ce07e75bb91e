/* Events as JSON: the names are a contract (doc/events.md). What is not known is null. */
#include "event/event.h"

#include "base/clock.h"
#include "base/log.h"
#include "event/json.h"

#include <jansson.h>
#include <stdlib.h>

static void put(json_t *o, const char *key, json_t *value)
{
	/* Takes the reference, also when it fails; a missing member is found by its reader. */
	json_object_set_new_nocheck(o, key, value ? value : json_null());
}

/* A text of a peer's or ours; null when empty. What is not UTF-8 is escaped. */
static void put_text(json_t *o, const char *key, const char *text)
{
	char quoted[4 * EVENT_TEXT_MAX];
	json_t *value = NULL;

	if (text && *text) {
		value = json_string(text);
		if (!value)
			value = json_string(log_quote(sv_from(text), quoted, sizeof(quoted)));
	}
	put(o, key, value);
}

static void put_code(json_t *o, const char *key, int code)
{
	put(o, key, code > 0 ? json_integer(code) : NULL);
}

static char *dump(json_t *o)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

char *event_rcpt_json(const struct event_rcpt *e)
{
	json_t *o = json_object();
	char time[32], client[ADDR_STRLEN], server[ADDR_STRLEN];

	if (!o)
		return NULL;
	put_text(o, "time", clock_rfc3339(e->time_ms, time));
	put_text(o, "id", e->id);
	put_text(o, "listener", e->listener);
	put_text(o, "client", addr_format(&e->client.addr, client));
	put_code(o, "client_port", e->client.port);
	put_text(o, "server", addr_format(&e->server.addr, server));
	put_text(o, "helo", e->helo);
	put_text(o, "rcpt_domain", e->rcpt_domain);
	put_text(o, "door", e->door_known ? door_kind_name(e->door) : NULL);
	put_text(o, "door_name", e->door_name);
	put_text(o, "grade", e->grade != GRADE_NONE ? grade_name(e->grade) : NULL);
	put_text(o, "finding", finding_name(e->finding));
	put_text(o, "action", action_name(e->action));
	put_text(o, "wanted", action_name(e->wanted));
	put_text(o, "restraint", restraint_name(e->restraint));
	put_text(o, "reason", reason_name(e->reason));
	put_text(o, "scanner", e->scanner);
	put_text(o, "mx", e->mx);
	put_code(o, "reply", e->reply);
	put_code(o, "message_reply", e->message_reply);
	put(o, "tls", json_boolean(e->tls));
	put(o, "auth", json_boolean(e->auth));
	put(o, "bytes", json_integer((json_int_t)e->bytes));
	put(o, "ms", json_integer(e->ms));
	return dump(o);
}

char *event_note_json(int64_t time_ms, const char *kind, const char *text)
{
	json_t *o = json_object();
	char time[32];

	if (!o)
		return NULL;
	put_text(o, "time", clock_rfc3339(time_ms, time));
	put_text(o, "event", kind);
	put_text(o, "text", text);
	return dump(o);
}
