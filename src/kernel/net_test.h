/* Does a connection from elsewhere reach the daemon, and the mail server behind it? */
#pragma once

#include "kernel/ruleset.h"

#include <stdio.h>

/*
 * Connections from a stranger (stranger.h), for each family and port that a daemon listens for: the
 * first port to each of the first 8 servers that are an address and no prefix, the others to the
 * first that works. Each has to arrive at a socket of the daemon's, and to be greeted by something
 * else than 421; a server that doesn't answer this host's own connection either is no fault of
 * steering, as long as another one works. Takes at most 15 s for each, 18 for a server that is
 * down.
 *
 * 0: they work, or (said on out) nobody listens; -errno after one line on err.
 */
int net_test(const struct ruleset *r, FILE *out, FILE *err);
