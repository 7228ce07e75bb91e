/* The workers' side of the resolver: peeks, questions, answers. */
#include "base/clock.h"
#include "dns/resolver_private.h"

#include <errno.h>
#include <stdlib.h>

static void port_unref(struct resolver_port *p)
{
	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) > 1)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p->views);
	free(p);
}

static void request_free(struct resolver_request *req)
{
	facts_free(req->result);
	free(req);
}

static void *copy_result(enum resolver_kind kind, const void *value)
{
	if (!value)
		return NULL;
	switch (kind) {
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		return facts_copy(value);
	case RESOLVER_CLIENT:
		return client_names_copy(value);
	case RESOLVER_NAMES:
		return door_names_copy(value);
	case RESOLVER_SOURCE:
		return egress_source_copy(value);
	}
	return NULL;
}

void port_drop(struct resolver_request *req)
{
	struct resolver_port *p = req->port;

	request_free(req);
	port_unref(p);
}

void port_answer(struct resolver_request *req, const void *value)
{
	struct resolver_port *p = req->port;

	req->result = copy_result(req->kind, value);
	pthread_mutex_lock(&p->lock);
	if (p->closed) {
		pthread_mutex_unlock(&p->lock);
		port_drop(req);
		return;
	}
	/* sent under the lock: closed says that the handle is there no more */
	if (!p->outbox.first)
		uv_async_send(&p->async);
	request_queue_add(&p->outbox, req);
	pthread_mutex_unlock(&p->lock);
}

static void query_detach(struct resolver_port *p, struct resolver_query *q)
{
	struct resolver_request *req = q->request;

	INVARIANT(req);
	*(q->prev ? &q->prev->next : &p->open) = q->next;
	if (q->next)
		q->next->prev = q->prev;
	q->next = q->prev = NULL;
	req->query = NULL;
	q->request = NULL;
}

static void give_answer(struct resolver_port *p, struct resolver_request *req)
{
	/* what there is to say when memory ran out */
	const struct domain_facts no_facts = {
		.kind = FACTS_FAILED, .fetched_ms = -1, .confirmed_ms = -1, .domain = req->domain
	};
	const struct client_names no_client = { .status = DNS_FAILED };
	const struct door_names no_names = { 0 };
	const struct egress_source no_source = {
		.key = req->domain, .status = SOURCE_FAILED, .fetched_ms = -1, .left_out = ""
	};
	struct resolver_query *q = req->query;
	const void *result = req->result;

	if (!q)
		return;
	query_detach(p, q);
	if (!result)
		switch (req->kind) {
		case RESOLVER_DOMAIN:
		case RESOLVER_CONFIRM:
			result = &no_facts;
			break;
		case RESOLVER_CLIENT:
			result = &no_client;
			break;
		case RESOLVER_NAMES:
			result = &no_names;
			break;
		case RESOLVER_SOURCE:
			result = &no_source;
			break;
		}
	q->answer(q, result);
}

static void on_async(uv_async_t *async)
{
	struct resolver_port *p = async->data;
	struct request_queue batch;
	struct resolver_request *req;

	pthread_mutex_lock(&p->lock);
	batch = p->outbox;
	p->outbox = (struct request_queue) { 0 };
	pthread_mutex_unlock(&p->lock);
	while ((req = request_queue_take(&batch))) {
		give_answer(p, req);
		port_drop(req); /* the port may be freed by a callback, but goes with the last */
	}
}

/* Views belong to the turn of the loop, as what they lead to does. */
static void views_reset(struct resolver_port *p)
{
	struct view_block *b;

	while (p->views && (b = p->views->next)) {
		p->views->next = b->next;
		free(b);
	}
	if (p->views)
		p->views->n = 0;
}

static struct domain_facts *view_new(struct resolver_port *p)
{
	struct view_block *b = p->views;

	if (!b || b->n == ARRAY_SIZE(b->views)) {
		b = malloc(sizeof(*b));
		if (!b)
			return NULL;
		b->next = p->views;
		b->n = 0;
		p->views = b;
	}
	return &b->views[b->n++];
}

void resolver_port_rest(struct resolver_port *port)
{
	epoch_leave(&port->reader);
	views_reset(port);
}

static void on_prepare(uv_prepare_t *prepare)
{
	resolver_port_rest(prepare->data);
}

int resolver_port_new(struct resolver *r, uv_loop_t *loop, struct resolver_port **ret_port)
{
	struct resolver_port *p = aligned_alloc(_Alignof(struct resolver_port), sizeof(*p));
	int res;

	if (!p)
		return -ENOMEM;
	*p = (struct resolver_port) { .resolver = r, .n_handles = 2 };
	res = uv_async_init(loop, &p->async, on_async);
	if (res < 0) {
		free(p);
		return res;
	}
	uv_prepare_init(loop, &p->prepare);
	uv_prepare_start(&p->prepare, on_prepare);
	uv_unref((uv_handle_t *)&p->prepare);
	p->async.data = p->prepare.data = p;
	atomic_init(&p->refs, 1);
	pthread_mutex_init(&p->lock, NULL);
	epoch_add(&r->epoch, &p->reader);
	*ret_port = p;
	return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct resolver_port *p = handle->data;

	if (--p->n_handles == 0)
		port_unref(p);
}

void resolver_port_free(struct resolver_port *port)
{
	struct request_queue left;
	struct resolver_request *req;

	if (!port)
		return;
	while (port->open)
		query_detach(port, port->open);
	pthread_mutex_lock(&port->lock);
	port->closed = true;
	left = port->outbox;
	port->outbox = (struct request_queue) { 0 };
	pthread_mutex_unlock(&port->lock);
	while ((req = request_queue_take(&left)))
		port_drop(req);
	epoch_remove(&port->resolver->epoch, &port->reader);
	views_reset(port);
	uv_close((uv_handle_t *)&port->async, on_handle_closed);
	uv_close((uv_handle_t *)&port->prepare, on_handle_closed);
}

bool resolver_usable(const struct resolver *r, enum resolver_kind kind, const void *value,
		     int64_t now_ms)
{
	const struct domain_facts *facts = value;

	if (!value)
		return false;
	switch (kind) {
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		return now_ms < facts->expires_ms ||
		       (facts->stale && now_ms < facts->fetched_ms + r->conf.stale_max_ms);
	case RESOLVER_CLIENT:
		return now_ms < ((const struct client_names *)value)->expires_ms;
	case RESOLVER_NAMES:
		return now_ms < ((const struct door_names *)value)->expires_ms;
	case RESOLVER_SOURCE:
		return now_ms < ((const struct egress_source *)value)->expires_ms ||
		       ((const struct egress_source *)value)->stale;
	}
	return false;
}

static const void *peek(struct resolver_port *port, enum resolver_kind kind, const struct table *t,
			struct sv key)
{
	struct table_entry *e;
	const void *value;
	int64_t now;

	/* left when the loop goes back to waiting: on_prepare() */
	epoch_enter(&port->resolver->epoch, &port->reader);
	value = table_get(t, key, &e);
	if (!value)
		return NULL;
	now = clock_mono_ms();
	if (!resolver_usable(port->resolver, kind, value, now))
		return NULL;
	table_touch(e, now);
	return value;
}

uint64_t resolver_fetch_domain(const struct resolver_port *port, const char *domain)
{
	uint64_t hash = map_hash(domain_key(domain));

	door_table_fetch(&port->resolver->doors, hash);
	return hash;
}

void resolver_fetch_door(const struct resolver_port *port, uint64_t fetch)
{
	door_table_fetch_door(&port->resolver->doors, fetch);
}

const struct domain_facts *resolver_peek_domain(struct resolver_port *port, const char *domain)
{
	struct resolver *r = port->resolver;
	struct sv key = domain_key(domain);
	uint64_t hash = map_hash(key);
	struct domain_facts *view;
	struct door *d;
	int64_t now;

	door_table_fetch(&r->doors, hash);
	now = clock_mono_ms();
	view = view_new(port);

	if (!view)
		return NULL;
	/* left when the loop goes back to waiting: on_prepare() */
	epoch_enter(&r->epoch, &port->reader);
	d = door_table_find_hashed(&r->doors, key, hash);
	if (!d || !door_read(d, now, view) || !resolver_usable(r, RESOLVER_DOMAIN, view, now)) {
		port->views->n--; /* it is not given out */
		return NULL;
	}
	door_touch(d, now);
	return view;
}

const struct client_names *resolver_peek_client(struct resolver_port *port,
						const struct addr *client)
{
	return peek(port, RESOLVER_CLIENT, &port->resolver->clients, client_key(client));
}

const struct door_names *resolver_peek_names(struct resolver_port *port, const char *domain)
{
	return peek(port, RESOLVER_NAMES, &port->resolver->names, domain_key(domain));
}

const struct egress_source *resolver_peek_source(struct resolver_port *port, const char *key)
{
	return peek(port, RESOLVER_SOURCE, sources_table(port->resolver, key), domain_key(key));
}

int resolver_ask(struct resolver_port *port, enum resolver_kind kind, const char *domain,
		 const struct addr *client, struct resolver_query *query)
{
	size_t n = kind == RESOLVER_CLIENT ? 0 : strlen(domain);
	struct resolver_request *req;

	if (n >= (kind == RESOLVER_SOURCE ? SOURCE_KEY_MAX : WIRE_NAME_SIZE))
		return -ENAMETOOLONG;
	req = calloc(1, sizeof(*req) + n + 1);
	if (!req)
		return -ENOMEM;
	req->port = port;
	req->query = query;
	req->kind = kind;
	if (client)
		req->client = *client;
	if (n)
		memcpy(req->domain, domain, n);
	query->request = req;
	query->prev = NULL;
	query->next = port->open;
	if (query->next)
		query->next->prev = query;
	port->open = query;
	atomic_fetch_add_explicit(&port->refs, 1, memory_order_relaxed);
	resolver_send(port->resolver, req);
	return 0;
}

void resolver_cancel(struct resolver_query *query)
{
	if (query->request)
		query_detach(query->request->port, query);
}
