/* Gives up what the kernel process doesn't need. */
#pragma once

#include "base/base.h"

/* Has this process CAP_NET_ADMIN to keep? */
bool drop_has_net_admin(void);
/* That user, where there is one and we are root; of the capabilities CAP_NET_ADMIN alone, which
 * programs that we run (nft) have too; no_new_privs. 0 or -errno. */
int drop_to_net_admin(const char *user);
