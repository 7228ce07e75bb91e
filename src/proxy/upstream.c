#include "proxy/upstream.h"

#include "base/marks.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

/* The client's address as ours; the port is found at connect(), so that many clients' sessions
 * don't use up one address's ports. */
static int bind_as_client(int fd, int family, const struct addr *client)
{
	struct endpoint from = { .addr = *client };
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&from, false, &sa);
	int one = 1;

	if (family == AF_INET) {
		if (setsockopt(fd, SOL_IP, IP_TRANSPARENT, &one, sizeof(one)) < 0)
			return -errno;
	} else if (setsockopt(fd, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof(one)) < 0) {
		return -errno;
	}
	if (setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, len) < 0)
		return -errno;
	return 0;
}

int upstream_connect(const struct endpoint *backend, enum listener_source source, bool mark,
		     const struct endpoint *client, int *ret_fd)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(backend, false, &sa);
	int family = sa.ss_family;
	int r = 0;

	if (source == SOURCE_CLIENT && addr_is_v4(&client->addr) != (family == AF_INET))
		return -EAFNOSUPPORT;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (mark) {
		uint32_t value = MARK_UPSTREAM;
		if (setsockopt(fd, SOL_SOCKET, SO_MARK, &value, sizeof(value)) < 0)
			r = -errno;
	}
	if (r == 0 && source == SOURCE_CLIENT)
		r = bind_as_client(fd, family, &client->addr);
	if (r == 0 && connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int upstream_result(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}
