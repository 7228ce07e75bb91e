/* What stands beside the counts of policy/proof.h: networks that the operator settled, and rivals
 * that were found by what they offered of late. */
#include "policy/proof_private.h"

#include <errno.h>
#include <stdlib.h>

#define SETTLED_ALL 50000
#define HELD_ALL    20000
#define TIME_MAX    (1LL << 53)

void egress_proof_free(void *egress_proof)
{
	struct egress_proof *e = egress_proof;

	for (unsigned i = 0; i < e->n_held; i++)
		free(e->held[i].ptr_domain);
	free(e->held);
	free(e->settled);
	free(e);
}

const struct egress_proof *egress_proof_of(const struct proof *p, struct sv scanner)
{
	return p->egress.n > 0 ? map_get(&p->egress, scanner) : NULL;
}

static int egress_at(struct proof *p, const char *scanner, struct egress_proof **ret_egress)
{
	struct sv name = sv_from(scanner);
	struct egress_proof *e = map_get(&p->egress, name);
	int r;

	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return -ENOMEM;
		r = map_put(&p->egress, name, e, NULL);
		if (r < 0) {
			free(e);
			return r;
		}
	}
	*ret_egress = e;
	return 0;
}

static bool is_name(const char *name)
{
	return name && *name && strlen(name) < PROOF_NAME_MAX;
}

static bool is_network(const struct prefix *n)
{
	struct addr last = prefix_last(n);

	/* Its address has no bits past its length. */
	for (int i = 0; i < 128; i++) {
		int bit = n->addr.b[i / 8] >> (7 - i % 8) & 1;

		if (i >= n->bits && bit)
			return false;
	}
	return n->bits <= 128 && addr_cmp(&n->addr, &last) <= 0;
}

/* ---- settled ---- */

/* Networks of the two kinds may be parts of each other: a rival is known by its /24 only. */
bool egress_is_settled(const struct egress_proof *e, const struct prefix *network,
		       bool *ret_accepted)
{
	for (unsigned i = 0; e && i < e->n_settled; i++) {
		const struct settled_network *s = &e->settled[i];

		if (!prefix_contains(&s->network, &network->addr) &&
		    !prefix_contains(network, &s->network.addr))
			continue;
		*ret_accepted = s->accepted;
		return true;
	}
	return false;
}

int proof_put_settled(struct proof *p, const struct proof_settled *row)
{
	struct settled_network *grown;
	struct egress_proof *e;
	int r;

	if (!is_name(row->scanner) || !is_network(&row->network))
		return -EINVAL;
	if (p->n_settled >= SETTLED_ALL && !egress_proof_of(p, sv_from(row->scanner)))
		return 1;
	if ((r = egress_at(p, row->scanner, &e)) < 0)
		return r;
	for (unsigned i = 0; i < e->n_settled; i++) {
		if (e->settled[i].network.bits != row->network.bits ||
		    !addr_eq(&e->settled[i].network.addr, &row->network.addr))
			continue;
		e->settled[i].accepted = row->accepted;
		return 0;
	}
	if (e->n_settled >= PROOF_SETTLED || p->n_settled >= SETTLED_ALL)
		return 1;
	grown = reallocarray(e->settled, e->n_settled + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	e->settled = grown;
	grown[e->n_settled++] = (struct settled_network) { row->network, row->accepted };
	p->n_settled++;
	return 0;
}

void proof_forget_settled(struct proof *p)
{
	struct map_entry *e = NULL;

	while ((e = map_next(&p->egress, e)))
		((struct egress_proof *)e->value)->n_settled = 0;
	p->n_settled = 0;
}

/* ---- held ---- */

static int join_held(struct held_rival *h, const struct proof_held *row)
{
	if (row->ptr_domain && (!h->ptr_domain || (row->related && !h->related))) {
		char *copy = sv_dup(sv_from(row->ptr_domain));

		if (!copy)
			return -ENOMEM;
		free(h->ptr_domain);
		h->ptr_domain = copy;
	}
	if (row->last_ms >= h->last_ms && row->domains > 0) {
		h->share = row->share;
		h->domains = row->domains;
	}
	if (row->since_ms < h->since_ms)
		h->since_ms = row->since_ms;
	if (row->last_ms > h->last_ms)
		h->last_ms = row->last_ms;
	h->related = h->related || row->related;
	return 0;
}

/* Is a the one to go rather than b? */
static bool matters_less(const struct held_rival *a, const struct held_rival *b)
{
	return a->related != b->related ? b->related : a->last_ms < b->last_ms;
}

/* The place of another one; NULL: memory ran out, or there is no room. */
static struct held_rival *held_slot(struct proof *p, struct egress_proof *e)
{
	struct held_rival *grown, *least = e->held;

	if (e->n_held < PROOF_HELD && p->n_held < HELD_ALL) {
		grown = reallocarray(e->held, e->n_held + 1, sizeof(*grown));
		if (!grown)
			return NULL;
		e->held = grown;
		p->n_held++;
		return &grown[e->n_held++];
	}
	for (unsigned i = 1; i < e->n_held; i++)
		if (matters_less(&e->held[i], least))
			least = &e->held[i];
	if (least)
		free(least->ptr_domain);
	return least;
}

int proof_put_held(struct proof *p, const struct proof_held *row)
{
	struct prefix whole = proof_network_of(&row->network.addr);
	struct held_rival *h = NULL;
	struct egress_proof *e;
	int r;

	if (!is_name(row->scanner) || row->network.bits != whole.bits ||
	    !addr_eq(&row->network.addr, &whole.addr) || row->since_ms < 0 ||
	    row->since_ms > row->last_ms || row->last_ms > TIME_MAX ||
	    !(row->share >= 0 && row->share <= 1))
		return -EINVAL;
	if (p->n_held >= HELD_ALL && !egress_proof_of(p, sv_from(row->scanner)))
		return 1;
	if ((r = egress_at(p, row->scanner, &e)) < 0)
		return r;
	for (unsigned i = 0; i < e->n_held && !h; i++)
		if (addr_eq(&e->held[i].network.addr, &whole.addr))
			h = &e->held[i];
	if (!h) {
		h = held_slot(p, e);
		if (!h)
			return 1;
		*h = (struct held_rival) { .network = whole,
					   .since_ms = row->since_ms,
					   .last_ms = row->last_ms };
	}
	return join_held(h, row);
}

/* ---- rows ---- */

static int each_of(const struct egress_proof *e, const char *name, const struct proof_visit *visit)
{
	int r = 0;

	for (unsigned i = 0; r >= 0 && visit->settled && i < e->n_settled; i++) {
		struct proof_settled row = { name, e->settled[i].network, e->settled[i].accepted };

		r = visit->settled(visit->user, &row);
	}
	for (unsigned i = 0; r >= 0 && visit->held && i < e->n_held; i++) {
		const struct held_rival *h = &e->held[i];
		struct proof_held row = { .scanner = name,
					  .network = h->network,
					  .since_ms = h->since_ms,
					  .last_ms = h->last_ms,
					  .share = h->share,
					  .domains = h->domains,
					  .related = h->related,
					  .ptr_domain = h->ptr_domain };

		r = visit->held(visit->user, &row);
	}
	return r;
}

int egress_each(const struct proof *p, const struct proof_visit *visit)
{
	const struct map_entry *e = NULL;
	char name[PROOF_NAME_MAX];
	int r = 0;

	while (r >= 0 && (e = map_next(&p->egress, e))) {
		copy_key(e, name);
		r = each_of(e->value, name, visit);
	}
	return r < 0 ? r : 0;
}

static int put_settled(void *p, const struct proof_settled *row)
{
	int r = proof_put_settled(p, row);

	return r == -ENOMEM ? r : 0;
}

static int put_held(void *p, const struct proof_held *row)
{
	int r = proof_put_held(p, row);

	return r == -ENOMEM ? r : 0;
}

int egress_merge(struct proof *p, const struct proof *news)
{
	const struct proof_visit put = { .settled = put_settled, .held = put_held, .user = p };

	return egress_each(news, &put);
}
