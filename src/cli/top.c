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
#define COLUMN       51 /* wide enough for an IPv6 address and its count */

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

/* Or doesn't have to be. */
static bool is_steered(const json_t *now)
{
	const char *state = json_string_value(json_object_get(now, "kernel"));

	return !state || strcmp(state, "steering") == 0 || strcmp(state, "not-wanted") == 0 ||
	       strcmp(state, "unknown") == 0;
}

/* What fits a terminal: nothing is wrapped or scrolls. */
struct screen {
	int columns;
	int lines; /* left */
};

static struct screen screen_now(void)
{
	int lines = terminal_lines();

	/* the last one is the cursor's */
	return (struct screen) { .columns = terminal_is() ? terminal_columns() : 160,
				 .lines = lines > 1 ? lines - 1 : 1000 };
}

static void print_line(struct screen *to, const char *style, const char *line)
{
	if (to->lines-- <= 0)
		return;
	if (*style)
		terminal_style(style);
	printf("%.*s", to->columns, line);
	if (*style)
		terminal_style("0");
	putchar('\n');
}

/* Parts of a sentence, as many in a line as there is room for. */
static void print_parts(struct screen *to, const char *const *parts, size_t n)
{
	char line[512] = "";

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(line);
		if (len > 0 && len + strlen(parts[i]) > (size_t)to->columns) {
			print_line(to, "", line);
			len = 0;
		}
		snprintf(line + len, sizeof(line) - len, "%s", parts[i]);
	}
	print_line(to, "", line);
}

static void print_rates(struct screen *to, const json_t *now, const struct rates *r)
{
	char sessions[96], recipients[128], lookups[64];
	const char *parts[] = {
		json_is_true(json_object_get(now, "heartbeat")) ? "" : "A WORKER DOES NOT ANSWER; ",
		is_steered(now) ? "" : "NOT STEERED; ",
		sessions,
		recipients,
		lookups,
	};

	snprintf(sessions, sizeof(sessions), "%lld sessions open, %.1f a second; ",
		 (long long)at(now, "sessions", "open", NULL), r->sessions);
	snprintf(recipients, sizeof(recipients),
		 "recipients a second: %.1f, direct %.1f, refused %.1f; ", r->recipients, r->direct,
		 r->refused);
	snprintf(lookups, sizeof(lookups), "look-ups %.1f a second", r->lookups);
	print_parts(to, parts, ARRAY_SIZE(parts));
}

/* Side by side; what has no room is cut. */
static void print_lists(struct screen *to, const json_t *clients, const json_t *domains)
{
	int width = to->columns > 2 * COLUMN ? COLUMN : (to->columns - 1) / 2;
	char left[128], right[128], line[300];

	snprintf(line, sizeof(line), "%-*.*s %s", width, width, "   count client, direct",
		 "   count domain, direct");
	print_line(to, "1", line);
	for (size_t i = 0; i < ROWS; i++) {
		name_at(clients, i, left, sizeof(left));
		name_at(domains, i, right, sizeof(right));
		if (!*left && !*right)
			break;
		snprintf(line, sizeof(line), "%-*.*s %s", width, width, left, right);
		print_line(to, "", line);
	}
}

static void print_screen(const json_t *now, const struct rates *r)
{
	struct screen to = screen_now();

	print_rates(&to, now, r);
	print_line(&to, "", "");
	print_lists(&to, json_object_get(now, "clients"), json_object_get(now, "domains"));
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
