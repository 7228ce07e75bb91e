/* Events about scanners: each says what changed, why, and what the operator can do. Nothing is said
 * twice, nor anew after a restart. */
#include "proxy/prover_private.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define RIVALS_NOTED 64 /* of one scanner; of more nothing is said */

/* What was said of a scanner last. */
struct noted {
	bool proven, related, asked;
	unsigned n_rivals;
	struct addr *rivals; /* networks; NULL: none, as nearly always */
};

void noted_free(void *noted)
{
	free(((struct noted *)noted)->rivals);
	free(noted);
}

static void note(struct prover *p, const char *kind, const char *text)
{
	if (p->silent)
		return;
	log_info("event=%s %s", kind, text);
	event_emit_note(p->conf.events, kind, text);
}

static struct noted *noted_of(struct prover *p, const char *scanner)
{
	struct sv name = sv_from(scanner);
	struct noted *n = map_get(&p->notes, name);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (n && map_put(&p->notes, name, n, NULL) < 0) {
		free(n);
		n = NULL;
	}
	return n;
}

/* Its grade is the operator's own word: proof changes nothing. */
static bool is_configured(const struct prover *p, const char *scanner)
{
	const struct policy *policy = &p->conf.conf->policy;

	for (size_t i = 0; i < policy->n_scanners; i++)
		if (strcmp(policy->scanners[i].name, scanner) == 0)
			return true;
	return false;
}

static void describe_rival(const struct proof_rival *r, char *out, size_t size)
{
	char network[ADDR_STRLEN + 4], domain[PROOF_NAME_MAX + 3] = "";

	if (r->ptr_domain)
		snprintf(domain, sizeof(domain), " (%s)", r->ptr_domain);
	if (r->domains > 0)
		snprintf(out, size, "%s%s carries %.0f %% of the mail for %u domain%s",
			 prefix_format(&r->network, network), domain, 100 * r->share, r->domains,
			 r->domains == 1 ? "" : "s");
	else
		snprintf(out, size, "%s%s brings mail", prefix_format(&r->network, network),
			 domain);
}

static void note_rival(struct prover *p, const char *scanner, const struct proof_rival *r)
{
	char text[1024], what[512], network[ADDR_STRLEN + 4];

	describe_rival(r, what, sizeof(what));
	if (is_configured(p, scanner))
		snprintf(text, sizeof(text),
			 "%s of scanner %s from outside the egress that the configuration names",
			 what, scanner);
	else
		snprintf(text, sizeof(text),
			 "%s of scanner %s from outside its egress, and has %s name in its domain; "
			 "it is deferred at most until that is settled: frontdoor scanners "
			 "--accept|--deny %s %s",
			 what, scanner, r->related ? "a" : "no",
			 prefix_format(&r->network, network), scanner);
	note(p, "scanner-rival", text);
}

static bool is_among(const struct addr *networks, unsigned n, const struct addr *network)
{
	for (unsigned i = 0; i < n; i++)
		if (addr_eq(&networks[i], network))
			return true;
	return false;
}

static void note_rivals(struct prover *p, const char *scanner, struct noted *n,
			const struct proof_state *state)
{
	unsigned n_now = (unsigned)min_size(state->n_rivals, RIVALS_NOTED);
	struct addr *now = n_now ? calloc(n_now, sizeof(*now)) : NULL;

	if (n_now > 0 && !now)
		return;
	for (unsigned i = 0; i < n_now; i++) {
		const struct proof_rival *r = &state->rivals[i];

		if (!is_among(n->rivals, n->n_rivals, &r->network.addr))
			note_rival(p, scanner, r);
		now[i] = r->network.addr;
	}
	free(n->rivals);
	n->rivals = now;
	n->n_rivals = n_now;
}

static void note_proven(struct prover *p, const char *scanner, const struct proof_state *state)
{
	char text[768];

	snprintf(text, sizeof(text),
		 "scanner %s is proven: %llu messages over %lld hours from inside its egress; "
		 "direct delivery for its domains meets policy.action from now on",
		 scanner, (unsigned long long)state->inside,
		 (long long)(state->last_ms - state->first_ms) / 3600000);
	note(p, "scanner-proven", text);
}

static void note_guessed(struct prover *p, const char *scanner, const struct proof_state *state)
{
	char text[1024], what[512];

	describe_rival(&state->rivals[0], what, sizeof(what));
	snprintf(
		text, sizeof(text),
		"scanner %s is guessed again, since its egress has grown: %s from outside, and has "
		"a name in its domain; direct delivery for its domains meets guessed_action until "
		"that is settled: frontdoor scanners --accept|--deny",
		scanner, what);
	note(p, "scanner-guessed-again", text);
}

static void note_undecided(struct prover *p, const char *scanner, const struct proof_state *state)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "scanner %s is not proven after %d days: %llu messages from inside its egress, "
		 "%.0f %% of what named clients brought for %zu domains (wanted: %d over %d hours, "
		 "50 %%); who delivers for it? frontdoor scanners --accept|--deny NETWORK %s, or "
		 "scanners: in the configuration",
		 scanner, (int)(PROOF_DECIDE_MS / (24 * 3600 * 1000LL)),
		 (unsigned long long)state->inside, 100 * state->share, state->domains,
		 p->conf.conf->policy.prove.mails, p->conf.conf->policy.prove.hours, scanner);
	note(p, "scanner-undecided", text);
}

void prover_judged(void *prover, const char *scanner, const struct proof_state *state)
{
	struct prover *p = prover;
	struct noted *n = noted_of(p, scanner);
	bool proven = state->outcome == PROOF_PROVEN, related = state->outcome == PROOF_RIVAL;

	if (!n)
		return;
	note_rivals(p, scanner, n, state);
	if (!is_configured(p, scanner)) {
		if (related && !n->related)
			note_guessed(p, scanner, state);
		if (proven && !n->proven)
			note_proven(p, scanner, state);
		if (state->ask_operator && !n->asked)
			note_undecided(p, scanner, state);
	}
	n->proven = proven;
	n->related = related;
	n->asked = state->ask_operator;
}

void prover_paced(void *prover, const struct pace_news *news)
{
	struct prover *p = prover;
	char text[768];

	memory_scanner_set_quiet(p->conf.memory, news->scanner, news->quiet);
	p->pace_unsaved = true;
	if (news->quiet)
		snprintf(text, sizeof(text),
			 "scanner %s delivered %llu messages in the last hour, where %.0f are "
			 "usual; direct delivery for its domains is deferred at most until it is "
			 "heard again",
			 news->scanner, (unsigned long long)news->came, news->usual);
	else
		snprintf(text, sizeof(text), "scanner %s %s", news->scanner,
			 news->given_up ? "has been quiet for a week: that is taken for usual now"
					: "delivers as usual again");
	note(p, news->quiet ? "scanner-quiet" : "scanner-heard-again", text);
}
