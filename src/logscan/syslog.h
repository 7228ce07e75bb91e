/*
 * The frame of a syslog line: RFC 3164 as rsyslog and syslogd write it ("Nov 17 09:28:01 host
 * program[123]: text"), or with an RFC 3339 time stamp (rsyslog's default since Debian 12). Pure.
 */
#pragma once

#include "logscan/entry.h"
#include "logscan/stamp.h"

struct syslog_line {
	int64_t time_ms;
	int32_t day;
	struct sv host, program, message; /* program without "[PID]" */
};

/* 0; -EINVAL: no such line. */
int syslog_parse(struct stamp *stamp, struct sv line, struct syslog_line *ret_line);
