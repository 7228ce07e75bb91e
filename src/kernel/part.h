/*
 * The daemon's end of the kernel process (keeper.h): starts it, sends it the rules and the beats,
 * tells the operator what it says. Only where a listener has mode: tproxy. It goes on without it
 * where there is no CAP_NET_ADMIN: then only the daemon's end ends steering, not its hanging.
 */
#pragma once

#include "proxy/server.h"

enum kernel_state {
	KERNEL_NOT_WANTED, /* no listener has mode: tproxy */
	KERNEL_UNKNOWN,    /* nothing was heard yet */
	KERNEL_STEERING,
	KERNEL_ABSENT, /* net up has not been done: nothing is steered */
	KERNEL_TROUBLE,
	KERNEL_STUCK, /* a worker does not answer: there is no beat */
	KERNEL_GONE,  /* the process is not there any more, or never was */
};

/* net: net up when the workers take sessions, net down at the end. One for a process. */
struct server_part kernel_part(bool net, bool test);
enum kernel_state kernel_part_state(void);
const char *kernel_state_name(enum kernel_state s); /* "steering", ... */
/* For the operator: what it means, and what helps. "" where there is nothing to say. */
const char *kernel_state_text(enum kernel_state s);
