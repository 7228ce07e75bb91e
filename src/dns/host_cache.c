#include "dns/host_cache.h"

#include <stdlib.h>

enum { MAX_HOSTS = 20000 };

struct host_answer {
	int64_t asked_ms;
	uint32_t lifetime, cached_s;
	enum dns_status status;
	bool aa;
	uint16_t n;
	struct addr addrs[]; /* the canonical name behind them */
};

int host_cache_init(struct host_cache *c, struct epoch *epoch)
{
	return table_init(&c->table, epoch, MAX_HOSTS, free, NULL);
}

void host_cache_deinit(struct host_cache *c)
{
	table_deinit(&c->table);
}

bool host_cache_get(struct host_cache *c, const char *name, int64_t now_ms, struct pair *p)
{
	struct table_entry *e;
	const struct host_answer *a = table_get(&c->table, sv_from(name), &e);
	const char *canonical;
	int64_t age_ms;

	if (!a)
		return false;
	age_ms = now_ms - a->asked_ms;
	if (age_ms < 0 || age_ms >= (int64_t)a->lifetime * 1000 / 2)
		return false;
	table_touch(e, now_ms);
	canonical = (const char *)&a->addrs[a->n];
	p->status = a->status;
	p->incomplete = p->failed = false;
	p->aa = a->aa;
	p->lifetime = a->lifetime - (uint32_t)(age_ms / 1000);
	p->cached_s = a->cached_s;
	p->n = a->n;
	memcpy(p->addrs, a->addrs, a->n * sizeof(*a->addrs));
	memcpy(p->name, name, strlen(name) + 1);
	memcpy(p->canonical, canonical, strlen(canonical) + 1);
	return true;
}

void host_cache_put(struct host_cache *c, const struct pair *p, int64_t now_ms)
{
	size_t size = strlen(p->canonical) + 1;
	struct host_answer *a;
	struct table_entry *e;

	if (p->failed || p->incomplete)
		return;
	e = table_add(&c->table, sv_from(p->name), now_ms);
	a = e ? malloc(sizeof(*a) + p->n * sizeof(*a->addrs) + size) : NULL;
	if (!a)
		return;
	*a = (struct host_answer) { .asked_ms = now_ms,
				    .lifetime = p->lifetime,
				    .cached_s = p->cached_s,
				    .status = p->status,
				    .aa = p->aa,
				    .n = p->n };
	memcpy(a->addrs, p->addrs, p->n * sizeof(*a->addrs));
	memcpy((char *)&a->addrs[p->n], p->canonical, size);
	if (table_set(e, a) < 0)
		free(a);
}
