/* Of this room only. */
#pragma once

#include <stdint.h>

/* No newline; malloc'ed; NULL: no memory. */
char *event_note_json(int64_t time_ms, const char *kind, const char *text);
