#include "cli/known.h"

#include "base/clock.h"
#include "cli/egress_view.h"
#include "proxy/state.h"

#include <errno.h>
#include <stdlib.h>

static void noted_free(void *noted)
{
	struct noted *n = noted;

	prefix_set_deinit(&n->accepted);
	prefix_set_deinit(&n->denied);
	free(n->name);
	free(n);
}

/* NULL: no memory. */
static struct noted *note(struct knowledge *k, const char *name)
{
	struct noted *n = map_get(&k->noted, sv_from(name));

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (n && (n->name = sv_dup(sv_from(name))) &&
	    map_put(&k->noted, sv_from(name), n, NULL) == 0)
		return n;
	if (n)
		noted_free(n);
	return NULL;
}

static int add_seen(void *user, const struct proof_scanner *row)
{
	return note(user, row->name) ? 0 : -ENOMEM;
}

static int add_settled(void *user, const struct proof_settled *row)
{
	struct noted *n = note(user, row->scanner);

	if (!n)
		return -ENOMEM;
	return prefix_set_add(row->accepted ? &n->accepted : &n->denied, &row->network);
}

static int add_heard(void *user, const char *scanner, int64_t when_ms)
{
	struct knowledge *k = user;
	struct noted *n = note(k, scanner);

	if (!n)
		return -ENOMEM;
	n->heard_ms = k->now_ms - (clock_mono_ms() - when_ms);
	return 0;
}

static int recall(struct knowledge *k)
{
	const struct proof_visit visit = { .scanner = add_seen, .settled = add_settled, .user = k };
	struct proof_summary sum;
	struct state_error error;
	int r = state_recall(k->conf, k->memory, k->proof, &sum, &error);

	if (r < 0)
		fprintf(stderr, "%s; going on without what was learned\n", error.text);
	else if (r == 1 && k->conf->state)
		fprintf(stderr, "%s: not there yet, so no scanner is proven\n", k->conf->state);
	k->has_state = r == 0 && k->conf->state;
	if (r == -ENOMEM)
		return r;
	r = memory_heard_each(k->memory, add_heard, k);
	if (r == 0)
		r = proof_each(k->proof, &visit);
	for (const struct map_entry *e = NULL; (e = map_next(&k->noted, e));) {
		struct noted *n = e->value;

		prefix_set_seal(&n->accepted);
		prefix_set_seal(&n->denied);
	}
	return r;
}

int knowledge_open(const struct conf *conf, struct knowledge *ret_knowledge)
{
	struct knowledge *k = ret_knowledge;
	int r;

	*k = (struct knowledge) { .conf = conf, .now_ms = clock_wall_ms() };
	map_init(&k->noted);
	r = memory_new(&k->memory);
	if (r == 0)
		r = proof_new(&k->proof);
	return r == 0 ? recall(k) : r;
}

void knowledge_close(struct knowledge *k)
{
	map_deinit(&k->noted, noted_free);
	proof_free(k->proof);
	memory_free(k->memory);
}

/* ---- one scanner ---- */

static const struct scanner *configured(const struct policy *p, const char *name)
{
	for (size_t i = 0; i < p->n_scanners; i++)
		if (strcmp(p->scanners[i].name, name) == 0)
			return &p->scanners[i];
	return NULL;
}

/* As decide() has it; policy/door.c. */
static enum grade grade_of(const struct knowledge *k, const struct known *known)
{
	const struct catalogue_row *row = known->row;

	if (known->scanner)
		return GRADE_CONFIGURED;
	if (memory_scanner_is_proven(k->memory, known->name))
		return GRADE_PROVEN;
	if (row && row->confidence == CONFIDENCE_HIGH &&
	    !memory_scanner_has_grown(k->memory, known->name) &&
	    (row->n_sources > 0 || row->cidrs.n > 0 || row->n_ptr > 0))
		return GRADE_LISTED;
	return GRADE_GUESSED;
}

int known_of(const struct knowledge *k, const char *name, struct known *ret_known)
{
	const struct policy *p = &k->conf->policy;
	const struct noted *n = map_get(&k->noted, sv_from(name));
	struct known known = { .scanner = configured(p, name) };
	int r = proof_judge(k->proof, name, &p->prove, k->now_ms, &known.proof);

	if (r == -ENOMEM)
		return r;
	snprintf(known.name, sizeof(known.name), "%s", name);
	known.seen = r == 0;
	if (!known.scanner && p->catalogue)
		known.row = catalogue_by_id(p->catalogue, sv_from(name));
	known.grade = grade_of(k, &known);
	known.heard_ms = n ? n->heard_ms : 0;
	known.quiet = memory_scanner_is_quiet(k->memory, name);
	known.accepted = n && n->accepted.n ? &n->accepted : NULL;
	known.denied = n && n->denied.n ? &n->denied : NULL;
	*ret_known = known;
	return 0;
}

void known_deinit(struct known *known)
{
	proof_state_deinit(&known->proof);
}

/* ---- words ---- */

static void write_span(FILE *out, int64_t ms)
{
	long long hours = (long long)(ms / 3600000);

	if (hours >= 72)
		fprintf(out, "%lld days", hours / 24);
	else
		fprintf(out, "%lld h", hours);
}

static void write_rival(FILE *out, const struct proof_state *p)
{
	const struct proof_rival *r = p->rivals;
	char network[ADDR_STRLEN + 4];

	if (p->n_rivals == 0)
		return;
	fprintf(out, "; %s%s", r->related ? "related rival " : "rival ",
		prefix_format(&r->network, network));
	if (r->ptr_domain)
		fprintf(out, " (%s)", r->ptr_domain);
	if (r->domains > 0)
		fprintf(out, " with %.0f %% of the mail for %u domain%s", 100 * r->share,
			r->domains, r->domains == 1 ? "" : "s");
	if (r->held)
		fputs(", by what it brought of late", out);
	if (p->n_rivals > 1)
		fprintf(out, ", and %zu more", p->n_rivals - 1);
}

void known_write_proof(const struct proof_state *p, const struct proof_conf *conf, FILE *out)
{
	fprintf(out, "%s: %llu message%s over ",
		p->outcome == PROOF_PROVEN  ? "proven"
		: p->outcome == PROOF_RIVAL ? "not proven, since its egress has grown"
					    : "not proven yet",
		(unsigned long long)p->inside, p->inside == 1 ? "" : "s");
	write_span(out, p->last_ms - p->first_ms);
	fputs(" from inside", out);
	if (p->lacks & (PROOF_LACKS_MAILS | PROOF_LACKS_HOURS))
		fprintf(out, " (needed: %d over %d h)", conf->mails, conf->hours);
	if (p->domains > 0)
		fprintf(out, ", %.0f %% of what named clients brought for %zu domain%s%s",
			100 * p->share, p->domains, p->domains == 1 ? "" : "s",
			p->lacks & PROOF_LACKS_SHARE ? " (needed: 50 %)" : "");
	write_rival(out, p);
	if (p->ask_operator)
		fputs("; undecided for 14 days: put it into scanners: with its egress", out);
}

/* ---- JSON ---- */

static json_t *time_json(int64_t ms)
{
	char text[32];

	return ms > 0 ? json_string(clock_rfc3339(ms, text)) : json_null();
}

static json_t *rivals_json(const struct proof_state *p)
{
	json_t *list = json_array();
	char network[ADDR_STRLEN + 4];

	for (size_t i = 0; i < p->n_rivals; i++) {
		const struct proof_rival *r = &p->rivals[i];

		json_array_append_new(list, json_pack("{s:s, s:f, s:i, s:b, s:o, s:b}", "network",
						      prefix_format(&r->network, network), "share",
						      r->share, "domains", (int)r->domains,
						      "related", r->related, "ptr_domain",
						      text_json(r->ptr_domain), "recent", r->held));
	}
	return list;
}

static json_t *lacks_json(unsigned lacks)
{
	static const char *const words[] = { "mails", "hours", "share" };
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (lacks & (1u << i))
			json_array_append_new(list, json_string(words[i]));
	return list;
}

static json_t *proof_json(const struct known *known)
{
	static const char *const outcomes[] = {
		[PROOF_PROVEN] = "proven", [PROOF_WANTING] = "wanting", [PROOF_RIVAL] = "rival"
	};
	const struct proof_state *p = &known->proof;

	if (!known->seen)
		return json_null();
	return json_pack("{s:s, s:o, s:I, s:o, s:o, s:f, s:I, s:I, s:b}", "outcome",
			 outcomes[p->outcome], "lacks", lacks_json(p->lacks), "mails",
			 (json_int_t)p->inside, "first", time_json(p->first_ms), "last",
			 time_json(p->last_ms), "share", p->share, "domains",
			 (json_int_t)p->domains, "new_domains", (json_int_t)p->new_domains,
			 "ask_operator", p->ask_operator);
}

static json_t *settled_json(const struct prefix_set *set)
{
	static const struct prefix_set none;

	return prefixes_json(set ? set : &none);
}

json_t *known_json(const struct known *known)
{
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:b, s:o, s:o}", "scanner",
			 text_json(known->name), "grade", grade_name(known->grade), "proof",
			 proof_json(known), "rivals", rivals_json(&known->proof), "heard",
			 time_json(known->heard_ms), "quiet", known->quiet, "accepted",
			 settled_json(known->accepted), "denied", settled_json(known->denied));
}
