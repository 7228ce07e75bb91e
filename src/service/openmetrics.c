#include "service/openmetrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct page {
	struct buf *out;
	bool open;
	int failed;
};

static void add(struct page *p, const char *fmt, ...) PRINTF(2, 3);
static void add(struct page *p, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	INVARIANT(n >= 0 && (size_t)n < sizeof(line));
	int r = buf_add(p->out, line, (size_t)n);
	if (r < 0)
		p->failed = r;
}

/* name: of the family, as OpenMetrics has it; a counter's samples end in _total. */
static void family(struct page *p, const char *name, const char *type, const char *unit,
		   const char *help)
{
	const char *tail = "";

	if (!p->open && strcmp(type, "counter") == 0)
		tail = "_total";
	if (!p->open && strcmp(type, "info") == 0) {
		tail = "_info";
		type = "gauge";
	}
	add(p, "# TYPE %s%s %s\n", name, tail, type);
	if (p->open && unit)
		add(p, "# UNIT %s %s\n", name, unit);
	add(p, "# HELP %s%s %s\n", name, tail, help);
}

static void counter(struct page *p, const char *name, const char *help, uint64_t value)
{
	family(p, name, "counter", NULL, help);
	add(p, "%s_total %llu\n", name, (unsigned long long)value);
}

static void gauge(struct page *p, const char *name, const char *unit, const char *help,
		  double value)
{
	family(p, name, "gauge", unit, help);
	add(p, "%s %.15g\n", name, value);
}

/* A label's value: backslash, quote and newline are escaped. */
static const char *label(const char *text,
			 char out[2 * sizeof(((struct metrics_listener *)0)->name)])
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(((struct metrics_listener *)0)->name) - 1 && text[i]; i++) {
		char c = text[i];

		if (c == '\\' || c == '"' || c == '\n')
			out[n++] = '\\';
		out[n++] = c == '\n' ? 'n' : c;
	}
	out[n] = '\0';
	return out;
}

static void verdicts_of(struct page *p, const struct metrics_listener *l)
{
	char name[2 * sizeof(l->name)];

	label(l->name, name);
	for (int f = 0; f < FINDING_COUNT; f++)
		for (int r = 0; r < REASON_COUNT; r++)
			for (int a = 0; a < ACTION_COUNT; a++) {
				uint64_t n = l->verdicts[f][r][a];

				if (n > 0)
					add(p,
					    "frontdoor_verdicts_total{listener=\"%s\","
					    "finding=\"%s\",reason=\"%s\",action=\"%s\"} %llu\n",
					    name, finding_name(f), reason_name(r), action_name(a),
					    (unsigned long long)n);
			}
}

static void verdicts(struct page *p, const struct metrics *m)
{
	size_t n = ((struct metrics *)m)->n_listeners;

	family(p, "frontdoor_verdicts", "counter", NULL,
	       "Recipients judged, by listener, finding, reason and the action carried out.");
	for (size_t i = 0; i < n; i++)
		verdicts_of(p, m->listeners[i]);
}

/* Seconds, with a point always: OpenMetrics' canonical numbers. */
static const char *seconds(uint64_t ms, char out[32])
{
	snprintf(out, 32, "%.15g", (double)ms / 1000);
	if (!strpbrk(out, ".e"))
		strcat(out, ".0");
	return out;
}

static void histogram(struct page *p, const char *name, const char *help, struct histogram *h)
{
	char text[32];
	uint64_t n = 0;

	family(p, name, "histogram", "seconds", help);
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		n += h->counts[i];
		add(p, "%s_bucket{le=\"%s\"} %llu\n", name, seconds(h->bounds[i], text),
		    (unsigned long long)n);
	}
	n += h->counts[HISTOGRAM_BOUNDS];
	add(p, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)n);
	add(p, "%s_sum %s\n", name, seconds(h->sum_ms, text));
	add(p, "%s_count %llu\n", name, (unsigned long long)n);
}

static void counters(struct page *p, const struct metrics *m)
{
	char name[96];

	for (enum metric i = 0; i < METRIC_COUNT; i++) {
		snprintf(name, sizeof(name), "frontdoor_%s", metric_name(i));
		counter(p, name, metric_help(i), metrics_get(m, i));
	}
}

static void dns(struct page *p, const struct resolver_stats *s)
{
	counter(p, "frontdoor_dns_lookups", "Look-ups begun.", s->lookups);
	counter(p, "frontdoor_dns_failures", "Look-ups that failed.", s->failed);
	counter(p, "frontdoor_dns_joined", "Questions that shared a look-up under way.", s->joined);
	counter(p, "frontdoor_dns_confirmations", "Doors confirmed at authoritative servers.",
		s->confirmed);
	counter(p, "frontdoor_dns_aa_answers",
		"Answers of the resolver with authority: a local zone there.", s->aa);
	counter(p, "frontdoor_doors_refreshed", "Doors looked up anew before they expired.",
		s->refreshed);
	counter(p, "frontdoor_doors_stale", "Refreshes that failed: the former door goes on.",
		s->stale);
	counter(p, "frontdoor_doors_evicted", "Doors that made room for others.", s->evicted);
	gauge(p, "frontdoor_doors", NULL, "Doors known now.", (double)s->domains);
	gauge(p, "frontdoor_dns_in_flight", NULL, "Look-ups under way.", (double)s->in_flight);
	gauge(p, "frontdoor_egress_sources", NULL, "Names in DNS that egresses are read from.",
	      (double)s->sources);
	counter(p, "frontdoor_egress_sources_failed", "Look-ups of these that failed.",
		s->sources_failed);
}

static void listeners(struct page *p, const struct view *v)
{
	char name[2 * sizeof(((struct metrics_listener *)0)->name)];

	family(p, "frontdoor_listener_open", "gauge", NULL,
	       "1: the listener serves; 0: it answers 421, its backend is not known yet.");
	for (size_t i = 0; i < v->n_listeners; i++)
		add(p, "frontdoor_listener_open{listener=\"%s\"} %d\n",
		    label(v->listeners[i].conf->name, name), !v->listeners[i].closed);
}

int metrics_write(const struct view *v, enum metrics_format format, struct buf *page)
{
	struct page p = { .out = page, .open = format == METRICS_OPENMETRICS };
	struct metrics *m = v->metrics;
	uint64_t ended = metrics_get(m, METRIC_SESSIONS_ENDED);

	family(&p, "frontdoor_build", "info", NULL, "The program.");
	add(&p, "frontdoor_build_info{version=\"" FRONTDOOR_VERSION "\"} 1\n");
	verdicts(&p, m);
	histogram(&p, "frontdoor_verdict_seconds", "From RCPT until it was decided.",
		  &m->verdict_time);
	histogram(&p, "frontdoor_session_seconds", "Length of sessions.", &m->session_time);
	gauge(&p, "frontdoor_sessions_open", NULL, "Sessions now.",
	      (double)(metrics_get(m, METRIC_SESSIONS) - ended));
	counters(&p, m);
	listeners(&p, v);
	gauge(&p, "frontdoor_backends_down", NULL,
	      "Mail servers that don't answer: new sessions for them get 421.",
	      (double)v->backends_down);
	dns(&p, &v->dns);
	counter(&p, "frontdoor_events_dropped", "Events that could not be written.",
		v->events_dropped);
	gauge(&p, "frontdoor_heartbeat", NULL, "1: every worker answers.", v->answering);
	if (v->kernel != KERNEL_NOT_WANTED)
		gauge(&p, "frontdoor_steering", NULL, "1: the kernel steers new connections here.",
		      v->kernel == KERNEL_STEERING);
	gauge(&p, "frontdoor_enforcing", NULL, "0: enforcing has stopped by itself.",
	      !v->enforcing.stopped);
	gauge(&p, "frontdoor_enforce_share_ratio", "ratio",
	      "Share of the domains that is enforced for.", v->enforcing.share / 100);
	gauge(&p, "process_resident_memory_bytes", "bytes", "Resident memory.",
	      (double)v->resident);
	gauge(&p, "process_start_time_seconds", "seconds", "Start of the process since 1970.",
	      (double)v->started_ms / 1000);
	if (p.open)
		add(&p, "# EOF\n");
	return p.failed;
}

const char *metrics_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

/* "type/subtype;q=0.5;...": its weight is zero. */
static bool is_refused(struct sv range)
{
	for (size_t i = 0; i + 3 < range.n; i++)
		if (range.p[i] == ';') {
			const char *p = range.p + i + 1, *end = range.p + range.n;

			while (p < end && *p == ' ')
				p++;
			if (end - p >= 3 && ascii_lower(p[0]) == 'q' && p[1] == '=')
				return strtod(p + 2, NULL) <= 0;
		}
	return false;
}

enum metrics_format metrics_format_for(const char *accept)
{
	const char *at = accept;

	while (*at) {
		size_t n = strcspn(at, ",");
		struct sv range = { at, n };

		while (range.n > 0 && *range.p == ' ') {
			range.p++;
			range.n--;
		}
		if (sv_starts_nocase(range, SV("application/openmetrics-text")))
			return is_refused(range) ? METRICS_PROMETHEUS : METRICS_OPENMETRICS;
		at += n + (at[n] == ',');
	}
	return METRICS_PROMETHEUS;
}
