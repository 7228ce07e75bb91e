/*
 * What other programs do to our rules while the daemon runs. systemd-networkd's restart takes away
 * rules and routes that aren't its own, wg-quick changes a sysctl: what is steered would then be
 * dropped, and mail would stop. So before each beat it is looked whether there is still a way for
 * what is steered, and without one there is no beat.
 */
#pragma once

#include "kernel/ruleset.h"

#define MEND_TEXT_MAX 200

struct mended {
	bool items[2][2]; /* families, rule and route: was missing, and is there now */
};

/* 0; 1: some of it was missing, text says what; -errno: text says why it can't be put back. */
int mend_routing(const struct ruleset *r, struct mended *ret_mended, char text[MEND_TEXT_MAX]);
void mend_undo(const struct mended *m);
/* A setting of the kernel's under which what is steered would be dropped: text says which. every:
 * those of each interface are read too. */
bool mend_obstacle(const struct ruleset *r, bool every, char text[MEND_TEXT_MAX]);
