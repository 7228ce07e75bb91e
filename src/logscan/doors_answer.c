/*
 * Doors from a file of DNS records. What a set of records means is what dns/lookup.c makes of the
 * same answers: MX set, implicit MX, null MX; CNAMEs followed.
 */
#include "logscan/doors_private.h"

#include "base/clock.h"
#include "dns/expand.h"
#include "dns/lookup.h"

#include <stdio.h>
#include <stdlib.h>

#define CHAIN_MAX 8
#define LIFE_MS   (365 * 24 * 3600 * 1000LL)

/* Records of one type of a name, CNAMEs followed. */
struct found {
	enum dns_status status;
	bool failed; /* there may be more records */
	const char *canonical;
	const struct record *records[LOOKUP_MAX_HOSTS * 2];
	size_t n;
};

static void collect(const struct doors_file *f, uint32_t name, enum file_type type,
		    struct found *out, const char **ret_cname)
{
	bool gone = false, exists = false;

	for (uint32_t i = f->names[name].records; i != INDEX_NONE; i = f->records[i].next) {
		const struct record *r = &f->records[i];

		exists = exists || r->type < TYPE_NXDOMAIN;
		if (r->type == type && out->n < ARRAY_SIZE(out->records))
			out->records[out->n++] = r;
		else if (r->type == TYPE_CNAME)
			*ret_cname = f->strings + r->name;
		else if (r->type == TYPE_NXDOMAIN)
			gone = true;
		else if (r->type == TYPE_SERVFAIL)
			out->failed =
				out->failed || r->preference == TYPE_ANY || r->preference == type;
	}
	if (gone && !exists)
		out->status = DNS_NXDOMAIN;
}

static void find(const struct doors_file *f, const char *name, enum file_type type,
		 struct found *out)
{
	*out = (struct found) { .status = DNS_FAILED, .canonical = name };
	for (int hops = 0; hops < CHAIN_MAX; hops++) {
		const char *cname = NULL;
		uint32_t at = doors_file_find(f, out->canonical);

		out->status = at == INDEX_NONE ? DNS_FAILED : DNS_NODATA;
		if (at != INDEX_NONE)
			collect(f, at, type, out, &cname);
		if (out->failed)
			out->status = DNS_FAILED;
		if (out->n > 0)
			out->status = DNS_OK;
		if (out->n > 0 || !cname)
			return;
		out->canonical = cname;
	}
	out->status = DNS_FAILED;
}

struct host_addrs {
	struct addr addrs[2 * LOOKUP_MAX_HOSTS * 2];
	uint16_t n;
	bool incomplete; /* a family's look-up failed */
};

static void find_addrs(const struct doors_file *f, const char *name, struct host_addrs *out,
		       enum dns_status *ret_status, const char **ret_canonical)
{
	struct found found;

	out->n = 0;
	out->incomplete = false;
	for (enum file_type type = TYPE_A; type <= TYPE_AAAA; type++) {
		find(f, name, type, &found);
		out->incomplete = out->incomplete || found.failed;
		for (size_t i = 0; i < found.n; i++)
			out->addrs[out->n++] = found.records[i]->addr;
	}
	*ret_canonical = found.canonical;
	*ret_status = out->n ? DNS_OK : found.status;
}

struct domain_facts *doors_failed_domain(const char *domain)
{
	return lookup_failed(domain);
}

struct mx {
	const char *name;
	uint16_t preference;
};

static int by_preference(const void *a, const void *b)
{
	const struct mx *left = a, *right = b;

	if (left->preference != right->preference)
		return left->preference < right->preference ? -1 : 1;
	return strcmp(left->name, right->name);
}

/* As dns/lookup.c: sorted, each host once, without roots beside others. Returns how many. */
static size_t mx_set(const struct doors_file *f, const struct found *found, struct mx *out)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < found->n; i++) {
		const char *name = f->strings + found->records[i]->name;

		if (*name)
			out[n++] = (struct mx) { name, found->records[i]->preference };
	}
	if (n > 1)
		qsort(out, n, sizeof(*out), by_preference);
	for (size_t i = 0; i < n; i++) {
		bool seen = false;

		for (size_t k = 0; k < kept; k++)
			seen = seen || strcmp(out[k].name, out[i].name) == 0;
		if (!seen)
			out[kept++] = out[i];
	}
	return min_size(kept, LOOKUP_MAX_HOSTS);
}

static void find_host(const struct doors_file *f, const struct mx *mx, struct dns_host *host,
		      struct host_addrs *addrs)
{
	enum dns_status status;
	const char *canonical;

	find_addrs(f, mx->name, addrs, &status, &canonical);
	*host = (struct dns_host) {
		.name = mx->name,
		.canonical = canonical,
		.status = status,
		.incomplete = addrs->incomplete,
		.preference = mx->preference,
		.n_addrs = addrs->n,
		.addrs = addrs->addrs,
	};
}

static struct domain_facts *answer_domain(const struct doors_file *f, const char *domain)
{
	struct dns_host hosts[LOOKUP_MAX_HOSTS];
	struct host_addrs addrs[LOOKUP_MAX_HOSTS];
	struct mx set[ARRAY_SIZE(((struct found *)NULL)->records)], own = { domain, 0 };
	int64_t now = clock_mono_ms();
	struct found mx;
	struct domain_facts facts = {
		.kind = FACTS_MX,
		.fetched_ms = now,
		.expires_ms = now + LIFE_MS,
		.confirmed_ms = -1,
		.domain = domain,
		.hosts = hosts,
	};

	find(f, domain, TYPE_MX, &mx);
	if (mx.status == DNS_FAILED)
		return lookup_failed(domain);
	if (mx.status == DNS_NXDOMAIN) {
		facts.kind = FACTS_NOTHING;
		facts.nxdomain = true;
		return facts_copy(&facts);
	}
	facts.n_hosts = (uint16_t)mx_set(f, &mx, set);
	for (size_t i = 0; i < facts.n_hosts; i++)
		find_host(f, &set[i], &hosts[i], &addrs[i]);
	if (mx.n > 0) {
		facts.kind = facts.n_hosts ? FACTS_MX : FACTS_NULL_MX;
		return facts_copy(&facts);
	}
	find_host(f, &own, &hosts[0], &addrs[0]);
	if (hosts[0].status == DNS_FAILED)
		return lookup_failed(domain);
	facts.n_hosts = hosts[0].n_addrs > 0;
	facts.kind = facts.n_hosts ? FACTS_ADDRESS : FACTS_NOTHING;
	return facts_copy(&facts);
}

static struct client_names *answer_client(const struct doors_file *f, const struct addr *client)
{
	struct client_names names = { .status = DNS_OK, .expires_ms = clock_mono_ms() + LIFE_MS };
	enum file_type type = addr_is_v4(client) ? TYPE_A : TYPE_AAAA;
	const char *confirmed[LOOKUP_MAX_PTR];
	char reverse[WIRE_NAME_SIZE];
	struct found ptr, forward;
	bool failed = false;

	lookup_reverse_name(client, reverse);
	find(f, reverse, TYPE_PTR, &ptr);
	if (ptr.n == 0)
		names.status = doors_file_find(f, reverse) != INDEX_NONE && ptr.status == DNS_FAILED
				       ? DNS_FAILED
				       : DNS_NXDOMAIN;
	for (size_t i = 0; i < ptr.n && names.n < LOOKUP_MAX_PTR; i++) {
		const char *name = f->strings + ptr.records[i]->name;

		find(f, name, type, &forward);
		failed = failed || forward.failed;
		for (size_t k = 0; k < forward.n; k++)
			if (addr_eq(&forward.records[k]->addr, client)) {
				confirmed[names.n++] = name;
				break;
			}
	}
	/* without any name that leads back a failure may have hidden one */
	if (names.n == 0 && failed)
		names.status = DNS_FAILED;
	names.names = confirmed;
	return client_names_copy(&names);
}

static struct door_names *answer_names(const struct doors_file *f, const char *domain)
{
	struct door_names names = { .expires_ms = clock_mono_ms() + LIFE_MS };
	struct host_addrs addrs[DOOR_NAME_COUNT];
	char name[WIRE_NAME_SIZE + 8];
	enum dns_status status;
	const char *canonical;

	for (size_t i = 0; i < DOOR_NAME_COUNT; i++) {
		snprintf(name, sizeof(name), "%s%s", lookup_name_labels[i], domain);
		find_addrs(f, name, &addrs[i], &status, &canonical);
		names.n[i] = addrs[i].n;
		names.addrs[i] = addrs[i].addrs;
	}
	return door_names_copy(&names);
}

/* As expand.h wants it. */
struct source_answer {
	struct expand_answer a;
	struct found found;
	struct host_addrs addrs;
	struct sv texts[ARRAY_SIZE(((struct found *)NULL)->records)];
	struct mx set[ARRAY_SIZE(((struct found *)NULL)->records)];
	const char *names[ARRAY_SIZE(((struct found *)NULL)->records)];
};

static void find_for_source(const struct doors_file *f, enum expand_want want, const char *name,
			    struct source_answer *out)
{
	static const enum file_type types[] = {
		[EXPAND_TXT] = TYPE_TXT, [EXPAND_MX] = TYPE_MX, [EXPAND_A] = TYPE_A
	};
	const char *canonical;

	out->a = (struct expand_answer) { .ttl = LIFE_MS / 1000, .lifetime = LIFE_MS / 1000 };
	if (want == EXPAND_ADDRS) {
		find_addrs(f, name, &out->addrs, &out->a.status, &canonical);
		out->a.n = out->addrs.n;
		out->a.addrs = out->addrs.addrs;
		out->a.failed = out->addrs.incomplete;
		return;
	}
	find(f, name, types[want], &out->found);
	out->a.status = out->found.status;
	out->a.failed = out->found.failed;
	out->a.n = want == EXPAND_MX ? mx_set(f, &out->found, out->set) : out->found.n;
	out->a.texts = out->texts;
	out->a.names = out->names;
	for (size_t i = 0; i < out->a.n; i++) {
		out->names[i] = want == EXPAND_MX ? out->set[i].name : "";
		if (want == EXPAND_TXT)
			out->texts[i] = sv_from(f->strings + out->found.records[i]->name);
	}
}

static struct egress_source *answer_source(const struct doors_file *f, const char *key)
{
	struct egress_source *source;
	struct source_answer a;
	struct expand *e;

	if (!expand_key_is_valid(key) || !(e = expand_new(key)))
		return NULL;
	while (e->want != EXPAND_NOTHING) {
		find_for_source(f, e->want, e->name, &a);
		expand_answer(e, &a.a);
	}
	source = expand_result(e, clock_mono_ms());
	expand_free(e);
	return source;
}

void *doors_file_answer(const struct doors_file *f, const struct doors_question *q)
{
	switch (q->kind) {
	case RESOLVER_CLIENT:
		return answer_client(f, &q->client);
	case RESOLVER_NAMES:
		return answer_names(f, q->domain);
	case RESOLVER_SOURCE:
		return answer_source(f, q->domain);
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		break;
	}
	return answer_domain(f, q->domain);
}
