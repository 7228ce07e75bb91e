/*
 * Who the daemon runs as, and what it may do beyond any other program.
 *
 * Started as root it becomes `user` before its first thread and before it opens any file or socket
 * of its own: what it can't reach then shows at the start, not when a certificate is renewed months
 * later. It keeps CAP_NET_RAW where a listener takes or uses other hosts' addresses
 * (IP_TRANSPARENT, and SO_MARK from Linux 5.17 on), and CAP_NET_BIND_SERVICE where one has a port
 * below 1024: a reload binds anew. Both are ambient, so that the program executed by a restart has
 * them too. All others leave the bounding set, and no_new_privs holds: no file's bits give anything
 * back.
 *
 * Started as anybody else it stays who it is, and gives up the capabilities that it has no use for.
 * Nothing is chowned: root follows no path in a folder of that user's.
 */
#pragma once

#include "conf/conf.h"

#include <sys/types.h>

#define PRIVILEGES_USER "frontdoor" /* where the configuration names none */

struct privileges {
	char user[64]; /* for messages */
	uid_t uid;
	gid_t gid;
	bool change;      /* started as root: becomes uid */
	uint64_t wanted;  /* capabilities, a bit each */
	uint64_t missing; /* of these: this process can't have them */
};

/* Capabilities that the configuration needs. */
uint64_t privileges_wanted(const struct conf *conf);
/* "CAP_NET_RAW CAP_NET_BIND_SERVICE", or "none". */
const char *privileges_names(uint64_t caps, char out[64]);
/* 0; -ENOENT: there is no such user; -errno. */
int privileges_find(const struct conf *conf, struct privileges *ret_privileges);
/* Before there are threads: 0; -errno, and the process must end. For this process and all that it
 * becomes. */
int privileges_drop(const struct privileges *p);
