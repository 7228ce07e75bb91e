#include "cli/describe.h"
#include "cli/prefixes.h"

#include "dns/lookup.h"

static const char *const reason_words[REASON_COUNT] = {
	[REASON_AUTHENTICATED] = "the client has logged in",
	[REASON_TRUSTED] = "the client is in trusted",
	[REASON_POSTMASTER] = "bare postmaster must always be reachable",
	[REASON_NOT_HOSTED] = "not known to be hosted here, so the mail server judges",
	[REASON_SELF] = "its MX is this server",
	[REASON_IMPLICIT_MX] = "it has no MX, and its address is this server's",
	[REASON_BACKUP] = "this server is a backup MX of it",
	[REASON_INGRESS] = "the client is an address of its MX",
	[REASON_EGRESS] = "the client is in the scanner's prefixes",
	[REASON_PTR] = "the client's confirmed name is the scanner's",
	[REASON_ALLOWED] = "the client is in the domain's allow",
	[REASON_ADDRESS] = "it has no MX, and the client is its own address",
	[REASON_UNKNOWN_DOMAIN] = "it has neither MX nor address (on_unknown_domain)",
	[REASON_NOT_EGRESS] = "direct delivery: the client is not the scanner that its MX names",
	[REASON_NOT_ADDRESS] = "direct delivery: it has no MX, and the client is not its address",
	[REASON_NULL_MX] = "null MX: the domain takes no mail",
	[REASON_DNS_FAILURE] = "its door can't be found out: trouble with DNS",
	[REASON_PTR_FAILURE] = "the client's name can't be found out: trouble with DNS",
	[REASON_LITERAL] = "an address without a domain name",
	[REASON_SHARED_EGRESS] = "the client is where all customers of the provider send from",
	[REASON_GRACE] = "the client belongs to the MX set of before, which caches may still hold",
	[REASON_RETRIED] = "the client's network has come again and again, as mail servers do",
	[REASON_BACKUP_CLOSED] = "this server is a backup MX of it, and the primary answers",
	[REASON_AUTH_REQUIRED] = "the listener takes mail of users who log in only",
};

static const char *const restraint_words[RESTRAINT_COUNT] = {
	[RESTRAINT_NONE] = "",
	[RESTRAINT_GUESSED] =
		"the scanner's egress is only guessed, so guessed_action applies, "
		"until it is proven (policy.prove); or put the scanner into scanners:",
	[RESTRAINT_LISTED] = "the catalogue alone justifies no more than defer, until the scanner "
			     "is proven (policy.prove)",
	[RESTRAINT_RIVAL] = "the client's network carries much of this scanner's mail, or its "
			    "name is the scanner's or can't be found out: it may be a part of it "
			    "that isn't known (frontdoor scanners --accept, --deny)",
	[RESTRAINT_NEVER_HEARD] =
		"no mail from this scanner was accepted in 7 days (--heard: as if "
		"there had been)",
	[RESTRAINT_UNCONFIRMED] = "the domain's own name servers did not confirm the door just now",
	[RESTRAINT_PRIVATE] = "the server's address is private and server_addresses is empty: "
			      "behind NAT no domain looks like our own",
	[RESTRAINT_IDENTITY] =
		"many hosted domains lead to one foreign address: is it this server?",
	[RESTRAINT_GRACE] =
		"the domain's MX set has changed, and caches may still hold the former one",
	[RESTRAINT_QUIET] = "much less mail than usual comes from this scanner's egress just now: "
			    "it may have moved",
	[RESTRAINT_PARTIAL] = "a source of the scanner's egress has terms that are no addresses "
			      "(frontdoor scanners MXHOST shows them)",
	[RESTRAINT_SHARE] = "the domain is not of the share that is enforced for so far "
			    "(policy.enforce)",
	[RESTRAINT_STOPPED] = "enforcing has stopped by itself (frontdoor status says why)",
	[RESTRAINT_STARTTLS] = "the backend's STARTTLS passes by frontdoor",
	[RESTRAINT_STALE] = "DNS can't be asked just now; what was last known counts",
};

static const char *verdict_word(const struct decision *d)
{
	switch (d->action) {
	case ACTION_DEFER:
		return "deferred";
	case ACTION_REJECT:
		return "rejected";
	case ACTION_TARPIT:
		return "rejected, slowly";
	case ACTION_TAG:
		return "passes with a tag";
	case ACTION_OBSERVE:
		return "passes, observed";
	case ACTION_UNSET:
	case ACTION_PASS:
	case ACTION_SCAN:
	case ACTION_DIVERT:
	case ACTION_COUNT:
		break;
	}
	return "passes";
}

void describe_verdict(FILE *out, const struct decision *d)
{
	fprintf(out, "%s: %s [%s]", verdict_word(d), reason_words[d->reason],
		reason_name(d->reason));
}

void describe_restraint(FILE *out, const struct decision *d)
{
	char text[ADDR_STRLEN];

	if (d->restraint == RESTRAINT_NONE)
		return;
	bool own = d->restraint == RESTRAINT_GUESSED && d->door == DOOR_ELSEWHERE;

	fprintf(out, "  restraint   %s instead of %s: %s", action_name(d->action),
		action_name(d->wanted),
		own ? "a domain without MX counts as guessed, so guessed_action applies"
		    : restraint_words[d->restraint]);
	if (d->restraint == RESTRAINT_IDENTITY)
		fprintf(out, " server_addresses: [%s]", addr_format(&d->meets, text));
	fprintf(out, " [%s]\n", restraint_name(d->restraint));
}

static const char *door_words(const struct decision *d)
{
	switch (d->door) {
	case DOOR_SCANNER:
		return "a scanner's";
	case DOOR_SELF:
		return "this server";
	case DOOR_BACKUP:
		return "another server's; this one is the backup";
	case DOOR_ELSEWHERE:
		return "no MX; its address is another machine's";
	case DOOR_NULL:
		return "none: null MX";
	case DOOR_UNKNOWN:
		return "no MX and no address";
	case DOOR_DNS:
		return "not known: DNS gives no answer";
	case DOOR_KIND_COUNT:
		break;
	}
	return "?";
}

static void describe_host(FILE *out, const struct decide_facts *f, enum facts_kind kind,
			  const struct dns_host *h)
{
	char text[ADDR_STRLEN];

	if (kind == FACTS_MX)
		fprintf(out, "              MX %u %s", h->preference, h->name);
	else
		fprintf(out, "              %s", h->name);
	if (h->canonical && strcmp(h->canonical, h->name) != 0)
		fprintf(out, " (alias of %s)", h->canonical);
	fputc(':', out);
	for (unsigned i = 0; i < h->n_addrs; i++)
		fprintf(out, " %s%s", addr_format(&h->addrs[i], text),
			server_address_is(f, &h->addrs[i])  ? " (this server)"
			: addr_eq(&h->addrs[i], &f->client) ? " (the client)"
							    : "");
	if (h->status == DNS_FAILED)
		fputs(" look-up failed", out);
	else if (h->n_addrs == 0)
		fputs(" no address", out);
	else if (h->incomplete)
		fputs(" and perhaps more: a look-up failed", out);
	if (h->ptr && h->ptr[0])
		fprintf(out, ", named %s", h->ptr);
	fputc('\n', out);
}

static void describe_hosts(FILE *out, const struct decide_facts *f, enum facts_kind kind,
			   const struct dns_host *hosts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		describe_host(out, f, kind, &hosts[i]);
}

static void describe_former(FILE *out, const struct decide_facts *f)
{
	if (!door_has_former(f))
		return;
	fprintf(out, "  before      for %lld s more senders may go by this one:\n",
		(long long)(f->dns->former_until_ms - f->now_ms) / 1000);
	describe_hosts(out, f, f->dns->former_kind, f->dns->former, f->dns->n_former);
}

static void describe_settled(FILE *out, const char *word, const struct prefix_set *set)
{
	if (!set)
		return;
	fprintf(out, "  %-11s ", word);
	prefixes_write(set, out);
	fputc('\n', out);
}

static void describe_scanner(FILE *out, const struct description *what,
			     const struct scanner_view *s)
{
	const struct tenant *t = s->owner.tenant;

	fprintf(out, "  scanner     %s%s, %s: ", s->former ? "before: " : "", s->name,
		grade_name(s->known.grade));
	owner_write_from(&s->owner, out);
	fputc('\n', out);
	if (t && !t->shared)
		fputs("              its egress is bound to the customer that the MX names\n", out);
	fputs("  egress      ", out);
	egress_view_write(&s->egress, out, 14);
	if (s->known.seen && s->known.grade != GRADE_CONFIGURED) {
		fputs("  proof       ", out);
		known_write_proof(&s->known.proof, &what->facts->policy->prove, out);
		fputc('\n', out);
	}
	describe_settled(out, "denied", s->known.denied);
}

static void describe_match(FILE *out, const struct door_view *v)
{
	const struct scanner_view *s = NULL;
	const struct egress_part *p = door_view_match(v, &s);
	char text[ADDR_STRLEN + 4];

	if (!p)
		return;
	fprintf(out, "  matched     %s of %s", p->text, s ? s->name : "the domain's allow");
	if (p->match.bits > 0)
		fprintf(out, ", by %s", prefixes_format(&p->match, text));
	fputc('\n', out);
}

static void describe_client(FILE *out, const struct decide_facts *f)
{
	char text[ADDR_STRLEN];

	fprintf(out, "  client      %s", addr_format(&f->client, text));
	if (f->names && f->names->status == DNS_FAILED)
		fputs(", its name can't be found out", out);
	else if (f->names && f->names->n == 0)
		fputs(", no confirmed name", out);
	for (unsigned i = 0; f->names && i < f->names->n; i++)
		fprintf(out, "%s %s%s", i ? "," : ", named", f->names->names[i],
			name_is_generic(f->names->names[i], &f->client)
				? " (a name that spells out the address)"
				: "");
	fputc('\n', out);
}

static void describe_names(FILE *out, const struct description *what)
{
	int found = 0;

	if (!what->names)
		return;
	for (int i = 0; i < DOOR_NAME_COUNT; i++) {
		bool ours = false;

		for (unsigned k = 0; k < what->names->n[i]; k++)
			ours = ours || server_address_is(what->facts, &what->names->addrs[i][k]);
		if (ours)
			fprintf(out, "%s%s%s", found++ ? ", " : "  back doors  ",
				lookup_name_labels[i], what->facts->domain);
	}
	fputs(found ? " lead to this server\n"
		    : "  back doors  none of the usual names leads here\n",
	      out);
}

void describe_door(FILE *out, const struct description *what)
{
	const struct decide_facts *f = what->facts;
	const struct domain_facts *dns = f->dns;

	if (!dns) /* the verdict did not need it */
		return;
	fprintf(out, "  door        %s [%s]", door_words(what->decision),
		door_kind_name(what->decision->door));
	if (dns->kind == FACTS_MX)
		fprintf(out, ", TTL %u s", dns->ttl);
	if (dns->confirmed_ms >= 0)
		fputs(", confirmed at its own name servers", out);
	if (dns->stale)
		fputs(", last known: a refresh failed", out);
	fputc('\n', out);
	describe_hosts(out, f, dns->kind, dns->hosts, dns->n_hosts);
	if (dns->aa)
		fputs("              the resolver answers with authority: a local zone there\n",
		      out);
	describe_former(out, f);
	for (size_t i = 0; what->view && i < what->view->n; i++)
		describe_scanner(out, what, &what->view->scanners[i]);
	if (what->view && what->view->allowed.n > 0) {
		fputs("  allow       ", out);
		egress_view_write(&what->view->allowed, out, 14);
	}
	if (what->view)
		describe_match(out, what->view);
	describe_client(out, f);
	describe_names(out, what);
}
