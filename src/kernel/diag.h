/* TCP sockets of this network namespace, by sock_diag(7). Marks are seen with CAP_NET_ADMIN only.
 */
#pragma once

#include "base/addr.h"

/* Who listens at this endpoint, or at any address with its port? 1: ret_mark, its SO_MARK; 0:
 * nobody; -errno. */
int diag_listener(const struct endpoint *at, uint32_t *ret_mark);
/* Our end of an established connection whose other end is this. As above. */
int diag_connection(const struct endpoint *peer, uint32_t *ret_mark);
