#include "logscan/line.h"

#include "logscan/exim.h"
#include "logscan/postfix.h"
#include "logscan/syslog.h"

void line_reader_init(struct line_reader *r)
{
	*r = (struct line_reader) { 0 };
	journal_init(&r->journal);
	line_reader_file(r, 0);
}

void line_reader_deinit(struct line_reader *r)
{
	journal_deinit(&r->journal);
}

void line_reader_file(struct line_reader *r, int64_t newest_ms)
{
	stamp_init(&r->exim, newest_ms);
	stamp_init(&r->syslog, newest_ms);
}

/* "exim", "exim4", and what instances of it are called. */
static bool is_exim(struct sv program)
{
	return program.n >= 4 && memcmp(program.p, "exim", 4) == 0;
}

/* By default Exim's own time stamp stands in what it gives to syslog, too (syslog_timestamp). */
static void read_exim(struct line_reader *r, struct sv message, struct entry *e)
{
	struct entry own = { 0 };

	if (message.n > 10 && ascii_is_digit(message.p[0]) && message.p[4] == '-' &&
	    message.p[10] == ' ') {
		exim_parse(&r->exim, message, &own);
		*e = own;
		return;
	}
	exim_parse_rest(message, e);
}

static void read_program(struct line_reader *r, const struct syslog_line *l, struct entry *e)
{
	*e = (struct entry) { .time_ms = l->time_ms, .day = l->day };
	if (postfix_parse(l->program, l->message, e))
		return;
	if (is_exim(l->program))
		read_exim(r, l->message, e);
	else
		e->kind = ENTRY_OTHER;
}

void line_read(struct line_reader *r, struct sv line, struct entry *ret_entry)
{
	struct syslog_line l;

	if (line.n > 10 && ascii_is_digit(line.p[0]) && line.p[10] == ' ') {
		exim_parse(&r->exim, line, ret_entry);
		return;
	}
	*ret_entry = (struct entry) { .kind = ENTRY_UNPARSED };
	/* some of Exim's entries go on in a line of their own: " Suggested action: ..." */
	if (line.n == 0 || line.p[0] == ' ')
		ret_entry->kind = ENTRY_OTHER;
	else if (line.p[0] == '{' ? journal_parse(&r->journal, &r->syslog, line, &l) == 0
				  : syslog_parse(&r->syslog, line, &l) == 0)
		read_program(r, &l, ret_entry);
}

int64_t line_time(struct sv line, int64_t newest_ms)
{
	struct line_reader r;
	struct entry e;

	line_reader_init(&r);
	line_reader_file(&r, newest_ms);
	line_read(&r, line, &e);
	line_reader_deinit(&r);
	return e.kind == ENTRY_UNPARSED || line.n == 0 ? INT64_MAX : e.time_ms;
}
