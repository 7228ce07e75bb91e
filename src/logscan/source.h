/*
 * The lines of log files: plain, or compressed by gzip, zstd, xz or bzip2 (told by their content),
 * or standard input; one after the other in the order of their oldest lines; or a live file that
 * is followed.
 */
#pragma once

#include "base/base.h"

#include <stdio.h>

#define SOURCE_LINE_MAX 65536 /* a longer line is cut there, and told as cut */

struct source;

struct source_line {
	struct sv text; /* without its newline (CR LF too), any octets; valid until the next call */
	bool cut;       /* longer than SOURCE_LINE_MAX, or the file could not be read beyond it */
	const char *file;  /* as long as the source; "-": standard input */
	uint64_t number;   /* in its file, from 1; following from the end, since then */
	bool new_file;     /* the first line of a file, or of what follows a rotation */
	int64_t newest_ms; /* when the file was last written to, since 1970 UTC; of pipes, and of a
			    * followed file since its end was reached, about now */
};

struct source_progress {
	uint64_t done, total; /* octets of the files as they lie on the disk; total 0: not known */
	uint64_t bytes;       /* octets of log text given out */
	size_t file, n_files; /* from 1; following: 1 of 1 */
};

/*
 * names: files, globs that the shell left (glob(7), for names that do not exist), "-". n == 0:
 * standard input. They are ordered by the first of their first 50 lines of which first_ms() can
 * read the time stamp, so that a message is read before its deliveries whatever order rotation gave
 * its names. INT64_MAX: this line has none; a file without any keeps its place at the end. NULL: in
 * the order given. A file named twice is read once. Errors are told to err (NULL: not) in one line
 * each, "FILE: what is wrong".
 *
 * 0; else -ENOENT, -EISDIR, -EACCES and so on of the first name that cannot be read: nothing is
 * read then, for a part of the logs gives wrong answers. -EINTR: a signal came while it waited for
 * a pipe.
 */
int source_open(char *const *names, size_t n,
		int64_t (*first_ms)(struct sv line, int64_t newest_ms), FILE *err,
		struct source **ret_source);

/*
 * Follow a plain file as it grows, from its last whole line (or from its start), and through
 * rotation: when its name leads to another file that is not empty, the rest of the old one is
 * read first; a name that leads nowhere is waited for; a file that has shrunk (copytruncate) is
 * read from its start. A line is given when its newline has come, or its file is done with.
 * Anything that is not a regular file, and "-", is read until it ends, and may be compressed.
 * 0; -ENOENT, ..., told to err.
 */
int source_follow(const char *name, bool from_start, FILE *err, struct source **ret_source);
void source_free(struct source *s);

/*
 * 0: a line; 1: the end; -EAGAIN (following only): nothing more just now, call source_wait().
 * -EINTR: a signal came while it waited for a pipe; the next call goes on. Other errno: a file
 * could not be read to its end (-EBADMSG: damaged, -ENODATA: cut off), told to err; all lines
 * before that have been given, and the next call goes on with the next file.
 */
int source_next(struct source *s, struct source_line *ret_line);

/* Following: until there is more, or timeout_ms is over, or a signal came. */
void source_wait(struct source *s, int timeout_ms);

void source_progress(const struct source *s, struct source_progress *ret_progress);
