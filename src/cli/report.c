/* frontdoor report: the ledger of observing, from events. */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "conf/conf.h"
#include "logscan/ledger.h"
#include "logscan/source.h"

#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define SINCE_DEFAULT_MS (7 * 86400 * 1000LL)
#define ROWS             25 /* of each part, for people */
#define LINES            500

static int usage(FILE *to, int status)
{
	fputs("usage: frontdoor report [-c FILE] [--since TIME] [--json] [EVENTS...]\n"
	      "  TIME      7d, 12h, 30m: so long ago (default 7d); or 2026-11-23T20:00:00.000Z\n"
	      "  EVENTS    files of events.json, compressed ones too; default: those of FILE, with "
	      "the rotated ones\n",
	      to);
	return status;
}

struct report_options {
	const char *file;
	bool json;
	int64_t since_ms;
};

/* "7d", "12h", "30m", "90s" ago, or a time. */
static bool read_since(const char *text, int64_t *ret_ms)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
	struct sv v = sv_from(text);
	uint64_t n;

	if (ledger_time(v, ret_ms) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(units) && v.n > 1; i++)
		if (v.p[v.n - 1] == units[i].unit &&
		    sv_to_u64((struct sv) { v.p, v.n - 1 }, 36500, &n) == 0) {
			*ret_ms = clock_wall_ms() - (int64_t)n * units[i].ms;
			return true;
		}
	return false;
}

/* ---- reading ---- */

static int read_events(char *const *names, size_t n, struct ledger *l)
{
	struct source *source;
	struct source_line line;
	int r = source_open(names, n, NULL, stderr, &source), fault = 0;

	if (r < 0)
		return r;
	while ((r = source_next(source, &line)) != 1) {
		if (r < 0) {
			fault = r; /* told; the rest is read */
			continue;
		}
		if ((r = ledger_add(l, line.text)) < 0)
			break;
	}
	source_free(source);
	return r < 0 ? r : fault;
}

/* The file of the configuration and what it was rotated to: FILE.1, FILE.2.gz, FILE-20261123, ...
 */
static int read_configured(const struct report_options *o, struct ledger *l)
{
	CLEANUP(cleanup_free) char *numbered = NULL, *dated = NULL;
	struct conf *conf;
	glob_t files = { 0 };

	if (conf_load(o->file, stderr, &conf) < 0)
		return CLI_CONFIG;
	int r = conf->events_json && strcmp(conf->events_json, "-") != 0 ? 0 : -ENOENT;
	if (r < 0)
		fprintf(stderr,
			"frontdoor: %s names no file of events (events.json); accepted: "
			"one, or EVENTS\n",
			o->file);
	else if (asprintf(&numbered, "%s.[0-9]*", conf->events_json) < 0 ||
		 asprintf(&dated, "%s-[0-9]*", conf->events_json) < 0)
		r = -ENOMEM;
	if (r == 0) {
		glob(conf->events_json, GLOB_NOCHECK, NULL, &files);
		glob(numbered, GLOB_APPEND, NULL, &files);
		glob(dated, GLOB_APPEND, NULL, &files);
		r = read_events(files.gl_pathv, files.gl_pathc, l);
		globfree(&files);
	}
	conf_free(conf);
	return r < 0 ? CLI_FAILED : CLI_DONE;
}

/* ---- writing ---- */

/* "- {name: DOMAIN, allow: [...]}", with the networks of those of the n groups from groups[0] on
 * that have its domain, each once. */
static void allow_line(struct ledger_group *const *groups, size_t n, char *out, size_t size)
{
	char network[ADDR_STRLEN + 4], quoted[ADDR_STRLEN + 8];
	size_t at = (size_t)snprintf(out, size, "- {name: %s, allow: [", groups[0]->domain);
	const char *between = "";

	for (size_t i = 0; i < n && at + sizeof(quoted) + 8 < size; i++) {
		snprintf(quoted, sizeof(quoted), "\"%s\"",
			 prefix_format(&groups[i]->network, network));
		if (strcmp(groups[i]->domain, groups[0]->domain) != 0 || strstr(out, quoted))
			continue;
		at += (size_t)snprintf(out + at, size - at, "%s%s", between, quoted);
		between = ", ";
	}
	snprintf(out + at, size - at, "]}");
}

/* A part of the scanner itself, that its egress lacks. */
static bool settle_line(const struct report_options *o, const struct ledger_group *g, char *out,
			size_t size)
{
	char network[ADDR_STRLEN + 4];

	if (!(g->signs & 1U << SIGN_RELATED) || !g->scanner[0])
		return false;
	snprintf(out, size, "frontdoor scanners -c %s --accept %s %s", o->file ? o->file : "FILE",
		 prefix_format(&g->network, network), g->scanner);
	return true;
}

static const char *looks(const struct ledger_group *g)
{
	return g->points >= LEDGER_HONEST ? "honest" : g->points >= LEDGER_BOT ? "unclear" : "bot";
}

static json_t *signs_json(const struct ledger_group *g)
{
	json_t *list = json_array();

	for (enum ledger_sign s = 0; s < SIGN_COUNT; s++)
		if (g->signs & 1U << s)
			json_array_append_new(list, json_string(ledger_sign_name(s)));
	return list;
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static void print_group_json(const struct report_options *o, struct ledger_group *g)
{
	char network[ADDR_STRLEN + 4], client[ADDR_STRLEN], first[32], last[32];
	char allow[512], settle[1024] = "";

	allow_line(&g, 1, allow, sizeof(allow));
	(void)settle_line(o, g, settle, sizeof(settle));
	json_t *row = json_pack(
		"{s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:s, s:i, s:o, s:I, s:I, s:I, s:i, s:s, s:s, "
		"s:s, s:o}",
		"domain", g->domain, "network", prefix_format(&g->network, network), "client",
		addr_format(&g->client, client), "client_name", text_or_null(g->client_name),
		"reason", g->reason, "scanner", text_or_null(g->scanner), "mx", text_or_null(g->mx),
		"looks", looks(g), "points", g->points, "signs", signs_json(g), "recipients",
		(json_int_t)g->recipients, "accepted", (json_int_t)g->accepted, "rejected",
		(json_int_t)g->rejected, "days", __builtin_popcountll(g->days), "first",
		clock_rfc3339(g->first_ms, first), "last", clock_rfc3339(g->last_ms, last), "allow",
		allow, "settle", text_or_null(settle));
	if (row)
		json_dumpf(row, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(row);
}

static void print_head(const struct ledger *l)
{
	char from[32], to[32];

	if (l->recipients == 0) {
		puts("no events in that time");
		return;
	}
	printf("%llu recipients from %s to %s\n", (unsigned long long)l->recipients,
	       clock_rfc3339(l->first_ms, from), clock_rfc3339(l->last_ms, to));
	printf("%llu came past their front door: %llu were refused, %llu observed; enforcing would "
	       "refuse these:\n",
	       (unsigned long long)l->direct, (unsigned long long)l->refused,
	       (unsigned long long)l->observed);
}

static void print_group(const struct ledger_group *g)
{
	char network[ADDR_STRLEN + 4];

	printf("%6d %10llu %8llu %4d  %-30.30s %-22s %-12s %-16.16s %.60s\n", g->points,
	       (unsigned long long)g->recipients, (unsigned long long)g->accepted,
	       __builtin_popcountll(g->days), g->domain, prefix_format(&g->network, network),
	       g->reason, g->scanner[0] ? g->scanner : "-", g->client_name ? g->client_name : "-");
}

/* Those from *at on that look so. */
static void print_part(const struct ledger *l, size_t *at, const char *word, const char *title)
{
	size_t begin = *at, end = begin;
	uint64_t recipients = 0;

	for (; end < l->n_order && strcmp(looks(l->order[end]), word) == 0; end++)
		recipients += l->order[end]->recipients;
	*at = end;
	if (begin == end)
		return;
	putchar('\n');
	terminal_style("1");
	printf("%s: %zu groups, %llu recipients", title, end - begin,
	       (unsigned long long)recipients);
	terminal_style("0");
	printf("\n%6s %10s %8s %4s  %-30s %-22s %-12s %-16s %s\n", "points", "recipients",
	       "accepted", "days", "domain", "network", "reason", "scanner", "name");
	for (size_t i = begin; i < end && i < begin + ROWS; i++)
		print_group(l->order[i]);
	if (end - begin > ROWS)
		printf("       and %zu more (--json has all)\n", end - begin - ROWS);
}

/* Was there a line for its domain before? */
static bool is_repeated(const struct ledger *l, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(l->order[k]->domain, l->order[i]->domain) == 0)
			return true;
	return false;
}

/* The lines that would let the honest-looking ones in. */
static void print_lines(const struct report_options *o, const struct ledger *l, size_t honest)
{
	char line[2048];
	bool any = false;

	if (honest > LINES) {
		printf("\n(lines for the first %d groups; --json has all)\n", LINES);
		honest = LINES;
	}

	if (honest == 0)
		return;
	puts("\n# what would allow the honest-looking ones; read before you paste\ndomains:");
	for (size_t i = 0; i < honest; i++) {
		if (is_repeated(l, i))
			continue;
		allow_line(l->order + i, honest - i, line, sizeof(line));
		printf("  %s\n", line);
	}
	for (size_t i = 0; i < honest; i++)
		if (settle_line(o, l->order[i], line, sizeof(line))) {
			if (!any)
				puts("# or, where it is the scanner's own:");
			any = true;
			printf("# %s\n", line);
		}
}

static void print_all(const struct report_options *o, const struct ledger *l)
{
	size_t at = 0, honest;

	if (o->json) {
		for (size_t i = 0; i < l->n_order; i++)
			print_group_json(o, l->order[i]);
		return;
	}
	print_head(l);
	print_part(l, &at, "honest", "honest-looking");
	honest = at;
	print_part(l, &at, "unclear", "unclear");
	print_part(l, &at, "bot", "bots, by their looks");
	print_lines(o, l, honest);
}

static int report(const struct report_options *o, char **names, size_t n)
{
	struct ledger l;
	int status;

	ledger_init(&l, o->since_ms, INT64_MAX);
	if (n > 0)
		status = read_events(names, n, &l) < 0 ? CLI_FAILED : CLI_DONE;
	else
		status = read_configured(o, &l);
	if (status != CLI_CONFIG && ledger_finish(&l) == 0 &&
	    (status == CLI_DONE || l.recipients > 0))
		print_all(o, &l);
	if (l.bad > 0)
		fprintf(stderr, "frontdoor: %llu of %llu lines are no events of frontdoor\n",
			(unsigned long long)l.bad, (unsigned long long)l.lines);
	if (l.left_out > 0)
		fprintf(stderr,
			"frontdoor: %llu recipients of more groups than are kept are left "
			"out; accepted: a later --since\n",
			(unsigned long long)l.left_out);
	ledger_deinit(&l);
	return status;
}

int cli_report(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "since", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct report_options o = { .since_ms = clock_wall_ms() - SINCE_DEFAULT_MS };

	optind = 0; /* glibc: start anew */
	for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		if (c == 'h')
			return usage(stdout, CLI_DONE);
		if (c == 'c')
			o.file = optarg;
		else if (c == 'j')
			o.json = true;
		else if (c != 's' || !read_since(optarg, &o.since_ms))
			return usage(stderr, CLI_USAGE);
	}
	if (!o.file && optind == argc)
		return usage(stderr, CLI_USAGE);
	return report(&o, argv + optind, (size_t)(argc - optind));
}
