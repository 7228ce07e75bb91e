/*
 * Messages to the kernel over netlink, built in place: several of them, with nested attributes, in
 * one send. Small and our own, for a handful of messages; libmnl would be one more library in the
 * process that has privileges.
 */
#pragma once

#include "base/base.h"

#include <linux/netlink.h>

#define NETLINK_BYTES_MAX 16384

struct netlink {
	_Alignas(NLMSG_ALIGNTO) char bytes[NETLINK_BYTES_MAX];
	size_t n;
	size_t head; /* of the message that attributes are added to */
	uint32_t seq;
};

void netlink_init(struct netlink *m);
/* A further message. header: its fixed part (struct rtmsg, ...). Flags beside NLM_F_REQUEST. */
void netlink_begin(struct netlink *m, int type, int flags, const void *header, size_t n);
void netlink_put(struct netlink *m, int type, const void *value, size_t n);
void netlink_put_text(struct netlink *m, int type, const char *text);
void netlink_put_u32(struct netlink *m, int type, uint32_t value);
/* Attributes until netlink_leave() are inside this one. */
size_t netlink_enter(struct netlink *m, int type);
void netlink_leave(struct netlink *m, size_t entered);

/* protocol: NETLINK_ROUTE, ... A descriptor, or -errno. */
int netlink_open(int protocol);
/*
 * Sends all of it, and reads what the kernel has answered by then: all, since it works while we
 * send. 0: at least one acknowledgement and no error; else the first error, -errno; -EPROTO when
 * there was no answer.
 */
int netlink_exchange(int fd, const struct netlink *m);
/* The same for a question (not a dump) with NLM_F_ACK; each message of the answer to fn. */
int netlink_ask(int fd, const struct netlink *m, void (*fn)(const struct nlmsghdr *h, void *user),
		void *user);
/* Sends one dump request; each message of the answer to fn. 0 or -errno. */
int netlink_dump(int fd, const struct netlink *m, void (*fn)(const struct nlmsghdr *h, void *user),
		 void *user);
