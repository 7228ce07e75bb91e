/*
 * The kernel is given a descriptor and a serial number, not a pointer: an event that was fetched
 * before its watch was closed finds nobody, and so does one of a socket that outlives its
 * descriptor here because a child has it until it executes its program.
 */
#include "proxy/poller.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 256
#define LOOP_ITSELF    UINT64_MAX /* no descriptor is -1 */

int poller_init(struct poller *p, uv_loop_t *loop)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = LOOP_ITSELF };

	*p = (struct poller) { .loop = loop };
	p->closing_end = &p->closing;
	p->fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->fd < 0)
		return -errno;
	if (epoll_ctl(p->fd, EPOLL_CTL_ADD, uv_backend_fd(loop), &e) < 0) {
		int r = -errno;
		close(p->fd);
		p->fd = -1;
		return r;
	}
	return 0;
}

void poller_deinit(struct poller *p)
{
	INVARIANT(!p->closing);
	close(p->fd);
	free(p->by_fd);
	p->fd = -1;
	p->by_fd = NULL;
	p->n_by_fd = 0;
}

/* ---- a turn ---- */

static void close_all(struct poller *p)
{
	for (struct watch *w; (w = p->closing);) {
		p->closing = w->next;
		if (!w->next)
			p->closing_end = &p->closing;
		w->closed(w);
	}
}

static void serve(struct poller *p, const struct epoll_event *e)
{
	size_t fd = (uint32_t)e->data.u64;
	struct watch *w = fd < p->n_by_fd ? p->by_fd[fd] : NULL;
	int ready = 0;

	if (!w || w->serial != e->data.u64 >> 32)
		return;
	if (e->events & EPOLLERR) {
		(void)watch_want(w, 0);
		w->ready(w, POLLER_BROKEN);
		return;
	}
	if (e->events & EPOLLIN)
		ready |= POLLER_READABLE;
	if (e->events & EPOLLOUT)
		ready |= POLLER_WRITABLE;
	/* reading and writing will both tell */
	if (e->events & EPOLLHUP)
		ready |= POLLER_READABLE | POLLER_WRITABLE;
	ready &= w->wanted; /* less may be wanted since the event was fetched */
	if (ready)
		w->ready(w, ready);
}

bool poller_turn(struct poller *p, bool wait)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	bool loop;

	uv_update_time(p->loop);
	int timeout = p->closing || !wait ? 0 : uv_backend_timeout(p->loop);
	int n = epoll_wait(p->fd, events, EVENTS_AT_ONCE, timeout);
	/* time is up for a timer, or the loop has something that doesn't wait */
	loop = n <= 0 || timeout == 0;
	for (int i = 0; i < n; i++) {
		if (events[i].data.u64 == LOOP_ITSELF)
			loop = true;
		else
			serve(p, &events[i]);
	}
	close_all(p);
	if (!loop)
		return true;
	bool alive = uv_run(p->loop, UV_RUN_NOWAIT) != 0;
	close_all(p);
	return alive || uv_loop_alive(p->loop);
}

/* ---- watches ---- */

static int make_room(struct poller *p, size_t fd)
{
	size_t n = p->n_by_fd ? p->n_by_fd : 64;

	if (fd < p->n_by_fd)
		return 0;
	while (n <= fd)
		n *= 2;
	struct watch **grown = realloc(p->by_fd, n * sizeof(struct watch *));
	if (!grown)
		return -ENOMEM;
	for (size_t i = p->n_by_fd; i < n; i++)
		grown[i] = NULL;
	p->by_fd = grown;
	p->n_by_fd = n;
	return 0;
}

int watch_open(struct watch *w, struct poller *p, int fd, watch_ready_fn ready)
{
	int r = make_room(p, (size_t)fd);

	if (r < 0)
		return r;
	*w = (struct watch) { .poller = p, .fd = fd, .ready = ready, .serial = ++p->serial };
	INVARIANT(!p->by_fd[fd]);
	p->by_fd[fd] = w;
	return 0;
}

int watch_want(struct watch *w, int wanted)
{
	struct epoll_event e = { .data.u64 = (uint64_t)w->serial << 32 | (uint32_t)w->fd };
	int op = !wanted ? EPOLL_CTL_DEL : !w->wanted ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (wanted == w->wanted)
		return 0;
	if (wanted & POLLER_READABLE)
		e.events |= EPOLLIN;
	if (wanted & POLLER_WRITABLE)
		e.events |= EPOLLOUT;
	if (epoll_ctl(w->poller->fd, op, w->fd, &e) < 0)
		return -errno;
	w->wanted = wanted;
	return 0;
}

static void forget(struct watch *w, watch_closed_fn closed)
{
	struct poller *p = w->poller;

	INVARIANT(p->by_fd[w->fd] == w);
	p->by_fd[w->fd] = NULL;
	w->closed = closed;
	w->next = NULL;
	*p->closing_end = w;
	p->closing_end = &w->next;
}

void watch_close(struct watch *w, watch_closed_fn closed)
{
	forget(w, closed);
	close(w->fd); /* the kernel waits for it no more */
}

void watch_detach(struct watch *w, watch_closed_fn closed)
{
	(void)watch_want(w, 0);
	forget(w, closed);
}
