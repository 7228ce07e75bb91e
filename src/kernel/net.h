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

enum net_test {
	NET_TEST_NONE,
	NET_TEST_FULL, /* net_test.h; what it needs beyond CAP_NET_ADMIN is said there */
};

struct net_options {
	bool dry_run; /* print what would be done to out, as commands, and do nothing */
	bool replace; /* only in place of a table that steers: else -ENOENT, without a word */
	enum net_test test;
};

/*
 * Each returns 0 or -errno after one line on err. When up fails, by its test too, everything is as
 * it was before: no table, or the former one. Where no daemon listens yet, that is said on out, and
 * nothing can be tested.
 */
int net_up(const struct ruleset *r, const struct net_options *how, FILE *out, FILE *err);
int net_down(bool dry_run, FILE *out, FILE *err);
/* Has somebody else taken the table away (nft flush ruleset)? Its routing is there, as it is not
 * after down. */
bool net_is_flushed(const struct ruleset *r);
/* What would keep up from working, and the heartbeat, without changing anything: a line each for
 * tell. How much is found out depends on what this process may do. */
void net_check(const struct ruleset *r, void (*tell)(void *user, const char *line), void *user);
/* Prints what is there. 0: rules, routes and table; 1: some or all of it is missing. */
int net_show(FILE *out, FILE *err);
