/*
 * An operator's file of the catalogue, a snapshot, and names of hosts, separated by NUL. What was
 * taken is whole, each suffix finds a row, and its tenants are names that can be asked for.
 */
#include "dns/facts.h"
#include "policy/catalogue.h"
#include "policy/decide.h"
#include "policy/scanner.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sv take_part(struct sv *rest)
{
	const char *end = rest->n ? memchr(rest->p, '\0', rest->n) : NULL;
	struct sv part = { rest->p, end ? (size_t)(end - rest->p) : rest->n };

	rest->p += part.n + (end ? 1 : 0);
	rest->n -= part.n + (end ? 1 : 0);
	return part;
}

static void check_name(const char *name)
{
	char ascii[256];

	INVARIANT(domain_to_ascii(sv_from(name), ascii) == 0 && strcmp(name, ascii) == 0);
}

static void check_set(const struct prefix_set *set)
{
	INVARIANT(set->sealed);
	for (size_t i = 0; i < set->n; i++) {
		INVARIANT(addr_cmp(&set->ranges[i].lo, &set->ranges[i].hi) <= 0);
		INVARIANT(i == 0 || addr_cmp(&set->ranges[i - 1].hi, &set->ranges[i].lo) < 0);
	}
}

static void check_row(const struct catalogue *c, const struct catalogue_row *row)
{
	INVARIANT(catalogue_by_id(c, sv_from(row->id)) == row);
	INVARIANT(row->n_mx > 0 && row->n_sources <= CATALOGUE_SOURCES_MAX);
	check_set(&row->cidrs);
	for (size_t i = 0; i < row->n_sources; i++) {
		const char *colon = strchr(row->sources[i], ':');

		INVARIANT(colon && strlen(row->sources[i]) < SOURCE_KEY_MAX);
		check_name(colon + 1);
	}
	for (size_t i = 0; i < row->n_mx; i++) {
		const struct catalogue_row *found = catalogue_find(c, row->mx[i]);
		bool has = false;

		/* Its own, or a union that it is part of. */
		INVARIANT(found);
		for (size_t k = 0; k < found->n_mx; k++)
			has = has || strcmp(found->mx[k], row->mx[i]) == 0;
		INVARIANT(has);
		check_name(row->mx[i]);
	}
}

static void check_host(const struct catalogue *c, const char *name, const char *other)
{
	static const struct addr v6 = { { 0x20, 1, 0xd, 0xb8, [15] = 1 } };
	struct policy policy = { .catalogue = c, .generation = policy_next_generation() };
	struct dns_host host = {
		.name = name, .canonical = other, .ptr = other, .addrs = &v6, .n_addrs = 1
	};
	char key[SOURCE_KEY_MAX];
	struct door_owner o;

	for (int i = 0; i < 2; i++) {
		door_owner_of_host(&policy, &host, &o);
		INVARIANT(o.name.n > 0 && (o.row || o.from == OWNER_DEFAULT));
		for (size_t k = 0; door_owner_source(&o, k, key); k++)
			check_name(strchr(key, ':') + 1);
		if (door_owner_exists(&o, &v6, key))
			check_name(strchr(key, ':') + 1);
		if (o.tenant)
			(void)tenant_admits_name(o.tenant, other);
	}
}

static void check_hosts(const struct catalogue *c, struct sv names)
{
	char last[256] = "mx.example.org", name[256];

	while (names.n > 0) {
		const char *end = memchr(names.p, '\n', names.n);
		size_t n = end ? (size_t)(end - names.p) : names.n;

		if (domain_to_ascii((struct sv) { names.p, n }, name) == 0) {
			check_host(c, name, last);
			memcpy(last, name, sizeof(last));
		}
		names.p += end ? n + 1 : n;
		names.n -= end ? n + 1 : n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const files[] = { "f" };
	struct sv rest = { (const char *)data, size };
	struct sv providers = take_part(&rest), snapshot = take_part(&rest);
	struct catalogue_error error = { "" };
	struct catalogue *c = NULL;
	int r = catalogue_extend(files, &providers, 1, &c, &error);

	INVARIANT(r == 0 || strncmp(error.text, "f:", 2) == 0);
	if (r == 0) {
		for (size_t i = 0; i < catalogue_count(c); i++)
			check_row(c, catalogue_row(c, i));
		check_hosts(c, rest);
		catalogue_free(c);
	}
	r = catalogue_read(providers, SV(""), snapshot, &c, &error);
	if (r == 0)
		catalogue_free(c);
	check_hosts(catalogue_shipped(), rest);
	return 0;
}
