/*
 * Clients on the same bridge of this host as a mail server: containers beside it. Where bridged
 * frames pass the packet filter (br_netfilter, which container engines switch on), such a client
 * can use the server's published port, since its connection is translated here and the answer on
 * its way through the bridge. Steered it could not work: the server's answer to the client's
 * address goes to the client by the bridge, not to the daemon. So these clients go straight.
 */
#pragma once

#include "base/addr.h"

/* The prefixes of bridges that servers are on, added to an unsealed set. What can't be found out is
 * left out. 0; -ENOMEM. */
int neighbours_add(const struct prefix_set *servers, struct prefix_set *set);
