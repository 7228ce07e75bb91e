/*
 * Whose an MX host is, and which sources its egress has.
 *
 * All doors of a provider have the same few hosts, and each verdict asks whose they are more than
 * once: each thread remembers what it found for those that came last.
 */
#include "policy/decide.h"

#include "base/map.h"

#include <stdio.h>

/* What was found, free of the facts that it was found for. */
struct finding_of_host {
	enum owner_from from;
	const struct scanner *scanner;
	const struct catalogue_row *row;
	bool by_canonical; /* told by where the name leads */
	size_t name_at;    /* OWNER_DEFAULT: where in the host's name that of its owner begins */
};

static const char *canonical_of(const struct dns_host *host)
{
	return host->canonical && host->canonical != host->name ? host->canonical : NULL;
}

static bool find_configured(const struct policy *policy, const struct dns_host *host,
			    struct finding_of_host *ret_found)
{
	const char *canonical = canonical_of(host);
	int i = scanner_find(policy->scanners, policy->n_scanners, host->name);
	bool by_canonical = i < 0 && canonical;

	if (by_canonical)
		i = scanner_find(policy->scanners, policy->n_scanners, canonical);
	if (i < 0)
		return false;
	*ret_found = (struct finding_of_host) { .from = OWNER_CONFIGURED,
						.scanner = &policy->scanners[i],
						.by_canonical = by_canonical };
	return true;
}

static bool find_listed(const struct catalogue *catalogue, const struct dns_host *host,
			struct finding_of_host *ret_found)
{
	const char *canonical = canonical_of(host);
	const struct catalogue_row *row = catalogue_find(catalogue, host->name);
	bool by_canonical = !row && canonical;

	if (by_canonical)
		row = catalogue_find(catalogue, canonical);
	if (!row)
		return false;
	*ret_found = (struct finding_of_host) { .from = by_canonical ? OWNER_CNAME : OWNER_MX,
						.row = row,
						.by_canonical = by_canonical };
	return true;
}

/* Whom a machine belongs to whose name is below a provider's is not certain where customers have
 * machines, too: then their names spell out the address, or the row does not count names below that
 * domain as its own. A filter's machines are its own. */
static bool is_machine_of(const struct catalogue_row *row, const char *name)
{
	const char *domain = registrable_domain(name);

	if (row->kind == PROVIDER_FILTER)
		return true;
	for (size_t i = 0; i < row->n_ptr; i++)
		if (name_is_below(name, row->ptr[i]))
			return true;
	for (size_t i = 0; i < row->n_mx; i++)
		if (name_is_below(name, row->mx[i]) && domain && strcmp(domain, row->mx[i]) != 0)
			return true;
	return false;
}

static bool spells_out_address(const struct dns_host *host)
{
	for (unsigned i = 0; i < host->n_addrs; i++)
		if (name_is_generic(host->ptr, &host->addrs[i]))
			return true;
	return false;
}

static bool find_by_ptr(const struct catalogue *catalogue, const struct dns_host *host,
			struct finding_of_host *ret_found)
{
	const struct catalogue_row *row;

	if (!host->ptr || !host->ptr[0] || spells_out_address(host))
		return false;
	row = catalogue_find(catalogue, host->ptr);
	if (!row || !is_machine_of(row, host->ptr))
		return false;
	*ret_found = (struct finding_of_host) { .from = OWNER_PTR, .row = row };
	return true;
}

static void find_owner(const struct policy *policy, const struct dns_host *host,
		       struct finding_of_host *ret_found)
{
	struct sv parent;

	if (find_configured(policy, host, ret_found))
		return;
	if (policy->catalogue && (find_listed(policy->catalogue, host, ret_found) ||
				  find_by_ptr(policy->catalogue, host, ret_found)))
		return;
	parent = scanner_parent_domain(host->name);
	*ret_found = (struct finding_of_host) {
		.from = OWNER_DEFAULT,
		.name_at = parent.n > 0 ? (size_t)(parent.p - host->name) : 0,
	};
}

struct remembered {
	uint64_t generation; /* of the policy; 0: empty */
	uint64_t others;     /* hash of canonical and ptr */
	struct finding_of_host found;
	char name[72]; /* longer ones are not kept */
};

/* Many domains have an MX host of their own at their provider's: what the name tells then is told
 * by the domain above it, for all of them. */
struct remembered_parent {
	uint64_t generation;
	bool is_suffix;    /* public: what is below belongs to many */
	bool has_patterns; /* scanners: names a host right below it */
	struct finding_of_host found;
	char name[72];
};

/* What else the finding rests on: it changes when a CNAME or a machine's name does. */
static uint64_t hash_of_others(const struct dns_host *host)
{
	const char *canonical = canonical_of(host);
	uint64_t hash = canonical ? map_hash(sv_from(canonical)) : 0;

	if (!host->ptr || !host->ptr[0])
		return hash;
	/* Whether it spells out an address can't change while both stay. */
	for (unsigned i = 0; i < host->n_addrs; i++)
		hash = 31 * hash + map_hash((struct sv) { (const char *)host->addrs[i].b,
							  sizeof(struct addr) });
	return 31 * hash + map_hash(sv_from(host->ptr));
}

static bool names_host_below(const struct policy *policy, const char *parent)
{
	for (size_t i = 0; i < policy->n_scanners; i++)
		for (size_t k = 0; k < policy->scanners[i].n_mx; k++) {
			const char *dot = strchr(policy->scanners[i].mx[k], '.');

			if (dot && policy->scanners[i].mx[k][0] != '*' &&
			    strcmp(dot + 1, parent) == 0)
				return true;
		}
	return false;
}

static void remember_parent(const struct policy *policy, const struct dns_host *host,
			    struct sv parent, struct remembered_parent *m)
{
	m->generation = policy->generation;
	m->is_suffix = scanner_parent_domain(host->name).p != parent.p;
	m->has_patterns = names_host_below(policy, parent.p);
	memcpy(m->name, parent.p, parent.n + 1);
	find_owner(policy, host, &m->found);
}

/* Of a host whose name leads nowhere else and whose address has none: false unless all hosts right
 * below its parent domain belong to the same. */
static bool find_by_parent(const struct policy *policy, const struct dns_host *host,
			   struct finding_of_host *ret_found)
{
	static _Thread_local struct remembered_parent memo[256];
	const char *dot = strchr(host->name, '.');
	struct remembered_parent *m;
	struct sv parent;

	if (canonical_of(host) || (host->ptr && host->ptr[0]) || !dot)
		return false;
	/* the catalogue may name the host itself */
	if (policy->catalogue && catalogue_has(policy->catalogue, host->name))
		return false;
	parent = sv_from(dot + 1);
	m = &memo[map_hash(parent) % ARRAY_SIZE(memo)];
	if (m->generation != policy->generation || strcmp(m->name, parent.p) != 0)
		remember_parent(policy, host, parent, m);
	if (m->is_suffix || m->has_patterns)
		return false;
	*ret_found = m->found;
	if (m->found.from == OWNER_DEFAULT)
		ret_found->name_at = (size_t)(parent.p - host->name);
	return true;
}

static void find_remembered(const struct policy *policy, const struct dns_host *host,
			    struct finding_of_host *ret_found)
{
	static _Thread_local struct remembered memo[512];
	struct sv name = sv_from(host->name);
	struct remembered *m;
	uint64_t others;

	if (policy->generation == 0 || name.n >= sizeof(m->name)) {
		find_owner(policy, host, ret_found);
		return;
	}
	if (find_by_parent(policy, host, ret_found))
		return;
	others = hash_of_others(host);
	m = &memo[map_hash(name) % ARRAY_SIZE(memo)];
	if (m->generation != policy->generation || m->others != others ||
	    strcmp(m->name, host->name) != 0) {
		find_owner(policy, host, &m->found);
		m->generation = policy->generation;
		m->others = others;
		(void)memccpy(m->name, name.p, '\0', sizeof(m->name));
	}
	*ret_found = m->found;
}

void door_owner_of_host(const struct policy *policy, const struct dns_host *host,
			struct door_owner *ret_owner)
{
	struct finding_of_host found;
	struct door_owner o;

	find_remembered(policy, host, &found);
	o = (struct door_owner) {
		.from = found.from,
		.scanner = found.scanner,
		.row = found.row,
		.host = host,
		.told_by = found.from == OWNER_PTR ? host->ptr
			   : found.by_canonical    ? host->canonical
						   : host->name,
	};
	if (o.scanner)
		o.name = sv_from(o.scanner->name);
	else if (o.row)
		o.name = sv_from(o.row->id);
	else
		o.name = sv_from(host->name + found.name_at);
	/* A machine may serve several tenants, and has but one name: that binds nobody. */
	if (o.row && o.from != OWNER_PTR)
		o.tenant = catalogue_tenant(policy->catalogue, o.row, o.told_by);
	*ret_owner = o;
}

void door_owner_of(const struct decide_facts *facts, int host, struct door_owner *ret_owner)
{
	door_owner_of_host(facts->policy, &facts->dns->hosts[host], ret_owner);
}

bool policy_wants_ptr(const struct policy *policy, const struct dns_host *host)
{
	struct dns_host named = *host;
	struct finding_of_host found;

	if (!policy->catalogue || host->n_addrs == 0)
		return false;
	named.ptr = NULL;
	find_remembered(policy, &named, &found);
	return found.from == OWNER_DEFAULT;
}

static bool put_key(const char *source, char key[SOURCE_KEY_MAX])
{
	const char *end = memccpy(key, source, '\0', SOURCE_KEY_MAX);

	INVARIANT(end); /* as long as they are when they are read */
	return true;
}

/* What a rule derives for the tenant stands in the place of the SPF that is for all. */
static bool is_replaced(const struct tenant *tenant, const char *source)
{
	return tenant && (tenant->spf || tenant->exists) && strncmp(source, "spf:", 4) == 0;
}

bool door_owner_source(const struct door_owner *owner, size_t i, char key[SOURCE_KEY_MAX])
{
	if (owner->scanner)
		return i < owner->scanner->n_sources && put_key(owner->scanner->sources[i], key);
	if (!owner->row)
		return false;
	if (owner->tenant && owner->tenant->spf && i-- == 0)
		return put_key(owner->tenant->spf, key);
	for (size_t k = 0; k < owner->row->n_sources; k++) {
		if (is_replaced(owner->tenant, owner->row->sources[k]))
			continue;
		if (i-- == 0)
			return put_key(owner->row->sources[k], key);
	}
	return false;
}

bool door_owner_replaced_source(const struct door_owner *owner, size_t i, char key[SOURCE_KEY_MAX])
{
	if (!owner->tenant || !owner->tenant->spf)
		return false;
	for (size_t k = 0; k < owner->row->n_sources; k++)
		if (is_replaced(owner->tenant, owner->row->sources[k]) && i-- == 0)
			return put_key(owner->row->sources[k], key);
	return false;
}

/* RFC 7208 7.3, "%{i}": an IPv6 address as nibbles with dots between. */
static void spell_address(const struct addr *a, char out[64])
{
	static const char digits[] = "0123456789abcdef";

	if (addr_is_v4(a)) {
		snprintf(out, 64, "%u.%u.%u.%u", a->b[12], a->b[13], a->b[14], a->b[15]);
		return;
	}
	for (size_t i = 0; i < 32; i++) {
		out[2 * i] = digits[i % 2 ? a->b[i / 2] & 15 : a->b[i / 2] >> 4];
		out[2 * i + 1] = i == 31 ? '\0' : '.';
	}
}

bool door_owner_exists(const struct door_owner *owner, const struct addr *client,
		       char key[SOURCE_KEY_MAX])
{
	static const char macro[] = "%{i}";
	const char *ask = owner->tenant ? owner->tenant->exists : NULL;
	const char *at = ask ? strstr(ask, macro) : NULL;
	char address[64], name[SOURCE_KEY_MAX], ascii[256];
	int n;

	if (!at)
		return false;
	spell_address(client, address);
	n = snprintf(name, sizeof(name), "%.*s%s%s", (int)(at - ask), ask, address,
		     at + sizeof(macro) - 1);
	if (n >= (int)sizeof(name) || domain_to_ascii(sv_from(name), ascii) < 0)
		return false;
	snprintf(key, SOURCE_KEY_MAX, "exists:%s", ascii);
	return true;
}
