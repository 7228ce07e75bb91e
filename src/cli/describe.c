#include "cli/describe.h"

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
	[REASON_AUTH_REQUIRED] = "the listener takes mail of users who log in only",
};

static const char *const restraint_words[RESTRAINT_COUNT] = {
	[RESTRAINT_NONE] = "",
	[RESTRAINT_GUESSED] =
		"the scanner's egress is only guessed, so guessed_action applies, "
		"until it is proven (policy.prove); or put the scanner into scanners:",
	[RESTRAINT_LISTED] = "the catalogue alone justifies no more than defer",
	[RESTRAINT_RIVAL] = "the client's network carries much of this scanner's mail, and may be "
			    "a part of it that isn't known; if it is: scanners.egress",
	[RESTRAINT_NEVER_HEARD] =
		"no mail from this scanner was accepted in 7 days (--heard: as if "
		"there had been)",
	[RESTRAINT_UNCONFIRMED] = "the domain's own name servers did not confirm the door just now",
	[RESTRAINT_PRIVATE] = "the server's address is private and server_addresses is empty: "
			      "behind NAT no domain looks like our own",
	[RESTRAINT_IDENTITY] =
		"many hosted domains lead to one foreign address: is it this server?",
	[RESTRAINT_STARTTLS] = "the backend's STARTTLS passes by frontdoor",
	[RESTRAINT_STALE] = "DNS can't be asked just now; the door is the last known one",
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
	fprintf(out, "  restraint   %s instead of %s: %s", action_name(d->action),
		action_name(d->wanted), restraint_words[d->restraint]);
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

static void describe_host(FILE *out, const struct decide_facts *f, const struct dns_host *h)
{
	char text[ADDR_STRLEN];

	if (f->dns->kind == FACTS_MX)
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
	fputc('\n', out);
}

static void describe_scanner(FILE *out, const struct decide_facts *f, const struct decision *d)
{
	const struct policy *p = f->policy;

	if (d->door != DOOR_SCANNER)
		return;
	fprintf(out, "  scanner     %s, %s: ", d->scanner, grade_name(d->grade));
	for (size_t i = 0; i < p->n_scanners; i++) {
		const struct scanner *s = &p->scanners[i];

		if (strcmp(s->name, d->scanner) != 0)
			continue;
		fprintf(out, "delivers from its MX addresses%s%s",
			s->cidrs.n ? ", its prefixes" : "", s->n_ptr ? ", hosts named below" : "");
		for (size_t k = 0; k < s->n_ptr; k++)
			fprintf(out, " %s", s->ptr[k]);
		fputs(s->egress_default_ptr
			      ? ", hosts named below the MX hosts' parent domain (scanners:)\n"
			      : " (scanners:)\n",
		      out);
		return;
	}
	struct sv parent = scanner_parent_domain(d->mx);

	fputs("not configured; taken to deliver from its MX addresses", out);
	if (parent.n > 0)
		fprintf(out, " and hosts named below " SV_FMT, SV_ARG(parent));
	fputc('\n', out);
}

static void describe_span(FILE *out, int64_t ms)
{
	long long hours = (long long)(ms / 3600000);

	if (hours >= 72)
		fprintf(out, "%lld days", hours / 24);
	else
		fprintf(out, "%lld h", hours);
}

static void describe_rival(FILE *out, const struct proof_state *p)
{
	const struct proof_rival *r = p->rivals;
	char network[ADDR_STRLEN + 4];

	if (p->n_rivals == 0)
		return;
	fprintf(out, "; %s%s", r->related ? "related rival " : "rival ",
		prefix_format(&r->network, network));
	if (r->ptr_domain)
		fprintf(out, " (%s)", r->ptr_domain);
	fprintf(out, " with %.0f %% of the mail for %u domain%s", 100 * r->share, r->domains,
		r->domains == 1 ? "" : "s");
	if (p->n_rivals > 1)
		fprintf(out, ", and %zu more", p->n_rivals - 1);
}

/* One line: the numbers, and what is lacking. */
static void describe_proof(FILE *out, const struct description *what)
{
	const struct proof_conf *conf = &what->facts->policy->prove;
	const struct proof_state *p = what->proof;

	if (!p || what->decision->door != DOOR_SCANNER || what->decision->grade == GRADE_CONFIGURED)
		return;
	fprintf(out, "  proof       %s: %llu message%s over ",
		p->outcome == PROOF_PROVEN  ? "proven"
		: p->outcome == PROOF_RIVAL ? "not proven, since its egress has grown"
					    : "not proven yet",
		(unsigned long long)p->inside, p->inside == 1 ? "" : "s");
	describe_span(out, p->last_ms - p->first_ms);
	fputs(" from inside", out);
	if (p->lacks & (PROOF_LACKS_MAILS | PROOF_LACKS_HOURS))
		fprintf(out, " (needed: %d over %d h)", conf->mails, conf->hours);
	if (p->domains > 0)
		fprintf(out, ", %.0f %% of what named clients brought for %zu domain%s%s",
			100 * p->share, p->domains, p->domains == 1 ? "" : "s",
			p->lacks & PROOF_LACKS_SHARE ? " (needed: 50 %)" : "");
	describe_rival(out, p);
	if (p->ask_operator)
		fputs("; undecided for 14 days: put it into scanners: with its egress", out);
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
	for (unsigned i = 0; i < dns->n_hosts; i++)
		describe_host(out, f, &dns->hosts[i]);
	if (dns->aa)
		fputs("              the resolver answers with authority: a local zone there\n",
		      out);
	describe_scanner(out, f, what->decision);
	describe_proof(out, what);
	describe_client(out, f);
	describe_names(out, what);
}
