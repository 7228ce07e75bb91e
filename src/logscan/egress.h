/*
 * Egress sources for the judge: which are wanted, what they expanded to. Where neither DNS nor the
 * file says anything, the catalogue's snapshot does.
 */
#pragma once

#include "base/map.h"
#include "logscan/doors.h"

/* Asking is done in rounds, since a verdict tells only what it lacks next. After so many what is
 * not known counts as failed, so that there is an end. */
#define EGRESS_ROUNDS 200

struct egress {
	struct map rows;
	size_t n_wanted;
	unsigned int rounds; /* set to 0 before the first */
};

void egress_deinit(struct egress *e);
/* decide_facts.source; user is the struct egress. */
const struct egress_source *egress_find(void *user, const char *key);
int egress_want(struct egress *e, const char *key); /* 0, -ENOMEM */
bool egress_wants(const struct egress *e);
/* All that is wanted. 0; 1: progress (as doors_ask()) stopped it: what was not answered counts as
 * failed; -errno. */
int egress_ask(struct egress *e, struct doors *doors, const struct catalogue *shipped,
	       bool (*progress)(void *user, size_t done, size_t n), void *user);
/* Of what is judged over months: what has expired is looked up anew. */
void egress_forget(struct egress *e);
/* All that was looked up, by doors_write(). */
void egress_write(const struct egress *e, FILE *out);
