/*
 * Policy routing of marked packets: one rule and one route for each family, so that a packet with
 * MARK_LOCAL is delivered on this host whatever its destination:
 *
 *     ip rule add pref 100 fwmark 0xfb/0xff lookup 100 protocol 253
 *     ip route add local default dev lo table 100 protocol 253
 *
 * By rtnetlink, not by ip(8): its answers tell "there already", "not permitted" and "another
 * program's" apart, and nothing depends on its version or presence. What is ours is known by the
 * protocol number.
 */
#pragma once

#include "base/base.h"

#define ROUTING_TEXT_MAX 160

enum routing_item { ROUTING_RULE, ROUTING_ROUTE };

struct routing {
	bool rule, route;             /* ours is there */
	char taken[ROUTING_TEXT_MAX]; /* what of another program's uses the table or the mark; "" */
};

/* family: AF_INET, AF_INET6. 0; -errno, -EAFNOSUPPORT where the kernel has no such family. Needs no
 * privilege. */
int routing_read(int family, struct routing *ret_routing);

/* 0; 1: it was there (not there) already; -errno, -EPERM without CAP_NET_ADMIN. */
int routing_add(int family, enum routing_item item);
int routing_delete(int family, enum routing_item item);

/* The command of ip(8) that does the same; verb: "add", "del". Into out[ROUTING_TEXT_MAX]. */
const char *routing_format(int family, enum routing_item item, const char *verb, char *out);
