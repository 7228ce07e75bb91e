/*
 * What the operator should read: one line a message, "LEVEL key=value ..." on stderr, or, where
 * the journal reads that, with sd-daemon(3)'s "<N>" in place of LEVEL. Peer bytes are escaped by
 * log_quote() before they come here. Where nobody takes the lines (a full pipe, a journal that
 * hangs) they are dropped and counted: nothing waits for them.
 */
#pragma once

#include "base/buf.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
void log_msg(enum log_level level, const char *fmt, ...) PRINTF(2, 3);
#define log_error(...)   log_msg(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_msg(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_msg(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_msg(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* What this thread has to say goes to lines, without LEVEL, as long as there is room; NULL: to
 * stderr again. */
void log_divert(struct buf *lines);

/* v as printable ASCII (others as \xNN), cut to what fits out[size]. Returns out. */
const char *log_quote(struct sv v, char *out, size_t size);
