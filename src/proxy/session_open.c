/*
 * How a session begins: who the client is (PROXY protocol), whether it is encrypted from the first
 * octet, the dialog's settings, and the way to the backend (from which address, with which header,
 * by which encryption).
 */
#include "proxy/session_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/backends.h"
#include "proxy/judge.h"
#include "proxy/tls.h"
#include "proxy/upstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_MS 5000

/* ---- handshakes ---- */

static const char *const side_names[] = {
	[DIALOG_CLIENT] = "client", [DIALOG_BACKEND] = "backend"
};

const struct endpoint *session_backend(const struct session *s)
{
	const struct listener_conf *conf = s->listener->conf;

	return conf->backend_original ? &s->destination : &conf->backend;
}

static SSL *new_tls(const struct session *s, enum dialog_side side)
{
	const struct listener_conf *conf = s->listener->conf;
	const char *name = conf->upstream_verify;

	if (side == DIALOG_CLIENT)
		return tls_server_session(s->setup->tls);
	/* nobody stands between us and this host itself */
	bool verify = name && !addr_is_loopback(&session_backend(s)->addr);
	return tls_client_session(s->listener->tls, verify ? name : NULL, name);
}

static void begin_handshake(struct session *s, enum dialog_side side)
{
	struct conn *c = side == DIALOG_CLIENT ? &s->client : &s->backend;
	SSL *ssl = c->open ? new_tls(s, side) : NULL;

	s->securing |= (uint8_t)(1 << side);
	if (!ssl || conn_secure(c, ssl) < 0)
		s->secure_failed |= (uint8_t)(1 << side);
}

static void ops_secure(struct dialog *d, enum dialog_side side)
{
	begin_handshake(d->user, side);
}

static void handshake_result(struct session *s, enum dialog_side side, bool ok)
{
	const struct conn *c = side == DIALOG_CLIENT ? &s->client : &s->backend;
	const char *why = conn_tls_error(c);
	char where[ADDR_STRLEN + 8];

	s->securing &= (uint8_t) ~(1 << side);
	s->secure_failed &= (uint8_t) ~(1 << side);
	if (!ok && side == DIALOG_BACKEND)
		log_warning("id=%s backend=%s error=\"%s\" TLS handshake failed", s->id,
			    endpoint_format(session_backend(s), where), why ? why : "no memory");
	else if (!ok)
		log_info("id=%s %s=%s error=\"%s\" TLS handshake failed", s->id, side_names[side],
			 s->peer_text, why ? why : "no memory");
	if (ok && side == DIALOG_CLIENT)
		s->lure = (struct proxy_lure) { 0 };
}

void session_handshakes_begun(struct session *s)
{
	for (enum dialog_side side = DIALOG_CLIENT; side <= DIALOG_BACKEND; side++) {
		if (!(s->securing & 1 << side))
			continue;
		buf_clear(side == DIALOG_CLIENT ? &s->client_in : &s->backend_in);
		if (!(s->secure_failed & 1 << side))
			continue;
		handshake_result(s, side, false);
		if (s->dialog_open)
			dialog_secured(&s->dialog, side, false);
	}
}

bool session_handshake_ended(struct session *s, enum dialog_side side, int ready)
{
	bool ok = ready & CONN_SECURED;

	if (!(s->securing & 1 << side))
		return false;
	handshake_result(s, side, ok);
	if (!s->dialog_open)
		return true;
	/* the dialog did not ask for that of a backend that speaks TLS from the first octet */
	if (side == DIALOG_BACKEND && s->dialog.conf.backend_tls) {
		if (!ok)
			dialog_backend_failed(&s->dialog, "can't be reached by TLS");
		return true;
	}
	dialog_secured(&s->dialog, side, ok);
	return true;
}

bool session_secure_connected(struct session *s)
{
	if (!s->dialog_open || !s->dialog.conf.backend_tls)
		return false;
	begin_handshake(s, DIALOG_BACKEND);
	if (s->secure_failed & 1 << DIALOG_BACKEND) {
		handshake_result(s, DIALOG_BACKEND, false);
		dialog_backend_failed(&s->dialog, "can't be reached by TLS");
	}
	return true;
}

/* ---- the backend ---- */

/* Who the client is, for a backend that sees our address. */
static int send_header(struct session *s)
{
	char header[PROXY_HEADER_V1_MAX + PROXY_HEADER_V2_MAX];
	size_t n = 0;

	if (s->listener->conf->send == SEND_PROXY_V1)
		n = proxy_header_write_v1(&s->peer, &s->server, header);
	else if (s->listener->conf->send == SEND_PROXY_V2)
		n = proxy_header_write_v2(&s->peer, &s->server, header);
	return n ? conn_send(&s->backend, (struct sv) { header, n }) : 0;
}

static void connect_backend(struct session *s)
{
	const struct listener_conf *conf = s->listener->conf;
	int fd;

	int r = upstream_connect(session_backend(s), conf->source, conf->mode == LISTENER_TPROXY,
				 &s->peer, &fd);
	if (r == 0)
		r = conn_open(&s->backend, &s->worker->poller, fd, SESSION_OUT_MAX,
			      session_backend_ready, s);
	if (r < 0) {
		backends_failed(s->worker->server->backends, session_backend(s), -r);
		session_connect_failed(s, strerror(-r));
		return;
	}
	s->handles++;
	s->backend.connecting = true;
	s->backend.speaks_first = listener_backend_is_tls(conf);
	s->connecting_ms = clock_mono_ms();
	(void)send_header(s); /* there is room in an empty queue */
	s->backend.reading = true;
	conn_arm(&s->backend);
}

static void ops_connect(struct dialog *d)
{
	struct session *s = d->user;

	/* on failure the dialog is closing; session_settle() sees to the rest */
	connect_backend(s);
}

/* One of several backends that offers STARTTLS is enough for all to be only observed. */
static void note_starttls(struct session *s, int seen)
{
	struct listener *l = s->listener;
	int was = atomic_load_explicit(&l->starttls, memory_order_relaxed);

	if (was == seen || (was == STARTTLS_OFFERED && l->conf->backend_original))
		return;
	was = atomic_exchange_explicit(&l->starttls, seen, memory_order_relaxed);
	if (seen == STARTTLS_OFFERED && was != seen && !s->setup->conf->tls_hide)
		log_warning("id=%s listener=%s a backend offers STARTTLS: this listener only "
			    "observes; tls.hide: true takes STARTTLS away",
			    s->id, l->conf->name);
}

/* The first line has the host's name, and often the client's. */
static struct sv keywords(struct sv ehlo)
{
	const char *end = memchr(ehlo.p, '\n', ehlo.n);
	size_t first = end ? (size_t)(end + 1 - ehlo.p) : ehlo.n;

	return (struct sv) { ehlo.p + first, ehlo.n - first };
}

static bool same_offer(struct sv a, struct sv b)
{
	return sv_eq(keywords(a), keywords(b));
}

static void ops_heard(struct dialog *d, bool ehlo, struct sv reply)
{
	struct session *s = d->user;

	if (!ehlo) {
		front_learn_banner(s->listener->front, reply);
		return;
	}
	front_learn_ehlo(s->listener->front, d->client_tls, reply);
	if (d->conf.starttls != DIALOG_STARTTLS_OURS)
		note_starttls(s, d->backend_starttls ? STARTTLS_OFFERED : STARTTLS_ABSENT);
	if (d->front_told.n == 0 || same_offer(d->front_told, reply))
		return;
	/* it may have relied on what is not offered: to be told 5xx for that would be our doing.
	 * Next time the backend greets it */
	s->misled = true;
	dialog_backend_failed(d, "has changed what it offers");
}

/* ---- the client's name, for XCLIENT ---- */

static void tell_name(struct session *s, const struct client_names *names)
{
	const char *name = "[UNAVAILABLE]";

	if (names->status == DNS_FAILED)
		name = "[TEMPUNAVAIL]";
	else if (names->n > 0)
		name = names->names[0];
	dialog_client_name(&s->dialog, sv_from(name));
}

static void on_name(struct resolver_query *query, const void *result)
{
	struct session *s = query->user;

	s->naming = false;
	tell_name(s, result);
	session_settle(s);
}

static void ops_client_name(struct dialog *d)
{
	struct session *s = d->user;
	const struct client_names *known = resolver_peek_client(s->worker->port, &s->peer.addr);

	if (known) {
		tell_name(s, known);
		return;
	}
	s->name_query = (struct resolver_query) { .answer = on_name, .user = s };
	s->naming = resolver_ask(s->worker->port, RESOLVER_CLIENT, NULL, &s->peer.addr,
				 &s->name_query) == 0;
	if (!s->naming)
		dialog_client_name(d, SV("[TEMPUNAVAIL]"));
}

static void ops_trouble(struct dialog *d, const char *why)
{
	const struct session *s = d->user;
	char where[ADDR_STRLEN + 8];

	log_warning("id=%s listener=%s backend=%s: the mail server %s", s->id,
		    s->listener->conf->name, endpoint_format(session_backend(s), where), why);
}

static const struct dialog_ops dialog_ops = {
	.send = session_send,
	.rcpt_near = judge_rcpt_near,
	.rcpt = judge_rcpt,
	.rcpt_reply = judge_rcpt_reply,
	.rcpt_end = judge_rcpt_end,
	.connect = ops_connect,
	.heard = ops_heard,
	.secure = ops_secure,
	.client_name = ops_client_name,
	.trouble = ops_trouble,
};

/* ---- start ---- */

/* 60 bits in RFC 4648 base32, lower-case: unique among the sessions of this host, in the order of
 * time. */
static void make_id(struct worker_shared *w, char *out)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint64_t v = (uint64_t)clock_wall_ms() << 19 | (uint64_t)(w->number & 63) << 13 |
		     (w->next_id++ & 8191);

	for (int i = SESSION_ID_LEN - 1; i >= 0; i--, v >>= 5)
		out[i] = digits[v & 31];
	out[SESSION_ID_LEN] = '\0';
}

static enum dialog_starttls starttls_of(const struct setup *setup)
{
	if (setup->conf->tls_hide)
		return DIALOG_STARTTLS_HIDE;
	return setup->tls ? DIALOG_STARTTLS_OURS : DIALOG_STARTTLS_PASS;
}

/* The backend knows the client by its address, not by what we say of it: then nothing is done in
 * our name, and bytes can be copied. */
static bool may_relay(const struct listener_conf *conf)
{
	return conf->source == SOURCE_CLIENT && conf->send != SEND_XCLIENT;
}

static void xclient_address(const struct endpoint *e, char addr[ADDR_STRLEN + 5], char port[6])
{
	char text[ADDR_STRLEN];

	snprintf(addr, ADDR_STRLEN + 5, "%s%s",
		 addr_is_v4(&e->addr) ? "" : "IPV6:", addr_format(&e->addr, text));
	snprintf(port, 6, "%u", e->port);
}

static int make_xclient(struct session *s)
{
	struct dialog_xclient *x;

	if (s->listener->conf->send != SEND_XCLIENT)
		return 0;
	x = s->xclient = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	xclient_address(&s->peer, x->addr, x->port);
	xclient_address(&s->server, x->destaddr, x->destport);
	return 0;
}

static int start_dialog(struct session *s)
{
	static const enum dialog_upstream_tls upstream_tls[] = {
		[UPSTREAM_MIRROR] = DIALOG_UPSTREAM_MIRROR,
		[UPSTREAM_OFF] = DIALOG_UPSTREAM_OFF,
		[UPSTREAM_ALWAYS] = DIALOG_UPSTREAM_ALWAYS,
	};
	const struct listener_conf *conf = s->listener->conf;
	struct server *server = s->worker->server;
	bool tls = conf->tls == TLS_IMPLICIT;

	if (make_xclient(s) < 0)
		return -ENOMEM;
	struct dialog_conf dc = {
		.ops = &dialog_ops,
		.starttls = starttls_of(s->setup),
		.upstream_tls = upstream_tls[conf->upstream_tls],
		.client_tls = tls,
		.backend_tls = listener_backend_is_tls(conf),
		.xclient = s->xclient,
		.commands_max = s->trusted ? 0 : (uint32_t)s->setup->conf->limits.commands,
		.errors_max = s->trusted ? 0 : (uint32_t)s->setup->conf->limits.errors,
		.bare = conf->bare_newline,
		.relay_authenticated = may_relay(conf),
		.hostname = server->hostname,
		.id = s->id,
		.client = s->peer_text,
	};

	struct front_words words;
	if (!s->trusted &&
	    front_wanted(s->listener->front, &s->peer.addr, tls, clock_mono_ms(), &words)) {
		s->front = words.block;
		dc.front_banner = words.banner;
		dc.front_ehlo = words.ehlo;
		dc.front_ehlo_tls = words.ehlo_tls;
	}
	int r = dialog_init(&s->dialog, &dc, s);
	if (r < 0)
		return r;
	s->dialog_open = true;
	if (!s->front)
		connect_backend(s);
	return 0;
}

/* ---- the client ---- */

/* What was taken when nobody knew whose the connection is, is given back. */
static bool admit_client(struct session *s)
{
	const struct server *server = s->worker->server;
	char text[WORKER_REFUSAL_MAX];

	limiter_release(server->limiter, &s->ticket);
	enum limiter_outcome r = limiter_admit(
		server->limiter, &s->setup->conf->limits, &s->peer.addr,
		s->trusted ? LIMITER_TRUSTED : LIMITER_ANYBODY, clock_mono_ms(), &s->ticket);
	if (r == LIMITER_ADMITTED)
		return true;
	worker_at_limit(s->worker, s->listener, limiter_metric(r), limiter_words(r), &s->peer.addr);
	session_refuse(s, worker_refusal(s->worker, r, text));
	return false;
}

/* Who the client is, is known. */
static void open_session(struct session *s, bool behind_balancer)
{
	const struct listener_conf *conf = s->listener->conf;

	s->trusted = prefix_set_contains(&s->setup->conf->policy.trusted, &s->peer.addr);
	addr_format(&s->peer.addr, s->peer_text);
	if (behind_balancer && !admit_client(s))
		return;

	/* nothing that a trusted client says can change a verdict; but where the backend trusts our
	 * address, it is parsed on, for what the backend does is done in our name */
	if (s->trusted && may_relay(conf)) {
		s->phase = SESSION_TALKS;
		s->relay = true;
		connect_backend(s);
	} else if (conf->tls == TLS_IMPLICIT) {
		s->phase = SESSION_HANDSHAKE;
		s->deadline_ms = clock_mono_ms() + SESSION_HANDSHAKE_MS;
		begin_handshake(s, DIALOG_CLIENT);
		if (s->secure_failed)
			session_end(s);
		else
			conn_arm(&s->client);
		return;
	} else {
		s->phase = SESSION_TALKS;
		if (start_dialog(s) < 0)
			session_end(s);
	}
	session_settle(s);
}

static void header_failed(struct session *s, const char *what)
{
	log_warning("id=%s client=%s in accept_proxy: %s; closed", s->id, s->peer_text, what);
	session_end(s);
}

/* No octet behind the header is read: they may be those of a handshake. 0: the header is whole; 1:
 * more is to come; -EPROTO: it is none; -errno. */
static int read_header(struct session *s, struct proxy_header *ret_header)
{
	struct sv old = buf_view(&s->client_in);
	char *scratch = s->worker->scratch;

	ssize_t n = recv(s->client.fd, scratch + old.n, PROXY_HEADER_MAX, MSG_PEEK);
	if (n <= 0)
		return n == 0 ? -ECONNRESET : errno == EAGAIN || errno == EINTR ? 1 : -errno;
	if (old.n > 0)
		memcpy(scratch, old.p, old.n);
	struct sv all = { scratch, old.n + (size_t)n };
	enum proxy_header_outcome r = proxy_header_parse(all, ret_header);
	if (r == PROXY_HEADER_BAD)
		return -EPROTO;
	size_t take = (r == PROXY_HEADER_DONE ? ret_header->used : all.n) - old.n;
	n = conn_read(&s->client, scratch + old.n, take);
	if (n != (ssize_t)take)
		return n < 0 ? (int)n : -EPROTO;
	if (r == PROXY_HEADER_DONE)
		return 0;
	int e = buf_add(&s->client_in, scratch + old.n, take);
	return e < 0 ? e : 1;
}

static void header_ready(struct session *s)
{
	struct proxy_header header;
	int r = read_header(s, &header);

	if (r > 0)
		return;
	if (r < 0) {
		header_failed(s, r == -EPROTO       ? "no PROXY header"
				 : r == -ECONNRESET ? "gone before its PROXY header"
						    : strerror(-r));
		return;
	}
	buf_clear(&s->client_in);
	if (!header.is_local) {
		s->peer = header.source;
		s->server = header.destination;
	}
	open_session(s, true);
}

void session_opening_ready(struct session *s, int ready)
{
	if (s->dead)
		return;
	if (s->phase == SESSION_HEADER) {
		header_ready(s);
		return;
	}
	bool ok = ready & CONN_SECURED;
	handshake_result(s, DIALOG_CLIENT, ok);
	s->phase = SESSION_TALKS;
	if (!ok || start_dialog(s) < 0) {
		session_end(s);
		return;
	}
	session_settle(s);
}

void session_start(struct worker_shared *w, struct listener *listener, int fd,
		   const struct endpoint *peer, const struct endpoint *server,
		   const struct limiter_ticket *ticket)
{
	struct limiter_ticket given = *ticket;
	struct session *s = calloc(1, sizeof(*s));

	if (!s ||
	    conn_open(&s->client, &w->poller, fd, SESSION_OUT_MAX, session_client_ready, s) < 0) {
		if (!s)
			close(fd);
		free(s);
		limiter_release(w->server->limiter, &given);
		return;
	}
	s->handles = 1;
	s->ticket = given;
	s->worker = w;
	s->setup = setup_ref(w->setup);
	s->listener = listener;
	s->peer = *peer;
	s->server = s->destination = *server;
	s->backend.fd = -1;
	buf_init(&s->client_in, SESSION_IN_MAX);
	buf_init(&s->backend_in, SESSION_IN_MAX);
	worker_session_begun(w, s);
	make_id(w, s->id);
	s->client.reading = true;
	addr_format(&peer->addr, s->peer_text);
	if (!prefix_set_contains(&listener->conf->accept_proxy, &peer->addr)) {
		open_session(s, false);
		return;
	}
	s->deadline_ms = clock_mono_ms() + HEADER_MS;
	conn_arm(&s->client);
}
