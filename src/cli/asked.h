/* The egress sources that were asked for in one run, each once: what decide() is shown, and what
 * people are told of them. */
#pragma once

#include "cli/ask.h"

struct asked {
	struct ask *ask;
	struct egress_source **sources;
	size_t n, alloc;
};

/* Valid until asked_deinit(); NULL: it was not asked for. */
const struct egress_source *asked_find(const struct asked *a, const char *key);
/* Asks, unless that was done. Without an answer it is a source that failed. NULL: no memory. */
const struct egress_source *asked_source(struct asked *a, const char *key);
/* A copy of this one, as if it had been the answer. NULL: no memory. */
const struct egress_source *asked_put(struct asked *a, const struct egress_source *source);
void asked_deinit(struct asked *a); /* ask stays open */
