/*
 * The order of the verdict is DESIGN.md's ("The verdict"). What is found out first decides: a
 * pass is looked for in all places, cheap ones first, before anything is held against a client.
 * Restraints only ever lower an action.
 */
#include "policy/decide.h"

#include "policy/door.h"

#define CONFIRMED_MS (300 * 1000LL)

/* One judgement under way. */
struct judging {
	const struct decide_facts *f;
	const struct domain_policy *row; /* of domains:, or NULL */
	struct door door;
	struct decision d;
};

static enum decide_outcome pass(struct judging *j, enum reason reason)
{
	j->d.finding = FINDING_PASS;
	j->d.wanted = j->d.action = ACTION_PASS;
	j->d.restraint = RESTRAINT_NONE;
	j->d.reason = reason;
	return DECIDE_DONE;
}

/* As the door's own scanner, or address. */
static enum decide_outcome pass_as(struct judging *j, enum reason reason, int host)
{
	j->d.own_front_door = true;
	if (j->door.kind == DOOR_SCANNER)
		door_scanner_name(j->f, host, j->d.scanner);
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

/* frontdoor doesn't know itself, or can't see the session to its end: nothing is enforced. */
static void restrain_self(struct judging *j)
{
	const struct decide_facts *f = j->f;
	struct addr meets;

	if (addr_is_private(&f->server) && !f->policy->server_addresses_given && !f->server_is_ours)
		lower(&j->d, ACTION_OBSERVE, RESTRAINT_PRIVATE);
	if (memory_identity_doubt(f->memory, &meets) &&
	    lower(&j->d, ACTION_OBSERVE, RESTRAINT_IDENTITY))
		j->d.meets = meets;
	if (f->observe_only)
		lower(&j->d, ACTION_OBSERVE, RESTRAINT_STARTTLS);
}

static int refusal_code(const struct decision *d)
{
	if (d->action < ACTION_DEFER)
		return 0;
	if (d->reason == REASON_LITERAL)
		return 550;
	if (d->finding == FINDING_DNS)
		return 451;
	if (d->action == ACTION_DEFER)
		return 450;
	return d->finding == FINDING_NULL ? 556 : 550;
}

/* A 5xx needs the door confirmed at its authoritative servers of late. */
static enum decide_outcome conclude(struct judging *j)
{
	const struct decide_facts *f = j->f;

	if (j->d.action >= ACTION_REJECT && f->policy->confirm && f->dns) {
		int64_t at = f->dns->confirmed_ms;

		if (at < 0 || f->now_ms - at > CONFIRMED_MS) {
			if (!f->confirm_tried)
				return DECIDE_NEEDS_CONFIRM;
			lower(&j->d, ACTION_DEFER, RESTRAINT_UNCONFIRMED);
		}
	}
	j->d.code = refusal_code(&j->d);
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
	if (j->door.kind != DOOR_SCANNER)
		return general;
	for (int i = 0; i < j->f->dns->n_hosts; i++) {
		const struct scanner *s = door_scanner(j->f, i);
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
	j->d.wanted = j->d.action = ACTION_REJECT;
	restrain_self(j);
	return conclude(j);
}

static enum decide_outcome judge_dns(struct judging *j, enum reason reason)
{
	const struct policy *policy = j->f->policy;

	j->d.finding = FINDING_DNS;
	j->d.reason = reason;
	j->d.wanted = ACTION_OBSERVE;
	if (wanted_action(j) >= ACTION_DEFER && policy->on_dns_failure == ACTION_DEFER)
		j->d.wanted = ACTION_DEFER;
	j->d.action = j->d.wanted;
	/* Mail that even a known door would only observe is not held up for an unknown one. */
	if (j->door.grade == GRADE_GUESSED && policy->guessed_action < ACTION_DEFER)
		lower(&j->d, ACTION_OBSERVE, RESTRAINT_GUESSED);
	restrain_self(j);
	return conclude(j);
}

/* Delivery past a door that is known: direct or null. */
static enum decide_outcome judge_direct(struct judging *j, enum finding finding, enum reason reason)
{
	const struct decide_facts *f = j->f;

	j->d.finding = finding;
	j->d.reason = reason;
	j->d.wanted = j->d.action = wanted_action(j);
	if (j->door.grade == GRADE_GUESSED)
		lower(&j->d, f->policy->guessed_action, RESTRAINT_GUESSED);
	if (j->door.kind == DOOR_SCANNER && j->d.action > ACTION_DEFER && door_client_is_rival(f))
		lower(&j->d, ACTION_DEFER, RESTRAINT_RIVAL);
	if (j->door.kind == DOOR_SCANNER &&
	    !memory_scanner_is_heard(f->memory, j->d.scanner, f->now_ms))
		lower(&j->d, ACTION_DEFER, RESTRAINT_NEVER_HEARD);
	if (f->dns->stale)
		lower(&j->d, ACTION_DEFER, RESTRAINT_STALE);
	restrain_self(j);
	return conclude(j);
}

static enum decide_outcome judge_unknown(struct judging *j)
{
	pass(j, REASON_UNKNOWN_DOMAIN);
	j->d.wanted = j->d.action = j->f->policy->on_unknown_domain;
	if (j->f->dns->stale)
		lower(&j->d, ACTION_DEFER, RESTRAINT_STALE);
	restrain_self(j);
	return conclude(j);
}

/* The operator's rule for this listener, no guess about a door: nothing restrains it. */
static enum decide_outcome judge_unauthenticated(struct judging *j)
{
	j->d.finding = FINDING_DIRECT;
	j->d.reason = REASON_AUTH_REQUIRED;
	j->d.wanted = j->d.action = ACTION_REJECT;
	j->d.code = 530;
	return DECIDE_DONE;
}

static bool row_admits_name(const struct judging *j)
{
	const struct client_names *names = j->f->names;

	for (unsigned k = 0; names && k < names->n; k++)
		for (size_t i = 0; i < j->row->n_allow_ptr; i++)
			if (name_is_below(names->names[k], j->row->allow_ptr[i]))
				return true;
	return false;
}

/* A hosted domain, and nothing that needs no client name has let the client in. */
static enum decide_outcome judge_closed(struct judging *j)
{
	const struct decide_facts *f = j->f;
	bool row_names = j->row && j->row->n_allow_ptr > 0;
	bool by_name = row_names || door_admits_names(f, &j->door);
	int host;

	if (by_name && !f->names)
		return DECIDE_NEEDS_CLIENT;
	if (row_names && row_admits_name(j))
		return pass(j, REASON_ALLOWED);
	if (door_admits_name(f, &j->door, &host))
		return pass_as(j, REASON_PTR, host);
	if (j->door.kind == DOOR_DNS || j->door.incomplete)
		return judge_dns(j, REASON_DNS_FAILURE);
	if (by_name && f->names->status == DNS_FAILED)
		return judge_dns(j, REASON_PTR_FAILURE);
	if (j->door.kind == DOOR_UNKNOWN)
		return judge_unknown(j);
	if (j->door.kind == DOOR_NULL)
		return judge_direct(j, FINDING_NULL, REASON_NULL_MX);
	return judge_direct(j, FINDING_DIRECT,
			    j->door.kind == DOOR_ELSEWHERE ? REASON_NOT_ADDRESS
							   : REASON_NOT_EGRESS);
}

/* What teaches that a domain is hosted is asked for; a client's name, which is slow, is not. */
static enum decide_outcome judge_not_hosted(struct judging *j)
{
	enum reason reason;
	int host;

	if (j->door.kind == DOOR_SELF)
		j->d.own_front_door = true;
	else if (door_admits_address(j->f, &j->door, &reason, &host) ||
		 door_admits_name(j->f, &j->door, &host))
		pass_as(j, REASON_NOT_HOSTED, host);
	return pass(j, REASON_NOT_HOSTED);
}

static enum decide_outcome judge_hosted(struct judging *j)
{
	enum reason reason;
	int host;

	if (j->door.kind == DOOR_SELF) {
		j->d.own_front_door = true;
		return pass(j, j->door.implicit ? REASON_IMPLICIT_MX : REASON_SELF);
	}
	if (door_admits_address(j->f, &j->door, &reason, &host))
		return pass_as(j, j->door.kind == DOOR_BACKUP ? REASON_BACKUP : reason, host);
	if (j->door.kind == DOOR_BACKUP)
		return pass(j, REASON_BACKUP);
	if (j->door.kind == DOOR_UNKNOWN && j->f->policy->on_unknown_domain == ACTION_PASS)
		return pass(j, REASON_UNKNOWN_DOMAIN);
	return judge_closed(j);
}

static void describe_door(struct judging *j)
{
	const struct decide_facts *f = j->f;
	size_t n;

	door_look(f, &j->door);
	j->d.door_known = true;
	j->d.door = j->door.kind;
	j->d.grade = j->door.grade;
	if (j->door.best < 0)
		return;
	n = min_size(strlen(f->dns->hosts[j->door.best].name), DECISION_NAME_MAX - 1);
	memcpy(j->d.mx, f->dns->hosts[j->door.best].name, n);
	j->d.mx[n] = '\0';
	if (j->door.kind == DOOR_SCANNER)
		door_scanner_name(f, j->door.best, j->d.scanner);
}

static enum decide_outcome judge_domain(struct judging *j)
{
	const struct decide_facts *f = j->f;

	INVARIANT(f->domain);
	j->row = map_get(&f->policy->domains, sv_from(f->domain));
	j->d.hosted = j->row || memory_is_hosted(f->memory, f->domain);
	if (j->row && j->row->allow.n > 0 && prefix_set_contains(&j->row->allow, &f->client))
		return pass(j, REASON_ALLOWED);
	if (!f->dns)
		return DECIDE_NEEDS_DOMAIN;
	describe_door(j);
	return j->d.hosted ? judge_hosted(j) : judge_not_hosted(j);
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

int decide(const struct decide_facts *facts, struct decision *ret_decision)
{
	struct judging j = { .f = facts, .d = { .door = DOOR_UNKNOWN, .grade = GRADE_NONE } };
	enum decide_outcome outcome = judge(&j);

	if (outcome == DECIDE_DONE)
		*ret_decision = j.d;
	return outcome;
}

const struct decision *decision_stricter(const struct decision *a, const struct decision *b)
{
	if (a->action != b->action)
		return a->action > b->action ? a : b;
	return b->finding > a->finding ? b : a;
}
