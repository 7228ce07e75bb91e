/*
 * Bytes between two connections and a dialog.
 *
 * Every event of either connection, of a verdict or of the clock ends in session_settle(): it
 * offers the dialog what it has left, sends what came out, applies back pressure (a side whose peer
 * does not take its bytes is not read), and ends the session when the dialog has. Nothing is freed
 * below a callback of its own: a dead session waits until its connections say that they are closed.
 *
 * Longer than most files here: a session that talks, one that is copied and one that ends share the
 * same two connections and most of their state, and each step may turn one into another.
 */
#include "proxy/session_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/backends.h"
#include "proxy/judge.h"
#include "proxy/upstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_PAUSE (16 * 1024)
#define COMMANDS_MAX                                                                               \
	(16 * 1024) /* read at once: each octet of commands may make nine of replies               \
		     */
#define REPLIES_PAUSE (16 * 1024)
#define LINGER_MS     5000
#define LINGER_END_MS 1000 /* when the program is to end */
#define CLOSING_MS    30000
#define READS_AT_ONCE 4
#define CONNECT_MS    30000 /* to the backend */
#define SUSPECT_MS    3000  /* it may be down */

#define RELAY_LIMIT_MS (60 * 60 * 1000) /* both sides have limits of their own */

/* ---- ends ---- */

static void handle_closed(struct session *s)
{
	if (--s->handles > 0)
		return;
	if (s->dead) {
		worker_session_ended(s->worker, s);
		setup_unref(s->setup);
		free(s);
	}
}

static void client_closed(struct conn *c)
{
	handle_closed(c->user);
}

static void backend_closed(struct conn *c)
{
	handle_closed(c->user);
}

static void close_backend(struct session *s)
{
	if (s->backend.open)
		conn_close(&s->backend, backend_closed);
	buf_deinit(&s->backend_in);
}

static void end_dialog(struct session *s)
{
	if (!s->dialog_open)
		return;
	s->dialog_open = false;
	session_note_limit(s);
	if (s->naming)
		resolver_cancel(&s->name_query);
	s->naming = false;
	dialog_deinit(&s->dialog);
	if (s->refused > 0 || s->accepted > 0 || s->misled)
		front_note(s->listener->front, &s->peer.addr, s->accepted == 0 && !s->misled,
			   clock_mono_ms());
}

void session_end(struct session *s)
{
	if (s->dead)
		return;
	s->dead = true;
	limiter_release(s->worker->server->limiter, &s->ticket);
	end_dialog(s);
	close_backend(s);
	buf_deinit(&s->client_in);
	free(s->front);
	free(s->xclient);
	s->front = NULL;
	s->xclient = NULL;
	if (s->client.open)
		conn_close(&s->client, client_closed);
}

void session_kill(struct session *s)
{
	session_end(s);
}

/* The last words are in the queue: they are let out, and the client may read them. */
static void session_finish(struct session *s)
{
	/* closing with octets unread resets the connection: a client that has more to say, or does
	 * not expect the end, might lose the reply before it too */
	bool linger = s->dialog.linger || s->worker->draining || buf_len(&s->client_in) > 0;

	end_dialog(s);
	close_backend(s);
	buf_deinit(&s->client_in);
	s->lingering = linger;
	s->client.reading = linger && !s->client_eof;
	s->deadline_ms = clock_mono_ms() + (!linger               ? CLOSING_MS
					    : s->worker->draining ? LINGER_END_MS
								  : LINGER_MS);

	int r = conn_flush(&s->client);
	if (r < 0 || (r == 0 && (!linger || s->client_eof))) {
		session_end(s);
		return;
	}
	if (r == 0)
		conn_shutdown_write(&s->client);
	conn_arm(&s->client);
}

/* After session_finish(): writable again, or something to throw away. */
static void finishing_ready(struct session *s, int ready)
{
	if (ready & CONN_WRITABLE) {
		int r = conn_flush(&s->client);
		if (r < 0 || (r == 0 && (!s->lingering || s->client_eof))) {
			session_end(s);
			return;
		}
		if (r == 0)
			conn_shutdown_write(&s->client);
	}
	if (ready & CONN_READABLE && s->client.reading) {
		ssize_t n = conn_read(&s->client, s->worker->scratch, WORKER_SCRATCH);
		if ((n < 0 && n != -EAGAIN) || (n == 0 && buf_len(&s->client.out) == 0)) {
			session_end(s);
			return;
		}
		if (n == 0) {
			s->client_eof = true;
			s->client.reading = false;
		}
	}
	conn_arm(&s->client);
}

static void enter_tarpit(struct session *s)
{
	struct sv words = s->dialog.tarpit;

	if (s->client.tls || conn_flush(&s->client) != 0 ||
	    tarpit_add(s->worker->tarpit, s->client.fd, words) < 0) {
		/* it is encrypted, there is no place, or it is not reading: the same words, at once
		 */
		(void)conn_send(&s->client, words);
		s->dialog.linger = true;
		session_finish(s);
		return;
	}
	limiter_drip(s->worker->server->limiter);
	(void)conn_detach(&s->client, client_closed);
	session_end(s);
}

void session_refuse(struct session *s, struct sv text)
{
	s->phase = SESSION_TALKS;
	if (s->listener->conf->tls != TLS_IMPLICIT)
		(void)conn_send(&s->client, text);
	s->dialog.linger = true;
	session_finish(s);
}

/* ---- the backend ---- */

/* A relayed client has no dialog that would tell it. */
static void relay_failed(struct session *s)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "421 4.3.0 %s: the mail server can't be reached; try again later (%s)\r\n",
			 s->worker->server->hostname, s->id);

	/* where TLS is between the client and the backend there is no way to say it */
	if (s->listener->conf->tls != TLS_IMPLICIT || s->client.tls)
		(void)conn_send(&s->client, (struct sv) { text, (size_t)n });
	s->relay = false;
	s->dialog.linger = true;
	session_finish(s);
}

static void connect_failed(struct session *s, int error)
{
	backends_failed(s->worker->server->backends, session_backend(s), error);
	session_connect_failed(s, strerror(error));
}

void session_connect_failed(struct session *s, const char *error)
{
	char where[ADDR_STRLEN + 8];

	log_warning("id=%s backend=%s error=\"%s\" connect failed", s->id,
		    endpoint_format(session_backend(s), where), error);
	if (s->dialog_open)
		dialog_backend_failed(&s->dialog, "can't be reached");
	else if (s->relay)
		relay_failed(s);
}

/* ---- bytes ---- */

int session_send(struct dialog *d, enum dialog_side to, struct sv bytes)
{
	struct session *s = d->user;
	struct conn *c = to == DIALOG_CLIENT ? &s->client : &s->backend;

	if (!c->open)
		return -ENOTCONN;
	if (to == DIALOG_BACKEND && s->backend_deaf)
		return 0;
	int r = conn_send(c, bytes);
	if (r == 0 || to == DIALOG_CLIENT || r == -ENOBUFS || r == -ENOMEM)
		return r;
	/* what it has said before it went is read first: session_settle() */
	s->backend_deaf = true;
	return 0;
}

/* What came in last stands in the scratch buffer behind what was left before. */
static ssize_t read_behind(struct session *s, struct conn *c, struct buf *left, size_t max,
			   struct sv *ret_all)
{
	struct sv old = buf_view(left);
	char *scratch = s->worker->scratch;

	INVARIANT(old.n < WORKER_SCRATCH);
	ssize_t n = conn_read(c, scratch + old.n, min_size(max, WORKER_SCRATCH - old.n));
	if (n <= 0)
		return n;
	if (old.n > 0) {
		memcpy(scratch, old.p, old.n);
		buf_clear(left);
	}
	*ret_all = (struct sv) { scratch, old.n + (size_t)n };
	return n;
}

static int feed(struct session *s, enum dialog_side from, struct sv in)
{
	struct buf *left = from == DIALOG_CLIENT ? &s->client_in : &s->backend_in;
	size_t used = dialog_feed(&s->dialog, from, in);

	return used < in.n ? buf_add(left, in.p + used, in.n - used) : 0;
}

/* The backend's connection has no end for bytes any more; what it has said still counts. */
static void backend_is_deaf(struct session *s)
{
	s->backend_deaf = true;
	buf_clear(&s->backend.out);
}

static void relay_bytes(struct session *s, enum dialog_side from, struct sv bytes)
{
	struct conn *to = from == DIALOG_CLIENT ? &s->backend : &s->client;

	if (conn_send(to, bytes) == 0 && conn_flush(to) >= 0)
		return;
	if (from == DIALOG_CLIENT)
		backend_is_deaf(s);
	else
		session_end(s);
}

/* A PROXY header of a client that has none to give, trusted or not: it wants to be taken for
 * another. */
static bool is_lure(struct session *s, struct sv in)
{
	if (s->lure.outcome != PROXY_LURE_MAYBE || proxy_lure_feed(&s->lure, in) != PROXY_LURE_YES)
		return false;
	log_warning("id=%s client=%s begins with a PROXY header that is not for it to send "
		    "(accept_proxy): closed",
		    s->id, s->peer_text);
	return true;
}

/* true: full, come again. */
static bool read_side(struct session *s, enum dialog_side from)
{
	struct conn *c = from == DIALOG_CLIENT ? &s->client : &s->backend;
	struct buf *left = from == DIALOG_CLIENT ? &s->client_in : &s->backend_in;
	bool commands = from == DIALOG_CLIENT && s->dialog_open &&
			dialog_waits_for(&s->dialog) != DIALOG_WAIT_DATA;
	struct sv in;
	size_t old = buf_len(left);
	ssize_t n = read_behind(s, c, left, commands ? COMMANDS_MAX : WORKER_SCRATCH, &in);

	if (n == -EAGAIN)
		return false;
	if (n <= 0) {
		bool *eof = from == DIALOG_CLIENT ? &s->client_eof : &s->backend_eof;
		*eof = true;
		c->reading = false;
		if (n < 0 && from == DIALOG_CLIENT) {
			session_end(s);
			return false;
		}
		if (s->dialog_open)
			dialog_eof(&s->dialog, from);
		return false;
	}
	if (from == DIALOG_CLIENT)
		s->slow_octets += (uint32_t)n;
	else if (!s->greeted)
		backends_greeted(s->worker->server->backends, session_backend(s));
	s->greeted = s->greeted || from == DIALOG_BACKEND;
	if (from == DIALOG_CLIENT && is_lure(s, (struct sv) { in.p + old, in.n - old })) {
		session_end(s);
		return false;
	}
	if (s->relay) {
		relay_bytes(s, from, in);
	} else if (feed(s, from, in) < 0) {
		session_end(s);
	}
	return in.n == WORKER_SCRATCH;
}

static bool read_client(struct session *s)
{
	enum chunk_move r = session_move_chunk(s);

	return r == CHUNK_TO_READ ? read_side(s, DIALOG_CLIENT) : r == CHUNK_MORE;
}

/* The dialog is over: from now on bytes are copied, beginning with those that it left. */
static void enter_relay(struct session *s)
{
	if (s->dialog.drop_readahead) {
		buf_clear(&s->client_in);
		buf_clear(&s->backend_in);
	}
	bool failed = conn_send(&s->backend, buf_view(&s->client_in)) < 0 ||
		      conn_send(&s->client, buf_view(&s->backend_in)) < 0;
	buf_clear(&s->client_in);
	buf_clear(&s->backend_in);
	s->relay = true;
	if (s->dialog.authenticated)
		s->accepted++;
	end_dialog(s);
	if (failed)
		session_end(s);
}

static void settle_relay(struct session *s)
{
	int to_client = conn_flush(&s->client), to_backend = conn_flush(&s->backend);

	if (to_client < 0) {
		session_end(s);
		return;
	}
	if (to_backend < 0)
		backend_is_deaf(s);
	/* an end of file is passed on when all before it is; the other direction goes on */
	bool client_done = s->client_eof && to_backend == 0;
	bool backend_done = s->backend_eof && to_client == 0;
	if (backend_done && client_done) {
		session_end(s);
		return;
	}
	if (backend_done && s->backend_deaf) {
		s->relay = false;
		s->dialog.linger = true;
		session_finish(s);
		return;
	}
	if (client_done)
		conn_shutdown_write(&s->backend);
	if (backend_done)
		conn_shutdown_write(&s->client);
	s->client.reading =
		!s->client_eof && !s->backend_deaf && buf_len(&s->backend.out) < SESSION_OUT_PAUSE;
	s->backend.reading = !s->backend_eof && buf_len(&s->client.out) < SESSION_OUT_PAUSE;
	session_spare_memory(s);
	s->deadline_ms = clock_mono_ms() + (s->backend_eof ? CLOSING_MS : RELAY_LIMIT_MS);
	conn_arm(&s->client);
	conn_arm(&s->backend);
}

static void hear_out_backend(struct session *s)
{
	backend_is_deaf(s);
	for (int i = 0; i < READS_AT_ONCE && session_is_talking(s) && !s->backend_eof; i++)
		(void)read_side(s, DIALOG_BACKEND);
	if (session_is_talking(s) && !s->dialog.backend_done)
		dialog_backend_failed(&s->dialog, "broke the connection");
}

/* false: the client does not take its replies, and is not listened to until it can be written to
 * again. */
static bool settle_talk(struct session *s)
{
	session_handshakes_begun(s);
	bool heard = buf_len(&s->client.out) < REPLIES_PAUSE || conn_flush(&s->client) <= 0 ||
		     buf_len(&s->client.out) < REPLIES_PAUSE;

	/* what was left may be readable now, or the end of it */
	if (heard && !(s->securing & 1 << DIALOG_CLIENT) &&
	    (buf_len(&s->client_in) > 0 || s->client_eof)) {
		struct sv in = buf_view(&s->client_in);
		size_t used = dialog_feed(&s->dialog, DIALOG_CLIENT, in);
		buf_consume(&s->client_in, used);
		session_handshakes_begun(s);
	}
	if (s->backend.open && !s->dialog.backend_done &&
	    (s->backend_deaf || conn_flush(&s->backend) < 0))
		hear_out_backend(s);
	if (s->dialog_open && s->dialog.backend_done)
		close_backend(s);
	return heard;
}

void session_settle(struct session *s)
{
	if (s->dead || s->settling)
		return;
	s->settling = true;
	bool heard = s->dialog_open && settle_talk(s);
	if (s->dialog_open && !s->dead && s->dialog.state == DIALOG_RELAY)
		enter_relay(s);
	if (s->relay && !s->dead) {
		settle_relay(s);
	} else if (s->dialog_open && !s->dead) {
		switch (s->dialog.state) {
		case DIALOG_CLOSING:
			session_finish(s);
			break;
		case DIALOG_TARPIT:
			enter_tarpit(s);
			break;
		case DIALOG_TALKING:
		case DIALOG_RELAY:
			/* not heard: it must stay waiting to be written to */
			if (heard && conn_flush(&s->client) < 0) {
				session_end(s);
				break;
			}
			s->client.reading = !s->client_eof && buf_len(&s->client_in) < IN_PAUSE &&
					    buf_len(&s->client.out) < REPLIES_PAUSE &&
					    buf_len(&s->backend.out) < SESSION_OUT_PAUSE;
			s->backend.reading =
				!s->backend_eof && buf_len(&s->client.out) < SESSION_OUT_PAUSE;
			session_spare_memory(s);
			session_set_deadline(s);
			conn_arm(&s->client);
			conn_arm(&s->backend);
			break;
		}
	}
	s->settling = false;
}

void session_go_on(struct session *s)
{
	session_settle(s);
}

void session_client_ready(struct conn *c, int ready)
{
	struct session *s = c->user;

	if (s->phase != SESSION_TALKS) {
		session_opening_ready(s, ready);
		return;
	}
	if (session_handshake_ended(s, DIALOG_CLIENT, ready)) {
		session_settle(s);
		return;
	}
	if (!s->dialog_open && !s->relay) {
		finishing_ready(s, ready);
		return;
	}
	if (ready & CONN_READABLE && c->reading)
		for (int i = 0; i < READS_AT_ONCE && (s->relay || session_is_talking(s)) &&
				c->open && c->reading && buf_len(&s->client_in) < IN_PAUSE &&
				buf_len(&s->backend.out) < SESSION_OUT_PAUSE &&
				(s->relay || buf_len(&s->client.out) < REPLIES_PAUSE);
		     i++)
			if (!read_client(s))
				break;
	if (ready & CONN_BROKEN && !c->reading)
		session_end(s);
	session_settle(s);
}

void session_backend_ready(struct conn *c, int ready)
{
	struct session *s = c->user;

	if (c->connecting) {
		int r = ready & CONN_BROKEN ? upstream_result(c->fd) : 0;
		c->connecting = false;
		if (r < 0)
			connect_failed(s, -r);
		else
			backends_reached(s->worker->server->backends, session_backend(s));
		if (r < 0 || session_secure_connected(s)) {
			session_settle(s);
			return;
		}
	}
	if (session_handshake_ended(s, DIALOG_BACKEND, ready)) {
		session_settle(s);
		return;
	}
	if (ready & CONN_READABLE && c->reading)
		for (int i = 0;
		     i < READS_AT_ONCE && (s->relay || session_is_talking(s)) && c->open &&
		     c->reading && buf_len(&s->client.out) < SESSION_OUT_PAUSE;
		     i++)
			if (!read_side(s, DIALOG_BACKEND))
				break;
	if (ready & CONN_BROKEN && !c->reading && !s->dead && c->open) {
		s->backend_eof = true;
		if (s->dialog_open)
			dialog_eof(&s->dialog, DIALOG_BACKEND);
	}
	session_settle(s);
}

/* ---- time ---- */

/* It has had its time, or all the time that the session has. A backend that speaks TLS from its
 * first octet waits for ours. */
static void check_greeting(struct session *s, int64_t now_ms)
{
	const struct listener_conf *conf = s->listener->conf;
	int64_t patience = s->setup->conf->limits.backend_ms;

	if (patience > BACKENDS_SILENT_MS)
		patience = BACKENDS_SILENT_MS;
	if (s->greeted || listener_backend_is_tls(conf) ||
	    (now_ms - s->connecting_ms < patience && now_ms < s->deadline_ms) ||
	    (s->relay && conf->tls == TLS_IMPLICIT))
		return;
	backends_silent(s->worker->server->backends, session_backend(s), conf->send,
			s->connecting_ms, patience);
}

void session_check_connecting(struct session *s, int64_t now_ms)
{
	if (s->backend.open && s->backend.connecting && upstream_is_connected(s->backend.fd))
		/* it says nothing yet */
		session_backend_ready(&s->backend, CONN_WRITABLE);
	if (s->dead || !s->backend.open)
		return;
	if (!s->backend.connecting) {
		check_greeting(s, now_ms);
		return;
	}
	int64_t waited = now_ms - s->connecting_ms;
	if (waited >= CONNECT_MS) {
		s->backend.connecting = false;
		connect_failed(s, ETIMEDOUT);
		session_settle(s);
	} else if (waited >= SUSPECT_MS) {
		backends_failed(s->worker->server->backends, session_backend(s), ETIMEDOUT);
	}
}

void session_drain(struct session *s)
{
	if (s->phase != SESSION_TALKS)
		session_end(s);
	if (s->dead || !s->dialog_open)
		return;
	dialog_drain(&s->dialog);
	session_settle(s);
}
