/* frontdoor scanners HOST...: whose an MX host is, how that is known, and its egress as it is now.
 */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/egress_view.h"
#include "cli/known.h"

#include <errno.h>
#include <stdlib.h>

/* All that is said of one host. */
struct host_view {
	const struct domain_facts *facts; /* of ask_host() */
	const struct dns_host *host;
	struct door_owner owner;
	struct egress_view egress;
	struct known known;
};

static void write_addresses(const struct dns_host *h)
{
	char text[ADDR_STRLEN];

	fputs("  addresses   ", stdout);
	for (unsigned i = 0; i < h->n_addrs; i++)
		printf("%s%s", i ? " " : "", addr_format(&h->addrs[i], text));
	if (h->status == DNS_FAILED)
		fputs("the look-up failed", stdout);
	else if (h->status == DNS_NXDOMAIN)
		fputs("none: there is no such name", stdout);
	else if (h->n_addrs == 0)
		fputs("none", stdout);
	else if (h->incomplete)
		fputs(" and perhaps more: a look-up failed", stdout);
	if (strcmp(h->canonical, h->name) != 0)
		printf(", alias of %s", h->canonical);
	if (h->ptr[0])
		printf(", named %s", h->ptr);
	putchar('\n');
}

static void write_tenant(const struct door_owner *o)
{
	const struct tenant *t = o->tenant;

	if (!t)
		return;
	printf("  tenant      %s",
	       t->shared ? "a region of the provider's" : "bound to this one's own");
	if (t->spf)
		printf(" %s", t->spf);
	if (t->exists)
		printf(" exists:%s", t->exists);
	if (t->ptr)
		fputs(" and names", stdout);
	putchar('\n');
}

static void write_text(const struct knowledge *k, const struct host_view *v)
{
	printf("%s\n  scanner     %s, %s: ", v->host->name, v->known.name,
	       grade_name(v->known.grade));
	owner_write_from(&v->owner, stdout);
	putchar('\n');
	write_addresses(v->host);
	write_tenant(&v->owner);
	fputs("  egress      ", stdout);
	egress_view_write(&v->egress, stdout, 14);
	if (v->known.seen) {
		fputs("  proof       ", stdout);
		known_write_proof(&v->known.proof, &k->conf->policy.prove, stdout);
		putchar('\n');
	}
	if (v->known.denied) {
		fputs("  denied      ", stdout);
		prefixes_write(v->known.denied, stdout);
		putchar('\n');
	}
}

static int write_json(const struct host_view *v)
{
	static const char *const statuses[] = { [DNS_OK] = "known",
						[DNS_NODATA] = "none",
						[DNS_NXDOMAIN] = "none",
						[DNS_FAILED] = "failed" };
	const struct dns_host *h = v->host;
	json_t *addresses = json_array(), *o = known_json(&v->known), *more;
	char text[ADDR_STRLEN];
	int r;

	for (unsigned i = 0; i < h->n_addrs; i++)
		json_array_append_new(addresses, json_string(addr_format(&h->addrs[i], text)));
	more = json_pack("{s:s, s:s, s:o, s:o, s:s, s:o, s:b, s:o, s:o, s:o}", "host", h->name,
			 "known_by", owner_from_name(v->owner.from), "told_by",
			 text_json(v->owner.told_by), "name",
			 text_json(v->owner.row ? v->owner.row->name : NULL), "status",
			 statuses[h->status], "addresses", addresses, "incomplete", h->incomplete,
			 "canonical", text_json(h->canonical), "ptr", text_json(h->ptr), "tenant",
			 owner_tenant_json(&v->owner));
	r = json_object_update_new(more, o);
	json_object_set_new(more, "egress", egress_view_json(&v->egress));
	if (r == 0)
		r = json_dumpf(more, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(more);
	return r;
}

/* 0; 1: DNS gave no answer, or no whole one; -errno. */
static int show(const struct knowledge *k, struct asked *asked, bool json, const char *name)
{
	struct domain_facts *facts = ask_host(asked->ask, name);
	struct host_view v = { .facts = facts };
	char owner_name[DECISION_NAME_MAX];
	int r;

	if (!facts)
		return -ENOMEM;
	v.host = &facts->hosts[0];
	door_owner_of_host(&k->conf->policy, v.host, &v.owner);
	snprintf(owner_name, sizeof(owner_name), SV_FMT, SV_ARG(v.owner.name));
	r = known_of(k, owner_name, &v.known);
	if (r == 0) {
		const struct egress_query q = { .owner = &v.owner,
						.hosts = &v.host,
						.n_hosts = 1,
						.asked = asked,
						.accepted = v.known.accepted };

		r = egress_view_gather(&q, &v.egress);
		if (r == 0 && json)
			r = write_json(&v);
		else if (r == 0)
			write_text(k, &v);
		if (r == 0)
			r = v.host->status == DNS_FAILED || egress_view_has_failed(&v.egress);
		egress_view_deinit(&v.egress);
		known_deinit(&v.known);
	}
	facts_free(facts);
	return r;
}

static int show_all(const struct knowledge *k, bool json, char **hosts)
{
	struct asked asked = { 0 };
	char name[256];
	int status = CLI_DONE;

	if (ask_open(k->conf, &asked.ask) < 0) {
		fputs("the resolver can't be started\n", stderr);
		return CLI_FAILED;
	}
	for (; *hosts; hosts++) {
		(void)domain_to_ascii(sv_from(*hosts), name); /* it was tried before */
		if (show(k, &asked, json, name) != 0)
			status = CLI_FAILED;
		if (hosts[1] && !json)
			putchar('\n');
	}
	asked_deinit(&asked);
	ask_close(asked.ask);
	return status;
}

int known_hosts(const struct conf *conf, bool json, char **hosts)
{
	struct knowledge k;
	int status = CLI_FAILED;
	char name[256];

	for (char **h = hosts; *h; h++) {
		if (domain_to_ascii(sv_from(*h), name) == 0 && strchr(name, '.'))
			continue;
		fprintf(stderr,
			"%s: no host name; accepted: the name of an MX host, as mx.example.org\n",
			*h);
		return CLI_USAGE;
	}
	if (knowledge_open(conf, &k) == 0)
		status = show_all(&k, json, hosts);
	knowledge_close(&k);
	return status;
}
