/*
 * One line of any log: which format it is in is told by the line itself, so files may be mixed and
 * need no option. Exim's own main log; syslog (RFC 3164 and 3339) and journald JSON that carry
 * Postfix or Exim.
 */
#pragma once

#include "logscan/entry.h"
#include "logscan/journal.h"
#include "logscan/stamp.h"

struct line_reader {
	struct stamp exim, syslog;
	struct journal journal;
};

void line_reader_init(struct line_reader *r);
void line_reader_deinit(struct line_reader *r);
/* Before the lines of another file; newest_ms: when it was last written to. */
void line_reader_file(struct line_reader *r, int64_t newest_ms);
/* Always fills ret_entry, which is valid until the next call. */
void line_read(struct line_reader *r, struct sv line, struct entry *ret_entry);

/* For source_open(): the time of a line, or INT64_MAX. */
int64_t line_time(struct sv line, int64_t newest_ms);
