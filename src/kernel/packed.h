/*
 * A ruleset as octets, for the kernel process: addresses and numbers only, in places of fixed size,
 * so that whoever has taken the daemon over can say no more with it than a configuration can.
 */
#pragma once

#include "kernel/ruleset.h"

#define PACKED_WAYS_MAX   256
#define PACKED_RANGES_MAX 65536
#define PACKED_MAX        (PACKED_RANGES_MAX * 32 + PACKED_WAYS_MAX * 24 + 64)

/* 0; -E2BIG: more than the limits above; -ENOMEM. */
int packed_write(const struct ruleset *r, struct buf *out);
/* 0; -EINVAL: no ruleset, or one that could not be; -ENOMEM. ret_servers is what ret_ruleset's
 * servers are; the caller frees both. */
int packed_read(struct sv text, struct prefix_set *ret_servers, struct ruleset *ret_ruleset);
