/*
 * One open file or pipe, plain or compressed, as lines. A line is a view into the buffer that
 * read(2) filled; what is left of a block, the start of a line, moves to the front before the next
 * one. No mmap(2): its pages would count as memory of ours.
 */
#pragma once

#include "base/base.h"

#define FEED_LINE_MAX 65536
#define FEED_BLOCK    (256 * 1024) /* stays in a processor's own cache; more is slower */

enum feed_mode {
	FEED_FILE,   /* to the end; waits for a pipe's data */
	FEED_PIPE,   /* the same, but -EAGAIN where it would have to wait */
	FEED_GROWING /* plain, seekable; what follows the last newline is held back, see
			  feed_held() */
};

struct feed;

struct feed_line {
	struct sv text; /* without LF or CR LF; any octets; valid until the next call */
	bool cut;       /* see feed_line() */
};

/* Takes fd over when it succeeds, and reads from where fd stands at most block octets at a time.
 * 0; -ENOMEM. */
int feed_new(int fd, enum feed_mode mode, size_t block, struct feed **ret_reader);
void feed_free(struct feed *r);
/* The same, but gives its descriptor back. */
int feed_detach(struct feed *r);

/*
 * 0: a line. A longer one than FEED_LINE_MAX is cut there, the rest of it is skipped. A last line
 * without newline is a line like any other, but cut when the file could not be read to its end:
 * the error comes with the next call then.
 * 1: the end, for now with FEED_GROWING. -EAGAIN: FEED_PIPE, nothing there yet. -EINTR: a
 * signal came while it waited. Both: go on with the next call. Anything else: feed_error() says
 * what is wrong.
 */
int feed_line(struct feed *r, struct feed_line *ret_line);
const char *feed_error(const struct feed *r);

/* Takes what is held back out of a FEED_GROWING: false if there is nothing. */
bool feed_held(struct feed *r, struct feed_line *ret_line);

/* FEED_GROWING: goes to offset and forgets all else; skip: what is there is the rest of a line
 * that is not wanted. 0, or -errno. */
int feed_seek(struct feed *r, uint64_t offset, bool skip);

/*
 * Calls fn for each of the first max lines, as far as the buffer goes, without taking them, until
 * fn returns true. 0; -EINTR; other errors are left to feed_line().
 */
int feed_peek(struct feed *r, size_t max, bool (*fn)(struct sv line, void *arg), void *arg);

int feed_fd(const struct feed *r);
/* Octets of the file used up so far: those of plain files as they are given out, those of
 * compressed ones as they are decoded. Of a FEED_GROWING: its offset in the file. */
uint64_t feed_done(const struct feed *r);
/* Octets of text given out. */
uint64_t feed_bytes(const struct feed *r);
