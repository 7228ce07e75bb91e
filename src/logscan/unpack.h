/*
 * Compressed octets made plain, piece by piece: gzip, zstd, xz and bzip2, also several streams one
 * after the other in a file. No I/O.
 *
 * The libraries themselves rather than libarchive, which decodes a block and gives nothing of it
 * when a fault follows in that block (of a small log: nothing at all), and does not compare gzip's
 * checksums, so that damage passes for log lines.
 */
#pragma once

#include "base/base.h"

enum unpack_kind {
	UNPACK_NONE, /* not compressed */
	UNPACK_MORE, /* too short to say: with more octets it could become one of the others */
	UNPACK_GZIP,
	UNPACK_ZSTD,
	UNPACK_XZ,
	UNPACK_BZIP2,
};

struct unpack;

/* Tells by the first octets of a file. */
enum unpack_kind unpack_sniff(struct sv start);

/* 0; -ENOMEM. */
int unpack_new(enum unpack_kind kind, struct unpack **ret_unpack);
void unpack_free(struct unpack *u);

/*
 * Takes from the front of *in, and writes at most room (more than 0) octets to out. last: nothing
 * follows after *in. 0: go on, with more input if *in is empty and *ret_n is 0; 1: the end;
 * -EBADMSG: damaged; -ENODATA: it ends in the middle; -ENOMEM, also when it
 * takes over 256 MiB to decode it. What came before the fault has been given by then.
 */
int unpack_step(struct unpack *u, struct sv *in, bool last, char *out, size_t room, size_t *ret_n);

/* What is wrong after a negative outcome, for an operator; "the gzip data is cut off". */
const char *unpack_error(const struct unpack *u);
