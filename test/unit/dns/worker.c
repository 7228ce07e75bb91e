#include "worker.h"

#include "cm.h"

#include <stdio.h>
#include <stdlib.h>

void worker_init(struct worker *w, struct resolver *r)
{
	uv_loop_init(&w->loop);
	assert_int_equal(resolver_port_new(r, &w->loop, &w->port), 0);
}

void worker_deinit(struct worker *w)
{
	resolver_port_free(w->port);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void on_answer(struct resolver_query *query, const void *result)
{
	struct answer *a = query->user;

	assert_false(a->done);
	a->done = true;
	switch (a->kind) {
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		a->facts = facts_copy(result);
		break;
	case RESOLVER_CLIENT:
		a->client = client_names_copy(result);
		break;
	case RESOLVER_NAMES:
		a->names = door_names_copy(result);
		break;
	case RESOLVER_SOURCE:
		a->source = egress_source_copy(result);
		break;
	}
}

void worker_ask(struct worker *w, enum resolver_kind kind, const char *key, struct answer *a)
{
	struct addr client = { 0 };

	*a = (struct answer) { .kind = kind, .query = { .answer = on_answer, .user = a } };
	if (kind == RESOLVER_CLIENT)
		assert_int_equal(addr_parse(sv_from(key), &client), 0);
	assert_int_equal(resolver_ask(w->port, kind, key, &client, &a->query), 0);
	assert_false(a->done);
}

static void on_timer(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* Until *done, or for ms. */
static void turn(struct worker *w, const bool *done, unsigned int ms)
{
	bool late = false;
	uv_timer_t timer = { .data = &late };

	uv_timer_init(&w->loop, &timer);
	uv_timer_start(&timer, on_timer, ms, 0);
	while (!late && !*done)
		uv_run(&w->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

void worker_wait(struct worker *w, struct answer *a)
{
	turn(w, &a->done, 10000);
	assert_true(a->done);
}

void worker_run(struct worker *w, unsigned int ms)
{
	bool never = false;

	turn(w, &never, ms);
}

struct answer worker_get(struct worker *w, enum resolver_kind kind, const char *key)
{
	struct answer a;

	worker_ask(w, kind, key, &a);
	worker_wait(w, &a);
	return a;
}

void worker_free_answer(struct answer *a)
{
	facts_free(a->facts);
	facts_free(a->client);
	facts_free(a->names);
	facts_free(a->source);
	a->facts = NULL;
	a->client = NULL;
	a->names = NULL;
	a->source = NULL;
}

const char *source_text(const struct egress_source *s)
{
	static const char *const status[] = { "", "none ", "failed " };
	static char out[16384];
	char prefix[ADDR_STRLEN + 4], *p = out, *end = out + sizeof(out);

	p += snprintf(p, (size_t)(end - p), "%s%s%s%s", status[s->status],
		      s->incomplete ? "? " : "", s->stale ? "stale " : "",
		      s->fallback ? "fallback " : "");
	for (size_t i = 0; i < s->set.n; i++) {
		struct prefix found;

		assert_true(prefix_set_match(&s->set, &s->set.ranges[i].lo, &found));
		prefix_format(&found, prefix);
		p += snprintf(p, (size_t)(end - p), "%s ", prefix);
	}
	if (s->left_out[0])
		p += snprintf(p, (size_t)(end - p), "[%s]", s->left_out);
	if (p > out && p[-1] == ' ')
		p[-1] = '\0';
	return out;
}

const char *facts_text(const struct domain_facts *f)
{
	static const char *const kinds[] = { "MX", "ADDRESS", "NULL", "NOTHING", "FAILED" };
	static const char *const status[] = { "", "nodata", "nxdomain", "failed" };
	static char out[8192];
	char text[ADDR_STRLEN];
	size_t n = (size_t)snprintf(out, sizeof(out), "%s%s%s", kinds[f->kind],
				    f->nxdomain ? " nxdomain" : "", f->stale ? " stale" : "");

	for (size_t i = 0; i < f->n_hosts; i++) {
		const struct dns_host *h = &f->hosts[i];
		n += (size_t)snprintf(out + n, sizeof(out) - n, " %u %s", h->preference, h->name);
		if (strcmp(h->name, h->canonical) != 0)
			n += (size_t)snprintf(out + n, sizeof(out) - n, ">%s", h->canonical);
		n += (size_t)snprintf(out + n, sizeof(out) - n, "=[%s%s", status[h->status],
				      h->incomplete ? "?" : "");
		for (size_t k = 0; k < h->n_addrs; k++)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s",
					      k || h->incomplete ? " " : "",
					      addr_format(&h->addrs[k], text));
		n += (size_t)snprintf(out + n, sizeof(out) - n, "]");
	}
	return out;
}
