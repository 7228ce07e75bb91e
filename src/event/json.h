/* Events as lines of JSON. Of this room only. */
#pragma once

#include "event/event.h"

#define EVENT_JSON_MAX (24 * 1024) /* above every text escaped, four octets for one */

/* One object and its newline, into out[EVENT_JSON_MAX]. Returns the length. */
size_t event_rcpt_line(const struct event_rcpt *e, char *out);
size_t event_note_line(int64_t time_ms, const char *kind, const char *text, char *out);
