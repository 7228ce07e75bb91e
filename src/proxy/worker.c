/*
 * A worker's thread from its start to its end: its listening sockets and who is let in by them,
 * what changes under it, the looks of each second. A little long, but all of it is about struct
 * worker, which nobody else looks into; sessions, limits, sockets and the poller are files of their
 * own.
 */
#include "proxy/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/backends.h"
#include "proxy/judge.h"
#include "proxy/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CANT_BE_REACHED SV("421 4.3.0 The mail server can't be reached; try again later\r\n")

#define ACCEPT_AT_ONCE 64
#define ACCEPT_LAST    4096 /* from a socket that goes: its backlog */

struct change;

struct door_socket { /* one listening socket */
	struct watch watch;
	struct door_socket *next; /* the worker's */
	struct worker *worker;
	struct listener *listener;
	int fd;
	uint16_t port;
	bool paused; /* no descriptors left: tried again with the next tick */
};

struct worker {
	struct worker_shared shared;
	pthread_t thread;
	uv_async_t wake;
	uv_timer_t tick;
	int workers;
	struct door_socket *doors;
	struct sockets *sockets; /* NULL: drained */
	struct change *_Atomic change;
	struct session *sessions;
	size_t n_sessions;
	_Atomic int64_t drain_limit_ms; /* < 0: nobody wants that */
	_Atomic int64_t gentle_ms, gentle_limit_ms;
	bool handed_over;
	int64_t gentle_until_ms, drain_until_ms;
	int spare; /* descriptor that makes room for a connection to be refused; -1: none */
	bool stopping;
	_Atomic bool done;
	_Atomic bool answered; /* its loop has turned since the last worker_answers() */
	uv_async_t question;
};

static struct worker *worker_of(struct worker_shared *w)
{
	return CONTAINER_OF(w, struct worker, shared);
}

/* ---- sessions ---- */

void worker_session_begun(struct worker_shared *shared, struct session *s)
{
	struct worker *w = worker_of(shared);

	s->next = w->sessions;
	if (s->next)
		s->next->prev = s;
	w->sessions = s;
	w->n_sessions++;
	s->begun_ms = clock_mono_ms();
	metrics_add(&shared->server->metrics, METRIC_SESSIONS, 1);
}

static void stop_if_done(struct worker *w)
{
	if ((!w->shared.draining && !w->handed_over) || w->n_sessions > 0 || w->stopping)
		return;
	w->stopping = true;
	judge_stop(&w->shared);
	resolver_port_free(w->shared.port);
	w->shared.port = NULL;
	uv_close((uv_handle_t *)&w->wake, NULL);
	uv_close((uv_handle_t *)&w->question, NULL);
	uv_close((uv_handle_t *)&w->tick, NULL);
}

void worker_session_ended(struct worker_shared *shared, struct session *s)
{
	struct worker *w = worker_of(shared);

	if (s->prev)
		s->prev->next = s->next;
	else
		w->sessions = s->next;
	if (s->next)
		s->next->prev = s->prev;
	w->n_sessions--;
	metrics_add(&shared->server->metrics, METRIC_SESSIONS_ENDED, 1);
	histogram_add(&shared->server->metrics.session_time, clock_mono_ms() - s->begun_ms);
	stop_if_done(w);
}

/* ---- accepting ---- */

void worker_at_limit(struct worker_shared *shared, const struct listener *listener,
		     enum metric metric, const char *words, const struct addr *client)
{
	struct server *server = shared->server;
	char text[256], where[ADDR_STRLEN];
	uint64_t n;

	metrics_add(&server->metrics, metric, 1);
	if (!limiter_tell(server->limiter, metric, clock_mono_ms(), &n))
		return;
	snprintf(text, sizeof(text), "limit=%s listener=%s client=%s times=%llu: %s",
		 metric_name(metric), listener->conf->name,
		 client ? addr_format(client, where) : "-", (unsigned long long)n, words);
	log_warning("%s", text);
	event_emit_note(server->events, "limit", text);
}

struct sv worker_refusal(const struct worker_shared *shared, enum limiter_outcome why,
			 char out[WORKER_REFUSAL_MAX])
{
	int n = snprintf(out, WORKER_REFUSAL_MAX, "421 %s %s: %s; try again later\r\n",
			 limiter_code(why), shared->server->hostname, limiter_words(why));

	return (struct sv) { out, (size_t)n };
}

static void accept_pause(struct door_socket *d, const char *why)
{
	char words[128];

	(void)watch_want(&d->watch, 0);
	d->paused = true;
	snprintf(words, sizeof(words), "can't accept: %s; trying again each second", why);
	worker_at_limit(&d->worker->shared, d->listener, METRIC_LIMIT_TOTAL, words, NULL);
}

/* text is in the clear: not to a client that expects a handshake. */
static void say_and_close(const struct listener *l, int fd, struct sv text)
{
	if (l->conf->tls == TLS_STARTTLS)
		(void)!send(fd, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

/* No path: none may be open to us. */
static void keep_spare(struct worker *w)
{
	if (w->spare < 0)
		w->spare = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/*
 * All descriptors are in use: whoever waits in the backlog would wait, and the socket would be
 * reported again at once for ever. The spare one lets us tell them. false: not even that is left.
 */
static bool refuse_for_want(struct door_socket *d)
{
	struct worker *w = d->worker;
	char text[WORKER_REFUSAL_MAX];
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (w->spare < 0)
		return false;
	close(w->spare);
	w->spare = -1;
	int fd = accept4(d->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int error = errno;
	if (fd >= 0) {
		worker_at_limit(&w->shared, d->listener, METRIC_LIMIT_TOTAL, "no descriptors left",
				NULL);
		say_and_close(d->listener, fd, worker_refusal(&w->shared, LIMITER_TOTAL, text));
	}
	keep_spare(w);
	return fd >= 0 || error != EMFILE;
}

/* false: it was refused, and is closed. */
static bool admit(struct door_socket *d, int fd, const struct addr *peer,
		  struct limiter_ticket *ret_ticket)
{
	struct worker_shared *w = &d->worker->shared;
	const struct conf *conf = w->setup->conf;
	enum limiter_who who = LIMITER_ANYBODY;
	char text[WORKER_REFUSAL_MAX];

	if (prefix_set_contains(&d->listener->conf->accept_proxy, peer))
		who = LIMITER_BALANCER;
	else if (prefix_set_contains(&conf->policy.trusted, peer))
		who = LIMITER_TRUSTED;
	enum limiter_outcome r = limiter_admit(w->server->limiter, &conf->limits, peer, who,
					       clock_mono_ms(), ret_ticket);
	if (r == LIMITER_ADMITTED)
		return true;
	worker_at_limit(w, d->listener, limiter_metric(r), limiter_words(r), peer);
	say_and_close(d->listener, fd, worker_refusal(w, r, text));
	return false;
}

/* Does this host have it? Only such an address can be bound to. */
static bool is_local(const struct addr *addr)
{
	struct endpoint e = { .addr = *addr };
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&e, false, &sa);

	int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;
	bool local = bind(fd, (struct sockaddr *)&sa, len) == 0;
	close(fd);
	return local;
}

/*
 * A connection whose destination is none of ours would make us an open proxy, and one to another
 * port than the listener's would get what is meant for other clients (a listener without
 * require_auth, say). One that asked for our own port, which a wildcard listener on the mail
 * server's host takes, would come back to us for ever.
 */
static bool destination_is_ours(const struct door_socket *d, const struct endpoint *server)
{
	const struct listener_conf *l = d->listener->conf;
	const struct policy *policy = &d->worker->shared.setup->conf->policy;

	if (l->mode == LISTENER_LISTEN)
		return true;
	return server->port == l->port &&
	       prefix_set_contains(&policy->server_addresses, &server->addr) &&
	       (server->port != d->port || !is_local(&server->addr));
}

static bool is_down(const struct door_socket *d, const struct endpoint *server)
{
	const struct listener_conf *conf = d->listener->conf;

	return backends_is_down(d->worker->shared.server->backends,
				conf->backend_original ? server : &conf->backend,
				conf->source == SOURCE_CLIENT);
}

static bool accept_one(struct door_socket *d)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint peer, server;
	struct limiter_ticket ticket;

	int fd = accept4(d->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		int error = errno;
		if ((error == EMFILE || error == ENFILE) && refuse_for_want(d))
			return true;
		errno = error;
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			accept_pause(d, strerror(error));
		else if (errno != EAGAIN && errno != EWOULDBLOCK)
			return true; /* that connection is gone: the next one */
		return false;
	}
	int r = endpoint_from_sockaddr((struct sockaddr *)&sa, &peer);
	len = sizeof(sa);
	if (r == 0 && getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
		r = endpoint_from_sockaddr((struct sockaddr *)&sa, &server);
	else
		r = -EINVAL;
	if (r < 0 || !destination_is_ours(d, &server)) {
		close(fd);
		return true;
	}
	/* closed: what the backend would do for us isn't known until it answers */
	if (atomic_load_explicit(&d->listener->closed, memory_order_relaxed) ||
	    is_down(d, &server)) {
		metrics_add(&d->worker->shared.server->metrics, METRIC_BACKEND_DOWN, 1);
		say_and_close(d->listener, fd, CANT_BE_REACHED);
		return true;
	}
	if (admit(d, fd, &peer.addr, &ticket))
		session_start(&d->worker->shared, d->listener, fd, &peer, &server, &ticket);
	return true;
}

static void on_acceptable(struct watch *watch, int ready)
{
	struct door_socket *d = CONTAINER_OF(watch, struct door_socket, watch);

	for (int i = 0; i < ACCEPT_AT_ONCE; i++)
		if (!accept_one(d))
			break;
}

/* ---- sockets ---- */

static void door_closed(struct watch *watch)
{
	free(CONTAINER_OF(watch, struct door_socket, watch));
}

/* The descriptor is the set's. */
static void door_close(struct door_socket *d)
{
	watch_detach(&d->watch, door_closed);
}

static void close_doors(struct worker *w)
{
	for (struct door_socket *d; (d = w->doors);) {
		w->doors = d->next;
		door_close(d);
	}
	sockets_unref(w->sockets);
	w->sockets = NULL;
}

static int door_open(struct worker *w, const struct socket_row *row)
{
	struct door_socket *d = calloc(1, sizeof(*d));
	int one = 1;

	if (!d)
		return -ENOMEM;
	*d = (struct door_socket) { .worker = w,
				    .listener = &w->shared.setup->listeners[row->listener],
				    .fd = row->fd,
				    .port = row->bind.port };
	/* the connections inherit it */
	(void)setsockopt(row->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	int r = watch_open(&d->watch, &w->shared.poller, row->fd, on_acceptable);
	if (r < 0) {
		free(d);
		return r;
	}
	d->next = w->doors;
	w->doors = d;
	return watch_want(&d->watch, POLLER_READABLE);
}

static struct door_socket *find_door(const struct worker *w, int fd)
{
	for (struct door_socket *d = w->doors; d; d = d->next)
		if (d->fd == fd)
			return d;
	return NULL;
}

/* Those of the set that are this worker's. */
static int open_doors(struct worker *w)
{
	int r = 0;

	for (size_t i = 0; i < w->sockets->n && r == 0; i++) {
		const struct socket_row *row = &w->sockets->rows[i];
		if (row->slot % w->workers != w->shared.number)
			continue;
		struct door_socket *d = find_door(w, row->fd);
		if (d)
			d->listener = &w->shared.setup->listeners[row->listener];
		else
			r = door_open(w, row);
	}
	return r;
}

/* ---- a new configuration ---- */

struct change {
	struct setup *setup;
	struct sockets *sockets;
};

static void change_free(struct change *c)
{
	if (!c)
		return;
	setup_unref(c->setup);
	sockets_unref(c->sockets);
	free(c);
}

/* Clients that are through to a socket that goes are served as those before. */
static void close_gone(struct worker *w, const struct sockets *now)
{
	for (struct door_socket **at = &w->doors, *d; (d = *at);) {
		if (sockets_has(now, d->fd)) {
			at = &d->next;
			continue;
		}
		for (int i = 0; i < ACCEPT_LAST && accept_one(d); i++)
			;
		*at = d->next;
		door_close(d);
	}
}

static void take_change(struct worker *w)
{
	struct change *c = atomic_exchange(&w->change, NULL);

	if (!c || w->shared.draining || w->handed_over) {
		change_free(c);
		return;
	}
	close_gone(w, c->sockets);
	struct change old = { w->shared.setup, w->sockets };
	w->shared.setup = c->setup;
	w->sockets = c->sockets;
	int r = open_doors(w);
	if (r < 0)
		log_error("error=\"%s\" a worker can't listen; others do", strerror(-r));
	setup_unref(old.setup);
	sockets_unref(old.sockets);
	free(c);
}

int worker_change(struct worker *w, struct setup *setup, struct sockets *sockets)
{
	struct change *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = (struct change) { setup_ref(setup), sockets_ref(sockets) };
	change_free(atomic_exchange(&w->change, c));
	if (!worker_is_done(w))
		uv_async_send(&w->wake);
	return 0;
}

/* ---- time ---- */

static void drain(struct worker *w)
{
	close_doors(w);
	w->shared.draining = true;
	for (struct session *s = w->sessions, *next; s; s = next) {
		next = s->next;
		session_drain(s);
	}
	stop_if_done(w);
}

static void on_tick(uv_timer_t *timer)
{
	struct worker *w = timer->data;
	int64_t now = clock_mono_ms();

	size_t dripped = tarpit_count(w->shared.tarpit);
	tarpit_tick(w->shared.tarpit);
	limiter_undrip(w->shared.server->limiter, dripped - tarpit_count(w->shared.tarpit));
	keep_spare(w);
	for (struct session *s = w->sessions, *next; s; s = next) {
		next = s->next;
		session_check_time(s, now);
	}
	for (struct door_socket *d = w->doors; d; d = d->next)
		if (d->paused) {
			d->paused = false;
			(void)watch_want(&d->watch, POLLER_READABLE);
		}
	if (w->handed_over && !w->shared.draining && now >= w->gentle_until_ms)
		drain(w);
	if ((w->shared.draining || w->handed_over) && now >= w->drain_until_ms)
		for (struct session *s = w->sessions, *next; s; s = next) {
			next = s->next;
			session_kill(s);
		}
}

static void on_question(uv_async_t *async)
{
	struct worker *w = async->data;

	atomic_store(&w->answered, true);
}

bool worker_answers(struct worker *w)
{
	if (atomic_load(&w->done)) /* its sessions are over: nobody waits for it */
		return true;
	bool answered = atomic_exchange(&w->answered, false);
	uv_async_send(&w->question);
	return answered;
}

static void on_wake(uv_async_t *async)
{
	struct worker *w = async->data;
	int64_t limit = atomic_load(&w->drain_limit_ms), gentle = atomic_load(&w->gentle_ms);
	int64_t now = clock_mono_ms();

	take_change(w);
	if (limit >= 0) {
		w->drain_until_ms = now + limit;
		drain(w);
	} else if (gentle >= 0 && !w->handed_over) {
		w->handed_over = true;
		w->gentle_until_ms = now + gentle;
		w->drain_until_ms = now + atomic_load(&w->gentle_limit_ms);
		close_doors(w);
		stop_if_done(w);
	}
}

void worker_drain(struct worker *w, int64_t limit_ms)
{
	atomic_store(&w->drain_limit_ms, limit_ms);
	uv_async_send(&w->wake);
}

void worker_hand_over(struct worker *w, int64_t gentle_ms, int64_t limit_ms)
{
	atomic_store(&w->gentle_limit_ms, limit_ms);
	atomic_store(&w->gentle_ms, gentle_ms);
	uv_async_send(&w->wake);
}

/* ---- life ---- */

static void *run(void *arg)
{
	struct worker *w = arg;

	/* no door is looked at while a worker waits */
	do {
		if (w->shared.port)
			resolver_port_rest(w->shared.port);
	} while (poller_turn(&w->shared.poller, true));
	atomic_store(&w->done, true);
	return NULL;
}

static int worker_init(struct worker *w)
{
	uv_loop_t *loop = &w->shared.loop;
	int r = uv_loop_init(loop);

	if (r < 0 || (r = poller_init(&w->shared.poller, loop)) < 0)
		return r;
	w->wake.data = w->tick.data = w->question.data = w;
	w->answered = true;
	w->spare = -1;
	keep_spare(w);
	if ((r = uv_async_init(loop, &w->wake, on_wake)) < 0 ||
	    (r = uv_async_init(loop, &w->question, on_question)) < 0 ||
	    (r = uv_timer_init(loop, &w->tick)) < 0 ||
	    (r = uv_timer_start(&w->tick, on_tick, 1000, 1000)) < 0 ||
	    (r = tarpit_new(w->shared.server->tarpit_max, &w->shared.tarpit)) < 0 ||
	    (r = resolver_port_new(w->shared.server->resolver, loop, &w->shared.port)) < 0)
		return r;
	return open_doors(w);
}

int worker_new(const struct worker_conf *conf, struct worker **ret_worker)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->shared.server = conf->server;
	w->shared.number = conf->number;
	w->shared.setup = setup_ref(conf->setup);
	w->sockets = sockets_ref(conf->sockets);
	w->workers = conf->workers;
	w->shared.pipe[0] = w->shared.pipe[1] = -1;
	w->drain_limit_ms = w->gentle_ms = -1;
	/* on failure the program ends: nothing is taken back here */
	int r = worker_init(w);
	if (r == 0)
		r = -pthread_create(&w->thread, NULL, run, w);
	if (r != 0)
		return r;
	*ret_worker = w;
	return 0;
}

bool worker_is_done(const struct worker *w)
{
	return atomic_load(&((struct worker *)w)->done);
}

void worker_join(struct worker *w)
{
	pthread_join(w->thread, NULL);
	poller_deinit(&w->shared.poller);
	uv_loop_close(&w->shared.loop);
	tarpit_free(w->shared.tarpit);
	for (int i = 0; i < 2; i++)
		if (w->shared.pipe[i] >= 0)
			close(w->shared.pipe[i]);
	if (w->spare >= 0)
		close(w->spare);
	change_free(atomic_exchange(&w->change, NULL));
	setup_unref(w->shared.setup);
	free(w);
}
