#include "policy/proof.h"

#include "policy/proof_private.h"
#include "policy/scanner.h"

#include <errno.h>
#include <stdlib.h>

#define V4_BITS (96 + 24)
#define V6_BITS 48

/* In a row: more can't be, and sums and differences stay far from the end. */
#define COUNT_MAX (1ULL << 48)
#define TIME_MAX  (1LL << 53)

static void domain_proof_free(void *domain)
{
	struct domain_proof *d = domain;

	for (size_t i = 0; i < d->n; i++)
		free(d->networks[i].ptr_domain);
	free(d->networks);
	free(d);
}

void scanner_proof_free(void *scanner)
{
	struct scanner_proof *s = scanner;

	map_deinit(&s->domains, domain_proof_free);
	free(s);
}

int proof_new(struct proof **ret_proof)
{
	struct proof *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	map_init(&p->scanners);
	map_init(&p->egress);
	p->max_domains = PROOF_DOMAINS_MAX;
	*ret_proof = p;
	return 0;
}

void proof_free(struct proof *p)
{
	if (!p)
		return;
	map_deinit(&p->scanners, scanner_proof_free);
	map_deinit(&p->egress, egress_proof_free);
	free(p);
}

size_t proof_scanner_count(const struct proof *p)
{
	return p->scanners.n;
}

/* ---- counting ---- */

struct prefix proof_network_of(const struct addr *client)
{
	struct prefix network = { .bits = addr_is_v4(client) ? V4_BITS : V6_BITS };

	memcpy(network.addr.b, client->b, network.bits / 8);
	return network;
}

/* 0; 1: no room for another; -ENOMEM. */
static int scanner_at(struct proof *p, struct sv name, struct scanner_proof **ret_scanner)
{
	struct scanner_proof *s = map_get(&p->scanners, name);
	int r;

	if (!s) {
		if (p->scanners.n >= PROOF_SCANNERS_MAX)
			return 1;
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		map_init(&s->domains);
		r = map_put(&p->scanners, name, s, NULL);
		if (r < 0) {
			free(s);
			return r;
		}
	}
	*ret_scanner = s;
	return 0;
}

/* As scanner_at(). */
static int domain_at(struct proof *p, struct scanner_proof *s, struct sv name,
		     struct domain_proof **ret_domain)
{
	struct domain_proof *d = map_get(&s->domains, name);
	int r;

	if (!d) {
		if (s->domains.n >= PROOF_SCANNER_DOMAINS || p->n_domains >= p->max_domains)
			return 1;
		d = calloc(1, sizeof(*d));
		if (!d)
			return -ENOMEM;
		d->first_ms = INT64_MAX;
		r = map_put(&s->domains, name, d, NULL);
		if (r < 0) {
			free(d);
			return r;
		}
		p->n_domains++;
	}
	*ret_domain = d;
	return 0;
}

static void extend(int64_t *first, int64_t *last, bool empty, int64_t from, int64_t to)
{
	if (empty || from < *first)
		*first = from;
	if (empty || to > *last)
		*last = to;
}

static void scanner_count(struct scanner_proof *s, bool is_new, const struct proof_scanner *row)
{
	extend(&s->first_ms, &s->last_ms, is_new, row->first_ms, row->last_ms);
	if (row->inside == 0)
		return;
	extend(&s->inside_first_ms, &s->inside_last_ms, s->inside == 0, row->inside_first_ms,
	       row->inside_last_ms);
	s->inside += row->inside;
}

static int networks_grow(struct domain_proof *d)
{
	size_t alloc = d->alloc ? min_size((size_t)d->alloc * 2, PROOF_NETWORKS) : 2;
	struct network_proof *grown = reallocarray(d->networks, alloc, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	d->networks = grown;
	d->alloc = (uint8_t)alloc;
	return 0;
}

/* The counter of this network, which may have been another's until now. */
static int network_at(struct domain_proof *d, const struct addr *network,
		      struct network_proof **ret_network)
{
	struct network_proof *smallest = d->networks;
	int r;

	for (struct network_proof *n = d->networks; n < d->networks + d->n; n++) {
		if (addr_eq(&n->network, network)) {
			*ret_network = n;
			return 0;
		}
		if (n->messages < smallest->messages)
			smallest = n;
	}
	if (d->n < PROOF_NETWORKS) {
		if (d->n == d->alloc && (r = networks_grow(d)) < 0)
			return r;
		smallest = &d->networks[d->n++];
		*smallest = (struct network_proof) { .network = *network };
	} else {
		free(smallest->ptr_domain);
		smallest->ptr_domain = NULL;
		smallest->related = false;
		smallest->network = *network;
		smallest->error = smallest->messages;
	}
	*ret_network = smallest;
	return 0;
}

/* A name that makes the network related is kept, of others the first. */
static int network_count(struct network_proof *n, const struct proof_network *row)
{
	if (row->ptr_domain && (!n->ptr_domain || (row->related && !n->related))) {
		char *copy = sv_dup(sv_from(row->ptr_domain));

		if (!copy)
			return -ENOMEM;
		free(n->ptr_domain);
		n->ptr_domain = copy;
	}
	n->related = n->related || row->related;
	n->messages += row->messages;
	n->error += row->error;
	return 0;
}

/* In the registrable domain of a host or suffix? */
static bool is_in_domain_of(const char *name, const char *host)
{
	const char *domain = host ? registrable_domain(host) : NULL;

	return domain && name_is_below(name, domain);
}

static bool is_in_domain_of_row(const char *name, const struct catalogue_row *row)
{
	bool found = false;

	for (size_t i = 0; row && !found && i < row->n_mx; i++)
		found = is_in_domain_of(name, row->mx[i]);
	for (size_t i = 0; row && !found && i < row->n_ptr; i++)
		found = is_in_domain_of(name, row->ptr[i]);
	return found;
}

bool proof_is_related(const struct proof_mail *m, const char **ret_ptr_domain)
{
	const char *found = NULL;
	bool related = false;

	for (unsigned i = 0; m->names && i < m->names->n && !related; i++) {
		const char *name = m->names->names[i];

		related =
			(is_in_domain_of(name, m->mx_host) || is_in_domain_of_row(name, m->row)) &&
			!name_is_generic(name, &m->client);
		if (!found || related)
			found = registrable_domain(name);
	}
	*ret_ptr_domain = found;
	return related;
}

static int count_outside(struct domain_proof *d, const struct proof_mail *m)
{
	struct proof_network row = { .network = proof_network_of(&m->client),
				     .messages = m->messages };
	struct network_proof *n;
	int r;

	row.related = proof_is_related(m, &row.ptr_domain);
	if ((r = network_at(d, &row.network.addr, &n)) < 0 || (r = network_count(n, &row)) < 0)
		return r;
	d->outside += m->messages;
	if (!m->names || m->names->n > 0 || m->names->status == DNS_FAILED)
		d->confirmed += m->messages;
	return 0;
}

int proof_add(struct proof *p, const struct proof_mail *m)
{
	struct proof_scanner row = { .first_ms = m->first_ms,
				     .last_ms = m->last_ms,
				     .inside = m->inside ? m->messages : 0,
				     .inside_first_ms = m->first_ms,
				     .inside_last_ms = m->last_ms };
	size_t before = p->scanners.n;
	struct scanner_proof *s;
	struct domain_proof *d;
	int r;

	if (m->messages == 0)
		return 0;
	r = scanner_at(p, sv_from(m->scanner), &s);
	if (r != 0)
		return r;
	scanner_count(s, p->scanners.n > before, &row);
	r = domain_at(p, s, sv_from(m->domain), &d);
	if (r != 0)
		return r;
	if (m->first_ms < d->first_ms)
		d->first_ms = m->first_ms;
	if (!m->inside)
		return count_outside(d, m);
	d->inside += m->messages;
	return 0;
}

/* ---- rows ---- */

struct walk {
	const struct proof_visit *visit;
	char scanner[PROOF_NAME_MAX], domain[PROOF_NAME_MAX];
};

void copy_key(const struct map_entry *e, char out[PROOF_NAME_MAX])
{
	size_t n = min_size(e->key_len, PROOF_NAME_MAX - 1);

	memcpy(out, e->key, n);
	out[n] = '\0';
}

static int walk_networks(struct walk *w, const struct domain_proof *d)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && w->visit->network && i < d->n; i++) {
		const struct network_proof *n = &d->networks[i];
		struct proof_network row = { .scanner = w->scanner,
					     .domain = w->domain,
					     .network = proof_network_of(&n->network),
					     .messages = n->messages,
					     .error = n->error,
					     .related = n->related,
					     .ptr_domain = n->ptr_domain };

		r = w->visit->network(w->visit->user, &row);
	}
	return r;
}

static int walk_domains(struct walk *w, const struct scanner_proof *s)
{
	struct map_entry *e = NULL;
	int r = 0;

	while (r >= 0 && (e = map_next(&s->domains, e))) {
		const struct domain_proof *d = e->value;
		struct proof_domain row = { .scanner = w->scanner,
					    .name = w->domain,
					    .first_ms = d->first_ms,
					    .inside = d->inside,
					    .outside = d->outside,
					    .confirmed = d->confirmed };

		copy_key(e, w->domain);
		if (w->visit->domain)
			r = w->visit->domain(w->visit->user, &row);
		if (r >= 0)
			r = walk_networks(w, d);
	}
	return r;
}

static int walk_scanner(struct walk *w, const struct map_entry *e)
{
	const struct scanner_proof *s = e->value;
	struct proof_scanner row = { .name = w->scanner,
				     .inside = s->inside,
				     .first_ms = s->first_ms,
				     .last_ms = s->last_ms,
				     .inside_first_ms = s->inside_first_ms,
				     .inside_last_ms = s->inside_last_ms };
	int r = 0;

	copy_key(e, w->scanner);
	if (w->visit->scanner)
		r = w->visit->scanner(w->visit->user, &row);
	if (r >= 0 && (w->visit->domain || w->visit->network))
		r = walk_domains(w, s);
	return r;
}

int proof_each(const struct proof *p, const struct proof_visit *visit)
{
	struct walk w = { .visit = visit };
	const struct map_entry *e = NULL;
	int r = 0;

	while (r >= 0 && (e = map_next(&p->scanners, e)))
		r = walk_scanner(&w, e);
	return r < 0 ? r : egress_each(p, visit);
}

static bool is_span(int64_t first_ms, int64_t last_ms)
{
	return first_ms >= 0 && first_ms <= last_ms && last_ms <= TIME_MAX;
}

static bool is_name(const char *name)
{
	return name && *name && strlen(name) < PROOF_NAME_MAX;
}

int proof_put_scanner(struct proof *p, const struct proof_scanner *row)
{
	size_t before = p->scanners.n;
	struct scanner_proof *s;
	int r;

	if (!is_name(row->name) || row->inside > COUNT_MAX ||
	    !is_span(row->first_ms, row->last_ms) ||
	    (row->inside > 0 && !is_span(row->inside_first_ms, row->inside_last_ms)))
		return -EINVAL;
	r = scanner_at(p, sv_from(row->name), &s);
	if (r == 0)
		scanner_count(s, p->scanners.n > before, row);
	return r;
}

int proof_put_domain(struct proof *p, const struct proof_domain *row)
{
	struct scanner_proof *s;
	struct domain_proof *d;
	int r;

	if (!is_name(row->name) || row->inside > COUNT_MAX || row->outside > COUNT_MAX ||
	    row->confirmed > row->outside || !is_span(row->first_ms, row->first_ms))
		return -EINVAL;
	s = map_get(&p->scanners, sv_from(row->scanner));
	if (!s)
		return -ENOENT;
	r = domain_at(p, s, sv_from(row->name), &d);
	if (r != 0)
		return r;
	if (row->first_ms < d->first_ms)
		d->first_ms = row->first_ms;
	d->inside += row->inside;
	d->outside += row->outside;
	d->confirmed += row->confirmed;
	return 0;
}

int proof_put_network(struct proof *p, const struct proof_network *row)
{
	const struct scanner_proof *s = map_get(&p->scanners, sv_from(row->scanner));
	struct prefix whole = proof_network_of(&row->network.addr);
	struct domain_proof *d = s ? map_get(&s->domains, sv_from(row->domain)) : NULL;
	struct network_proof *n;
	int r;

	if (row->network.bits != whole.bits || !addr_eq(&row->network.addr, &whole.addr) ||
	    row->messages > COUNT_MAX || row->error >= row->messages)
		return -EINVAL;
	if (!d)
		return -ENOENT;
	r = network_at(d, &whole.addr, &n);
	return r < 0 ? r : network_count(n, row);
}

/* ---- merging ---- */

/* Rows of scanners and domains that find no room are left out; so are then those below them. */
static int put_scanner(void *p, const struct proof_scanner *row)
{
	int r = proof_put_scanner(p, row);

	return r == -ENOMEM ? r : 0;
}

static int put_domain(void *p, const struct proof_domain *row)
{
	int r = proof_put_domain(p, row);

	return r == -ENOMEM ? r : 0;
}

static int put_network(void *p, const struct proof_network *row)
{
	int r = proof_put_network(p, row);

	return r == -ENOMEM ? r : 0;
}

enum relation { NEWS_REPLACE, NEWS_ADD, NEWS_LEFT_OUT };

static enum relation relate(const struct scanner_proof *known, const struct scanner_proof *news)
{
	if (news->first_ms <= known->first_ms && news->last_ms >= known->last_ms)
		return NEWS_REPLACE;
	if (news->first_ms >= known->first_ms && news->last_ms <= known->last_ms)
		return NEWS_LEFT_OUT;
	if (news->first_ms >= known->last_ms || news->last_ms <= known->first_ms)
		return NEWS_ADD;
	return news->inside >= known->inside ? NEWS_REPLACE : NEWS_LEFT_OUT;
}

static void forget(struct proof *p, struct sv name)
{
	struct scanner_proof *s = map_remove(&p->scanners, name);

	p->n_domains -= s->domains.n;
	scanner_proof_free(s);
}

int proof_merge(struct proof *p, const struct proof *news)
{
	struct proof_visit put = { put_scanner, put_domain, put_network, .user = p };
	struct walk w = { .visit = &put };
	const struct map_entry *e = NULL;
	int r = 0;

	while (r >= 0 && (e = map_next(&news->scanners, e))) {
		struct sv name = { e->key, e->key_len };
		const struct scanner_proof *known = map_get(&p->scanners, name);
		enum relation relation = known ? relate(known, e->value) : NEWS_ADD;

		if (relation == NEWS_LEFT_OUT)
			continue;
		if (relation == NEWS_REPLACE)
			forget(p, name);
		r = walk_scanner(&w, e);
	}
	return r < 0 ? r : egress_merge(p, news);
}

int proof_join(struct proof *p, const struct proof *news)
{
	struct proof_visit put = { put_scanner, put_domain, put_network, .user = p };
	struct walk w = { .visit = &put };
	const struct map_entry *e = NULL;
	int r = 0;

	while (r >= 0 && (e = map_next(&news->scanners, e)))
		r = walk_scanner(&w, e);
	return r < 0 ? r : egress_merge(p, news);
}
