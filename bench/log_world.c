/* The hosted domains, the scanners, and everybody who sends mail to them; their DNS. */
#include "log_maker.h"

#include <stdarg.h>
#include <stdlib.h>

#define ARENA_SIZE (1 << 20)

/* Numbers for word(): a range for each purpose. */
enum { WORDS_DOMAINS = 0, WORDS_SERVERS = 400000, WORDS_REMOTES = 500000, WORDS_ISPS = 600000 };

static void *need(void *p)
{
	if (!p) {
		perror("log_maker");
		exit(1);
	}
	return p;
}

__attribute__((format(printf, 2, 3))) static struct text keep(struct world *w, const char *format,
							      ...)
{
	char *p;
	va_list args;
	int n;

	if (!w->arena || w->arena->used + 256 > ARENA_SIZE) {
		struct arena *a = need(malloc(sizeof(*a) + ARENA_SIZE));

		a->next = w->arena;
		a->used = 0;
		w->arena = a;
	}
	p = w->arena->text + w->arena->used;
	va_start(args, format);
	n = vsnprintf(p, 256, format, args);
	va_end(args);
	w->arena->used += (size_t)n + 1;
	return (struct text) { p, (size_t)n };
}

/* "kalomedi": another one for each number below 2^20. */
static const char *word(uint32_t number, char out[12])
{
	static const char syllables[] = "kalomedirutasenobipeguvafizohari"
					"lenumosibekodupavegijoxawitesali";
	uint32_t v = (number * 0x9e3b1u + 0x51ed2u) & 0xfffff;

	for (int i = 0; i < 4; i++, v >>= 5)
		memcpy(out + 2 * (size_t)i, &syllables[2 * (v & 31)], 2);
	out[8] = '\0';
	return out;
}

/* ---- domains ---- */

static enum door draw_door(struct rng *r)
{
	uint32_t x = rng_below(r, 1000);

	if (x < 600)
		return DOOR_SCANNER;
	if (x < 900)
		return DOOR_SELF;
	if (x < 930)
		return DOOR_BACKUP;
	if (x < 950)
		return DOOR_ELSEWHERE;
	if (x < 960)
		return DOOR_NULL;
	return x < 980 ? DOOR_UNKNOWN : DOOR_DNS;
}

static int by_door(const void *a, const void *b)
{
	enum door x = *(const enum door *)a, y = *(const enum door *)b;

	return x < y ? -1 : x > y;
}

static void make_domains(struct world *w, struct rng *r)
{
	enum door *doors = need(calloc(w->n_domains, sizeof(*doors)));
	char name[12];

	w->domains = need(calloc(w->n_domains, sizeof(*w->domains)));
	for (uint32_t i = 0; i < w->n_domains; i++)
		doors[i] = i < DOOR_COUNT ? (enum door)i : draw_door(r);
	qsort(doors, w->n_domains, sizeof(*doors), by_door);
	for (uint32_t i = 0; i < w->n_domains; i++) {
		struct domain *d = &w->domains[i];
		struct crowd *c = &w->of_door[doors[i]];

		if (c->n == 0)
			c->first = i;
		word(WORDS_DOMAINS + i, name);
		d->name = i % 7 == 0 ? keep(w, "%.4s-%s.example", name + 4, name)
				     : keep(w, "%s.example", name);
		d->door = doors[i];
		d->place = c->n++;
		d->scanner = d->place % SCANNERS;
		d->doors_open = (uint8_t)rng_below(r, 8);
	}
	free(doors);
}

/* Few domains have much mail (Zipf). */
static void make_samples(struct world *w, enum door door, struct rng *r)
{
	struct crowd c = w->of_door[door];
	uint32_t *s = need(calloc(SAMPLES, sizeof(*s))), n = 0;
	double sum = 0, total = 0;

	for (uint32_t i = 0; i < c.n; i++)
		total += 1.0 / (i + 10);
	for (uint32_t i = 0; i < c.n; i++) {
		sum += 1.0 / (i + 10);
		while (n < SAMPLES && n <= sum / total * (SAMPLES - 1))
			s[n++] = c.first + i;
	}
	/* That the busiest aren't those of the first scanner makes no difference. */
	while (n < SAMPLES)
		s[n++] = c.first + rng_below(r, c.n);
	w->samples[door] = s;
}

/* ---- clients ---- */

/* Addresses of one crowd differ by these 24 bits; cluster of them share a /24. */
static struct text make_ip(struct world *w, unsigned octet, uint32_t i, uint32_t cluster, bool v6)
{
	uint32_t net = (i / cluster * 40503) & 0xffff, host = 3 + i % cluster * 7;

	if (v6)
		return keep(w, "2001:db8:%x:%x::%x", 0x1000 + (net >> 4), octet,
			    (net & 15) << 8 | host);
	return keep(w, "%u.%u.%u.%u", octet, net >> 8, net & 255, host);
}

static struct crowd add_clients(struct world *w, uint32_t n)
{
	struct crowd c = { w->n_clients, n };

	w->n_clients += n;
	w->clients = need(realloc(w->clients, w->n_clients * sizeof(*w->clients)));
	memset(w->clients + c.first, 0, n * sizeof(*w->clients));
	return c;
}

/* An MX one label deeper than the egress's names: its relays are not below the MX's parent. */
bool world_scanner_has_relays(uint32_t scanner)
{
	return scanner % 20 == 3;
}

static void make_scanners(struct world *w)
{
	w->egress = add_clients(w, SCANNERS * EGRESS);
	w->relays = add_clients(w, SCANNERS * RELAYS);
	for (uint32_t s = 0; s < SCANNERS; s++) {
		const char *in = world_scanner_has_relays(s) ? "in." : "";

		for (uint32_t e = 0; e < EGRESS; e++) {
			struct client *c = &w->clients[w->egress.first + s * EGRESS + e];

			c->v6 = e >= EGRESS - 2;
			c->ip = c->v6 ? keep(w, "2001:db8:5100:%x::%x", s, 0x20 + e)
				      : keep(w, "198.51.%u.%u", 120 + s, 32 + e);
			c->name = c->helo = keep(w, "out%u.%sscanner%02u.example", e, in, s);
			c->tls = true;
		}
		for (uint32_t e = 0; e < RELAYS; e++) {
			struct client *c = &w->clients[w->relays.first + s * RELAYS + e];

			c->ip = keep(w, "198.51.%u.%u", 20 + s, 64 + e);
			c->name = c->helo = keep(w, "relay%u.scanner%02u.example", e, s);
			c->tls = true;
		}
	}
}

static void make_servers(struct world *w, struct rng *r)
{
	static const char *const hosts[] = { "mail", "smtp", "mx", "out1", "mta-07", "server" };
	char name[12];

	w->servers = add_clients(w, 20000);
	for (uint32_t i = 0; i < w->servers.n; i++) {
		struct client *c = &w->clients[w->servers.first + i];

		c->v6 = rng_permille(r, 120);
		c->ip = make_ip(w, 80 + i / 2 % 16, i, 2, c->v6);
		c->name = keep(w, "%s.%s.example", hosts[rng_below(r, 6)],
			       word(WORDS_SERVERS + i, name));
		c->helo = rng_permille(r, 900) ? c->name : keep(w, "%s.example", name);
		c->tls = rng_permille(r, 900);
	}
}

/* What a bot says of itself: nothing that is true. */
static struct text bot_helo(struct world *w, const struct client *c, struct rng *r)
{
	char name[12];

	switch (rng_below(r, 8)) {
	case 0:
		return TEXT("User");
	case 1:
		return TEXT("ylmf-pc");
	case 2:
		return TEXT("localhost");
	case 3:
		return keep(w, "[%s]", c->v6 ? "127.0.0.1" : c->ip.p);
	case 4: /* the recipient's own name */
		return w->domains[rng_below(r, w->n_domains)].name;
	case 5:
		return TEXT("hotmail-like.example");
	default:
		return keep(w, "%s.example", word(WORDS_ISPS + rng_below(r, 90000), name));
	}
}

/* The name of a line that an access provider sold. */
static struct text line_name(struct world *w, const struct client *c, const char *kind,
			     uint32_t isp)
{
	char dashed[64], name[12];

	snprintf(dashed, sizeof(dashed), "%s", c->ip.p);
	for (char *p = dashed; *p; p++)
		if (*p == '.' || *p == ':')
			*p = '-';
	return keep(w, "%s-%s.%s.example", kind, dashed, word(WORDS_ISPS + isp, name));
}

static void make_strangers(struct world *w, struct rng *r)
{
	w->bots = add_clients(w, 50000);
	for (uint32_t i = 0; i < w->bots.n; i++) {
		struct client *c = &w->clients[w->bots.first + i];

		c->v6 = rng_permille(r, 30);
		c->ip = make_ip(w, 101 + i / 4 % 26, i, 4, c->v6);
		if (rng_permille(r, 350))
			c->name = line_name(w, c, "dyn", i / 64);
		else if (rng_permille(r, 250))
			c->name = keep(w, "srv%u.rented%03u.example", i, i / 256);
		c->helo = bot_helo(w, c, r);
		c->tls = rng_permille(r, 300);
	}
	w->users = add_clients(w, 12000);
	for (uint32_t i = 0; i < w->users.n; i++) {
		struct client *c = &w->clients[w->users.first + i];

		c->v6 = rng_permille(r, 200);
		c->ip = make_ip(w, 24 + i % 40, i, 1, c->v6);
		if (rng_permille(r, 600))
			c->name = line_name(w, c, "dsl", i / 256);
		c->helo = i % 2 ? keep(w, "[192.168.%u.%u]", i % 4, 2 + i % 250)
				: keep(w, "DESKTOP-%05X", i * 40503u & 0xfffff);
		c->tls = true;
	}
}

/* Some few with a known purpose: n of them, in one network. */
static struct crowd make_few(struct world *w, uint32_t n, const char *net, const char *name,
			     const char *helo)
{
	struct crowd crowd = add_clients(w, n);

	for (uint32_t i = 0; i < n; i++) {
		struct client *c = &w->clients[crowd.first + i];

		c->ip = keep(w, "%s.%u.%u", net, i / 200, 10 + i % 200);
		c->name = name ? keep(w, "%s%u.few.example", name, i) : TEXT("");
		c->helo = helo ? keep(w, "%s%u", helo, i) : c->name;
	}
	return crowd;
}

static void make_remotes(struct world *w)
{
	char name[12];

	w->n_remotes = 400;
	w->remotes = need(calloc(w->n_remotes, sizeof(*w->remotes)));
	for (uint32_t i = 0; i < w->n_remotes; i++) {
		struct remote *m = &w->remotes[i];

		m->domain = keep(w, "%s.example", word(WORDS_REMOTES + i, name));
		m->mx = keep(w, "mx.%s.example", name);
		m->ip = keep(w, "198.55.%u.%u", i / 200, 10 + i % 200);
	}
}

void world_init(struct world *w, uint32_t n_domains, uint64_t seed)
{
	struct rng r = { seed };

	*w = (struct world) { .n_domains = n_domains };
	make_domains(w, &r);
	for (enum door d = 0; d < DOOR_COUNT; d++)
		make_samples(w, d, &r);
	make_scanners(w);
	make_servers(w, &r);
	make_strangers(w, &r);
	w->devices = make_few(w, 40, "198.54", NULL, "printer");
	w->monitors = make_few(w, 5, "198.56", "monitor", NULL);
	w->customers = make_few(w, 30, "198.53", "smtp-customer", NULL);
	w->webs = make_few(w, w->of_door[DOOR_ELSEWHERE].n, "198.52", "web", NULL);
	w->self = make_few(w, 1, "198.57", NULL, NULL);
	w->clients[w->self.first] = (struct client) { .ip = TEXT("127.0.0.1"),
						      .name = TEXT("localhost"),
						      .helo = TEXT("webmail") };
	make_remotes(w);
}

void world_deinit(struct world *w)
{
	for (struct arena *a = w->arena, *next; a; a = next) {
		next = a->next;
		free(a);
	}
	for (enum door d = 0; d < DOOR_COUNT; d++)
		free(w->samples[d]);
	free(w->domains);
	free(w->clients);
	free(w->remotes);
}

/* ---- DNS ---- */

static void write_mx(FILE *f, const struct domain *d)
{
	const char *in = world_scanner_has_relays(d->scanner) ? "in." : "";

	fprintf(f, "%s. 3600 IN MX 10 mx1.%sscanner%02u.example.\n", d->name.p, in, d->scanner);
	if (d->door == DOOR_BACKUP)
		fprintf(f, "%s. 3600 IN MX 20 " HOST ".\n", d->name.p);
	else
		fprintf(f, "%s. 3600 IN MX 20 mx2.%sscanner%02u.example.\n", d->name.p, in,
			d->scanner);
}

static void write_domain(const struct world *w, const struct domain *d, FILE *f)
{
	static const char *const labels[] = { "", "www.", "mail." };

	switch (d->door) {
	case DOOR_SCANNER:
	case DOOR_BACKUP:
		write_mx(f, d);
		break;
	case DOOR_SELF: /* every third by its address alone */
		if (d->place % 3)
			fprintf(f, "%s. 3600 IN MX 10 " HOST ".\n", d->name.p);
		break;
	case DOOR_ELSEWHERE:
		fprintf(f, "%s. 3600 IN A %s\n", d->name.p,
			w->clients[w->webs.first + d->place].ip.p);
		return;
	case DOOR_NULL:
		fprintf(f, "%s. 3600 IN MX 0 .\n", d->name.p);
		break;
	case DOOR_UNKNOWN:
		fprintf(f, "%s. NXDOMAIN\n", d->name.p);
		return;
	case DOOR_DNS: /* every other is not in the file at all, which means the same */
		if (d->place % 2)
			fprintf(f, "%s. SERVFAIL\n", d->name.p);
		return;
	case DOOR_COUNT:
		return;
	}
	for (unsigned i = 0; i < 3; i++) {
		bool here = d->doors_open >> i & 1;

		if (i == 0 && d->door == DOOR_SELF && d->place % 3 == 0) {
			fprintf(f, "%s. 3600 IN A " SERVER_V4 "\n", d->name.p);
			fprintf(f, "%s. 3600 IN AAAA " SERVER_V6 "\n", d->name.p);
		} else if (here || i < 2) {
			fprintf(f, "%s%s. 3600 IN A %s\n", labels[i], d->name.p,
				here ? SERVER_V4 : "198.52.250.80");
		}
	}
}

/* The name in in-addr.arpa or ip6.arpa; the IPv6 addresses here are all of "a:b:c:d::e". */
static void write_reverse(const struct client *c, FILE *f)
{
	unsigned long part[5] = { 0 };
	unsigned n = c->v6 ? 5 : 4;
	const char *p = c->ip.p;
	char *end;

	for (unsigned i = 0; i < n; i++, p = end + strspn(end, ".:"))
		part[i] = strtoul(p, &end, c->v6 ? 16 : 10);
	if (!c->v6) {
		fprintf(f, "%lu.%lu.%lu.%lu.in-addr.arpa.", part[3], part[2], part[1], part[0]);
		return;
	}
	for (int group = 7; group >= 0; group--) {
		unsigned long v = group == 7 ? part[4] : group < 4 ? part[group] : 0;

		for (int k = 0; k < 4; k++)
			fprintf(f, "%lx.", v >> 4 * k & 15);
	}
	fputs("ip6.arpa.", f);
}

void world_write_doors(const struct world *w, FILE *f)
{
	fprintf(f, HOST ". 3600 IN A " SERVER_V4 "\n" HOST ". 3600 IN AAAA " SERVER_V6 "\n");
	for (uint32_t s = 0; s < SCANNERS; s++)
		for (unsigned k = 1; k <= 2; k++)
			fprintf(f, "mx%u.%sscanner%02u.example. 3600 IN A 198.51.%u.%u\n", k,
				world_scanner_has_relays(s) ? "in." : "", s, 120 + s, k);
	for (uint32_t i = 0; i < w->n_domains; i++)
		write_domain(w, &w->domains[i], f);
	for (uint32_t i = 0; i < w->n_remotes; i++)
		fprintf(f, "%s. 3600 IN MX 10 %s.\n%s. 3600 IN A %s\n", w->remotes[i].domain.p,
			w->remotes[i].mx.p, w->remotes[i].mx.p, w->remotes[i].ip.p);
	for (uint32_t i = 0; i < w->n_clients; i++) {
		const struct client *c = &w->clients[i];

		if (!c->used || c->name.n == 0 || i == w->self.first)
			continue;
		write_reverse(c, f);
		fprintf(f, " 3600 IN PTR %s.\n%s. 3600 IN %s %s\n", c->name.p, c->name.p,
			c->v6 ? "AAAA" : "A", c->ip.p);
	}
}
