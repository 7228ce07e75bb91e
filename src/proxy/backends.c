#include "proxy/backends.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "proxy/proxy_header.h"
#include "proxy/upstream.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SILENT           (-1) /* as an error: no greeting */
#define GREETED          256
#define AGAIN_MS         1000
#define FORGET_MS        (10 * 60 * 1000)
#define CONTRADICTED_MAX 2

enum state { UNUSED, SUSPECT, DOWN, MUTE /* the probe is no judge of it */ };

struct probing;

struct backend {
	enum state state;
	struct endpoint at;
	int64_t probed_ms, wanted_ms; /* the last time */
	int64_t tried_ms;             /* a session was let through */
	int contradicted;             /* sessions that reached it while it was down */
	int64_t patience_ms;          /* > 0: what is missed is its greeting, for so long */
	enum listener_send send;
	struct probing *probing; /* the loop's thread's */
};

struct probing {
	uv_poll_t poll;
	struct backends *all;
	struct backend *backend;
	int fd;
	int64_t until_ms;
	bool connected; /* waits for the greeting */
};

struct backends {
	struct event_sink *events;
	pthread_mutex_t lock;
	struct backend table[BACKENDS_MAX];
	_Atomic size_t n_used, n_down;       /* read without the lock */
	_Atomic int64_t greeted_ms[GREETED]; /* the last greeting, by a hash of whose it was */
	size_t n_probing, first;
	uv_loop_t *loop; /* NULL: does not probe */
	uv_async_t wake;
	uv_timer_t tick;
};

/* ---- under the lock ---- */

static struct backend *find(struct backends *b, const struct endpoint *at)
{
	for (size_t i = 0; i < BACKENDS_MAX; i++) {
		struct backend *e = &b->table[i];
		if (e->state != UNUSED && e->at.port == at->port && addr_eq(&e->at.addr, &at->addr))
			return e;
	}
	return NULL;
}

static void set_state(struct backends *b, struct backend *e, enum state state)
{
	atomic_fetch_add(&b->n_down, (size_t)(state == DOWN) - (size_t)(e->state == DOWN));
	atomic_fetch_add(&b->n_used, (size_t)(state != UNUSED) - (size_t)(e->state != UNUSED));
	e->state = state;
}

static struct backend *add(struct backends *b, const struct endpoint *at)
{
	for (size_t i = 0; i < BACKENDS_MAX; i++) {
		struct backend *e = &b->table[i];
		if (e->state != UNUSED || e->probing)
			continue;
		*e = (struct backend) { .at = *at, .probed_ms = -AGAIN_MS };
		set_state(b, e, SUSPECT);
		return e;
	}
	return NULL;
}

/* Somebody got through while it was taken for down. */
static void contradict(struct backends *b, struct backend *e)
{
	e->contradicted++;
	set_state(b, e, e->contradicted >= CONTRADICTED_MAX ? MUTE : SUSPECT);
}

/* Known already, or remembered from now on; NULL: there is no room. */
static struct backend *suspect(struct backends *b, const struct endpoint *at, bool *ret_news)
{
	struct backend *e = find(b, at);

	*ret_news = false;
	if (!e) {
		e = add(b, at);
		*ret_news = e && b->loop;
	}
	if (e)
		e->wanted_ms = clock_mono_ms();
	return e;
}

/* ---- workers ---- */

bool backends_is_down(struct backends *b, const struct endpoint *at, bool as_client)
{
	int64_t now = clock_mono_ms();
	bool down = false;

	if (atomic_load_explicit(&b->n_down, memory_order_relaxed) == 0)
		return false;
	pthread_mutex_lock(&b->lock);
	struct backend *e = find(b, at);
	if (e && e->state == DOWN) {
		down = !as_client || now - e->tried_ms < AGAIN_MS;
		e->wanted_ms = now;
		if (!down)
			e->tried_ms = now;
	}
	pthread_mutex_unlock(&b->lock);
	return down;
}

/* Says a failed connection something of the backend, or of us and the client? */
static bool is_backends_fault(int error)
{
	return error == ECONNREFUSED || error == ETIMEDOUT || error == EHOSTUNREACH ||
	       error == ENETUNREACH || error == ECONNRESET || error == EHOSTDOWN ||
	       error == ENETDOWN;
}

void backends_failed(struct backends *b, const struct endpoint *at, int error)
{
	bool news = false;

	if (!is_backends_fault(error))
		return;
	pthread_mutex_lock(&b->lock);
	(void)suspect(b, at, &news);
	if (news)
		uv_async_send(&b->wake);
	pthread_mutex_unlock(&b->lock);
}

void backends_reached(struct backends *b, const struct endpoint *at)
{
	if (atomic_load_explicit(&b->n_used, memory_order_relaxed) == 0)
		return;
	pthread_mutex_lock(&b->lock);
	struct backend *e = find(b, at);
	if (e && e->state == DOWN && e->patience_ms == 0)
		contradict(b, e);
	pthread_mutex_unlock(&b->lock);
}

static _Atomic int64_t *greeted(struct backends *b, const struct endpoint *at)
{
	struct sv key = { (const char *)at->addr.b, sizeof(at->addr.b) };

	return &b->greeted_ms[(map_hash(key) + at->port) % GREETED];
}

void backends_greeted(struct backends *b, const struct endpoint *at)
{
	atomic_store_explicit(greeted(b, at), clock_mono_ms(), memory_order_relaxed);
	if (atomic_load_explicit(&b->n_used, memory_order_relaxed) == 0)
		return;
	pthread_mutex_lock(&b->lock);
	struct backend *e = find(b, at);
	if (e && e->state == DOWN && e->patience_ms > 0)
		contradict(b, e);
	pthread_mutex_unlock(&b->lock);
}

void backends_silent(struct backends *b, const struct endpoint *at, enum listener_send send,
		     int64_t since_ms, int64_t patience_ms)
{
	bool news;

	if (atomic_load_explicit(greeted(b, at), memory_order_relaxed) >= since_ms)
		return;
	pthread_mutex_lock(&b->lock);
	struct backend *e = suspect(b, at, &news);
	if (news) {
		e->patience_ms = patience_ms;
		e->send = send;
		uv_async_send(&b->wake);
	}
	pthread_mutex_unlock(&b->lock);
}

size_t backends_down(const struct backends *b)
{
	return atomic_load(&((struct backends *)b)->n_down);
}

/* ---- probing ---- */

static void tell(struct backends *b, const struct endpoint *at, int error)
{
	char where[ADDR_STRLEN + 8], text[256];

	endpoint_format(at, where);
	if (error) {
		snprintf(text, sizeof(text),
			 "backend=%s error=\"%s\" is down: new sessions are answered 421 until it "
			 "answers",
			 where, error == SILENT ? "no greeting" : strerror(error));
		log_error("%s", text);
		event_emit_note(b->events, "backend-down", text);
	} else {
		snprintf(text, sizeof(text), "backend=%s answers again", where);
		log_info("%s", text);
		event_emit_note(b->events, "backend-up", text);
	}
}

static void probed(struct backends *b, struct backend *e, int error)
{
	int64_t now = clock_mono_ms();
	enum state was;

	pthread_mutex_lock(&b->lock);
	was = e->state;
	e->probed_ms = now;
	if (!error)
		set_state(b, e, UNUSED);
	else if (was == SUSPECT)
		set_state(b, e, DOWN);
	bool gone = was == DOWN && !error, fallen = was == SUSPECT && error;
	pthread_mutex_unlock(&b->lock);
	/* one that a session has reached meanwhile is suspected again: no news */
	if (gone || (fallen && e->contradicted == 0))
		tell(b, &e->at, error);
}

static void probing_closed(uv_handle_t *handle)
{
	free(CONTAINER_OF(handle, struct probing, poll));
}

static void probing_end(struct probing *p)
{
	p->backend->probing = NULL;
	p->all->n_probing--;
	uv_close((uv_handle_t *)&p->poll, probing_closed);
	close(p->fd);
}

static void on_ready(uv_poll_t *poll, int status, int events);

/* From nobody in particular: a backend may want a header before it says a word. */
static int send_header(const struct probing *p)
{
	char header[PROXY_HEADER_V1_MAX + PROXY_HEADER_V2_MAX] = "";
	size_t n = 0;

	if (p->backend->send == SEND_PROXY_V1)
		n = proxy_header_write_v1_unknown(header);
	else if (p->backend->send == SEND_PROXY_V2)
		n = proxy_header_write_v2_local(header);
	return n == 0 || send(p->fd, header, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -EPIPE;
}

/* 0: it waits for the greeting; -errno. */
static int await_greeting(struct probing *p)
{
	int r = send_header(p);

	if (r < 0)
		return r;
	p->connected = true;
	p->until_ms = clock_mono_ms() + p->backend->patience_ms;
	return uv_poll_start(&p->poll, UV_READABLE, on_ready);
}

/* What it says is for the sessions to judge. 0, > 0: nothing yet, -errno. */
static int hear_greeting(const struct probing *p)
{
	char octets[512];
	ssize_t n = recv(p->fd, octets, sizeof(octets), MSG_DONTWAIT);

	if (n > 0) {
		(void)!send(p->fd, "QUIT\r\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
		return 0;
	}
	return n == 0 ? -ECONNRESET : errno == EAGAIN || errno == EINTR ? 1 : -errno;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct probing *p = CONTAINER_OF(poll, struct probing, poll);
	struct backend *e = p->backend;
	struct backends *b = p->all;
	int r;

	if (p->connected) {
		r = hear_greeting(p);
		if (r > 0 && status == 0)
			return;
		if (r == 0)
			atomic_store(greeted(b, &e->at), clock_mono_ms());
	} else {
		/* status says less of an error than the socket does */
		r = upstream_result(p->fd);
		if (r == 0)
			r = status;
		if (r == 0 && e->patience_ms > 0 && (r = await_greeting(p)) == 0)
			return;
	}
	probing_end(p);
	probed(b, e, r < 0 ? -r : 0);
}

static int probing_begin(struct backends *b, struct backend *e, int64_t now)
{
	struct probing *p = calloc(1, sizeof(*p));
	int r = p ? upstream_connect(&e->at, SOURCE_SELF, false, &e->at, &p->fd) : -ENOMEM;

	if (r < 0) {
		free(p);
		return r;
	}
	r = uv_poll_init(b->loop, &p->poll, p->fd);
	if (r < 0) {
		close(p->fd);
		free(p);
		return r;
	}
	p->all = b;
	p->backend = e;
	p->until_ms = now + BACKENDS_PROBE_MS;
	e->probing = p;
	b->n_probing++;
	return uv_poll_start(&p->poll, UV_WRITABLE, on_ready);
}

static void look_at(struct backends *b, struct backend *e, int64_t now)
{
	if (e->probing) {
		int error = e->probing->connected ? SILENT : ETIMEDOUT;
		if (now < e->probing->until_ms)
			return;
		probing_end(e->probing);
		probed(b, e, error);
		return;
	}
	pthread_mutex_lock(&b->lock);
	if (e->state != UNUSED && now - e->wanted_ms > FORGET_MS)
		set_state(b, e, UNUSED);
	bool due = (e->state == SUSPECT || e->state == DOWN) && now - e->probed_ms >= AGAIN_MS &&
		   b->n_probing < BACKENDS_PROBING;
	pthread_mutex_unlock(&b->lock);
	if (!due)
		return;
	int r = probing_begin(b, e, now);
	if (is_backends_fault(-r))
		probed(b, e, -r);
}

static void look(struct backends *b)
{
	int64_t now = clock_mono_ms();
	size_t first = b->first;

	for (size_t i = 0; i < BACKENDS_MAX && atomic_load(&b->n_used) > 0; i++) {
		struct backend *e = &b->table[(first + i) % BACKENDS_MAX];
		bool room = b->n_probing < BACKENDS_PROBING;
		look_at(b, e, now);
		/* the next time begins with those that there was no room for */
		if (room && b->n_probing == BACKENDS_PROBING)
			b->first = (first + i + 1) % BACKENDS_MAX;
	}
}

static void on_wake(uv_async_t *async)
{
	look(async->data);
}

static void on_tick(uv_timer_t *timer)
{
	look(timer->data);
}

/* ---- life ---- */

int backends_new(struct event_sink *events, struct backends **ret_backends)
{
	struct backends *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->events = events;
	pthread_mutex_init(&b->lock, NULL);
	*ret_backends = b;
	return 0;
}

int backends_start(struct backends *b, uv_loop_t *loop)
{
	int r = uv_async_init(loop, &b->wake, on_wake);

	if (r < 0)
		return r;
	b->wake.data = b->tick.data = b;
	uv_timer_init(loop, &b->tick);
	pthread_mutex_lock(&b->lock);
	b->loop = loop;
	pthread_mutex_unlock(&b->lock);
	return uv_timer_start(&b->tick, on_tick, AGAIN_MS / 2, AGAIN_MS / 2);
}

void backends_stop(struct backends *b)
{
	if (!b || !b->loop)
		return;
	pthread_mutex_lock(&b->lock);
	b->loop = NULL;
	pthread_mutex_unlock(&b->lock);
	for (size_t i = 0; i < BACKENDS_MAX; i++)
		if (b->table[i].probing)
			probing_end(b->table[i].probing);
	uv_close((uv_handle_t *)&b->wake, NULL);
	uv_close((uv_handle_t *)&b->tick, NULL);
}

void backends_free(struct backends *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b);
}
