#include "dns/wheel.h"

#include <errno.h>
#include <stdlib.h>

enum { SLOTS = 1 << 17 };

int wheel_init(struct wheel *w, int64_t now_ms)
{
	struct wheel_item **slots = calloc(SLOTS, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	*w = (struct wheel) { .slots = slots, .now_s = now_ms / 1000 };
	return 0;
}

void wheel_deinit(struct wheel *w)
{
	free(w->slots);
	w->slots = NULL;
}

void wheel_remove(struct wheel_item *item)
{
	if (!item->link)
		return;
	*item->link = item->next;
	if (item->next)
		item->next->link = item->link;
	item->link = NULL;
}

void wheel_add(struct wheel *w, struct wheel_item *item, int64_t due_ms)
{
	int64_t due_s = (due_ms + 999) / 1000;
	struct wheel_item **slot;

	wheel_remove(item);
	if (due_s < w->now_s)
		due_s = w->now_s;
	if (due_s >= w->now_s + SLOTS)
		due_s = w->now_s + SLOTS - 1;
	slot = &w->slots[due_s & (SLOTS - 1)];
	item->next = *slot;
	item->link = slot;
	if (item->next)
		item->next->link = &item->next;
	*slot = item;
}

struct wheel_item *wheel_next(struct wheel *w, int64_t now_ms)
{
	int64_t now_s = now_ms / 1000;

	/* after a long sleep once around is enough: then every slot was seen */
	if (now_s - w->now_s > SLOTS)
		w->now_s = now_s - SLOTS;
	while (!w->slots[w->now_s & (SLOTS - 1)]) {
		if (w->now_s >= now_s)
			return NULL;
		w->now_s++;
	}
	if (w->now_s > now_s)
		return NULL;
	struct wheel_item *item = w->slots[w->now_s & (SLOTS - 1)];
	wheel_remove(item);
	return item;
}
