#include "proxy/upstream.h"

#include "base/marks.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

/*
 * Ports towards the backend of steered sessions. On the mail server's own host a client's
 * connection and that of another session to the backend could have the same addresses and ports
 * (the client's, and the server's), and the kernel would take one for the other. So these ports are
 * ones that clients' systems do not give out by themselves (RFC 6335 6; Linux 32768 on, BSD 10000
 * on), until there are too few.
 */
#define PORT_FIRST 1024
#define PORT_LOW   10000
#define PORT_TRIES 16

static int set_option(int fd, int level, int option)
{
	int one = 1;

	return setsockopt(fd, level, option, &one, sizeof(one)) < 0 ? -errno : 0;
}

/* Differing from session to session, and never the client's. */
static uint16_t choose_port(uint16_t not_this, bool low)
{
	static _Thread_local uint32_t state;
	uint32_t end = low ? PORT_LOW : 65536;

	if (state == 0 && getrandom(&state, sizeof(state), 0) != sizeof(state))
		state = (uint32_t)getpid();
	for (;;) {
		state = state * 1664525u + 1013904223u; /* Numerical Recipes' generator */
		uint16_t port = (uint16_t)(PORT_FIRST + (state >> 8) % (end - PORT_FIRST));
		if (port != not_this)
			return port;
	}
}

/* The client's address as ours, from port; 0: one that the kernel finds at connect(). */
static int bind_as_client(int fd, int family, const struct addr *client, uint16_t port)
{
	struct endpoint from = { .addr = *client, .port = port };
	struct sockaddr_storage sa;
	int r = family == AF_INET ? set_option(fd, SOL_IP, IP_TRANSPARENT)
				  : set_option(fd, SOL_IPV6, IPV6_TRANSPARENT);

	if (r == 0)
		r = port ? set_option(fd, SOL_SOCKET, SO_REUSEADDR)
			 : set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT);
	if (r < 0)
		return r;
	socklen_t len = endpoint_to_sockaddr(&from, false, &sa);
	return bind(fd, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}

static int connect_once(const struct endpoint *backend, enum listener_source source, bool steered,
			const struct addr *client, uint16_t port, int *ret_fd)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(backend, false, &sa);
	uint32_t mark = MARK_UPSTREAM;
	int r = 0;

	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	if (steered && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		r = -errno;
	if (r == 0 && source == SOURCE_CLIENT)
		r = bind_as_client(fd, sa.ss_family, client, port);
	if (r == 0 && connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int upstream_connect(const struct endpoint *backend, enum listener_source source, bool steered,
		     const struct endpoint *client, int *ret_fd)
{
	int r = -EADDRNOTAVAIL;

	if (source == SOURCE_CLIENT && addr_is_v4(&client->addr) != addr_is_v4(&backend->addr))
		return -EAFNOSUPPORT;
	/* the chosen port may be taken */
	for (int i = 0; i < PORT_TRIES && (r == -EADDRNOTAVAIL || r == -EADDRINUSE); i++) {
		uint16_t port = steered ? choose_port(client->port, i < PORT_TRIES / 2) : 0;
		r = connect_once(backend, source, steered, &client->addr, port, ret_fd);
	}
	return r;
}

bool upstream_is_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && p.revents == POLLOUT;
}

int upstream_result(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}
