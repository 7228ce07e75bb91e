#include "proxy/conn.h"

#include "proxy/conn_tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct conn *c = poll->data;
	int ready = 0;

	if (status < 0) {
		/* libuv has stopped the handle */
		c->armed = 0;
		ready = CONN_BROKEN | CONN_READABLE | CONN_WRITABLE;
	}
	if (events & UV_READABLE)
		ready |= CONN_READABLE;
	if (events & UV_WRITABLE)
		ready |= CONN_WRITABLE;
	if (c->tls)
		conn_tls_ready(c, ready);
	else
		c->ready(c, ready);
}

int conn_open(struct conn *c, uv_loop_t *loop, int fd, size_t out_max, conn_ready_fn ready,
	      void *user)
{
	int one = 1;
	int r;

	*c = (struct conn) { .fd = fd, .ready = ready, .user = user };
	buf_init(&c->out, out_max);
	r = uv_poll_init(loop, &c->poll, fd);
	if (r < 0) {
		close(fd);
		c->fd = -1;
		return r;
	}
	/* fails on what is no TCP socket only: no matter */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->poll.data = c;
	c->open = true;
	return 0;
}

void conn_handle_closed(struct conn *c)
{
	if (--c->handles == 0)
		c->closed(c);
}

static void on_closed(uv_handle_t *handle)
{
	conn_handle_closed(handle->data);
}

static int detach(struct conn *c, conn_closed_fn closed)
{
	int fd = c->fd;

	INVARIANT(c->open);
	c->open = false;
	c->fd = -1;
	c->closed = closed;
	c->handles = 1;
	buf_deinit(&c->out);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	return fd;
}

int conn_detach(struct conn *c, conn_closed_fn closed)
{
	INVARIANT(!c->tls);
	return detach(c, closed);
}

void conn_close(struct conn *c, conn_closed_fn closed)
{
	if (c->tls)
		conn_tls_end(c);
	int fd = detach(c, closed);
	if (c->tls)
		conn_tls_close(c);
	close(fd);
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

static ssize_t send_vector(struct conn *c, struct iovec *iov, size_t n)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };

	for (;;) {
		ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
		if (sent >= 0)
			return sent;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int conn_send(struct conn *c, struct sv bytes)
{
	if (c->tls)
		return conn_tls_send(c, bytes);
	if (c->connecting || bytes.n < CONN_SEND_AT_ONCE)
		return buf_add_sv(&c->out, bytes);

	struct sv queued = buf_view(&c->out);
	struct iovec iov[2] = { { (void *)queued.p, queued.n }, { (void *)bytes.p, bytes.n } };
	size_t first = queued.n ? 0 : 1;
	ssize_t sent = send_vector(c, iov + first, 2 - first);
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
	struct iovec iov = { (void *)queued.p, queued.n };
	ssize_t sent = send_vector(c, &iov, 1);
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
		if (c->reading && !c->connecting)
			events |= UV_READABLE;
		if (c->connecting || buf_len(&c->out) > 0)
			events |= UV_WRITABLE;
	}
	if (events == c->armed)
		return;
	c->armed = events;
	if (events)
		uv_poll_start(&c->poll, events, on_poll);
	else
		uv_poll_stop(&c->poll);
}
