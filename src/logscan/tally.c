#include "logscan/tally.h"

#include "base/map.h"

#include <stdlib.h>

static const char *const door_words[DOOR_WORD_COUNT] = {
	[DOOR_WORD_MX] = "mx",     [DOOR_WORD_APEX] = "apex",       [DOOR_WORD_WWW] = "www",
	[DOOR_WORD_MAIL] = "mail", [DOOR_WORD_SMTP] = "smtp",       [DOOR_WORD_OTHER] = "other",
	[DOOR_WORD_NONE] = "none", [DOOR_WORD_UNKNOWN] = "unknown",
};

const char *door_word_name(enum door_word w)
{
	INVARIANT(w < DOOR_WORD_COUNT);
	return door_words[w];
}

void tally_init(struct tally *t)
{
	*t = (struct tally) { 0 };
}

void tally_deinit(struct tally *t)
{
	index_deinit(&t->day_index);
	index_deinit(&t->domain_day_index);
	index_deinit(&t->network_index);
	index_deinit(&t->ptr_index);
	index_deinit(&t->seen_index);
	free(t->days);
	free(t->domain_days);
	free(t->networks);
	free(t->ptr_domains);
	free(t->seen);
	free(t->devices);
	tally_init(t);
}

/* A zeroed row more in *array of n; NULL: no memory. */
static void *add_row(struct tally *t, void *array, size_t *n, size_t *alloc, size_t size)
{
	void **rows = array;
	size_t more = *alloc ? *alloc + *alloc / 2 : 64;
	char *row;

	if (*n == *alloc) {
		void *grown = reallocarray(*rows, more, size);

		if (!grown) {
			t->no_memory = true;
			return NULL;
		}
		*rows = grown;
		*alloc = more;
	}
	row = (char *)*rows + *n * size;
	memset(row, 0, size);
	++*n;
	return row;
}

static uint64_t hash_words(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t words[3] = { a, b, c };

	return map_hash((struct sv) { (const char *)words, sizeof(words) });
}

/* ---- what was seen with what ---- */

enum seen_kind { NETWORK_DOMAIN, NETWORK_DAY, PTR_DOMAIN, PTR_DAY, PTR_CLIENT, PTR_NETWORK };

static bool same_seen(const void *user, uint32_t at, const void *key)
{
	const struct tally_seen *s = &((const struct tally *)user)->seen[at], *k = key;

	return s->what == k->what && s->with == k->with && s->kind == k->kind;
}

/* Is it the first time? */
static bool first_seen(struct tally *t, enum seen_kind kind, uint32_t what, uint32_t with)
{
	struct tally_seen key = { what, with, kind }, *row;
	uint64_t hash = hash_words(what, with, kind);

	if (index_find(&t->seen_index, hash, same_seen, t, &key) != INDEX_NONE)
		return false;
	row = add_row(t, &t->seen, &t->n_seen, &t->alloc_seen, sizeof(*row));
	if (!row)
		return true;
	*row = key;
	if (index_add(&t->seen_index, hash, (uint32_t)t->n_seen - 1) < 0)
		t->no_memory = true;
	return true;
}

/* ---- days ---- */

static bool same_day(const void *user, uint32_t at, const void *key)
{
	return ((const struct tally *)user)->days[at].day == *(const int32_t *)key;
}

static void take_day(struct tally *t, int32_t day, enum mail_class c, uint32_t mails)
{
	uint64_t hash = hash_words((uint32_t)day, 0, 0);
	uint32_t at = index_find(&t->day_index, hash, same_day, t, &day);

	if (at == INDEX_NONE) {
		struct tally_day *row =
			add_row(t, &t->days, &t->n_days, &t->alloc_days, sizeof(*row));

		at = (uint32_t)t->n_days - 1;
		if (!row || index_add(&t->day_index, hash, at) < 0)
			return;
		row->day = day;
	}
	t->days[at].mails[c] += mails;
}

struct domain_day {
	uint32_t domain;
	int32_t day;
};

static bool same_domain_day(const void *user, uint32_t at, const void *key)
{
	const struct tally_domain_day *d = &((const struct tally *)user)->domain_days[at];
	const struct domain_day *k = key;

	return d->domain == k->domain && d->day == k->day;
}

static void take_domain_day(struct tally *t, struct book_domain *d, const struct domain_day *key,
			    uint32_t mails, bool direct)
{
	uint64_t hash = hash_words(key->domain, (uint32_t)key->day, 1);
	uint32_t at = index_find(&t->domain_day_index, hash, same_domain_day, t, key);

	if (at == INDEX_NONE) {
		struct tally_domain_day *row = add_row(t, &t->domain_days, &t->n_domain_days,
						       &t->alloc_domain_days, sizeof(*row));

		at = (uint32_t)t->n_domain_days - 1;
		if (!row || index_add(&t->domain_day_index, hash, at) < 0)
			return;
		row->domain = key->domain;
		row->day = key->day;
		row->next = d->days;
		d->days = at;
	}
	t->domain_days[at].mails += mails;
	t->domain_days[at].direct += direct ? mails : 0;
}

bool class_is_from_outside(enum mail_class c)
{
	switch (c) {
	case CLASS_SCANNER:
	case CLASS_DIRECT:
	case CLASS_SELF:
	case CLASS_BACKUP:
	case CLASS_ELSEWHERE:
	case CLASS_NULL:
	case CLASS_DNS:
	case CLASS_UNKNOWN:
		return true;
	case CLASS_AUTHENTICATED:
	case CLASS_TRUSTED:
	case CLASS_LOCAL:
	case CLASS_NOT_HOSTED:
	case CLASS_REFUSED:
	case CLASS_COUNT:
		break;
	}
	return false;
}

/* ---- groups ---- */

/* Registrable domain of a client's first confirmed name that does not spell out its address, a view
 * into it; empty: none. */
static struct sv client_ptr_domain(const struct book_client *c)
{
	for (unsigned i = 0; c->names && i < c->names->n; i++) {
		const char *name = c->names->names[i], *domain;

		if (name_is_generic(name, &c->addr))
			continue;
		domain = registrable_domain(name);
		if (domain)
			return sv_from(domain);
	}
	return (struct sv) { "", 0 };
}

/* The same as a string of the book, looked at once; 0: none. */
static uint32_t ptr_word(struct book *b, struct book_client *c)
{
	struct sv domain;

	if (c->ptr_domain == INDEX_NONE) {
		domain = client_ptr_domain(c);
		c->ptr_domain = domain.n ? book_intern(b, domain) : 0;
	}
	return c->ptr_domain;
}

/* Is the client named below the registrable domain of the door's MX? */
static bool is_related(const struct book *b, const struct book_domain *d, uint32_t ptr_domain)
{
	const char *registrable =
		ptr_domain && d->mx ? registrable_domain(book_string(b, d->mx)) : NULL;

	return registrable && strcmp(registrable, book_string(b, ptr_domain)) == 0;
}

static struct prefix network_of(const struct addr *a)
{
	struct prefix p = { *a, addr_is_v4(a) ? 96 + 24 : 48 };

	memset(p.addr.b + p.bits / 8, 0, sizeof(p.addr.b) - p.bits / 8);
	return p;
}

static bool same_network(const void *user, uint32_t at, const void *key)
{
	const struct prefix *p = &((const struct tally *)user)->networks[at].network, *k = key;

	return p->bits == k->bits && addr_eq(&p->addr, &k->addr);
}

static bool same_ptr(const void *user, uint32_t at, const void *key)
{
	return ((const struct tally *)user)->ptr_domains[at].ptr_domain == *(const uint32_t *)key;
}

/* What both kinds of group count alike. */
static void take_group(struct tally_group *g, const struct book *b, const struct flow *f,
		       bool related)
{
	g->mails += f->mails;
	g->own += f->own;
	g->bytes += f->bytes;
	if (related && g->related == 0)
		g->scanner = f->scanner;
	g->related += related ? f->mails : 0;
	if (g->first_ms == 0 || f->first_ms < g->first_ms)
		g->first_ms = f->first_ms;
	if (f->last_ms > g->last_ms)
		g->last_ms = f->last_ms;
	if (f->mails > g->example) {
		g->example = f->mails;
		g->client = f->client;
		g->domain = f->domain;
		if (g->related == 0)
			g->scanner = f->scanner;
	}
}

static uint32_t count_days(struct tally *t, const struct book *b, const struct flow *f,
			   enum seen_kind kind, uint32_t group)
{
	uint32_t n = 0, mails;
	uint64_t at = 0;
	int32_t day;

	while (book_next_day(b, f, &at, &day, &mails))
		n += first_seen(t, kind, group, (uint32_t)day);
	return n;
}

static uint32_t take_network(struct tally *t, struct book *b, const struct flow *f, bool related)
{
	struct book_client *c = &b->clients[f->client];
	struct prefix p = network_of(&c->addr);
	uint64_t hash = map_hash((struct sv) { (const char *)p.addr.b, sizeof(p.addr.b) });
	uint32_t at = c->network;
	struct tally_group *g;

	if (at == INDEX_NONE)
		at = index_find(&t->network_index, hash, same_network, t, &p);
	if (at == INDEX_NONE) {
		g = add_row(t, &t->networks, &t->n_networks, &t->alloc_networks, sizeof(*g));
		at = (uint32_t)t->n_networks - 1;
		if (!g || index_add(&t->network_index, hash, at) < 0)
			return INDEX_NONE;
		g->network = p;
		g->networks = 1;
	}
	g = &t->networks[at];
	if (c->network == INDEX_NONE) {
		c->network = at;
		g->clients++;
		g->refused += c->refused;
	}
	take_group(g, b, f, related);
	g->domains += first_seen(t, NETWORK_DOMAIN, at, b->domains[f->domain].base);
	g->days += count_days(t, b, f, NETWORK_DAY, at);
	return at;
}

static void take_ptr(struct tally *t, struct book *b, const struct flow *f, uint32_t network,
		     uint32_t word, bool related)
{
	struct book_client *c = &b->clients[f->client];
	uint64_t hash = hash_words(word, 0, 2);
	uint32_t at = index_find(&t->ptr_index, hash, same_ptr, t, &word);
	struct tally_group *g;

	if (at == INDEX_NONE) {
		g = add_row(t, &t->ptr_domains, &t->n_ptr_domains, &t->alloc_ptr_domains,
			    sizeof(*g));
		at = (uint32_t)t->n_ptr_domains - 1;
		if (!g || index_add(&t->ptr_index, hash, at) < 0)
			return;
		g->ptr_domain = word;
		g->network = network_of(&c->addr);
	}
	g = &t->ptr_domains[at];
	if (first_seen(t, PTR_CLIENT, at, f->client)) {
		g->clients++;
		g->refused += c->refused;
	}
	take_group(g, b, f, related);
	g->networks += first_seen(t, PTR_NETWORK, at, network);
	g->domains += first_seen(t, PTR_DOMAIN, at, b->domains[f->domain].base);
	g->days += count_days(t, b, f, PTR_DAY, at);
	if (t->networks[network].ptr_domain == 0)
		t->networks[network].ptr_domain = word;
}

static void take_device(struct tally *t, struct book *b, const struct flow *f)
{
	struct tally_device *d;

	if (f->own * 2 < f->mails || f->mails < 3 || t->n_devices >= TALLY_DEVICES_MAX ||
	    b->clients[f->client].refused * 4 > f->mails)
		return;
	d = add_row(t, &t->devices, &t->n_devices, &t->alloc_devices, sizeof(*d));
	if (d)
		*d = (struct tally_device) { f->client,   b->domains[f->domain].base,
					     f->mails,    f->own,
					     f->first_ms, f->last_ms };
}

static void take_past_door(struct tally *t, struct book *b, const struct flow *f)
{
	uint32_t ptr_domain = ptr_word(b, &b->clients[f->client]);
	bool related = is_related(b, &b->domains[f->verdict_domain], ptr_domain);
	uint32_t network = take_network(t, b, f, related);

	take_device(t, b, f);
	if (network != INDEX_NONE && ptr_domain != 0)
		take_ptr(t, b, f, network, ptr_domain, related);
}

/* ---- flows ---- */

enum door_word tally_door_word(const struct book_domain *d, const struct judge *j,
			       const struct addr *server)
{
	static const enum door_word words[DOOR_NAME_COUNT] = {
		[DOOR_NAME_APEX] = DOOR_WORD_APEX,   [DOOR_NAME_WWW] = DOOR_WORD_WWW,
		[DOOR_NAME_MAIL] = DOOR_WORD_MAIL,   [DOOR_NAME_SMTP] = DOOR_WORD_SMTP,
		[DOOR_NAME_OTHER] = DOOR_WORD_OTHER,
	};

	if (d->door_known && (d->door == DOOR_SELF || d->door == DOOR_BACKUP))
		return DOOR_WORD_MX;
	if (!d->names || (!server && j->servers.n == 0))
		return DOOR_WORD_UNKNOWN;
	for (int i = 0; i < DOOR_NAME_COUNT; i++)
		for (int k = 0; k < d->names->n[i]; k++)
			if (server ? addr_eq(&d->names->addrs[i][k], server)
				   : judge_is_server(j, &d->names->addrs[i][k]))
				return words[i];
	return DOOR_WORD_NONE;
}

static void take_class(struct tally *t, struct book *b, const struct judge *j, const struct flow *f)
{
	struct tally_class *c = &t->classes[f->class];
	struct book_domain *d = &b->domains[b->domains[f->domain].base];
	const struct addr *server = f->server ? &b->servers[f->server] : NULL;

	c->mails += f->mails;
	c->bytes += f->bytes;
	c->domains += d->by_class[f->class] == 0;
	d->by_class[f->class] += f->mails;
	d->bytes += f->bytes;
	if (f->client != INDEX_NONE) {
		struct book_client *client = &b->clients[f->client];

		c->clients += !(client->classes & 1u << f->class);
		client->classes |= (uint16_t)(1u << f->class);
	}
	c->names[tally_door_word(d, j, server)] += f->mails;
}

static void take_flow(struct tally *t, struct book *b, const struct judge *j, const struct flow *f)
{
	struct book_domain *d = &b->domains[b->domains[f->domain].base];
	bool direct = f->finding == FINDING_DIRECT || f->finding == FINDING_NULL;
	struct domain_day key = { .domain = b->domains[f->domain].base };
	uint64_t at = 0;
	uint32_t mails;

	t->mails += f->mails;
	take_class(t, b, j, f);
	if (direct)
		d->direct += f->mails;
	while (book_next_day(b, f, &at, &key.day, &mails)) {
		take_day(t, key.day, (enum mail_class)f->class, mails);
		if (class_is_from_outside((enum mail_class)f->class))
			take_domain_day(t, d, &key, mails, direct);
	}
	if (direct)
		take_past_door(t, b, f);
}

/* Groups that the client is in already. */
static void take_refused(struct tally *t, struct book *b, const struct flow *f)
{
	struct book_client *c = &b->clients[f->client];
	struct tally_seen key = { .with = f->client, .kind = PTR_CLIENT };
	uint32_t word;

	c->refused += f->mails;
	if (c->network == INDEX_NONE)
		return;
	t->networks[c->network].refused += f->mails;
	word = ptr_word(b, c);
	if (word == 0)
		return;
	key.what = index_find(&t->ptr_index, hash_words(word, 0, 2), same_ptr, t, &word);
	if (key.what != INDEX_NONE &&
	    index_find(&t->seen_index, hash_words(key.what, key.with, key.kind), same_seen, t,
		       &key) != INDEX_NONE)
		t->ptr_domains[key.what].refused += f->mails;
}

void tally_take(struct tally *t, struct book *b, const struct judge *j)
{
	/* first, for what is said of the same clients' other mail */
	for (size_t i = 0; i < b->n_flows; i++)
		if (b->flows[i].kind == FLOW_REFUSED && b->flows[i].client != INDEX_NONE)
			take_refused(t, b, &b->flows[i]);
	for (size_t i = 0; i < b->n_flows; i++) {
		__builtin_prefetch(book_client_ahead(b, i), 1);
		if (b->flows[i].judged)
			take_flow(t, b, j, &b->flows[i]);
	}
	t->classes[CLASS_AUTHENTICATED].clients = b->n_authenticated;
	t->no_memory = t->no_memory || b->no_memory;
}

/* ---- order ---- */

static int by_day(const void *a, const void *b)
{
	const struct tally_day *left = a, *right = b;

	return left->day < right->day ? -1 : left->day > right->day;
}

static int by_mails(const void *a, const void *b)
{
	const struct tally_group *left = a, *right = b;

	if (left->mails != right->mails)
		return left->mails > right->mails ? -1 : 1;
	return addr_cmp(&left->network.addr, &right->network.addr);
}

static int by_domain(const void *a, const void *b)
{
	const struct tally_device *left = a, *right = b;

	if (left->domain != right->domain)
		return left->domain < right->domain ? -1 : 1;
	return left->client < right->client ? -1 : left->client > right->client;
}

/* A client may have come to several server addresses, or have been taken in several times. */
static void merge_devices(struct tally *t)
{
	struct tally_device *d = t->devices;
	size_t n = 0;

	if (t->n_devices > 1)
		qsort(d, t->n_devices, sizeof(*d), by_domain);
	for (size_t i = 0; i < t->n_devices; i++) {
		if (n == 0 || d[n - 1].domain != d[i].domain || d[n - 1].client != d[i].client) {
			d[n++] = d[i];
			continue;
		}
		d[n - 1].mails += d[i].mails;
		d[n - 1].own += d[i].own;
		if (d[i].first_ms < d[n - 1].first_ms)
			d[n - 1].first_ms = d[i].first_ms;
		if (d[i].last_ms > d[n - 1].last_ms)
			d[n - 1].last_ms = d[i].last_ms;
	}
	t->n_devices = n;
}

void tally_sort(struct tally *t)
{
	if (t->n_days > 1)
		qsort(t->days, t->n_days, sizeof(*t->days), by_day);
	if (t->n_networks > 1)
		qsort(t->networks, t->n_networks, sizeof(*t->networks), by_mails);
	if (t->n_ptr_domains > 1)
		qsort(t->ptr_domains, t->n_ptr_domains, sizeof(*t->ptr_domains), by_mails);
	merge_devices(t);
	/* rows have moved: no more can be taken in */
	index_clear(&t->day_index);
	index_clear(&t->network_index);
	index_clear(&t->ptr_index);
}
