/*
 * The sink of event/event.h: workers hang copies of their events on a list, one thread makes lines
 * of them and writes them in batches. The list is bounded by the memory it holds.
 */
#include "event/event.h"

#include "base/clock.h"
#include "base/log.h"
#include "event/json.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE_MAX (8 * 1024 * 1024)
#define BATCH_MAX (256 * 1024)

struct item {
	struct item *next;
	char *note; /* its JSON; NULL: rcpt */
	struct event_rcpt rcpt[];
};

struct event_sink {
	char *path; /* NULL: standard output */
	int fd;     /* of the writer thread; -1 while the file can't be opened anew */
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct item *first, **last;
	size_t queued; /* octets */
	bool stopping;

	atomic_uint_fast64_t dropped;

	/* of the writer thread */
	char *batch;
	size_t batch_len, batch_events;
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

static void batch_write(struct event_sink *s)
{
	int r = 0;

	if (s->batch_len == 0)
		return;
	follow_rotation(s);
	if (s->torn)
		r = write_all(s->fd, "\n", 1);
	if (r == 0)
		r = s->fd < 0 ? -EBADF : write_all(s->fd, s->batch, s->batch_len);
	s->torn = r < 0;
	if (r < 0) {
		atomic_fetch_add(&s->dropped, s->batch_events);
		complain(s, -r);
	}
	s->batch_len = s->batch_events = 0;
}

static void batch_add(struct event_sink *s, const char *json)
{
	size_t n = json ? strlen(json) : 0;

	if (n == 0 || n + 1 > BATCH_MAX) {
		atomic_fetch_add(&s->dropped, 1);
		return;
	}
	if (s->batch_len + n + 1 > BATCH_MAX)
		batch_write(s);
	memcpy(s->batch + s->batch_len, json, n);
	s->batch[s->batch_len + n] = '\n';
	s->batch_len += n + 1;
	s->batch_events++;
}

static size_t item_size(const struct item *item)
{
	return sizeof(*item) + (item->note ? strlen(item->note) : sizeof(item->rcpt[0]));
}

/* Everything that is queued, or NULL: the sink ends. */
static struct item *take_all(struct event_sink *s)
{
	struct item *items;

	pthread_mutex_lock(&s->lock);
	while (!s->first && !s->stopping)
		pthread_cond_wait(&s->wake, &s->lock);
	items = s->first;
	s->first = NULL;
	s->last = &s->first;
	s->queued = 0;
	pthread_mutex_unlock(&s->lock);
	return items;
}

static void *writer(void *arg)
{
	struct event_sink *s = arg;
	struct item *items;

	while ((items = take_all(s))) {
		while (items) {
			struct item *next = items->next;
			char *json = items->note ? items->note : event_rcpt_json(items->rcpt);

			batch_add(s, json);
			free(json);
			free(items);
			items = next;
		}
		batch_write(s);
	}
	return NULL;
}

int event_sink_new(const char *path, struct event_sink **ret_sink)
{
	bool standard = strcmp(path, "-") == 0;
	struct event_sink *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->last = &s->first;
	s->batch = malloc(BATCH_MAX);
	s->path = standard ? NULL : strdup(path);
	if (!s->batch || (!standard && !s->path))
		goto fail;
	s->fd = standard ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open_file(path);
	if (s->fd < 0) {
		r = standard ? -errno : s->fd;
		goto fail;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	r = -pthread_create(&s->thread, NULL, writer, s);
	if (r == 0) {
		*ret_sink = s;
		return 0;
	}
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	close(s->fd);
fail:
	free(s->batch);
	free(s->path);
	free(s);
	return r;
}

void event_sink_free(struct event_sink *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	if (s->fd >= 0)
		close(s->fd);
	free(s->batch);
	free(s->path);
	free(s);
}

/* item may be NULL: no memory. */
static void queue(struct event_sink *s, struct item *item)
{
	bool full;

	if (!item) {
		atomic_fetch_add(&s->dropped, 1);
		return;
	}
	pthread_mutex_lock(&s->lock);
	full = s->queued + item_size(item) > QUEUE_MAX;
	if (!full) {
		s->queued += item_size(item);
		if (!s->first)
			pthread_cond_signal(&s->wake);
		*s->last = item;
		s->last = &item->next;
	}
	pthread_mutex_unlock(&s->lock);
	if (full) {
		atomic_fetch_add(&s->dropped, 1);
		free(item->note);
		free(item);
	}
}

void event_emit_rcpt(struct event_sink *s, const struct event_rcpt *e)
{
	struct item *item;

	if (!s)
		return;
	item = malloc(sizeof(*item) + sizeof(*e));
	if (item) {
		item->next = NULL;
		item->note = NULL;
		item->rcpt[0] = *e;
	}
	queue(s, item);
}

void event_emit_note(struct event_sink *s, const char *kind, const char *text)
{
	struct item *item;

	if (!s)
		return;
	item = calloc(1, sizeof(*item));
	if (item) {
		item->note = event_note_json(clock_wall_ms(), kind, text);
		if (!item->note) {
			free(item);
			item = NULL;
		}
	}
	queue(s, item);
}

uint64_t event_dropped(const struct event_sink *s)
{
	return s ? atomic_load(&((struct event_sink *)s)->dropped) : 0;
}
