/* Does a connection from elsewhere reach the daemon, and the mail server behind it? */
#pragma once

#include "kernel/ruleset.h"

#include <stdio.h>

/*
 * One connection from a stranger (stranger.h) to each port of each family that a daemon listens
 * for: to the first server that is an address and no prefix. It has to arrive at a socket of the
 * daemon's, and to be greeted by something else than 421. Takes at most 15 s for each.
 *
 * 0: they work, or (said on out) nobody listens; -errno after one line on err.
 */
int net_test(const struct ruleset *r, FILE *out, FILE *err);
