/*
 * The heartbeat: the set "alive" of the table has the ports whose listeners take connections, each
 * for a few seconds only. When nobody renews them, no new connection is steered any more: it goes
 * straight to the mail server, or is refused (fail: closed).
 *
 * Elements can't be renewed in place before Linux 6.12, so one transaction empties the set and adds
 * them anew; a packet sees the set before it or after it. Over nfnetlink by hand: a process of
 * nft(8) each second would cost a thousand times as much.
 */
#pragma once

#include "base/base.h"

#define BEAT_TIMEOUT_MS 4000 /* four beats: within 5 s of the last one mail has its other way */
#define BEAT_PORTS_MAX  256

/* A descriptor, or -errno. */
int beat_open(void);
/* n ports, of BEAT_PORTS_MAX, in host order. 0; -ENOENT: no such table; other -errno. */
int beat_renew(int fd, const uint16_t *ports, size_t n);
