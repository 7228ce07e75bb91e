/*
 * A line of `logs --json` and `logs --csv`: one message × recipient domain. doc/logs.md
 * explains the names.
 */
#pragma once

#include "logscan/book.h"

#include <stdio.h>

enum mail_format { MAIL_JSON, MAIL_CSV, MAIL_TEXT };

struct mail_line {
	int64_t time_ms;
	struct sv id;
	const struct addr *client, *server; /* NULL: none, not told */
	struct sv sender;
	const char *rcpt_domain;
	enum mail_class class;
	enum finding finding; /* FINDING_COUNT: none */
	enum reason reason;   /* REASON_COUNT: none */
	uint64_t bytes;
	bool authenticated;
};

/* The names of the columns, for formats that have such a line. */
void mail_line_head(FILE *out, enum mail_format format);
void mail_line_write(FILE *out, enum mail_format format, const struct mail_line *m);
/* "a,b" → a field of CSV (RFC 4180), quoted where it must be. A text that a spreadsheet would take
 * for a formula gets an apostrophe in front. */
void csv_text(FILE *out, struct sv text);
