/*
 * A client as bulk senders are: many connections at once, EHLO, then MAIL, RCPT and QUIT in one
 * packet. Light, so that what is measured is the server. smtp-source takes as much time for a
 * session as a server that refuses it.
 *
 *     bulk_client ADDRESS PORT RECIPIENT SESSIONS AT_ONCE
 *
 * Prints "SESSIONS sessions, N refused"; fails unless each was refused at RCPT.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum step { AT_BANNER, AT_EHLO, AT_MAIL, AT_RCPT, AT_QUIT };

struct client {
	int fd;
	enum step step;
	char line[4]; /* its first four octets */
	size_t n;
};

static struct sockaddr_in server;
static char commands[512];
static int poller;
static long to_start, running, finished, refused;

static void fail(const char *what)
{
	fprintf(stderr, "bulk_client: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void start(struct client *c)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	*c = (struct client) { .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) };
	if (c->fd < 0)
		fail("socket");
	if (connect(c->fd, (struct sockaddr *)&server, sizeof(server)) < 0 && errno != EINPROGRESS)
		fail("connect");
	if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e) < 0)
		fail("epoll_ctl");
	to_start--;
	running++;
}

static void end(struct client *c)
{
	close(c->fd);
	running--;
	finished++;
	if (to_start > 0)
		start(c);
}

static void say(struct client *c, const char *text)
{
	size_t n = strlen(text);

	if (send(c->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		fail("send");
}

/* A whole reply with this first digit. false: the session is over. */
static bool on_reply(struct client *c, char class)
{
	if (c->step == AT_RCPT && (class == '4' || class == '5'))
		refused++;
	if (c->step == AT_BANNER)
		say(c, "EHLO client.ours-bench.net\r\n");
	else if (c->step == AT_EHLO)
		say(c, commands);
	return c->step++ != AT_QUIT;
}

static bool on_octets(struct client *c, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n') {
			bool last = c->n == 4 && c->line[3] != '-';
			char class = c->line[0];
			c->n = 0;
			if (last && !on_reply(c, class))
				return false;
		} else if (c->n < 4) {
			c->line[c->n++] = p[i];
		}
	}
	return true;
}

static void on_ready(struct client *c)
{
	char in[4096];
	ssize_t n = recv(c->fd, in, sizeof(in), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || !on_octets(c, in, (size_t)n))
		end(c);
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fputs("usage: bulk_client ADDRESS PORT RECIPIENT SESSIONS AT_ONCE\n", stderr);
		return 64;
	}
	server = (struct sockaddr_in) { .sin_family = AF_INET,
					.sin_port = htons((uint16_t)atoi(argv[2])) };
	if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
		fail(argv[1]);
	snprintf(commands, sizeof(commands),
		 "MAIL FROM:<s@sender-bench.net>\r\nRCPT TO:<%s>\r\nQUIT\r\n", argv[3]);
	long sessions = atol(argv[4]), at_once = atol(argv[5]);
	struct client *clients = calloc((size_t)at_once, sizeof(*clients));
	poller = epoll_create1(0);
	if (!clients || poller < 0)
		fail("start");
	to_start = sessions;
	for (long i = 0; i < at_once && to_start > 0; i++)
		start(&clients[i]);
	while (running > 0) {
		struct epoll_event events[256];
		int n = epoll_wait(poller, events, 256, 30000);
		if (n <= 0)
			fail("no answer");
		for (int i = 0; i < n; i++)
			on_ready(events[i].data.ptr);
	}
	printf("%ld sessions, %ld refused\n", finished, refused);
	free(clients);
	return refused == sessions ? 0 : 1;
}
