#include "cli/ask.h"

#include "dns/pair.h"
#include "dns/resolver.h"
#include "policy/decide.h"

#include <errno.h>
#include <stdlib.h>

#define ANSWER_MS 15000 /* all tries at all servers that a look-up may need */
#define PTR_TRIES 4     /* addresses of a host whose names are looked at */

struct ask {
	uv_loop_t loop;
	uv_timer_t limit;
	struct resolver *resolver;
	struct resolver_port *port;
	struct resolver_query query;
	enum resolver_kind kind;
	bool done;
	void *answer;
	const struct conf *conf;
	struct pair pair; /* of a host */
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
	case RESOLVER_SOURCE:
		a->answer = egress_source_copy(result);
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

struct egress_source *ask_source(struct ask *a, const char *key)
{
	return ask_any(a, RESOLVER_SOURCE, key, NULL);
}

static void on_pair(struct pair *p)
{
	struct ask *a = p->user;

	a->done = true;
}

/* a->pair is what was found out; false: no answer within the time limit. */
static bool ask_pair(struct ask *a, const char *host)
{
	struct channel_conf cc = {
		.servers = a->conf->resolvers,
		.n_servers = a->conf->n_resolvers,
		.timeout_ms = a->conf->resolver_timeout_ms,
		.tries = 3,
		.max_in_flight = 2,
	};
	struct channel *channel;
	bool answered;

	if (channel_new(&a->loop, &cc, &channel) < 0)
		return false;
	a->done = false;
	pair_ask(&a->pair, channel, host, false, on_pair, a);
	uv_timer_start(&a->limit, on_limit, ANSWER_MS, 0);
	while (!a->done)
		uv_run(&a->loop, UV_RUN_ONCE);
	uv_timer_stop(&a->limit);
	answered = a->pair.pending == 0;
	channel_free(channel);
	return answered;
}

/* The first name that leads back to one of the host's addresses, into name[256]; "": none. */
static void find_name(struct ask *a, const struct dns_host *host, char *name)
{
	for (unsigned i = 0; i < host->n_addrs && i < PTR_TRIES && !name[0]; i++) {
		struct client_names *names = ask_client(a, &host->addrs[i]);
		size_t n = names && names->n > 0 ? strlen(names->names[0]) : 0;

		if (n > 0 && n < WIRE_NAME_SIZE)
			memcpy(name, names->names[0], n + 1);
		facts_free(names);
	}
}

struct domain_facts *ask_host(struct ask *a, const char *host)
{
	char name[WIRE_NAME_SIZE] = "";
	const struct pair *p = &a->pair;
	struct dns_host h = { .name = host, .ptr = name };
	struct domain_facts facts = {
		.kind = FACTS_NOTHING, .domain = host, .n_hosts = 1, .hosts = &h, .confirmed_ms = -1
	};
	bool answered = ask_pair(a, host);

	h.canonical = answered ? p->canonical : host;
	h.status = answered ? p->status : DNS_FAILED;
	h.incomplete = answered && p->incomplete;
	h.n_addrs = answered ? p->n : 0;
	h.addrs = p->addrs;
	if (h.status == DNS_OK)
		facts.kind = FACTS_ADDRESS;
	else if (h.status == DNS_FAILED)
		facts.kind = FACTS_FAILED;
	facts.nxdomain = h.status == DNS_NXDOMAIN;
	if (policy_wants_ptr(&a->conf->policy, &h))
		find_name(a, &h, name);
	return facts_copy(&facts);
}

static bool wants_ptr(void *user, const struct dns_host *host)
{
	const struct conf *conf = user;

	return policy_wants_ptr(&conf->policy, host);
}

static const struct prefix_set *fallback(void *user, const char *key)
{
	const struct conf *conf = user;

	return conf->policy.catalogue ? catalogue_fallback(conf->policy.catalogue, key) : NULL;
}

int ask_open(const struct conf *conf, struct ask **ret_ask)
{
	struct resolver_conf rc = {
		.servers = conf->resolvers,
		.n_servers = conf->n_resolvers,
		.timeout_ms = conf->resolver_timeout_ms,
		.stale_max_ms = conf->policy.stale_max_ms,
		.user = (void *)conf,
		.wants_ptr = wants_ptr,
		.fallback = fallback,
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
	a->conf = conf;
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
