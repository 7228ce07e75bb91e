#include "logscan/book.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

static const char *const class_names[CLASS_COUNT] = {
	[CLASS_SCANNER] = "scanner",
	[CLASS_DIRECT] = "direct",
	[CLASS_AUTHENTICATED] = "authenticated",
	[CLASS_TRUSTED] = "trusted",
	[CLASS_LOCAL] = "local",
	[CLASS_SELF] = "self",
	[CLASS_BACKUP] = "backup",
	[CLASS_ELSEWHERE] = "elsewhere",
	[CLASS_NULL] = "null",
	[CLASS_DNS] = "dns",
	[CLASS_NOT_HOSTED] = "not-hosted",
	[CLASS_UNKNOWN] = "unknown",
	[CLASS_REFUSED] = "refused",
};

const char *mail_class_name(enum mail_class c)
{
	INVARIANT(c < CLASS_COUNT);
	return class_names[c];
}

/* Room for one more row of size octets in *array. */
static bool room(struct book *b, void *array, size_t n, size_t *alloc, size_t size)
{
	void **rows = array;
	size_t more = *alloc ? *alloc + *alloc / 2 : 64;
	void *grown;

	if (n < *alloc)
		return true;
	grown = reallocarray(*rows, more, size);
	if (!grown) {
		b->no_memory = true;
		return false;
	}
	*rows = grown;
	*alloc = more;
	return true;
}

int book_init(struct book *b)
{
	static const struct addr none;

	*b = (struct book) { 0 };
	(void)book_keep(b, SV(""), SV(""), SV(""));
	(void)book_server(b, &none);
	if (b->no_memory || b->n_servers != 1) {
		book_deinit(b);
		return -ENOMEM;
	}
	return 0;
}

void book_deinit(struct book *b)
{
	for (size_t i = 0; i < b->n_domains; i++) {
		facts_free(b->domains[i].facts);
		facts_free(b->domains[i].names);
		free(b->domains[i].routes);
		free((char *)b->domains[i].name);
	}
	for (size_t i = 0; i < b->n_clients; i++)
		facts_free(b->clients[i].names);
	index_deinit(&b->domain_index);
	index_deinit(&b->spelling_index);
	index_deinit(&b->client_index);
	index_deinit(&b->flow_index);
	index_deinit(&b->word_index);
	free(b->words);
	free(b->domains);
	free(b->spellings);
	free(b->clients);
	free(b->flows);
	free(b->days);
	free(b->servers);
	free(b->strings);
	*b = (struct book) { 0 };
}

void book_clear_flows(struct book *b)
{
	index_clear(&b->flow_index);
	b->n_flows = 0;
	b->n_days = 0;
}

void book_clear_clients(struct book *b)
{
	INVARIANT(b->n_flows == 0);
	for (size_t i = 0; i < b->n_clients; i++)
		facts_free(b->clients[i].names);
	index_clear(&b->client_index);
	b->n_clients = 0;
}

uint32_t book_keep(struct book *b, struct sv a, struct sv separator, struct sv c)
{
	size_t n = a.n + separator.n + c.n + 1, alloc = b->alloc_strings;
	uint32_t at = (uint32_t)b->n_strings;
	char *p;

	if (n == 1 && b->n_strings > 0)
		return 0;
	while (b->n_strings + n > alloc)
		alloc = alloc ? alloc + alloc / 2 : 4096;
	if (alloc > UINT32_MAX) {
		b->no_memory = true;
		return 0;
	}
	if (alloc != b->alloc_strings) {
		p = realloc(b->strings, alloc);
		if (!p) {
			b->no_memory = true;
			return 0;
		}
		b->strings = p;
		b->alloc_strings = alloc;
	}
	p = b->strings + at;
	for (struct sv parts[] = { a, separator, c }, *v = parts; v < parts + 3; p += v++->n)
		if (v->n > 0)
			memcpy(p, v->p, v->n);
	*p = '\0';
	b->n_strings += n;
	return at;
}

static bool same_word(const void *user, uint32_t at, const void *key)
{
	const struct book *b = user;
	const struct sv *v = key;

	return sv_eq(sv_from(book_string(b, b->words[at])), *v);
}

uint32_t book_intern(struct book *b, struct sv text)
{
	uint64_t hash = map_hash(text);
	uint32_t at = index_find(&b->word_index, hash, same_word, b, &text);

	if (at != INDEX_NONE)
		return b->words[at];
	if (!room(b, &b->words, b->n_words, &b->alloc_words, sizeof(*b->words)) ||
	    index_add(&b->word_index, hash, (uint32_t)b->n_words) < 0)
		return 0;
	return b->words[b->n_words++] = book_keep(b, text, SV(""), SV(""));
}

/* ---- domains ---- */

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

	if (!room(b, &b->domains, b->n_domains, &b->alloc_domains, sizeof(d)))
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
	    !room(b, &b->spellings, b->n_spellings, &b->alloc_spellings, sizeof(*b->spellings)))
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

/* ---- clients and servers ---- */

static bool same_client(const void *user, uint32_t at, const void *key)
{
	return addr_eq(&((const struct book *)user)->clients[at].addr, key);
}

static uint64_t client_hash(const struct addr *client)
{
	return map_hash((struct sv) { (const char *)client->b, sizeof(client->b) });
}

static uint32_t find_client(struct book *b, const struct addr *client, uint64_t hash)
{
	uint32_t at = index_find(&b->client_index, hash, same_client, b, client);

	if (at != INDEX_NONE)
		return at;
	at = (uint32_t)b->n_clients;
	if (b->n_clients >= BOOK_CLIENTS_MAX ||
	    !room(b, &b->clients, b->n_clients, &b->alloc_clients, sizeof(*b->clients)) ||
	    index_add(&b->client_index, hash, at) < 0) {
		b->no_memory = true;
		return INDEX_NONE;
	}
	b->clients[b->n_clients++] = (struct book_client) { .addr = *client,
							    .network = INDEX_NONE,
							    .ptr_domain = INDEX_NONE };
	return at;
}

uint32_t book_client(struct book *b, const struct addr *client)
{
	return find_client(b, client, client_hash(client));
}

uint16_t book_server(struct book *b, const struct addr *server)
{
	for (size_t i = b->n_servers; i-- > 0;)
		if (addr_eq(&b->servers[i], server))
			return (uint16_t)i;
	/* A host has few; a log that has thousands is not one host's. */
	if (b->n_servers > 4096 ||
	    !room(b, &b->servers, b->n_servers, &b->alloc_servers, sizeof(*b->servers)))
		return 0;
	b->servers[b->n_servers] = *server;
	return (uint16_t)b->n_servers++;
}

/* ---- flows ---- */

static bool same_flow(const void *user, uint32_t at, const void *key)
{
	const struct flow *f = &((const struct book *)user)->flows[at], *k = key;

	return f->client == k->client && f->domain == k->domain && f->server == k->server &&
	       f->kind == k->kind;
}

static uint64_t flow_hash(const struct flow *f)
{
	uint32_t words[3] = { f->client, f->domain, (uint32_t)f->server << 8 | (uint32_t)f->kind };

	return map_hash((struct sv) { (const char *)words, sizeof(words) });
}

/* f->day is the newest. Logs are in order, nearly: those before are seldom looked for, which means
 * to wait for memory. */
static void count_day(struct book *b, struct flow *f, int32_t day)
{
	struct flow_day row = { day, 1, f->days };

	if (day == f->day) {
		f->day_mails++;
		return;
	}
	for (uint32_t i = f->days; day < f->day && i != INDEX_NONE; i = b->days[i].next)
		if (b->days[i].day == day) {
			b->days[i].mails++;
			return;
		}
	if (!room(b, &b->days, b->n_days, &b->alloc_days, sizeof(*b->days)))
		return;
	if (day > f->day) {
		row.day = f->day;
		row.mails = f->day_mails;
		f->day = day;
		f->day_mails = 1;
	}
	b->days[b->n_days] = row;
	f->days = (uint32_t)b->n_days++;
}

/* mail: a flow of one. */
static uint32_t add_mail(struct book *b, const struct flow *mail, uint64_t hash)
{
	uint32_t at = index_find(&b->flow_index, hash, same_flow, b, mail);
	struct flow *f;

	if (at == INDEX_NONE) {
		at = (uint32_t)b->n_flows;
		if (!room(b, &b->flows, b->n_flows, &b->alloc_flows, sizeof(*b->flows)) ||
		    index_add(&b->flow_index, hash, at) < 0) {
			b->no_memory = true;
			return INDEX_NONE;
		}
		b->flows[b->n_flows++] = *mail;
		return at;
	}
	f = &b->flows[at];
	f->mails++;
	f->own += mail->own;
	f->bytes += mail->bytes;
	if (mail->first_ms < f->first_ms)
		f->first_ms = mail->first_ms;
	if (mail->last_ms > f->last_ms)
		f->last_ms = mail->last_ms;
	count_day(b, f, mail->day);
	return at;
}

bool book_next_day(const struct book *b, const struct flow *f, uint64_t *at, int32_t *ret_day,
		   uint32_t *ret_mails)
{
	/* at: 0, then 1 + the position of the next */
	if (*at == 0) {
		*ret_day = f->day;
		*ret_mails = f->day_mails;
		*at = 1ull + f->days;
		return true;
	}
	if (*at == 1ull + INDEX_NONE)
		return false;
	const struct flow_day *d = &b->days[*at - 1];

	*ret_day = d->day;
	*ret_mails = d->mails;
	*at = 1ull + d->next;
	return true;
}

bool address_is_of_domain(struct sv address, struct sv domain)
{
	return domain.n > 0 && address.n > domain.n && address.p[address.n - domain.n - 1] == '@' &&
	       sv_ends_nocase(address, domain);
}

/* ---- mail ---- */

static void make_flow(struct flow *f, const struct mail *mail, uint32_t domain,
		      const struct book_domain *base)
{
	memset(f, 0, sizeof(*f));
	f->client = INDEX_NONE;
	f->domain = f->verdict_domain = domain;
	f->server = mail->server;
	f->kind = (uint8_t)mail->kind;
	f->mails = f->day_mails = 1;
	f->own = address_is_of_domain(mail->sender, (struct sv) { base->name, base->name_len });
	f->bytes = mail->bytes;
	f->first_ms = f->last_ms = mail->time_ms;
	f->day = mail->day;
	f->days = INDEX_NONE;
}

static void keep_sample(struct book_pending *p, const struct mail *mail)
{
	size_t id = min_size(mail->id.n, BOOK_SAMPLE_MAX / 2);
	size_t sender = min_size(mail->sender.n, BOOK_SAMPLE_MAX - id - 1);

	memcpy(p->sample, mail->id.p, id);
	p->sample[id] = ' ';
	if (sender > 0)
		memcpy(p->sample + id + 1, mail->sender.p, sender);
	p->sample_len = (uint16_t)(id + 1 + sender);
}

/* false: no memory. */
static bool take_client(struct book *b, struct book_pending *p)
{
	uint32_t at = find_client(b, &p->client, p->hash);
	struct book_client *c = &b->clients[at];

	if (at == INDEX_NONE)
		return false;
	if (p->mail.kind == FLOW_AUTHENTICATED) {
		b->n_authenticated += !(c->classes & 1u << CLASS_AUTHENTICATED);
		c->classes |= 1u << CLASS_AUTHENTICATED;
		return true;
	}
	p->mail.client = at;
	if (p->mail.kind == FLOW_WORLD && c->sample == 0 && !b->no_samples)
		c->sample = book_keep(b, (struct sv) { p->sample, p->sample_len }, SV(""), SV(""));
	return true;
}

#define STEPS 4

/*
 * The rows of clients and flows are many and lie anywhere: to wait for each of them would be half
 * of the time that a line takes. So what a step needs has been sent for in the step before, some
 * mails ago.
 */
static void advance(struct book *b, struct book_pending *p)
{
	uint32_t at;

	switch (p->step++) {
	case 0:
		at = p->has_client ? index_guess(&b->client_index, p->hash) : INDEX_NONE;
		if (at != INDEX_NONE) {
			__builtin_prefetch(&b->clients[at], 1);
			__builtin_prefetch(&b->clients[at].classes, 1);
		}
		break;
	case 1:
		/* mail from the world is judged by its client */
		if (p->has_client ? !take_client(b, p) : p->mail.kind == FLOW_WORLD) {
			p->step = STEPS;
			break;
		}
		p->hash = flow_hash(&p->mail);
		__builtin_prefetch(index_slot(&b->flow_index, p->hash));
		break;
	case 2:
		at = index_guess(&b->flow_index, p->hash);
		if (at != INDEX_NONE) {
			__builtin_prefetch(&b->flows[at], 1);
			__builtin_prefetch(&b->flows[at].days, 1);
		}
		break;
	case 3:
		p->flow = add_mail(b, &p->mail, p->hash);
		break;
	default: /* nothing came of it */
		p->step = STEPS;
		break;
	}
}

static struct book_pending *pending(struct book *b, uint64_t n)
{
	return &b->pending[n % BOOK_PENDING];
}

void book_mail_soon(struct book *b, const struct mail *mail, uint32_t domain)
{
	struct book_domain *base = &b->domains[b->domains[domain].base];
	uint64_t waiting = b->pushed - b->taken;
	struct book_pending *p;

	for (unsigned i = BOOK_PENDING / STEPS; i <= waiting; i += BOOK_PENDING / STEPS)
		advance(b, pending(b, b->pushed - i));
	if (waiting == BOOK_PENDING)
		b->taken++;
	p = pending(b, b->pushed++);
	p->step = 0;
	p->flow = INDEX_NONE;
	p->has_client = mail->has_client;
	make_flow(&p->mail, mail, domain, base);
	if (mail->has_client) {
		p->client = mail->client;
		p->hash = client_hash(&p->client);
		__builtin_prefetch(index_slot(&b->client_index, p->hash));
	}
	if (mail->kind == FLOW_WORLD) {
		base->evidence |= HOSTED_WORLD;
		keep_sample(p, mail);
	}
}

void book_flush(struct book *b)
{
	for (; b->taken < b->pushed; b->taken++)
		while (pending(b, b->taken)->step < STEPS)
			advance(b, pending(b, b->taken));
}

uint32_t book_mail(struct book *b, const struct mail *mail, uint32_t domain)
{
	book_mail_soon(b, mail, domain);
	book_flush(b);
	return pending(b, b->pushed - 1)->flow;
}
