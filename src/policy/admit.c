/* Whom a door lets in: by address, by what egress sources say, by name. */
#include "policy/door.h"

static bool set_has(const struct prefix_set *set, const struct addr *a)
{
	return set->n > 0 && prefix_set_contains(set, a);
}

/* What a catalogue row says of all its customers together proves less than what the operator or a
 * tenant's own record says. */
static bool admit(struct admission *a, const struct door_owner *owner, bool shared)
{
	*a = (struct admission) { shared ? REASON_SHARED_EGRESS : REASON_EGRESS, owner };
	return true;
}

/* ---- by address ---- */

static bool is_ingress(const struct decide_facts *facts, const struct door *door, unsigned host)
{
	const struct dns_host *h = &door->hosts[host];

	for (unsigned k = 0; k < h->n_addrs; k++)
		if (addr_eq(&h->addrs[k], &facts->client))
			return true;
	return false;
}

static bool owner_admits_address(const struct decide_facts *facts, const struct door_owner *o,
				 struct admission *a)
{
	if (o->scanner && set_has(&o->scanner->cidrs, &facts->client))
		return admit(a, o, false);
	if (o->row && set_has(&o->row->cidrs, &facts->client))
		return admit(a, o, true);
	if (memory_has_settled(facts->memory) &&
	    memory_scanner_accepts(facts->memory, door_owner_name(o), &facts->client))
		return admit(a, o, false);
	return false;
}

bool door_admits_address(const struct decide_facts *facts, const struct door *door,
			 struct admission *ret_admission)
{
	if (door->kind != DOOR_SCANNER && door->kind != DOOR_ELSEWHERE && door->kind != DOOR_BACKUP)
		return false;
	for (unsigned i = 0; i < door->n_hosts; i++) {
		if (!is_ingress(facts, door, i))
			continue;
		*ret_admission = (struct admission) {
			door->implicit ? REASON_ADDRESS : REASON_INGRESS,
			door->owned & (UINT32_C(1) << i) ? &door->owners[i] : NULL,
		};
		return true;
	}
	DOOR_EACH_OWNER(door, i)
	if (owner_admits_address(facts, &door->owners[i], ret_admission))
		return true;
	return false;
}

/* ---- by sources ---- */

bool source_admits(const struct decide_facts *facts, const char *key, struct source_search *search)
{
	const struct egress_source *source = facts->source(facts->user, key);

	if (!source) {
		if (!search->wanted[0])
			memcpy(search->wanted, key, strlen(key) + 1);
		return false;
	}
	switch (source->status) {
	case SOURCE_NONE:
		search->stale |= source->stale;
		return false;
	case SOURCE_FAILED:
		search->failed = true;
		return false;
	case SOURCE_KNOWN:
		break;
	}
	if (set_has(&source->set, &facts->client))
		return true;
	search->failed |= source->incomplete && source->fetched_ms == -1;
	search->partial |= source->incomplete;
	search->stale |= source->stale || source->fallback;
	return false;
}

static bool is_missing(const struct decide_facts *facts, const char *key)
{
	const struct egress_source *source = facts->source(facts->user, key);

	return source && source->status == SOURCE_NONE;
}

/* Not every tenant has a record of its own: who has none is served from where all are. */
static bool owner_admits_replaced(const struct decide_facts *facts, const struct door_owner *o,
				  struct source_search *search)
{
	char key[SOURCE_KEY_MAX];

	if (!o->tenant || !o->tenant->spf || !is_missing(facts, o->tenant->spf))
		return false;
	for (size_t k = 0; door_owner_replaced_source(o, k, key); k++)
		if (source_admits(facts, key, search))
			return true;
	return false;
}

bool door_admits_sources(const struct decide_facts *facts, const struct door *door,
			 struct source_search *search, struct admission *ret_admission)
{
	char key[SOURCE_KEY_MAX];

	if (!facts->source)
		return false;
	DOOR_EACH_OWNER(door, i)
	{
		const struct door_owner *o = &door->owners[i];

		for (size_t k = 0; door_owner_source(o, k, key); k++) {
			if (!source_admits(facts, key, search))
				continue;
			bool own =
				o->scanner || (o->tenant && o->tenant->spf && !o->tenant->shared &&
					       strcmp(o->tenant->spf, key) == 0);
			return admit(ret_admission, o, !own);
		}
		if (owner_admits_replaced(facts, o, search))
			return admit(ret_admission, o, true);
	}
	return false;
}

/* Its set is empty: that the name exists is what counts. */
static bool tenant_has(const struct decide_facts *facts, const char *key,
		       struct source_search *search)
{
	const struct egress_source *source = facts->source(facts->user, key);

	if (source && source->status == SOURCE_KNOWN)
		return true;
	if (!source && !search->wanted[0])
		memcpy(search->wanted, key, strlen(key) + 1);
	search->failed |= source && source->status == SOURCE_FAILED;
	return false;
}

bool door_admits_tenant(const struct decide_facts *facts, const struct door *door,
			struct source_search *search, struct admission *ret_admission)
{
	char key[SOURCE_KEY_MAX];

	if (!facts->source)
		return false;
	DOOR_EACH_OWNER(door, i)
	{
		const struct door_owner *o = &door->owners[i];

		if (o->tenant && door_owner_exists(o, &facts->client, key) &&
		    tenant_has(facts, key, search))
			return admit(ret_admission, o, false);
	}
	return false;
}

/* ---- by name ---- */

/* Names below the MX host's parent domain: where nothing better is known. */
static bool has_default_names(const struct door_owner *o)
{
	if (o->scanner)
		return o->scanner->egress_default_ptr;
	return !o->row || door_owner_is_bare(o);
}

static bool owner_wants_names(const struct door_owner *o)
{
	if (has_default_names(o))
		return true;
	if (o->scanner)
		return o->scanner->n_ptr > 0;
	return o->tenant && o->tenant->ptr ? true : o->row->n_ptr > 0;
}

bool door_wants_names(const struct door *door)
{
	DOOR_EACH_OWNER(door, i)
	if (owner_wants_names(&door->owners[i]))
		return true;
	return false;
}

static bool below_parent(const struct decide_facts *facts, const char *name, const char *mx_host)
{
	struct sv parent = scanner_parent_domain(mx_host);

	/* A view into mx_host that reaches to its end: terminated. */
	return parent.n > 0 && name_is_below(name, parent.p) &&
	       !name_is_generic(name, &facts->client);
}

static bool below_any(const char *name, const char *const *suffixes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (name_is_below(name, suffixes[i]))
			return true;
	return false;
}

/* As owner_admits_replaced(), by name. */
static bool below_replaced(const struct decide_facts *facts, const struct door_owner *o,
			   const char *name)
{
	return facts->source && o->tenant->spf && is_missing(facts, o->tenant->spf) &&
	       below_any(name, o->row->ptr, o->row->n_ptr);
}

static bool host_admits_name(const struct decide_facts *facts, const struct dns_host *h,
			     const struct door_owner *o, const char *name, struct admission *a)
{
	bool shared = false, found = false;

	/* What the operator wrote is taken at its word, generic names too. */
	if (o->scanner)
		found = below_any(name, (const char *const *)o->scanner->ptr, o->scanner->n_ptr);
	else if (o->tenant && o->tenant->ptr) {
		bool own = tenant_admits_name(o->tenant, name);

		found = own || below_replaced(facts, o, name);
		shared = found && (!own || o->tenant->shared);
	} else if (o->row)
		found = shared = below_any(name, o->row->ptr, o->row->n_ptr);
	if (!found && has_default_names(o))
		found = below_parent(facts, name, h->name) ||
			(h->canonical && h->canonical != h->name &&
			 below_parent(facts, name, h->canonical));
	if (found)
		*a = (struct admission) { shared ? REASON_SHARED_EGRESS : REASON_PTR, o };
	return found;
}

bool door_admits_name(const struct decide_facts *facts, const struct door *door,
		      struct admission *ret_admission)
{
	const struct client_names *names = facts->names;

	/* All hosts of an owner: those of the default egress have parents of their own. */
	for (unsigned i = 0; names && i < door->n_hosts; i++)
		for (unsigned k = 0; door->owned & (UINT32_C(1) << i) && k < names->n; k++)
			if (host_admits_name(facts, &door->hosts[i], &door->owners[i],
					     names->names[k], ret_admission))
				return true;
	return false;
}
