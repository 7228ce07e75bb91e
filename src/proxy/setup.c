#include "proxy/setup.h"

#include "base/log.h"
#include "proxy/interfaces.h"
#include "proxy/tls.h"

#include <errno.h>
#include <stdlib.h>

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_eq(&a->addr, &b->addr);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* What was seen of the backend of one is true for the other. */
static bool same_backend(const struct listener_conf *a, const struct listener_conf *b)
{
	return strcmp(a->name, b->name) == 0 && a->backend_original == b->backend_original &&
	       same_endpoint(&a->backend, &b->backend) && a->source == b->source &&
	       a->send == b->send && a->tls == b->tls && a->upstream_tls == b->upstream_tls &&
	       same_text(a->upstream_verify, b->upstream_verify) &&
	       same_text(a->upstream_ca, b->upstream_ca);
}

static struct listener *find_same(const struct setup *former, const struct listener_conf *conf)
{
	for (size_t i = 0; former && i < former->conf->n_listeners; i++)
		if (same_backend(former->listeners[i].conf, conf))
			return &former->listeners[i];
	return NULL;
}

static int make_listener(struct setup *s, const struct setup *former, size_t i)
{
	struct listener *l = &s->listeners[i];
	const struct listener_conf *conf = &s->conf->listeners[i];
	struct listener *was = find_same(former, conf);
	int r = 0;

	l->conf = conf;
	l->closed = conf->source == SOURCE_SELF;
	if (was) {
		l->closed = atomic_load(&was->closed);
		l->starttls = atomic_load(&was->starttls);
		l->front = front_ref(was->front);
	} else {
		r = front_new(&l->front);
	}
	if (r < 0)
		return r;
	bool tls = conf->upstream_tls == UPSTREAM_ALWAYS ||
		   (conf->upstream_tls == UPSTREAM_MIRROR && s->tls);
	r = tls ? tls_client_new(conf->upstream_ca, &l->tls) : 0;
	return r == -EINVAL ? 1 : r;
}

/* 0; 1: what was named can't be used, and that was told; -errno. */
static int make_tls(struct setup *s)
{
	if (!conf_has_tls(s->conf))
		return 0;
	int r = tls_server_new(&s->conf->tls, &s->tls);
	if (r == -ENOENT)
		log_error("%s: tls: no certificate can be used", s->conf->file);
	return r > 0 || r == -ENOENT ? 1 : r;
}

static int make_all(struct setup *s, const struct setup *former)
{
	int r = interfaces_global(&s->interfaces);

	if (r == 0)
		r = make_tls(s);
	for (size_t i = 0; r == 0 && i < s->conf->n_listeners; i++)
		r = make_listener(s, former, i);
	return r;
}

static void setup_free(struct setup *s)
{
	for (size_t i = 0; s->listeners && i < s->conf->n_listeners; i++) {
		front_free(s->listeners[i].front);
		tls_client_free(s->listeners[i].tls);
	}
	free(s->listeners);
	tls_server_free(s->tls);
	prefix_set_deinit(&s->interfaces);
	free(s);
}

int setup_new(struct conf *conf, const struct setup *former, struct setup **ret_setup)
{
	struct setup *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->refs = 1;
	s->conf = conf;
	prefix_set_init(&s->interfaces);
	s->listeners = calloc(conf->n_listeners + 1, sizeof(*s->listeners));
	int r = s->listeners ? make_all(s, former) : -ENOMEM;
	if (r != 0) {
		setup_free(s); /* conf stays the caller's */
		return r;
	}
	*ret_setup = s;
	return 0;
}

void setup_count(struct setup *s, struct metrics *metrics)
{
	for (size_t i = 0; i < s->conf->n_listeners; i++)
		s->listeners[i].metrics = metrics_listener(metrics, s->listeners[i].conf->name);
}

struct setup *setup_ref(struct setup *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void setup_unref(struct setup *s)
{
	struct conf *conf;

	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
		return;
	conf = s->conf;
	setup_free(s);
	conf_free(conf);
}
