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

static enum door_kind classify_mx(const struct decide_facts *facts, int *ret_best)
{
	const struct domain_facts *dns = facts->dns;
	enum door_kind kind = DOOR_SCANNER;
	uint16_t lowest = UINT16_MAX;

	for (unsigned i = 0; i < dns->n_hosts; i++)
		if (dns->hosts[i].preference < lowest)
			lowest = dns->hosts[i].preference;
	for (unsigned i = 0; i < dns->n_hosts; i++) {
		const struct dns_host *host = &dns->hosts[i];

		if (!host_is_ours(facts, host)) {
			if (*ret_best < 0 || host->preference < dns->hosts[*ret_best].preference)
				*ret_best = (int)i;
		} else if (host->preference == lowest) {
			kind = DOOR_SELF;
		} else if (kind == DOOR_SCANNER) {
			kind = DOOR_BACKUP;
		}
	}
	return kind;
}

enum door_kind door_classify(const struct decide_facts *facts, int *ret_best)
{
	const struct domain_facts *dns = facts->dns;
	enum door_kind kind = DOOR_DNS;
	int best = -1;

	switch (too_stale(facts) ? FACTS_FAILED : dns->kind) {
	case FACTS_MX:
		kind = dns->n_hosts > 0 ? classify_mx(facts, &best) : DOOR_DNS;
		break;
	case FACTS_ADDRESS:
		kind = DOOR_DNS;
		if (dns->n_hosts > 0)
			kind = host_is_ours(facts, &dns->hosts[0]) ? DOOR_SELF : DOOR_ELSEWHERE;
		break;
	case FACTS_NULL_MX:
		kind = DOOR_NULL;
		break;
	case FACTS_NOTHING:
		kind = DOOR_UNKNOWN;
		break;
	case FACTS_FAILED:
		break;
	}
	if (ret_best)
		*ret_best = best;
	return kind;
}

const struct scanner *door_scanner(const struct decide_facts *facts, int host)
{
	const struct policy *policy = facts->policy;
	const struct dns_host *h = &facts->dns->hosts[host];
	int i = scanner_find(policy->scanners, policy->n_scanners, h->name);

	if (i < 0 && h->canonical && h->canonical != h->name)
		i = scanner_find(policy->scanners, policy->n_scanners, h->canonical);
	return i < 0 ? NULL : &policy->scanners[i];
}

void door_scanner_name(const struct decide_facts *facts, int host, char out[DECISION_NAME_MAX])
{
	const struct scanner *scanner = door_scanner(facts, host);
	const char *name = facts->dns->hosts[host].name;
	struct sv parent = scanner_parent_domain(name);

	struct sv found = scanner ? sv_from(scanner->name) : parent.n > 0 ? parent : sv_from(name);
	size_t n = min_size(found.n, DECISION_NAME_MAX - 1);

	memcpy(out, found.p, n);
	out[n] = '\0';
}

bool door_next_scanner(const struct decide_facts *facts, int *host, char name[DECISION_NAME_MAX])
{
	char earlier[DECISION_NAME_MAX];

	for (int i = *host + 1; i < facts->dns->n_hosts; i++) {
		bool told = false;

		if (host_is_ours(facts, &facts->dns->hosts[i]))
			continue;
		door_scanner_name(facts, i, name);
		for (int k = 0; k < i && !told; k++) {
			door_scanner_name(facts, k, earlier);
			told = strcmp(earlier, name) == 0 &&
			       !host_is_ours(facts, &facts->dns->hosts[k]);
		}
		if (told)
			continue;
		*host = i;
		return true;
	}
	return false;
}

bool door_client_is_rival(const struct decide_facts *facts)
{
	char name[DECISION_NAME_MAX];

	for (int host = -1; door_next_scanner(facts, &host, name);)
		if (!door_scanner(facts, host) &&
		    memory_scanner_is_rival(facts->memory, name, &facts->client))
			return true;
	return false;
}

/* Of several scanners the one that is known the least decides. */
static enum grade grade_of_scanners(const struct decide_facts *facts)
{
	enum grade grade = GRADE_CONFIGURED;
	char name[DECISION_NAME_MAX];

	for (int i = 0; i < facts->dns->n_hosts; i++) {
		if (door_scanner(facts, i))
			continue;
		door_scanner_name(facts, i, name);
		if (!memory_scanner_is_proven(facts->memory, name))
			return GRADE_GUESSED;
		grade = GRADE_PROVEN;
	}
	return grade;
}

void door_look(const struct decide_facts *facts, struct door *ret_door)
{
	const struct domain_facts *dns = facts->dns;
	struct door d = { .grade = GRADE_NONE };
	size_t addrs = 0;

	d.kind = door_classify(facts, &d.best);
	d.implicit = dns->kind == FACTS_ADDRESS;
	switch (d.kind) {
	case DOOR_SCANNER:
		d.grade = grade_of_scanners(facts);
		break;
	case DOOR_ELSEWHERE:
		d.grade = GRADE_GUESSED;
		break;
	case DOOR_NULL: /* the domain's owner said it */
		d.grade = GRADE_CONFIGURED;
		break;
	case DOOR_SELF:
	case DOOR_BACKUP:
	case DOOR_UNKNOWN:
	case DOOR_DNS:
	case DOOR_KIND_COUNT:
		break;
	}
	if (d.kind == DOOR_SCANNER || d.kind == DOOR_ELSEWHERE) {
		for (unsigned i = 0; i < dns->n_hosts; i++) {
			const struct dns_host *h = &dns->hosts[i];

			addrs += h->n_addrs;
			if (h->status == DNS_FAILED || h->incomplete)
				d.incomplete = true;
		}
		/* MX hosts of which none has an address are no door, and no "no MX" either (RFC
		 * 5321 5.1): a fault that its owner may be mending. */
		if (addrs == 0)
			d.incomplete = true;
	}
	*ret_door = d;
}

bool door_admits_address(const struct decide_facts *facts, const struct door *door,
			 enum reason *ret_reason, int *ret_host)
{
	const struct domain_facts *dns = facts->dns;

	if (door->kind != DOOR_SCANNER && door->kind != DOOR_ELSEWHERE && door->kind != DOOR_BACKUP)
		return false;
	for (unsigned i = 0; i < dns->n_hosts; i++) {
		for (unsigned k = 0; k < dns->hosts[i].n_addrs; k++) {
			if (!addr_eq(&dns->hosts[i].addrs[k], &facts->client))
				continue;
			*ret_reason = door->implicit ? REASON_ADDRESS : REASON_INGRESS;
			*ret_host = (int)i;
			return true;
		}
	}
	if (door->kind != DOOR_SCANNER)
		return false;
	for (int i = 0; i < dns->n_hosts; i++) {
		const struct scanner *scanner = door_scanner(facts, i);

		if (!scanner || !set_has(&scanner->cidrs, &facts->client))
			continue;
		*ret_reason = REASON_EGRESS;
		*ret_host = i;
		return true;
	}
	return false;
}

bool door_admits_names(const struct decide_facts *facts, const struct door *door)
{
	if (door->kind != DOOR_SCANNER)
		return false;
	for (int i = 0; i < facts->dns->n_hosts; i++) {
		const struct scanner *scanner = door_scanner(facts, i);

		if (!scanner || scanner->n_ptr > 0 || scanner->egress_default_ptr)
			return true;
	}
	return false;
}

static bool below_parent(const struct decide_facts *facts, const char *name, const char *mx_host)
{
	struct sv parent = scanner_parent_domain(mx_host);

	/* A view into mx_host that reaches to its end: terminated. */
	return parent.n > 0 && name_is_below(name, parent.p) &&
	       !name_is_generic(name, &facts->client);
}

static bool host_admits_name(const struct decide_facts *facts, int host, const char *name)
{
	const struct scanner *scanner = door_scanner(facts, host);
	const struct dns_host *h = &facts->dns->hosts[host];

	/* What the operator wrote is taken at its word, generic names too. */
	for (size_t i = 0; scanner && i < scanner->n_ptr; i++)
		if (name_is_below(name, scanner->ptr[i]))
			return true;
	if (scanner && !scanner->egress_default_ptr)
		return false;
	return below_parent(facts, name, h->name) ||
	       (h->canonical && h->canonical != h->name && below_parent(facts, name, h->canonical));
}

bool door_admits_name(const struct decide_facts *facts, const struct door *door, int *ret_host)
{
	const struct client_names *names = facts->names;

	if (door->kind != DOOR_SCANNER || !names)
		return false;
	for (int i = 0; i < facts->dns->n_hosts; i++) {
		for (unsigned k = 0; k < names->n; k++) {
			if (!host_admits_name(facts, i, names->names[k]))
				continue;
			*ret_host = i;
			return true;
		}
	}
	return false;
}
