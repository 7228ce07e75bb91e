#include "logscan/feed.h"

#include "logscan/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* With as many octets and no newline among them a line is too long, even if the last one is CR. */
#define UNDECIDED_MAX (FEED_LINE_MAX + 1)
#define RAW_BLOCK     65536 /* of compressed octets */

struct feed {
	int fd;
	enum feed_mode mode;
	size_t block;
	char *buf; /* of block + UNDECIDED_MAX + 1 octets */
	size_t alloc, start, end;
	size_t seen;    /* octets from start that have no newline */
	bool skipping;  /* the rest of a line that was cut */
	bool sniffed;   /* it is known whether it is compressed */
	bool ended;     /* a terminal would have to be told twice */
	int error;      /* told when the lines before it have been given */
	uint64_t read;  /* octets from the file, or its offset */
	uint64_t plain; /* octets of text that came into buf */

	struct unpack *unpack; /* NULL: plain */
	char *raw;             /* compressed, of block or RAW_BLOCK octets, whichever is less */
	struct sv left;        /* of it, not yet decoded */
	bool raw_end;
};

int feed_new(int fd, enum feed_mode mode, size_t block, struct feed **ret_reader)
{
	struct feed *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->mode = mode;
	r->block = block;
	r->alloc = block + UNDECIDED_MAX + 1;
	r->buf = malloc(r->alloc);
	if (!r->buf) {
		free(r);
		return -ENOMEM;
	}
	r->fd = fd;
	r->sniffed = mode == FEED_GROWING;
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	*ret_reader = r;
	return 0;
}

int feed_detach(struct feed *r)
{
	int fd = r->fd;

	unpack_free(r->unpack);
	free(r->raw);
	free(r->buf);
	free(r);
	return fd;
}

void feed_free(struct feed *r)
{
	if (r)
		close(feed_detach(r));
}

/* Octets read, 0 at the end. Standard input may have been left non-blocking by somebody else. */
static ssize_t read_some(struct feed *r, char *p, size_t n)
{
	struct pollfd wait = { .fd = r->fd, .events = POLLIN };
	ssize_t got;

	if (r->ended)
		return 0;
	for (;;) {
		if (r->mode == FEED_PIPE && poll(&wait, 1, 0) == 0)
			return -EAGAIN;
		got = read(r->fd, p, n);
		if (got >= 0)
			break;
		if (errno != EAGAIN || r->mode == FEED_PIPE)
			return -errno;
		if (poll(&wait, 1, -1) < 0)
			return -errno;
	}
	r->read += (uint64_t)got;
	r->ended = got == 0 && r->mode != FEED_GROWING;
	return got;
}

/* 0: there is more in buf; 1: the end; or -errno. */
static int fill_plain(struct feed *r, size_t max)
{
	ssize_t got = read_some(r, r->buf + r->end, max);

	if (got <= 0)
		return got < 0 ? (int)got : 1;
	r->end += (size_t)got;
	r->plain += (uint64_t)got;
	return 0;
}

static int fill_unpacked(struct feed *r, size_t max)
{
	for (;;) {
		size_t n = 0;
		ssize_t got;
		int result = unpack_step(r->unpack, &r->left, r->raw_end, r->buf + r->end, max, &n);

		if (result != 0)
			return result;
		if (n > 0) {
			r->end += n;
			r->plain += n;
			return 0;
		}
		if (r->left.n > 0 || r->raw_end)
			continue;
		got = read_some(r, r->raw, min_size(r->block, RAW_BLOCK));
		if (got < 0)
			return (int)got;
		r->raw_end = got == 0;
		r->left = (struct sv) { r->raw, (size_t)got };
	}
}

/* What was read so far turned out to be compressed. */
static int begin_unpacking(struct feed *r, enum unpack_kind kind)
{
	size_t n = r->end;
	int result;

	r->raw = malloc(n > min_size(r->block, RAW_BLOCK) ? n : min_size(r->block, RAW_BLOCK));
	if (!r->raw)
		return -ENOMEM;
	result = unpack_new(kind, &r->unpack);
	if (result < 0)
		return result;
	memcpy(r->raw, r->buf, n);
	r->left = (struct sv) { r->raw, n };
	r->end = r->seen = 0;
	r->plain = 0;
	return 0;
}

/* The first octets, as many as it takes to tell what the file is: as fill_plain(). */
static int sniff(struct feed *r)
{
	enum unpack_kind kind;
	int result;

	do {
		result = fill_plain(r, min_size(r->block, RAW_BLOCK));
		if (result < 0)
			return result;
		kind = unpack_sniff((struct sv) { r->buf, r->end });
	} while (result == 0 && kind == UNPACK_MORE);
	r->sniffed = true;
	if (kind == UNPACK_NONE || kind == UNPACK_MORE)
		return r->end > 0 ? 0 : 1;
	result = begin_unpacking(r, kind);
	return result < 0 ? result : fill_unpacked(r, r->block);
}

/* More octets behind those in buf. 0, 1: the end, or -errno. */
static int fill(struct feed *r)
{
	if (r->error)
		return r->error;
	if (!r->sniffed)
		return sniff(r);
	if (r->start == r->end) {
		r->start = r->end = 0;
	} else if (r->alloc - r->end < r->block) {
		memmove(r->buf, r->buf + r->start, r->end - r->start);
		r->end -= r->start;
		r->start = 0;
	}
	INVARIANT(r->alloc - r->end >= r->block);
	return r->unpack ? fill_unpacked(r, r->block) : fill_plain(r, r->block);
}

static void give(struct feed *r, size_t n, size_t with_end, bool cut, struct feed_line *ret)
{
	ret->text = (struct sv) { r->buf + r->start, min_size(n, FEED_LINE_MAX) };
	ret->cut = cut || n > FEED_LINE_MAX;
	r->start += with_end;
	r->seen = 0;
}

/* A line whose newline is at n. */
static void give_whole(struct feed *r, size_t n, struct feed_line *ret)
{
	bool cr = n > 0 && r->buf[r->start + n - 1] == '\r';

	give(r, n - cr, n + 1, false, ret);
}

/* What is in buf has no newline: whether a line can be made of it all the same. */
static bool give_long(struct feed *r, struct feed_line *ret)
{
	size_t n = r->end - r->start;

	if (r->skipping) {
		r->start = r->end;
		r->seen = 0;
		return false;
	}
	r->seen = n;
	if (n <= UNDECIDED_MAX)
		return false;
	give(r, n, n, true, ret);
	r->skipping = true;
	return true;
}

/* At the end, or at an error: the last line, if there is one. */
static bool give_last(struct feed *r, bool cut, struct feed_line *ret)
{
	size_t n = r->end - r->start;

	if (n == 0)
		return false;
	give(r, n, n, cut, ret);
	return true;
}

int feed_line(struct feed *r, struct feed_line *ret_line)
{
	for (;;) {
		const char *p = r->buf + r->start;
		const char *newline = memchr(p + r->seen, '\n', r->end - r->start - r->seen);
		int result;

		if (newline) {
			if (!r->skipping) {
				give_whole(r, (size_t)(newline - p), ret_line);
				return 0;
			}
			r->start += (size_t)(newline - p) + 1;
			r->seen = 0;
			r->skipping = false;
			continue;
		}
		if (give_long(r, ret_line))
			return 0;
		result = fill(r);
		if (result == 0)
			continue;
		if (result == -EAGAIN || result == -EINTR)
			return result;
		if (result < 0)
			r->error = result;
		if (r->mode == FEED_GROWING && result == 1)
			return 1;
		return give_last(r, result < 0, ret_line) ? 0 : result;
	}
}

const char *feed_error(const struct feed *r)
{
	const char *text = r->unpack ? unpack_error(r->unpack) : "";

	return *text ? text : strerror(-r->error);
}

bool feed_held(struct feed *r, struct feed_line *ret_line)
{
	return give_last(r, false, ret_line);
}

int feed_seek(struct feed *r, uint64_t offset, bool skip)
{
	INVARIANT(r->mode == FEED_GROWING);
	if (lseek(r->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	r->plain -= r->end - r->start;
	r->start = r->end = r->seen = 0;
	r->read = offset;
	r->skipping = skip;
	return 0;
}

int feed_peek(struct feed *r, size_t max, bool (*fn)(struct sv line, void *arg), void *arg)
{
	size_t at = r->start;

	for (size_t i = 0; i < max;) {
		const char *newline = memchr(r->buf + at, '\n', r->end - at);
		int result;

		if (newline) {
			struct sv line = { r->buf + at, (size_t)(newline - (r->buf + at)) };

			if (line.n > 0 && line.p[line.n - 1] == '\r')
				line.n--;
			line.n = min_size(line.n, FEED_LINE_MAX);
			if (fn(line, arg))
				return 0;
			at = (size_t)(newline - r->buf) + 1;
			i++;
			continue;
		}
		if (r->alloc - r->end < r->block)
			return 0;
		result = fill(r);
		if (result == -EINTR)
			return result;
		if (result != 0 && r->end > at)
			fn((struct sv) { r->buf + at, min_size(r->end - at, FEED_LINE_MAX) }, arg);
		if (result < 0)
			r->error = result;
		if (result != 0)
			return 0;
	}
	return 0;
}

int feed_fd(const struct feed *r)
{
	return r->fd;
}

uint64_t feed_done(const struct feed *r)
{
	if (r->unpack)
		return r->read - r->left.n;
	return r->mode == FEED_GROWING ? r->read : r->read - (r->end - r->start);
}

uint64_t feed_bytes(const struct feed *r)
{
	return r->plain - (r->end - r->start);
}
