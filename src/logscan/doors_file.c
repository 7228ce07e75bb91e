/*
 * Doors from a file of DNS records. What a set of records means is what dns/lookup.c makes of the
 * same answers: MX set, implicit MX, null MX; CNAMEs followed.
 */
#include "logscan/doors_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "dns/lookup.h"
#include "logscan/index.h"

#include <errno.h>
#include <stdlib.h>

#define CHAIN_MAX 8
#define LIFE_MS   (365 * 24 * 3600 * 1000LL)

enum file_type {
	TYPE_MX,
	TYPE_A,
	TYPE_AAAA,
	TYPE_CNAME,
	TYPE_PTR,
	TYPE_NXDOMAIN,
	TYPE_NODATA,
	TYPE_SERVFAIL,
	TYPE_ANY, /* what a SERVFAIL without a type is of */
};

static const char *const type_names[] = {
	[TYPE_MX] = "MX",         [TYPE_A] = "A",
	[TYPE_AAAA] = "AAAA",     [TYPE_CNAME] = "CNAME",
	[TYPE_PTR] = "PTR",       [TYPE_NXDOMAIN] = "NXDOMAIN",
	[TYPE_NODATA] = "NODATA", [TYPE_SERVFAIL] = "SERVFAIL",
};

struct record {
	uint32_t next; /* of the same name; INDEX_NONE */
	uint8_t type;
	uint16_t preference; /* of a SERVFAIL: enum file_type that the look-up was for */
	union {
		struct addr addr;
		uint32_t name; /* position in strings */
	};
};

struct name {
	uint32_t string;
	uint32_t records;
};

struct doors_file {
	struct name *names;
	size_t n_names, alloc_names;
	struct index index;
	struct record *records;
	size_t n_records, alloc_records;
	char *strings;
	size_t n_strings, alloc_strings;
};

void doors_file_free(struct doors_file *f)
{
	if (!f)
		return;
	index_deinit(&f->index);
	free(f->names);
	free(f->records);
	free(f->strings);
	free(f);
}

/* ---- reading ---- */

static bool same_name(const void *user, uint32_t at, const void *key)
{
	const struct doors_file *f = user;

	return strcmp(f->strings + f->names[at].string, key) == 0;
}

static uint32_t find_name(const struct doors_file *f, const char *name)
{
	return index_find(&f->index, map_hash(sv_from(name)), same_name, f, name);
}

static int grow(void *array, size_t n, size_t *alloc, size_t size)
{
	void **rows = array;
	void *p;

	if (n <= *alloc)
		return 0;
	*alloc = n + n / 2 + 64;
	p = reallocarray(*rows, *alloc, size);
	if (!p)
		return -ENOMEM;
	*rows = p;
	return 0;
}

static int add_string(struct doors_file *f, const char *s, uint32_t *ret_at)
{
	size_t n = strlen(s) + 1;

	if (f->n_strings + n > UINT32_MAX ||
	    grow(&f->strings, f->n_strings + n, &f->alloc_strings, 1) < 0)
		return -ENOMEM;
	memcpy(f->strings + f->n_strings, s, n);
	*ret_at = (uint32_t)f->n_strings;
	f->n_strings += n;
	return 0;
}

static int add_name(struct doors_file *f, const char *name, uint32_t *ret_at)
{
	uint32_t at = find_name(f, name), string;

	if (at == INDEX_NONE) {
		at = (uint32_t)f->n_names;
		if (grow(&f->names, f->n_names + 1, &f->alloc_names, sizeof(*f->names)) < 0 ||
		    add_string(f, name, &string) < 0 ||
		    index_add(&f->index, map_hash(sv_from(name)), at) < 0)
			return -ENOMEM;
		f->names[f->n_names++] = (struct name) { string, INDEX_NONE };
	}
	*ret_at = at;
	return 0;
}

static bool same_record(const struct doors_file *f, const struct record *have,
			const struct record *record, const char *target)
{
	if (have->type != record->type || have->preference != record->preference)
		return false;
	return target ? strcmp(f->strings + have->name, target) == 0
		      : addr_eq(&have->addr, &record->addr);
}

/* Once: what is written of many domains has the addresses of their common MX hosts many times. */
static int add_record(struct doors_file *f, const char *owner, const struct record *record,
		      const char *target)
{
	struct record r = *record;
	uint32_t at;

	if (add_name(f, owner, &at) < 0)
		return -ENOMEM;
	for (uint32_t i = f->names[at].records; i != INDEX_NONE; i = f->records[i].next)
		if (same_record(f, &f->records[i], record, target))
			return 0;
	if (grow(&f->records, f->n_records + 1, &f->alloc_records, sizeof(*f->records)) < 0 ||
	    (target && add_string(f, target, &r.name) < 0))
		return -ENOMEM;
	r.next = f->names[at].records;
	f->names[at].records = (uint32_t)f->n_records;
	f->records[f->n_records++] = r;
	return 0;
}

/* The next word of *line; empty at its end. */
static struct sv word(struct sv *line)
{
	size_t n = 0;
	struct sv w;

	while (line->n > 0 && (line->p[0] == ' ' || line->p[0] == '\t'))
		*line = (struct sv) { line->p + 1, line->n - 1 };
	while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
		n++;
	w = (struct sv) { line->p, n };
	*line = (struct sv) { line->p + n, line->n - n };
	return w;
}

/* A name in lower case without its last dot, into out[WIRE_NAME_SIZE]. */
static int read_name(struct sv w, char *out)
{
	if (w.n > 0 && w.p[w.n - 1] == '.')
		w.n--;
	if (w.n >= WIRE_NAME_SIZE || memchr(w.p, '\0', w.n))
		return -EINVAL;
	for (size_t i = 0; i < w.n; i++)
		out[i] = ascii_lower(w.p[i]);
	out[w.n] = '\0';
	return 0;
}

static size_t find_type(struct sv w)
{
	size_t type = 0;

	while (type < ARRAY_SIZE(type_names) && !sv_eq_nocase(w, sv_from(type_names[type])))
		type++;
	return type;
}

static const char *read_failed(struct sv w, struct record *r)
{
	size_t type = w.n ? find_type(w) : TYPE_ANY;

	if (w.n > 0 && type > TYPE_AAAA && type != TYPE_PTR)
		return "no type; accepted: NAME SERVFAIL [MX|A|AAAA|PTR]";
	r->preference = (uint16_t)type;
	return NULL;
}

static const char *read_data(struct sv *rest, struct record *r, char *target)
{
	uint64_t preference;

	switch ((enum file_type)r->type) {
	case TYPE_MX:
		if (sv_to_u64(word(rest), UINT16_MAX, &preference) < 0)
			return "no preference; accepted: NAME MX NUMBER HOST";
		r->preference = (uint16_t)preference;
		break;
	case TYPE_A:
	case TYPE_AAAA:
		if (addr_parse(word(rest), &r->addr) < 0 ||
		    addr_is_v4(&r->addr) != (r->type == TYPE_A))
			return "no address of that family; accepted: NAME A 192.0.2.1, "
			       "NAME AAAA 2001:db8::1";
		return NULL;
	case TYPE_NXDOMAIN:
	case TYPE_NODATA:
		return NULL;
	case TYPE_SERVFAIL:
		return read_failed(word(rest), r);
	case TYPE_CNAME:
	case TYPE_PTR:
	case TYPE_ANY:
		break;
	}
	struct sv name = word(rest);

	return name.n == 0 || read_name(name, target) < 0 ? "no name; accepted: NAME TYPE HOST"
							  : NULL;
}

/* NULL, or what is wrong; "" : no memory. */
static const char *read_line(struct doors_file *f, struct sv line)
{
	static const char accepted[] = "no record; accepted: NAME [TTL] [IN] "
				       "MX|A|AAAA|CNAME|PTR DATA, NAME NXDOMAIN|NODATA|SERVFAIL";
	char owner[WIRE_NAME_SIZE], target[WIRE_NAME_SIZE] = "";
	struct record r = { 0 };
	uint64_t ttl;
	const char *fault;
	size_t type;
	struct sv w;

	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] == ';' || line.p[i] == '#')
			line.n = i;
	w = word(&line);
	if (w.n == 0)
		return NULL;
	if (read_name(w, owner) < 0)
		return "no name; accepted: up to 255 octets";
	w = word(&line);
	if (sv_to_u64(w, UINT32_MAX, &ttl) == 0)
		w = word(&line);
	if (sv_eq_nocase(w, SV("IN")))
		w = word(&line);
	type = find_type(w);
	if (type == ARRAY_SIZE(type_names))
		return accepted;
	r.type = (uint8_t)type;
	fault = read_data(&line, &r, target);
	if (fault)
		return fault;
	if (word(&line).n > 0)
		return accepted;
	bool named = type == TYPE_MX || type == TYPE_CNAME || type == TYPE_PTR;

	return add_record(f, owner, &r, named ? target : NULL) < 0 ? "" : NULL;
}

static int read_file(struct doors_file *f, const char *file, FILE *in, FILE *err)
{
	CLEANUP(cleanup_free) char *line = NULL;
	size_t alloc = 0, number = 0;
	ssize_t n;
	int r = 0;

	while ((n = getline(&line, &alloc, in)) >= 0) {
		struct sv v = { line, (size_t)n };
		const char *fault;

		number++;
		while (v.n > 0 && (v.p[v.n - 1] == '\n' || v.p[v.n - 1] == '\r'))
			v.n--;
		fault = read_line(f, v);
		if (!fault)
			continue;
		if (!*fault)
			return -ENOMEM;
		fprintf(err, "%s:%zu: %s\n", file, number, fault);
		r = -EINVAL;
	}
	if (ferror(in)) {
		r = -errno;
		fprintf(err, "%s: %s\n", file, strerror(errno));
	}
	return r;
}

int doors_open_file(const char *file, FILE *err, struct doors **ret_doors)
{
	struct doors *d = calloc(1, sizeof(*d));
	FILE *in;
	int r = -ENOMEM;

	if (!d || !(d->file = calloc(1, sizeof(*d->file)))) {
		free(d);
		return r;
	}
	in = fopen(file, "re");
	if (in) {
		r = read_file(d->file, file, in, err);
		fclose(in);
	} else {
		r = -errno;
		fprintf(err, "%s: %s\n", file, strerror(errno));
	}
	if (r < 0)
		doors_close(d);
	else
		*ret_doors = d;
	return r;
}

/* ---- answering ---- */

/* Records of one type of a name, CNAMEs followed. */
struct found {
	enum dns_status status;
	bool failed; /* there may be more records */
	const char *canonical;
	const struct record *records[LOOKUP_MAX_HOSTS * 2];
	size_t n;
};

static void collect(const struct doors_file *f, uint32_t name, enum file_type type,
		    struct found *out, const char **ret_cname)
{
	bool gone = false, exists = false;

	for (uint32_t i = f->names[name].records; i != INDEX_NONE; i = f->records[i].next) {
		const struct record *r = &f->records[i];

		exists = exists || r->type < TYPE_NXDOMAIN;
		if (r->type == type && out->n < ARRAY_SIZE(out->records))
			out->records[out->n++] = r;
		else if (r->type == TYPE_CNAME)
			*ret_cname = f->strings + r->name;
		else if (r->type == TYPE_NXDOMAIN)
			gone = true;
		else if (r->type == TYPE_SERVFAIL)
			out->failed =
				out->failed || r->preference == TYPE_ANY || r->preference == type;
	}
	if (gone && !exists)
		out->status = DNS_NXDOMAIN;
}

static void find(const struct doors_file *f, const char *name, enum file_type type,
		 struct found *out)
{
	*out = (struct found) { .status = DNS_FAILED, .canonical = name };
	for (int hops = 0; hops < CHAIN_MAX; hops++) {
		const char *cname = NULL;
		uint32_t at = find_name(f, out->canonical);

		out->status = at == INDEX_NONE ? DNS_FAILED : DNS_NODATA;
		if (at != INDEX_NONE)
			collect(f, at, type, out, &cname);
		if (out->failed)
			out->status = DNS_FAILED;
		if (out->n > 0)
			out->status = DNS_OK;
		if (out->n > 0 || !cname)
			return;
		out->canonical = cname;
	}
	out->status = DNS_FAILED;
}

struct host_addrs {
	struct addr addrs[2 * LOOKUP_MAX_HOSTS * 2];
	uint16_t n;
	bool incomplete; /* a family's look-up failed */
};

static void find_addrs(const struct doors_file *f, const char *name, struct host_addrs *out,
		       enum dns_status *ret_status, const char **ret_canonical)
{
	struct found found;

	out->n = 0;
	out->incomplete = false;
	for (enum file_type type = TYPE_A; type <= TYPE_AAAA; type++) {
		find(f, name, type, &found);
		out->incomplete = out->incomplete || found.failed;
		for (size_t i = 0; i < found.n; i++)
			out->addrs[out->n++] = found.records[i]->addr;
	}
	*ret_canonical = found.canonical;
	*ret_status = out->n ? DNS_OK : found.status;
}

struct domain_facts *doors_failed_domain(const char *domain)
{
	return lookup_failed(domain);
}

struct mx {
	const char *name;
	uint16_t preference;
};

static int by_preference(const void *a, const void *b)
{
	const struct mx *left = a, *right = b;

	if (left->preference != right->preference)
		return left->preference < right->preference ? -1 : 1;
	return strcmp(left->name, right->name);
}

/* As dns/lookup.c: sorted, each host once, without roots beside others. Returns how many. */
static size_t mx_set(const struct doors_file *f, const struct found *found, struct mx *out)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < found->n; i++) {
		const char *name = f->strings + found->records[i]->name;

		if (*name)
			out[n++] = (struct mx) { name, found->records[i]->preference };
	}
	if (n > 1)
		qsort(out, n, sizeof(*out), by_preference);
	for (size_t i = 0; i < n; i++) {
		bool seen = false;

		for (size_t k = 0; k < kept; k++)
			seen = seen || strcmp(out[k].name, out[i].name) == 0;
		if (!seen)
			out[kept++] = out[i];
	}
	return min_size(kept, LOOKUP_MAX_HOSTS);
}

static void find_host(const struct doors_file *f, const struct mx *mx, struct dns_host *host,
		      struct host_addrs *addrs)
{
	enum dns_status status;
	const char *canonical;

	find_addrs(f, mx->name, addrs, &status, &canonical);
	*host = (struct dns_host) {
		.name = mx->name,
		.canonical = canonical,
		.status = status,
		.incomplete = addrs->incomplete,
		.preference = mx->preference,
		.n_addrs = addrs->n,
		.addrs = addrs->addrs,
	};
}

static struct domain_facts *answer_domain(const struct doors_file *f, const char *domain)
{
	struct dns_host hosts[LOOKUP_MAX_HOSTS];
	struct host_addrs addrs[LOOKUP_MAX_HOSTS];
	struct mx set[ARRAY_SIZE(((struct found *)NULL)->records)], own = { domain, 0 };
	int64_t now = clock_mono_ms();
	struct found mx;
	struct domain_facts facts = {
		.kind = FACTS_MX,
		.fetched_ms = now,
		.expires_ms = now + LIFE_MS,
		.confirmed_ms = -1,
		.domain = domain,
		.hosts = hosts,
	};

	find(f, domain, TYPE_MX, &mx);
	if (mx.status == DNS_FAILED)
		return lookup_failed(domain);
	if (mx.status == DNS_NXDOMAIN) {
		facts.kind = FACTS_NOTHING;
		facts.nxdomain = true;
		return facts_copy(&facts);
	}
	facts.n_hosts = (uint16_t)mx_set(f, &mx, set);
	for (size_t i = 0; i < facts.n_hosts; i++)
		find_host(f, &set[i], &hosts[i], &addrs[i]);
	if (mx.n > 0) {
		facts.kind = facts.n_hosts ? FACTS_MX : FACTS_NULL_MX;
		return facts_copy(&facts);
	}
	find_host(f, &own, &hosts[0], &addrs[0]);
	if (hosts[0].status == DNS_FAILED)
		return lookup_failed(domain);
	facts.n_hosts = hosts[0].n_addrs > 0;
	facts.kind = facts.n_hosts ? FACTS_ADDRESS : FACTS_NOTHING;
	return facts_copy(&facts);
}

static struct client_names *answer_client(const struct doors_file *f, const struct addr *client)
{
	struct client_names names = { .status = DNS_OK, .expires_ms = clock_mono_ms() + LIFE_MS };
	enum file_type type = addr_is_v4(client) ? TYPE_A : TYPE_AAAA;
	const char *confirmed[LOOKUP_MAX_PTR];
	char reverse[WIRE_NAME_SIZE];
	struct found ptr, forward;
	bool failed = false;

	lookup_reverse_name(client, reverse);
	find(f, reverse, TYPE_PTR, &ptr);
	if (ptr.n == 0)
		names.status = find_name(f, reverse) != INDEX_NONE && ptr.status == DNS_FAILED
				       ? DNS_FAILED
				       : DNS_NXDOMAIN;
	for (size_t i = 0; i < ptr.n && names.n < LOOKUP_MAX_PTR; i++) {
		const char *name = f->strings + ptr.records[i]->name;

		find(f, name, type, &forward);
		failed = failed || forward.failed;
		for (size_t k = 0; k < forward.n; k++)
			if (addr_eq(&forward.records[k]->addr, client)) {
				confirmed[names.n++] = name;
				break;
			}
	}
	/* without any name that leads back a failure may have hidden one */
	if (names.n == 0 && failed)
		names.status = DNS_FAILED;
	names.names = confirmed;
	return client_names_copy(&names);
}

static struct door_names *answer_names(const struct doors_file *f, const char *domain)
{
	struct door_names names = { .expires_ms = clock_mono_ms() + LIFE_MS };
	struct host_addrs addrs[DOOR_NAME_COUNT];
	char name[WIRE_NAME_SIZE + 8];
	enum dns_status status;
	const char *canonical;

	for (size_t i = 0; i < DOOR_NAME_COUNT; i++) {
		snprintf(name, sizeof(name), "%s%s", lookup_name_labels[i], domain);
		find_addrs(f, name, &addrs[i], &status, &canonical);
		names.n[i] = addrs[i].n;
		names.addrs[i] = addrs[i].addrs;
	}
	return door_names_copy(&names);
}

void *doors_file_answer(const struct doors_file *f, const struct doors_question *q)
{
	switch (q->kind) {
	case RESOLVER_CLIENT:
		return answer_client(f, &q->client);
	case RESOLVER_NAMES:
		return answer_names(f, q->domain);
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		break;
	}
	return answer_domain(f, q->domain);
}
