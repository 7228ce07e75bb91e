#include "proxy/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/marks.h"
#include "proxy/judge.h"
#include "proxy/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

#define BACKLOG        4096
#define ACCEPT_AT_ONCE 64

struct door_socket { /* one listening socket */
	uv_poll_t poll;
	struct worker *worker;
	struct listener *listener;
	int fd;
	uint16_t port;
	bool paused; /* no descriptors left: tried again with the next tick */
};

struct worker {
	struct worker_shared shared;
	pthread_t thread;
	uv_async_t drain;
	uv_timer_t tick;
	struct door_socket *sockets;
	size_t n_sockets;
	struct session *sessions;
	size_t n_sessions;
	_Atomic int64_t drain_limit_ms;
	int64_t drain_until_ms;
	bool stopping;
	_Atomic bool done;
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
	atomic_fetch_add_explicit(&shared->server->sessions_total, 1, memory_order_relaxed);
}

static void stop_if_done(struct worker *w)
{
	if (!w->shared.draining || w->n_sessions > 0 || w->stopping)
		return;
	w->stopping = true;
	judge_stop(&w->shared);
	resolver_port_free(w->shared.port);
	uv_close((uv_handle_t *)&w->drain, NULL);
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
	stop_if_done(w);
}

/* ---- accepting ---- */

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void accept_pause(struct door_socket *d)
{
	uv_poll_stop(&d->poll);
	d->paused = true;
	log_error("listener=%s error=\"%s\" can't accept; trying again each second",
		  d->listener->conf->name, strerror(errno));
}

/* text is in the clear: not to a client that expects a handshake. */
static void say_and_close(const struct listener *l, int fd, const char *text)
{
	if (l->conf->tls == TLS_STARTTLS)
		(void)!send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
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
	const struct policy *policy = &d->worker->shared.server->conf->policy;

	if (l->mode == LISTENER_LISTEN)
		return true;
	return server->port == l->port &&
	       prefix_set_contains(&policy->server_addresses, &server->addr) &&
	       (server->port != d->port || !is_local(&server->addr));
}

static bool accept_one(struct door_socket *d)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint peer, server;

	int fd = accept4(d->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			accept_pause(d);
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
	if (atomic_load_explicit(&d->listener->closed, memory_order_relaxed)) {
		say_and_close(d->listener, fd,
			      "421 4.3.0 The mail server can't be reached; try again later\r\n");
		return true;
	}
	session_start(&d->worker->shared, d->listener, fd, &peer, &server);
	return true;
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
	struct door_socket *d = CONTAINER_OF(poll, struct door_socket, poll);

	for (int i = 0; i < ACCEPT_AT_ONCE; i++)
		if (!accept_one(d))
			break;
}

/* Takes connections to other hosts' addresses; they inherit the mark. */
static int set_transparent(int fd, int family)
{
	uint32_t mark = MARK_CLIENT;
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return -1;
	if (family == AF_INET)
		return setsockopt(fd, SOL_IP, IP_TRANSPARENT, &one, sizeof(one));
	return setsockopt(fd, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof(one));
}

static int listen_on(const struct listener_conf *conf, const struct endpoint *bind_to, bool shared,
		     int *ret_fd)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(bind_to, false, &sa);
	int one = 1;

	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int r = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (r == 0 && shared)
		r = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (r == 0 && sa.ss_family == AF_INET6)
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (r == 0 && conf->mode == LISTENER_TPROXY)
		r = set_transparent(fd, sa.ss_family);
	if (r == 0)
		r = bind(fd, (struct sockaddr *)&sa, len);
	if (r == 0)
		r = listen(fd, BACKLOG);
	if (r < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* The workers share a port; so would another frontdoor, with half of the clients each. */
static int claim(struct worker *w, struct listener *listener, const struct endpoint *bind_to)
{
	int fd;

	if (w->shared.number > 0 || bind_to->port == 0)
		return 0;
	int r = listen_on(listener->conf, bind_to, false, &fd);
	if (r == 0)
		close(fd);
	return r;
}

static int open_socket(struct worker *w, struct listener *listener, const struct endpoint *bind_to)
{
	struct door_socket *d = &w->sockets[w->n_sockets];
	char where[ADDR_STRLEN + 8];
	int fd = -1;

	int r = claim(w, listener, bind_to);
	if (r == 0)
		r = listen_on(listener->conf, bind_to, true, &fd);
	if (r < 0) {
		log_error("listener=%s bind=%s error=\"%s\" can't listen", listener->conf->name,
			  endpoint_format(bind_to, where), strerror(-r));
		return 1;
	}
	*d = (struct door_socket) {
		.worker = w, .listener = listener, .fd = fd, .port = bind_to->port
	};
	r = uv_poll_init(&w->shared.loop, &d->poll, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	w->n_sockets++;
	return uv_poll_start(&d->poll, UV_READABLE, on_acceptable);
}

static int open_sockets(struct worker *w)
{
	struct server *server = w->shared.server;
	size_t n = 0;

	for (size_t i = 0; i < server->conf->n_listeners; i++)
		n += server->conf->listeners[i].n_bind;
	w->sockets = calloc(n, sizeof(*w->sockets));
	if (!w->sockets)
		return -ENOMEM;
	for (size_t i = 0; i < server->conf->n_listeners; i++) {
		const struct listener_conf *conf = &server->conf->listeners[i];
		for (size_t k = 0; k < conf->n_bind; k++) {
			int r = open_socket(w, &server->listeners[i], &conf->bind[k]);
			if (r != 0)
				return r;
		}
	}
	return 0;
}

/* ---- time ---- */

static void on_tick(uv_timer_t *timer)
{
	struct worker *w = timer->data;
	int64_t now = clock_mono_ms();

	tarpit_tick(w->shared.tarpit);
	for (struct session *s = w->sessions, *next; s; s = next) {
		next = s->next;
		session_check_time(s, now);
	}
	for (size_t i = 0; i < w->n_sockets; i++)
		if (w->sockets[i].paused) {
			w->sockets[i].paused = false;
			uv_poll_start(&w->sockets[i].poll, UV_READABLE, on_acceptable);
		}
	if (w->shared.draining && now >= w->drain_until_ms)
		for (struct session *s = w->sessions, *next; s; s = next) {
			next = s->next;
			session_kill(s);
		}
}

static void on_drain(uv_async_t *async)
{
	struct worker *w = async->data;
	int64_t limit = atomic_load(&w->drain_limit_ms);

	w->drain_until_ms = clock_mono_ms() + limit;
	if (!w->shared.draining) {
		w->shared.draining = true;
		for (size_t i = 0; i < w->n_sockets; i++) {
			uv_close((uv_handle_t *)&w->sockets[i].poll, NULL);
			close(w->sockets[i].fd);
		}
		w->n_sockets = 0;
	}
	for (struct session *s = w->sessions, *next; s; s = next) {
		next = s->next;
		session_drain(s);
	}
	stop_if_done(w);
}

void worker_drain(struct worker *w, int64_t limit_ms)
{
	atomic_store(&w->drain_limit_ms, limit_ms);
	uv_async_send(&w->drain);
}

/* ---- life ---- */

static void *run(void *arg)
{
	struct worker *w = arg;

	uv_run(&w->shared.loop, UV_RUN_DEFAULT);
	atomic_store(&w->done, true);
	return NULL;
}

static int worker_init(struct worker *w)
{
	uv_loop_t *loop = &w->shared.loop;
	int r = uv_loop_init(loop);

	if (r < 0)
		return r;
	w->drain.data = w->tick.data = w;
	if ((r = uv_async_init(loop, &w->drain, on_drain)) < 0 ||
	    (r = uv_timer_init(loop, &w->tick)) < 0 ||
	    (r = uv_timer_start(&w->tick, on_tick, 1000, 1000)) < 0 ||
	    (r = tarpit_new(w->shared.server->tarpit_max, &w->shared.tarpit)) < 0 ||
	    (r = resolver_port_new(w->shared.server->resolver, loop, &w->shared.port)) < 0)
		return r;
	return open_sockets(w);
}

int worker_new(struct server *server, int number, struct worker **ret_worker)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->shared.server = server;
	w->shared.number = number;
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
	uv_loop_close(&w->shared.loop);
	tarpit_free(w->shared.tarpit);
	free(w->sockets);
	free(w);
}
