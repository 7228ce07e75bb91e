/*
 * Refused clients that are answered one byte a second (action tarpit). All that is kept of a client
 * is its descriptor and the words that are left; their number is bounded.
 */
#pragma once

#include "base/base.h"

struct tarpit;

int tarpit_new(size_t max, struct tarpit **ret_tarpit);
void tarpit_free(struct tarpit *t); /* closes all */
/* Takes fd over and copies text: 0. -ENOSPC, -ENOMEM: fd stays the caller's. */
int tarpit_add(struct tarpit *t, int fd, struct sv text);
/* A byte for each; those done or gone are closed. Called once a second. */
void tarpit_tick(struct tarpit *t);
size_t tarpit_count(const struct tarpit *t);
