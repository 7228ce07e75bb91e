/*
 * What tells of a change is always stat(2), at every call and every LOOK_MS of waiting; inotify
 * only ends the wait early. So it may fail, overflow, or be blind (network file systems, the
 * directory of a symbolic link's target), and nothing is missed.
 */
#include "logscan/follow.h"

#include "base/clock.h"
#include "logscan/feed.h"
#include "logscan/open.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MS 250

struct follow {
	const char *name;
	FILE *err;
	struct feed *reader;
	bool stream;    /* not a regular file: read until it ends */
	bool replaced;  /* the name leads elsewhere: one last look at the old file */
	bool told;      /* that the name can't be read; once */
	bool failed;    /* the end */
	uint64_t bytes; /* of files before this one */
	uint64_t number;
	int64_t newest_ms;
	int inotify, watch; /* -1: none */
};

static int tell(struct follow *f, int error, const char *text)
{
	if (f->err)
		fprintf(f->err, "%s: %s\n", f->name, text);
	return error;
}

static void watch_file(struct follow *f)
{
	if (f->inotify < 0)
		return;
	if (f->watch >= 0)
		inotify_rm_watch(f->inotify, f->watch);
	f->watch = inotify_add_watch(f->inotify, f->name, IN_MODIFY | IN_MOVE_SELF);
}

/* The file, and its directory for the one that takes its place. */
static void watch(struct follow *f)
{
	char *copy = strdup(f->name);

	f->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (f->inotify >= 0 && copy)
		inotify_add_watch(f->inotify, dirname(copy), IN_CREATE | IN_MOVED_TO | IN_MODIFY);
	free(copy);
	watch_file(f);
}

/* Where the last whole line of n octets ends, looking back as far as a line may reach. skip: it
 * begins further back. */
static int find_last_line(int fd, uint64_t n, uint64_t *ret_offset, bool *ret_skip)
{
	size_t back = min_size(n, FEED_LINE_MAX);
	char *p = malloc(back + 1);
	const char *newline;
	ssize_t got;
	int r = 0;

	if (!p)
		return -ENOMEM;
	got = pread(fd, p, back, (off_t)(n - back));
	if (got < 0) {
		r = -errno;
	} else {
		newline = memrchr(p, '\n', (size_t)got);
		if (newline)
			*ret_offset = n - back + (uint64_t)(newline + 1 - p);
		else
			*ret_offset = n > back ? n : 0;
		*ret_skip = !newline && n > back;
	}
	free(p);
	return r;
}

/* Takes fd over. */
static int begin(struct follow *f, int fd, const struct stat *st, bool from_start)
{
	struct feed *reader;
	uint64_t offset = 0;
	bool skip = false;
	int r = 0;

	f->stream = !S_ISREG(st->st_mode) || strcmp(f->name, "-") == 0;
	if (!f->stream && !from_start)
		r = find_last_line(fd, (uint64_t)st->st_size, &offset, &skip);
	if (r == 0)
		r = feed_new(fd, f->stream ? FEED_PIPE : FEED_GROWING, FEED_BLOCK, &reader);
	if (r < 0) {
		close(fd);
		return r;
	}
	if (!f->stream)
		r = feed_seek(reader, offset, skip);
	if (r < 0) {
		feed_free(reader);
		return r;
	}
	if (f->reader) {
		f->bytes += feed_bytes(f->reader);
		feed_free(f->reader);
	}
	f->reader = reader;
	f->number = 0;
	f->newest_ms = open_newest_ms(st);
	return 0;
}

int follow_new(const char *name, bool from_start, FILE *err, struct follow **ret_follow)
{
	struct follow *f = calloc(1, sizeof(*f));
	struct stat st;
	int fd, r;

	if (!f)
		return -ENOMEM;
	f->name = name;
	f->err = err;
	f->inotify = f->watch = -1;
	fd = open_log(name, &st);
	r = fd < 0 ? fd : begin(f, fd, &st, from_start);
	if (r < 0) {
		tell(f, r, strerror(-r));
		follow_free(f);
		return r;
	}
	if (!f->stream)
		watch(f);
	*ret_follow = f;
	return 0;
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	feed_free(f->reader);
	if (f->inotify >= 0)
		close(f->inotify);
	free(f);
}

/* Whether the name leads to another file that has something in it. An empty one waits: until the
 * first line is in it, programs may still be writing to the old one. */
static bool is_replaced(const struct follow *f)
{
	struct stat named, open;

	return stat(f->name, &named) == 0 && fstat(feed_fd(f->reader), &open) == 0 &&
	       (named.st_dev != open.st_dev || named.st_ino != open.st_ino) &&
	       (!S_ISREG(named.st_mode) || named.st_size > 0);
}

/* Octets in the open file, or -1. */
static int64_t size_now(const struct follow *f)
{
	struct stat st;

	return fstat(feed_fd(f->reader), &st) == 0 ? st.st_size : -1;
}

/* To the file that the name leads to now. 0; -EAGAIN: that can't be read yet. */
static int replace(struct follow *f)
{
	struct stat st;
	int fd, r;

	/* Looked at first: to open a FIFO could take for ever. */
	if (stat(f->name, &st) < 0)
		fd = -errno;
	else
		fd = S_ISREG(st.st_mode) ? open_log(f->name, &st) : -EINVAL;
	r = fd;
	if (fd >= 0)
		r = begin(f, fd, &st, true);
	if (r < 0) {
		if (!f->told && r != -ENOENT)
			tell(f, r, r == -EINVAL ? "not a file any more" : strerror(-r));
		f->told = f->told || r != -ENOENT;
		return -EAGAIN;
	}
	f->told = false;
	watch_file(f);
	return 0;
}

static int give(struct follow *f, const struct feed_line *line, struct source_line *ret)
{
	f->number++;
	*ret = (struct source_line) {
		.text = line->text,
		.cut = line->cut,
		.file = f->name,
		.number = f->number,
		.new_file = f->number == 1,
		.newest_ms = f->newest_ms,
	};
	return 0;
}

/* At the end of a growing file. 0: go on reading; 1: a line is left in *ret_held; -EAGAIN; errno.
 */
static int at_end(struct follow *f, struct feed_line *ret_held)
{
	int64_t size = size_now(f);

	f->newest_ms = clock_wall_ms();
	if (size >= 0 && (uint64_t)size < feed_done(f->reader)) {
		if (feed_held(f->reader, ret_held)) {
			ret_held->cut = true; /* the rest of it went elsewhere */
			return 1;
		}
		f->number = 0;
		return feed_seek(f->reader, 0, false);
	}
	if (!is_replaced(f)) {
		f->replaced = false;
		return -EAGAIN;
	}
	if (!f->replaced) {
		f->replaced = true; /* what was written between our last read and now */
		return 0;
	}
	if (feed_held(f->reader, ret_held))
		return 1;
	f->replaced = false;
	return replace(f);
}

int follow_next(struct follow *f, struct source_line *ret_line)
{
	struct feed_line line;
	int r;

	if (f->failed)
		return 1;
	for (;;) {
		r = feed_line(f->reader, &line);
		if (r == 0)
			return give(f, &line, ret_line);
		if (r == -EAGAIN)
			f->newest_ms = clock_wall_ms();
		if (r == -EAGAIN || r == -EINTR || (r == 1 && f->stream))
			return r;
		if (r < 0) {
			f->failed = true;
			return tell(f, r, feed_error(f->reader));
		}
		r = at_end(f, &line);
		if (r == 1)
			return give(f, &line, ret_line);
		if (r == -EAGAIN)
			return r;
		if (r < 0) {
			f->failed = true;
			return tell(f, r, strerror(-r));
		}
	}
}

static bool has_more(const struct follow *f)
{
	return size_now(f) != (int64_t)feed_done(f->reader) || (!f->told && is_replaced(f));
}

static void drop_events(const struct follow *f)
{
	char events[4096];

	while (read(f->inotify, events, sizeof(events)) > 0)
		;
}

void follow_wait(struct follow *f, int timeout_ms)
{
	int64_t until = clock_mono_ms() + timeout_ms;

	while (!f->failed && (f->stream || !has_more(f))) {
		struct pollfd wait = { .fd = f->stream ? feed_fd(f->reader) : f->inotify,
				       .events = POLLIN };
		int64_t left = until - clock_mono_ms();

		if (left <= 0)
			return;
		if (!f->stream && left > LOOK_MS)
			left = LOOK_MS;
		if (poll(&wait, 1, (int)left) < 0 || f->stream)
			return;
		if (wait.revents)
			drop_events(f);
	}
}

void follow_progress(const struct follow *f, struct source_progress *ret_progress)
{
	*ret_progress = (struct source_progress) {
		.done = feed_done(f->reader),
		.bytes = f->bytes + feed_bytes(f->reader),
		.file = 1,
		.n_files = 1,
	};
}
