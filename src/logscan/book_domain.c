/* The book's domains: a recipient's address to its row, by as few steps as its spelling allows. */
#include "logscan/book_private.h"

#include <errno.h>
#include <stdlib.h>

/* What a row is found by: its name, or of a recipient that names several all of them. */
struct domain_key {
	const char *name;
	uint32_t base; /* INDEX_NONE: a plain row */
	uint8_t n_routes;
	const uint32_t *routes;
	enum rcpt_shape shape;
};

static bool same_domain(const void *user, uint32_t at, const void *key)
{
	const struct book_domain *d = &((const struct book *)user)->domains[at];
	const struct domain_key *k = key;

	return d->n_routes == k->n_routes && d->shape == k->shape &&
	       strcmp(d->name, k->name) == 0 &&
	       (k->n_routes == 0 ||
		memcmp(d->routes, k->routes, k->n_routes * sizeof(*k->routes)) == 0);
}

static uint64_t domain_hash(const struct domain_key *k)
{
	uint64_t h = map_hash(sv_from(k->name));

	for (unsigned i = 0; i < k->n_routes; i++)
		h = h * 31 + k->routes[i] + 1;
	return h + (uint64_t)k->shape;
}

static uint32_t add_domain(struct book *b, const struct domain_key *k, uint64_t hash)
{
	uint32_t at = (uint32_t)b->n_domains;
	struct book_domain d = {
		.base = k->base == INDEX_NONE ? at : k->base,
		.n_routes = k->n_routes,
		.shape = (uint8_t)k->shape,
		.days = INDEX_NONE,
	};

	if (!book_room(b, &b->domains, b->n_domains, &b->alloc_domains, sizeof(d)))
		return INDEX_NONE;
	d.name = sv_dup(sv_from(k->name));
	d.name_len = (uint16_t)strlen(k->name);
	if (k->n_routes > 0) {
		d.routes = malloc(k->n_routes * sizeof(*d.routes));
		if (d.routes)
			memcpy(d.routes, k->routes, k->n_routes * sizeof(*d.routes));
	}
	if (!d.name || (k->n_routes > 0 && !d.routes) ||
	    index_add(&b->domain_index, hash, at) < 0) {
		free((char *)d.name);
		free(d.routes);
		b->no_memory = true;
		return INDEX_NONE;
	}
	b->domains[at] = d;
	b->n_domains++;
	return at;
}

static uint32_t find_domain(struct book *b, struct domain_key *k)
{
	uint64_t hash = domain_hash(k);
	uint32_t at = index_find(&b->domain_index, hash, same_domain, b, k);

	if (at != INDEX_NONE)
		return at;
	if (b->n_domains >= BOOK_DOMAINS_MAX) {
		*k = (struct domain_key) { "(others)", INDEX_NONE, 0, NULL, RCPT_NO_DOMAIN };
		hash = domain_hash(k);
		at = index_find(&b->domain_index, hash, same_domain, b, k);
		if (at != INDEX_NONE)
			return at;
	}
	return add_domain(b, k, hash);
}

uint32_t book_domain(struct book *b, const char *name)
{
	struct domain_key k = { name, INDEX_NONE, 0, NULL, RCPT_DOMAIN };

	return find_domain(b, &k);
}

static uint32_t no_domain(struct book *b, enum rcpt_shape shape)
{
	struct domain_key k = { "", INDEX_NONE, 0, NULL, shape };

	return find_domain(b, &k);
}

/* An address that names several domains, or none. */
static uint32_t odd_recipient(struct book *b, struct sv address)
{
	uint32_t routes[PATH_ROUTES_MAX], base;
	struct smtp_path path;
	struct recipient r;
	size_t used;

	if (path_parse(address, true, &path, &used) < 0 || used != address.n ||
	    recipient_of(&path, &r) < 0)
		return no_domain(b, RCPT_NO_DOMAIN);
	if (r.shape != RCPT_DOMAIN)
		return no_domain(b, r.shape);
	base = book_domain(b, r.domains[0]);
	for (int i = 1; i < r.n_domains && base != INDEX_NONE; i++) {
		routes[i - 1] = book_domain(b, r.domains[i]);
		if (routes[i - 1] == INDEX_NONE)
			base = INDEX_NONE;
	}
	if (r.n_domains == 1 || base == INDEX_NONE)
		return base;
	struct domain_key k = { r.domains[0], base, (uint8_t)(r.n_domains - 1), routes,
				RCPT_DOMAIN };

	return find_domain(b, &k);
}

static bool same_spelling(const void *user, uint32_t at, const void *key)
{
	const struct book *b = user;
	const struct sv *v = key;
	const struct book_spelling *s = &b->spellings[at];

	return s->len == v->n && memcmp(book_string(b, s->string), v->p, v->n) == 0;
}

#define SPELLING_MAX 512 /* what is longer is no domain, in any spelling */

/* As it is written, upper case and U-labels included, so that it is made A-labels only once. */
static uint32_t spelled_domain(struct book *b, struct sv domain)
{
	uint64_t hash = map_hash(domain);
	uint32_t at = index_find(&b->spelling_index, hash, same_spelling, b, &domain), string;
	char ascii[RECIPIENT_NAME_SIZE];

	if (at != INDEX_NONE)
		return b->spellings[at].domain;
	at = domain_to_ascii(domain, ascii) < 0 ? no_domain(b, RCPT_NO_DOMAIN)
						: book_domain(b, ascii);
	if (at == INDEX_NONE || domain.n > SPELLING_MAX || b->n_spellings >= BOOK_DOMAINS_MAX ||
	    !book_room(b, &b->spellings, b->n_spellings, &b->alloc_spellings,
		       sizeof(*b->spellings)))
		return at;
	string = book_keep(b, domain, SV(""), SV(""));
	if (string == 0 && domain.n > 0)
		return at;
	b->spellings[b->n_spellings] = (struct book_spelling) { string, (uint32_t)domain.n, at };
	if (index_add(&b->spelling_index, hash, (uint32_t)b->n_spellings) == 0)
		b->n_spellings++;
	return at;
}

uint32_t book_recipient(struct book *b, struct sv address)
{
	const char *at = memchr(address.p, '@', address.n);
	size_t local = at ? (size_t)(at - address.p) : 0;

	if (!at || local == 0 || address.p[0] == '"' ||
	    memchr(at + 1, '@', address.n - local - 1) || memchr(address.p, '%', local) ||
	    memchr(address.p, '!', local) || (local + 1 < address.n && at[1] == '['))
		return odd_recipient(b, address);
	return spelled_domain(b, (struct sv) { at + 1, address.n - local - 1 });
}

void book_delivery(struct book *b, uint32_t domain, const struct addr *hop)
{
	struct book_domain *d = &b->domains[b->domains[domain].base];

	if (!hop) {
		d->evidence |= HOSTED_LOCAL;
	} else if (addr_is_private(hop)) {
		/* back from a content filter on this host it is another message */
		d->evidence |= addr_is_loopback(hop) ? 0 : HOSTED_INNER;
	} else {
		d->evidence |= HOSTED_REMOTE;
		for (unsigned i = 0; i < d->n_hops; i++)
			if (addr_eq(&d->hops[i], hop))
				return;
		if (d->n_hops < BOOK_HOPS)
			d->hops[d->n_hops++] = *hop;
	}
}
