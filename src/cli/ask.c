#include "cli/ask.h"

#include "dns/resolver.h"

#include <errno.h>
#include <stdlib.h>

#define ANSWER_MS 15000 /* all tries at all servers that a look-up may need */

struct ask {
	uv_loop_t loop;
	uv_timer_t limit;
	struct resolver *resolver;
	struct resolver_port *port;
	struct resolver_query query;
	enum resolver_kind kind;
	bool done;
	void *answer;
};

static void on_limit(uv_timer_t *timer)
{
	struct ask *a = timer->data;

	a->done = true;
}

static void on_answer(struct resolver_query *query, const void *result)
{
	struct ask *a = query->user;

	a->done = true;
	switch (a->kind) {
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		a->answer = facts_copy(result);
		break;
	case RESOLVER_CLIENT:
		a->answer = client_names_copy(result);
		break;
	case RESOLVER_NAMES:
		a->answer = door_names_copy(result);
		break;
	}
}

static void *ask_any(struct ask *a, enum resolver_kind kind, const char *domain,
		     const struct addr *client)
{
	a->done = false;
	a->answer = NULL;
	a->kind = kind;
	a->query = (struct resolver_query) { .answer = on_answer, .user = a };
	if (resolver_ask(a->port, kind, domain, client, &a->query) < 0)
		return NULL;
	uv_timer_start(&a->limit, on_limit, ANSWER_MS, 0);
	while (!a->done)
		uv_run(&a->loop, UV_RUN_ONCE);
	uv_timer_stop(&a->limit);
	resolver_cancel(&a->query);
	return a->answer;
}

struct domain_facts *ask_domain(struct ask *a, const char *domain, bool confirm)
{
	return ask_any(a, confirm ? RESOLVER_CONFIRM : RESOLVER_DOMAIN, domain, NULL);
}

struct client_names *ask_client(struct ask *a, const struct addr *client)
{
	return ask_any(a, RESOLVER_CLIENT, NULL, client);
}

struct door_names *ask_names(struct ask *a, const char *domain)
{
	return ask_any(a, RESOLVER_NAMES, domain, NULL);
}

int ask_open(const struct conf *conf, struct ask **ret_ask)
{
	struct resolver_conf rc = {
		.servers = conf->resolvers,
		.n_servers = conf->n_resolvers,
		.timeout_ms = conf->resolver_timeout_ms,
		.stale_max_ms = conf->policy.stale_max_ms,
	};
	struct ask *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	r = uv_loop_init(&a->loop);
	if (r < 0) {
		free(a);
		return r;
	}
	uv_timer_init(&a->loop, &a->limit);
	a->limit.data = a;
	r = resolver_new(&rc, &a->resolver);
	if (r == 0)
		r = resolver_port_new(a->resolver, &a->loop, &a->port);
	if (r < 0) {
		ask_close(a);
		return r;
	}
	*ret_ask = a;
	return 0;
}

void ask_close(struct ask *a)
{
	if (!a)
		return;
	resolver_port_free(a->port);
	uv_close((uv_handle_t *)&a->limit, NULL);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	uv_loop_close(&a->loop);
	if (a->resolver)
		resolver_free(a->resolver);
	free(a);
}
