#include "dns/lookup.h"

#include "base/clock.h"
#include "dns/host_cache.h"
#include "dns/pair.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	LIFETIME_FAILED = 10,  /* seconds until a failure is asked anew */
	LIFETIME_PARTIAL = 30, /* when only some of the hosts failed */
};

struct lookup {
	lookup_done_fn done;
	void *user;
	struct channel *own, *hosts;
	bool authoritative;
	bool aa;
	bool more; /* MX records left out */
	bool failed;
	bool no_mx;
	bool nxdomain;
	enum dns_status status;
	uint32_t lifetime;
	uint32_t ttl;
	uint32_t cached_s;
	unsigned int pending;
	size_t n;
	struct channel_query query; /* MX or PTR */
	char domain[WIRE_NAME_SIZE];
	struct addr client;
	struct lookup_aid aid;
	struct named {
		struct lookup *domain;
		struct lookup *client; /* under way */
		size_t host;
		bool failed;
		char name[WIRE_NAME_SIZE]; /* "": none */
	} * named;
	size_t n_named;
	struct item {
		union {
			struct pair pair;
			struct {
				struct channel_query query;
				char name[WIRE_NAME_SIZE];
				bool confirmed;
			};
		};
		struct lookup *lookup;
		uint16_t preference;
	} * items;
};

static struct lookup *lookup_new(struct channel *own, struct channel *hosts, const char *domain,
				 lookup_done_fn done, void *user)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->own = own;
	l->hosts = hosts;
	l->done = done;
	l->user = user;
	l->lifetime = UINT32_MAX;
	memcpy(l->domain, domain, strlen(domain) + 1);
	return l;
}

void lookup_abort(struct lookup *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n_named; i++)
		lookup_abort(l->named[i].client);
	free(l->named);
	free(l->items);
	free(l);
}

static bool lookup_alloc(struct lookup *l, size_t n)
{
	l->items = calloc(n, sizeof(*l->items));
	if (!l->items)
		return false;
	l->n = n;
	for (size_t i = 0; i < n; i++)
		l->items[i].lookup = l;
	return true;
}

static void lookup_lives(struct lookup *l, uint32_t seconds)
{
	if (seconds < l->lifetime)
		l->lifetime = seconds;
}

static void lookup_end(struct lookup *l, void *result)
{
	l->done(l->user, result);
	lookup_abort(l);
}

/* Domain */

static void fill_host(const struct lookup *l, size_t i, struct dns_host *host)
{
	const struct pair *p = &l->items[i].pair;

	*host = (struct dns_host) {
		.name = p->name,
		.canonical = p->canonical,
		.status = p->status,
		.incomplete = p->incomplete || (l->more && i + 1 == l->n),
		.preference = l->items[i].preference,
		.n_addrs = p->n,
		.addrs = p->addrs,
		.ptr = l->authoritative ? facts_ptr_failed : "",
	};
}

static void domain_end(struct lookup *l, enum facts_kind kind)
{
	struct dns_host hosts[LOOKUP_MAX_HOSTS];
	int64_t now = clock_mono_ms();
	struct domain_facts facts = {
		.kind = kind,
		.nxdomain = l->nxdomain,
		.aa = l->aa,
		.fetched_ms = kind == FACTS_FAILED ? -1 : now,
		.expires_ms = now + (int64_t)l->lifetime * 1000,
		.confirmed_ms = -1,
		.ttl = l->ttl,
		.cached_s = l->cached_s,
		.n_hosts = (uint16_t)(kind == FACTS_MX || kind == FACTS_ADDRESS ? l->n : 0),
		.domain = l->domain,
		.hosts = hosts,
	};

	if (kind == FACTS_FAILED)
		facts.expires_ms = now + LIFETIME_FAILED * 1000;
	for (size_t i = 0; i < facts.n_hosts; i++)
		fill_host(l, i, &hosts[i]);
	for (size_t i = 0; l->named && i < l->n_named; i++)
		hosts[l->named[i].host].ptr =
			l->named[i].failed ? facts_ptr_failed : l->named[i].name;
	lookup_end(l, facts_copy(&facts));
}

static void on_name(void *user, void *result)
{
	struct named *named = user;
	struct lookup *l = named->domain;
	struct client_names *names = result;

	named->client = NULL;
	named->failed = !names || names->status == DNS_FAILED;
	if (names && names->n)
		memcpy(named->name, names->names[0], strlen(names->names[0]) + 1);
	facts_free(names);
	if (--l->pending == 0)
		domain_end(l, FACTS_MX);
}

/* The MX set is there; the names of its hosts, where they are wanted. */
static void ask_named(struct lookup *l)
{
	bool (*wants)(void *user, const struct dns_host *host) = l->aid.wants_ptr;
	struct named *named;
	struct dns_host host;

	if (wants && !l->authoritative)
		l->named = calloc(LOOKUP_MAX_NAMED, sizeof(*l->named));
	for (size_t i = 0; wants && l->named && i < l->n && l->n_named < LOOKUP_MAX_NAMED; i++) {
		fill_host(l, i, &host);
		if (host.n_addrs == 0 || !wants(l->aid.user, &host))
			continue;
		named = &l->named[l->n_named++];
		*named = (struct named) { .domain = l, .host = i };
		named->client = lookup_client(l->hosts, &host.addrs[0], on_name, named);
		named->failed = !named->client;
		l->pending += named->client != NULL;
	}
	if (l->pending == 0)
		domain_end(l, FACTS_MX);
}

struct domain_facts *lookup_failed(const char *domain)
{
	struct domain_facts facts = {
		.kind = FACTS_FAILED,
		.fetched_ms = -1,
		.expires_ms = clock_mono_ms() + LIFETIME_FAILED * 1000,
		.confirmed_ms = -1,
		.domain = domain,
	};

	return facts_copy(&facts);
}

static void host_done(struct pair *p)
{
	struct lookup *l = p->user;

	if (p->done && l->aid.hosts && !l->no_mx)
		host_cache_put(l->aid.hosts, p, clock_mono_ms());
	l->failed = l->failed || p->failed;
	/* the aa of an authoritative server says nothing about the resolver */
	if (!l->authoritative || !l->no_mx)
		l->aa = l->aa || p->aa;
	lookup_lives(l, p->failed ? LIFETIME_PARTIAL : p->lifetime);
	if (p->cached_s > l->cached_s)
		l->cached_s = p->cached_s;
	if (--l->pending)
		return;
	if (!l->no_mx)
		ask_named(l);
	else if (p->status == DNS_FAILED)
		domain_end(l, FACTS_FAILED);
	else
		domain_end(l, p->status == DNS_OK ? FACTS_ADDRESS : FACTS_NOTHING);
}

static void ask_implicit(struct lookup *l)
{
	l->no_mx = true;
	if (!lookup_alloc(l, 1)) {
		lookup_end(l, NULL);
		return;
	}
	l->pending = 1;
	pair_ask(&l->items[0].pair, l->own, l->domain, l->authoritative, host_done, l);
}

static int record_cmp(const void *a, const void *b)
{
	const struct wire_record *const *left = a, *const *right = b;

	if ((*left)->preference != (*right)->preference)
		return (*left)->preference < (*right)->preference ? -1 : 1;
	return strcmp((*left)->name, (*right)->name);
}

/* The MX set, sorted, each host once, without roots beside others. Returns how many. */
static size_t mx_set(const struct wire_answer *a, const struct wire_record **out)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < a->n; i++)
		if (a->records[i].name[0])
			out[n++] = &a->records[i];
	qsort(out, n, sizeof(struct wire_record *), record_cmp);
	for (size_t i = 0; i < n; i++) {
		bool seen = false;
		for (size_t k = 0; k < kept; k++)
			seen = seen || strcmp(out[k]->name, out[i]->name) == 0;
		if (!seen)
			out[kept++] = out[i];
	}
	return kept;
}

static void ask_hosts(struct lookup *l, const struct wire_answer *a)
{
	const struct wire_record *set[WIRE_MAX_RECORDS] = { NULL };
	bool known[LOOKUP_MAX_HOSTS] = { false };
	size_t n = mx_set(a, set);

	if (n == 0) {
		domain_end(l, FACTS_NULL_MX);
		return;
	}
	l->more = a->more || n > LOOKUP_MAX_HOSTS;
	n = min_size(n, LOOKUP_MAX_HOSTS);
	if (!lookup_alloc(l, n)) {
		lookup_end(l, NULL);
		return;
	}
	/* a belongs to the channel, but asking never answers: it stays as it is */
	l->pending = (unsigned int)n;
	for (size_t i = 0; i < n; i++) {
		struct pair *p = &l->items[i].pair;
		l->items[i].preference = set[i]->preference;
		known[i] = l->aid.hosts &&
			   host_cache_get(l->aid.hosts, set[i]->name, clock_mono_ms(), p);
		p->user = l;
		if (!known[i])
			pair_ask(p, l->hosts, set[i]->name, false, host_done, l);
	}
	/* the last one ends it, if none was asked for */
	for (size_t i = 0; i < n; i++)
		if (known[i])
			host_done(&l->items[i].pair);
}

static void mx_answer(void *user, const struct wire_answer *a)
{
	struct lookup *l = user;

	if (a->status == DNS_FAILED || a->dangling || (l->authoritative && !a->aa)) {
		domain_end(l, FACTS_FAILED);
		return;
	}
	l->aa = a->aa && !l->authoritative;
	lookup_lives(l, wire_answer_lifetime(a));
	if (a->status == DNS_OK) {
		l->ttl = a->ttl;
		l->cached_s = wire_answer_lifetime(a);
		ask_hosts(l, a);
	} else if (a->status == DNS_NXDOMAIN) {
		l->nxdomain = true;
		domain_end(l, FACTS_NOTHING);
	} else {
		ask_implicit(l);
	}
}

struct lookup *lookup_domain(struct channel *own, struct channel *hosts, bool authoritative,
			     const char *domain, const struct lookup_aid *aid, lookup_done_fn done,
			     void *user)
{
	struct lookup *l = lookup_new(own, hosts, domain, done, user);

	if (!l)
		return NULL;
	l->authoritative = authoritative;
	if (aid)
		l->aid = *aid;
	channel_ask(own, domain, WIRE_MX, mx_answer, l, &l->query);
	return l;
}

/* Client */

static void client_end(struct lookup *l, enum dns_status status)
{
	const char *names[LOOKUP_MAX_PTR];
	struct client_names result = { .names = names };

	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].confirmed)
			names[result.n++] = l->items[i].name;
	/* without any name that leads back a failure may have hidden one */
	if (result.n == 0 && l->failed)
		status = DNS_FAILED;
	if (l->failed)
		lookup_lives(l, status == DNS_FAILED ? LIFETIME_FAILED : LIFETIME_PARTIAL);
	result.status = status;
	result.fetched_ms = clock_mono_ms();
	result.expires_ms = result.fetched_ms + (int64_t)l->lifetime * 1000;
	lookup_end(l, client_names_copy(&result));
}

static void forward_answer(void *user, const struct wire_answer *a)
{
	struct item *item = user;
	struct lookup *l = item->lookup;

	if (a->status == DNS_FAILED)
		l->failed = true;
	else
		lookup_lives(l, wire_answer_lifetime(a));
	for (size_t i = 0; i < a->n; i++)
		if (addr_eq(&a->records[i].addr, &l->client))
			item->confirmed = true;
	if (--l->pending == 0)
		client_end(l, DNS_OK);
}

static void ptr_answer(void *user, const struct wire_answer *a)
{
	struct lookup *l = user;
	size_t n = min_size(a->n, LOOKUP_MAX_PTR);
	enum wire_type type = addr_is_v4(&l->client) ? WIRE_A : WIRE_AAAA;

	l->failed = a->status == DNS_FAILED;
	lookup_lives(l, wire_answer_lifetime(a));
	if (n == 0) {
		client_end(l, a->status);
		return;
	}
	if (!lookup_alloc(l, n)) {
		lookup_end(l, NULL);
		return;
	}
	l->pending = (unsigned int)n;
	for (size_t i = 0; i < n; i++) {
		memcpy(l->items[i].name, a->records[i].name, sizeof(l->items[i].name));
		channel_ask(l->hosts, l->items[i].name, type, forward_answer, &l->items[i],
			    &l->items[i].query);
	}
}

void lookup_reverse_name(const struct addr *a, char *out)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *b = a->b;

	if (addr_is_v4(a)) {
		snprintf(out, WIRE_NAME_SIZE, "%u.%u.%u.%u.in-addr.arpa", b[15], b[14], b[13],
			 b[12]);
		return;
	}
	for (int i = 15; i >= 0; i--) {
		*out++ = hex[b[i] & 0x0f];
		*out++ = '.';
		*out++ = hex[b[i] >> 4];
		*out++ = '.';
	}
	memcpy(out, "ip6.arpa", sizeof("ip6.arpa"));
}

struct lookup *lookup_client(struct channel *c, const struct addr *client, lookup_done_fn done,
			     void *user)
{
	char name[WIRE_NAME_SIZE];
	struct lookup *l;

	lookup_reverse_name(client, name);
	l = lookup_new(c, c, name, done, user);
	if (!l)
		return NULL;
	l->client = *client;
	channel_ask(c, name, WIRE_PTR, ptr_answer, l, &l->query);
	return l;
}

/* Names */

static void names_end(struct lookup *l)
{
	struct door_names result = { 0 };

	for (size_t i = 0; i < l->n; i++) {
		result.n[i] = l->items[i].pair.n;
		result.addrs[i] = l->items[i].pair.addrs;
	}
	result.expires_ms = clock_mono_ms() + (int64_t)l->lifetime * 1000;
	lookup_end(l, door_names_copy(&result));
}

static void name_done(struct pair *p)
{
	struct lookup *l = p->user;

	lookup_lives(l, p->failed ? LIFETIME_PARTIAL : p->lifetime);
	if (--l->pending == 0)
		names_end(l);
}

const char *const lookup_name_labels[DOOR_NAME_COUNT] = {
	[DOOR_NAME_APEX] = "",      [DOOR_NAME_WWW] = "www.",  [DOOR_NAME_MAIL] = "mail.",
	[DOOR_NAME_SMTP] = "smtp.", [DOOR_NAME_OTHER] = "mx.",
};

struct lookup *lookup_names(struct channel *c, const char *domain, lookup_done_fn done, void *user)
{
	struct lookup *l = lookup_new(c, c, domain, done, user);

	if (!l || !lookup_alloc(l, DOOR_NAME_COUNT)) {
		lookup_abort(l);
		return NULL;
	}
	l->pending = DOOR_NAME_COUNT;
	for (size_t i = 0; i < DOOR_NAME_COUNT; i++) {
		char name[WIRE_NAME_SIZE + 8];
		snprintf(name, sizeof(name), "%s%s", lookup_name_labels[i], domain);
		/* one that is too long can't exist; the root isn't asked for */
		if (strlen(name) >= WIRE_NAME_SIZE)
			name[0] = '\0';
		pair_ask(&l->items[i].pair, c, name, false, name_done, l);
	}
	return l;
}
