/* Finding, at memory speed, where DATA's octets need a closer look: the inner loop of body.c. */
#pragma once

#include "base/base.h"

/*
 * Index of the first octet of in that can't be passed over: a bare LF, a CR that is not followed
 * by LF (also as the last octet: its LF may come yet), a dot behind CRLF. in.n when there is none.
 * in starts in the middle of a line: a dot as its first octet is passed over, an LF is bare.
 */
size_t body_scan(struct sv in);
/* The same, 16 octets at a time, as every x86-64 can. */
size_t body_scan_16(struct sv in);
/* The same, without vector instructions. */
size_t body_scan_portable(struct sv in);
