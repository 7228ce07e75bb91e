#include "fake.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The name asked for, lower-case; its end. */
static size_t question(const uint8_t *q, size_t n, char *name)
{
	size_t at = 12, len = 0;

	while (at < n && q[at]) {
		for (size_t i = 0; i < q[at] && len < 250; i++)
			name[len++] = ascii_lower((char)q[at + 1 + i]);
		name[len++] = '.';
		at += 1u + q[at];
	}
	name[len ? len - 1 : 0] = '\0';
	return at + 1;
}

/* 0: no answer. */
static size_t respond(struct fake *f, const uint8_t *q, size_t n, struct msg *m, bool tcp)
{
	char name[256];
	size_t at;
	uint16_t type;

	if (n < 17)
		return 0;
	at = question(q, n, name);
	type = (uint16_t)(q[at] << 8 | q[at + 1]);
	f->rd = q[2] & 1;
	f->edns = q[11] > 0;
	(*(tcp ? &f->n_tcp : &f->n_udp))++;
	msg_begin(m, (uint16_t)(q[0] << 8 | q[1]), MSG_QR | MSG_RD | MSG_RA, name, type);
	return f->answer(f, m, name, type, tcp) ? m->n : 0;
}

static void serve_udp(struct fake *f, struct msg *m)
{
	uint8_t q[2048];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(f->udp, q, sizeof(q), 0, (void *)&from, &len);
	size_t size = n > 0 ? respond(f, q, (size_t)n, m, false) : 0;

	if (size)
		sendto(f->udp, m->b, size, 0, (void *)&from, len);
}

static void serve_tcp(struct fake *f, struct msg *m)
{
	uint8_t q[2048], head[2];
	int fd = accept(f->tcp, NULL, NULL);
	size_t n, size;

	if (recv(fd, head, 2, MSG_WAITALL) == 2) {
		n = (size_t)(head[0] << 8 | head[1]);
		assert(n <= sizeof(q));
		if (recv(fd, q, n, MSG_WAITALL) == (ssize_t)n) {
			size = respond(f, q, n, m, true);
			head[0] = (uint8_t)(size >> 8);
			head[1] = (uint8_t)size;
			if (size && send(fd, head, 2, MSG_NOSIGNAL) == 2)
				assert(send(fd, m->b, size, MSG_NOSIGNAL) == (ssize_t)size);
		}
	}
	close(fd);
}

static void *run(void *user)
{
	static __thread struct msg m;
	struct fake *f = user;
	struct pollfd fds[] = { { f->udp, POLLIN, 0 },
				{ f->tcp, POLLIN, 0 },
				{ f->stop[0], POLLIN, 0 } };

	for (;;) {
		poll(fds, 3, -1);
		if (fds[2].revents)
			return NULL;
		if (fds[0].revents)
			serve_udp(f, &m);
		if (fds[1].revents)
			serve_tcp(f, &m);
	}
}

/* The same port for both. */
static int open_socket(int type, uint16_t *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (void *)&sa, sizeof(sa)) < 0) {
		close(fd);
		return -1;
	}
	getsockname(fd, (void *)&sa, &len);
	*port = ntohs(sa.sin_port);
	return fd;
}

void fake_start(struct fake *f, fake_answer_fn answer)
{
	*f = (struct fake) { .answer = answer, .tcp = -1 };
	while (f->tcp < 0) {
		f->port = 0;
		f->udp = open_socket(SOCK_DGRAM, &f->port);
		f->tcp = open_socket(SOCK_STREAM, &f->port);
		if (f->tcp < 0)
			close(f->udp);
	}
	listen(f->tcp, 16);
	assert(pipe(f->stop) == 0);
	pthread_create(&f->thread, NULL, run, f);
}

void fake_stop(struct fake *f)
{
	assert(write(f->stop[1], "", 1) == 1);
	pthread_join(f->thread, NULL);
	close(f->udp);
	close(f->tcp);
	close(f->stop[0]);
	close(f->stop[1]);
}
