#include "dns/pair.h"

static void pair_add(struct pair *p, const struct wire_answer *a)
{
	size_t n = min_size(a->n, PAIR_MAX_ADDRS - p->n);

	for (size_t i = 0; i < n; i++)
		p->addrs[p->n++] = a->records[i].addr;
	if (p->take && a->n)
		p->take(p, a);
	else if (n < a->n || a->more)
		p->incomplete = true;
}

static void pair_finish(struct pair *p)
{
	if (p->n)
		p->status = DNS_OK;
	else if (p->failed)
		p->status = DNS_FAILED;
	else
		p->status = p->n_nxdomain == 2 ? DNS_NXDOMAIN : DNS_NODATA;
	p->done(p);
}

static void on_answer(void *user, const struct wire_answer *a)
{
	struct pair *p = user;
	uint32_t lifetime;

	if (a->status == DNS_FAILED || a->dangling || (p->require_aa && !a->aa)) {
		p->failed = p->incomplete = true;
	} else {
		lifetime = wire_answer_lifetime(a);
		if (lifetime < p->lifetime)
			p->lifetime = lifetime;
		if (a->n && lifetime > p->cached_s)
			p->cached_s = lifetime;
		if (a->status == DNS_NXDOMAIN)
			p->n_nxdomain++;
		p->aa = p->aa || a->aa;
		/* of two that differ the one with addresses is right */
		if (a->n || !p->n)
			memcpy(p->canonical, a->canonical, sizeof(p->canonical));
		pair_add(p, a);
	}
	if (--p->pending == 0)
		pair_finish(p);
}

void pair_ask(struct pair *p, struct channel *c, const char *name, bool require_aa,
	      pair_done_fn done, void *user)
{
	static const enum wire_type types[] = { WIRE_A, WIRE_AAAA };
	size_t size = strlen(name) + 1;

	INVARIANT(size <= WIRE_NAME_SIZE);
	*p = (struct pair) { .done = done, .user = user, .lifetime = UINT32_MAX };
	p->require_aa = require_aa;
	memcpy(p->name, name, size);
	memcpy(p->canonical, name, size);
	p->pending = ARRAY_SIZE(types);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		channel_ask(c, p->name, types[i], on_answer, p, &p->queries[i]);
}
