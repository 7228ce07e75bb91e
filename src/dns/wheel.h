/* A timing wheel of one-second slots: a million things due at some time within 36 hours, each
 * added, moved and taken out at once. One thread. */
#pragma once

#include "base/base.h"

struct wheel_item {
	struct wheel_item *next, **link; /* link NULL: in no wheel */
};

struct wheel {
	struct wheel_item **slots;
	int64_t now_s; /* slots before this second are empty */
};

int wheel_init(struct wheel *w, int64_t now_ms); /* 0, -ENOMEM */
/* Items stay as they are: theirs is the owner's memory. */
void wheel_deinit(struct wheel *w);

/* Due at due_ms, a little later at most; of one that is in already the time changes. */
void wheel_add(struct wheel *w, struct wheel_item *item, int64_t due_ms);
void wheel_remove(struct wheel_item *item); /* a no-op on one that is in no wheel */
/* Takes out one item that is due; NULL: none is. */
struct wheel_item *wheel_next(struct wheel *w, int64_t now_ms);
