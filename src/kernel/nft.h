/* Runs nft(8). */
#pragma once

#include "base/buf.h"

#define NFT_OUTPUT_MAX (8u << 20)

/* Is there one? */
bool nft_is_there(void);
/*
 * nft with the arguments argv (NULL at the end; argv[0] is ignored) and input on its standard
 * input. Returns its exit status, or -errno: -ENOENT when there is no nft. What it wrote, errors
 * included, is added to output (may be NULL).
 */
int nft_run(const char *const *argv, struct sv input, struct buf *output);
