#include "cli/logs.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#define DAY_MS (24 * 3600 * 1000LL)

enum {
	OPT_JSON = 256,
	OPT_CSV,
	OPT_HTML,
	OPT_SUMMARY,
	OPT_SERVER,
	OPT_SUGGEST,
	OPT_LEARN,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_DOMAIN,
	OPT_CLIENT,
	OPT_UNPARSED,
	OPT_FOLLOW,
	OPT_DOORS,
	OPT_SAVE_DOORS,
};

static int usage(FILE *to, int status)
{
	fputs("usage: frontdoor logs [-c FILE] [--json|--csv] [--summary] [--html FILE] "
	      "[--suggest]\n"
	      "                      [--server IP]... [--since TIME] [--until TIME]\n"
	      "                      [--domain DOMAIN]... [--client IP|PREFIX]... [--unparsed]\n"
	      "                      [--doors FILE] [--save-doors FILE] [--learn] [--follow] "
	      "[LOG...]\n"
	      "  LOG   Exim's main log, or Postfix's or Exim's lines in syslog or journald JSON;\n"
	      "        plain or compressed; without any, or -: standard input\n"
	      "  TIME  2026-11-25, 2026-11-25T08:00:00Z, or how long ago: 30m, 12h, 7d\n",
	      to);
	return status;
}

static int wrong(const char *option, const char *value, const char *accepted)
{
	char quoted[100];

	fprintf(stderr, "--%s: '%s' can't be; accepted: %s\n", option,
		log_quote(sv_from(value), quoted, sizeof(quoted)), accepted);
	return CLI_USAGE;
}

static int read_ago(struct sv text, int64_t *ret_ms)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = { { 'm', 60000 }, { 'h', 3600000 }, { 'd', DAY_MS } };
	uint64_t n;

	if (text.n < 2 || sv_to_u64((struct sv) { text.p, text.n - 1 }, 100000, &n) < 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (text.p[text.n - 1] == units[i].unit) {
			*ret_ms = clock_wall_ms() - (int64_t)n * units[i].ms;
			return 0;
		}
	return -EINVAL;
}

/* Not every day has 24 hours: its end is the next one's begin. */
static int end_of_day(struct stamp *stamp, int32_t day, int64_t *ret_ms)
{
	char text[32], next[16];
	size_t used;

	snprintf(text, sizeof(text), "%s 00:00:00", stamp_day(day + 1, next));
	if (stamp_exim(stamp, sv_from(text), ret_ms, &day, &used) == 0)
		*ret_ms -= 1;
	return -1;
}

/* A day alone begins at its midnight, and as --until ends at the next. */
static int read_time(const char *option, const char *value, bool end, int64_t *ret_ms)
{
	struct stamp stamp;
	char text[64];
	int32_t day;
	size_t used;

	stamp_init(&stamp, 0);
	if (read_ago(sv_from(value), ret_ms) == 0)
		return -1;
	if (strlen(value) == 10) {
		snprintf(text, sizeof(text), "%s 00:00:00", value);
		if (stamp_exim(&stamp, sv_from(text), ret_ms, &day, &used) == 0) {
			return end ? end_of_day(&stamp, day, ret_ms) : -1;
		}
	} else if (stamp_rfc3339(&stamp, sv_from(value), ret_ms, &day, &used) == 0 &&
		   used == strlen(value)) {
		return -1;
	}
	return wrong(option, value, "2026-11-25, 2026-11-25T08:00:00Z, 30m, 12h, 7d");
}

static int add_domain(struct logs_options *o, const char *value)
{
	const char **grown =
		reallocarray((void *)o->filter.domains, o->filter.n_domains + 1, sizeof(*grown));
	char ascii[RECIPIENT_NAME_SIZE];

	if (!grown)
		return CLI_FAILED;
	o->filter.domains = grown;
	if (domain_to_ascii(sv_from(value), ascii) < 0)
		return wrong("domain", value, "a domain name");
	grown[o->filter.n_domains] = sv_dup(sv_from(ascii));
	return grown[o->filter.n_domains] && ++o->filter.n_domains ? -1 : CLI_FAILED;
}

static int add_server(struct logs_options *o, const char *value)
{
	struct addr *grown = reallocarray(o->servers, o->n_servers + 1, sizeof(*grown));

	if (!grown)
		return CLI_FAILED;
	o->servers = grown;
	if (addr_parse(sv_from(value), &grown[o->n_servers]) < 0)
		return wrong("server", value, "an address, as 192.0.2.1 or 2001:db8::1");
	o->n_servers++;
	return -1;
}

static int add_client(struct logs_options *o, const char *value)
{
	struct prefix p;

	if (prefix_parse(sv_from(value), &p) < 0)
		return wrong("client", value, "an address or prefix, as 192.0.2.0/24");
	return prefix_set_add(&o->filter.clients, &p) < 0 ? CLI_FAILED : -1;
}

static int read_option(struct logs_options *o, int option)
{
	switch (option) {
	case 'c':
		o->conf = optarg;
		return -1;
	case 'h':
		return usage(stdout, CLI_DONE);
	case OPT_JSON:
		o->json = true;
		return -1;
	case OPT_CSV:
		o->csv = true;
		return -1;
	case OPT_HTML:
		o->html = optarg;
		return -1;
	case OPT_SUMMARY:
		o->summary = true;
		return -1;
	case OPT_SUGGEST:
		o->suggest = true;
		return -1;
	case OPT_LEARN:
		o->learn = true;
		return -1;
	case OPT_UNPARSED:
		o->unparsed = true;
		return -1;
	case OPT_FOLLOW:
		o->follow = true;
		return -1;
	case OPT_DOORS:
		o->doors = optarg;
		return -1;
	case OPT_SAVE_DOORS:
		o->save_doors = optarg;
		return -1;
	case OPT_SERVER:
		return add_server(o, optarg);
	case OPT_SINCE:
		return read_time("since", optarg, false, &o->filter.since_ms);
	case OPT_UNTIL:
		return read_time("until", optarg, true, &o->filter.until_ms);
	case OPT_DOMAIN:
		return add_domain(o, optarg);
	case OPT_CLIENT:
		return add_client(o, optarg);
	default:
		return usage(stderr, CLI_USAGE);
	}
}

static int check_together(const struct logs_options *o)
{
	const char *fault = NULL;

	if (o->json && o->csv)
		fault = "--json and --csv: one of them";
	else if (o->suggest && (o->json || o->csv || o->summary))
		fault = "--suggest writes a configuration: without --json, --csv, --summary";
	else if (o->unparsed && (o->json || o->csv || o->suggest || o->summary))
		fault = "--unparsed writes those lines only: without --json, --csv, --suggest, "
			"--summary";
	else if (o->follow && o->n_files > 1)
		fault = "--follow: one LOG";
	else if (o->follow && o->suggest)
		fault = "--follow: without --suggest";
	if (!fault)
		return -1;
	fprintf(stderr, "logs: %s\n", fault);
	return CLI_USAGE;
}

int logs_options_read(int argc, char **argv, struct logs_options *ret_options)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "csv", no_argument, NULL, OPT_CSV },
		{ "html", required_argument, NULL, OPT_HTML },
		{ "summary", no_argument, NULL, OPT_SUMMARY },
		{ "server", required_argument, NULL, OPT_SERVER },
		{ "suggest", no_argument, NULL, OPT_SUGGEST },
		{ "learn", no_argument, NULL, OPT_LEARN },
		{ "since", required_argument, NULL, OPT_SINCE },
		{ "until", required_argument, NULL, OPT_UNTIL },
		{ "domain", required_argument, NULL, OPT_DOMAIN },
		{ "client", required_argument, NULL, OPT_CLIENT },
		{ "unparsed", no_argument, NULL, OPT_UNPARSED },
		{ "follow", no_argument, NULL, OPT_FOLLOW },
		{ "doors", required_argument, NULL, OPT_DOORS },
		{ "save-doors", required_argument, NULL, OPT_SAVE_DOORS },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct logs_options *o = ret_options;

	*o = (struct logs_options) {
		.filter = { .since_ms = INT64_MIN, .until_ms = INT64_MAX },
	};
	optind = 0; /* glibc: start anew */
	for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		int r = read_option(o, c);

		if (r >= 0)
			return r;
	}
	prefix_set_seal(&o->filter.clients);
	o->files = argv + optind;
	o->n_files = (size_t)(argc - optind);
	return check_together(o);
}

void logs_options_deinit(struct logs_options *o)
{
	for (size_t i = 0; i < o->filter.n_domains; i++)
		free((char *)o->filter.domains[i]);
	free((void *)o->filter.domains);
	free(o->servers);
	prefix_set_deinit(&o->filter.clients);
}

bool logs_writes_lines(const struct logs_options *o)
{
	return !o->summary && !o->suggest && (o->json || o->csv || o->follow);
}
