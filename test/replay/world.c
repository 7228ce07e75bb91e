#include "world.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static void step(struct judgement *j);

void world_set_time(struct world *w, int64_t now_ms)
{
	w->now_ms = now_ms;
	clock_fake(now_ms, WORLD_WALL_MS + now_ms - WORLD_START_MS);
}

void world_init(struct world *w)
{
	*w = (struct world) { .policy = { .action = ACTION_REJECT,
					  .guessed_action = ACTION_OBSERVE,
					  .on_dns_failure = ACTION_DEFER,
					  .on_unknown_domain = ACTION_PASS,
					  .stale_max_ms = 7 * 86400 * 1000LL,
					  .help_url = "",
					  .prove = { 20, 24, 0.1 },
					  .scanners = w->scanners } };
	prefix_set_init(&w->policy.trusted);
	prefix_set_init(&w->policy.server_addresses);
	map_init(&w->policy.domains);
	INVARIANT(memory_new(&w->memory) == 0 && proof_new(&w->proof) == 0 &&
		  proof_recent_new(&w->recent) == 0);
	INVARIANT(addr_parse(SV("203.0.113.25"), &w->server) == 0);
	w->faded_ms = WORLD_START_MS;
	world_set_time(w, WORLD_START_MS);
}

void world_deinit(struct world *w)
{
	for (struct world_domain *d; (d = w->domains);) {
		w->domains = d->next;
		facts_free(d->facts);
		free(d);
	}
	for (struct world_names *n; (n = w->names);) {
		w->names = n->next;
		free(n);
	}
	for (struct world_source *e; (e = w->sources);) {
		w->sources = e->next;
		prefix_set_deinit(&e->source.set);
		free(e);
	}
	for (struct judgement *j; (j = w->judgements);) {
		w->judgements = j->next;
		facts_free(j->confirmed);
		facts_free(j->names);
		free(j);
	}
	for (size_t i = 0; i < w->policy.n_scanners; i++)
		scanner_deinit(&w->scanners[i]);
	prefix_set_deinit(&w->policy.trusted);
	prefix_set_deinit(&w->policy.server_addresses);
	map_deinit(&w->policy.domains, domain_policy_free);
	proof_free(w->proof);
	proof_recent_free(w->recent);
	memory_free(w->memory);
	clock_fake(-1, -1);
}

/* ---- DNS ---- */

static struct world_domain *find_domain(struct world *w, const char *name)
{
	for (struct world_domain *d = w->domains; d; d = d->next)
		if (strcmp(d->name, name) == 0)
			return d;
	w->missing = name;
	return NULL;
}

static const struct world_names *find_names(const struct world *w)
{
	for (const struct world_names *n = w->names; n; n = n->next)
		if (addr_eq(&n->client, &w->client))
			return n;
	return NULL;
}

/* What is said later of a source replaces what was; NULL: it does not exist. */
static struct world_source *find_source(const struct world *w, const char *key)
{
	for (struct world_source *e = w->sources; e; e = e->next)
		if (strcmp(e->key, key) == 0)
			return e;
	return NULL;
}

static const struct egress_source *known_source(void *user, const char *key)
{
	static struct egress_source none = { .status = SOURCE_NONE };
	const struct world_source *e = find_source(((struct judgement *)user)->world, key);

	if (!e)
		none.key = key;
	return !e ? &none : e->answered ? &e->source : NULL;
}

/* What the domain said before, to whoever asked then. */
static void add_former(const struct world *w, const struct world_domain *d,
		       struct domain_facts *facts)
{
	for (const struct world_domain *was = d->next; was; was = was->next) {
		if (strcmp(was->name, d->name) != 0)
			continue;
		if (was->facts && was->facts->expires_ms > w->now_ms) {
			facts->former_until_ms = was->facts->expires_ms;
			facts->former_kind = was->facts->kind;
			facts->n_former = was->facts->n_hosts;
			facts->former = was->facts->hosts;
		}
		return;
	}
}

static struct domain_facts *make_facts(const struct world *w, struct world_domain *d,
				       bool confirmed)
{
	struct domain_facts facts = { .kind = d->kind,
				      .nxdomain = d->kind == FACTS_NOTHING,
				      .fetched_ms = w->now_ms,
				      .expires_ms = w->now_ms + 3600 * 1000,
				      .confirmed_ms = confirmed ? w->now_ms : -1,
				      .ttl = 3600,
				      .n_hosts = (uint16_t)d->n_hosts,
				      .domain = d->name,
				      .hosts = d->hosts };

	for (int i = 0; i < d->n_hosts; i++)
		d->hosts[i].name = d->hosts[i].canonical = d->host_names[i];
	add_former(w, d, &facts);
	struct domain_facts *copy = facts_copy(&facts);
	INVARIANT(copy);
	return copy;
}

static void answer_domain(struct judgement *j, bool confirm)
{
	struct world_domain *d = find_domain(j->world, j->domain);

	/* what is not in the script does not exist; the script is told */
	struct world_domain none = { .kind = FACTS_NOTHING };
	struct domain_facts *facts =
		make_facts(j->world, d ? d : &none, confirm && d && d->confirmable);
	if (confirm || !d || d->kind == FACTS_FAILED) {
		facts_free(j->confirmed);
		j->confirmed = facts;
	} else if (d->facts) {
		facts_free(facts);
	} else {
		d->facts = facts;
	}
	j->confirm_tried |= confirm;
}

static void answer_client(struct judgement *j)
{
	const struct world_names *n = find_names(j->world);
	struct client_names names = { .status = n ? n->failed ? DNS_FAILED : DNS_OK : DNS_NXDOMAIN,
				      .expires_ms = j->world->now_ms + 3600 * 1000,
				      .n = n ? (uint16_t)n->n : 0,
				      .names = n ? n->names : NULL };

	facts_free(j->names);
	j->names = client_names_copy(&names);
	INVARIANT(j->names);
}

static int64_t delay_of(struct judgement *j, int needs)
{
	if (needs == DECIDE_NEEDS_CLIENT) {
		const struct world_names *n = find_names(j->world);
		return n ? n->delay_ms : 0;
	}
	if (needs == DECIDE_NEEDS_SOURCE)
		return find_source(j->world, j->decision.wanted_source)->delay_ms;
	const struct world_domain *d = find_domain(j->world, j->domain);
	return d ? d->delay_ms : 0;
}

static struct judgement *next_judgement(const struct world *w)
{
	struct judgement *first = NULL;

	for (struct judgement *j = w->judgements; j; j = j->next)
		if (j->rcpt && j->asked && (!first || j->due_ms < first->due_ms))
			first = j;
	return first;
}

int64_t world_next_answer(const struct world *w)
{
	const struct judgement *j = next_judgement(w);

	return j ? j->due_ms : -1;
}

static void take_answer(struct judgement *j)
{
	if (j->asked == DECIDE_NEEDS_CLIENT)
		answer_client(j);
	else if (j->asked == DECIDE_NEEDS_SOURCE)
		find_source(j->world, j->decision.wanted_source)->answered = true;
	else
		answer_domain(j, j->asked == DECIDE_NEEDS_CONFIRM);
	j->asked = 0;
}

void world_answer(struct world *w)
{
	struct judgement *j = next_judgement(w);

	take_answer(j);
	step(j);
}

/* ---- the judge ---- */

static void gather(struct judgement *j, struct decide_facts *f)
{
	struct world *w = j->world;
	struct world_domain *d = j->shape == RCPT_DOMAIN ? find_domain(w, j->domain) : NULL;

	*f = (struct decide_facts) { .policy = &w->policy,
				     .memory = w->memory,
				     .authenticated = j->rcpt && j->rcpt->owner->d.authenticated,
				     .server_is_ours = true,
				     .client = w->client,
				     .server = w->server,
				     .shape = j->shape,
				     .domain = j->shape == RCPT_DOMAIN ? j->domain : NULL,
				     .dns = j->confirmed ? j->confirmed
					    : d          ? d->facts
							 : NULL,
				     .names = j->names,
				     .confirm_tried = j->confirm_tried,
				     .now_ms = clock_mono_ms(),
				     .source = known_source,
				     .user = j };
}

static void tell(struct judgement *j)
{
	const struct decision *d = &j->decision;
	struct dialog_verdict v = { .kind = DIALOG_PASS };
	char text[512];

	if (d->code != 0) {
		v.kind = d->action == ACTION_TARPIT && d->code >= 500 ? DIALOG_DRIP : DIALOG_REFUSE;
		v.reply = (struct sv) { text, decision_reply(d, &j->world->policy, j->domain,
							     &j->world->server, OWNER_ID, text) };
	} else if (d->action == ACTION_TAG) {
		v.kind = DIALOG_TAG;
		v.shared = d->reason == REASON_SHARED_EGRESS;
		v.domain = sv_from(j->domain);
		v.mx = sv_from(d->mx[0] ? d->mx : "-");
	}
	owner_verdict(j->rcpt, &v);
}

static void step(struct judgement *j)
{
	struct decide_facts f;

	for (;;) {
		gather(j, &f);
		j->asked = decide(&f, &j->decision);
		if (j->asked == DECIDE_DONE)
			break;
		j->due_ms = j->world->now_ms + delay_of(j, j->asked);
		if (j->due_ms > j->world->now_ms)
			return;
		take_answer(j);
	}
	j->decided = true;
	tell(j);
}

void world_judge(struct owner *o, struct owner_rcpt *r, const struct smtp_path *path)
{
	struct world *w = o->user;
	struct judgement *j = calloc(1, sizeof(*j));

	INVARIANT(j);
	j->world = w;
	j->rcpt = r;
	j->next = w->judgements;
	w->judgements = j;
	r->user = j;
	j->shape = path->kind == PATH_POSTMASTER ? RCPT_POSTMASTER
		   : path->kind == PATH_MAILBOX  ? RCPT_DOMAIN
						 : RCPT_NO_DOMAIN;
	if (j->shape == RCPT_DOMAIN)
		INVARIANT(domain_to_ascii((struct sv) { path->domain, path->domain_len },
					  j->domain) == 0);
	step(j);
}

/* ---- learning, as proxy/judge.c and proxy/prover.c do it ---- */

static void count(struct world *w, struct proof_mail *m, bool accepted)
{
	m->messages = 1;
	m->first_ms = m->last_ms = clock_wall_ms();
	if (accepted)
		INVARIANT(proof_add(w->proof, m) >= 0);
	INVARIANT(proof_recent_add(w->recent, m, w->proof) >= 0);
}

static void learn(struct judgement *j, bool accepted)
{
	struct world *w = j->world;
	const struct decision *d = &j->decision;
	char name[DECISION_NAME_MAX];
	struct decide_facts f;
	int host = -1;

	gather(j, &f);
	struct proof_mail m = { .scanner = d->scanner,
				.domain = j->domain,
				.client = f.client,
				.inside = true,
				.names = f.names };

	if (accepted && d->own_front_door) {
		INVARIANT(memory_hosted_add(w->memory, sv_from(j->domain)) >= 0);
		if (d->scanner[0])
			memory_scanner_heard(w->memory, d->scanner, w->now_ms);
	}
	if (d->own_front_door && d->door == DOOR_SCANNER)
		count(w, &m, accepted);
	if (d->finding != FINDING_DIRECT || d->door != DOOR_SCANNER || !f.dns)
		return;
	m.scanner = name;
	m.inside = false;
	while (door_next_scanner(&f, &host, name)) {
		m.mx_host = f.dns->hosts[host].name;
		count(w, &m, accepted);
	}
}

void world_prove(struct world *w)
{
	int64_t wall = clock_wall_ms();
	struct proof_summary sum;

	for (; w->now_ms - w->faded_ms >= RECENT_FADE_MS; w->faded_ms += RECENT_FADE_MS)
		proof_recent_fade(w->recent);
	INVARIANT(proof_recent_judge(w->recent, &w->policy.prove, wall, w->proof) >= 0);
	INVARIANT(proof_apply(w->proof, &w->policy.prove, wall, w->now_ms, w->memory, &sum) == 0);
}

int world_deliver(struct world *w, const struct addr *client, const char *domain,
		  struct decision *ret_decision)
{
	struct addr was = w->client;
	struct judgement j = { .world = w, .shape = RCPT_DOMAIN };
	struct decide_facts f;

	snprintf(j.domain, sizeof(j.domain), "%s", domain);
	w->client = *client;
	for (;;) {
		gather(&j, &f);
		j.asked = decide(&f, &j.decision);
		if (j.asked == DECIDE_DONE)
			break;
		take_answer(&j);
	}
	learn(&j, j.decision.code == 0);
	w->client = was;
	facts_free(j.confirmed);
	facts_free(j.names);
	*ret_decision = j.decision;
	return j.decision.code ? j.decision.code : 250;
}

/* What an accepted message teaches, or one that was offered. */
void world_ended(struct owner *o, struct owner_rcpt *r)
{
	struct judgement *j = r->user;

	j->rcpt = NULL;
	if (!j->decided || j->shape != RCPT_DOMAIN)
		return;
	learn(j, r->code >= 200 && r->code < 300);
	world_prove(j->world);
}
