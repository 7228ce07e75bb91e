/*
 * A server that takes mail and forgets it, as smtp-sink does, with CHUNKING, which smtp-sink lacks.
 * A thread for each connection.
 *
 *     chunk_sink ADDRESS PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
	int fd;
	char in[65536];
	size_t n; /* what is in it */
};

static void fail(const char *what)
{
	fprintf(stderr, "chunk_sink: %s: %s\n", what, strerror(errno));
	exit(1);
}

static bool say(const struct conn *c, const char *text)
{
	return send(c->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static bool more(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->n, sizeof(c->in) - 1 - c->n, 0);

	if (n <= 0)
		return false;
	c->n += (size_t)n;
	return true;
}

static void drop(struct conn *c, size_t n)
{
	c->n -= n;
	memmove(c->in, c->in + n, c->n);
}

/* size octets of the message, which nobody looks at. */
static bool take(struct conn *c, size_t size)
{
	size_t have = c->n < size ? c->n : size;

	drop(c, have);
	size -= have;
	while (size > 0) {
		ssize_t n = recv(c->fd, c->in, size < sizeof(c->in) ? size : sizeof(c->in), 0);
		if (n <= 0)
			return false;
		size -= (size_t)n;
	}
	return true;
}

/* One command; false: the session is over. */
static bool on_command(struct conn *c, const char *line)
{
	if (strncasecmp(line, "BDAT ", 5) == 0)
		return take(c, (size_t)strtoul(line + 5, NULL, 10)) && say(c, "250 2.0.0 Ok\r\n");
	if (strncasecmp(line, "EHLO", 4) == 0)
		return say(c,
			   "250-chunk-sink\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n");
	if (strncasecmp(line, "QUIT", 4) == 0)
		return (void)say(c, "221 Bye\r\n"), false;
	return say(c, "250 2.0.0 Ok\r\n");
}

static void *serve(void *arg)
{
	struct conn *c = arg;
	char line[1024];
	bool open = say(c, "220 chunk-sink ESMTP\r\n");

	while (open) {
		c->in[c->n] = '\0';
		char *end = memchr(c->in, '\n', c->n);
		if (!end) {
			open = more(c);
			continue;
		}
		*end = '\0';
		snprintf(line, sizeof(line), "%.1000s", c->in);
		drop(c, (size_t)(end + 1 - c->in));
		open = on_command(c, line);
	}
	close(c->fd);
	free(c);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &a.sin_addr) != 1) {
		fputs("usage: chunk_sink ADDRESS PORT\n", stderr);
		return 64;
	}
	a.sin_port = htons((uint16_t)atoi(argv[2]));
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1024) < 0)
		fail(argv[2]);
	for (;;) {
		struct conn *c = calloc(1, sizeof(*c));
		pthread_t thread;

		if (!c || (c->fd = accept(fd, NULL, NULL)) < 0)
			fail("accept");
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (pthread_create(&thread, NULL, serve, c) != 0)
			fail("thread");
		pthread_detach(thread);
	}
}
