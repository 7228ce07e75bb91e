#include "policy/proof_recent.h"

#include "policy/proof_private.h"

#include <errno.h>
#include <stdlib.h>

/* Two countings: of all mail, and of all but that of clients known to have no name. */
struct proof_recent {
	struct proof *all, *named;
};

int proof_recent_new(struct proof_recent **ret_recent)
{
	struct proof_recent *r = calloc(1, sizeof(*r));

	if (!r || proof_new(&r->all) < 0 || proof_new(&r->named) < 0) {
		proof_recent_free(r);
		return -ENOMEM;
	}
	r->all->max_domains = r->named->max_domains = RECENT_DOMAINS_MAX;
	*ret_recent = r;
	return 0;
}

void proof_recent_free(struct proof_recent *r)
{
	if (!r)
		return;
	proof_free(r->all);
	proof_free(r->named);
	free(r);
}

static bool is_held(const struct proof *p, const char *scanner, const struct prefix *network)
{
	const struct egress_proof *e = egress_proof_of(p, sv_from(scanner));

	for (unsigned i = 0; e && i < e->n_held; i++)
		if (addr_eq(&e->held[i].network.addr, &network->addr))
			return true;
	return false;
}

/* 0; 1: for the first time; -ENOMEM. */
static int hold(struct proof *proof, const struct proof_held *row)
{
	const struct egress_proof *e = egress_proof_of(proof, sv_from(row->scanner));
	bool accepted, known = is_held(proof, row->scanner, &row->network);
	int r;

	if (egress_is_settled(e, &row->network, &accepted))
		return 0;
	r = proof_put_held(proof, row);
	return r == -ENOMEM ? r : r == 0 && !known;
}

static bool is_nameless(const struct proof_mail *m)
{
	return !m->inside && m->names && m->names->n == 0 && m->names->status != DNS_FAILED;
}

int proof_recent_add(struct proof_recent *recent, const struct proof_mail *m, struct proof *proof)
{
	struct proof_held row = { .scanner = m->scanner,
				  .network = proof_network_of(&m->client),
				  .since_ms = m->last_ms,
				  .last_ms = m->last_ms };
	int r = proof_add(recent->all, m);

	if (r >= 0 && !is_nameless(m))
		r = proof_add(recent->named, m);
	if (r < 0 || m->inside)
		return r < 0 ? r : 0;
	row.related = proof_is_related(m, &row.ptr_domain);
	return row.related ? hold(proof, &row) : 0;
}

/* ---- fading ---- */

static void fade_networks(struct domain_proof *d)
{
	size_t kept = 0;

	d->outside = 0;
	for (size_t i = 0; i < d->n; i++) {
		struct network_proof n = d->networks[i];

		n.messages /= 2;
		n.error /= 2;
		if (n.messages == 0) {
			free(n.ptr_domain);
			continue;
		}
		d->outside += n.messages;
		d->networks[kept++] = n;
	}
	d->n = (uint8_t)kept;
}

static void domain_free(struct domain_proof *d)
{
	free(d->networks);
	free(d);
}

/* What has faded to nothing leaves the map: into a new one, since a map can't lose entries while it
 * is walked. Without memory all of it goes. */
static void fade_scanner(struct proof *p, struct scanner_proof *s)
{
	struct map old = s->domains;
	struct map_entry *e = NULL;

	map_init(&s->domains);
	p->n_domains -= old.n;
	while ((e = map_next(&old, e))) {
		struct domain_proof *d = e->value;

		fade_networks(d);
		d->inside /= 2;
		d->confirmed /= 2;
		if (d->inside + d->outside == 0) {
			domain_free(d);
		} else if (map_put(&s->domains, (struct sv) { e->key, e->key_len }, d, NULL) < 0) {
			while (d->n > 0)
				free(d->networks[--d->n].ptr_domain);
			domain_free(d);
		}
	}
	p->n_domains += s->domains.n;
	map_deinit(&old, NULL);
}

static void fade(struct proof *p)
{
	struct map old = p->scanners;
	struct map_entry *e = NULL;

	map_init(&p->scanners);
	while ((e = map_next(&old, e))) {
		struct scanner_proof *s = e->value;

		fade_scanner(p, s);
		if (s->domains.n > 0 &&
		    map_put(&p->scanners, (struct sv) { e->key, e->key_len }, s, NULL) == 0)
			continue;
		p->n_domains -= s->domains.n;
		scanner_proof_free(s);
	}
	map_deinit(&old, NULL);
}

void proof_recent_fade(struct proof_recent *r)
{
	fade(r->all);
	fade(r->named);
}

/* ---- judging ---- */

static int hold_rivals(const struct scanner_proof *s, const char *name,
		       const struct proof_conf *conf, int64_t now_ms, struct proof *proof)
{
	const struct egress_proof *e = egress_proof_of(proof, sv_from(name));
	struct proof_state state = { 0 };
	int r = find_rivals(s, e, conf->rival, RECENT_LEAST, &state);
	bool news = false;

	for (size_t i = 0; r >= 0 && i < state.n_rivals; i++) {
		const struct proof_rival *rival = &state.rivals[i];

		r = hold(proof, &(struct proof_held) {
					.scanner = name,
					.network = rival->network,
					.since_ms = now_ms,
					.last_ms = now_ms,
					.share = rival->share,
					.domains = rival->domains,
					.related = rival->related,
					.ptr_domain = rival->ptr_domain,
				});
		news = news || r == 1;
	}
	proof_state_deinit(&state);
	return r < 0 ? r : news;
}

static int judge(const struct proof *p, const struct proof_conf *conf, int64_t now_ms,
		 struct proof *proof)
{
	const struct map_entry *e = NULL;
	char name[PROOF_NAME_MAX];
	bool news = false;
	int r = 0;

	while (r >= 0 && (e = map_next(&p->scanners, e))) {
		copy_key(e, name);
		r = hold_rivals(e->value, name, conf, now_ms, proof);
		news = news || r == 1;
	}
	return r < 0 ? r : news;
}

int proof_recent_judge(const struct proof_recent *recent, const struct proof_conf *conf,
		       int64_t now_ms, struct proof *proof)
{
	int all = judge(recent->all, conf, now_ms, proof);
	int named = all < 0 ? all : judge(recent->named, conf, now_ms, proof);

	return named < 0 ? named : all || named;
}
