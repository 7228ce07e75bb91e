/*
 * When may memory be freed that other threads read without locks? Once each of them has been out
 * of its reading section since the memory was unlinked (quiescent-state reclamation).
 *
 * One writer thread; any number of readers, each with its own struct epoch_reader. A reader enters
 * before it follows a shared pointer, and leaves when it holds none any more.
 */
#pragma once

#include "base/base.h"

#include <pthread.h>
#include <stdatomic.h>

struct epoch_node {
	struct epoch_node *next;
	uint64_t epoch;
	void (*free)(struct epoch_node *node);
};

struct epoch_reader {
	_Alignas(64) _Atomic uint64_t seen; /* 0: outside */
	struct epoch_reader *next;
	bool inside; /* the reader's own */
};

struct epoch {
	_Atomic uint64_t now;
	pthread_mutex_t lock; /* of readers */
	struct epoch_reader *readers;
	struct epoch_node *first, *last; /* oldest first */
};

void epoch_init(struct epoch *e);
/* Every reader is gone; frees all that is retired. */
void epoch_deinit(struct epoch *e);

/* Any thread. */
void epoch_add(struct epoch *e, struct epoch_reader *reader);
void epoch_remove(struct epoch *e, struct epoch_reader *reader);

/* The reader's thread; entering twice is entering once. */
static inline void epoch_enter(struct epoch *e, struct epoch_reader *reader)
{
	uint64_t now;

	if (reader->inside)
		return;
	reader->inside = true;
	now = atomic_load_explicit(&e->now, memory_order_acquire);
	/* an exchange, not a store: see epoch_reclaim() */
	atomic_exchange_explicit(&reader->seen, now, memory_order_acq_rel);
}

static inline void epoch_leave(struct epoch_reader *reader)
{
	if (!reader->inside)
		return;
	reader->inside = false;
	atomic_store_explicit(&reader->seen, 0, memory_order_release);
}

/* The writer's thread, after node's memory is unlinked: free is called when no reader has it. */
void epoch_retire(struct epoch *e, struct epoch_node *node, void (*free)(struct epoch_node *node));
/* Frees what can be freed; for the writer, now and then. */
void epoch_reclaim(struct epoch *e);
