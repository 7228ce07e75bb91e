/* What explain asks and judges: with the same decide() as the daemon. */
#include "cli/explain.h"

#include "base/clock.h"
#include "proxy/snapshot_look.h"

#include <stdlib.h>
#include <unistd.h>

/* A source as it is when DNS gives no answer any more. */
static const struct egress_source *source_when_down(struct explain *x, const char *key)
{
	const struct egress_source *known = asked_find(&x->supposed, key);
	const struct catalogue *catalogue = x->conf->policy.catalogue;
	const struct prefix_set *shipped;
	struct egress_source s = {
		.key = key, .status = SOURCE_FAILED, .fetched_ms = -1, .left_out = ""
	};

	if (known)
		return known;
	/* what is asked about a client is not asked before it comes */
	if (x->dns == DNS_DOWN_KNOWN && strncmp(key, "exists:", 7) != 0)
		known = asked_find(&x->asked, key);
	if (known && known->status != SOURCE_FAILED) {
		s = *known;
		s.stale = s.status == SOURCE_KNOWN && !s.fallback;
	} else if (catalogue && (shipped = catalogue_fallback(catalogue, key))) {
		s.status = SOURCE_KNOWN;
		s.fallback = true;
		s.set = *shipped;
	}
	return asked_put(&x->supposed, &s);
}

static const struct egress_source *find_source(void *user, const char *key)
{
	struct explain *x = user;

	return x->dns == DNS_AS_IS ? asked_find(&x->asked, key) : source_when_down(x, key);
}

/* Waits, as the daemon doesn't: there is nobody else to serve. */
static enum primary_state look_at_primary(void *user, const struct addr *address)
{
	struct explain *x = user;
	enum primary_state state = PRIMARY_UNKNOWN;

	if (!x->primaries)
		return state;
	for (int waited = 0; waited <= PRIMARY_TIMEOUT_MS; waited += 20) {
		state = primaries_look(x->primaries, address);
		if (state != PRIMARY_UNKNOWN)
			break;
		usleep(20 * 1000);
	}
	return state;
}

static bool serves_here(const struct explain *x)
{
	return x->listener->mode == LISTENER_LISTEN ||
	       prefix_set_contains(&x->interfaces, &x->server);
}

struct decide_facts explain_facts(struct explain *x, enum rcpt_shape shape, const char *domain)
{
	return (struct decide_facts) {
		.policy = &x->conf->policy,
		.memory = x->memory,
		.listener_action = x->listener->action,
		.require_auth = x->listener->require_auth,
		.enforce_stopped = x->enforce_stopped,
		.server_is_ours =
			prefix_set_contains(&x->conf->policy.server_addresses, &x->server),
		.client = x->client,
		.server = x->server,
		.interfaces = serves_here(x) ? &x->interfaces : NULL,
		.shape = shape,
		.domain = domain,
		.source = find_source,
		.primary = look_at_primary,
		.user = x,
	};
}

/* The MX set of before, that senders may still go by, is known to the daemon alone. */
static struct domain_facts *with_former(const struct explain *x, struct domain_facts *dns)
{
	struct domain_facts *known, *merged, both;

	if (!dns || dns->former_until_ms > 0 || !(known = snapshot_look(x->conf, dns->domain)))
		return dns;
	both = *dns;
	both.former_until_ms = known->former_until_ms;
	both.former_kind = known->former_kind;
	both.former = known->former;
	both.n_former = known->n_former;
	merged = known->former_until_ms > clock_mono_ms() ? facts_copy(&both) : NULL;
	if (merged)
		facts_free(dns);
	facts_free(known);
	return merged ? merged : dns;
}

static int judge(struct explain *x, struct decide_facts *f, struct answers *k, struct decision *d)
{
	for (;;) {
		struct domain_facts *dns;

		f->dns = k->dns;
		f->names = k->names;
		f->confirm_tried = k->confirm_tried;
		f->now_ms = clock_mono_ms();
		switch (decide(f, d)) {
		case DECIDE_DONE:
			return 0;
		case DECIDE_NEEDS_DOMAIN:
			k->dns = with_former(x, ask_domain(x->asked.ask, f->domain, false));
			if (!k->dns)
				return -1;
			break;
		case DECIDE_NEEDS_CLIENT:
			k->names = ask_client(x->asked.ask, &f->client);
			if (!k->names)
				return -1;
			break;
		case DECIDE_NEEDS_SOURCE:
			if (!asked_source(&x->asked, d->wanted_source))
				return -1;
			break;
		case DECIDE_NEEDS_CONFIRM:
			k->confirm_tried = true;
			dns = with_former(x, ask_domain(x->asked.ask, f->domain, true));
			if (!dns)
				break;
			facts_free(k->dns);
			k->dns = dns;
			break;
		default:
			return -1;
		}
	}
}

/* With --heard: the scanner's name is known only after a first look. */
static bool hears(struct explain *x, const struct decision *d)
{
	if (!x->heard || d->restraint != RESTRAINT_NEVER_HEARD)
		return false;
	memory_scanner_heard(x->memory, d->scanner, clock_mono_ms());
	return true;
}

int explain_judge(struct explain *x, struct decide_facts *f, struct answers *k, struct decision *d)
{
	int r = judge(x, f, k, d);

	return r == 0 && hears(x, d) ? judge(x, f, k, d) : r;
}

int explain_judge_down(struct explain *x, const struct decide_facts *f, enum dns_supposed how,
		       struct decision *d)
{
	const struct client_names no_names = { .status = DNS_FAILED };
	struct domain_facts dns = {
		.kind = FACTS_FAILED, .domain = f->domain, .fetched_ms = -1, .confirmed_ms = -1
	};
	struct decide_facts down = *f;
	int r;

	if (how == DNS_DOWN_KNOWN && f->dns->kind != FACTS_FAILED) {
		dns = *f->dns;
		dns.stale = true;
		dns.confirmed_ms = -1;
	}
	down.dns = &dns;
	down.names = &no_names;
	down.confirm_tried = true;
	x->dns = how;
	r = decide(&down, d);
	if (r == DECIDE_DONE && hears(x, d))
		r = decide(&down, d);
	asked_deinit(&x->supposed);
	x->dns = DNS_AS_IS;
	return r == DECIDE_DONE ? 0 : -1;
}
