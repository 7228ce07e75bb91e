/* Answers as lines of a file of DNS records, for doors_file.c to read again. */
#include "logscan/doors.h"

#include "dns/lookup.h"

/* A name comes from DNS, where nearly any octet may be in it: one with what begins a comment here
 * gets another octet that is in no name that can be asked for. */
static const char *written(const char *name, char *out)
{
	size_t n = 0;

	for (; name[n] && n + 1 < WIRE_NAME_SIZE + 8; n++)
		out[n] = name[n] == ';' || name[n] == '#' ? '\\' : name[n];
	out[n] = '\0';
	return out;
}

static void write_addrs(FILE *out, const char *name, const struct addr *addrs, size_t n)
{
	char text[ADDR_STRLEN], owner[WIRE_NAME_SIZE + 8];

	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s. %s %s\n", written(name, owner),
			addr_is_v4(&addrs[i]) ? "A" : "AAAA", addr_format(&addrs[i], text));
}

static bool has_family(const struct dns_host *h, bool v4)
{
	for (unsigned i = 0; i < h->n_addrs; i++)
		if (addr_is_v4(&h->addrs[i]) == v4)
			return true;
	return false;
}

/* Of its addresses only: it may be a domain, too, of which more is known. */
static void write_status(FILE *out, const struct dns_host *h)
{
	char name[WIRE_NAME_SIZE + 8];

	written(h->canonical, name);
	if (h->status == DNS_FAILED || h->incomplete) {
		if (!has_family(h, true))
			fprintf(out, "%s. SERVFAIL A\n", name);
		if (!has_family(h, false))
			fprintf(out, "%s. SERVFAIL AAAA\n", name);
	} else if (h->status != DNS_OK) {
		fprintf(out, "%s. %s\n", name, h->status == DNS_NODATA ? "NODATA" : "NXDOMAIN");
	}
}

static void write_host(FILE *out, const struct dns_host *h)
{
	char name[WIRE_NAME_SIZE + 8], canonical[WIRE_NAME_SIZE + 8];

	if (strcmp(h->name, h->canonical) != 0)
		fprintf(out, "%s. CNAME %s.\n", written(h->name, name),
			written(h->canonical, canonical));
	write_addrs(out, h->canonical, h->addrs, h->n_addrs);
	write_status(out, h);
}

static void write_domain(FILE *out, const char *domain, const struct domain_facts *facts)
{
	char name[WIRE_NAME_SIZE + 8];

	switch (facts->kind) {
	case FACTS_MX:
		for (unsigned i = 0; i < facts->n_hosts; i++) {
			fprintf(out, "%s. %u IN MX %u %s.\n", domain, facts->ttl,
				facts->hosts[i].preference, written(facts->hosts[i].name, name));
			write_host(out, &facts->hosts[i]);
		}
		break;
	case FACTS_ADDRESS:
		write_host(out, &facts->hosts[0]);
		break;
	case FACTS_NULL_MX:
		fprintf(out, "%s. MX 0 .\n", domain);
		break;
	case FACTS_NOTHING:
		fprintf(out, "%s. %s\n", domain, facts->nxdomain ? "NXDOMAIN" : "NODATA");
		break;
	case FACTS_FAILED:
		fprintf(out, "%s. SERVFAIL MX\n", domain);
		break;
	}
}

static void write_client(FILE *out, const struct addr *client, const struct client_names *names)
{
	char reverse[WIRE_NAME_SIZE], name[WIRE_NAME_SIZE + 8];

	lookup_reverse_name(client, reverse);
	if (names->n == 0)
		fprintf(out, "%s. %s\n", reverse,
			names->status == DNS_FAILED ? "SERVFAIL" : "NXDOMAIN");
	for (unsigned i = 0; i < names->n; i++) {
		fprintf(out, "%s. PTR %s.\n", reverse, written(names->names[i], name));
		write_addrs(out, names->names[i], client, 1);
	}
}

static struct addr addr_next(const struct addr *a)
{
	struct addr next = *a;

	for (int i = 15; i >= 0 && ++next.b[i] == 0; i--)
		;
	return next;
}

static void write_spf(FILE *out, const char *name, const struct egress_source *s)
{
	char text[ADDR_STRLEN + 4];

	fprintf(out, "%s. TXT \"v=spf1\"", name);
	for (size_t i = 0; i < s->set.n; i++) {
		struct addr at = s->set.ranges[i].lo, last;
		struct prefix p;

		/* a range is one prefix, but where one was merged with what it overlaps */
		while (prefix_set_match(&s->set, &at, &p)) {
			fprintf(out, " \" %s:%s\"", addr_is_v4(&at) ? "ip4" : "ip6",
				prefix_format(&p, text));
			last = prefix_last(&p);
			if (addr_cmp(&last, &s->set.ranges[i].hi) >= 0)
				break;
			at = addr_next(&last);
		}
	}
	/* something that can't be expanded, so that it is incomplete again */
	if (s->incomplete)
		fprintf(out, " \" exists:%%{i}.left-out.invalid\"");
	fprintf(out, " \" -all\"\n");
}

/* What it expands to, not what it was made of: no other name is needed to read it again. */
static void write_source(FILE *out, const char *key, const struct egress_source *s)
{
	const char *name = strchr(key, ':') + 1;
	bool spf = strncmp(key, "spf:", 4) == 0, host = strncmp(key, "host:", 5) == 0;

	if (s->status == SOURCE_NONE) {
		fprintf(out, "%s. NODATA\n", name);
	} else if (s->status == SOURCE_FAILED) {
		fprintf(out, "%s. SERVFAIL %s\n", name, spf ? "TXT" : "A");
		if (host)
			fprintf(out, "%s. SERVFAIL AAAA\n", name);
	} else if (spf) {
		write_spf(out, name, s);
	} else if (host) {
		for (size_t i = 0; i < s->set.n; i++)
			write_addrs(out, name, &s->set.ranges[i].lo, 1);
		if (s->incomplete)
			fprintf(out, "%s. SERVFAIL A\n%s. SERVFAIL AAAA\n", name, name);
	} else {
		fprintf(out, "%s. A 127.0.0.2\n", name);
	}
}

void doors_write(FILE *out, const struct doors_question *q)
{
	const struct door_names *names = q->answer;
	char name[WIRE_NAME_SIZE + 8];

	if (!q->answer)
		return;
	switch (q->kind) {
	case RESOLVER_CLIENT:
		write_client(out, &q->client, q->answer);
		return;
	case RESOLVER_NAMES:
		for (size_t i = 0; i < DOOR_NAME_COUNT; i++) {
			snprintf(name, sizeof(name), "%s%s", lookup_name_labels[i], q->domain);
			write_addrs(out, name, names->addrs[i], names->n[i]);
		}
		return;
	case RESOLVER_SOURCE:
		write_source(out, q->domain, q->answer);
		return;
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		break;
	}
	write_domain(out, q->domain, q->answer);
}
