#include "dns/channel.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	EDNS_SIZE = 1232, /* fits an IPv6 packet of minimal MTU: no fragments */
	/* A thousand answers may come while we are busy with the first. The kernel gives less
	 * when net.core.rmem_max is less; what is lost then is asked again. */
	RECEIVE_BUFFER = 4 << 20,
	/* What an answer takes in that buffer, with the kernel's own: most are small, and few
	 * come at once. */
	ANSWER_ROOM = 1280,
	MAX_HOPS = 8,
	SERVER_TEXT = ADDR_STRLEN + 8 + 1,
};

struct queue {
	struct channel_query *first, *last;
};

struct socket_poll {
	uv_poll_t handle;
	struct channel *channel;
	struct socket_poll *next;
	ares_socket_t fd;
};

struct channel {
	uv_loop_t *loop;
	ares_channel ares;
	uv_timer_t timer;
	uv_idle_t idle; /* runs while early answers wait to be given */
	struct socket_poll *polls;
	struct queue waiting;
	struct queue early;
	size_t n_waiting;
	size_t n_flying; /* on the wire, or early */
	size_t max_in_flight;
	size_t room; /* answers that the socket has room for */
	int timeout_ms;
	bool authoritative;
	bool submitting;
	bool dead;          /* freed by its owner */
	unsigned int depth; /* c-ares, or a callback of ours, is on the stack */
	unsigned int n_handles;
	struct wire_answer answer;
};

static void queue_add(struct queue *q, struct channel_query *query)
{
	query->next = NULL;
	if (q->last)
		q->last->next = query;
	else
		q->first = query;
	q->last = query;
}

static struct channel_query *queue_take(struct queue *q)
{
	struct channel_query *query = q->first;

	if (query) {
		q->first = query->next;
		if (!q->first)
			q->last = NULL;
	}
	return query;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct channel *c = handle->data;

	if (--c->n_handles == 0)
		free(c);
}

static void channel_destroy(struct channel *c)
{
	ares_destroy(c->ares); /* closes the sockets by socket_state() */
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
	uv_close((uv_handle_t *)&c->idle, on_handle_closed);
}

static void channel_enter(struct channel *c)
{
	c->depth++;
}

static void channel_leave(struct channel *c)
{
	if (--c->depth == 0 && c->dead)
		channel_destroy(c);
}

static void on_timer(uv_timer_t *timer);

/*
 * ares_timeout() goes through all queries, so it isn't asked at each of them: the timer runs while
 * any is open, and is set anew when it fires. A timeout so comes at most a quarter late.
 */
static void channel_set_timer(struct channel *c)
{
	struct timeval most = { c->timeout_ms / 4 / 1000, c->timeout_ms / 4 % 1000 * 1000 };
	struct timeval tv;
	uint64_t ms;

	if (c->n_flying == 0 || uv_is_active((uv_handle_t *)&c->timer))
		return;
	tv = *ares_timeout(c->ares, &most, &tv);
	ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1;
	uv_timer_start(&c->timer, on_timer, ms < 10 ? 10 : ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct channel *c = timer->data;

	channel_enter(c);
	ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (!c->dead)
		channel_set_timer(c);
	channel_leave(c);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct socket_poll *p = handle->data;
	struct channel *c = p->channel;
	ares_socket_t fd = p->fd;
	bool readable = status < 0 || events & UV_READABLE;
	bool writable = status < 0 || events & UV_WRITABLE;

	channel_enter(c);
	ares_process_fd(c->ares, readable ? fd : ARES_SOCKET_BAD, writable ? fd : ARES_SOCKET_BAD);
	if (!c->dead)
		channel_set_timer(c);
	channel_leave(c);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void poll_remove(struct channel *c, ares_socket_t fd)
{
	for (struct socket_poll **at = &c->polls; *at; at = &(*at)->next)
		if ((*at)->fd == fd) {
			struct socket_poll *p = *at;
			*at = p->next;
			uv_close((uv_handle_t *)&p->handle, on_poll_closed);
			return;
		}
}

static size_t receive_room(ares_socket_t fd)
{
	int size = 0;
	socklen_t n = sizeof(size);

	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &n) < 0 || size < ANSWER_ROOM)
		return 1;
	return (size_t)size / ANSWER_ROOM;
}

static struct socket_poll *poll_get(struct channel *c, ares_socket_t fd)
{
	struct socket_poll *p;

	for (p = c->polls; p; p = p->next)
		if (p->fd == fd)
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	if (uv_poll_init_socket(c->loop, &p->handle, fd) < 0) {
		free(p);
		return NULL;
	}
	p->handle.data = p;
	p->channel = c;
	p->fd = fd;
	p->next = c->polls;
	c->polls = p;
	c->room = receive_room(fd);
	return p;
}

static void socket_state(void *user, ares_socket_t fd, int readable, int writable)
{
	struct channel *c = user;
	struct socket_poll *p;

	if (!readable && !writable) {
		poll_remove(c, fd);
		return;
	}
	/* without memory for it the question times out */
	p = poll_get(c, fd);
	if (p)
		uv_poll_start(&p->handle,
			      (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_poll);
}

static void channel_submit(struct channel *c, struct channel_query *q);

static void channel_pump(struct channel *c)
{
	while (!c->dead && c->waiting.first && c->n_flying < c->max_in_flight) {
		c->n_waiting--;
		channel_submit(c, queue_take(&c->waiting));
	}
}

/* c->answer is the answer to q as it was last asked. */
static void query_answered(struct channel *c, struct channel_query *q)
{
	struct wire_answer *a = &c->answer;

	c->n_flying--;
	q->aa = q->aa || a->aa;
	a->aa = q->aa;
	if (a->dangling && !c->authoritative) {
		if (q->hops++ < MAX_HOPS && wire_name_is_askable(a->canonical)) {
			q->ttl = a->ttl < q->ttl ? a->ttl : q->ttl;
			memcpy(q->name, a->canonical, sizeof(q->name));
			channel_submit(c, q);
			return;
		}
		wire_answer_none(DNS_FAILED, q->name, a);
	}
	if (q->ttl < a->ttl)
		a->ttl = q->ttl;
	q->answer(q->user, a);
	channel_pump(c);
}

/* No answer, or none that is asked for: a name that can't exist stays so. */
static void answer_early(struct channel *c, struct channel_query *q, enum dns_status status)
{
	wire_answer_none(status, q->name, &c->answer);
	if (status == DNS_NXDOMAIN)
		c->answer.ttl = UINT32_MAX;
	query_answered(c, q);
}

static void on_ares(void *user, int status, int timeouts, unsigned char *data, int len)
{
	struct channel_query *q = user;
	struct channel *c = q->channel;
	enum dns_status early = DNS_FAILED;

	(void)timeouts;
	if (c->dead) /* q may be gone, or go: see channel_free() */
		return;
	/* without a message: refused by c-ares itself (.onion, RFC 7686), or no answer */
	if (!data && (status == ARES_ENOTFOUND || status == ARES_EBADNAME))
		early = DNS_NXDOMAIN;
	if (c->submitting) {
		q->early = early;
		queue_add(&c->early, q);
		return;
	}
	channel_enter(c);
	if (data && len > 0) {
		wire_parse(data, (size_t)len, q->name, q->type, &c->answer);
		query_answered(c, q);
	} else {
		answer_early(c, q, early);
	}
	channel_leave(c);
}

static void on_idle(uv_idle_t *idle)
{
	struct channel *c = idle->data;
	struct channel_query *q;

	channel_enter(c);
	while (!c->dead && (q = queue_take(&c->early)))
		answer_early(c, q, q->early);
	if (!c->dead)
		uv_idle_stop(&c->idle);
	channel_leave(c);
}

static void channel_submit(struct channel *c, struct channel_query *q)
{
	c->n_flying++;
	if (wire_name_is_askable(q->name)) {
		c->submitting = true;
		ares_query(c->ares, q->name, ns_c_in, (int)q->type, on_ares, q);
		c->submitting = false;
	} else {
		q->early = DNS_NXDOMAIN;
		queue_add(&c->early, q);
	}
	if (c->early.first)
		uv_idle_start(&c->idle, on_idle);
	channel_set_timer(c);
}

void channel_ask(struct channel *c, const char *name, enum wire_type type, channel_answer_fn answer,
		 void *user, struct channel_query *query)
{
	size_t n = strlen(name);

	INVARIANT(n < WIRE_NAME_SIZE && !c->dead);
	*query = (struct channel_query) {
		.answer = answer, .user = user, .channel = c, .type = type, .ttl = UINT32_MAX
	};
	memcpy(query->name, name, n);
	if (c->n_flying < c->max_in_flight) {
		channel_submit(c, query);
	} else {
		queue_add(&c->waiting, query);
		c->n_waiting++;
	}
}

size_t channel_load(const struct channel *c)
{
	return c->n_flying + c->n_waiting;
}

size_t channel_room(const struct channel *c)
{
	return c->room;
}

static int set_servers(struct channel *c, const struct channel_conf *conf)
{
	char *csv CLEANUP(cleanup_free) = calloc(conf->n_servers, SERVER_TEXT);
	size_t n = 0;
	int r;

	if (!csv)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_servers; i++) {
		if (i)
			csv[n++] = ',';
		n += strlen(endpoint_format(&conf->servers[i], csv + n));
	}
	r = ares_set_servers_ports_csv(c->ares, csv);
	return r == ARES_SUCCESS ? 0 : r == ARES_ENOMEM ? -ENOMEM : -EINVAL;
}

static int channel_init_ares(struct channel *c, const struct channel_conf *conf)
{
	char lookups[] = "b"; /* never a hosts file */
	struct ares_options options = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
		.timeout = conf->timeout_ms,
		.tries = conf->tries,
		.ednspsz = EDNS_SIZE,
		.socket_receive_buffer_size = RECEIVE_BUFFER,
		.lookups = lookups,
		.sock_state_cb = socket_state,
		.sock_state_cb_data = c,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
		   ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_SOCK_RCVBUF;
	int r;

	if (conf->authoritative)
		options.flags |= ARES_FLAG_NORECURSE;
	r = ares_init_options(&c->ares, &options, mask);
	if (r != ARES_SUCCESS)
		return r == ARES_ENOMEM ? -ENOMEM : -EIO;
	if (conf->n_servers == 0)
		return 0;
	r = set_servers(c, conf);
	if (r < 0)
		ares_destroy(c->ares);
	return r;
}

static void ares_setup(void)
{
	ares_library_init(ARES_LIB_INIT_ALL);
}

int channel_new(uv_loop_t *loop, const struct channel_conf *conf, struct channel **ret_channel)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct channel *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	pthread_once(&once, ares_setup);
	c->loop = loop;
	c->max_in_flight = conf->max_in_flight;
	c->timeout_ms = conf->timeout_ms;
	c->authoritative = conf->authoritative;
	r = channel_init_ares(c, conf);
	if (r < 0) {
		free(c);
		return r;
	}
	uv_timer_init(loop, &c->timer);
	uv_idle_init(loop, &c->idle);
	c->timer.data = c->idle.data = c;
	c->n_handles = 2;
	*ret_channel = c;
	return 0;
}

void channel_free(struct channel *c)
{
	if (!c)
		return;
	c->dead = true;
	if (c->depth == 0)
		channel_destroy(c);
}
