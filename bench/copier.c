/*
 * The floor: what two TCP connections cost a program that copies between them and does nothing
 * else. As cheap as can be: a thread for each processor, which takes its sessions whole; epoll,
 * edge-triggered, so that a socket is told once; no timers, no addresses, no log, no memory but a
 * number for each descriptor.
 *
 *     copier [--splice] ADDRESS PORT BACKEND_PORT
 *
 *     --splice   by a pipe in the kernel, without a copy here
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FDS 20000
#define BLOCK   65536

struct side {
	int other;   /* -1: none */
	int pipe[2]; /* what comes from this one */
	size_t held; /* octets that the other one hasn't taken: in the pipe, or in kept */
	char *kept;
};

static struct sockaddr_in own, backend;
static struct side sides[MAX_FDS];
static bool splicing;
/* Closed when the turn is over: until then nobody gets their numbers, of which events may be due.
 */
static _Thread_local int ended[128];
static _Thread_local size_t n_ended;

static void fail(const char *what)
{
	fprintf(stderr, "copier: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void end(int fd)
{
	int both[2] = { fd, sides[fd].other };

	for (int i = 0; i < 2; i++) {
		struct side *s = &sides[both[i]];
		if (splicing) {
			close(s->pipe[0]);
			close(s->pipe[1]);
		}
		free(s->kept);
		*s = (struct side) { .other = -1 };
		ended[n_ended++] = both[i];
	}
}

/* false: the session is over. */
static bool flush(int from)
{
	struct side *s = &sides[from];

	while (s->held > 0) {
		ssize_t n = splicing ? splice(s->pipe[0], NULL, s->other, NULL, s->held,
					      SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
				     : send(s->other, s->kept, s->held, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN;
		s->held -= (size_t)n;
		if (!splicing && s->held > 0)
			memmove(s->kept, s->kept + n, s->held);
	}
	free(s->kept);
	s->kept = NULL;
	return true;
}

static bool pass(int from)
{
	static _Thread_local char block[BLOCK];
	struct side *s = &sides[from];

	for (;;) {
		if (!flush(from))
			return false;
		if (s->held > 0)
			return true; /* when the other one is writable */
		ssize_t n = splicing ? splice(from, NULL, s->pipe[1], NULL, BLOCK,
					      SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
				     : recv(from, block, BLOCK, 0);
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		if (splicing) {
			s->held = (size_t)n;
			continue;
		}
		ssize_t sent = send(s->other, block, (size_t)n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return false;
		sent = sent < 0 ? 0 : sent;
		if (sent < n) {
			s->held = (size_t)(n - sent);
			s->kept = malloc(s->held);
			if (!s->kept)
				return false;
			memcpy(s->kept, block + sent, s->held);
		} else if (n < BLOCK) {
			return true; /* edge-triggered, and this was all */
		}
	}
}

static void begin(int poller, int client)
{
	int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
	int both[2] = { client, server };

	if (server < 0 || server >= MAX_FDS || client >= MAX_FDS)
		fail("socket");
	if (connect(server, (struct sockaddr *)&backend, sizeof(backend)) < 0 &&
	    errno != EINPROGRESS)
		fail("connect");
	for (int i = 0; i < 2; i++) {
		struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
					 .data.fd = both[i] };
		sides[both[i]] = (struct side) { .other = both[!i] };
		(void)setsockopt(both[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if ((splicing && pipe2(sides[both[i]].pipe, O_NONBLOCK) < 0) ||
		    epoll_ctl(poller, EPOLL_CTL_ADD, both[i], &e) < 0)
			fail("epoll");
	}
}

static void on_event(const struct epoll_event *e)
{
	int fd = e->data.fd, other = sides[fd].other;

	if (other < 0) /* ended in this turn */
		return;
	if (((e->events & EPOLLOUT) && sides[other].held > 0 && !pass(other)) ||
	    ((e->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !pass(fd)))
		end(fd);
}

static void *run(void *arg)
{
	int poller = epoll_create1(0), on = 1,
	    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct epoll_event e = { .events = EPOLLIN, .data.fd = listener }, events[64];

	(void)arg;
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
	    bind(listener, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    listen(listener, 1024) < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e) < 0)
		fail("listen");
	for (;;) {
		int n = epoll_wait(poller, events, 64, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd != listener) {
				on_event(&events[i]);
				continue;
			}
			int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
			if (client >= 0)
				begin(poller, client);
		}
		while (n_ended > 0)
			close(ended[--n_ended]);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	splicing = argc > 1 && strcmp(argv[1], "--splice") == 0;
	argv += splicing;
	if (argc - splicing != 4) {
		fputs("usage: copier [--splice] ADDRESS PORT BACKEND_PORT\n", stderr);
		return 64;
	}
	own = (struct sockaddr_in) { .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)atoi(argv[2])) };
	backend = (struct sockaddr_in) { .sin_family = AF_INET,
					 .sin_port = htons((uint16_t)atoi(argv[3])) };
	if (inet_pton(AF_INET, argv[1], &own.sin_addr) != 1)
		fail(argv[1]);
	backend.sin_addr = own.sin_addr;
	for (size_t i = 0; i < MAX_FDS; i++)
		sides[i].other = -1;
	for (long i = 1; i < sysconf(_SC_NPROCESSORS_ONLN); i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, run, NULL) != 0)
			fail("thread");
	}
	run(NULL);
	return 0;
}
