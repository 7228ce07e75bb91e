#include "base/clock.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

static _Atomic int64_t fake_mono = -1;
static _Atomic int64_t fake_wall = -1;

static int64_t now_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void)
{
	int64_t fake = atomic_load_explicit(&fake_mono, memory_order_relaxed);

	return fake >= 0 ? fake : now_ms(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
	int64_t fake = atomic_load_explicit(&fake_wall, memory_order_relaxed);

	return fake >= 0 ? fake : now_ms(CLOCK_REALTIME);
}

const char *clock_rfc3339(int64_t wall_ms, char *out)
{
	/* what is written in one second has most of it in common */
	static _Thread_local time_t last;
	static _Thread_local char date[32];
	time_t seconds = (time_t)(wall_ms / 1000);
	int ms = (int)(wall_ms % 1000);
	struct tm tm;

	if (seconds != last || !date[0]) {
		gmtime_r(&seconds, &tm);
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S.", &tm);
		last = seconds;
	}
	char *p = stpcpy(out, date);
	*p++ = (char)('0' + ms / 100);
	*p++ = (char)('0' + ms / 10 % 10);
	*p++ = (char)('0' + ms % 10);
	*p++ = 'Z';
	*p = '\0';
	return out;
}

void clock_fake(int64_t mono_ms, int64_t wall_ms)
{
	fake_mono = mono_ms;
	fake_wall = wall_ms;
}
