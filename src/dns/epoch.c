#include "dns/epoch.h"

void epoch_init(struct epoch *e)
{
	*e = (struct epoch) { .now = 1 };
	pthread_mutex_init(&e->lock, NULL);
}

void epoch_deinit(struct epoch *e)
{
	INVARIANT(!e->readers);
	epoch_reclaim(e);
	INVARIANT(!e->first);
	pthread_mutex_destroy(&e->lock);
}

void epoch_add(struct epoch *e, struct epoch_reader *reader)
{
	atomic_init(&reader->seen, 0);
	reader->inside = false;
	pthread_mutex_lock(&e->lock);
	reader->next = e->readers;
	e->readers = reader;
	pthread_mutex_unlock(&e->lock);
}

void epoch_remove(struct epoch *e, struct epoch_reader *reader)
{
	struct epoch_reader **at;

	epoch_leave(reader);
	pthread_mutex_lock(&e->lock);
	for (at = &e->readers; *at != reader; at = &(*at)->next)
		;
	*at = reader->next;
	pthread_mutex_unlock(&e->lock);
}

void epoch_retire(struct epoch *e, struct epoch_node *node, void (*free)(struct epoch_node *node))
{
	uint64_t now = atomic_load_explicit(&e->now, memory_order_relaxed) + 1;

	*node = (struct epoch_node) { .epoch = now, .free = free };
	atomic_store_explicit(&e->now, now, memory_order_release);
	if (e->last)
		e->last->next = node;
	else
		e->first = node;
	e->last = node;
}

/*
 * The oldest epoch that a reader may still be in. Reading seen is an exchange of its own (adding
 * nothing), so it and the reader's have an order: either the reader entered before, and we see
 * when; or it enters later, takes up what we wrote, and with it the unlinking. A plain load could
 * miss a reader that enters at this moment and reads what was there before.
 */
static uint64_t oldest_seen(struct epoch *e)
{
	uint64_t oldest = UINT64_MAX;

	pthread_mutex_lock(&e->lock);
	for (struct epoch_reader *r = e->readers; r; r = r->next) {
		uint64_t seen = atomic_fetch_add_explicit(&r->seen, 0, memory_order_acq_rel);
		if (seen && seen < oldest)
			oldest = seen;
	}
	pthread_mutex_unlock(&e->lock);
	return oldest;
}

void epoch_reclaim(struct epoch *e)
{
	uint64_t oldest;

	if (!e->first)
		return;
	oldest = oldest_seen(e);
	while (e->first && e->first->epoch <= oldest) {
		struct epoch_node *node = e->first;
		e->first = node->next;
		if (!e->first)
			e->last = NULL;
		node->free(node);
	}
}
