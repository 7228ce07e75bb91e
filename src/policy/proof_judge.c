/* What the counts of policy/proof.h amount to. */
#include "policy/memory.h"
#include "policy/proof_private.h"

#include <errno.h>
#include <stdlib.h>

#define HOUR_MS (3600 * 1000LL)

/* ---- rivals ---- */

/* One domain's word about a network. */
struct claim {
	const struct network_proof *network;
	double share;
	bool heavy; /* over proof_conf.rival */
};

struct claims {
	struct claim *all;
	size_t n, alloc;
};

static int claims_add(struct claims *c, const struct claim *claim)
{
	if (c->n == c->alloc) {
		size_t alloc = c->alloc ? c->alloc * 2 : 64;
		struct claim *grown = reallocarray(c->all, alloc, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		c->all = grown;
		c->alloc = alloc;
	}
	c->all[c->n++] = *claim;
	return 0;
}

/* A related network is of interest wherever it was seen: it is related then in all domains. */
static int claims_of_domain(struct claims *c, const struct domain_proof *d,
			    const struct egress_proof *e, double rival, uint64_t least)
{
	double all = (double)(d->inside + d->outside);
	bool accepted;
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->n; i++) {
		const struct network_proof *n = &d->networks[i];
		struct claim claim = { .network = n, .share = (double)n->messages / all };
		double certain = (double)(n->messages - n->error) / all;
		struct prefix network = proof_network_of(&n->network);

		if (egress_is_settled(e, &network, &accepted))
			continue;
		claim.heavy = claim.share > rival && certain > rival / 2 &&
			      n->messages - n->error >= least;
		if (claim.heavy || n->related)
			r = claims_add(c, &claim);
	}
	return r;
}

static int by_network(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	return addr_cmp(&x->network->network, &y->network->network);
}

static int by_weight(const void *a, const void *b)
{
	const struct proof_rival *x = a, *y = b;

	if (x->related != y->related)
		return x->related ? -1 : 1;
	if (x->domains != y->domains)
		return x->domains > y->domains ? -1 : 1;
	return addr_cmp(&x->network.addr, &y->network.addr);
}

/* n claims about one network. false: it is no rival. */
static bool rival_of_claims(const struct claim *c, size_t n, size_t n_domains,
			    struct proof_rival *ret_rival)
{
	struct proof_rival r = { .network = proof_network_of(&c->network->network) };

	for (size_t i = 0; i < n; i++) {
		const struct network_proof *network = c[i].network;

		if (!r.ptr_domain || (network->related && !r.related))
			r.ptr_domain = network->ptr_domain;
		r.related = r.related || network->related;
		r.domains += c[i].heavy;
		if (c[i].heavy)
			r.share += c[i].share;
	}
	size_t least = r.related ? min_size(PROOF_RIVAL_DOMAINS, n_domains) : PROOF_RIVAL_DOMAINS;

	if (r.domains < least)
		return false;
	r.share /= r.domains;
	*ret_rival = r;
	return true;
}

static int gather_rivals(struct claims *c, size_t n_domains, struct proof_state *state)
{
	if (c->n == 0)
		return 0;
	qsort(c->all, c->n, sizeof(*c->all), by_network);
	state->rivals = calloc(c->n, sizeof(*state->rivals));
	if (!state->rivals)
		return -ENOMEM;
	for (size_t at = 0, next; at < c->n; at = next) {
		next = at + 1;
		while (next < c->n && by_network(&c->all[at], &c->all[next]) == 0)
			next++;
		state->n_rivals += rival_of_claims(c->all + at, next - at, n_domains,
						   &state->rivals[state->n_rivals]);
	}
	qsort(state->rivals, state->n_rivals, sizeof(*state->rivals), by_weight);
	return 0;
}

int find_rivals(const struct scanner_proof *s, const struct egress_proof *e, double rival,
		uint64_t least, struct proof_state *state)
{
	const struct map_entry *entry = NULL;
	struct claims claims = { 0 };
	int r = 0;

	while (r == 0 && (entry = map_next(&s->domains, entry)))
		r = claims_of_domain(&claims, entry->value, e, rival, least);
	if (r == 0)
		r = gather_rivals(&claims, s->domains.n, state);
	free(claims.all);
	return r;
}

/* Those that were found by what they offered of late. */
static int add_held(const struct egress_proof *e, int64_t now_ms, struct proof_state *state)
{
	struct proof_rival *grown;
	bool accepted;

	if (!e || e->n_held == 0)
		return 0;
	grown = reallocarray(state->rivals, state->n_rivals + e->n_held, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	state->rivals = grown;
	for (unsigned i = 0; i < e->n_held; i++) {
		const struct held_rival *h = &e->held[i];
		size_t k = 0;

		if (now_ms - h->last_ms > PROOF_HOLD_MS ||
		    egress_is_settled(e, &h->network, &accepted))
			continue;
		while (k < state->n_rivals &&
		       !addr_eq(&state->rivals[k].network.addr, &h->network.addr))
			k++;
		if (k < state->n_rivals)
			continue;
		state->rivals[state->n_rivals++] = (struct proof_rival) {
			.network = h->network,
			.share = h->share,
			.domains = h->domains,
			.related = h->related,
			.ptr_domain = h->ptr_domain,
			.held = true,
		};
	}
	qsort(state->rivals, state->n_rivals, sizeof(*state->rivals), by_weight);
	return 0;
}

/* ---- the share from inside ---- */

/* What came from inside and from named clients, with what the operator knows better. */
static void count_settled(const struct domain_proof *d, const struct egress_proof *e,
			  uint64_t *ret_inside, uint64_t *ret_confirmed)
{
	uint64_t inside = d->inside, confirmed = d->confirmed;
	bool accepted;

	for (size_t i = 0; e && e->n_settled > 0 && i < d->n; i++) {
		struct prefix network = proof_network_of(&d->networks[i].network);

		if (!egress_is_settled(e, &network, &accepted))
			continue;
		confirmed -= min_size(confirmed, d->networks[i].messages);
		inside += accepted ? d->networks[i].messages : 0;
	}
	*ret_inside = inside;
	*ret_confirmed = confirmed;
}

static void find_share(const struct scanner_proof *s, const struct egress_proof *egress,
		       int64_t now_ms, struct proof_state *state)
{
	const struct map_entry *e = NULL;
	double sum = 0;

	while ((e = map_next(&s->domains, e))) {
		const struct domain_proof *d = e->value;
		uint64_t inside, confirmed;

		count_settled(d, egress, &inside, &confirmed);
		uint64_t all = inside + confirmed;
		double share = all > 0 ? (double)inside / (double)all : 0;

		if (all == 0)
			continue;
		if (share < 0.5 && d->first_ms > now_ms - PROOF_NEW_MS &&
		    d->first_ms > s->first_ms + PROOF_DECIDE_MS) {
			state->new_domains++;
			continue;
		}
		sum += share;
		state->domains++;
	}
	if (state->domains > 0)
		state->share = sum / (double)state->domains;
}

/* ---- outcome ---- */

static unsigned find_lacks(const struct proof_conf *conf, const struct proof_state *state)
{
	unsigned lacks = 0;

	if (state->inside < (uint64_t)conf->mails)
		lacks |= PROOF_LACKS_MAILS;
	if (state->inside == 0 || state->last_ms - state->first_ms < conf->hours * HOUR_MS)
		lacks |= PROOF_LACKS_HOURS;
	if (state->domains == 0 || state->share < 0.5)
		lacks |= PROOF_LACKS_SHARE;
	return lacks;
}

/* One that is known by nothing but a name in the scanner's domain is taken care with, but tells of
 * no egress that carries mail. */
static bool has_related_rival(const struct scanner_proof *s, const struct proof_state *state)
{
	size_t least = min_size(PROOF_RIVAL_DOMAINS, s->domains.n);

	for (size_t i = 0; i < state->n_rivals && state->rivals[i].related; i++)
		if (state->rivals[i].domains > 0 && state->rivals[i].domains >= least)
			return true;
	return false;
}

static int judge(const struct proof *p, struct sv name, const struct scanner_proof *s,
		 const struct proof_conf *conf, int64_t now_ms, struct proof_state *ret_state)
{
	const struct egress_proof *egress = egress_proof_of(p, name);
	struct proof_state state = { .inside = s->inside,
				     .first_ms = s->inside_first_ms,
				     .last_ms = s->inside_last_ms,
				     .since_ms = s->first_ms };
	int r = find_rivals(s, egress, conf->rival, 0, &state);

	if (r == 0)
		r = add_held(egress, now_ms, &state);
	if (r < 0) {
		proof_state_deinit(&state);
		return r;
	}
	find_share(s, egress, now_ms, &state);
	state.lacks = find_lacks(conf, &state);
	state.outcome = state.lacks ? PROOF_WANTING : PROOF_PROVEN;
	if (has_related_rival(s, &state))
		state.outcome = PROOF_RIVAL;
	state.ask_operator =
		state.outcome != PROOF_PROVEN && now_ms - s->first_ms >= PROOF_DECIDE_MS;
	*ret_state = state;
	return 0;
}

int proof_judge(const struct proof *p, const char *scanner, const struct proof_conf *conf,
		int64_t now_ms, struct proof_state *ret_state)
{
	struct sv name = sv_from(scanner);
	const struct scanner_proof *s = map_get(&p->scanners, name);

	return s ? judge(p, name, s, conf, now_ms, ret_state) : -ENOENT;
}

void proof_state_deinit(struct proof_state *s)
{
	free(s->rivals);
	*s = (struct proof_state) { 0 };
}

/* ---- telling memory ---- */

static void summarize(const struct proof_state *state, struct proof_summary *sum)
{
	sum->proven += state->outcome == PROOF_PROVEN;
	sum->wanting += state->outcome == PROOF_WANTING;
	sum->rival += state->outcome == PROOF_RIVAL;
	sum->ask_operator += state->ask_operator;
	for (size_t i = 0; i < state->n_rivals; i++)
		sum->unrelated += !state->rivals[i].related;
}

static int tell(struct memory *memory, const char *scanner, const struct proof_state *state)
{
	static const enum scanner_standing proofs[] = { [PROOF_PROVEN] = SCANNER_PROVEN,
							[PROOF_WANTING] = SCANNER_UNPROVEN,
							[PROOF_RIVAL] = SCANNER_GROWN };
	struct prefix_set rivals;
	int r = 0;

	prefix_set_init(&rivals);
	for (size_t i = 0; r == 0 && i < state->n_rivals; i++)
		r = prefix_set_add(&rivals, &state->rivals[i].network);
	prefix_set_seal(&rivals);
	if (r == 0)
		r = memory_scanner_set_proven(memory, scanner, proofs[state->outcome], &rivals);
	prefix_set_deinit(&rivals);
	return r;
}

static int tell_settled(struct memory *memory, const char *scanner, const struct egress_proof *e)
{
	struct prefix_set sets[2];
	int r = 0;

	prefix_set_init(&sets[0]);
	prefix_set_init(&sets[1]);
	for (unsigned i = 0; r == 0 && i < e->n_settled; i++)
		r = prefix_set_add(&sets[e->settled[i].accepted], &e->settled[i].network);
	prefix_set_seal(&sets[0]);
	prefix_set_seal(&sets[1]);
	if (r == 0)
		r = memory_scanner_set_settled(memory, scanner, &sets[1], &sets[0]);
	prefix_set_deinit(&sets[0]);
	prefix_set_deinit(&sets[1]);
	return r;
}

static int apply_settled(const struct proof *p, struct memory *memory)
{
	const struct map_entry *e = NULL;
	char name[PROOF_NAME_MAX];
	int r = 0;

	while (r == 0 && (e = map_next(&p->egress, e))) {
		copy_key(e, name);
		r = tell_settled(memory, name, e->value);
	}
	return r;
}

int proof_apply_telling(const struct proof *p, const struct proof_conf *conf, int64_t now_wall_ms,
			int64_t now_mono_ms, struct memory *memory,
			const struct proof_listener *listener, struct proof_summary *ret_summary)
{
	struct proof_summary sum = { 0 };
	const struct map_entry *e = NULL;
	int r = apply_settled(p, memory);

	while (r == 0 && (e = map_next(&p->scanners, e))) {
		const struct scanner_proof *s = e->value;
		struct proof_state state;
		char name[PROOF_NAME_MAX];

		copy_key(e, name);
		r = judge(p, (struct sv) { e->key, e->key_len }, s, conf, now_wall_ms, &state);
		if (r < 0)
			break;
		summarize(&state, &sum);
		r = tell(memory, name, &state);
		if (s->inside > 0)
			memory_scanner_heard_at(memory, name, s->inside_last_ms, now_wall_ms,
						now_mono_ms);
		if (listener)
			listener->judged(listener->user, name, &state);
		proof_state_deinit(&state);
	}
	if (r == 0)
		*ret_summary = sum;
	return r;
}

int proof_apply(const struct proof *p, const struct proof_conf *conf, int64_t now_wall_ms,
		int64_t now_mono_ms, struct memory *memory, struct proof_summary *ret_summary)
{
	return proof_apply_telling(p, conf, now_wall_ms, now_mono_ms, memory, NULL, ret_summary);
}
