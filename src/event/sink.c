/*
 * The sink of event/event.h: workers add their lines to one buffer, a thread writes it out.
 *
 * The thread is woken by the first line and then lets more come together for a moment: a wake-up
 * and a write for each event would cost more than the event. The buffer is bounded; with the disk
 * stuck, lines are dropped and counted.
 */
#include "event/event.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/json.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_MAX  (8 * 1024 * 1024)
#define GATHER_MS  50
#define GATHER_MAX (256 * 1024) /* written at once when as much has come together */

struct event_sink {
	char *path; /* NULL: standard output */
	int fd;     /* of the writer thread; -1 while the file can't be opened anew */
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct buf queue; /* whole lines */
	size_t queued;    /* how many */
	bool idle;        /* the writer waits for the first line */
	bool stopping;
	bool switching; /* to next_... */
	int next_fd;
	char *next_path;

	atomic_uint_fast64_t dropped;
	_Atomic bool off; /* events go nowhere */

	/* of the writer thread */
	bool torn; /* the file may end in half a line */
	int64_t complained_ms, looked_ms;
	uint64_t failures;
};

static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

	return fd < 0 ? -errno : fd;
}

static void complain(struct event_sink *s, int error)
{
	int64_t now = clock_mono_ms();

	s->failures++;
	if (s->complained_ms && now - s->complained_ms < 60000)
		return;
	s->complained_ms = now;
	log_warning("events=%s error=\"%s\" failures=%llu dropped=%llu", s->path ? s->path : "-",
		    strerror(error), (unsigned long long)s->failures,
		    (unsigned long long)event_dropped(s));
}

/* A rotated file: the name leads elsewhere now, so that is where events go. */
static void follow_rotation(struct event_sink *s)
{
	struct stat named, open;
	int64_t now = clock_mono_ms();
	int fd;

	if (!s->path || (s->fd >= 0 && s->looked_ms && now - s->looked_ms < 1000))
		return;
	s->looked_ms = now;
	if (s->fd >= 0 && stat(s->path, &named) == 0 &&
	    (fstat(s->fd, &open) < 0 ||
	     (named.st_ino == open.st_ino && named.st_dev == open.st_dev)))
		return;
	fd = open_file(s->path);
	if (fd < 0) {
		complain(s, -fd);
		return; /* the old one goes on */
	}
	if (s->fd >= 0)
		close(s->fd);
	s->fd = fd;
	s->torn = false;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

static void write_lines(struct event_sink *s, const struct buf *lines, size_t n)
{
	struct sv all = buf_view(lines);
	int r = 0;

	follow_rotation(s);
	if (s->torn)
		r = write_all(s->fd, "\n", 1);
	if (r == 0)
		r = s->fd < 0 ? -EBADF : write_all(s->fd, all.p, all.n);
	s->torn = r < 0;
	if (r < 0) {
		atomic_fetch_add(&s->dropped, n);
		complain(s, -r);
	}
}

/* Until lines have come together, or the sink ends; under the lock. */
static void gather(struct event_sink *s)
{
	struct timespec until;

	s->idle = true;
	while (buf_len(&s->queue) == 0 && !s->stopping && !s->switching)
		pthread_cond_wait(&s->wake, &s->lock);
	s->idle = false;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += GATHER_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	while (buf_len(&s->queue) < GATHER_MAX && !s->stopping && !s->switching)
		if (pthread_cond_timedwait(&s->wake, &s->lock, &until) == ETIMEDOUT)
			break;
}

/* Asked for by event_sink_switch(). */
static void take_next(struct event_sink *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->switching) {
		if (s->fd >= 0)
			close(s->fd);
		free(s->path);
		s->fd = s->next_fd;
		s->path = s->next_path;
		s->next_path = NULL;
		s->switching = s->torn = false;
	}
	pthread_mutex_unlock(&s->lock);
}

static void *writer(void *arg)
{
	struct event_sink *s = arg;
	bool stopping = false;

	while (!stopping) {
		struct buf lines;
		size_t n;

		pthread_mutex_lock(&s->lock);
		gather(s);
		lines = s->queue;
		n = s->queued;
		buf_init(&s->queue, QUEUE_MAX);
		s->queued = 0;
		stopping = s->stopping;
		pthread_mutex_unlock(&s->lock);

		if (n > 0)
			write_lines(s, &lines, n);
		buf_deinit(&lines);
		take_next(s);
	}
	return NULL;
}

static void init_locks(struct event_sink *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
}

/* ret_path: NULL for standard output and nowhere; ret_fd: -1 for the latter. */
static int open_path(const char *path, char **ret_path, int *ret_fd)
{
	bool standard = path && strcmp(path, "-") == 0;
	char *copy = path && !standard ? strdup(path) : NULL;
	int fd = -1;

	if (path && !standard && !copy)
		return -ENOMEM;
	if (standard && (fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)) < 0)
		return -errno;
	if (copy && (fd = open_file(path)) < 0) {
		free(copy);
		return fd;
	}
	*ret_path = copy;
	*ret_fd = fd;
	return 0;
}

int event_sink_switch(struct event_sink *s, const char *path)
{
	char *name = NULL;
	int fd = -1, r = open_path(path, &name, &fd);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->lock);
	if (s->switching) {
		free(s->next_path);
		if (s->next_fd >= 0)
			close(s->next_fd);
	}
	s->switching = true;
	s->next_fd = fd;
	s->next_path = name;
	atomic_store(&s->off, !path);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

bool event_wanted(const struct event_sink *s)
{
	return s && !atomic_load_explicit(&((struct event_sink *)s)->off, memory_order_relaxed);
}

int event_sink_new(const char *path, struct event_sink **ret_sink)
{
	struct event_sink *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	buf_init(&s->queue, QUEUE_MAX);
	r = open_path(path, &s->path, &s->fd);
	if (r < 0)
		goto fail;
	s->off = !path;
	init_locks(s);
	r = -pthread_create(&s->thread, NULL, writer, s);
	if (r == 0) {
		*ret_sink = s;
		return 0;
	}
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	if (s->fd >= 0)
		close(s->fd);
fail:
	free(s->path);
	free(s);
	return r;
}

void event_sink_free(struct event_sink *s)
{
	struct timespec until;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += EVENT_END_MS / 1000;
	if (pthread_clockjoin_np(s->thread, NULL, CLOCK_MONOTONIC, &until) != 0) {
		/* a pipe that nobody reads must not hold up the end; the thread has s still */
		log_warning("events=%s error=\"not written in time\" the last events are lost",
			    s->path ? s->path : "-");
		return;
	}
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	if (s->fd >= 0)
		close(s->fd);
	buf_deinit(&s->queue);
	free(s->path);
	free(s);
}

static void queue(struct event_sink *s, const char *line, size_t n)
{
	bool wake = false;

	pthread_mutex_lock(&s->lock);
	size_t before = buf_len(&s->queue);
	int r = buf_add(&s->queue, line, n);
	if (r == 0) {
		s->queued++;
		wake = s->idle || (before < GATHER_MAX && before + n >= GATHER_MAX);
		s->idle = false;
	}
	pthread_mutex_unlock(&s->lock);
	if (wake)
		pthread_cond_signal(&s->wake);
	if (r < 0)
		atomic_fetch_add(&s->dropped, 1);
}

void event_emit_rcpt(struct event_sink *s, const struct event_rcpt *e)
{
	char line[EVENT_JSON_MAX];

	if (event_wanted(s))
		queue(s, line, event_rcpt_line(e, line));
}

void event_emit_note(struct event_sink *s, const char *kind, const char *text)
{
	char line[EVENT_JSON_MAX];

	if (event_wanted(s))
		queue(s, line, event_note_line(clock_wall_ms(), kind, text, line));
}

uint64_t event_dropped(const struct event_sink *s)
{
	return s ? atomic_load(&((struct event_sink *)s)->dropped) : 0;
}
