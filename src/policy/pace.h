/*
 * Pace: how much mail usually comes from inside each scanner's egress, and whether much less comes
 * now. Then something is wrong that mail from outside may be the other side of (the scanner
 * delivers from elsewhere, or its clients can't be told), and its door is not to refuse for good
 * (memory_scanner_set_quiet()). Pure: times are of the wall clock, in milliseconds, given by the
 * caller, who calls pace_tick() about once a minute.
 *
 * - What is usual is kept for each hour of the week, a mean in which a week counts for a quarter.
 *   Of an hour that was not seen yet, in the first week, the least of the same hour on other days
 * is taken; on a Saturday or Sunday (UTC), nothing.
 * - Quiet: in the last hour came less than PACE_FRACTION of what is usual, and that is PACE_LEAST
 * or more: of a scanner with little mail nothing can be said.
 * - Heard again: came as much as twice that, and PACE_LEAST / 2 at least.
 * - Hours in which it is quiet, and hours that were not watched whole (a start, a clock that was
 * set or stood still), change nothing in what is usual. A scanner that is quiet for
 * PACE_QUIET_MAX_MS is taken to have less mail from now on: its week is learned anew.
 * - Watched are up to PACE_SCANNERS_MAX scanners; one that had no mail for three weeks makes room.
 */
#pragma once

#include "base/base.h"

#define PACE_HOURS        168
#define PACE_LEAST        10
#define PACE_FRACTION     0.2
#define PACE_QUIET_MAX_MS (7 * 24 * 3600 * 1000LL)
#define PACE_SCANNERS_MAX 5000
#define PACE_NAME_MAX     256

struct pace;

int pace_new(struct pace **ret_pace);
void pace_free(struct pace *p);

/* Mail came from inside, now. */
void pace_count(struct pace *p, const char *scanner, uint64_t messages, int64_t now_ms);

struct pace_news {
	const char *scanner;
	bool quiet;
	double usual; /* messages in such an hour */
	uint64_t came;
	bool given_up; /* no longer quiet, since it has been so for PACE_QUIET_MAX_MS */
};
/* Calls fn for each scanner that became quiet, or is heard again. */
void pace_tick(struct pace *p, int64_t now_ms, void (*fn)(void *user, const struct pace_news *news),
	       void *user);
bool pace_is_quiet(const struct pace *p, const char *scanner);

/* ---- for saving ---- */

struct pace_row {
	const char *scanner;
	int64_t quiet_ms, last_ms; /* quiet since, 0: it is not; last mail */
	float usual[PACE_HOURS];   /* from Monday 0:00 UTC */
	uint8_t weeks[PACE_HOURS]; /* seen, up to 255; 0: nothing is known of that hour */
};
/* fn < 0 ends it, and is returned. */
int pace_each(const struct pace *p, int (*fn)(void *user, const struct pace_row *row), void *user);
/* Replaces what is known of that scanner. 0; 1: no room; -EINVAL: no such row can be; -ENOMEM. */
int pace_put(struct pace *p, const struct pace_row *row);
