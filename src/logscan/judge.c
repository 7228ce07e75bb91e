#include "logscan/judge.h"

#include "base/clock.h"
#include "policy/decide.h"

#include <errno.h>
#include <stdlib.h>

void judge_deinit(struct judge *j)
{
	prefix_set_deinit(&j->servers);
	egress_deinit(&j->egress);
}

bool judge_is_server(const struct judge *j, const struct addr *a)
{
	return j->servers.n > 0 && prefix_set_contains(&j->servers, a);
}

static int add_set(struct prefix_set *to, const struct prefix_set *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->n; i++)
		r = prefix_set_add_range(to, &from->ranges[i]);
	return r;
}

int judge_servers(struct judge *j, const struct book *b)
{
	int r;

	prefix_set_deinit(&j->servers);
	r = add_set(&j->servers, &j->given);
	for (size_t i = 1; r == 0 && i < b->n_servers; i++)
		if (!addr_is_loopback(&b->servers[i]))
			r = prefix_set_add_addr(&j->servers, &b->servers[i]);
	if (r == 0 && j->servers.n == 0)
		r = add_set(&j->servers, &j->here);
	prefix_set_seal(&j->servers);
	return r;
}

/* ---- asking ---- */

struct batch {
	struct doors_question *questions;
	size_t n, alloc;
};

static int batch_add(struct batch *q, const struct doors_question *question)
{
	if (q->n == q->alloc) {
		size_t more = q->alloc ? 2 * q->alloc : 256;
		struct doors_question *grown =
			reallocarray(q->questions, more, sizeof(*q->questions));

		if (!grown)
			return -ENOMEM;
		q->questions = grown;
		q->alloc = more;
	}
	q->questions[q->n++] = *question;
	return 0;
}

static bool on_progress(void *user, size_t done, size_t n)
{
	struct judge *j = user;

	return !j->progress || j->progress(j->user, j->step, done, n);
}

static int batch_ask(struct judge *j, struct batch *q, enum judge_step step)
{
	j->step = step;
	return doors_ask(j->doors, q->questions, q->n, on_progress, j);
}

static int want_domain(struct book *b, struct batch *q, uint32_t row)
{
	struct book_domain *d = &b->domains[row];

	if (d->shape != RCPT_DOMAIN || d->wanted || d->facts)
		return 0;
	d->wanted = true;
	return batch_add(q, &(struct doors_question) {
				    .kind = RESOLVER_DOMAIN, .domain = d->name, .row = row });
}

/* Of what is judged over months: answers live as long as their TTL. */
static void forget_domain(struct book_domain *d, int64_t now)
{
	if (d->facts && d->facts->expires_ms <= now) {
		facts_free(d->facts);
		d->facts = NULL;
		d->door_known = false;
	}
	if (d->names && d->names->expires_ms <= now) {
		facts_free(d->names);
		d->names = NULL;
	}
}

static void forget_expired(struct book *b)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < b->n_flows; i++) {
		const struct flow *f = &b->flows[i];
		const struct book_domain *d = &b->domains[f->domain];
		struct book_client *c;

		if (f->judged || f->kind != FLOW_WORLD)
			continue;
		forget_domain(&b->domains[d->base], now);
		for (unsigned k = 0; k < d->n_routes; k++)
			forget_domain(&b->domains[d->routes[k]], now);
		c = &b->clients[f->client];
		if (c->names && c->names->expires_ms <= now) {
			facts_free(c->names);
			c->names = NULL;
		}
	}
}

/* Doors of all domains that mail from the world came for. */
static int ask_domains(struct judge *j, struct book *b)
{
	struct batch q = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->n_flows; i++) {
		const struct flow *f = &b->flows[i];
		const struct book_domain *d = &b->domains[f->domain];

		if (f->judged || f->kind != FLOW_WORLD)
			continue;
		r = want_domain(b, &q, d->base);
		for (unsigned k = 0; r == 0 && k < d->n_routes; k++)
			r = want_domain(b, &q, d->routes[k]);
	}
	if (r == 0)
		r = batch_ask(j, &q, JUDGE_DOMAINS);
	for (size_t i = 0; i < q.n; i++) {
		struct book_domain *d = &b->domains[q.questions[i].row];

		d->wanted = false;
		d->facts = q.questions[i].answer;
		if (!d->facts)
			d->facts = doors_failed_domain(d->name);
	}
	free(q.questions);
	return r;
}

int judge_clients(struct judge *j, struct book *b, const uint32_t *clients, size_t n)
{
	struct batch q = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct book_client *c = &b->clients[clients[i]];

		if (c->names || c->wanted)
			continue;
		c->wanted = true;
		r = batch_add(&q, &(struct doors_question) { .kind = RESOLVER_CLIENT,
							     .client = c->addr,
							     .row = clients[i] });
	}
	if (r == 0)
		r = batch_ask(j, &q, JUDGE_CLIENTS);
	for (size_t i = 0; i < q.n; i++) {
		static const struct client_names failed = { .status = DNS_FAILED };
		struct book_client *c = &b->clients[q.questions[i].row];

		c->wanted = false;
		c->names = q.questions[i].answer;
		if (!c->names)
			c->names = client_names_copy(&failed);
	}
	free(q.questions);
	return r;
}

int judge_names(struct judge *j, struct book *b)
{
	struct batch q = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->n_domains; i++) {
		const struct book_domain *d = &b->domains[i];

		if (!d->hosted || d->names || d->base != i || d->door == DOOR_SELF ||
		    d->door == DOOR_BACKUP)
			continue;
		r = batch_add(&q, &(struct doors_question) { .kind = RESOLVER_NAMES,
							     .domain = d->name,
							     .row = (uint32_t)i });
	}
	if (r == 0)
		r = batch_ask(j, &q, JUDGE_NAMES);
	for (size_t i = 0; i < q.n; i++)
		b->domains[q.questions[i].row].names = q.questions[i].answer;
	free(q.questions);
	return r;
}

/* ---- facts and verdicts ---- */

struct decide_facts judge_facts(const struct judge *j, const struct book *b, const struct flow *f,
				uint32_t domain)
{
	const struct book_domain *d = &b->domains[domain];
	const struct book_client *c = &b->clients[f->client];

	return (struct decide_facts) {
		.policy = j->policy,
		.memory = j->memory,
		.server_is_ours = true,
		.client = c->addr,
		.server = f->server ? b->servers[f->server] : j->server,
		.interfaces = &j->servers,
		.shape = (enum rcpt_shape)d->shape,
		.domain = d->shape == RCPT_DOMAIN ? d->name : NULL,
		.dns = d->facts,
		.names = c->names,
		.confirm_tried = true,
		.now_ms = clock_mono_ms(),
		.source = egress_find,
		.user = (void *)(uintptr_t)&j->egress,
	};
}

static uint32_t keep(struct book *b, const char *text)
{
	return text[0] ? book_intern(b, sv_from(text)) : 0;
}

static void note_domain(struct judge *j, struct book *b, uint32_t domain,
			const struct decide_facts *f, const struct decision *d)
{
	struct book_domain *row = &b->domains[domain];

	if (!d->door_known || row->door_known)
		return;
	row->door_known = true;
	row->door = (uint8_t)d->door;
	row->grade = (uint8_t)d->grade;
	row->scanner = keep(b, d->scanner);
	row->mx = keep(b, d->mx);
	decide_remember_door(f, d, j->memory);
}

static enum mail_class class_of(enum reason reason)
{
	switch (reason) {
	case REASON_AUTHENTICATED:
		return CLASS_AUTHENTICATED;
	case REASON_TRUSTED:
	case REASON_ALLOWED:
		return CLASS_TRUSTED;
	case REASON_POSTMASTER:
	case REASON_SELF:
	case REASON_IMPLICIT_MX:
		return CLASS_SELF;
	case REASON_NOT_HOSTED:
		return CLASS_NOT_HOSTED;
	case REASON_BACKUP:
		return CLASS_BACKUP;
	case REASON_INGRESS:
	case REASON_EGRESS:
	case REASON_SHARED_EGRESS:
	case REASON_PTR:
	case REASON_GRACE:
		return CLASS_SCANNER;
	case REASON_ADDRESS:
	case REASON_NOT_ADDRESS:
		return CLASS_ELSEWHERE;
	case REASON_NOT_EGRESS:
	case REASON_RETRIED:
	case REASON_BACKUP_CLOSED:
		return CLASS_DIRECT;
	case REASON_NULL_MX:
		return CLASS_NULL;
	case REASON_DNS_FAILURE:
	case REASON_PTR_FAILURE:
		return CLASS_DNS;
	case REASON_UNKNOWN_DOMAIN:
	case REASON_LITERAL:
	case REASON_AUTH_REQUIRED: /* a listener's rule: no log tells of one */
	case REASON_COUNT:
		break;
	}
	return CLASS_UNKNOWN;
}

static void set_class(struct flow *f, enum mail_class c, enum finding finding, enum reason reason)
{
	f->judged = true;
	f->class = (uint8_t)c;
	f->finding = (uint8_t)finding;
	f->reason = (uint8_t)reason;
}

/* Flows that need no door. */
static bool judge_simple(const struct judge *j, const struct book *b, struct flow *f)
{
	switch ((enum flow_kind)f->kind) {
	case FLOW_AUTHENTICATED:
		set_class(f, CLASS_AUTHENTICATED, FINDING_PASS, REASON_AUTHENTICATED);
		return true;
	case FLOW_LOCAL:
		set_class(f, CLASS_LOCAL, FINDING_COUNT, REASON_COUNT);
		return true;
	case FLOW_REFUSED:
		set_class(f, CLASS_REFUSED, FINDING_COUNT, REASON_COUNT);
		return true;
	case FLOW_WORLD:
		break;
	}
	const struct addr *client = &b->clients[f->client].addr;

	/* Such connections never pass by frontdoor. */
	if (!addr_is_loopback(client) && !judge_is_server(j, client))
		return false;
	set_class(f, CLASS_LOCAL, FINDING_COUNT, REASON_COUNT);
	return true;
}

/* The strictest of the verdicts by each domain that the recipient names. 0, or enum decide_outcome.
 */
static int judge_flow(struct judge *j, struct book *b, struct flow *f)
{
	const struct book_domain *row = &b->domains[f->domain];
	struct decision strictest = { .action = ACTION_UNSET };
	unsigned n = 1u + row->n_routes;
	uint32_t base = row->base, at = f->domain;

	for (unsigned i = 0; i < n; i++) {
		uint32_t domain = i ? b->domains[f->domain].routes[i - 1] : base;
		struct decide_facts facts = judge_facts(j, b, f, domain);
		struct decision d;
		int r = decide(&facts, &d);

		if (r == DECIDE_NEEDS_SOURCE)
			memcpy(j->wanted_source, d.wanted_source, sizeof(j->wanted_source));
		if (r != DECIDE_DONE)
			return r;
		note_domain(j, b, domain, &facts, &d);
		if (i == 0)
			f->inside = d.own_front_door && d.door == DOOR_SCANNER;
		if (i == 0 || decision_stricter(&strictest, &d) == &d) {
			strictest = d;
			at = domain;
		}
	}
	set_class(f, class_of(strictest.reason), strictest.finding, strictest.reason);
	f->scanner = keep(b, strictest.scanner);
	f->verdict_domain = at;
	return DECIDE_DONE;
}

/* ---- what is at home here ---- */

static bool relayed_to_its_mx(const struct book_domain *d)
{
	for (unsigned i = 0; d->facts && i < d->facts->n_hosts; i++)
		for (unsigned k = 0; k < d->facts->hosts[i].n_addrs; k++)
			for (unsigned h = 0; h < d->n_hops; h++)
				if (addr_eq(&d->facts->hosts[i].addrs[k], &d->hops[h]))
					return true;
	return false;
}

/*
 * A mail server takes mail from strangers for its own domains only; but the clients that it relays
 * for are strangers in its log. Mail that went on to the domain's own MX, or to another public
 * host, was relayed, unless the domain's own front door delivers here.
 */
static bool is_hosted(const struct judge *j, const struct book_domain *d)
{
	if (d->evidence & (HOSTED_FILE | HOSTED_OWN_DOOR))
		return true;
	if (j->hosted_given)
		return false;
	if (d->evidence & HOSTED_LOCAL)
		return true;
	if (d->evidence & HOSTED_INNER)
		return !relayed_to_its_mx(d);
	return (d->evidence & HOSTED_WORLD) && !(d->evidence & HOSTED_REMOTE);
}

static int find_own_doors_round(struct judge *j, struct book *b)
{
	for (size_t i = 0; i < b->n_flows; i++) {
		const struct flow *f = &b->flows[i];
		struct book_domain *row;
		struct decide_facts facts;
		struct decision d;
		int r;

		__builtin_prefetch(book_client_ahead(b, i));
		if (f->judged || f->kind != FLOW_WORLD)
			continue;
		row = &b->domains[b->domains[f->domain].base];
		if (row->shape != RCPT_DOMAIN || row->hosted || is_hosted(j, row))
			continue; /* nothing depends on it */
		facts = judge_facts(j, b, f, b->domains[f->domain].base);
		r = decide(&facts, &d);
		if (r == DECIDE_DONE && d.own_front_door)
			row->evidence |= HOSTED_OWN_DOOR;
		else if (r == DECIDE_NEEDS_SOURCE)
			r = egress_want(&j->egress, d.wanted_source);
		if (r < 0)
			return r;
	}
	return 0;
}

/* 0; 1: stopped; -errno. */
static int ask_sources(struct judge *j)
{
	const struct catalogue *shipped = j->policy->catalogue;

	j->step = JUDGE_SOURCES;
	return egress_ask(&j->egress, j->doors, shipped, on_progress, j);
}

/* Doors through which nobody came in need no sources, so all that are wanted here are of use. */
static int find_own_doors(struct judge *j, struct book *b)
{
	int r, stopped = 0;

	do {
		r = find_own_doors_round(j, b);
		if (r == 0 && egress_wants(&j->egress))
			r = ask_sources(j);
		else
			break;
		stopped = r > 0 ? r : stopped;
	} while (r >= 0);
	return r < 0 ? r : stopped;
}

static int find_hosted(struct judge *j, struct book *b)
{
	for (size_t i = 0; i < b->n_domains; i++) {
		struct book_domain *d = &b->domains[i];
		int r;

		if (d->shape != RCPT_DOMAIN || d->base != i || d->hosted)
			continue;
		if (memory_is_hosted(j->memory, d->name) ||
		    map_get(&j->policy->domains, sv_from(d->name)))
			d->evidence |= HOSTED_FILE;
		d->hosted = is_hosted(j, d);
		if (!d->hosted)
			continue;
		/* what was said of it before holds no more */
		d->door_known = false;
		r = memory_hosted_add(j->memory, sv_from(d->name));
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- all ---- */

struct wanted {
	uint32_t *clients;
	size_t n, alloc;
};

static int want_client(struct wanted *w, uint32_t client)
{
	if (w->n == w->alloc) {
		size_t more = w->alloc ? 2 * w->alloc : 1024;
		uint32_t *grown = reallocarray(w->clients, more, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		w->clients = grown;
		w->alloc = more;
	}
	w->clients[w->n++] = client;
	return 0;
}

/* 0, or -errno; wanted gets the clients whose names are needed for it, j->egress the sources. */
static int judge_round(struct judge *j, struct book *b, struct wanted *w)
{
	for (size_t i = 0; i < b->n_flows; i++) {
		struct flow *f = &b->flows[i];
		int r;

		__builtin_prefetch(book_client_ahead(b, i));
		if (f->judged)
			continue;
		r = judge_flow(j, b, f);
		if (r == DECIDE_DONE)
			continue;
		if (r == DECIDE_NEEDS_CLIENT && !b->clients[f->client].names)
			r = want_client(w, f->client);
		else if (r == DECIDE_NEEDS_SOURCE)
			r = egress_want(&j->egress, j->wanted_source);
		else
			r = -ENOMEM; /* all else was asked for: it could not be kept */
		if (r < 0)
			return r;
	}
	return 0;
}

/* Until every flow has its verdict: each round tells what is needed next. 0; 1: stopped; -errno. */
static int judge_rounds(struct judge *j, struct book *b)
{
	struct wanted w = { 0 };
	int stopped = 0, r;

	for (;;) {
		w.n = 0;
		r = judge_round(j, b, &w);
		if (r < 0 || (w.n == 0 && !egress_wants(&j->egress)))
			break;
		r = w.n > 0 ? judge_clients(j, b, w.clients, w.n) : 0;
		stopped = r > 0 ? r : stopped;
		if (r >= 0)
			r = ask_sources(j);
		stopped = r > 0 ? r : stopped;
		if (r < 0)
			break;
	}
	free(w.clients);
	return r < 0 ? r : stopped;
}

int judge_flows(struct judge *j, struct book *b)
{
	int stopped, r;

	book_flush(b);
	for (size_t i = 0; i < b->n_flows; i++)
		if (!b->flows[i].judged)
			(void)judge_simple(j, b, &b->flows[i]);
	if (j->live) {
		forget_expired(b);
		egress_forget(&j->egress);
	}
	j->egress.rounds = 0;
	r = stopped = ask_domains(j, b);
	if (r < 0)
		return r;
	r = find_own_doors(j, b);
	stopped = r > 0 ? r : stopped;
	if (r >= 0)
		r = find_hosted(j, b);
	if (r >= 0)
		r = judge_rounds(j, b);
	return r != 0 ? r : stopped;
}

void judge_write_doors(const struct judge *j, const struct book *b, FILE *out)
{
	for (size_t i = 0; i < b->n_domains; i++) {
		const struct book_domain *d = &b->domains[i];

		doors_write(out, &(struct doors_question) { .kind = RESOLVER_DOMAIN,
							    .domain = d->name,
							    .answer = d->facts });
		doors_write(out, &(struct doors_question) { .kind = RESOLVER_NAMES,
							    .domain = d->name,
							    .answer = d->names });
	}
	for (size_t i = 0; i < b->n_clients; i++)
		doors_write(out, &(struct doors_question) { .kind = RESOLVER_CLIENT,
							    .client = b->clients[i].addr,
							    .answer = b->clients[i].names });
	egress_write(&j->egress, out);
}
