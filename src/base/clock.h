/* Time, read in one place only, so that tests and replays can set it. Milliseconds. */
#pragma once

#include <stdint.h>

/* Since an arbitrary moment, never back: for timeouts and ages. */
int64_t clock_mono_ms(void);
/* Since 1970-01-01 UTC: for logs and events. */
int64_t clock_wall_ms(void);
/* RFC 3339 with milliseconds, "2026-11-23T20:01:02.003Z", into out[32]. Returns out. */
const char *clock_rfc3339(int64_t wall_ms, char *out);

/* Tests: both clocks stand at these values until set again; -1 for the real ones. */
void clock_fake(int64_t mono_ms, int64_t wall_ms);
