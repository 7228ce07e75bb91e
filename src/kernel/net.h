/*
 * frontdoor net: puts a ruleset and its routing in place, takes them away without a trace, shows
 * them. A short-lived process; connections under way survive `up`, and end with `down`.
 *
 * nft(8) is run, with the transaction on its standard input, rather than libnftables linked: that
 * is GPL-2.0-only, which a program that also links OpenSSL (Apache-2.0) can't be, and it ends its
 * process when memory runs out.
 */
#pragma once

#include "kernel/ruleset.h"

/* With dry_run what would be done is printed to out as commands, and nothing is done. Each returns
 * 0 or -errno after one line on err. */
int net_up(const struct ruleset *r, bool dry_run, FILE *out, FILE *err);
int net_down(bool dry_run, FILE *out, FILE *err);
/* Prints what is there. 0: rules, routes and table; 1: some or all of it is missing. */
int net_show(FILE *out, FILE *err);
