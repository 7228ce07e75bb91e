#include "proxy/known_clients.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct saving {
	FILE *file;
	int64_t shift_ms; /* from clock_mono_ms() to 1970 */
};

static void save_one(void *user, uint64_t key, int64_t until_ms)
{
	const struct saving *s = user;

	/* an error stays with the file: see below */
	(void)fprintf(s->file, "%016llx %lld\n", (unsigned long long)key,
		      (long long)(until_ms + s->shift_ms));
}

static int write_file(const char *name, struct limiter *l)
{
	struct saving s = { .file = fopen(name, "we"),
			    .shift_ms = clock_wall_ms() - clock_mono_ms() };

	if (!s.file)
		return -errno;
	limiter_known_each(l, clock_mono_ms(), save_one, &s);
	bool failed = ferror(s.file);
	int r = fclose(s.file) != 0 || failed ? -EIO : 0;
	if (r < 0)
		(void)unlink(name);
	return r;
}

int known_clients_save(const char *file, struct limiter *l)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	char name[PATH_MAX];
	int n = snprintf(name, sizeof(name), "%s.new", file);

	if (n < 0 || (size_t)n >= sizeof(name))
		return -ENAMETOOLONG;
	pthread_mutex_lock(&lock);
	int r = write_file(name, l);
	if (r == 0 && rename(name, file) < 0)
		r = -errno;
	pthread_mutex_unlock(&lock);
	return r;
}

static bool parse(const char *line, uint64_t *ret_key, int64_t *ret_until_ms)
{
	char *end;

	*ret_key = strtoull(line, &end, 16);
	if (end != line + 16 || *end != ' ')
		return false;
	*ret_until_ms = strtoll(end, &end, 10);
	return *end == '\n' && *ret_until_ms > 0 && *ret_until_ms < INT64_C(1) << 50;
}

int known_clients_load(const char *file, struct limiter *l)
{
	int64_t now = clock_mono_ms(), shift = clock_wall_ms() - now, until;
	FILE *f = fopen(file, "re");
	uint64_t key;
	char line[64];

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		if (parse(line, &key, &until))
			limiter_know(l, key, until - shift, now);
	int r = ferror(f) ? -EIO : 0;
	fclose(f);
	return r;
}
