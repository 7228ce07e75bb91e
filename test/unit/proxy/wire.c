#include "wire.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>

/* ---- the connection's side ---- */

static void append(char **to, size_t *n, const char *p, size_t more)
{
	char *grown = realloc(*to, *n + more + 1);

	assert_non_null(grown);
	memcpy(grown + *n, p, more);
	grown[*n + more] = '\0';
	*to = grown;
	*n += more;
}

static void side_read(struct side *s)
{
	static char buf[128 * 1024];
	size_t max = s->at_once ? s->at_once : sizeof(buf);
	ssize_t n = conn_read(&s->c, buf, max);

	if (n > 0)
		append(&s->in, &s->n_in, buf, (size_t)n);
	if (n == 0)
		s->eof = true;
	if (n < 0 && n != -EAGAIN)
		s->error = (int)n;
	if (n == 0 || (n < 0 && n != -EAGAIN) || (s->limit && s->n_in >= s->limit))
		s->c.reading = false;
}

static void on_ready(struct conn *c, int ready)
{
	struct side *s = c->user;

	s->readies++;
	if (ready & CONN_SECURED) {
		s->secured = true;
		s->secures++;
		assert_int_equal(ready, CONN_SECURED);
		assert_true(conn_is_secure(c));
	}
	if (ready & CONN_BROKEN)
		s->broken = true;
	if (ready & CONN_READABLE && c->reading)
		side_read(s);
	if (!s->no_flush && !s->error && conn_flush(c) < 0)
		s->error = s->error ? s->error : -EIO;
	conn_arm(c);
}

void side_send(struct wire *w, const char *text)
{
	assert_int_equal(conn_send(&w->side.c, sv_from(text)), 0);
	assert_true(conn_flush(&w->side.c) >= 0);
	conn_arm(&w->side.c);
}

/* ---- the peer ---- */

static bool peer_result(struct peer *p, int r)
{
	int e = SSL_get_error(p->ssl, r);

	if (r > 0)
		return true;
	if (e == SSL_ERROR_ZERO_RETURN)
		p->notified = true;
	else if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE && !p->error)
		p->error = e;
	return false;
}

static void peer_to_wire(struct peer *p)
{
	char *data;
	static char rest[4 * 1024 * 1024];
	size_t n = (size_t)BIO_get_mem_data(p->to_wire, &data);
	size_t max = p->at_once && n > p->at_once ? p->at_once : n;

	if (n == 0)
		return;
	ssize_t sent = send(p->fd, data, max, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent > 0)
		assert_int_equal(BIO_read(p->to_wire, rest, (int)sent), sent);
}

static void peer_from_wire(struct peer *p)
{
	char buf[65536];
	size_t max = p->at_once && p->at_once < sizeof(buf) ? p->at_once : sizeof(buf);
	ssize_t n = p->deaf ? -1 : recv(p->fd, buf, max, MSG_DONTWAIT);

	if (n == 0) {
		p->eof = true;
		BIO_set_mem_eof_return(p->from_wire, 0);
	}
	if (n <= 0)
		return;
	if (p->ssl)
		assert_int_equal(BIO_write(p->from_wire, buf, (int)n), n);
	else
		append(&p->in, &p->n_in, buf, (size_t)n);
}

void peer_step(struct wire *w)
{
	static char buf[65536];
	struct peer *p = &w->peer;

	peer_from_wire(p);
	if (p->ssl && !p->error) {
		ERR_clear_error();
		if (!p->done)
			p->done = peer_result(p, SSL_do_handshake(p->ssl));
		for (int n; p->done && (n = SSL_read(p->ssl, buf, sizeof(buf)), true);) {
			if (!peer_result(p, n))
				break;
			append(&p->in, &p->n_in, buf, (size_t)n);
		}
	}
	peer_to_wire(p);
}

void peer_send(struct wire *w, const char *text, size_t n)
{
	struct peer *p = &w->peer;

	if (p->ssl)
		assert_int_equal(SSL_write(p->ssl, text, (int)n), n);
	else
		assert_int_equal(BIO_write(p->to_wire, text, (int)n), n);
}

/* ---- both ---- */

static void on_later(uv_timer_t *timer)
{
}

void wire_open(struct wire *w)
{
	int fds[2];

	*w = (struct wire) { 0 };
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(poller_init(&w->poller, &w->loop), 0);
	uv_timer_init(&w->loop, &w->later);
	uv_timer_start(&w->later, on_later, 3600 * 1000, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(conn_open(&w->side.c, &w->poller, fds[0], 8 << 20, on_ready, &w->side), 0);
	w->side.c.reading = true;
	w->side.in = calloc(1, 1);
	w->peer.in = calloc(1, 1);
	w->peer.fd = fds[1];
	w->peer.from_wire = BIO_new(BIO_s_mem());
	w->peer.to_wire = BIO_new(BIO_s_mem());
	conn_arm(&w->side.c);
}

void wire_peer_tls(struct wire *w, SSL *ssl)
{
	BIO_set_mem_eof_return(w->peer.from_wire, -1);
	BIO_set_mem_eof_return(w->peer.to_wire, -1);
	SSL_set_bio(ssl, w->peer.from_wire, w->peer.to_wire);
	w->peer.ssl = ssl;
}

static void on_closed(struct conn *c)
{
	struct side *s = c->user;

	s->closed = true;
}

void side_close(struct wire *w)
{
	conn_close(&w->side.c, on_closed);
}

void wire_never(const char *what)
{
	/* not to stderr, which the tests keep for what is logged */
	printf("never came: %s\n", what);
	fail();
}

void peer_close(struct wire *w)
{
	char unread[65536];

	/* or it would be a reset */
	while (recv(w->peer.fd, unread, sizeof(unread), MSG_DONTWAIT) > 0)
		;
	close(w->peer.fd);
	w->peer.fd = -1;
}

void wire_close(struct wire *w)
{
	if (w->side.c.open)
		side_close(w);
	uv_close((uv_handle_t *)&w->later, NULL);
	while (poller_turn(&w->poller, true))
		;
	assert_true(w->side.closed);
	assert_null(w->side.c.tls);
	poller_deinit(&w->poller);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	if (w->peer.ssl) {
		SSL_free(w->peer.ssl);
	} else {
		BIO_free(w->peer.from_wire);
		BIO_free(w->peer.to_wire);
	}
	if (w->peer.fd >= 0)
		peer_close(w);
	free(w->side.in);
	free(w->peer.in);
}

void wire_step(struct wire *w)
{
	if (w->peer.fd >= 0)
		peer_step(w);
	poller_turn(&w->poller, false);
}

void wire_rest(struct wire *w)
{
	for (int i = 0; i < 200; i++)
		wire_step(w);
	int before = w->side.readies;
	for (int i = 0; i < 50; i++)
		poller_turn(&w->poller, false);
	assert_int_equal(w->side.readies, before);
	/* no idle handle that makes it spin */
	assert_int_not_equal(uv_backend_timeout(&w->loop), 0);
}
