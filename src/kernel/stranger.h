/*
 * A host of the world, for a moment: a network namespace with one process in it, and a pair of
 * virtual interfaces between it and this host. What it sends comes in here as from any other host:
 * by an interface, through the packet filter, past the table's exceptions.
 *
 * Its addresses: 198.18.255.254 and fd66:726f:6e74::2 (benchmarking, RFC 2544; a local prefix, RFC
 * 4193); this host's end has 198.18.255.253 and fd66:726f:6e74::1. Needs CAP_NET_ADMIN and
 * CAP_SYS_ADMIN. All of it is gone after stranger_end(), or with this process.
 */
#pragma once

#include "base/addr.h"

#include <signal.h>
#include <sys/types.h>

#define STRANGER_INTERFACE "frontdoor-test"
#define STRANGER_LINE_MAX  160

struct stranger {
	pid_t pid;
	int fd;
	bool paired; /* the interface is ours */
	bool v4, v6;
};

/* What came of a connection. */
struct stranger_call {
	int error;                    /* 0: connected; errno */
	struct endpoint self;         /* the stranger's end of it */
	char line[STRANGER_LINE_MAX]; /* first line that was said to it; "" none came in time */
};

/* Signals that would end this process, from now on: they wait, and a test connection that waits is
 * given up (-EINTR). Those ignored stay so. ret_former: the mask of before. */
void stranger_hold_signals(sigset_t *ret_former);
/* Families that this host doesn't have are left out: v4 and v6 say so. 0 or -errno. */
int stranger_begin(struct stranger *ret_stranger);
/* Connects, waits for a line unless silent, and holds the connection until the next call or the
 * end. 0 or -errno. */
int stranger_connect(struct stranger *s, const struct endpoint *to, bool silent,
		     struct stranger_call *ret_call);
void stranger_end(struct stranger *s);
