/*
 * Lines of `journalctl -o json` (systemd.journal-fields(7)): one JSON object a line; a MESSAGE that
 * is not UTF-8 is an array of numbers there. Read with Jansson.
 */
#pragma once

#include "logscan/syslog.h"

struct journal {
	char *text; /* private: what the last line's views point into */
	size_t alloc;
	int64_t quarter; /* private: the last quarter of an hour whose local day was looked up */
	int32_t day;
};

void journal_init(struct journal *j);
void journal_deinit(struct journal *j);

/* 0: as a line of syslog, valid until the next call (day by the local calendar; program from
 * SYSLOG_IDENTIFIER, else _COMM); -EINVAL: no such line; -ENOMEM. */
int journal_parse(struct journal *j, struct stamp *stamp, struct sv line,
		  struct syslog_line *ret_line);
