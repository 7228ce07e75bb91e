/* Gives up what the kernel process doesn't need. */
#pragma once

#include "base/base.h"

/* That user, where there is one and we may; of the capabilities CAP_NET_ADMIN alone, which
 * programs that we run (nft) have too; no_new_privs. 0 or -errno. */
int drop_to_net_admin(const char *user);
