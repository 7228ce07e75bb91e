#include "logscan/scan.h"

#include "logscan/learn.h"

#include <errno.h>

#define LINES_BETWEEN 20000 /* looks at the clock, about */
#define QUIET_MS      250
#define HALF_A_DAY_MS (12 * 3600 * 1000LL)

static void on_mail(void *user, const struct mail *mail, uint32_t flow)
{
	struct scan *s = user;

	spool_add(&s->spool, mail, flow);
}

int scan_init(struct scan *s, const struct scan_conf *conf)
{
	int r;

	*s = (struct scan) { .conf = *conf };
	if (s->conf.flows_max == 0)
		s->conf.flows_max = SCAN_FLOWS_MAX;
	if (s->conf.clients_max == 0)
		s->conf.clients_max = SCAN_CLIENTS_MAX;
	line_reader_init(&s->reader);
	tally_init(&s->tally);
	r = book_init(&s->book);
	s->book.no_samples = conf->lines_only;
	if (r == 0)
		r = join_init(&s->join, &s->book, &s->conf.filter, conf->lines ? on_mail : NULL, s);
	if (r == 0 && conf->lines)
		r = spool_open(&s->spool);
	if (r < 0)
		scan_deinit(s);
	return r;
}

void scan_deinit(struct scan *s)
{
	join_deinit(&s->join);
	spool_close(&s->spool);
	tally_deinit(&s->tally);
	book_deinit(&s->book);
	line_reader_deinit(&s->reader);
}

static void take_line(struct scan *s, const struct source_line *line)
{
	struct entry e;

	s->lines++;
	s->bytes += line->text.n + 1;
	s->files += line->new_file;
	/* a log that is followed grows older than the year that its stamps were taken to be of */
	if (line->new_file || line->newest_ms - s->newest_ms > HALF_A_DAY_MS) {
		s->newest_ms = line->newest_ms;
		line_reader_file(&s->reader, line->newest_ms);
	}
	if (line->cut)
		e.kind = ENTRY_UNPARSED;
	else
		line_read(&s->reader, line->text, &e);
	if (e.kind == ENTRY_UNPARSED) {
		s->unparsed++;
		if (s->conf.unparsed)
			s->conf.unparsed(s->conf.user, line);
		return;
	}
	join_entry(&s->join, &e);
}

static bool go_on(struct scan *s)
{
	if (!s->conf.progress || s->conf.progress(s->conf.user))
		return true;
	s->stopped = true;
	return false;
}

/* Nothing more just now, of a log that is followed. */
static int quiet(struct scan *s, struct source *source)
{
	int r;

	book_flush(&s->book);
	r = s->book.n_flows > 0 ? scan_settle(s) : 0;
	if (r < 0 || !go_on(s))
		return r;
	if (s->conf.out && fflush(s->conf.out) != 0)
		return -errno; /* else it went on for nobody */
	source_wait(source, QUIET_MS);
	return 0;
}

/* Rows of days are an eighth as large, and a flow has as many as the logs have days. */
static bool is_full(const struct scan *s)
{
	return s->book.n_flows + s->book.n_days / 8 > s->conf.flows_max;
}

int scan_read(struct scan *s, struct source *source)
{
	struct source_line line;
	unsigned since = 0;
	int r, status = 0;

	while (!s->stopped && (r = source_next(source, &line)) != 1) {
		if (r == 0) {
			take_line(s, &line);
			if (is_full(s)) {
				s->early++;
				r = scan_settle(s);
			}
			if (++since >= LINES_BETWEEN) {
				since = 0;
				(void)go_on(s);
			}
		} else if (r == -EAGAIN) {
			r = quiet(s, source);
		} else if (r == -EINTR) {
			(void)go_on(s);
			r = 0;
		} else {
			status = 1;
			r = 0;
		}
		if (r < 0)
			return r;
	}
	s->unfinished = join_end(&s->join);
	return status;
}

int scan_settle(struct scan *s)
{
	struct judge *j = s->conf.judge;
	int r = judge_servers(j, &s->book), names;

	if (r == 0)
		r = judge_flows(j, &s->book);
	if (r < 0)
		return r;
	names = s->conf.lines_only ? 0 : judge_names(j, &s->book);
	if (names < 0)
		return names;
	if (!s->conf.lines_only)
		tally_take(&s->tally, &s->book, j);
	if (s->conf.proof) {
		int e = learn_names(j, &s->book);

		if (e < 0)
			return e;
		r = e > 0 ? e : r;
		e = learn_take(s->conf.proof, &s->book, j);
		if (e < 0)
			return e;
	}
	if (s->conf.lines) {
		int e = spool_flush(&s->spool, &s->book, s->conf.format, s->conf.out);
		if (e < 0)
			return e;
	}
	book_clear_flows(&s->book);
	if (s->conf.lines_only && s->book.n_clients > s->conf.clients_max)
		book_clear_clients(&s->book);
	return r > 0 || names > 0;
}
