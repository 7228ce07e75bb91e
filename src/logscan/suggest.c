/*
 * --suggest: rows of the configuration for clients that look honest, each with what speaks for it.
 * Only observed and proposed: whether it is right the operator knows. Names come from DNS, so
 * strangers choose them: what is no plain host name is left out.
 */
#include "logscan/summary.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>

static bool is_plain_name(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '.' && c != '-' && c != '_')
			return false;
	}
	return n > 0 && n < 254 && name[0] != '.' && name[0] != '-' && !strstr(name, "..");
}

static void comment(FILE *out, const char *indent, const char *why)
{
	fprintf(out, "%s# ", indent);
	for (; *why; why++)
		fputc(*why < ' ' || *why > '~' ? '?' : *why, out);
	fputc('\n', out);
}

static void span(FILE *out, const char *indent, const struct tally_group *g)
{
	char from[32], to[32];

	fprintf(out,
		"%s# %" PRIu64 " mails from %" PRIu32 " addresses for %" PRIu32
		" domains, %.10s to %.10s\n",
		indent, g->mails, g->clients, g->domains, clock_rfc3339(g->first_ms, from),
		clock_rfc3339(g->last_ms, to));
}

#define LISTED_MAX 16 /* addresses of a network; of more the network is named, as a comment */

/* The clients of a network, each: a whole network is more than what was seen. */
static void list_clients(FILE *out, const struct summary *s, const struct tally_group *g)
{
	const struct book *b = &s->scan->book;
	size_t at = (size_t)(g - s->scan->tally.networks);
	char text[ADDR_STRLEN + 4];

	if (g->clients > LISTED_MAX) {
		fprintf(out, "  # - \"%s\"   (%" PRIu32 " addresses: look at them first)\n",
			prefix_format(&g->network, text), g->clients);
		return;
	}
	for (size_t i = 0; i < b->n_clients; i++)
		if (b->clients[i].network == at)
			fprintf(out, "  - \"%s\"\n", addr_format(&b->clients[i].addr, text));
}

static void suggest_head(const struct summary *s, FILE *out)
{
	const struct prefix_set *set = &s->judge->servers;
	char text[ADDR_STRLEN];
	bool any = false;

	fputs("# Made from logs by `frontdoor logs --suggest`: what looks honest among the mail "
	      "past\n"
	      "# the doors, with the evidence. Look at each row; a wrong one leaves a back door "
	      "open.\n"
	      "# As it stands it observes and refuses nothing. If you have a configuration, take "
	      "over\n"
	      "# the rows below trusted, scanners and domains.\n"
	      "listeners:\n  - mode: tproxy\n",
	      out);
	for (size_t i = 0; i < set->n; i++)
		any = any || !addr_is_private(&set->ranges[i].lo);
	if (!any) {
		fputs("# The mail server's addresses as the world knows them; the logs don't "
		      "tell:\n"
		      "# put yours here.\nserver_addresses: [\"192.0.2.1\"]\n",
		      out);
		return;
	}
	fputs("server_addresses:\n", out);
	for (size_t i = 0; i < set->n; i++)
		if (!addr_is_private(&set->ranges[i].lo) &&
		    addr_eq(&set->ranges[i].lo, &set->ranges[i].hi))
			fprintf(out, "  - \"%s\"\n", addr_format(&set->ranges[i].lo, text));
}

static void suggest_trusted(const struct summary *s, FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < s->n_networks; i++) {
		const struct summary_group *row = &s->networks[i];

		if (row->hint != HINT_MONITOR)
			continue;
		if (!any)
			fputs("trusted:\n  - \"127.0.0.0/8\"\n  - \"::1/128\"\n", out);
		any = true;
		comment(out, "  ", row->why);
		span(out, "  ", row->group);
		list_clients(out, s, row->group);
	}
}

/* One row a domain, with all its devices: a second one would be an error of the configuration. */
static void suggest_domains(const struct summary *s, FILE *out)
{
	const struct book *b = &s->scan->book;
	const struct tally *t = &s->scan->tally;
	char text[ADDR_STRLEN], from[32], to[32];
	bool any = false;

	for (size_t i = 0, end; i < t->n_devices; i = end) {
		const char *name = b->domains[t->devices[i].domain].name;

		for (end = i; end < t->n_devices && t->devices[end].domain == t->devices[i].domain;
		     end++)
			;
		if (!is_plain_name(name))
			continue;
		if (!any)
			fputs("domains:\n  # They send as the domain itself: a printer, a web "
			      "shop, "
			      "the web host.\n",
			      out);
		any = true;
		for (size_t k = i; k < end; k++)
			fprintf(out, "  # %s: %" PRIu32 " mails, %.10s to %.10s\n",
				addr_format(&b->clients[t->devices[k].client].addr, text),
				t->devices[k].mails, clock_rfc3339(t->devices[k].first_ms, from),
				clock_rfc3339(t->devices[k].last_ms, to));
		fprintf(out, "  - {name: \"%s\", allow: [", name);
		for (size_t k = i; k < end; k++)
			fprintf(out, "%s\"%s\"", k > i ? ", " : "",
				addr_format(&b->clients[t->devices[k].client].addr, text));
		fputs("]}\n", out);
	}
}

/* The patterns of a scanner's MX hosts: of the configuration's row, or its parent domain. */
static bool write_mx(const struct summary *s, const char *scanner, FILE *out)
{
	const struct policy *p = s->judge->policy;

	for (size_t i = 0; i < p->n_scanners; i++) {
		if (strcmp(p->scanners[i].name, scanner) != 0)
			continue;
		for (size_t k = 0; k < p->scanners[i].n_mx; k++)
			fprintf(out, "%s\"%s\"", k ? ", " : "", p->scanners[i].mx[k]);
		return p->scanners[i].n_mx > 0;
	}
	fprintf(out, "\"%s\", \"*.%s\"", scanner, scanner);
	return true;
}

static bool is_configured(const struct summary *s, const char *scanner)
{
	const struct policy *p = s->judge->policy;

	for (size_t i = 0; i < p->n_scanners; i++)
		if (strcmp(p->scanners[i].name, scanner) == 0)
			return true;
	return false;
}

static bool is_egress_of(const struct summary *s, const struct summary_group *row,
			 const char *scanner)
{
	const struct book *b = &s->scan->book;

	return row->hint == HINT_SCANNER_EGRESS &&
	       strcmp(book_string(b, row->group->scanner), scanner) == 0 &&
	       is_plain_name(book_string(b, row->group->ptr_domain));
}

static void suggest_scanner(const struct summary *s, const char *scanner, FILE *out)
{
	const struct book *b = &s->scan->book;

	for (size_t i = 0; i < s->n_ptr_domains; i++) {
		if (!is_egress_of(s, &s->ptr_domains[i], scanner))
			continue;
		comment(out, "  ", s->ptr_domains[i].why);
		span(out, "  ", s->ptr_domains[i].group);
	}
	if (is_configured(s, scanner))
		fputs("  # (you have a row of this name: add to its egress what is new here)\n",
		      out);
	fprintf(out, "  - name: \"%s\"\n    mx: [", scanner);
	write_mx(s, scanner, out);
	fputs("]\n    egress: [mx", out);
	/* what an unknown scanner is taken to deliver from must not be lost with a row of its own
	 */
	if (!is_configured(s, scanner))
		fprintf(out, ", \"ptr:%s\"", scanner);
	for (size_t i = 0; i < s->n_ptr_domains; i++)
		if (is_egress_of(s, &s->ptr_domains[i], scanner))
			fprintf(out, ", \"ptr:%s\"",
				book_string(b, s->ptr_domains[i].group->ptr_domain));
	fputs("]\n", out);
}

static void suggest_scanners(const struct summary *s, FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < s->n_scanners; i++) {
		const char *name = s->scanners[i].name;
		bool egress = false;

		for (size_t k = 0; k < s->n_ptr_domains; k++)
			egress = egress || is_egress_of(s, &s->ptr_domains[k], name);
		if (!egress || !is_plain_name(name))
			continue;
		if (!any)
			fputs("scanners:\n", out);
		any = true;
		suggest_scanner(s, name, out);
	}
}

void summary_suggest(const struct summary *s, FILE *out)
{
	suggest_head(s, out);
	suggest_trusted(s, out);
	suggest_scanners(s, out);
	suggest_domains(s, out);
}
