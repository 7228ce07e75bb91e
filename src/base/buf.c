#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST 512

/* Buffers come and go with each reply: threads tell each other only of what has added up. */
#define TELL_AT (32 * 1024)

static _Atomic int64_t total;
static _Thread_local int64_t untold;

void buf_account(int64_t n)
{
	untold += n;
	if (untold < TELL_AT && untold > -TELL_AT)
		return;
	atomic_fetch_add_explicit(&total, untold, memory_order_relaxed);
	untold = 0;
}

int64_t buf_total(void)
{
	return atomic_load_explicit(&total, memory_order_relaxed);
}

void buf_init(struct buf *b, size_t max)
{
	INVARIANT(max <= UINT32_MAX / 2);
	*b = (struct buf) { .max = (uint32_t)max };
}

void buf_deinit(struct buf *b)
{
	buf_clear(b);
}

/* Room for n more bytes behind end: by moving what is there to the start, or by a larger block. */
static int buf_reserve(struct buf *b, size_t n)
{
	size_t len = buf_len(b);
	size_t want = len + n;

	if (b->data && b->end + n <= b->alloc)
		return 0;
	if (b->data && b->start > 0) {
		memmove(b->data, b->data + b->start, len);
		b->start = 0;
		b->end = (uint32_t)len;
		if (want <= b->alloc)
			return 0;
	}

	size_t alloc = b->alloc ? b->alloc : BUF_FIRST;
	while (alloc < want)
		alloc *= 2;
	if (alloc > b->max && want <= b->max)
		alloc = b->max;
	char *data = realloc(b->data, alloc);
	if (!data)
		return -ENOMEM;
	buf_account((int64_t)alloc - b->alloc);
	b->data = data;
	b->alloc = (uint32_t)alloc;
	return 0;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
	int r;

	if (n > buf_room(b))
		return -ENOBUFS;
	if (n == 0)
		return 0;
	r = buf_reserve(b, n);
	if (r < 0)
		return r;
	memcpy(b->data + b->end, p, n);
	b->end += (uint32_t)n;
	return 0;
}

int buf_add_sv(struct buf *b, struct sv v)
{
	return buf_add(b, v.p, v.n);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	if ((size_t)n >= sizeof(text))
		return -ENOBUFS;
	return buf_add(b, text, (size_t)n);
}

void buf_consume(struct buf *b, size_t n)
{
	INVARIANT(n <= buf_len(b));
	b->start += (uint32_t)n;
	if (b->start == b->end)
		buf_clear(b);
}

void buf_clear(struct buf *b)
{
	if (!b->data)
		return;
	buf_account(-(int64_t)b->alloc);
	free(b->data);
	b->data = NULL;
	b->start = b->end = b->alloc = 0;
}
