/*
 * The order of the verdict; its words are explained in doc/events.md. What is found out first
 * decides: a pass is looked for in all places, cheap ones first, before anything is held against a
 * client. Restraints only ever lower an action.
 */
#include "policy/decide.h"

#include "policy/door.h"
#include "policy/share.h"

#define CONFIRMED_MS (10 * 1000LL) /* doors.c asks no more often */

/* One judgement under way. */
struct judging {
	const struct decide_facts *f;
	const struct domain_policy *row; /* of domains:, or NULL */
	struct decision *d;
	const char *scanner, *mx; /* for d: not copied before all is done */
	struct source_search search;
	bool has_former; /* the door before this one is still in senders' caches */
	struct door *door, *former;
};

static enum decide_outcome pass(struct judging *j, enum reason reason)
{
	j->d->finding = FINDING_PASS;
	j->d->wanted = j->d->action = ACTION_PASS;
	j->d->restraint = RESTRAINT_NONE;
	j->d->reason = reason;
	return DECIDE_DONE;
}

static void copy_name(char out[DECISION_NAME_MAX], const char *name)
{
	if (!memccpy(out, name, '\0', DECISION_NAME_MAX))
		out[DECISION_NAME_MAX - 1] = '\0';
}

/* As the door's own scanner, or address. */
static enum decide_outcome pass_as(struct judging *j, enum reason reason,
				   const struct door_owner *owner)
{
	j->d->own_front_door = true;
	if (j->door->kind == DOOR_SCANNER && owner)
		j->scanner = door_owner_name(owner);
	return pass(j, reason);
}

static bool lower(struct decision *d, enum action to, enum restraint why)
{
	if (d->action <= to)
		return false;
	d->action = to;
	d->restraint = why;
	return true;
}

/* Is it not its turn yet? What the operator has said of a domain itself counts at once. */
static bool is_spared(const struct judging *j)
{
	int share = SHARE_ALL - j->f->policy->enforce.spared;

	if (share >= SHARE_ALL || (j->row && j->row->action != ACTION_UNSET))
		return false;
	return !j->f->domain || !share_contains(share, j->f->domain);
}

/* frontdoor doesn't know itself, or can't see the session to its end; or this is not
 * to be enforced for now: it is observed. */
static void restrain_self(struct judging *j)
{
	const struct decide_facts *f = j->f;
	struct addr meets;

	if (addr_is_private(&f->server) && !f->policy->server_addresses_given && !f->server_is_ours)
		lower(j->d, ACTION_OBSERVE, RESTRAINT_PRIVATE);
	if (memory_identity_doubt(f->memory, &meets) &&
	    lower(j->d, ACTION_OBSERVE, RESTRAINT_IDENTITY))
		j->d->meets = meets;
	if (f->observe_only)
		lower(j->d, ACTION_OBSERVE, RESTRAINT_STARTTLS);
	if (f->enforce_stopped)
		lower(j->d, ACTION_OBSERVE, RESTRAINT_STOPPED);
	else if (is_spared(j))
		lower(j->d, ACTION_OBSERVE, RESTRAINT_SHARE);
}

static int refusal_code(const struct decision *d)
{
	if (d->action < ACTION_DEFER)
		return 0;
	if (d->reason == REASON_LITERAL)
		return 550;
	if (d->finding == FINDING_DNS || d->reason == REASON_BACKUP_CLOSED)
		return 451;
	if (d->action == ACTION_DEFER)
		return 450;
	return d->finding == FINDING_NULL ? 556 : 550;
}

/* A 5xx needs the door confirmed at its authoritative servers just now: a filter that the domain
 * has moved to delivers from the first minute on. */
static enum decide_outcome conclude(struct judging *j)
{
	const struct decide_facts *f = j->f;

	if (j->d->action >= ACTION_REJECT && f->policy->confirm && f->dns) {
		int64_t at = f->dns->confirmed_ms;

		if (at < 0 || f->now_ms - at > CONFIRMED_MS) {
			if (!f->confirm_tried)
				return DECIDE_NEEDS_CONFIRM;
			lower(j->d, ACTION_DEFER, RESTRAINT_UNCONFIRMED);
		}
	}
	j->d->code = refusal_code(j->d);
	return DECIDE_DONE;
}

static enum action general_action(const struct decide_facts *f)
{
	return f->listener_action != ACTION_UNSET ? f->listener_action : f->policy->action;
}

/* Of the domain, else of the scanner (of several the weakest), else of the listener or policy. */
static enum action wanted_action(const struct judging *j)
{
	enum action general = general_action(j->f), weakest = ACTION_COUNT;

	if (j->row && j->row->action != ACTION_UNSET)
		return j->row->action;
	if (j->door->kind != DOOR_SCANNER)
		return general;
	DOOR_EACH_OWNER(j->door, i)
	{
		const struct scanner *s = j->door->owners[i].scanner;
		enum action a = s && s->action != ACTION_UNSET ? s->action : general;

		if (a < weakest)
			weakest = a;
	}
	return weakest;
}

static enum decide_outcome judge_literal(struct judging *j)
{
	pass(j, REASON_LITERAL);
	if (general_action(j->f) < ACTION_DEFER)
		return DECIDE_DONE;
	j->d->wanted = j->d->action = ACTION_REJECT;
	restrain_self(j);
	return conclude(j);
}

static enum decide_outcome judge_dns(struct judging *j, enum reason reason)
{
	const struct policy *policy = j->f->policy;

	j->d->finding = FINDING_DNS;
	j->d->reason = reason;
	j->d->wanted = ACTION_OBSERVE;
	if (wanted_action(j) >= ACTION_DEFER && policy->on_dns_failure == ACTION_DEFER)
		j->d->wanted = ACTION_DEFER;
	j->d->action = j->d->wanted;
	/* Mail that even a known door would only observe is not held up for an unknown one. */
	if (j->door->grade == GRADE_GUESSED && policy->guessed_action < ACTION_DEFER)
		lower(j->d, ACTION_OBSERVE, RESTRAINT_GUESSED);
	restrain_self(j);
	return conclude(j);
}

/* Has this client come again and again, as a real mail server does? Then its scanner's egress may
 * be larger than the catalogue knows. Nobody opens a door so by sending much, unless it has the
 * scanner's own name, nor whom the operator has denied. */
static enum decide_outcome judge_retry(struct judging *j, bool rival)
{
	const struct decide_facts *f = j->f;

	if (!f->names)
		return DECIDE_NEEDS_CLIENT;
	if (f->names->status != DNS_OK || f->names->n == 0)
		return conclude(j);
	if (door_client_is_denied(f, j->door) || (rival && !door_client_is_related(f, j->door)))
		return conclude(j);
	if (memory_retry_passes(f->memory, f->domain, &f->client, f->now_ms))
		return pass(j, REASON_RETRIED);
	j->d->retry_counts = true;
	return conclude(j);
}

/* A provider is proven by all of its tenants; which part of its egress is this one's may be wrong
 * nonetheless: for one in a hundred it was when it was measured (data/README.md). */
static bool may_retry(const struct judging *j)
{
	return j->door->grade == GRADE_LISTED ||
	       (j->door->grade == GRADE_PROVEN && door_client_is_of_provider(j->f, j->door));
}

/* Knowledge of a scanner that may be wrong, or old, refuses nobody for good. */
static void restrain_scanner(struct judging *j, bool rival)
{
	const struct decide_facts *f = j->f;

	if (j->door->grade == GRADE_LISTED)
		lower(j->d, ACTION_DEFER, RESTRAINT_LISTED);
	if (rival)
		lower(j->d, ACTION_DEFER, RESTRAINT_RIVAL);
	if (!memory_scanner_is_heard(f->memory, j->scanner, f->now_ms))
		lower(j->d, ACTION_DEFER, RESTRAINT_NEVER_HEARD);
	if (door_is_quiet(f, j->door))
		lower(j->d, ACTION_DEFER, RESTRAINT_QUIET);
}

/* Delivery past a door that is known: direct or null. */
static enum decide_outcome judge_direct(struct judging *j, enum finding finding, enum reason reason)
{
	const struct decide_facts *f = j->f;
	bool rival = j->door->kind == DOOR_SCANNER && door_client_is_rival(f, j->door);

	j->d->finding = finding;
	j->d->reason = reason;
	j->d->wanted = j->d->action = wanted_action(j);
	if (j->door->grade == GRADE_GUESSED)
		lower(j->d, f->policy->guessed_action, RESTRAINT_GUESSED);
	if (j->door->kind == DOOR_SCANNER)
		restrain_scanner(j, rival);
	if (f->dns->stale || j->search.stale || (f->names && f->names->stale))
		lower(j->d, ACTION_DEFER, RESTRAINT_STALE);
	if (j->search.partial)
		lower(j->d, ACTION_DEFER, RESTRAINT_PARTIAL);
	if (j->has_former)
		lower(j->d, ACTION_DEFER, RESTRAINT_GRACE);
	restrain_self(j);
	if (j->d->action == ACTION_DEFER && may_retry(j))
		return judge_retry(j, rival);
	if (j->d->action >= ACTION_REJECT && door_is_guess(j->door)) {
		/* Its name may be the scanner's own: then its egress has grown. */
		if (!f->names)
			return DECIDE_NEEDS_CLIENT;
		if (f->names->status == DNS_FAILED && !door_client_is_denied(f, j->door))
			lower(j->d, ACTION_DEFER, RESTRAINT_RIVAL);
	}
	return conclude(j);
}

/* Mail at the backup MX while the primary answers: the sender is to go there. No knowledge of
 * anybody's egress is needed for that, nor does it cost mail. */
static enum decide_outcome judge_backup_closed(struct judging *j)
{
	enum action action = wanted_action(j);

	j->d->finding = FINDING_DIRECT;
	j->d->reason = REASON_BACKUP_CLOSED;
	j->d->wanted = j->d->action = action > ACTION_DEFER ? ACTION_DEFER : action;
	restrain_self(j);
	return conclude(j);
}

static enum decide_outcome judge_unknown(struct judging *j)
{
	pass(j, REASON_UNKNOWN_DOMAIN);
	j->d->wanted = j->d->action = j->f->policy->on_unknown_domain;
	if (j->f->dns->stale)
		lower(j->d, ACTION_DEFER, RESTRAINT_STALE);
	restrain_self(j);
	return conclude(j);
}

/* The operator's rule for this listener, no guess about a door: nothing restrains it. */
static enum decide_outcome judge_unauthenticated(struct judging *j)
{
	j->d->finding = FINDING_DIRECT;
	j->d->reason = REASON_AUTH_REQUIRED;
	j->d->wanted = j->d->action = ACTION_REJECT;
	j->d->code = 530;
	return DECIDE_DONE;
}

/* ---- who is let in ---- */

/* An address that all customers of a provider send from: the operator may want it marked. */
static enum decide_outcome pass_admitted(struct judging *j, const struct admission *a)
{
	enum action tag = j->f->policy->shared_egress;

	pass_as(j, j->door->kind == DOOR_BACKUP ? REASON_BACKUP : a->reason, a->owner);
	if (j->d->reason != REASON_SHARED_EGRESS || tag != ACTION_TAG)
		return DECIDE_DONE;
	if (j->row && j->row->action != ACTION_UNSET && j->row->action < ACTION_TAG)
		return DECIDE_DONE;
	j->d->wanted = j->d->action = ACTION_TAG;
	restrain_self(j);
	return DECIDE_DONE;
}

static bool row_admits_source(struct judging *j)
{
	for (size_t i = 0; j->row && j->f->source && i < j->row->n_allow_sources; i++)
		if (source_admits(j->f, j->row->allow_sources[i], &j->search))
			return true;
	return false;
}

/* Who was let in by the door of before; what nobody knows of that one is no trouble. */
static bool former_admits(struct judging *j, struct source_search *search,
			  bool (*admits)(const struct decide_facts *, const struct door *,
					 struct source_search *, struct admission *))
{
	struct source_search scratch = { .wanted = search->wanted };
	struct admission a;

	return j->has_former && admits(j->f, j->former, &scratch, &a);
}

static bool former_admits_anybody(const struct judging *j)
{
	struct admission a;

	return j->has_former && (j->former->kind == DOOR_SELF || j->former->kind == DOOR_BACKUP ||
				 door_admits_address(j->f, j->former, &a));
}

/* Does a source let the client in? -1: none; 0: passed; or what is needed. Sources that are known
 * come first, then those to be asked for, those of one client last. */
static int judge_sources(struct judging *j)
{
	struct source_search *s = &j->search;
	struct admission a;

	s->wanted = j->d->wanted_source;
	if (row_admits_source(j))
		return (int)pass(j, REASON_ALLOWED);
	if (door_admits_sources(j->f, j->door, s, &a))
		return (int)pass_admitted(j, &a);
	if (former_admits(j, s, door_admits_sources))
		return (int)pass(j, REASON_GRACE);
	if (s->wanted[0])
		return DECIDE_NEEDS_SOURCE;
	if (door_admits_tenant(j->f, j->door, s, &a))
		return (int)pass_admitted(j, &a);
	if (former_admits(j, s, door_admits_tenant))
		return (int)pass(j, REASON_GRACE);
	return s->wanted[0] ? DECIDE_NEEDS_SOURCE : -1;
}

static bool row_admits_name(const struct judging *j)
{
	const struct client_names *names = j->f->names;

	for (unsigned k = 0; j->row && names && k < names->n; k++)
		for (size_t i = 0; i < j->row->n_allow_ptr; i++)
			if (name_is_below(names->names[k], j->row->allow_ptr[i]))
				return true;
	return false;
}

static bool wants_names(const struct judging *j)
{
	return (j->row && j->row->n_allow_ptr > 0) || door_wants_names(j->door) ||
	       (j->has_former && door_wants_names(j->former));
}

/* As judge_sources(), by name. */
static int judge_names(struct judging *j)
{
	struct admission a;

	if (!j->f->names)
		return DECIDE_NEEDS_CLIENT;
	if (row_admits_name(j))
		return (int)pass(j, REASON_ALLOWED);
	if (door_admits_name(j->f, j->door, &a))
		return (int)pass_admitted(j, &a);
	if (j->has_former && door_admits_name(j->f, j->former, &a))
		return (int)pass(j, REASON_GRACE);
	return -1;
}

/* A hosted domain, and no address that is written down has let the client in. */
static enum decide_outcome judge_closed(struct judging *j)
{
	bool by_name = wants_names(j);
	int r = judge_sources(j);

	if (r < 0 && by_name)
		r = judge_names(j);
	if (r >= 0)
		return (enum decide_outcome)r;
	if (j->door->kind == DOOR_DNS || j->door->incomplete || j->search.failed)
		return judge_dns(j, REASON_DNS_FAILURE);
	if (by_name && j->f->names->status == DNS_FAILED)
		return judge_dns(j, REASON_PTR_FAILURE);
	if (j->door->kind == DOOR_UNKNOWN)
		return judge_unknown(j);
	if (j->door->kind == DOOR_BACKUP)
		return judge_backup_closed(j);
	if (j->door->kind == DOOR_NULL)
		return judge_direct(j, FINDING_NULL, REASON_NULL_MX);
	return judge_direct(j, FINDING_DIRECT,
			    j->door->kind == DOOR_ELSEWHERE ? REASON_NOT_ADDRESS
							    : REASON_NOT_EGRESS);
}

/* What teaches that a domain is hosted is asked for; what is about one client, and slow, is not. */
static enum decide_outcome judge_not_hosted(struct judging *j)
{
	struct admission a;

	j->search.wanted = j->d->wanted_source;
	if (j->door->kind == DOOR_SELF)
		j->d->own_front_door = true;
	else if (door_admits_address(j->f, j->door, &a) ||
		 door_admits_sources(j->f, j->door, &j->search, &a) ||
		 door_admits_name(j->f, j->door, &a))
		return pass_as(j, REASON_NOT_HOSTED, a.owner);
	else if (j->search.wanted[0])
		return DECIDE_NEEDS_SOURCE;
	return pass(j, REASON_NOT_HOSTED);
}

static enum decide_outcome judge_hosted(struct judging *j)
{
	const struct decide_facts *f = j->f;
	struct admission a;

	if (j->door->kind == DOOR_SELF) {
		j->d->own_front_door = true;
		return pass(j, j->door->implicit ? REASON_IMPLICIT_MX : REASON_SELF);
	}
	if (door_admits_address(f, j->door, &a))
		return pass_admitted(j, &a);
	if (j->door->kind == DOOR_BACKUP &&
	    !(f->policy->strict_backup && door_primary_answers(f, j->door)))
		return pass(j, REASON_BACKUP);
	if (j->door->kind == DOOR_UNKNOWN && f->policy->on_unknown_domain == ACTION_PASS)
		return pass(j, REASON_UNKNOWN_DOMAIN);
	j->has_former = door_look_former(f, j->former);
	if (former_admits_anybody(j))
		return pass(j, REASON_GRACE);
	return judge_closed(j);
}

static void describe_door(struct judging *j)
{
	const struct door *door = j->door;

	door_look(j->f, j->door);
	j->d->door_known = true;
	j->d->door = door->kind;
	j->d->grade = door->grade;
	if (door->best < 0)
		return;
	j->mx = j->f->dns->hosts[door->best].name;
	if (door->kind == DOOR_SCANNER && (unsigned)door->best < door->n_hosts)
		j->scanner = door_owner_name(&door->owners[door->best]);
}

static enum decide_outcome judge_domain(struct judging *j)
{
	const struct decide_facts *f = j->f;

	INVARIANT(f->domain);
	j->row = map_get(&f->policy->domains, sv_from(f->domain));
	/* The resolver keeps what is hosted; what else it keeps has a row. That is at hand, memory
	 * is not. */
	j->d->hosted = j->row || (f->dns && f->dns->kept) || memory_is_hosted(f->memory, f->domain);
	if (j->row && j->row->allow.n > 0 && prefix_set_contains(&j->row->allow, &f->client))
		return pass(j, REASON_ALLOWED);
	if (!f->dns)
		return DECIDE_NEEDS_DOMAIN;
	describe_door(j);
	return j->d->hosted ? judge_hosted(j) : judge_not_hosted(j);
}

static enum decide_outcome judge(struct judging *j)
{
	const struct decide_facts *f = j->f;
	const struct prefix_set *trusted = &f->policy->trusted;

#ifdef FRONTDOOR_ALWAYS_PASS
	return pass(j, REASON_NOT_HOSTED);
#endif
	if (f->authenticated)
		return pass(j, REASON_AUTHENTICATED);
	if (trusted->n > 0 && prefix_set_contains(trusted, &f->client))
		return pass(j, REASON_TRUSTED);
	if (f->require_auth)
		return judge_unauthenticated(j);
	switch (f->shape) {
	case RCPT_POSTMASTER:
		return pass(j, REASON_POSTMASTER);
	case RCPT_NO_DOMAIN:
		return judge_literal(j);
	case RCPT_DOMAIN:
		break;
	}
	return judge_domain(j);
}

/* There is much room for names, that nearly always are short: to clear and copy all of it is a
 * third of the time that a verdict takes. */
static void decision_clear(struct decision *d)
{
	memset(d, 0, offsetof(struct decision, scanner));
	d->wanted_source[0] = '\0';
	memset(&d->meets, 0, sizeof(d->meets));
	d->retry_counts = false;
	d->door = DOOR_UNKNOWN;
	d->grade = GRADE_NONE;
}

static void decision_give(struct decision *to, const struct judging *j)
{
	const struct decision *from = j->d;

	memcpy(to, from, offsetof(struct decision, scanner));
	copy_name(to->scanner, j->scanner);
	copy_name(to->mx, j->mx);
	to->meets = from->meets;
	to->retry_counts = from->retry_counts;
	to->wanted_source[0] = '\0';
}

int decide(const struct decide_facts *facts, struct decision *ret_decision)
{
	struct decision d;
	struct door door, former; /* large, and seldom used to their ends: not cleared */
	struct judging j = {
		.f = facts, .d = &d, .scanner = "", .mx = "", .door = &door, .former = &former
	};
	enum decide_outcome outcome;

	decision_clear(&d);
	door.kind = DOOR_UNKNOWN;
	door.grade = GRADE_NONE;
	outcome = judge(&j);
	if (outcome == DECIDE_DONE)
		decision_give(ret_decision, &j);
	else if (outcome == DECIDE_NEEDS_SOURCE)
		strcpy(ret_decision->wanted_source, d.wanted_source);
	return outcome;
}

const struct decision *decision_stricter(const struct decision *a, const struct decision *b)
{
	if (a->action != b->action)
		return a->action > b->action ? a : b;
	return b->finding > a->finding ? b : a;
}
