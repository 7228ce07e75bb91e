#include "logscan/unpack.h"

#include <bzlib.h>
#include <errno.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* What xz may take. zstd has a limit of its own, a window of 128 MiB; the others need little. */
#define MEMORY_MAX (256ULL * 1024 * 1024)

struct unpack {
	enum unpack_kind kind;
	bool between; /* no stream has begun, or the last one is whole */
	int fault;    /* told when what was decoded before it has been given */
	char error[96];
	union {
		z_stream gz;
		bz_stream bz;
		lzma_stream xz;
		ZSTD_DStream *zstd;
	} of;
};

static const char *const kind_names[] = {
	[UNPACK_NONE] = "plain", [UNPACK_MORE] = "plain", [UNPACK_GZIP] = "gzip",
	[UNPACK_ZSTD] = "zstd",  [UNPACK_XZ] = "xz",      [UNPACK_BZIP2] = "bzip2",
};

/* An octet fits when it is equal in the bits of the mask. */
static const struct {
	enum unpack_kind kind;
	struct sv magic, mask;
} magics[] = {
	/* RFC 1952: deflate, no reserved flag */
	{ UNPACK_GZIP, SV("\x1f\x8b\x08\x00"), SV("\xff\xff\xff\xe0") },
	/* RFC 8878: a frame; a frame to be skipped, which pzstd puts first */
	{ UNPACK_ZSTD, SV("\x28\xb5\x2f\xfd"), SV("\xff\xff\xff\xff") },
	{ UNPACK_ZSTD, SV("\x50\x2a\x4d\x18"), SV("\xf0\xff\xff\xff") },
	{ UNPACK_XZ,
	  SV("\xfd"
	     "7zXZ\0"),
	  SV("\xff\xff\xff\xff\xff\xff") },
	/* "BZh" and a digit could begin a line: a block, or the end of an empty stream, must follow
	 */
	{ UNPACK_BZIP2, SV("BZh0\x31\x41\x59\x26\x53\x59"),
	  SV("\xff\xff\xff\xf0\xff\xff\xff\xff\xff\xff") },
	{ UNPACK_BZIP2, SV("BZh0\x17\x72\x45\x38\x50\x90"),
	  SV("\xff\xff\xff\xf0\xff\xff\xff\xff\xff\xff") },
};

enum unpack_kind unpack_sniff(struct sv start)
{
	enum unpack_kind kind = UNPACK_NONE;

	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		size_t n = min_size(start.n, magics[i].magic.n), k = 0;

		while (k < n && ((start.p[k] ^ magics[i].magic.p[k]) & magics[i].mask.p[k]) == 0)
			k++;
		if (k == magics[i].magic.n)
			return magics[i].kind;
		if (k == start.n)
			kind = UNPACK_MORE;
	}
	return kind;
}

static bool start_decoder(struct unpack *u)
{
	switch (u->kind) {
	case UNPACK_GZIP:
		return inflateInit2(&u->of.gz, 15 + 16) == Z_OK;
	case UNPACK_ZSTD:
		u->of.zstd = ZSTD_createDStream();
		return u->of.zstd;
	case UNPACK_XZ:
		return lzma_stream_decoder(&u->of.xz, MEMORY_MAX, LZMA_CONCATENATED) == LZMA_OK;
	case UNPACK_BZIP2:
		return BZ2_bzDecompressInit(&u->of.bz, 0, 0) == BZ_OK;
	case UNPACK_NONE:
	case UNPACK_MORE:
		break;
	}
	INVARIANT(false);
	return false;
}

int unpack_new(enum unpack_kind kind, struct unpack **ret_unpack)
{
	struct unpack *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->kind = kind;
	u->between = true;
	if (!start_decoder(u)) {
		free(u);
		return -ENOMEM;
	}
	*ret_unpack = u;
	return 0;
}

void unpack_free(struct unpack *u)
{
	if (!u)
		return;
	switch (u->kind) {
	case UNPACK_GZIP:
		inflateEnd(&u->of.gz);
		break;
	case UNPACK_ZSTD:
		ZSTD_freeDStream(u->of.zstd);
		break;
	case UNPACK_XZ:
		lzma_end(&u->of.xz);
		break;
	case UNPACK_BZIP2:
		BZ2_bzDecompressEnd(&u->of.bz);
		break;
	case UNPACK_NONE:
	case UNPACK_MORE:
		break;
	}
	free(u);
}

static int damaged(struct unpack *u, const char *detail)
{
	snprintf(u->error, sizeof(u->error), "the %s data is damaged%s%s", kind_names[u->kind],
		 detail ? ": " : "", detail ? detail : "");
	return -EBADMSG;
}

static int no_memory(struct unpack *u)
{
	snprintf(u->error, sizeof(u->error), "the %s data takes too much memory to decode",
		 kind_names[u->kind]);
	return -ENOMEM;
}

static int cut_off(struct unpack *u)
{
	snprintf(u->error, sizeof(u->error), "the %s data is cut off", kind_names[u->kind]);
	return -ENODATA;
}

static void take(struct sv *in, size_t left)
{
	in->p += in->n - left;
	in->n = left;
}

/* Each of these: 0, or the fault; *ret_n is told in any case. */

static int step_gzip(struct unpack *u, struct sv *in, char *out, size_t room, size_t *ret_n)
{
	z_stream *z = &u->of.gz;
	int r;

	z->next_in = (unsigned char *)in->p;
	z->avail_in = (uInt)in->n;
	z->next_out = (unsigned char *)out;
	z->avail_out = (uInt)room;
	r = inflate(z, Z_NO_FLUSH);
	take(in, z->avail_in);
	*ret_n = room - z->avail_out;
	switch (r) {
	case Z_STREAM_END:
		u->between = true;
		return inflateReset(z) == Z_OK ? 0 : no_memory(u);
	case Z_OK:
	case Z_BUF_ERROR:
		return 0;
	case Z_MEM_ERROR:
		return no_memory(u);
	default:
		return damaged(u, z->msg);
	}
}

static int step_bzip2(struct unpack *u, struct sv *in, char *out, size_t room, size_t *ret_n)
{
	bz_stream *z = &u->of.bz;
	int r;

	z->next_in = (char *)in->p;
	z->avail_in = (unsigned)in->n;
	z->next_out = out;
	z->avail_out = (unsigned)room;
	r = BZ2_bzDecompress(z);
	take(in, z->avail_in);
	*ret_n = room - z->avail_out;
	switch (r) {
	case BZ_STREAM_END:
		u->between = true;
		BZ2_bzDecompressEnd(z);
		memset(z, 0, sizeof(*z));
		return BZ2_bzDecompressInit(z, 0, 0) == BZ_OK ? 0 : no_memory(u);
	case BZ_OK:
		return 0;
	case BZ_MEM_ERROR:
		return no_memory(u);
	default:
		return damaged(u, NULL);
	}
}

static int step_xz(struct unpack *u, struct sv *in, bool last, char *out, size_t room,
		   size_t *ret_n)
{
	lzma_stream *z = &u->of.xz;
	lzma_ret r;

	z->next_in = (const uint8_t *)in->p;
	z->avail_in = in->n;
	z->next_out = (uint8_t *)out;
	z->avail_out = room;
	r = lzma_code(z, last ? LZMA_FINISH : LZMA_RUN);
	take(in, z->avail_in);
	*ret_n = room - z->avail_out;
	if (r == LZMA_STREAM_END)
		u->between = true; /* only at the end of the file: it joins streams itself */
	if (r == LZMA_STREAM_END || r == LZMA_OK || r == LZMA_BUF_ERROR)
		return 0;
	if (r == LZMA_MEM_ERROR || r == LZMA_MEMLIMIT_ERROR)
		return no_memory(u);
	return damaged(u, NULL);
}

static int step_zstd(struct unpack *u, struct sv *in, char *out, size_t room, size_t *ret_n)
{
	ZSTD_inBuffer from = { in->p, in->n, 0 };
	ZSTD_outBuffer to = { out, room, 0 };
	size_t r = ZSTD_decompressStream(u->of.zstd, &to, &from);

	take(in, in->n - from.pos);
	*ret_n = to.pos;
	if (ZSTD_getErrorCode(r) == ZSTD_error_memory_allocation ||
	    ZSTD_getErrorCode(r) == ZSTD_error_frameParameter_windowTooLarge)
		return no_memory(u);
	if (ZSTD_isError(r))
		return damaged(u, ZSTD_getErrorName(r));
	if (r == 0)
		u->between = true;
	return 0;
}

/* Tapes and block devices fill up with NUL, and gzip(1) and bzip2(1) take no notice of it. */
static void skip_padding(struct unpack *u, struct sv *in)
{
	if (!u->between || (u->kind != UNPACK_GZIP && u->kind != UNPACK_BZIP2))
		return;
	while (in->n > 0 && *in->p == 0)
		take(in, in->n - 1);
}

static int step(struct unpack *u, struct sv *in, bool last, char *out, size_t room, size_t *ret_n)
{
	switch (u->kind) {
	case UNPACK_GZIP:
		return step_gzip(u, in, out, room, ret_n);
	case UNPACK_ZSTD:
		return step_zstd(u, in, out, room, ret_n);
	case UNPACK_XZ:
		return step_xz(u, in, last, out, room, ret_n);
	case UNPACK_BZIP2:
		return step_bzip2(u, in, out, room, ret_n);
	case UNPACK_NONE:
	case UNPACK_MORE:
		break;
	}
	INVARIANT(false);
	return -EINVAL;
}

int unpack_step(struct unpack *u, struct sv *in, bool last, char *out, size_t room, size_t *ret_n)
{
	size_t had, n = 0;

	if (u->fault)
		return u->fault;
	skip_padding(u, in);
	had = in->n;
	if (had > 0)
		u->between = false;
	if (!u->between)
		u->fault = step(u, in, last, out, room, &n);
	if (!u->fault && n == 0 && had > 0 && in->n == had)
		u->fault = damaged(u, NULL); /* a decoder that stands still */
	if (!u->fault && n == 0 && had == 0 && last) {
		if (u->between)
			return 1;
		u->fault = cut_off(u);
	}
	if (u->fault && n == 0)
		return u->fault;
	*ret_n = n;
	return 0;
}

const char *unpack_error(const struct unpack *u)
{
	return u->error;
}
