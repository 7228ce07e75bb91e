/*
 * The least that a transparent proxy does, as the daemon does it: to try the kernel's rules without
 * the daemon. Listens on 127.0.0.1 and ::1 at the port given; for each connection tells the client
 * "via ADDRESS PORT" (the original destination, and the port given), connects there from the
 * client's address and copies bytes both ways.
 */
#include "base/addr.h"
#include "base/marks.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void set_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("setsockopt");
}

static void set_transparent(int fd, int family)
{
	if (family == AF_INET)
		set_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
	else
		set_option(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
}

static int listen_on(const char *address, int family)
{
	struct sockaddr_storage sa;
	struct endpoint e;

	if (endpoint_parse(sv_from(address), &e) < 0)
		die(address);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	set_transparent(fd, family);
	set_option(fd, SOL_SOCKET, SO_MARK, (int)MARK_CLIENT);
	socklen_t n = endpoint_to_sockaddr(&e, false, &sa);
	if (bind(fd, (struct sockaddr *)&sa, n) < 0 || listen(fd, 128) < 0)
		die(address);
	return fd;
}

static int connect_upstream(int family, struct sockaddr_storage *from,
			    const struct sockaddr_storage *to, socklen_t n)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	set_transparent(fd, family);
	set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	set_option(fd, SOL_SOCKET, SO_MARK, (int)MARK_UPSTREAM);
	if (family == AF_INET)
		((struct sockaddr_in *)from)->sin_port = 0;
	else
		((struct sockaddr_in6 *)from)->sin6_port = 0;
	if (bind(fd, (struct sockaddr *)from, n) < 0)
		die("bind to the client's address");
	if (connect(fd, (const struct sockaddr *)to, n) < 0)
		die("connect to the original destination");
	return fd;
}

/* One block from one side to the other; false at the end. */
static bool copy(int from, int to)
{
	char block[65536];
	ssize_t n = read(from, block, sizeof(block));

	if (n <= 0)
		return false;
	for (ssize_t at = 0; at < n;) {
		ssize_t k = write(to, block + at, (size_t)(n - at));
		if (k < 0)
			return false;
		at += k;
	}
	return true;
}

static void serve(int client, const char *port)
{
	struct sockaddr_storage from, to;
	socklen_t n = sizeof(from), m = sizeof(to);
	char text[ADDR_STRLEN + 8];
	struct endpoint original;

	if (getpeername(client, (struct sockaddr *)&from, &n) < 0 ||
	    getsockname(client, (struct sockaddr *)&to, &m) < 0 ||
	    endpoint_from_sockaddr((struct sockaddr *)&to, &original) < 0)
		die("names of the connection");
	dprintf(client, "via %s %s\n", endpoint_format(&original, text), port);

	int upstream = connect_upstream(from.ss_family, &from, &to, n);
	struct pollfd p[2] = { { .fd = client, .events = POLLIN },
			       { .fd = upstream, .events = POLLIN } };
	while (poll(p, 2, -1) > 0) {
		if (p[0].revents && !copy(client, upstream))
			break;
		if (p[1].revents && !copy(upstream, client))
			break;
	}
}

int main(int argc, char **argv)
{
	char v4[32], v6[32];

	if (argc != 2)
		return 64;
	signal(SIGCHLD, SIG_IGN);
	snprintf(v4, sizeof(v4), "127.0.0.1:%s", argv[1]);
	snprintf(v6, sizeof(v6), "[::1]:%s", argv[1]);
	struct pollfd p[2] = { { .fd = listen_on(v4, AF_INET), .events = POLLIN },
			       { .fd = listen_on(v6, AF_INET6), .events = POLLIN } };
	puts("ready");
	fflush(stdout);
	while (poll(p, 2, -1) > 0 || errno == EINTR) {
		for (int i = 0; i < 2; i++) {
			int client = p[i].revents ? accept(p[i].fd, NULL, NULL) : -1;
			if (client < 0)
				continue;
			if (fork() == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				close(p[0].fd);
				close(p[1].fd);
				serve(client, argv[1]);
				exit(0);
			}
			close(client);
		}
	}
	return 1;
}
