/*
 * frontdoor logs: who came by which door, from the mail server's own logs. Everything is below
 * logscan/; here are the options and the order of things.
 */
#include "cli/logs.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "logscan/html.h"
#include "proxy/interfaces.h"
#include "proxy/state.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define OUT_BUFFER (1 << 20)

struct run {
	struct logs_options o;
	struct conf *conf;
	struct memory *memory;
	struct proof *proof;
	struct judge judge;
	struct scan scan;
	struct source *source;
	struct progress progress;
	bool scanning;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

/* ---- what is shown meanwhile ---- */

static bool on_reading(void *user)
{
	struct run *run = user;
	struct source_progress p;

	if (run->progress.shown && !run->o.follow) {
		source_progress(run->source, &p);
		progress_draw(&run->progress, "reading", p.done, p.total, p.bytes);
	}
	return !interrupted;
}

static bool on_asking(void *user, enum judge_step step, size_t done, size_t n)
{
	static const char *const words[] = {
		[JUDGE_DOMAINS] = "looking up doors",
		[JUDGE_CLIENTS] = "looking up clients' names",
		[JUDGE_NAMES] = "looking up the names that lead here",
		[JUDGE_SOURCES] = "looking up what scanners deliver from",
	};
	struct run *run = user;

	if (!run->o.follow)
		progress_draw(&run->progress, words[step], done, n, 0);
	return !interrupted;
}

static void on_unparsed(void *user, const struct source_line *line)
{
	struct run *run = user;
	char quoted[600];

	progress_wipe(&run->progress);
	printf("%s:%llu: %s\n", line->file, (unsigned long long)line->number,
	       log_quote(line->text, quoted, sizeof(quoted)));
}

/* ---- making ready ---- */

/* Without a file: everything by default; the listener is never opened. */
static int load_conf(struct run *run)
{
	static const char defaults[] = "listeners: [{mode: listen, bind: [\"127.0.0.1:2525\"], "
				       "backend: \"127.0.0.1:25\"}]\n";

	if (run->o.conf)
		return conf_load(run->o.conf, stderr, &run->conf);
	return conf_load_text("defaults", sv_from(defaults), stderr, &run->conf);
}

static int open_doors(struct run *run)
{
	if (run->o.doors)
		return doors_open_file(run->o.doors, stderr, &run->judge.doors);
	return doors_open_resolver(run->conf, stderr, &run->judge.doors);
}

/* What the operator says; else, where nothing is said, what this host has. Addresses that the logs
 * tell come to it later. */
static int know_servers(struct run *run)
{
	const struct policy *p = &run->conf->policy;
	struct prefix_set *set = &run->judge.given;
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->o.n_servers; i++)
		r = prefix_set_add_addr(set, &run->o.servers[i]);
	for (size_t i = 0; r == 0 && i < p->server_addresses.n; i++)
		r = prefix_set_add_range(set, &p->server_addresses.ranges[i]);
	if (r == 0 && run->o.n_servers == 0 && p->server_addresses.n == 0)
		r = interfaces_global(&run->judge.here);
	if (run->o.n_servers > 0)
		run->judge.server = run->o.servers[0];
	return r;
}

static int load_state(struct run *run)
{
	struct proof_summary summary;
	struct state_error error;
	struct proof *proof;
	int r;

	if (!run->conf->state)
		return 0;
	r = proof_new(&proof);
	if (r < 0)
		return r;
	r = state_recall(run->conf, run->memory, proof, &summary, &error);
	if (r < 0)
		fprintf(stderr, "%s\n", error.text);
	proof_free(proof);
	return r < 0 ? r : 0;
}

static int make_ready(struct run *run)
{
	if (load_conf(run) < 0)
		return CLI_CONFIG;
	if (run->o.learn && !run->conf->state) {
		fprintf(stderr,
			"%s: --learn needs a file to keep what is learned; accepted: state: FILE\n",
			run->o.conf ? run->o.conf : "logs");
		return CLI_CONFIG;
	}
	if (memory_new(&run->memory) < 0 || conf_load_hosted(run->conf, run->memory, stderr) < 0 ||
	    load_state(run) < 0)
		return CLI_CONFIG;
	run->judge.policy = &run->conf->policy;
	run->judge.memory = run->memory;
	run->judge.hosted_given = run->conf->n_hosted > 0;
	run->judge.live = run->o.follow;
	run->judge.progress = on_asking;
	run->judge.user = run;
	if (open_doors(run) < 0 || know_servers(run) < 0 || proof_new(&run->proof) < 0)
		return CLI_FAILED;
	return CLI_DONE;
}

static int open_source(struct run *run)
{
	if (run->o.follow)
		return source_follow(run->o.n_files ? run->o.files[0] : "-",
				     run->o.filter.since_ms != INT64_MIN, stderr, &run->source);
	return source_open(run->o.files, run->o.n_files, line_time, stderr, &run->source);
}

/* ---- what is said at the end ---- */

/* r, an error already told of the file it concerns: 1. */
static int told(const char *file, int r)
{
	if (r < 0)
		fprintf(stderr, "%s: %s\n", file, strerror(-r));
	return r < 0;
}

static int write_json_summary(const struct summary *s)
{
	json_t *json = summary_json(s);
	int r = json ? json_dumpf(json, stdout, JSON_COMPACT) : -1, error = errno;

	json_decref(json);
	if (r < 0)
		return ferror(stdout) ? -error : -ENOMEM;
	putchar('\n');
	return 0;
}

static int write_page(const struct summary *s, const char *file)
{
	json_t *json = summary_json(s);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	FILE *out = text ? fopen(file, "we") : NULL;
	int r = text ? -errno : -ENOMEM;

	if (out) {
		r = html_write(out, text, strlen(text));
		if (fclose(out) != 0 && r == 0)
			r = -errno;
	}
	free(text);
	json_decref(json);
	return told(file, r);
}

static int write_answer(struct run *run)
{
	const struct logs_options *o = &run->o;
	struct summary s;
	int r;

	if (run->scan.conf.lines_only)
		return 0;
	r = summary_make(&run->scan, &run->conf->policy.prove, clock_wall_ms(), &s);

	if (r < 0)
		return r;
	if (o->suggest)
		summary_suggest(&s, stdout);
	else if (o->summary && o->json)
		r = write_json_summary(&s);
	else if (o->summary && o->csv)
		summary_csv(&s, stdout);
	else if (o->summary || (!logs_writes_lines(o) && !o->html && !o->unparsed))
		summary_text(&s, stdout, terminal_is(), terminal_columns());
	if (r == 0 && o->html)
		r = write_page(&s, o->html);
	summary_deinit(&s);
	return r;
}

static int save_doors(const struct run *run)
{
	FILE *out = fopen(run->o.save_doors, "we");
	int r = out ? 0 : -errno;

	if (out) {
		errno = 0;
		judge_write_doors(&run->judge, &run->scan.book, out);
		if (fflush(out) != 0 || ferror(out))
			r = errno > 0 ? -errno : -EIO;
		if (fclose(out) != 0 && r == 0)
			r = -errno;
	}
	return told(run->o.save_doors, r);
}

/* Domains that were learned to be hosted; not those that a file names, which may leave it again. */
static int learned_domains(const struct book *b, struct memory **ret_memory)
{
	struct memory *m;
	int r = memory_new(&m);

	for (size_t i = 0; r >= 0 && i < b->n_domains; i++) {
		const struct book_domain *d = &b->domains[i];

		if (d->hosted && d->base == i && !(d->evidence & HOSTED_FILE))
			r = memory_hosted_add(m, sv_from(d->name));
	}
	if (r < 0) {
		memory_free(m);
		return r;
	}
	*ret_memory = m;
	return 0;
}

static int learn(struct run *run)
{
	struct memory *learned;
	struct state_error error = { "" };
	int r = learned_domains(&run->scan.book, &learned);

	if (r < 0)
		return r;
	r = state_save(run->conf->state, learned, run->proof, &error);
	if (r < 0)
		fprintf(stderr, "%s\n", error.text);
	else
		fprintf(stderr,
			"%s: learned of %zu scanners, and %zu hosted domains not known before\n",
			run->conf->state, proof_scanner_count(run->proof),
			memory_hosted_count(learned));
	memory_free(learned);
	return r < 0;
}

/* ---- the run ---- */

static int start_scan(struct run *run)
{
	/* doors are saved with the names that a summary asks for */
	bool lines_only = logs_writes_lines(&run->o) && !run->o.html && !run->o.save_doors;
	struct scan_conf sc = {
		.filter = run->o.filter,
		.lines = logs_writes_lines(&run->o),
		.format = run->o.json  ? MAIL_JSON
			  : run->o.csv ? MAIL_CSV
				       : MAIL_TEXT,
		.out = stdout,
		.lines_only = lines_only,
		.judge = &run->judge,
		.proof = lines_only && !run->o.learn ? NULL : run->proof,
		.progress = on_reading,
		.unparsed = run->o.unparsed ? on_unparsed : NULL,
		.user = run,
	};
	int r = scan_init(&run->scan, &sc);

	run->scanning = r == 0;
	return r;
}

static int scan_all(struct run *run)
{
	int r, status;

	if (run->scan.conf.lines)
		mail_line_head(stdout, run->scan.conf.format);
	status = scan_read(&run->scan, run->source);
	progress_wipe(&run->progress);
	if (status < 0)
		return status;
	/* A log that is followed ends by a signal: what came before still counts. */
	if (run->o.follow)
		interrupted = 0;
	else if (run->scan.stopped)
		fputs("interrupted: the logs were not read to their end\n", stderr);
	run->progress.start_ms = clock_mono_ms();
	r = scan_settle(&run->scan);
	progress_wipe(&run->progress);
	if (r > 0)
		fputs("interrupted: what was not looked up counts as trouble with DNS\n", stderr);
	return r < 0 ? r : r > 0 || status > 0 || (run->scan.stopped && !run->o.follow);
}

/* What is kept for later runs must not come from a part of the answers. */
static int keep_for_later(struct run *run)
{
	int r = 0;

	if (!run->o.save_doors && !run->o.learn)
		return 0;
	if (interrupted) {
		fputs("interrupted: nothing is saved or learned\n", stderr);
		return 1;
	}
	if (run->o.save_doors)
		r = save_doors(run);
	if (r == 0 && run->o.learn)
		r = learn(run);
	return r;
}

/* Once, whoever found out. Who reads no further, as head(1), knows. */
static void tell_fault(int r)
{
	if (r < 0 && r != -EPIPE)
		fprintf(stderr, "%s: %s\n", ferror(stdout) ? "standard output" : "logs",
			strerror(-r));
}

static int run_logs(struct run *run)
{
	int r = open_source(run), failed;

	if (r < 0)
		return CLI_FAILED; /* it was told */
	r = start_scan(run);
	if (r == 0)
		r = scan_all(run);
	failed = r;
	if (r >= 0)
		r = write_answer(run);
	if (r >= 0 && fflush(stdout) != 0)
		r = -errno;
	if (r == 0)
		r = keep_for_later(run);
	tell_fault(r);
	return r != 0 || failed != 0 || ferror(stdout) ? CLI_FAILED : CLI_DONE;
}

static void run_free(struct run *run)
{
	progress_wipe(&run->progress);
	if (run->scanning)
		scan_deinit(&run->scan);
	source_free(run->source);
	doors_close(run->judge.doors);
	proof_free(run->proof);
	memory_free(run->memory);
	prefix_set_deinit(&run->judge.given);
	prefix_set_deinit(&run->judge.here);
	judge_deinit(&run->judge);
	conf_free(run->conf);
	logs_options_deinit(&run->o);
}

int cli_logs(int argc, char **argv)
{
	static struct run run;
	struct sigaction action = { .sa_handler = on_signal };
	int status = logs_options_read(argc, argv, &run.o);

	if (status >= 0) {
		logs_options_deinit(&run.o);
		return status;
	}
	/* no SA_RESTART: a wait for more of a followed log ends */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOFBF, OUT_BUFFER);
	progress_init(&run.progress);
	status = make_ready(&run);
	if (status == CLI_DONE)
		status = run_logs(&run);
	run_free(&run);
	return status;
}
