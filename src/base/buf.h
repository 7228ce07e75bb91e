/*
 * A byte queue with a cap: written at the end, read from the start. Memory is there only while
 * bytes are in it. Not for several threads.
 */
#pragma once

#include "base/base.h"

struct buf {
	char *data;     /* of alloc bytes, or NULL */
	uint32_t start; /* first unread byte */
	uint32_t end;   /* one past the last */
	uint32_t alloc;
	uint32_t max; /* cap on end - start */
};

void buf_init(struct buf *b, size_t max);
void buf_deinit(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline struct sv buf_view(const struct buf *b)
{
	return (struct sv) { b->data ? b->data + b->start : "", buf_len(b) };
}

/* Bytes that may still be added. */
static inline size_t buf_room(const struct buf *b)
{
	return b->max - buf_len(b);
}

/* 0; -ENOBUFS over the cap, -ENOMEM: nothing was added then. */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_add_sv(struct buf *b, struct sv v);
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);

/* Takes n <= buf_len() bytes away from the start; memory goes back with the last one. */
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b);

/* Octets that the buffers of all threads hold, to some ten thousand a thread. Any thread. */
int64_t buf_total(void);
/* Counts something else with them; n < 0: it is gone. */
void buf_account(int64_t n);
