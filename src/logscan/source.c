/*
 * Every file is opened when its name is looked at and stays open (up to KEEP_OPEN of them), so a
 * rotation between then and the reading of it does not lead to another one. What can't be read a
 * second time, a pipe, keeps the feed that looked at its first lines.
 */
#include "logscan/source.h"

#include "logscan/feed.h"
#include "logscan/follow.h"
#include "logscan/open.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#define KEEP_OPEN  512
#define PEEK_LINES 50

_Static_assert(SOURCE_LINE_MAX == FEED_LINE_MAX, "one limit");

struct file {
	char *name;
	int fd;            /* -1: of the feed, or not open */
	struct feed *feed; /* of pipes and standard input, once looked at */
	dev_t dev;
	ino_t ino;
	bool again;    /* can be read a second time */
	uint64_t size; /* of what lies on the disk */
	int64_t newest_ms, first_ms;
	size_t place; /* as given */
};

struct source {
	FILE *err;
	struct follow *follow; /* else the files */
	char *name;            /* what it follows */

	struct file *files;
	size_t n, alloc;
	size_t at;         /* the file that is read */
	struct feed *feed; /* NULL: between files */
	uint64_t number;   /* of the last line */

	bool sizes_known;
	uint64_t total;
	uint64_t done, bytes; /* of the files before this one */
};

static int tell(const struct source *s, const char *name, int error, const char *text)
{
	if (s->err)
		fprintf(s->err, "%s: %s\n", name, text);
	return error;
}

static bool is_known(const struct source *s, const struct stat *st)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->files[i].dev == st->st_dev && s->files[i].ino == st->st_ino)
			return true;
	return false;
}

static int make_room(struct source *s)
{
	size_t alloc = s->alloc ? s->alloc * 2 : 16;
	struct file *files;

	if (s->n < s->alloc)
		return 0;
	files = reallocarray(s->files, alloc, sizeof(*files));
	if (!files)
		return -ENOMEM;
	s->files = files;
	s->alloc = alloc;
	return 0;
}

/* Standard input may have been read in part by somebody else. */
static uint64_t size_from_here(int fd, const struct stat *st, bool again)
{
	off_t at = again ? 0 : lseek(fd, 0, SEEK_CUR);

	return at >= 0 && at < st->st_size ? (uint64_t)(st->st_size - at) : 0;
}

/* Takes fd over. */
static int add_open(struct source *s, const char *name, int fd, const struct stat *st)
{
	bool regular = S_ISREG(st->st_mode), again = regular && strcmp(name, "-") != 0;
	char *copy = strdup(name);

	if (!copy || make_room(s) < 0) {
		free(copy);
		close(fd);
		return tell(s, name, -ENOMEM, strerror(ENOMEM));
	}
	if (again && s->n >= KEEP_OPEN) {
		close(fd);
		fd = -1;
	}
	s->files[s->n] = (struct file) {
		.name = copy,
		.fd = fd,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.again = again,
		.size = regular ? size_from_here(fd, st, again) : 0,
		.newest_ms = open_newest_ms(st),
		.first_ms = INT64_MAX,
		.place = s->n,
	};
	s->sizes_known = s->sizes_known && regular;
	s->total += s->files[s->n].size;
	s->n++;
	return 0;
}

static int add_name(struct source *s, const char *name)
{
	struct stat st;
	int fd = open_log(name, &st);

	if (fd < 0)
		return tell(s, name, fd, strerror(-fd));
	if (is_known(s, &st)) {
		close(fd);
		return 0;
	}
	return add_open(s, name, fd, &st);
}

/* A name as given: the files that it stands for. */
static int add(struct source *s, const char *name)
{
	glob_t found = { 0 };
	struct stat st;
	int result = 0, r;

	if (strcmp(name, "-") == 0 || lstat(name, &st) == 0 || errno != ENOENT ||
	    !strpbrk(name, "*?["))
		return add_name(s, name);
	r = glob(name, 0, NULL, &found);
	if (r == GLOB_NOMATCH)
		return tell(s, name, -ENOENT, "no file has such a name");
	if (r != 0)
		return tell(s, name, -ENOMEM, strerror(ENOMEM));
	for (size_t i = 0; i < found.gl_pathc; i++) {
		r = add_name(s, found.gl_pathv[i]);
		if (r < 0 && result == 0)
			result = r;
	}
	globfree(&found);
	return result;
}

/* A feed for the file from its start; 0, or told and -errno. */
static int open_feed(const struct source *s, struct file *f, struct feed **ret_reader)
{
	struct stat st;
	int r;

	if (f->fd < 0) {
		int fd = open_log(f->name, &st);

		if (fd < 0)
			return tell(s, f->name, fd, strerror(-fd));
		f->fd = fd;
		if (st.st_dev != f->dev || st.st_ino != f->ino)
			return tell(s, f->name, -ESTALE, "another file has got this name");
	}
	if (f->again && lseek(f->fd, 0, SEEK_SET) < 0)
		return tell(s, f->name, -errno, strerror(errno));
	r = feed_new(f->fd, FEED_FILE, FEED_BLOCK, ret_reader);
	if (r < 0)
		return tell(s, f->name, r, strerror(-r));
	f->fd = -1;
	return 0;
}

struct peek {
	int64_t (*first_ms)(struct sv line, int64_t newest_ms);
	struct file *file;
};

static bool peek_line(struct sv line, void *arg)
{
	struct peek *p = arg;

	p->file->first_ms = p->first_ms(line, p->file->newest_ms);
	return p->file->first_ms != INT64_MAX;
}

/* The time of the first line that has one. Faults are left to source_next(). */
static int look_at(const struct source *s, struct file *f,
		   int64_t (*first_ms)(struct sv line, int64_t newest_ms))
{
	struct peek peek = { first_ms, f };
	struct feed *feed;
	int r = open_feed(s, f, &feed);

	if (r < 0)
		return r;
	r = feed_peek(feed, PEEK_LINES, peek_line, &peek);
	if (!f->again) {
		f->feed = feed;
		return r;
	}
	f->fd = feed_detach(feed);
	if (f->place >= KEEP_OPEN) {
		close(f->fd);
		f->fd = -1;
	}
	return r;
}

static int by_first(const void *va, const void *vb)
{
	const struct file *a = va, *b = vb;

	if (a->first_ms != b->first_ms)
		return a->first_ms < b->first_ms ? -1 : 1;
	return a->place < b->place ? -1 : 1;
}

static int put_in_order(struct source *s, int64_t (*first_ms)(struct sv line, int64_t newest_ms))
{
	if (!first_ms || s->n < 2)
		return 0;
	for (size_t i = 0; i < s->n; i++) {
		int r = look_at(s, &s->files[i], first_ms);

		if (r < 0)
			return r;
	}
	qsort(s->files, s->n, sizeof(*s->files), by_first);
	return 0;
}

static int source_new(FILE *err, struct source **ret_source)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->err = err;
	s->sizes_known = true;
	*ret_source = s;
	return 0;
}

int source_open(char *const *names, size_t n,
		int64_t (*first_ms)(struct sv line, int64_t newest_ms), FILE *err,
		struct source **ret_source)
{
	struct source *s;
	int result = source_new(err, &s), r;

	if (result < 0)
		return result;
	if (n == 0)
		result = add(s, "-");
	for (size_t i = 0; i < n; i++) {
		r = add(s, names[i]);
		if (r < 0 && result == 0)
			result = r;
	}
	if (result == 0)
		result = put_in_order(s, first_ms);
	if (result < 0) {
		source_free(s);
		return result;
	}
	*ret_source = s;
	return 0;
}

int source_follow(const char *name, bool from_start, FILE *err, struct source **ret_source)
{
	struct source *s;
	int r = source_new(err, &s);

	if (r < 0)
		return r;
	s->name = strdup(name);
	r = s->name ? follow_new(s->name, from_start, err, &s->follow) : -ENOMEM;
	if (r < 0) {
		source_free(s);
		return r;
	}
	*ret_source = s;
	return 0;
}

void source_free(struct source *s)
{
	if (!s)
		return;
	follow_free(s->follow);
	feed_free(s->feed);
	for (size_t i = 0; i < s->n; i++) {
		feed_free(s->files[i].feed);
		if (s->files[i].fd >= 0)
			close(s->files[i].fd);
		free(s->files[i].name);
	}
	free(s->files);
	free(s->name);
	free(s);
}

static int next_file(struct source *s)
{
	struct file *f = &s->files[s->at];

	s->number = 0;
	if (!f->feed)
		return open_feed(s, f, &s->feed);
	s->feed = f->feed;
	f->feed = NULL;
	return 0;
}

/* What was told as its size counts as done, however much of it could be read. */
static void end_file(struct source *s)
{
	const struct file *f = &s->files[s->at];

	s->done += s->sizes_known || !s->feed ? f->size : feed_done(s->feed);
	if (s->feed)
		s->bytes += feed_bytes(s->feed);
	feed_free(s->feed);
	s->feed = NULL;
	s->at++;
}

int source_next(struct source *s, struct source_line *ret_line)
{
	struct feed_line line;
	int r;

	if (s->follow)
		return follow_next(s->follow, ret_line);
	while (s->at < s->n) {
		const struct file *f = &s->files[s->at];

		r = s->feed ? 0 : next_file(s);
		if (r < 0) {
			end_file(s);
			return r;
		}
		r = feed_line(s->feed, &line);
		if (r == 0) {
			s->number++;
			ret_line->text = line.text;
			ret_line->cut = line.cut;
			ret_line->file = f->name;
			ret_line->number = s->number;
			ret_line->new_file = s->number == 1;
			ret_line->newest_ms = f->newest_ms;
			return 0;
		}
		if (r == -EINTR)
			return r;
		if (r < 0)
			tell(s, f->name, r, feed_error(s->feed));
		end_file(s);
		if (r < 0)
			return r;
	}
	return 1;
}

void source_wait(struct source *s, int timeout_ms)
{
	if (s->follow)
		follow_wait(s->follow, timeout_ms);
}

void source_progress(const struct source *s, struct source_progress *ret_progress)
{
	struct source_progress p = {
		.done = s->done,
		.total = s->sizes_known ? s->total : 0,
		.bytes = s->bytes,
		.file = min_size(s->at + 1, s->n),
		.n_files = s->n,
	};

	if (s->follow) {
		follow_progress(s->follow, ret_progress);
		return;
	}
	if (s->feed) {
		uint64_t done = feed_done(s->feed), size = s->files[s->at].size;

		/* a live file may have grown since */
		p.done += s->sizes_known && done > size ? size : done;
		p.bytes += feed_bytes(s->feed);
	}
	*ret_progress = p;
}
