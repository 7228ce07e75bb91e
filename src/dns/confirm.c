#include "dns/confirm.h"

#include "dns/lookup.h"
#include "dns/pair.h"

#include <stdlib.h>

enum {
	MAX_NS = 4,      /* hosts of the NS set whose addresses are asked for */
	MAX_SERVERS = 3, /* that are asked, one after the other */
};

struct confirm {
	struct confirm_conf conf;
	confirm_done_fn done;
	void *user;
	char domain[WIRE_NAME_SIZE];
	const char *zone; /* in domain: where the NS set is looked for */
	struct channel_query query;
	struct pair ns[MAX_NS];
	unsigned int n_ns;
	unsigned int pending;
	struct endpoint servers[MAX_SERVERS];
	unsigned int n_servers;
	unsigned int asked;
	struct channel *channel; /* to the server being asked */
	struct lookup *lookup;
};

void confirm_abort(struct confirm *c)
{
	if (!c)
		return;
	channel_free(c->channel);
	lookup_abort(c->lookup);
	free(c);
}

static void confirm_end(struct confirm *c, struct domain_facts *facts)
{
	c->done(c->user, facts);
	confirm_abort(c);
}

static void ask_next_server(struct confirm *c);

static void server_done(void *user, void *result)
{
	struct confirm *c = user;
	struct domain_facts *facts = result;

	c->lookup = NULL;
	channel_free(c->channel);
	c->channel = NULL;
	if (facts && facts->kind != FACTS_FAILED) {
		confirm_end(c, facts);
		return;
	}
	facts_free(facts);
	ask_next_server(c);
}

static void ask_next_server(struct confirm *c)
{
	while (c->asked < c->n_servers) {
		struct channel_conf conf = {
			.servers = &c->servers[c->asked++],
			.n_servers = 1,
			.timeout_ms = c->conf.timeout_ms,
			.tries = 2,
			.authoritative = true,
			.max_in_flight = 2,
		};
		if (channel_new(c->conf.loop, &conf, &c->channel) < 0)
			continue;
		c->lookup = lookup_domain(c->channel, c->conf.recursive, true, c->domain, NULL,
					  server_done, c);
		if (c->lookup)
			return;
		channel_free(c->channel);
		c->channel = NULL;
	}
	confirm_end(c, NULL);
}

/* The first address of each host, IPv4 before IPv6, then the second ones: as many different hosts
 * as there are. */
static void choose_servers(struct confirm *c)
{
	for (size_t round = 0; round < PAIR_MAX_ADDRS; round++)
		for (size_t i = 0; i < c->n_ns && c->n_servers < MAX_SERVERS; i++)
			if (round < c->ns[i].n)
				c->servers[c->n_servers++] =
					(struct endpoint) { c->ns[i].addrs[round], c->conf.port };
}

static void on_ns_addrs(struct pair *p)
{
	struct confirm *c = p->user;

	/* A and AAAA come in any order */
	for (size_t i = 1; i < p->n; i++)
		for (size_t k = i;
		     k > 0 && addr_is_v4(&p->addrs[k]) && !addr_is_v4(&p->addrs[k - 1]); k--) {
			struct addr swap = p->addrs[k];
			p->addrs[k] = p->addrs[k - 1];
			p->addrs[k - 1] = swap;
		}
	if (--c->pending)
		return;
	choose_servers(c);
	ask_next_server(c);
}

static void on_ns(void *user, const struct wire_answer *a)
{
	struct confirm *c = user;
	const char *dot = strchr(c->zone, '.');

	if (a->status == DNS_FAILED) {
		confirm_end(c, NULL);
		return;
	}
	/* behind a CNAME it is the NS set of another zone */
	if (a->status == DNS_OK && strcmp(a->canonical, c->zone) == 0) {
		c->n_ns = (unsigned int)min_size(a->n, MAX_NS);
		c->pending = c->n_ns;
		for (size_t i = 0; i < c->n_ns; i++)
			pair_ask(&c->ns[i], c->conf.recursive, a->records[i].name, false,
				 on_ns_addrs, c);
		return;
	}
	/* the root's servers would only refer us */
	if (!dot) {
		confirm_end(c, NULL);
		return;
	}
	c->zone = dot + 1;
	channel_ask(c->conf.recursive, c->zone, WIRE_NS, on_ns, c, &c->query);
}

struct confirm *confirm_domain(const struct confirm_conf *conf, const char *domain,
			       confirm_done_fn done, void *user)
{
	struct confirm *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->conf = *conf;
	c->done = done;
	c->user = user;
	memcpy(c->domain, domain, strlen(domain) + 1);
	c->zone = c->domain;
	channel_ask(conf->recursive, c->zone, WIRE_NS, on_ns, c, &c->query);
	return c;
}
