#include "service/status.h"

#include "base/clock.h"

#include <ares.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void set(json_t *object, const char *key, uint64_t n)
{
	json_object_set_new(object, key, number(n));
}

static json_t *sums_json(const struct metrics_sums *s)
{
	json_t *findings = json_object(), *reasons = json_object(), *actions = json_object();

	for (int i = 0; i < FINDING_COUNT; i++)
		set(findings, finding_name(i), s->findings[i]);
	for (int i = 0; i < REASON_COUNT; i++)
		if (s->reasons[i] > 0)
			set(reasons, reason_name(i), s->reasons[i]);
	for (int i = ACTION_PASS; i < ACTION_COUNT; i++)
		if (s->actions[i] > 0 || i == ACTION_PASS)
			set(actions, action_name(i), s->actions[i]);
	return json_pack("{s:I, s:o, s:o, s:o}", "all", (json_int_t)s->all, "finding", findings,
			 "action", actions, "reason", reasons);
}

static json_t *sessions_json(const struct metrics *m)
{
	uint64_t all = metrics_get(m, METRIC_SESSIONS);
	uint64_t ended = metrics_get(m, METRIC_SESSIONS_ENDED);

	return json_pack("{s:I, s:I}", "open", (json_int_t)(all - ended), "all", (json_int_t)all);
}

static json_t *listener_json(const struct view_listener *l)
{
	struct metrics_sums sums = { 0 };
	json_t *bind = json_array();
	char where[ADDR_STRLEN + 8];

	for (size_t i = 0; i < l->conf->n_bind; i++)
		json_array_append_new(bind, json_string(endpoint_format(&l->conf->bind[i], where)));
	if (l->metrics)
		metrics_sum_listener(l->metrics, &sums);
	return json_pack(
		"{s:s, s:s, s:o, s:s, s:b, s:s, s:o}", "name", l->conf->name, "mode",
		l->conf->mode == LISTENER_TPROXY ? "tproxy" : "listen", "bind", bind, "backend",
		l->conf->backend_original ? "original" : endpoint_format(&l->conf->backend, where),
		"open", !l->closed, "starttls", l->starttls, "verdicts", sums_json(&sums));
}

static json_t *dns_json(const struct view *v)
{
	const struct resolver_stats *s = &v->dns;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I}}", "lookups",
			 (json_int_t)s->lookups, "failed", (json_int_t)s->failed, "stale",
			 (json_int_t)s->stale, "in_flight", (json_int_t)s->in_flight, "confirmed",
			 (json_int_t)s->confirmed, "aa", (json_int_t)s->aa, "last_minute",
			 "lookups", (json_int_t)v->dns_minute.lookups, "failed",
			 (json_int_t)v->dns_minute.failed);
}

static json_t *doors_json(const struct view *v)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "known", (json_int_t)v->dns.domains, "hosted",
			 (json_int_t)v->hosted, "refreshed", (json_int_t)v->dns.refreshed,
			 "evicted", (json_int_t)v->dns.evicted, "sources",
			 (json_int_t)v->dns.sources);
}

/* Everything counted that isn't a session or a verdict: limits, reloads, ... by their own names. */
static json_t *counters_json(const struct metrics *m)
{
	json_t *o = json_object();

	for (enum metric i = METRIC_SESSIONS_ENDED + 1; i < METRIC_COUNT; i++)
		set(o, metric_name(i), metrics_get(m, i));
	return o;
}

static json_t *enforce_json(const struct enforcing_view *e)
{
	char since[32];

	if (!e->stopped)
		return json_pack("{s:f, s:b, s:n, s:n}", "share", e->share, "stopped", 0, "since",
				 "why");
	return json_pack("{s:f, s:b, s:s, s:s}", "share", e->share, "stopped", 1, "since",
			 clock_rfc3339(e->since_ms, since), "why", e->why);
}

static json_t *versions_json(void)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "c_ares", ares_version(NULL), "libuv",
			 uv_version_string(), "libmicrohttpd", MHD_get_version(), "openssl",
			 OpenSSL_version(OPENSSL_VERSION_STRING), "sqlite", sqlite3_libversion());
}

json_t *status_json(const struct view *v)
{
	struct metrics_sums sums;
	char started[32];
	json_t *listeners = json_array();

	metrics_sum(v->metrics, &sums);
	for (size_t i = 0; i < v->n_listeners; i++)
		json_array_append_new(listeners, listener_json(&v->listeners[i]));
	return json_pack("{s:b, s:s, s:i, s:s, s:I, s:s, s:b, s:{s:s, s:s}, s:b, s:I, s:s, s:o, "
			 "s:o, s:o, s:o, s:o, "
			 "s:{s:I}, s:o, s:o, s:o, s:I}",
			 "ok", 1, "version", FRONTDOOR_VERSION, "pid", (int)getpid(), "started",
			 clock_rfc3339(v->started_ms, started), "uptime_s",
			 (json_int_t)((v->now_ms - v->started_ms) / 1000), "config", v->conf->file,
			 "heartbeat", v->answering, "kernel", "state", kernel_state_name(v->kernel),
			 "text", kernel_state_text(v->kernel), "ending", v->ending, "memory",
			 (json_int_t)v->resident, "action", action_name(v->conf->policy.action),
			 "sessions", sessions_json(v->metrics), "verdicts", sums_json(&sums),
			 "listeners", listeners, "doors", doors_json(v), "dns", dns_json(v),
			 "events", "dropped", (json_int_t)v->events_dropped, "counters",
			 counters_json(v->metrics), "enforce", enforce_json(&v->enforcing),
			 "versions", versions_json(), "backends_down",
			 (json_int_t)v->backends_down);
}

static json_t *rows_json(struct top *t, int64_t now_ms)
{
	struct top_row rows[STATUS_TOP];
	json_t *list = json_array();
	size_t n = top_read(t, now_ms, rows, STATUS_TOP);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "name", rows[i].key,
						      "count", (json_int_t)rows[i].count, "error",
						      (json_int_t)rows[i].error));
	return list;
}

json_t *status_top_json(const struct view *v)
{
	struct metrics_sums sums;

	metrics_sum(v->metrics, &sums);
	return json_pack("{s:b, s:I, s:b, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "ok", 1, "now_ms",
			 (json_int_t)v->now_ms, "heartbeat", v->answering, "kernel",
			 kernel_state_name(v->kernel), "memory", (json_int_t)v->resident,
			 "sessions", sessions_json(v->metrics), "verdicts", sums_json(&sums), "dns",
			 dns_json(v), "clients", rows_json(&v->metrics->clients, v->now_ms),
			 "domains", rows_json(&v->metrics->domains, v->now_ms));
}

void status_line(const struct view *v, char *out, size_t size)
{
	uint64_t all = metrics_get(v->metrics, METRIC_SESSIONS);
	struct metrics_sums s;

	metrics_sum(v->metrics, &s);
	snprintf(out, size, "%s%s%llu sessions, %llu recipients, %llu direct, %llu refused",
		 v->answering ? "" : "not answering; ",
		 v->kernel <= KERNEL_STEERING ? "" : "not steered; ",
		 (unsigned long long)(all - metrics_get(v->metrics, METRIC_SESSIONS_ENDED)),
		 (unsigned long long)s.all, (unsigned long long)s.findings[FINDING_DIRECT],
		 (unsigned long long)(s.actions[ACTION_DEFER] + s.actions[ACTION_REJECT] +
				      s.actions[ACTION_TARPIT]));
}
