/* Events as JSON: the names are a contract (doc/events.md). What is not known is null. */
#include "event/json.h"

#include "base/clock.h"
#include "event/flat.h"

size_t event_rcpt_line(const struct event_rcpt *e, char *out)
{
	struct flat l = { out, 0, EVENT_JSON_MAX };
	char text[ADDR_STRLEN];

	flat_word(&l, "time", clock_rfc3339(e->time_ms, text));
	flat_word(&l, "id", e->id);
	flat_text(&l, "listener", sv_from(e->listener));
	flat_word(&l, "client", addr_format(&e->client.addr, text));
	flat_code(&l, "client_port", e->client.port);
	flat_text(&l, "client_name", sv_from(e->client_name));
	flat_word(&l, "server", addr_format(&e->server.addr, text));
	flat_text(&l, "helo", sv_from(e->helo));
	flat_text(&l, "rcpt_domain", sv_from(e->rcpt_domain));
	flat_word(&l, "door", e->door_known ? door_kind_name(e->door) : NULL);
	flat_word(&l, "door_name", e->door_name);
	flat_word(&l, "grade", e->grade != GRADE_NONE ? grade_name(e->grade) : NULL);
	flat_word(&l, "finding", finding_name(e->finding));
	flat_word(&l, "action", action_name(e->action));
	flat_word(&l, "wanted", action_name(e->wanted));
	flat_word(&l, "restraint", restraint_name(e->restraint));
	flat_word(&l, "reason", reason_name(e->reason));
	flat_text(&l, "scanner", sv_from(e->scanner));
	flat_text(&l, "mx", sv_from(e->mx));
	flat_code(&l, "reply", e->reply);
	flat_code(&l, "message_reply", e->message_reply);
	flat_bool(&l, "tls", e->tls);
	flat_bool(&l, "auth", e->auth);
	flat_number(&l, "bytes", e->bytes);
	flat_number(&l, "ms", e->ms > 0 ? (uint64_t)e->ms : 0);
	return flat_end(&l);
}

size_t event_note_line(int64_t time_ms, const char *kind, const char *text, char *out)
{
	struct flat l = { out, 0, EVENT_JSON_MAX };
	char time[32];

	flat_word(&l, "time", clock_rfc3339(time_ms, time));
	flat_word(&l, "event", kind);
	flat_text(&l, "text", sv_from(text));
	return flat_end(&l);
}

char *event_rcpt_json(const struct event_rcpt *e)
{
	char out[EVENT_JSON_MAX];
	size_t n = event_rcpt_line(e, out);

	return sv_dup((struct sv) { out, n - 1 });
}
