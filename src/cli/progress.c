#include "cli/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define DRAW_MS 100
#define COLUMNS 24

void progress_init(struct progress *p)
{
	*p = (struct progress) { .shown = isatty(STDERR_FILENO) };
	p->start_ms = clock_mono_ms();
}

static void draw_rest(const struct progress *p, uint64_t done, uint64_t total, int64_t ms)
{
	int64_t left = done ? (int64_t)((double)(total - done) * (double)ms / (double)done) : 0;

	if (total > 0 && done > 0 && done <= total)
		fprintf(stderr, "  %" PRId64 ":%02" PRId64 " left", left / 60000, left / 1000 % 60);
}

void progress_draw(struct progress *p, const char *what, uint64_t done, uint64_t total,
		   uint64_t rate_bytes)
{
	int64_t now, ms;

	if (!p->shown)
		return;
	now = clock_mono_ms();
	if (now - p->last_ms < DRAW_MS)
		return;
	p->last_ms = now;
	ms = now - p->start_ms > 0 ? now - p->start_ms : 1;
	fprintf(stderr, "\r\033[K%s ", what);
	if (total > 0) {
		int filled = (int)min_size((size_t)(done * COLUMNS / total), COLUMNS);

		fprintf(stderr, "[%.*s%*s] %3.0f %%", filled, "########################",
			COLUMNS - filled, "", 100.0 * (double)done / (double)total);
	} else {
		fprintf(stderr, "%" PRIu64, done);
	}
	if (rate_bytes > 0)
		fprintf(stderr, "  %.0f MB/s", (double)rate_bytes / 1000 / (double)ms);
	draw_rest(p, done, total, ms);
	fflush(stderr);
	p->drawn = true;
}

void progress_wipe(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
