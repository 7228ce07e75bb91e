#include "proxy/primary.h"

#include "base/clock.h"
#include "base/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

/* What is known of one address. */
struct known {
	struct known *next_wanted;
	struct addr address;
	enum primary_state state;
	int64_t checked_ms;
	bool wanted; /* waits for a check, or is checked */
};

struct primaries {
	uint16_t port;
	uv_loop_t loop;
	uv_thread_t thread;
	uv_async_t async;
	size_t n_checking; /* the thread's */
	struct check *checks;
	pthread_mutex_t lock; /* of the rest */
	struct map known;     /* address → struct known */
	struct known *wanted_first, *wanted_last;
	int64_t swept_ms; /* when room was last made */
	bool stop;
};

/* One connection under way; the thread's. */
struct check {
	struct check *next, *prev;
	struct primaries *primaries;
	struct addr address;
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_connect_t connect;
	int handles;
	bool done;
	char greeting[4];
	size_t n;
	char buf[512];
};

static struct sv key_of(const struct addr *a)
{
	return (struct sv) { (const char *)a->b, sizeof(a->b) };
}

static void begin_checks(struct primaries *p);

/* ---- one check ---- */

static void on_closed(uv_handle_t *handle)
{
	struct check *c = handle->data;
	struct primaries *p = c->primaries;

	if (--c->handles > 0)
		return;
	*(c->prev ? &c->prev->next : &p->checks) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	p->n_checking--;
	free(c);
	begin_checks(p);
}

static void check_close(struct check *c)
{
	c->done = true;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
	uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void check_end(struct check *c, enum primary_state state)
{
	struct primaries *p = c->primaries;
	struct known *k;

	if (c->done)
		return;
	pthread_mutex_lock(&p->lock);
	k = map_get(&p->known, key_of(&c->address));
	if (k) {
		k->state = state;
		k->checked_ms = clock_mono_ms();
		k->wanted = false;
	}
	pthread_mutex_unlock(&p->lock);
	check_close(c);
}

static void on_timer(uv_timer_t *timer)
{
	check_end(timer->data, PRIMARY_DOWN);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct check *c = handle->data;

	*buf = uv_buf_init(c->buf, sizeof(c->buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct check *c = stream->data;

	if (n < 0) {
		check_end(c, PRIMARY_DOWN);
		return;
	}
	for (ssize_t i = 0; i < n && c->n < sizeof(c->greeting); i++)
		c->greeting[c->n++] = buf->base[i];
	if (c->n < sizeof(c->greeting))
		return;
	bool up = memcmp(c->greeting, "220", 3) == 0 &&
		  (c->greeting[3] == ' ' || c->greeting[3] == '-');
	if (up) {
		/* so that its log has a session that ended, not one that was lost */
		uv_buf_t quit = uv_buf_init("QUIT\r\n", 6);
		(void)uv_try_write(stream, &quit, 1);
	}
	check_end(c, up ? PRIMARY_ANSWERS : PRIMARY_DOWN);
}

static void on_connect(uv_connect_t *connect, int status)
{
	struct check *c = connect->data;

	if (c->done)
		return;
	if (status < 0 || uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) < 0)
		check_end(c, PRIMARY_DOWN);
}

static void check_begin(struct primaries *p, struct check *c, const struct addr *address)
{
	struct endpoint to = { .addr = *address, .port = p->port };
	struct sockaddr_storage sa;

	*c = (struct check) { .primaries = p, .address = *address, .next = p->checks };
	if (c->next)
		c->next->prev = c;
	p->checks = c;
	p->n_checking++;
	c->tcp.data = c->timer.data = c->connect.data = c;
	uv_tcp_init(&p->loop, &c->tcp);
	uv_timer_init(&p->loop, &c->timer);
	c->handles = 2;
	endpoint_to_sockaddr(&to, false, &sa);
	if (uv_timer_start(&c->timer, on_timer, PRIMARY_TIMEOUT_MS, 0) < 0 ||
	    uv_tcp_connect(&c->connect, &c->tcp, (struct sockaddr *)&sa, on_connect) < 0)
		check_end(c, PRIMARY_DOWN);
}

/* ---- the thread ---- */

static bool next_wanted(struct primaries *p, struct addr *ret_address)
{
	struct known *k;

	pthread_mutex_lock(&p->lock);
	k = p->stop ? NULL : p->wanted_first;
	if (k) {
		p->wanted_first = k->next_wanted;
		*ret_address = k->address;
	}
	pthread_mutex_unlock(&p->lock);
	return k;
}

static void begin_checks(struct primaries *p)
{
	struct addr address;

	while (p->n_checking < PRIMARIES_CHECKING && next_wanted(p, &address)) {
		struct check *c = malloc(sizeof(*c));

		if (!c)
			return; /* it stays wanted, thus unknown */
		check_begin(p, c, &address);
	}
}

static void on_async(uv_async_t *async)
{
	struct primaries *p = async->data;
	bool stop;

	pthread_mutex_lock(&p->lock);
	stop = p->stop;
	pthread_mutex_unlock(&p->lock);
	if (!stop) {
		begin_checks(p);
		return;
	}
	for (struct check *c = p->checks; c; c = c->next)
		if (!c->done)
			check_close(c);
	if (!uv_is_closing((uv_handle_t *)async))
		uv_close((uv_handle_t *)async, NULL);
}

static void run(void *user)
{
	struct primaries *p = user;

	uv_run(&p->loop, UV_RUN_DEFAULT);
}

int primaries_new(uint16_t port, struct primaries **ret_primaries)
{
	struct primaries *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->port = port;
	map_init(&p->known);
	if ((r = uv_loop_init(&p->loop)) < 0) {
		free(p);
		return r;
	}
	p->async.data = p;
	r = uv_async_init(&p->loop, &p->async, on_async);
	if (r == 0 && (r = uv_thread_create(&p->thread, run, p)) < 0) {
		uv_close((uv_handle_t *)&p->async, NULL);
		uv_run(&p->loop, UV_RUN_DEFAULT);
	}
	if (r < 0) {
		uv_loop_close(&p->loop);
		free(p);
		return r;
	}
	pthread_mutex_init(&p->lock, NULL);
	*ret_primaries = p;
	return 0;
}

void primaries_free(struct primaries *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_mutex_unlock(&p->lock);
	uv_async_send(&p->async);
	uv_thread_join(&p->thread);
	uv_loop_close(&p->loop);
	map_deinit(&p->known, free);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- workers ---- */

/* Room for more: those that nobody has asked about for long go. Of many at once, and not for each
 * new one. */
static void make_room(struct primaries *p, int64_t now_ms)
{
	struct known *old[256];
	size_t n = 0;

	if (p->known.n < PRIMARIES_MAX || (p->swept_ms && now_ms - p->swept_ms < 1000))
		return;
	p->swept_ms = now_ms;
	for (struct map_entry *e = NULL; n < ARRAY_SIZE(old) && (e = map_next(&p->known, e));) {
		struct known *k = e->value;

		if (!k->wanted && now_ms - k->checked_ms > 2 * PRIMARY_UP_MS)
			old[n++] = k;
	}
	while (n > 0) {
		n--;
		(void)map_remove(&p->known, key_of(&old[n]->address));
		free(old[n]);
	}
}

static struct known *known_of(struct primaries *p, const struct addr *address, int64_t now_ms)
{
	struct known *k = map_get(&p->known, key_of(address));

	if (k)
		return k;
	make_room(p, now_ms);
	k = p->known.n < PRIMARIES_MAX ? calloc(1, sizeof(*k)) : NULL;
	if (!k)
		return NULL;
	k->address = *address;
	if (map_put(&p->known, key_of(address), k, NULL) < 0) {
		free(k);
		return NULL;
	}
	return k;
}

/* Asks for a check; whether it is a new question. */
static bool want(struct primaries *p, struct known *k)
{
	if (k->wanted)
		return false;
	k->wanted = true;
	k->next_wanted = NULL;
	*(p->wanted_first ? &p->wanted_last->next_wanted : &p->wanted_first) = k;
	p->wanted_last = k;
	return true;
}

enum primary_state primaries_look(struct primaries *p, const struct addr *address)
{
	enum primary_state state = PRIMARY_UNKNOWN;
	int64_t now = clock_mono_ms(), life;
	bool asked = false;
	struct known *k;

	pthread_mutex_lock(&p->lock);
	k = known_of(p, address, now);
	if (k) {
		life = k->state == PRIMARY_ANSWERS ? PRIMARY_UP_MS : PRIMARY_DOWN_MS;
		if (k->state != PRIMARY_UNKNOWN && now - k->checked_ms < 2 * life)
			state = k->state;
		if (k->state == PRIMARY_UNKNOWN || now - k->checked_ms >= life)
			asked = want(p, k);
	}
	pthread_mutex_unlock(&p->lock);
	if (asked)
		uv_async_send(&p->async);
	return state;
}
