/* What explain found out, in words. */
#include "base/clock.h"
#include "cli/describe.h"
#include "cli/explain.h"

#include <stdlib.h>

static void print_reply(const struct explain *x, const struct decision *d, const char *domain)
{
	char reply[512];

	if (d->code == 0)
		return;
	decision_reply(d, &x->conf->policy, domain, &x->server, "explain", reply);
	reply[strcspn(reply, "\r")] = '\0';
	printf("  reply       %s\n", reply);
}

/* The same once more under another supposition. */
static void print_supposed(const struct explain *x, const struct decision *d, const char *domain,
			   const char *what)
{
	printf("  %s ", what);
	describe_verdict(stdout, d);
	putchar('\n');
	print_reply(x, d, domain);
	describe_restraint(stdout, d);
}

static void suppose(struct explain *x, struct decide_facts *f, struct answers *k, const char *what)
{
	struct decision d;

	if (explain_judge(x, f, k, &d) == 0)
		print_supposed(x, &d, f->domain, what);
}

/* With the strictest actions, as far as the door's grade needs both. */
static void suppose_enforced(struct explain *x, struct decide_facts *f, struct answers *k,
			     const struct decision *d)
{
	struct policy policy = *f->policy;
	bool guessed = d->grade == GRADE_GUESSED;

	policy.action = ACTION_REJECT;
	if (guessed)
		policy.guessed_action = ACTION_REJECT;
	f->listener_action = ACTION_UNSET;
	f->policy = &policy;
	suppose(x, f, k,
		guessed ? "with policy.action and guessed_action: reject:"
			: "with policy.action: reject:");
	f->policy = &x->conf->policy;
	f->listener_action = x->listener->action;
}

static void suppose_down(struct explain *x, const struct decide_facts *f)
{
	struct decision d;

	if (f->dns->kind != FACTS_FAILED && explain_judge_down(x, f, DNS_DOWN_KNOWN, &d) == 0)
		print_supposed(x, &d, f->domain, "with DNS down, its door known:");
	if (explain_judge_down(x, f, DNS_DOWN_UNKNOWN, &d) == 0)
		print_supposed(x, &d, f->domain, "with DNS down, nothing known: ");
}

static int hear_too(void *memory, const char *scanner, int64_t when_ms)
{
	memory_scanner_heard(memory, scanner, when_ms);
	return 0;
}

/* What the first memory knows of scanners. */
static int know_scanners(const struct explain *x, struct memory *memory)
{
	struct proof_summary sum;

	(void)memory_heard_each(x->memory, hear_too, memory);
	return proof_apply(x->knowledge.proof, &x->conf->policy.prove, clock_wall_ms(),
			   clock_mono_ms(), memory, &sum);
}

/* In a memory of its own: the next recipient's domain may be the same one. */
static void suppose_hosted(struct explain *x, struct decide_facts *f, struct answers *k)
{
	struct memory *real = x->memory, *other;
	struct decision d;

	if (memory_new(&other) < 0)
		return;
	if (know_scanners(x, other) == 0) {
		memory_hosted_add(other, sv_from(f->domain));
		f->memory = x->memory = other;
		suppose(x, f, k, "if hosted: ");
		if (explain_judge(x, f, k, &d) == 0 && d.finding != FINDING_PASS &&
		    d.action < ACTION_DEFER)
			suppose_enforced(x, f, k, &d);
		suppose_down(x, f);
	}
	f->memory = x->memory = real;
	memory_free(other);
}

static void print_door(struct explain *x, struct decide_facts *f, const struct decision *d)
{
	struct description what = { .facts = f, .decision = d };
	struct door_names *names = NULL;
	struct door_view view = { 0 };

	if (f->dns && d->door != DOOR_SELF && d->door != DOOR_DNS)
		what.names = names = ask_names(x->asked.ask, f->domain);
	if (f->dns && door_view_make(f, d->door, &x->knowledge, &x->asked, &view) == 0)
		what.view = &view;
	describe_door(stdout, &what);
	door_view_deinit(&view);
	facts_free(names);
}

void explain_text(struct explain *x, struct decide_facts *f, struct answers *k,
		  const struct decision *d)
{
	char client[ADDR_STRLEN], server[ADDR_STRLEN];

	printf("%s from %s to %s\n", f->domain ? f->domain : "(no domain)",
	       addr_format(&x->client, client), addr_format(&x->server, server));
	printf("  verdict     ");
	describe_verdict(stdout, d);
	putchar('\n');
	print_reply(x, d, f->domain);
	describe_restraint(stdout, d);
	if (f->domain)
		print_door(x, f, d);
	if (f->domain && f->dns && !d->hosted) {
		suppose_hosted(x, f, k);
	} else {
		if (d->finding != FINDING_PASS && d->action < ACTION_DEFER)
			suppose_enforced(x, f, k, d);
		if (f->domain && f->dns)
			suppose_down(x, f);
	}
	if (!x->conf->tls_hide && !conf_has_tls(x->conf) && d->action >= ACTION_DEFER)
		puts("  note        if the backend offers STARTTLS this is only observed: "
		     "tls.certificates, tls.hide");
}
