/*
 * Encrypted octets may wait inside OpenSSL while the socket has nothing to tell: who paused reading
 * and wants to go on would wait for ever. `more` says that there may be some, and an idle handle
 * (the kick) reports them with the loop's next turn; so does what was found out below a call of the
 * session's, which must not be called back then.
 */
#include "proxy/conn_tls.h"

#include "proxy/tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define ALL_BROKEN (CONN_BROKEN | CONN_READABLE | CONN_WRITABLE)

enum tls_state {
	CLEAR, /* what was queued before goes out first */
	HANDSHAKE,
	UP,
	BROKEN, /* by the peer's TLS; the session is told once, or by an error that it gets */
};

struct conn_tls {
	SSL *ssl;
	struct conn *conn;
	uv_idle_t kick;
	const char *error;
	size_t clear; /* octets of the queue that go out in the clear */
	int sys;      /* errno of the socket, of the last call of OpenSSL's */
	int report;   /* for ready(), by the kick */
	enum tls_state state;
	bool secured;
	bool told;
	bool kicking;
	bool eof;              /* of the socket */
	bool dry;              /* the socket gave less than was asked for */
	bool more;             /* there may be octets for the session inside */
	bool read_needs_write; /* reading goes on when the socket can be written to */
	bool write_needs_read;
	bool write_failed;
	bool ending; /* nothing more is to be sent */
	bool ended;  /* and the peer knows it */
};

/* ---- OpenSSL's way to the socket ---- */

/* The octets; -errno, -EAGAIN too. */
static ssize_t put(int fd, const void *p, size_t n)
{
	for (;;) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent >= 0)
			return sent;
		if (errno != EINTR)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	}
}

static int bio_write(BIO *bio, const char *p, int n)
{
	struct conn_tls *tls = BIO_get_data(bio);
	ssize_t sent = put(tls->conn->fd, p, (size_t)n);

	BIO_clear_retry_flags(bio);
	if (sent >= 0)
		return (int)sent;
	if (sent == -EAGAIN)
		BIO_set_retry_write(bio);
	else
		tls->sys = (int)-sent;
	return -1;
}

static int bio_read(BIO *bio, char *to, int size)
{
	struct conn_tls *tls = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = recv(tls->conn->fd, to, (size_t)size, 0);
	while (n < 0 && errno == EINTR);
	tls->dry |= n < size;
	tls->eof |= n == 0;
	if (n >= 0)
		return (int)n;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		BIO_set_retry_read(bio);
	else
		tls->sys = errno;
	return -1;
}

static long bio_ctrl(BIO *bio, int cmd, long number, void *p)
{
	struct conn_tls *tls = BIO_get_data(bio);

	if (cmd == BIO_CTRL_EOF)
		return tls->eof;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");

	if (m && BIO_meth_set_write(m, bio_write) == 1 && BIO_meth_set_read(m, bio_read) == 1 &&
	    BIO_meth_set_ctrl(m, bio_ctrl) == 1)
		method = m;
	else
		BIO_meth_free(m);
}

static BIO *new_bio(struct conn_tls *tls)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_method);
	BIO *bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return NULL;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	return bio;
}

/* ---- the kick ---- */

static void stop_kick(struct conn_tls *tls)
{
	if (tls->kicking)
		uv_idle_stop(&tls->kick);
	tls->kicking = false;
}

static void on_kick(uv_idle_t *kick)
{
	struct conn_tls *tls = kick->data;
	struct conn *c = tls->conn;
	int ready = tls->report;

	stop_kick(tls);
	tls->report = 0;
	if (tls->state == BROKEN && !tls->told) {
		tls->told = true;
		ready = ALL_BROKEN;
	} else if (!ready && tls->state == UP && tls->more && c->reading) {
		ready = CONN_READABLE;
	}
	if (ready)
		c->ready(c, ready);
}

static void start_kick(struct conn_tls *tls)
{
	if (!tls->kicking)
		uv_idle_start(&tls->kick, on_kick);
	tls->kicking = true;
}

/* ---- handshake ---- */

static void prepare(struct conn_tls *tls)
{
	ERR_clear_error();
	tls->sys = 0;
}

static void broken(struct conn_tls *tls, int ssl_error)
{
	tls->error = tls_error_text(tls->ssl, ssl_error, tls->sys);
	tls->state = BROKEN;
}

/* true: all of it is out, or the connection is broken. */
static bool send_clear(struct conn *c)
{
	struct conn_tls *tls = c->tls;

	while (tls->clear > 0) {
		ssize_t n = put(c->fd, buf_view(&c->out).p, tls->clear);
		if (n == -EAGAIN)
			return false;
		if (n < 0) {
			tls->sys = (int)-n;
			broken(tls, SSL_ERROR_SYSCALL);
			return true;
		}
		buf_consume(&c->out, (size_t)n);
		tls->clear -= (size_t)n;
	}
	tls->state = HANDSHAKE;
	return true;
}

/* 0: it goes on when the socket does; else what to tell the session. */
static int advance(struct conn *c)
{
	struct conn_tls *tls = c->tls;

	prepare(tls);
	if (tls->state == CLEAR && !send_clear(c))
		return 0;
	if (tls->state == BROKEN)
		return ALL_BROKEN;
	int r = SSL_do_handshake(tls->ssl);
	if (r == 1) {
		tls->state = UP;
		tls->secured = true;
		tls->more = SSL_has_pending(tls->ssl);
		return CONN_SECURED;
	}
	r = SSL_get_error(tls->ssl, r);
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE)
		return 0;
	broken(tls, r);
	return ALL_BROKEN;
}

int conn_secure(struct conn *c, SSL *ssl)
{
	struct conn_tls *tls = calloc(1, sizeof(*tls));
	BIO *bio = tls ? new_bio(tls) : NULL;

	INVARIANT(c->open && !c->connecting && !c->tls);
	if (!bio) {
		free(tls);
		SSL_free(ssl);
		return -ENOMEM;
	}
	SSL_set_bio(ssl, bio, bio);
	tls->ssl = ssl;
	tls->conn = c;
	tls->clear = buf_len(&c->out);
	uv_idle_init(c->watch.poller->loop, &tls->kick);
	tls->kick.data = tls;
	c->tls = tls;
	tls->report = advance(c);
	conn_arm(c);
	return 0;
}

bool conn_is_secure(const struct conn *c)
{
	return c->tls && c->tls->secured;
}

const char *conn_tls_error(const struct conn *c)
{
	return c->tls ? c->tls->error : NULL;
}

/* ---- events ---- */

static void handshake_ready(struct conn *c, int ready)
{
	struct conn_tls *tls = c->tls;
	int r = advance(c);

	if (r == 0 && ready & CONN_BROKEN) {
		tls->sys = ECONNABORTED;
		broken(tls, SSL_ERROR_SYSCALL);
		r = ALL_BROKEN;
	}
	if (r == 0) {
		conn_arm(c);
		return;
	}
	tls->told = tls->state == BROKEN;
	c->ready(c, r);
}

void conn_tls_ready(struct conn *c, int ready)
{
	struct conn_tls *tls = c->tls;

	if (tls->report || tls->state == BROKEN) {
		/* what the socket has to say, it will say again */
		on_kick(&tls->kick);
		return;
	}
	if (tls->state != UP) {
		handshake_ready(c, ready);
		return;
	}
	if (ready & CONN_WRITABLE && tls->ending && !tls->ended && conn_tls_end(c))
		shutdown(c->fd, SHUT_WR);
	if (ready & CONN_WRITABLE && tls->read_needs_write)
		ready |= CONN_READABLE;
	if (ready & CONN_READABLE && tls->write_needs_read)
		ready |= CONN_WRITABLE;
	c->ready(c, ready);
}

int conn_tls_wants(struct conn *c)
{
	struct conn_tls *tls = c->tls;
	int events = 0;

	if (tls->report || (tls->state == BROKEN && !tls->told) ||
	    (tls->state == UP && tls->more && c->reading))
		start_kick(tls);
	else
		stop_kick(tls);
	switch (tls->state) {
	case CLEAR:
		events = CONN_WRITABLE;
		break;
	case HANDSHAKE:
		events = SSL_want_write(tls->ssl) ? CONN_WRITABLE : CONN_READABLE;
		break;
	case UP:
		if (c->reading || tls->write_needs_read)
			events |= CONN_READABLE;
		if (buf_len(&c->out) > 0 || (tls->read_needs_write && c->reading) ||
		    (tls->ending && !tls->ended))
			events |= CONN_WRITABLE;
		break;
	case BROKEN:
		break;
	}
	return events;
}

/* ---- octets ---- */

/* What SSL_read_ex() failed with, as conn_read() says it. */
static ssize_t read_result(struct conn_tls *tls)
{
	int e = SSL_get_error(tls->ssl, 0);

	switch (e) {
	case SSL_ERROR_WANT_READ:
		/* it may stop early, between two records */
		tls->more = !tls->dry;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		tls->read_needs_write = true;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		ERR_clear_error();
		return tls->sys ? -tls->sys : -ECONNRESET;
	default:
		broken(tls, e);
		return -EPROTO;
	}
}

ssize_t conn_tls_read(struct conn *c, void *to, size_t size)
{
	struct conn_tls *tls = c->tls;
	size_t got = 0, n;

	if (tls->state == BROKEN) {
		tls->told = true;
		return -EPROTO;
	}
	if (tls->state != UP)
		return -EAGAIN;
	tls->dry = tls->more = tls->read_needs_write = false;
	/* as much as one recv() would give, not only one record; and no recv() for nothing */
	while (got < size && (got == 0 || !tls->dry || SSL_has_pending(tls->ssl))) {
		prepare(tls);
		if (SSL_read_ex(tls->ssl, (char *)to + got, size - got, &n) == 1) {
			got += n;
			continue;
		}
		ssize_t r = read_result(tls);
		if (got == 0) {
			tls->told = tls->state == BROKEN;
			return r;
		}
		/* an end or a failure is for the next call, which has to come */
		tls->more |= r != -EAGAIN;
		return (ssize_t)got;
	}
	tls->more = SSL_has_pending(tls->ssl);
	return (ssize_t)got;
}

/* How many of n went out; -errno. */
static ssize_t write_some(struct conn_tls *tls, const char *p, size_t n)
{
	size_t done = 0, sent;

	tls->write_needs_read = false;
	while (done < n) {
		prepare(tls);
		if (SSL_write_ex(tls->ssl, p + done, n - done, &sent) == 1) {
			done += sent;
			continue;
		}
		int e = SSL_get_error(tls->ssl, 0);
		if (e == SSL_ERROR_WANT_WRITE)
			break;
		if (e == SSL_ERROR_WANT_READ) {
			tls->write_needs_read = true;
			break;
		}
		tls->write_failed = true;
		if (e != SSL_ERROR_SSL) {
			/* the socket's: what the peer has said before can be read all the same */
			ERR_clear_error();
			return tls->sys ? -tls->sys : -EPIPE;
		}
		broken(tls, e);
		tls->told = true;
		return -EPROTO;
	}
	return (ssize_t)done;
}

int conn_tls_flush(struct conn *c)
{
	struct conn_tls *tls = c->tls;
	struct sv queued = buf_view(&c->out);

	if (tls->state == BROKEN) {
		tls->told = true;
		return -EPROTO;
	}
	if (tls->state != UP)
		return 1;
	ssize_t sent = write_some(tls, queued.p, queued.n);
	if (sent < 0)
		return (int)sent;
	if (sent > 0)
		buf_consume(&c->out, (size_t)sent);
	return buf_len(&c->out) > 0;
}

int conn_tls_send(struct conn *c, struct sv bytes)
{
	struct conn_tls *tls = c->tls;
	int r = 0;

	if (tls->state == BROKEN) {
		tls->told = true;
		return -EPROTO;
	}
	if (tls->state != UP || bytes.n < CONN_SEND_AT_ONCE)
		return buf_add_sv(&c->out, bytes);
	if (buf_len(&c->out) > 0)
		r = conn_tls_flush(c);
	if (r < 0)
		return r;
	ssize_t sent = r == 0 ? write_some(tls, bytes.p, bytes.n) : 0;
	if (sent < 0)
		return (int)sent;
	/* a record that is half out is begun again from the queue: the same octets at its start */
	return buf_add(&c->out, bytes.p + sent, bytes.n - (size_t)sent);
}

/* ---- ends ---- */

bool conn_tls_end(struct conn *c)
{
	struct conn_tls *tls = c->tls;

	/* who is owed octets must not take it for complete */
	if (tls->state != UP || tls->write_failed || tls->ended || buf_len(&c->out) > 0)
		return true;
	tls->ending = true;
	prepare(tls);
	int r = SSL_shutdown(tls->ssl);
	if (r < 0 && SSL_get_error(tls->ssl, r) == SSL_ERROR_WANT_WRITE)
		return false;
	ERR_clear_error();
	tls->ended = true;
	return true;
}

static void on_kick_closed(uv_handle_t *handle)
{
	struct conn_tls *tls = handle->data;
	struct conn *c = tls->conn;

	c->tls = NULL;
	free(tls);
	conn_handle_closed(c);
}

void conn_tls_close(struct conn *c)
{
	struct conn_tls *tls = c->tls;

	SSL_free(tls->ssl);
	tls->ssl = NULL;
	c->handles++;
	uv_close((uv_handle_t *)&tls->kick, on_kick_closed);
}
