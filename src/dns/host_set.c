#include "dns/host_set.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 256 };

/* One host with its name fits the first. */
static const size_t set_sizes[] = { 128, 192, 256, 384 };

struct addr_list {
	union {
		struct addr_list *chain;
		struct epoch_node retired;
	};
	uint32_t hash;
	uint32_t refs;
	size_t n;
	struct addr addrs[];
};

int host_sets_init(struct host_sets *p, struct epoch *epoch)
{
	*p = (struct host_sets) { .epoch = epoch,
				  .n_set_buckets = FIRST_BUCKETS,
				  .n_list_buckets = FIRST_BUCKETS };
	for (size_t i = 0; i < ARRAY_SIZE(p->slabs); i++)
		slab_init(&p->slabs[i], set_sizes[i], NULL);
	p->sets = calloc(FIRST_BUCKETS, sizeof(*p->sets));
	p->lists = calloc(FIRST_BUCKETS, sizeof(*p->lists));
	return p->sets && p->lists ? 0 : -ENOMEM;
}

void host_sets_deinit(struct host_sets *p)
{
	INVARIANT(p->n_sets == 0 && p->n_lists == 0);
	epoch_reclaim(p->epoch);
	for (size_t i = 0; i < ARRAY_SIZE(p->slabs); i++)
		slab_deinit(&p->slabs[i]);
	free(p->sets);
	free(p->lists);
	p->sets = NULL;
	p->lists = NULL;
}

/* ---- addresses ---- */

/* Without memory for more buckets the chains grow longer. */
static void grow_lists(struct host_sets *p)
{
	size_t n = p->n_list_buckets * 2;
	struct addr_list **buckets, *l;

	if (p->n_lists < p->n_list_buckets || !(buckets = calloc(n, sizeof(struct addr_list *))))
		return;
	for (size_t i = 0; i < p->n_list_buckets; i++)
		while ((l = p->lists[i])) {
			p->lists[i] = l->chain;
			l->chain = buckets[l->hash & (n - 1)];
			buckets[l->hash & (n - 1)] = l;
		}
	free(p->lists);
	p->lists = buckets;
	p->n_list_buckets = n;
}

static struct addr_list *addr_list_get(struct host_sets *p, const struct addr *addrs, size_t n)
{
	size_t size = n * sizeof(*addrs);
	uint32_t hash = (uint32_t)map_hash((struct sv) { (const char *)addrs, size });
	struct addr_list *l = p->lists[hash & (p->n_list_buckets - 1)];

	while (l && (l->hash != hash || l->n != n || memcmp(l->addrs, addrs, size) != 0))
		l = l->chain;
	if (l) {
		l->refs++;
		return l;
	}
	l = malloc(sizeof(*l) + size);
	if (!l)
		return NULL;
	*l = (struct addr_list) { .hash = hash, .refs = 1, .n = n };
	memcpy(l->addrs, addrs, size);
	grow_lists(p);
	l->chain = p->lists[hash & (p->n_list_buckets - 1)];
	p->lists[hash & (p->n_list_buckets - 1)] = l;
	p->n_lists++;
	return l;
}

static void addr_list_free(struct epoch_node *node)
{
	free(CONTAINER_OF(node, struct addr_list, retired));
}

static void addr_list_put(struct host_sets *p, const struct addr *addrs)
{
	struct addr_list *l, **at;

	if (!addrs)
		return;
	l = (struct addr_list *)(void *)((char *)(uintptr_t)addrs -
					 offsetof(struct addr_list, addrs));
	if (--l->refs)
		return;
	for (at = &p->lists[l->hash & (p->n_list_buckets - 1)]; *at != l; at = &(*at)->chain)
		;
	*at = l->chain;
	p->n_lists--;
	epoch_retire(p->epoch, &l->retired, addr_list_free);
}

/* Sorted, each once, as many as there is room for. Returns how many. */
static size_t sort_addrs(const struct dns_host *host, struct addr *out, bool *ret_more)
{
	size_t n = 0;

	for (size_t i = 0; i < host->n_addrs; i++) {
		size_t at = n;
		int cmp = -1;
		while (at > 0 && (cmp = addr_cmp(&out[at - 1], &host->addrs[i])) > 0)
			at--;
		if (at > 0 && cmp == 0)
			continue;
		if (n == HOST_SET_MAX_ADDRS) {
			*ret_more = true;
			continue;
		}
		memmove(&out[at + 1], &out[at], (n - at) * sizeof(*out));
		out[at] = host->addrs[i];
		n++;
	}
	return n;
}

/* ---- sets ---- */

static void grow_sets(struct host_sets *p)
{
	size_t n = p->n_set_buckets * 2;
	struct host_set **buckets, *s;

	if (p->n_sets < p->n_set_buckets || !(buckets = calloc(n, sizeof(struct host_set *))))
		return;
	for (size_t i = 0; i < p->n_set_buckets; i++)
		while ((s = p->sets[i])) {
			p->sets[i] = s->chain;
			s->chain = buckets[s->hash & (n - 1)];
			buckets[s->hash & (n - 1)] = s;
		}
	free(p->sets);
	p->sets = buckets;
	p->n_set_buckets = n;
}

/* Addresses are those of lists: equal ones are the same. */
static uint32_t hash_hosts(const struct dns_host *hosts, size_t n)
{
	uint64_t hash = n;

	for (size_t i = 0; i < n; i++) {
		hash = hash * 0x9e3779b97f4a7c15 + map_hash(sv_from(hosts[i].name));
		hash = hash * 0x9e3779b97f4a7c15 + (uintptr_t)hosts[i].addrs +
		       hosts[i].preference * 8u + hosts[i].status;
	}
	return (uint32_t)(hash ^ hash >> 32);
}

static bool same_host(const struct dns_host *a, const struct dns_host *b)
{
	return a->addrs == b->addrs && a->preference == b->preference && a->status == b->status &&
	       a->incomplete == b->incomplete && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->canonical, b->canonical) == 0 && strcmp(a->ptr, b->ptr) == 0;
}

static struct host_set *find(const struct host_sets *p, const struct dns_host *hosts, size_t n,
			     uint32_t hash)
{
	struct host_set *s = p->sets[hash & (p->n_set_buckets - 1)];

	for (; s; s = s->chain) {
		size_t i = 0;
		if (s->hash != hash || s->n_hosts != n)
			continue;
		while (i < n && same_host(&s->hosts[i], &hosts[i]))
			i++;
		if (i == n)
			return s;
	}
	return NULL;
}

static const char *put_string(char **at, const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = *at;

	memcpy(copy, s, size);
	*at += size;
	return copy;
}

static struct host_set *take_room(struct host_sets *p, size_t size, bool *ret_on_heap)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->slabs); i++)
		if (size <= p->slabs[i].size) {
			*ret_on_heap = false;
			return slab_take(&p->slabs[i]);
		}
	*ret_on_heap = true;
	return malloc(size);
}

/* Of no two sets of this process at the same place. */
static uint32_t next_serial(void)
{
	static _Atomic uint32_t serials;
	uint32_t serial;

	do {
		serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed) + 1;
	} while (serial == 0);
	return serial;
}

/* One string for both, as nearly always. */
static bool is_canonical(const struct dns_host *h)
{
	return strcmp(h->name, h->canonical) == 0;
}

static size_t names_size(const struct dns_host *h)
{
	return strlen(h->name) + 1 + (is_canonical(h) ? 0 : strlen(h->canonical) + 1) +
	       (h->ptr[0] ? strlen(h->ptr) + 1 : 0);
}

static struct host_set *make(struct host_sets *p, const struct dns_host *hosts, size_t n,
			     uint32_t hash)
{
	size_t size = sizeof(struct host_set) + n * sizeof(*hosts);
	struct host_set *s;
	bool on_heap;
	char *at;

	for (size_t i = 0; i < n; i++)
		size += names_size(&hosts[i]);
	s = take_room(p, size, &on_heap);
	if (!s)
		return NULL;
	*s = (struct host_set) { .hash = hash,
				 .refs = 1,
				 .n_hosts = (uint16_t)n,
				 .on_heap = on_heap,
				 .serial = next_serial() };
	at = (char *)&s->hosts[n];
	for (size_t i = 0; i < n; i++) {
		struct dns_host *to = &s->hosts[i];
		*to = hosts[i];
		to->name = put_string(&at, hosts[i].name);
		to->canonical =
			is_canonical(&hosts[i]) ? to->name : put_string(&at, hosts[i].canonical);
		to->ptr = hosts[i].ptr[0] ? put_string(&at, hosts[i].ptr) : "";
	}
	return s;
}

static void put_lists(struct host_sets *p, const struct dns_host *hosts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		addr_list_put(p, hosts[i].addrs);
}

/* hosts with their addresses taken from lists, each with a reference. */
static bool get_lists(struct host_sets *p, const struct dns_host *hosts, size_t n,
		      struct dns_host *out)
{
	struct addr addrs[HOST_SET_MAX_ADDRS + 1];

	for (size_t i = 0; i < n; i++) {
		bool more = false;
		size_t n_addrs = sort_addrs(&hosts[i], addrs, &more);
		struct addr_list *l = NULL;
		if (n_addrs && !(l = addr_list_get(p, addrs, n_addrs))) {
			put_lists(p, out, i);
			return false;
		}
		out[i] = hosts[i];
		out[i].ptr = hosts[i].ptr ? hosts[i].ptr : "";
		out[i].incomplete = hosts[i].incomplete || more;
		out[i].n_addrs = (uint16_t)n_addrs;
		out[i].addrs = l ? l->addrs : NULL;
	}
	return true;
}

struct host_set *host_set_get(struct host_sets *p, const struct dns_host *hosts, size_t n)
{
	struct dns_host taken[HOST_SET_MAX_HOSTS];
	size_t n_taken = min_size(n, HOST_SET_MAX_HOSTS);
	struct host_set *s;
	uint32_t hash;

	if (!get_lists(p, hosts, n_taken, taken))
		return NULL;
	if (n > n_taken)
		taken[n_taken - 1].incomplete = true;
	hash = hash_hosts(taken, n_taken);
	s = find(p, taken, n_taken, hash);
	if (s) {
		s->refs++;
		put_lists(p, taken, n_taken);
		return s;
	}
	s = make(p, taken, n_taken, hash);
	if (!s) {
		put_lists(p, taken, n_taken);
		return NULL;
	}
	grow_sets(p);
	s->chain = p->sets[hash & (p->n_set_buckets - 1)];
	p->sets[hash & (p->n_set_buckets - 1)] = s;
	p->n_sets++;
	return s;
}

static void host_set_free(struct epoch_node *node)
{
	struct host_set *s = CONTAINER_OF(node, struct host_set, retired);

	if (s->on_heap)
		free(s);
	else
		slab_give(s);
}

void host_set_put(struct host_sets *p, struct host_set *s)
{
	struct host_set **at;

	if (!s || --s->refs)
		return;
	for (at = &p->sets[s->hash & (p->n_set_buckets - 1)]; *at != s; at = &(*at)->chain)
		;
	*at = s->chain;
	p->n_sets--;
	put_lists(p, s->hosts, s->n_hosts);
	epoch_retire(p->epoch, &s->retired, host_set_free);
}
