/*
 * Preloaded into the daemon, this adds to its clocks what stands in the file $TRAVEL_FILE (eight
 * bytes: seconds), at every look: hours pass for it in no time, while all else goes on. The other
 * programs of the lab don't notice.
 *
 * Waits that name a moment are given to the kernel by its own clock, as that is what it wakes by.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int clock_gettime_fn(clockid_t id, struct timespec *ts);
typedef int cond_timedwait_fn(pthread_cond_t *cond, pthread_mutex_t *mutex,
			      const struct timespec *until);

static const volatile int64_t *ahead;
static clock_gettime_fn *real_gettime;
static cond_timedwait_fn *real_timedwait;

__attribute__((constructor)) static void travel_init(void)
{
	const char *path = getenv("TRAVEL_FILE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	real_gettime = (clock_gettime_fn *)dlsym(RTLD_NEXT, "clock_gettime");
	/* the unversioned one is for a condition's layout of 2002 */
	real_timedwait =
		(cond_timedwait_fn *)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
	if (p == MAP_FAILED || !real_gettime || !real_timedwait)
		abort();
	ahead = p;
	close(fd);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r;

	if (!real_gettime)
		travel_init();
	r = real_gettime(id, ts);
	if (r == 0 && id != CLOCK_PROCESS_CPUTIME_ID && id != CLOCK_THREAD_CPUTIME_ID)
		ts->tv_sec += *ahead;
	return r;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
			   const struct timespec *until)
{
	struct timespec ts = *until;

	ts.tv_sec -= *ahead;
	return real_timedwait(cond, mutex, &ts);
}
