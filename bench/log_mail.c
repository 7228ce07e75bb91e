/*
 * What one mail is, and which class it has: the truth that `frontdoor logs` is measured by, without
 * a configuration (nobody is trusted then).
 */
#include "log_maker.h"

static const struct text users[] = {
	TEXT("info"),     TEXT("sales"),      TEXT("shaun"),     TEXT("office"),
	TEXT("john.doe"), TEXT("accounts"),   TEXT("m.mueller"), TEXT("support"),
	TEXT("anna"),     TEXT("bestellung"), TEXT("webmaster"), TEXT("jobs"),
	TEXT("k-smith"),  TEXT("newsletter"), TEXT("admin"),     TEXT("peter.van.der.berg"),
	TEXT("team"),     TEXT("contact"),    TEXT("o'brien"),   TEXT("it_department"),
};
#define N_USERS (sizeof(users) / sizeof(users[0]))

static struct text draw_user(struct rng *r)
{
	return users[rng_below(r, N_USERS)];
}

static struct text after_dot(struct text name)
{
	const char *dot = memchr(name.p, '.', name.n);
	size_t skip = dot ? (size_t)(dot + 1 - name.p) : 0;

	return (struct text) { name.p + skip, name.n - skip };
}

static struct client *draw_client(struct world *w, struct crowd c, struct rng *r)
{
	return &w->clients[c.first + rng_below(r, c.n)];
}

/* Big senders send most. */
static struct client *draw_server(struct world *w, struct rng *r)
{
	uint32_t n = w->servers.n >> rng_below(r, 8);

	return &w->clients[w->servers.first + rng_below(r, n)];
}

static uint32_t draw_domain(const struct world *w, enum door door, struct rng *r)
{
	return w->samples[door][rng_below(r, SAMPLES)];
}

/* Any hosted domain: most have a scanner. */
static uint32_t draw_any_domain(const struct world *w, struct rng *r)
{
	return draw_domain(w, rng_permille(r, 640) ? DOOR_SCANNER : DOOR_SELF, r);
}

static void from_server(struct world *w, struct mail *m, struct rng *r)
{
	struct text name = draw_server(w, r)->name;

	if (rng_permille(r, 40))
		return; /* <> */
	m->sender.local = draw_user(r);
	m->sender.domain = after_dot(name);
	if (rng_permille(r, 300)) {
		m->sender.local = TEXT("bounces+list");
		m->sender.tag = (uint32_t)rng_next(r) | 1;
		m->sender.domain = name;
	}
}

static struct rcpt *add_hosted(struct world *w, struct mail *m, uint32_t domain, struct rng *r)
{
	struct rcpt *to = &m->rcpts[m->n_rcpts++];
	struct domain *d = &w->domains[domain];

	to->domain = domain;
	to->to = (struct address) { .local = draw_user(r), .domain = d->name };
	to->lmtp = rng_permille(r, 500);
	to->deferred = rng_permille(r, 5);
	/* Elsewhere or nowhere only where the log shows in another place that the domain is ours.
	 */
	if (d->at_home && rng_permille(r, 20)) {
		to->remote = &w->remotes[rng_below(r, w->n_remotes)];
		to->forward = draw_user(r);
	} else if (d->at_home && rng_permille(r, 4)) {
		to->fails = true;
	}
	d->at_home = d->at_home || m->way != NOT_TAKEN;
	return to;
}

static void add_remote(struct world *w, struct mail *m, struct rng *r)
{
	struct rcpt *to = &m->rcpts[m->n_rcpts++];
	uint32_t big = rng_below(r, 4); /* most goes to few */

	to->remote = &w->remotes[rng_below(r, w->n_remotes) >> big];
	to->domain = NO_DOMAIN;
	to->to = (struct address) { .local = draw_user(r), .domain = to->remote->domain };
	to->deferred = rng_permille(r, 30);
	to->fails = rng_permille(r, 10);
}

/* A few more: of the same domain, or of one with the same kind of door (and the same scanner). */
static void add_more(struct world *w, struct mail *m, struct rng *r)
{
	uint32_t first = m->rcpts[0].domain, n = rng_below(r, 1000);
	struct crowd c = w->of_door[w->domains[first].door];
	uint32_t place = w->domains[first].place;

	n = n < 900 ? 0 : n < 960 ? 1 : n < 990 ? 2 : 3;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t other = place + SCANNERS * (1 + rng_below(r, 8));

		if (rng_permille(r, 600) || other >= c.n)
			other = place;
		add_hosted(w, m, c.first + other, r);
	}
}

static void draw_scanned(struct world *w, struct mail *m, struct rng *r)
{
	uint32_t domain = draw_domain(w, DOOR_SCANNER, r);

	m->client = &w->clients[w->egress.first + w->domains[domain].scanner * EGRESS +
				rng_below(r, EGRESS)];
	from_server(w, m, r);
	add_hosted(w, m, domain, r);
	add_more(w, m, r);
}

/* Honest, but past the door: an egress that DNS doesn't tell, a printer, a monitor. */
static void draw_odd(struct world *w, struct mail *m, struct rng *r)
{
	uint32_t which = rng_below(r, 3), i, domain = draw_domain(w, DOOR_SCANNER, r);
	struct crowd c = w->of_door[DOOR_SCANNER];

	if (which == 0 && world_scanner_has_relays(w->domains[domain].scanner)) {
		m->client = &w->clients[w->relays.first + w->domains[domain].scanner * RELAYS +
					rng_below(r, RELAYS)];
		from_server(w, m, r);
	} else {
		struct crowd few = which == 1 ? w->monitors : w->devices;

		i = rng_below(r, few.n);
		m->client = &w->clients[few.first + i];
		domain = c.first + i * 11 % c.n;
		m->sender = (struct address) { .local = TEXT("scan"),
					       .domain = w->domains[domain].name };
	}
	add_hosted(w, m, domain, r);
}

static void draw_direct(struct world *w, struct mail *m, struct rng *r)
{
	if (rng_permille(r, 150)) {
		draw_odd(w, m, r);
		return;
	}
	m->client = draw_client(w, w->bots, r);
	/* Also past the doors of domains whose address alone may deliver. */
	add_hosted(w, m, draw_domain(w, rng_permille(r, 20) ? DOOR_ELSEWHERE : DOOR_SCANNER, r), r);
	m->sender = m->rcpts[0].to;
	if (rng_permille(r, 700)) {
		m->sender.local = draw_user(r);
		m->sender.domain = after_dot(draw_client(w, w->servers, r)->name);
		if (rng_permille(r, 500))
			m->sender.tag = 1 + rng_below(r, 99999);
	}
	add_more(w, m, r);
}

static void draw_login(struct world *w, struct mail *m, struct rng *r)
{
	m->way = BY_LOGIN;
	m->client = draw_client(w, w->users, r);
	m->login.local = draw_user(r);
	m->login.domain = w->domains[draw_any_domain(w, r)].name;
	m->sender = m->login;
	if (rng_permille(r, 150))
		add_hosted(w, m, draw_any_domain(w, r), r);
	else
		add_remote(w, m, r);
	while (m->n_rcpts < RCPTS_MAX && rng_permille(r, 120))
		add_remote(w, m, r);
}

static void draw_by_hand(struct world *w, struct mail *m, struct rng *r)
{
	m->way = BY_HAND;
	m->sender = (struct address) { .local = rng_below(r, 4) ? TEXT("www-data") : TEXT("root"),
				       .domain = TEXT(HOST) };
	if (rng_permille(r, 300))
		add_hosted(w, m, draw_any_domain(w, r), r);
	else
		add_remote(w, m, r);
}

static void draw_to(struct world *w, struct mail *m, enum door door, struct rng *r)
{
	uint32_t domain = draw_domain(w, door, r);

	if (door == DOOR_ELSEWHERE)
		m->client = &w->clients[w->webs.first + w->domains[domain].place];
	else if (rng_permille(r, door == DOOR_NULL ? 900 : 150))
		m->client = draw_client(w, w->bots, r);
	else
		m->client = draw_server(w, r);
	from_server(w, m, r);
	add_hosted(w, m, domain, r);
	if (door != DOOR_ELSEWHERE)
		add_more(w, m, r);
}

static void draw_relayed(struct world *w, struct mail *m, struct rng *r)
{
	m->client = draw_client(w, w->customers, r);
	m->sender =
		(struct address) { .local = draw_user(r), .domain = after_dot(m->client->name) };
	add_remote(w, m, r);
}

static void draw_loopback(struct world *w, struct mail *m, struct rng *r)
{
	m->way = BY_LOOPBACK;
	m->client = &w->clients[w->self.first];
	m->sender.local = draw_user(r);
	m->sender.domain = w->domains[draw_any_domain(w, r)].name;
	add_hosted(w, m, draw_any_domain(w, r), r);
}

static void draw_refused(struct world *w, struct mail *m, struct rng *r)
{
	m->way = NOT_TAKEN;
	m->client = rng_permille(r, 800) ? draw_client(w, w->bots, r) : draw_server(w, r);
	from_server(w, m, r);
	m->refusal = rng_below(r, 4);
	if (m->refusal == 1)
		add_remote(w, m, r);
	else
		add_hosted(w, m, draw_any_domain(w, r), r);
}

static enum mail_class class_by_door(const struct world *w, const struct mail *m,
				     const struct domain *d)
{
	uint32_t at = (uint32_t)(m->client - w->clients);

	switch (d->door) {
	case DOOR_SCANNER:
		if (at >= w->egress.first && at < w->egress.first + w->egress.n &&
		    (at - w->egress.first) / EGRESS == d->scanner)
			return CLASS_SCANNER;
		return CLASS_DIRECT;
	case DOOR_ELSEWHERE: /* whether its address or not: the class is of the door */
		return CLASS_ELSEWHERE;
	case DOOR_SELF:
		return CLASS_SELF;
	case DOOR_BACKUP:
		return CLASS_BACKUP;
	case DOOR_NULL:
		return CLASS_NULL;
	case DOOR_UNKNOWN:
		return CLASS_UNKNOWN;
	case DOOR_DNS:
	case DOOR_COUNT:
		break;
	}
	return CLASS_DNS;
}

static enum mail_class class_of(const struct world *w, const struct mail *m, const struct rcpt *to)
{
	switch (m->way) {
	case BY_LOGIN:
		return CLASS_AUTHENTICATED;
	case BY_HAND:
	case BY_BOUNCE:
	case BY_LOOPBACK:
		return CLASS_LOCAL;
	case NOT_TAKEN:
		return CLASS_REFUSED;
	case BY_WORLD:
		break;
	}
	return to->domain == NO_DOMAIN ? CLASS_NOT_HOSTED
				       : class_by_door(w, m, &w->domains[to->domain]);
}

/* One for each message and recipient domain. */
static void count(struct world *w, struct truth *t, struct mail *m)
{
	t->received += m->way != NOT_TAKEN;
	for (unsigned i = 0; i < m->n_rcpts; i++) {
		const struct rcpt *to = &m->rcpts[i];
		enum mail_class class = class_of(w, m, to);
		struct class_truth *c = &t->classes[class];
		uint16_t bit = (uint16_t)(1u << class);
		bool again = false;

		for (unsigned k = 0; k < i; k++)
			again = again || m->rcpts[k].to.domain.p == to->to.domain.p;
		if (again)
			continue;
		t->mails++;
		c->mails++;
		c->bytes += m->way == NOT_TAKEN ? 0 : m->size;
		if (m->client) {
			c->clients += !(m->client->classes & bit);
			m->client->classes |= bit;
		}
		if (to->domain != NO_DOMAIN) {
			c->domains += !(w->domains[to->domain].classes & bit);
			w->domains[to->domain].classes |= bit;
		}
	}
}

void mail_draw(struct world *w, struct truth *t, uint64_t seed, uint64_t number, struct mail *ret)
{
	struct rng rng = { seed ^ (number * 0xd1342543de82ef95) }, *r = &rng;
	struct mail *m = ret;
	uint32_t x = rng_below(r, 1000);

	*m = (struct mail) { .way = BY_WORLD };
	if (x < 550)
		draw_scanned(w, m, r);
	else if (x < 650)
		draw_direct(w, m, r);
	else if (x < 800)
		draw_login(w, m, r);
	else if (x < 900)
		draw_to(w, m, DOOR_SELF, r);
	else if (x < 940)
		draw_refused(w, m, r);
	else if (x < 965)
		draw_by_hand(w, m, r);
	else if (x < 975)
		draw_relayed(w, m, r);
	else if (x < 980)
		draw_loopback(w, m, r);
	else
		draw_to(w, m, DOOR_BACKUP + (x - 980) / 4, r);
	if (m->client) {
		m->client->used = true;
		m->tls = m->client->tls;
	}
	x = 1500u << rng_below(r, 12);
	m->size = 900 + ((uint32_t)rng_next(r) & 0x3fffff) % x;
	m->chunking = m->tls && rng_permille(r, 300);
	m->words = rng_next(r);
	m->rng.state = rng_next(r);
	count(w, t, m);
}

void mail_draw_bounce(struct world *w, struct truth *t, struct mail *failed, struct mail *ret)
{
	struct rng rng = { failed->words + 1 }, *r = &rng;
	struct rcpt *to = &ret->rcpts[0];

	*ret = (struct mail) { .way = BY_BOUNCE, .n_rcpts = 1 };
	ret->size = 2000 + rng_below(r, 60000);
	ret->words = rng_next(r);
	ret->rng.state = rng_next(r);
	to->to = failed->sender;
	to->domain = NO_DOMAIN;
	to->remote = &w->remotes[rng_below(r, w->n_remotes)];
	/* Our own users get it into their mailboxes. */
	if (failed->way == BY_LOGIN || failed->way == BY_HAND)
		to->remote = NULL;
	count(w, t, ret);
}
