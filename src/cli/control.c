/* frontdoor status, reload, restart, resume: for the running daemon. */
#include "base/base.h"
#include "cli/cli.h"
#include "cli/request.h"
#include "cli/terminal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_S 10
#define CHANGE_S 120 /* a configuration may name many files */

static json_int_t count(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *word(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static bool is(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* "12 direct, 3 null": those that are not zero. */
static void print_counts(const json_t *o, const char *none)
{
	const char *between = "";

	for (void *at = json_object_iter((json_t *)o); at;
	     at = json_object_iter_next((json_t *)o, at)) {
		json_int_t n = json_integer_value(json_object_iter_value(at));

		if (n == 0)
			continue;
		printf("%s%s %" JSON_INTEGER_FORMAT, between, json_object_iter_key(at), n);
		between = ", ";
	}
	puts(*between ? "" : none);
}

static void print_span(json_int_t s)
{
	if (s >= 86400)
		printf("%lldd %lldh", (long long)s / 86400, (long long)s % 86400 / 3600);
	else if (s >= 3600)
		printf("%lldh %lldm", (long long)s / 3600, (long long)s % 3600 / 60);
	else
		printf("%lldm %llds", (long long)s / 60, (long long)s % 60);
}

static void print_listener(const json_t *l, bool first)
{
	const json_t *v = json_object_get(l, "verdicts"), *bind = json_object_get(l, "bind");

	printf("%-11s%s, %s on", first ? "listeners" : "", word(l, "name"), word(l, "mode"));
	for (size_t i = 0; i < json_array_size(bind); i++)
		printf(" %s", json_string_value(json_array_get(bind, i)));
	printf(", backend %s%s: %" JSON_INTEGER_FORMAT " recipients, %" JSON_INTEGER_FORMAT
	       " direct\n",
	       word(l, "backend"), is(l, "open") ? "" : " (answers 421: not known yet)",
	       count(v, "all"), count(json_object_get(v, "finding"), "direct"));
}

static void print_listeners(const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		print_listener(json_array_get(list, i), i == 0);
}

static void print_dns(const json_t *o)
{
	const json_t *minute = json_object_get(o, "last_minute");
	json_int_t lookups = count(minute, "lookups"), failed = count(minute, "failed");

	printf("dns        %" JSON_INTEGER_FORMAT
	       " look-ups in the last minute, %" JSON_INTEGER_FORMAT
	       " failed%s; %" JSON_INTEGER_FORMAT " under way\n",
	       lookups, failed, failed * 2 > lookups ? " (in trouble)" : "", count(o, "in_flight"));
	if (count(o, "aa") > 0)
		puts("           the resolver answers with authority: a local zone there?");
}

static void print_enforce(const json_t *o)
{
	const json_t *e = json_object_get(o, "enforce");

	printf("policy     action %s", word(o, "action"));
	if (json_real_value(json_object_get(e, "share")) < 100)
		printf(", for %g %% of the domains", json_real_value(json_object_get(e, "share")));
	putchar('\n');
	if (is(e, "stopped"))
		printf("           STOPPED since %s: %s\n", word(e, "since"), word(e, "why"));
}

static void print_status(const json_t *o)
{
	const json_t *sessions = json_object_get(o, "sessions");
	const json_t *verdicts = json_object_get(o, "verdicts");
	const json_t *doors = json_object_get(o, "doors");
	const json_t *kernel = json_object_get(o, "kernel");

	printf("frontdoor  %s, process %" JSON_INTEGER_FORMAT ", up ", word(o, "version"),
	       count(o, "pid"));
	print_span(count(o, "uptime_s"));
	printf(", %s%s\n", word(o, "config"), is(o, "ending") ? ", ending" : "");
	printf("heartbeat  %s\n",
	       is(o, "heartbeat") ? "every worker answers" : "A WORKER DOES NOT ANSWER");
	if (*word(kernel, "text"))
		printf("kernel     %s: %s\n", word(kernel, "state"), word(kernel, "text"));
	printf("sessions   %" JSON_INTEGER_FORMAT " open, %" JSON_INTEGER_FORMAT
	       " in all; %.1f MiB of memory\n",
	       count(sessions, "open"), count(sessions, "all"),
	       (double)count(o, "memory") / (1024 * 1024));
	print_listeners(json_object_get(o, "listeners"));
	if (count(o, "backends_down") > 0)
		printf("           %" JSON_INTEGER_FORMAT
		       " MAIL SERVERS DON'T ANSWER: new sessions "
		       "for them get 421\n",
		       count(o, "backends_down"));
	printf("recipients %" JSON_INTEGER_FORMAT ": ", count(verdicts, "all"));
	print_counts(json_object_get(verdicts, "finding"), "none yet");
	printf("actions    ");
	print_counts(json_object_get(verdicts, "action"), "none yet");
	printf("reasons    ");
	print_counts(json_object_get(verdicts, "reason"), "none yet");
	printf("doors      %" JSON_INTEGER_FORMAT " known, %" JSON_INTEGER_FORMAT
	       " hosted domains, %" JSON_INTEGER_FORMAT " sources of egresses\n",
	       count(doors, "known"), count(doors, "hosted"), count(doors, "sources"));
	print_dns(json_object_get(o, "dns"));
	print_enforce(o);
	printf("events     %" JSON_INTEGER_FORMAT " dropped\n",
	       count(json_object_get(o, "events"), "dropped"));
	printf("counted    ");
	print_counts(json_object_get(o, "counters"), "nothing else");
}

/* Asks the daemon for the command of this name. ret_answer NULL: the exit status is all there is,
 * and a failure has been told on stderr. */
static int ask(int argc, char **argv, int wait_s, struct request_options *ret_options,
	       json_t **ret_answer)
{
	CLEANUP(cleanup_free) char *path = NULL;
	int status = request_options(argc, argv, ret_options);

	if (status >= 0)
		return status;
	if ((status = request_socket(ret_options, &path)) != CLI_DONE)
		return status;
	return request_send(path, argv[0], wait_s, ret_answer);
}

int cli_status(int argc, char **argv)
{
	struct request_options o;
	json_t *answer = NULL;
	int status = ask(argc, argv, ANSWER_S, &o, &answer);

	if (!answer)
		return status;
	if (o.json) {
		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		print_status(answer);
	}
	json_decref(answer);
	return CLI_DONE;
}

/* Its outcome in words; a failure has been told on stderr. */
static int change(int argc, char **argv)
{
	struct request_options o;
	json_t *answer = NULL;
	int status = ask(argc, argv, CHANGE_S, &o, &answer);

	if (!answer)
		return status;
	if (o.json)
		json_dumpf(answer, stdout, JSON_COMPACT);
	else
		fputs(word(answer, "text"), stdout);
	putchar('\n');
	json_decref(answer);
	return CLI_DONE;
}

int cli_reload(int argc, char **argv)
{
	return change(argc, argv);
}

int cli_restart(int argc, char **argv)
{
	return change(argc, argv);
}

int cli_resume(int argc, char **argv)
{
	return change(argc, argv);
}
