/*
 * What the kernel process may ask of the kernel, as proxy/sandbox.h for the daemon: netlink,
 * running nft(8), reading what nft reads. It opens no other socket and writes no file. nft is under
 * the same limits.
 */
#pragma once

#include "base/base.h"

/* Calls and files; needs no_new_privs. Tells the operator what can't be had, and goes on. */
void limit_all(void);
