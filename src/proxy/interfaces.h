/* The addresses of this host that the world can reach: a part of "server address". */
#pragma once

#include "base/addr.h"

/* All but private, link-local and loopback ones, as a sealed set. 0; -errno: ret_set is empty then.
 */
int interfaces_global(struct prefix_set *ret_set);
/* Whether an address of this host, of whatever kind, is in the sealed set: 1, 0, -errno. */
int interfaces_meet(const struct prefix_set *set);
