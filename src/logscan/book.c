#include "logscan/book_private.h"

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

bool book_room(struct book *b, void *array, size_t n, size_t *alloc, size_t size)
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
	if (!book_room(b, &b->words, b->n_words, &b->alloc_words, sizeof(*b->words)) ||
	    index_add(&b->word_index, hash, (uint32_t)b->n_words) < 0)
		return 0;
	return b->words[b->n_words++] = book_keep(b, text, SV(""), SV(""));
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
	    !book_room(b, &b->clients, b->n_clients, &b->alloc_clients, sizeof(*b->clients)) ||
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
	    !book_room(b, &b->servers, b->n_servers, &b->alloc_servers, sizeof(*b->servers)))
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
	if (!book_room(b, &b->days, b->n_days, &b->alloc_days, sizeof(*b->days)))
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
		if (!book_room(b, &b->flows, b->n_flows, &b->alloc_flows, sizeof(*b->flows)) ||
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
