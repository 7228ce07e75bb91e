/* frontdoor top: what happens now, asked again and again. */
#include "base/base.h"
#include "cli/cli.h"
#include "cli/request.h"
#include "cli/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ANSWER_S     10
#define ONCE_SECONDS 1.0
#define ROWS         12

static json_int_t at(const json_t *o, const char *a, const char *b, const char *c)
{
	const json_t *v = json_object_get(json_object_get(o, a), b);

	return json_integer_value(c ? json_object_get(v, c) : v);
}

struct rates {
	double sessions, recipients, direct, refused, lookups;
};

static json_int_t refused(const json_t *o)
{
	return at(o, "verdicts", "action", "defer") + at(o, "verdicts", "action", "reject") +
	       at(o, "verdicts", "action", "tarpit");
}

/* Between two answers; a daemon that was started anew meanwhile begins at nothing. */
static double rate(json_int_t was, json_int_t now, double seconds)
{
	return seconds > 0 && now >= was ? (double)(now - was) / seconds : 0;
}

static struct rates rates_of(const json_t *was, const json_t *now)
{
	double s = (double)(json_integer_value(json_object_get(now, "now_ms")) -
			    json_integer_value(json_object_get(was, "now_ms"))) /
		   1000;

	return (struct rates) {
		.sessions =
			rate(at(was, "sessions", "all", NULL), at(now, "sessions", "all", NULL), s),
		.recipients =
			rate(at(was, "verdicts", "all", NULL), at(now, "verdicts", "all", NULL), s),
		.direct = rate(at(was, "verdicts", "finding", "direct"),
			       at(now, "verdicts", "finding", "direct"), s),
		.refused = rate(refused(was), refused(now), s),
		.lookups =
			rate(at(was, "dns", "lookups", NULL), at(now, "dns", "lookups", NULL), s),
	};
}

static const char *name_at(const json_t *list, size_t i, char *out, size_t size)
{
	const json_t *row = json_array_get(list, i);

	if (!row)
		*out = '\0';
	else
		snprintf(out, size, "%8lld %s",
			 (long long)json_integer_value(json_object_get(row, "count")),
			 json_string_value(json_object_get(row, "name")));
	return out;
}

static void print_screen(const json_t *now, const struct rates *r)
{
	const json_t *clients = json_object_get(now, "clients");
	const json_t *domains = json_object_get(now, "domains");
	char left[128], right[128];

	printf("%lld sessions open, %.1f a second; recipients a second: %.1f, direct %.1f, refused "
	       "%.1f; look-ups %.1f a second%s\n\n",
	       (long long)at(now, "sessions", "open", NULL), r->sessions, r->recipients, r->direct,
	       r->refused, r->lookups,
	       json_is_true(json_object_get(now, "heartbeat")) ? "" : "; A WORKER DOES NOT ANSWER");
	terminal_style("1");
	printf("   count %-42s    count %s", "client, direct", "domain, direct");
	terminal_style("0");
	putchar('\n');
	for (size_t i = 0; i < ROWS; i++) {
		name_at(clients, i, left, sizeof(left));
		name_at(domains, i, right, sizeof(right));
		if (*left || *right)
			printf("%-51.51s %s\n", left, right);
	}
	fflush(stdout);
}

static void print_json(json_t *now, const struct rates *r)
{
	json_object_set_new(now, "rates",
			    json_pack("{s:f, s:f, s:f, s:f, s:f}", "sessions", r->sessions,
				      "recipients", r->recipients, "direct", r->direct, "refused",
				      r->refused, "lookups", r->lookups));
	json_dumpf(now, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
}

static void pause_for(double seconds)
{
	struct timespec t = { .tv_sec = (time_t)seconds,
			      .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* A terminal is a screen; anything else gets one view and no more, as with --once. */
int cli_top(int argc, char **argv)
{
	struct request_options o;
	CLEANUP(cleanup_free) char *path = NULL;
	json_t *was = NULL, *now = NULL;
	int status = request_options(argc, argv, &o);

	if (status >= 0)
		return status;
	bool once = o.once || o.json || !terminal_is();
	if ((status = request_socket(&o, &path)) != CLI_DONE ||
	    (status = request_send(path, "top", ANSWER_S, &was)) != CLI_DONE)
		return status;
	do {
		pause_for(once ? ONCE_SECONDS : o.interval);
		status = request_send(path, "top", ANSWER_S, &now);
		if (status != CLI_DONE)
			break;
		struct rates r = rates_of(was, now);
		if (!once)
			fputs("\033[H\033[2J", stdout);
		if (o.json)
			print_json(now, &r);
		else
			print_screen(now, &r);
		json_decref(was);
		was = now;
	} while (!once);
	json_decref(was);
	return status;
}
