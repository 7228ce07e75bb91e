/*
 * The listening sockets: for each address one a worker (SO_REUSEPORT). They outlive configurations,
 * and processes too: what is waiting to be accepted on one is not lost when another takes it over.
 *
 * A set is immutable and counted; a socket is closed with the last set that has it, so that the
 * sets before and after a reload share what both have. All threads.
 */
#pragma once

#include "base/buf.h"
#include "conf/conf.h"

struct listen_socket;

struct socket_row {
	struct listen_socket *socket;
	struct endpoint bind; /* as configured */
	enum listener_mode mode;
	size_t listener; /* its number in the configuration */
	int slot;        /* of this address: slot % workers is the worker that accepts */
	int fd;
};

struct sockets {
	_Atomic int refs;
	struct socket_row *rows;
	size_t n;
};

/*
 * Those that conf wants: taken from former (may be NULL) where that has the same address in the
 * same mode, else bound anew. 0; 1: an address can't be had: ret_why has a line about it; -errno.
 */
int sockets_open(const struct conf *conf, int workers, const struct sockets *former,
		 struct buf *ret_why, struct sockets **ret_sockets);
/* Could that address be had, were it not for this process's own? 0; -EADDRINUSE; other -errno.
 * Nobody can connect meanwhile. */
int sockets_try(const struct listener_conf *l, size_t bind);
struct sockets *sockets_ref(struct sockets *s);
void sockets_unref(struct sockets *s); /* NULL is fine */
bool sockets_has(const struct sockets *s, int fd);

/*
 * To another process. The text says what is what, with descriptors first, first + 1, ... in the
 * order of the rows: "3 listen 0.0.0.0:25,4 tproxy [::]:2525". malloc'ed; NULL: no memory.
 */
#define SOCKETS_ENVIRONMENT "FRONTDOOR_SOCKETS"
char *sockets_describe(const struct sockets *s, int first);
/* What such a text says of descriptors of this process, which are the set's from then on. Those
 * that listen to nothing are left out. 0; -EINVAL; -ENOMEM. */
int sockets_inherit(const char *text, struct sockets **ret_sockets);
