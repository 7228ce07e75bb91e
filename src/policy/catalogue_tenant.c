/*
 * Whose an MX host of a provider is. To match expressions takes microseconds, and the same hosts
 * come again and again, so each thread remembers what the last ones were.
 */
#include "policy/catalogue_private.h"

#include <stdio.h>

/* Longer ones are nobody's: no provider calls its hosts so. */
#define TENANT_NAME_SIZE 128

struct tenant_ptr {
	const struct tenant_regex *regex;
	const char *name; /* the tenant's */
	size_t n;
};

struct remembered {
	uint64_t generation; /* of the catalogue; 0: empty */
	const struct catalogue_row *row;
	char host[TENANT_NAME_SIZE];
	bool known; /* tenant is set */
	struct tenant tenant;
	struct tenant_ptr ptr;
	char name[TENANT_NAME_SIZE];
	char text[SOURCE_KEY_MAX]; /* of tenant.spf or tenant.exists */
};

/* A queue, so that what was given out stays for a while, and an index by hash. */
enum { REMEMBERED = 256, INDEX = 1024 };

struct memo {
	struct remembered ring[REMEMBERED];
	uint16_t index[INDEX];
	uint16_t next;
};

static bool text_fill(const struct tenant_text *text, const char *front, const char *name,
		      char out[SOURCE_KEY_MAX])
{
	int n = snprintf(out, SOURCE_KEY_MAX, "%s%s%s%s", front, text->before,
			 text->after ? name : "", text->after ? text->after : "");

	/* "exists:" and the 63 octets of an IPv6 address come to it. */
	return n < SOURCE_KEY_MAX - 8;
}

/* Fills r from a rule that is about its host; false: that names no tenant. */
static bool apply(const struct tenant_rule *rule, struct remembered *r)
{
	char ascii[256];

	r->tenant = (struct tenant) { .shared = rule->shared };
	if (rule->spf.before) {
		if (!text_fill(&rule->spf, "spf:", r->name, r->text) ||
		    domain_to_ascii(sv_from(r->text + 4), ascii) < 0)
			return false;
		r->tenant.spf = r->text;
	} else if (rule->exists.before) {
		if (!text_fill(&rule->exists, "", r->name, r->text))
			return false;
		r->tenant.exists = r->text;
	}
	if (rule->ptr.before_set) {
		r->ptr = (struct tenant_ptr) { &rule->ptr, r->name, strlen(r->name) };
		r->tenant.ptr = &r->ptr;
	}
	return true;
}

static bool find_tenant(const struct tenant_rule *rules, struct remembered *r)
{
	regmatch_t m[2] = { { -1, -1 }, { -1, -1 } };

	for (; rules; rules = rules->next) {
		if (regexec(&rules->mx, r->host, rules->mx.re_nsub ? 2 : 0, m, 0) != 0)
			continue;
		r->name[0] = '\0';
		if (rules->mx.re_nsub) {
			size_t n = m[1].rm_so < 0 ? 0 : (size_t)(m[1].rm_eo - m[1].rm_so);

			if (n == 0) /* nobody */
				continue;
			memcpy(r->name, r->host + m[1].rm_so, n);
			r->name[n] = '\0';
		}
		if (apply(rules, r))
			return true;
	}
	return false;
}

const struct tenant *catalogue_tenant(const struct catalogue *c, const struct catalogue_row *row,
				      const char *mx_host)
{
	static _Thread_local struct memo memo;
	const struct catalogue_item *item = CONTAINER_OF(row, const struct catalogue_item, row);
	struct sv host = sv_from(mx_host);
	struct remembered *r;
	uint16_t *slot;

	if (!item->rules || host.n >= TENANT_NAME_SIZE)
		return NULL;
	slot = &memo.index[map_hash(host) % INDEX];
	r = &memo.ring[*slot];
	if (r->generation != c->generation || r->row != row || strcmp(r->host, mx_host) != 0) {
		*slot = memo.next;
		r = &memo.ring[memo.next];
		memo.next = (uint16_t)((memo.next + 1) % REMEMBERED);
		*r = (struct remembered) { .generation = c->generation, .row = row };
		memcpy(r->host, mx_host, host.n + 1);
		r->known = find_tenant(item->rules, r);
	}
	return r->known ? &r->tenant : NULL;
}

bool catalogue_has_tenants(const struct catalogue *c, const struct catalogue_row *row)
{
	return CONTAINER_OF(row, const struct catalogue_item, row)->rules != NULL;
}

bool tenant_admits_name(const struct tenant *tenant, const char *name)
{
	const struct tenant_ptr *ptr = tenant->ptr;
	char head[256];

	if (!ptr || strlen(name) >= sizeof(head))
		return false;
	if (!ptr->regex->after_set)
		return regexec(&ptr->regex->before, name, 0, NULL, 0) == 0;
	for (const char *at = name; (at = strstr(at, ptr->name)); at++) {
		memcpy(head, name, (size_t)(at - name));
		head[at - name] = '\0';
		if (regexec(&ptr->regex->before, head, 0, NULL, 0) == 0 &&
		    regexec(&ptr->regex->after, at + ptr->n, 0, NULL, 0) == 0)
			return true;
	}
	return false;
}
