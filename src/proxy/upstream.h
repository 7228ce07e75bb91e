/* How the backend is reached: from which address, with which mark (base/marks.h). */
#pragma once

#include "base/addr.h"
#include "conf/conf.h"

/*
 * A non-blocking socket whose connect() is under way or done. With SOURCE_CLIENT it comes from the
 * client's address (IP_TRANSPARENT), from another port than the client's. steered: client came by
 * the kernel's rules, and the socket carries the mark of our own traffic. -errno: EAFNOSUPPORT when
 * client and backend are of different families; EPERM without the capability.
 */
int upstream_connect(const struct endpoint *backend, enum listener_source source, bool steered,
		     const struct endpoint *client, int *ret_fd);

/* Asked now and then: it is neither under way nor failed. */
bool upstream_is_connected(int fd);
/* 0, or -errno of a connect() that was under way. */
int upstream_result(int fd);
