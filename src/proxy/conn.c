#include "proxy/conn.h"

#include "proxy/conn_tls.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static void on_ready(struct watch *w, int ready)
{
	struct conn *c = CONTAINER_OF(w, struct conn, watch);

	if (ready & CONN_BROKEN)
		ready |= CONN_READABLE | CONN_WRITABLE;
	if (c->tls)
		conn_tls_ready(c, ready);
	else
		c->ready(c, ready);
}

int conn_open(struct conn *c, struct poller *poller, int fd, size_t out_max, conn_ready_fn ready,
	      void *user)
{
	int r;

	*c = (struct conn) { .fd = fd, .ready = ready, .user = user };
	buf_init(&c->out, out_max);
	r = watch_open(&c->watch, poller, fd, on_ready);
	if (r < 0) {
		close(fd);
		c->fd = -1;
		return r;
	}
	c->open = true;
	return 0;
}

void conn_handle_closed(struct conn *c)
{
	if (--c->handles == 0)
		c->closed(c);
}

static void on_closed(struct watch *w)
{
	conn_handle_closed(CONTAINER_OF(w, struct conn, watch));
}

static void not_open(struct conn *c, conn_closed_fn closed)
{
	INVARIANT(c->open);
	c->open = false;
	c->fd = -1;
	c->closed = closed;
	c->handles = 1;
	buf_deinit(&c->out);
}

int conn_detach(struct conn *c, conn_closed_fn closed)
{
	int fd = c->fd;

	INVARIANT(!c->tls);
	not_open(c, closed);
	watch_detach(&c->watch, on_closed);
	return fd;
}

void conn_close(struct conn *c, conn_closed_fn closed)
{
	if (c->tls)
		conn_tls_end(c);
	not_open(c, closed);
	if (c->tls)
		conn_tls_close(c);
	watch_close(&c->watch, on_closed);
}

void conn_shutdown_write(struct conn *c)
{
	if (!c->tls || conn_tls_end(c))
		shutdown(c->fd, SHUT_WR);
}

ssize_t conn_read(struct conn *c, void *to, size_t size)
{
	if (c->tls)
		return conn_tls_read(c, to, size);
	for (;;) {
		ssize_t n = recv(c->fd, to, size, 0);
		if (n >= 0)
			return n;
		if (errno != EINTR)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	}
}

/* What send() or sendmsg() returned: octets; 0: none now; -errno, and -EINTR: again. */
static ssize_t send_result(ssize_t sent)
{
	if (sent >= 0)
		return sent;
	return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

/* A vector of one costs a tenth of a microsecond more. */
static ssize_t send_bytes(struct conn *c, struct sv bytes)
{
	ssize_t r;

	do
		r = send_result(send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL));
	while (r == -EINTR);
	return r;
}

static ssize_t send_both(struct conn *c, struct sv first, struct sv second)
{
	struct iovec iov[2] = { { (void *)first.p, first.n }, { (void *)second.p, second.n } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t r;

	do
		r = send_result(sendmsg(c->fd, &msg, MSG_NOSIGNAL));
	while (r == -EINTR);
	return r;
}

int conn_send(struct conn *c, struct sv bytes)
{
	if (c->tls)
		return conn_tls_send(c, bytes);
	if (c->connecting || bytes.n < CONN_SEND_AT_ONCE)
		return buf_add_sv(&c->out, bytes);

	struct sv queued = buf_view(&c->out);
	ssize_t sent = queued.n ? send_both(c, queued, bytes) : send_bytes(c, bytes);
	if (sent < 0)
		return (int)sent;
	size_t from_queue = min_size((size_t)sent, queued.n);
	size_t from_bytes = (size_t)sent - from_queue;
	if (from_queue)
		buf_consume(&c->out, from_queue);
	return buf_add(&c->out, bytes.p + from_bytes, bytes.n - from_bytes);
}

int conn_flush(struct conn *c)
{
	struct sv queued = buf_view(&c->out);

	if (queued.n == 0)
		return 0;
	if (c->tls)
		return conn_tls_flush(c);
	if (c->connecting)
		return 1;
	ssize_t sent = send_bytes(c, queued);
	if (sent < 0)
		return (int)sent;
	if (sent > 0)
		buf_consume(&c->out, (size_t)sent);
	return buf_len(&c->out) > 0;
}

void conn_arm(struct conn *c)
{
	int events = 0;

	if (!c->open)
		return;
	if (c->tls) {
		events = conn_tls_wants(c);
	} else {
		/* who waits for the peer's first words needn't be woken before they come */
		if (c->reading || c->connecting)
			events |= CONN_READABLE;
		if ((c->connecting && c->speaks_first) || buf_len(&c->out) > 0)
			events |= CONN_WRITABLE;
	}
	/* what can't be waited for ends by its time limit */
	if (events != c->watch.wanted)
		(void)watch_want(&c->watch, events);
}
