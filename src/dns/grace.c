#include "dns/grace.h"

enum {
	LASTS_UNIT_MS = 8000, /* of door.lasts */
	LASTS_MAX_MS = 24 * 3600 * 1000,
};

bool grace_same_addrs(const struct dns_host *a, const struct dns_host *b)
{
	size_t k;

	for (size_t i = 0; i < a->n_addrs; i++) {
		for (k = 0; k < b->n_addrs && !addr_eq(&a->addrs[i], &b->addrs[k]); k++)
			;
		if (k == b->n_addrs)
			return false;
	}
	return a->n_addrs == b->n_addrs;
}

bool grace_same_hosts(const struct domain_facts *a, const struct domain_facts *b)
{
	if (a->kind != b->kind || a->n_hosts != b->n_hosts)
		return false;
	for (size_t i = 0; i < a->n_hosts; i++)
		if (a->hosts[i].preference != b->hosts[i].preference ||
		    strcmp(a->hosts[i].name, b->hosts[i].name) != 0)
			return false;
	return true;
}

static const struct dns_host *host_of(const struct domain_facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->n_hosts; i++)
		if (strcmp(facts->hosts[i].name, name) == 0)
			return &facts->hosts[i];
	return NULL;
}

bool grace_fill(struct grace *g, const struct domain_facts *last, struct domain_facts *facts)
{
	size_t n = min_size(facts->n_hosts, HOST_SET_MAX_HOSTS);
	const struct dns_host *known;
	bool filled = false;

	for (size_t i = 0; i < n; i++) {
		struct dns_host *h = &g->hosts[i];
		*h = facts->hosts[i];
		known = host_of(last, h->name);
		if (known && h->status == DNS_FAILED && known->status == DNS_OK) {
			uint16_t preference = h->preference;
			const char *ptr = h->ptr;
			*h = *known;
			h->preference = preference;
			h->ptr = ptr;
			filled = true;
		}
		/* its name couldn't be asked for, or wasn't to be found */
		if (known && (h->ptr == facts_ptr_failed || facts->hosts[i].status == DNS_FAILED))
			h->ptr = known->ptr;
	}
	facts->hosts = g->hosts;
	facts->n_hosts = (uint16_t)n;
	if (filled) {
		facts->stale = true;
		facts->fetched_ms = last->fetched_ms;
	}
	return filled;
}

/* ---- how long ---- */

static int64_t life_ms(const struct domain_facts *f)
{
	/* of what is in the table, or was before a restart, only the MX set's own is known */
	uint32_t cached_s = f->cached_s > f->ttl ? f->cached_s : f->ttl;
	int64_t cached = (int64_t)cached_s * 1000, own = f->expires_ms - f->fetched_ms;
	int64_t ms = cached > own ? cached : own;

	return ms < LASTS_MAX_MS ? ms : LASTS_MAX_MS;
}

/* The moment until which some cache may have what d has now. */
static int64_t cached_until(const struct door *d, const struct domain_facts *last, int64_t now_ms)
{
	int64_t seen = last->fetched_ms + (int64_t)d->lasts * LASTS_UNIT_MS;
	int64_t unseen = now_ms + life_ms(last);

	return seen > unseen ? seen : unseen;
}

/* An answer may have been there with a longer TTL than it has now: caches go by the one they got.
 */
static void note_life(struct door *d, const struct domain_facts *last,
		      const struct domain_facts *facts)
{
	int64_t ms = life_ms(facts), left = 0;

	if (last)
		left = (int64_t)d->lasts * LASTS_UNIT_MS - (facts->fetched_ms - last->fetched_ms);
	if (left > ms)
		ms = left;
	d->lasts = (uint16_t)((ms + LASTS_UNIT_MS - 1) / LASTS_UNIT_MS);
}

/* ---- the same hosts, other addresses ---- */

static bool has_addr(const struct dns_host *h, const struct addr *a)
{
	for (size_t i = 0; i < h->n_addrs; i++)
		if (addr_eq(&h->addrs[i], a))
			return true;
	return false;
}

/* h gets the addresses of other, too. Whether it had not all of them. */
static bool add_addrs(struct grace *g, struct dns_host *h, const struct dns_host *other)
{
	struct addr *out = g->addrs[g->n_addrs];
	size_t n = min_size(h->n_addrs, HOST_SET_MAX_ADDRS);
	bool added = false;

	for (size_t i = 0; i < other->n_addrs && !added; i++)
		added = !has_addr(h, &other->addrs[i]);
	if (!added || g->n_addrs == ARRAY_SIZE(g->addrs))
		return false;
	g->n_addrs++;
	if (n)
		memcpy(out, h->addrs, n * sizeof(*out));
	for (size_t i = 0; i < other->n_addrs; i++) {
		if (has_addr(h, &other->addrs[i]))
			continue;
		if (n == HOST_SET_MAX_ADDRS) {
			h->incomplete = true;
			break;
		}
		out[n++] = other->addrs[i];
	}
	h->addrs = out;
	h->n_addrs = (uint16_t)n;
	h->status = DNS_OK;
	return true;
}

/* facts and the n_hosts others at hosts name the same. */
static bool add_all_addrs(struct grace *g, struct domain_facts *facts, const struct dns_host *hosts)
{
	bool added = false;

	for (size_t i = 0; i < facts->n_hosts; i++) {
		g->hosts[i] = facts->hosts[i];
		added = add_addrs(g, &g->hosts[i], &hosts[i]) || added;
	}
	facts->hosts = g->hosts;
	return added;
}

static void forget_own(struct door_table *t, struct door *d)
{
	struct door_extra *x = atomic_load_explicit(&d->extra, memory_order_relaxed);

	if (!x || !x->own)
		return;
	host_set_put(&t->sets, x->own);
	x->own = NULL;
}

static void same_hosts(struct grace *g, struct door_table *t, struct door *d,
		       const struct domain_facts *last, int64_t now_ms, struct domain_facts *facts)
{
	struct door_extra *x = atomic_load_explicit(&d->extra, memory_order_relaxed);
	const struct dns_host *own = x && x->own ? x->own->hosts : last->hosts;
	struct host_set *fresh;
	bool same = true;

	for (size_t i = 0; i < facts->n_hosts; i++)
		same = same && grace_same_addrs(&facts->hosts[i], &own[i]);
	if (same) {
		if (x && x->own && now_ms < x->own_until_ms)
			add_all_addrs(g, facts, last->hosts);
		else
			forget_own(t, d);
		return;
	}
	fresh = host_set_get(&t->sets, facts->hosts, facts->n_hosts);
	x = fresh ? door_extra(d) : NULL;
	if (!x || !add_all_addrs(g, facts, own)) {
		host_set_put(&t->sets, fresh);
		forget_own(t, d);
		return;
	}
	forget_own(t, d);
	x->own = fresh;
	x->own_until_ms = cached_until(d, last, now_ms);
}

/* ---- other hosts ---- */

static void add_former(struct grace *g, const struct dns_host *host, struct domain_facts *facts)
{
	struct dns_host *h;

	for (size_t i = 0; i < facts->n_former; i++)
		if (strcmp(g->former[i].name, host->name) == 0) {
			add_addrs(g, &g->former[i], host);
			return;
		}
	if (facts->n_former == HOST_SET_MAX_HOSTS) {
		g->former[HOST_SET_MAX_HOSTS - 1].incomplete = true;
		return;
	}
	h = &g->former[facts->n_former++];
	*h = *host;
}

static void other_hosts(struct grace *g, const struct door *d, const struct domain_facts *last,
			int64_t now_ms, struct domain_facts *facts)
{
	facts->former_until_ms = cached_until(d, last, now_ms);
	facts->former_kind = last->kind;
	facts->n_former = 0;
	facts->former = g->former;
	for (size_t i = 0; i < last->n_hosts; i++)
		add_former(g, &last->hosts[i], facts);
	if (last->n_former == 0)
		return;
	for (size_t i = 0; i < last->n_former; i++)
		add_former(g, &last->former[i], facts);
	for (size_t i = 0; i < facts->n_former; i++)
		g->former[i].preference = 0;
	facts->former_kind = FACTS_MX;
	if (facts->former_until_ms < last->former_until_ms)
		facts->former_until_ms = last->former_until_ms;
}

static void keep_former(const struct domain_facts *last, struct domain_facts *facts)
{
	facts->former_until_ms = last->former_until_ms;
	facts->former_kind = last->former_kind;
	facts->n_former = last->n_former;
	facts->former = last->former;
}

void grace_apply(struct grace *g, struct door_table *t, struct door *d,
		 const struct domain_facts *last, int64_t now_ms, struct domain_facts *facts)
{
	bool same;

	if (!last) {
		forget_own(t, d); /* those of an answer that is too old to count */
		note_life(d, NULL, facts);
		return;
	}
	g->n_addrs = 0;
	same = grace_same_hosts(facts, last);
	if (same) {
		keep_former(last, facts);
		same_hosts(g, t, d, last, now_ms, facts);
	} else {
		forget_own(t, d);
		if (last->n_hosts)
			other_hosts(g, d, last, now_ms, facts);
		else
			keep_former(last, facts);
	}
	note_life(d, same ? last : NULL, facts);
}
