#include "policy/door.h"

static bool set_has(const struct prefix_set *set, const struct addr *a)
{
	return set && set->n > 0 && prefix_set_contains(set, a);
}

bool server_address_is(const struct decide_facts *facts, const struct addr *address)
{
	static const struct addr unspecified;

	if (addr_eq(address, &facts->server) && !addr_eq(address, &unspecified))
		return true;
	return set_has(facts->interfaces, address) ||
	       set_has(&facts->policy->server_addresses, address);
}

static bool host_is_ours(const struct decide_facts *facts, const struct dns_host *host)
{
	for (unsigned i = 0; i < host->n_addrs; i++)
		if (server_address_is(facts, &host->addrs[i]))
			return true;
	return false;
}

/* A refresh that failed keeps the last good answer, but not for ever. */
static bool too_stale(const struct decide_facts *facts)
{
	const struct domain_facts *dns = facts->dns;

	return dns->stale && facts->policy->stale_max_ms > 0 &&
	       facts->now_ms - dns->fetched_ms > facts->policy->stale_max_ms;
}

static enum door_kind classify_mx(const struct decide_facts *facts, const struct dns_host *hosts,
				  unsigned n, int *ret_best)
{
	enum door_kind kind = DOOR_SCANNER;
	uint16_t lowest = UINT16_MAX;

	for (unsigned i = 0; i < n; i++)
		if (hosts[i].preference < lowest)
			lowest = hosts[i].preference;
	for (unsigned i = 0; i < n; i++) {
		if (!host_is_ours(facts, &hosts[i])) {
			if (*ret_best < 0 || hosts[i].preference < hosts[*ret_best].preference)
				*ret_best = (int)i;
		} else if (hosts[i].preference == lowest) {
			kind = DOOR_SELF;
		} else if (kind == DOOR_SCANNER) {
			kind = DOOR_BACKUP;
		}
	}
	return kind;
}

static enum door_kind classify(const struct decide_facts *facts, enum facts_kind what,
			       const struct dns_host *hosts, unsigned n, int *ret_best)
{
	*ret_best = -1;
	switch (what) {
	case FACTS_MX:
		return n > 0 ? classify_mx(facts, hosts, n, ret_best) : DOOR_DNS;
	case FACTS_ADDRESS:
		if (n == 0)
			return DOOR_DNS;
		return host_is_ours(facts, &hosts[0]) ? DOOR_SELF : DOOR_ELSEWHERE;
	case FACTS_NULL_MX:
		return DOOR_NULL;
	case FACTS_NOTHING:
		return DOOR_UNKNOWN;
	case FACTS_FAILED:
		break;
	}
	return DOOR_DNS;
}

enum door_kind door_classify(const struct decide_facts *facts, int *ret_best)
{
	const struct domain_facts *dns = facts->dns;
	int best;
	enum door_kind kind = classify(facts, too_stale(facts) ? FACTS_FAILED : dns->kind,
				       dns->hosts, dns->n_hosts, &best);

	if (ret_best)
		*ret_best = best;
	return kind;
}

/* ---- owners ---- */

static bool same_owner(const struct door_owner *a, const struct door_owner *b)
{
	if (a->scanner != b->scanner || a->row != b->row || a->tenant != b->tenant)
		return false;
	return a->scanner || a->row || sv_eq(a->name, b->name);
}

static void find_owners(const struct decide_facts *facts, struct door *d)
{
	d->owned = d->distinct = 0;
	d->owners = d->room;
	if (d->kind != DOOR_SCANNER && d->kind != DOOR_BACKUP)
		return;
	for (unsigned i = 0; i < d->n_hosts; i++) {
		bool told = false;

		if (d->kind == DOOR_BACKUP && host_is_ours(facts, &d->hosts[i]))
			continue;
		door_owner_of_host(facts->policy, &d->hosts[i], &d->room[i]);
		for (unsigned k = 0; k < i && !told; k++)
			told = (d->owned & (UINT32_C(1) << k)) &&
			       same_owner(&d->owners[k], &d->owners[i]);
		d->owned |= UINT32_C(1) << i;
		if (!told)
			d->distinct |= UINT32_C(1) << i;
	}
}

bool door_next_scanner(const struct decide_facts *facts, int *host, char name[DECISION_NAME_MAX])
{
	const struct domain_facts *dns = facts->dns;
	struct door_owner owner, earlier;

	for (int i = *host + 1; i < dns->n_hosts; i++) {
		bool told = false;

		if (host_is_ours(facts, &dns->hosts[i]))
			continue;
		door_owner_of(facts, i, &owner);
		for (int k = 0; k < i && !told; k++) {
			door_owner_of(facts, k, &earlier);
			told = sv_eq(earlier.name, owner.name) &&
			       !host_is_ours(facts, &dns->hosts[k]);
		}
		if (told)
			continue;
		size_t n = min_size(owner.name.n, DECISION_NAME_MAX - 1);
		memcpy(name, owner.name.p, n);
		name[n] = '\0';
		*host = i;
		return true;
	}
	return false;
}

/* By its name it may be the scanner's: so from its first message on, before memory knows of it. */
static bool is_related(const struct decide_facts *facts, const struct door_owner *owner)
{
	const struct proof_mail m = { .mx_host = owner->host->name,
				      .row = owner->row,
				      .client = facts->client,
				      .names = facts->names };
	const char *domain;

	return facts->names && facts->names->n > 0 && proof_is_related(&m, &domain);
}

bool door_client_is_rival(const struct decide_facts *facts, const struct door *door)
{
	const struct memory *m = facts->memory;

	DOOR_EACH_OWNER(door, i)
	{
		const struct door_owner *owner = &door->owners[i];
		const char *name = door_owner_name(owner);

		if (owner->from != OWNER_CONFIGURED &&
		    (memory_scanner_is_rival(m, name, &facts->client) ||
		     is_related(facts, owner)) &&
		    !(memory_has_settled(m) && memory_scanner_denies(m, name, &facts->client)))
			return true;
	}
	return false;
}

bool door_client_is_related(const struct decide_facts *facts, const struct door *door)
{
	DOOR_EACH_OWNER(door, i)
	if (door->owners[i].from != OWNER_CONFIGURED && is_related(facts, &door->owners[i]))
		return true;
	return false;
}

bool door_client_is_of_provider(const struct decide_facts *facts, const struct door *door)
{
	DOOR_EACH_OWNER(door, i)
	if (door->owners[i].tenant && !door->owners[i].tenant->shared &&
	    is_related(facts, &door->owners[i]))
		return true;
	return false;
}

bool door_client_is_denied(const struct decide_facts *facts, const struct door *door)
{
	DOOR_EACH_OWNER(door, i)
	if (memory_has_settled(facts->memory) &&
	    memory_scanner_denies(facts->memory, door_owner_name(&door->owners[i]), &facts->client))
		return true;
	return false;
}

bool door_is_guess(const struct door *door)
{
	DOOR_EACH_OWNER(door, i)
	if (door->owners[i].from != OWNER_CONFIGURED)
		return true;
	return false;
}

bool door_is_quiet(const struct decide_facts *facts, const struct door *door)
{
	DOOR_EACH_OWNER(door, i)
	if (memory_scanner_is_quiet(facts->memory, door_owner_name(&door->owners[i])))
		return true;
	return false;
}

/* ---- how sure ---- */

/* Whoever names a scanner in the configuration answers for its egress, the default one too. */
static enum grade grade_of(const struct decide_facts *facts, const struct door_owner *o)
{
	if (o->scanner)
		return GRADE_CONFIGURED;
	if (memory_scanner_is_proven(facts->memory, door_owner_name(o)))
		return GRADE_PROVEN;
	if (o->row && o->row->confidence == CONFIDENCE_HIGH && !door_owner_is_bare(o) &&
	    !memory_scanner_has_grown(facts->memory, door_owner_name(o)))
		return GRADE_LISTED;
	return GRADE_GUESSED;
}

/* Of several scanners the one that is known the least decides. */
static enum grade grade_of_owners(const struct decide_facts *facts, const struct door *door)
{
	enum grade weakest = GRADE_CONFIGURED;

	DOOR_EACH_OWNER(door, i)
	{
		enum grade grade = grade_of(facts, &door->owners[i]);

		if (grade > weakest)
			weakest = grade;
	}
	return weakest;
}

static enum grade grade_of_door(const struct decide_facts *facts, const struct door *door)
{
	switch (door->kind) {
	case DOOR_SCANNER:
		return grade_of_owners(facts, door);
	case DOOR_ELSEWHERE:
		return GRADE_GUESSED;
	case DOOR_NULL: /* the domain's owner said it */
		return GRADE_CONFIGURED;
	case DOOR_SELF:
	case DOOR_BACKUP:
	case DOOR_UNKNOWN:
	case DOOR_DNS:
	case DOOR_KIND_COUNT:
		break;
	}
	return GRADE_NONE;
}

/* ---- the whole ---- */

static bool is_incomplete(const struct door *d)
{
	size_t addrs = 0;

	for (unsigned i = 0; i < d->n_hosts; i++) {
		addrs += d->hosts[i].n_addrs;
		if (d->hosts[i].status == DNS_FAILED || d->hosts[i].incomplete)
			return true;
	}
	/* MX hosts of which none has an address are no door, and no "no MX" either (RFC 5321 5.1):
	 * a fault that its owner may be mending. */
	return addrs == 0;
}

static void look(const struct decide_facts *facts, enum facts_kind what,
		 const struct dns_host *hosts, unsigned n, struct door *d)
{
	d->kind = classify(facts, what, hosts, n, &d->best);
	d->grade = GRADE_NONE;
	d->implicit = what == FACTS_ADDRESS;
	d->incomplete = false;
	d->hosts = hosts;
	d->n_hosts = (unsigned)min_size(n, DOOR_HOSTS_MAX);
	find_owners(facts, d);
	if (d->kind == DOOR_SCANNER || d->kind == DOOR_ELSEWHERE)
		d->incomplete = n > DOOR_HOSTS_MAX || is_incomplete(d);
}

/* Most doors have the hosts that many others have, too: what was found for those is remembered. All
 * that it rests on is here. */
struct look_key {
	const struct dns_host *hosts;
	uint64_t generation, version; /* of policy and memory */
	const struct policy *policy;
	const struct prefix_set *interfaces;
	struct addr server;
	uint32_t serial; /* of hosts; 0: nothing */
	enum facts_kind kind;
};

enum { REMEMBERED_DOORS = 256, REMEMBERED_HOSTS = 4 };

struct remembered_door {
	struct look_key key;
	uint32_t once; /* serial of one that came once: it is not worth the place of another yet */
	struct door_owner owners[REMEMBERED_HOSTS];
	enum door_kind door_kind;
	enum grade grade;
	int best;
	bool incomplete;
	uint32_t owned, distinct;
};

/* Padding is none of it. */
static bool same_look(const struct look_key *a, const struct look_key *b)
{
	return a->hosts == b->hosts && a->serial == b->serial && a->kind == b->kind &&
	       a->generation == b->generation && a->version == b->version &&
	       a->policy == b->policy && a->interfaces == b->interfaces &&
	       addr_eq(&a->server, &b->server);
}

/* Tenants are remembered for a while only (catalogue_tenant()). */
static bool may_remember(const struct decide_facts *facts, const struct door *d)
{
	DOOR_EACH_OWNER(d, i)
	if (d->owners[i].row && catalogue_has_tenants(facts->policy->catalogue, d->owners[i].row))
		return false;
	return true;
}

static void remember(struct remembered_door *r, const struct look_key *key, const struct door *d)
{
	r->key = *key;
	r->door_kind = d->kind;
	r->grade = d->grade;
	r->best = d->best;
	r->incomplete = d->incomplete;
	r->owned = d->owned;
	r->distinct = d->distinct;
	memcpy(r->owners, d->owners, d->n_hosts * sizeof(*r->owners));
}

static void recall(const struct remembered_door *r, const struct domain_facts *dns, struct door *d)
{
	d->kind = r->door_kind;
	d->grade = r->grade;
	d->best = r->best;
	d->incomplete = r->incomplete;
	d->implicit = dns->kind == FACTS_ADDRESS;
	d->n_hosts = dns->n_hosts;
	d->hosts = dns->hosts;
	d->owned = r->owned;
	d->distinct = r->distinct;
	d->owners = r->owners;
}

static void look_anew(const struct decide_facts *facts, enum facts_kind kind, struct door *d)
{
	look(facts, kind, facts->dns->hosts, facts->dns->n_hosts, d);
	d->grade = grade_of_door(facts, d);
}

void door_look(const struct decide_facts *facts, struct door *ret_door)
{
	static _Thread_local struct remembered_door memo[REMEMBERED_DOORS];
	const struct domain_facts *dns = facts->dns;
	struct remembered_door *r = &memo[dns->hosts_serial % REMEMBERED_DOORS];
	struct look_key key = { .hosts = dns->hosts,
				.generation = facts->policy->generation,
				.version = memory_version(facts->memory),
				.policy = facts->policy,
				.interfaces = facts->interfaces,
				.server = facts->server,
				.serial = dns->hosts_serial,
				.kind = too_stale(facts) ? FACTS_FAILED : dns->kind };

	if (!key.serial || !key.generation || dns->n_hosts > REMEMBERED_HOSTS) {
		look_anew(facts, key.kind, ret_door);
	} else if (same_look(&r->key, &key)) {
		recall(r, dns, ret_door);
	} else {
		look_anew(facts, key.kind, ret_door);
		if (r->once == key.serial && may_remember(facts, ret_door))
			remember(r, &key, ret_door);
		r->once = key.serial;
	}
}

bool door_look_former(const struct decide_facts *facts, struct door *ret_door)
{
	const struct domain_facts *dns = facts->dns;

	if (dns->former_until_ms == 0 || facts->now_ms >= dns->former_until_ms)
		return false;
	look(facts, dns->former_kind, dns->former, dns->n_former, ret_door);
	return true;
}

bool door_primary_answers(const struct decide_facts *facts, const struct door *door)
{
	uint16_t ours = UINT16_MAX;

	if (!facts->primary)
		return false;
	for (unsigned i = 0; i < door->n_hosts; i++)
		if (!(door->owned & (UINT32_C(1) << i)) && door->hosts[i].preference < ours)
			ours = door->hosts[i].preference;
	for (unsigned i = 0; i < door->n_hosts; i++) {
		const struct dns_host *h = &door->hosts[i];

		if (!(door->owned & (UINT32_C(1) << i)) || h->preference >= ours)
			continue;
		for (unsigned k = 0; k < h->n_addrs; k++)
			if (facts->primary(facts->user, &h->addrs[k]) == PRIMARY_ANSWERS)
				return true;
	}
	return false;
}

void decide_remember_door(const struct decide_facts *facts, const struct decision *decision,
			  struct memory *memory)
{
	const struct addr *leads_to = NULL;
	/* A scanner that was seen at work is not us, nor is one that the catalogue knows. */
	bool known = decision->grade == GRADE_CONFIGURED || decision->grade == GRADE_PROVEN;
	int best = -1;

	if (!decision->hosted || !facts->dns || facts->dns->kind == FACTS_FAILED)
		return;
	enum door_kind kind = door_classify(facts, &best);
	bool self = kind == DOOR_SELF || kind == DOOR_BACKUP;

	if (!self && !known && best >= 0 && facts->dns->hosts[best].n_addrs > 0) {
		struct door_owner owner;

		door_owner_of(facts, best, &owner);
		if (!owner.row)
			leads_to = &facts->dns->hosts[best].addrs[0];
	}
	memory_door_seen(memory, facts->domain, self, leads_to);
}
