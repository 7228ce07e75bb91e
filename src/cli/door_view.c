#include "cli/door_view.h"

#include <errno.h>
#include <stdlib.h>

bool door_has_former(const struct decide_facts *facts)
{
	return facts->dns->former_until_ms > facts->now_ms;
}

static bool is_ours(const struct decide_facts *facts, const struct dns_host *host)
{
	for (unsigned i = 0; i < host->n_addrs; i++)
		if (server_address_is(facts, &host->addrs[i]))
			return true;
	return false;
}

static bool is_same(const struct door_owner *a, const struct door_owner *b)
{
	return a->scanner == b->scanner && a->row == b->row && a->tenant == b->tenant &&
	       (a->scanner || a->row || sv_eq(a->name, b->name));
}

/* The view that the host belongs in; NULL: no memory. */
static struct scanner_view *view_of(struct door_view *v, const struct door_owner *owner,
				    bool former)
{
	struct scanner_view *grown, *s;

	for (size_t i = 0; i < v->n; i++)
		if (v->scanners[i].former == former && is_same(&v->scanners[i].owner, owner))
			return &v->scanners[i];
	grown = realloc(v->scanners, (v->n + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	v->scanners = grown;
	s = &grown[v->n++];
	*s = (struct scanner_view) { .former = former, .owner = *owner };
	snprintf(s->name, sizeof(s->name), SV_FMT, SV_ARG(owner->name));
	return s;
}

static int add_hosts(struct door_view *v, const struct decide_facts *facts,
		     const struct dns_host *hosts, size_t n, bool former)
{
	for (size_t i = 0; i < n; i++) {
		struct door_owner owner;
		struct scanner_view *s;

		if (is_ours(facts, &hosts[i]))
			continue;
		door_owner_of_host(facts->policy, &hosts[i], &owner);
		s = view_of(v, &owner, former);
		if (!s)
			return -ENOMEM;
		if (s->n_hosts < SCANNER_VIEW_HOSTS)
			s->hosts[s->n_hosts++] = &hosts[i];
	}
	return 0;
}

static int fill(struct scanner_view *s, const struct decide_facts *facts, const struct knowledge *k,
		struct asked *asked)
{
	int r = known_of(k, s->name, &s->known);
	const struct egress_query q = {
		.owner = &s->owner,
		.hosts = s->hosts,
		.n_hosts = s->n_hosts,
		.asked = asked,
		.client = &facts->client,
		.names = facts->names,
		.accepted = s->known.accepted,
	};

	return r < 0 ? r : egress_view_gather(&q, &s->egress);
}

/* What the operator allows for this domain whatever its MX. */
static int fill_allowed(const struct decide_facts *facts, struct asked *asked, struct door_view *v)
{
	const struct domain_policy *row = map_get(&facts->policy->domains, sv_from(facts->domain));
	const struct egress_query q = { .asked = asked,
					.client = &facts->client,
					.names = facts->names };

	return row ? egress_view_gather_allowed(row, &q, &v->allowed) : 0;
}

int door_view_make(const struct decide_facts *facts, enum door_kind kind, const struct knowledge *k,
		   struct asked *asked, struct door_view *ret_view)
{
	const struct domain_facts *dns = facts->dns;
	int r = 0;

	*ret_view = (struct door_view) { 0 };
	if (kind == DOOR_SCANNER || kind == DOOR_BACKUP)
		r = add_hosts(ret_view, facts, dns->hosts, dns->n_hosts, false);
	if (r == 0 && door_has_former(facts) && dns->former_kind == FACTS_MX)
		r = add_hosts(ret_view, facts, dns->former, dns->n_former, true);
	for (size_t i = 0; r == 0 && i < ret_view->n; i++)
		r = fill(&ret_view->scanners[i], facts, k, asked);
	return r == 0 ? fill_allowed(facts, asked, ret_view) : r;
}

void door_view_deinit(struct door_view *v)
{
	for (size_t i = 0; i < v->n; i++) {
		egress_view_deinit(&v->scanners[i].egress);
		known_deinit(&v->scanners[i].known);
	}
	egress_view_deinit(&v->allowed);
	free(v->scanners);
	*v = (struct door_view) { 0 };
}

const struct egress_part *door_view_match(const struct door_view *v,
					  const struct scanner_view **ret_scanner)
{
	const struct egress_part *best = egress_view_match(&v->allowed);

	*ret_scanner = NULL;
	for (size_t i = 0; i < v->n; i++) {
		const struct egress_part *p = egress_view_match(&v->scanners[i].egress);

		if (!p || (best && p->match.bits <= best->match.bits))
			continue;
		best = p;
		*ret_scanner = &v->scanners[i];
	}
	return best;
}
