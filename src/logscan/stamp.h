/*
 * Time stamps of logs: Exim's ("2010-11-17 09:28:01", with ".123" and " +0100" if its log_selector
 * says so), syslog's (RFC 3164 "Nov 17 09:28:01", which has no year and no zone, and RFC 3339).
 * Without a zone they are local time of this process (TZ); day is always that of the log's own
 * calendar. Made for millions of lines: what stays the same from one line to the next is kept.
 */
#pragma once

#include "base/base.h"

struct stamp {
	/* private: the last hour that was looked up, of stamps with a year and of those without */
	struct stamp_hour {
		char text[16];    /* as it stands in the log: "2010-11-17 09", "Nov 17 09" */
		bool has_local;   /* local_ms is known, and good for the whole hour */
		int32_t day;      /* since 1970-01-01 */
		int64_t civil_ms; /* the start of the hour as if the log were in UTC */
		int64_t local_ms; /* the start of the hour, from local time */
	} dated, yearless;
	int64_t newest_ms; /* moves on with RFC 3164 stamps */
	int64_t last_ms;   /* the last stamp of local time: which of two equal hours it is */
};

/* newest_ms: when the log was last written to (a file's mtime, or now): RFC 3164 stamps are of the
 * 12 months before it (and a day after, for clocks that differ). A log that grows moves it on with
 * each stamp. */
void stamp_init(struct stamp *s, int64_t newest_ms);

/* Each reads a stamp at the start of line: 0, with the number of octets read; -EINVAL: none there.
 */
int stamp_exim(struct stamp *s, struct sv line, int64_t *ret_ms, int32_t *ret_day, size_t *ret_n);
int stamp_rfc3339(struct stamp *s, struct sv line, int64_t *ret_ms, int32_t *ret_day,
		  size_t *ret_n);
int stamp_rfc3164(struct stamp *s, struct sv line, int64_t *ret_ms, int32_t *ret_day,
		  size_t *ret_n);

/* "2026-11-25" for a day; into out[16]. Returns out. */
const char *stamp_day(int32_t day, char *out);
