#include "cli/egress_view.h"

#include "cli/prefixes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

static struct egress_part *add(struct egress_view *e, enum egress_kind kind, const char *fmt, ...)
	PRINTF(3, 4);

/* NULL: no memory. */
static struct egress_part *add(struct egress_view *e, enum egress_kind kind, const char *fmt, ...)
{
	struct egress_part *p;
	va_list args;

	if (e->n == e->alloc) {
		size_t alloc = e->alloc ? 2 * e->alloc : 8;
		struct egress_part *grown = realloc(e->parts, alloc * sizeof(*grown));

		if (!grown)
			return NULL;
		e->parts = grown;
		e->alloc = alloc;
	}
	p = &e->parts[e->n++];
	*p = (struct egress_part) { .kind = kind };
	va_start(args, fmt);
	vsnprintf(p->text, sizeof(p->text), fmt, args);
	va_end(args);
	return p;
}

static bool add_set(struct egress_view *e, enum egress_kind kind, const char *text,
		    const struct prefix_set *set)
{
	struct egress_part *p;

	if (!set || set->n == 0)
		return true;
	p = add(e, kind, "%s", text);
	if (p)
		p->set = set;
	return p;
}

static bool add_mx(const struct egress_query *q, struct egress_view *e)
{
	unsigned v4 = 0, v6 = 0;

	for (size_t i = 0; i < q->n_hosts; i++)
		for (unsigned k = 0; k < q->hosts[i]->n_addrs; k++) {
			const struct addr *a = &q->hosts[i]->addrs[k];

			if (prefix_set_add_addr(&e->mx, a) < 0)
				return false;
			(*(addr_is_v4(a) ? &v4 : &v6))++;
		}
	prefix_set_seal(&e->mx);
	e->one_address = v4 <= 1 && v6 <= 1;
	struct egress_part *p = add(e, EGRESS_MX, "mx");
	if (p)
		p->set = &e->mx;
	return p;
}

static bool add_source(const struct egress_query *q, struct egress_view *e, const char *key)
{
	struct egress_part *p = add(e, EGRESS_SOURCE, "%s", key);

	if (!p || !(p->source = asked_source(q->asked, key)))
		return false;
	p->set = &p->source->set;
	return true;
}

/* A tenant without a record of its own is served from where all are. */
static bool is_missing(const struct egress_query *q, const struct tenant *tenant)
{
	const struct egress_source *own =
		tenant && tenant->spf ? asked_source(q->asked, tenant->spf) : NULL;

	return own && own->status == SOURCE_NONE;
}

static bool add_sources(const struct egress_query *q, struct egress_view *e)
{
	char key[SOURCE_KEY_MAX];

	for (size_t i = 0; door_owner_source(q->owner, i, key); i++)
		if (!add_source(q, e, key))
			return false;
	if (is_missing(q, q->owner->tenant))
		for (size_t i = 0; door_owner_replaced_source(q->owner, i, key); i++)
			if (!add_source(q, e, key))
				return false;
	if (!q->owner->tenant || !q->owner->tenant->exists)
		return true;
	struct egress_part *p = add(e, EGRESS_EXISTS, "exists:%s", q->owner->tenant->exists);
	if (p && q->client && door_owner_exists(q->owner, q->client, key)) {
		p->source = asked_source(q->asked, key);
		p->matches = p->source && p->source->status == SOURCE_KNOWN;
	}
	return p;
}

/* ---- names ---- */

static bool named_below(const struct egress_query *q, const char *suffix, bool generic_too)
{
	for (unsigned i = 0; q->names && i < q->names->n; i++)
		if (name_is_below(q->names->names[i], suffix) &&
		    (generic_too || !name_is_generic(q->names->names[i], q->client)))
			return true;
	return false;
}

static bool is_told(const struct egress_view *e, const char *text)
{
	for (size_t i = 0; i < e->n; i++)
		if (strcmp(e->parts[i].text, text) == 0)
			return true;
	return false;
}

/* The default egress: names below the parent domains of the MX hosts and where they lead. */
static bool add_parent(const struct egress_query *q, struct egress_view *e, const char *mx_host)
{
	struct sv parent = scanner_parent_domain(mx_host);
	char text[SOURCE_KEY_MAX];
	struct egress_part *p;

	if (parent.n == 0)
		return true;
	snprintf(text, sizeof(text), "ptr:" SV_FMT, SV_ARG(parent));
	if (is_told(e, text))
		return true;
	p = add(e, EGRESS_PARENT, "%s", text);
	if (p)
		p->matches = named_below(q, text + strlen("ptr:"), false);
	return p;
}

static bool add_parents(const struct egress_query *q, struct egress_view *e)
{
	for (size_t i = 0; i < q->n_hosts; i++)
		if (!add_parent(q, e, q->hosts[i]->name) ||
		    (q->hosts[i]->canonical && !add_parent(q, e, q->hosts[i]->canonical)))
			return false;
	return true;
}

static bool add_suffixes(const struct egress_query *q, struct egress_view *e,
			 const char *const *suffixes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct egress_part *p = add(e, EGRESS_PTR, "ptr:%s", suffixes[i]);

		if (!p)
			return false;
		p->matches = named_below(q, suffixes[i], true);
	}
	return true;
}

static bool add_tenant_names(const struct egress_query *q, struct egress_view *e)
{
	struct egress_part *p = add(e, EGRESS_TENANT_PTR, "ptr of the tenant");

	for (unsigned i = 0; p && q->names && i < q->names->n; i++)
		p->matches |= tenant_admits_name(q->owner->tenant, q->names->names[i]);
	return p;
}

/* As policy/admit.c looks at them. */
static bool add_names(const struct egress_query *q, struct egress_view *e)
{
	const struct door_owner *o = q->owner;
	bool bare = o->row && !o->tenant && o->row->n_sources == 0 && o->row->cidrs.n == 0 &&
		    o->row->n_ptr == 0;

	if (o->scanner &&
	    !add_suffixes(q, e, (const char *const *)o->scanner->ptr, o->scanner->n_ptr))
		return false;
	if (o->tenant && o->tenant->ptr && !add_tenant_names(q, e))
		return false;
	if (o->row && (!(o->tenant && o->tenant->ptr) || is_missing(q, o->tenant)) &&
	    !add_suffixes(q, e, o->row->ptr, o->row->n_ptr))
		return false;
	if (o->scanner ? o->scanner->egress_default_ptr : !o->row || bare)
		return add_parents(q, e);
	return true;
}

/* ---- the whole ---- */

static void match_prefixes(const struct egress_query *q, struct egress_view *e)
{
	for (size_t i = 0; q->client && i < e->n; i++) {
		struct egress_part *p = &e->parts[i];

		if (p->set && prefixes_find(p->set, q->client, &p->match))
			p->matches = true;
	}
}

int egress_view_gather(const struct egress_query *q, struct egress_view *ret_egress)
{
	const struct door_owner *o = q->owner;
	struct egress_view *e = ret_egress;
	const struct prefix_set *cidrs = o->scanner ? &o->scanner->cidrs
					 : o->row   ? &o->row->cidrs
						    : NULL;

	*e = (struct egress_view) { 0 };
	prefix_set_init(&e->mx);
	if (!add_mx(q, e) || !add_set(e, EGRESS_PREFIXES, "prefixes", cidrs) ||
	    !add_set(e, EGRESS_ACCEPTED, "accepted", q->accepted) || !add_sources(q, e) ||
	    !add_names(q, e))
		return -ENOMEM;
	match_prefixes(q, e);
	return 0;
}

static bool add_allowed(const struct domain_policy *row, const struct egress_query *q,
			struct egress_view *e)
{
	if (!add_set(e, EGRESS_PREFIXES, "prefixes", &row->allow))
		return false;
	for (size_t i = 0; i < row->n_allow_sources; i++)
		if (!add_source(q, e, row->allow_sources[i]))
			return false;
	return add_suffixes(q, e, (const char *const *)row->allow_ptr, row->n_allow_ptr);
}

int egress_view_gather_allowed(const struct domain_policy *row, const struct egress_query *q,
			       struct egress_view *ret_egress)
{
	*ret_egress = (struct egress_view) { 0 };
	prefix_set_init(&ret_egress->mx);
	if (!add_allowed(row, q, ret_egress))
		return -ENOMEM;
	match_prefixes(q, ret_egress);
	return 0;
}

void egress_view_deinit(struct egress_view *e)
{
	prefix_set_deinit(&e->mx);
	free(e->parts);
	*e = (struct egress_view) { 0 };
}

const struct egress_part *egress_view_match(const struct egress_view *e)
{
	const struct egress_part *best = NULL;

	for (size_t i = 0; i < e->n; i++)
		if (e->parts[i].matches && (!best || e->parts[i].match.bits > best->match.bits))
			best = &e->parts[i];
	return best;
}

bool egress_view_has_failed(const struct egress_view *e)
{
	for (size_t i = 0; i < e->n; i++) {
		const struct egress_source *s = e->parts[i].source;

		if (s && (s->status == SOURCE_FAILED || s->stale || s->fallback))
			return true;
	}
	return false;
}
