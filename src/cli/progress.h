/*
 * A progress bar on standard error for long work, drawn only where that is a terminal; it is wiped
 * before anything else is written there.
 */
#pragma once

#include "base/base.h"

struct progress {
	bool shown; /* standard error is a terminal */
	bool drawn;
	int64_t start_ms, last_ms;
};

void progress_init(struct progress *p);
/*
 * what: a few words. total 0: not known. bytes: done and total are octets, and the rate is of rate
 * octets of log text. Draws ten times a second at most, however often it is called.
 */
void progress_draw(struct progress *p, const char *what, uint64_t done, uint64_t total,
		   uint64_t rate_bytes);
void progress_wipe(struct progress *p);
