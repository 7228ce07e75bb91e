#include "policy/catalogue.h"

#include "policy/catalogue_data.h"
#include "policy/catalogue_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK = 64 * 1024, MERGED_MAX = 4 };

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(max_align_t) char data[];
};

void *catalogue_take(struct catalogue *c, size_t size)
{
	struct arena_block *b = c->blocks;
	void *at;

	size = (size + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t);
	if (!b || b->size - b->used < size) {
		size_t room = size > BLOCK ? size : BLOCK;

		b = calloc(1, sizeof(*b) + room);
		if (!b)
			return NULL;
		b->size = room;
		b->next = c->blocks;
		c->blocks = b;
	}
	at = b->data + b->used;
	b->used += size;
	return at;
}

const char *catalogue_text(struct catalogue *c, const char *before, struct sv text,
			   const char *after)
{
	size_t n = strlen(before), m = strlen(after);
	char *copy = catalogue_take(c, n + text.n + m + 1);

	if (!copy)
		return NULL;
	memcpy(copy, before, n);
	if (text.n)
		memcpy(copy + n, text.p, text.n);
	memcpy(copy + n + text.n, after, m);
	return copy;
}

static struct catalogue *catalogue_new(void)
{
	static atomic_uint_fast64_t generations;
	struct catalogue *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->generation = atomic_fetch_add(&generations, 1) + 1;
	map_init(&c->by_id);
	map_init(&c->by_suffix);
	map_init(&c->rules);
	map_init(&c->snapshot);
	return c;
}

/* Values of the maps are the arena's. */
static void free_item(void *value)
{
	prefix_set_deinit(&((struct catalogue_item *)value)->row.cidrs);
}

static void free_set(void *value)
{
	prefix_set_deinit(value);
}

static void free_rules(void *value)
{
	for (struct tenant_rule *rule = value; rule; rule = rule->next)
		tenant_rule_deinit(rule);
}

void catalogue_free(struct catalogue *c)
{
	if (!c)
		return;
	map_deinit(&c->by_suffix, NULL);
	map_deinit(&c->by_id, free_item);
	map_deinit(&c->rules, free_rules);
	map_deinit(&c->snapshot, free_set);
	free(c->items);
	for (struct arena_block *b = c->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(c);
}

static bool has_name(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* The names of both, each once. */
static int merge_names(struct catalogue *c, const char *const *a, size_t n_a, const char *const *b,
		       size_t n_b, const char *const **ret_names, size_t *ret_n)
{
	const char **names = catalogue_take(c, (n_a + n_b + 1) * sizeof(*names));
	size_t n = 0;

	if (!names)
		return -ENOMEM;
	for (; n < n_a; n++)
		names[n] = a[n];
	for (size_t i = 0; i < n_b; i++)
		if (!has_name(names, n, b[i]))
			names[n++] = b[i];
	*ret_names = names;
	*ret_n = n;
	return 0;
}

static int merge_cidrs(struct prefix_set *to, const struct prefix_set *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (prefix_set_add_range(to, &from->ranges[i]) < 0)
			return -ENOMEM;
	prefix_set_seal(to);
	return 0;
}

static int merge_rows(struct catalogue *c, const struct catalogue_row *a,
		      const struct catalogue_row *b, struct catalogue_row *ret_row)
{
	int r;

	ret_row->name = catalogue_text(c, a->name, SV("; "), b->name);
	if (!ret_row->name)
		return -ENOMEM;
	ret_row->kind = a->kind;
	ret_row->confidence = a->confidence < b->confidence ? a->confidence : b->confidence;
	ret_row->source = a->source;
	ret_row->file = b->file ? b->file : a->file;
	ret_row->line = b->file ? b->line : a->line;
	r = merge_names(c, a->sources, a->n_sources, b->sources, b->n_sources, &ret_row->sources,
			&ret_row->n_sources);
	if (r == 0)
		r = merge_names(c, a->ptr, a->n_ptr, b->ptr, b->n_ptr, &ret_row->ptr,
				&ret_row->n_ptr);
	if (r == 0)
		r = merge_names(c, a->mx, a->n_mx, b->mx, b->n_mx, &ret_row->mx, &ret_row->n_mx);
	if (r == 0)
		r = merge_cidrs(&ret_row->cidrs, &a->cidrs);
	return r < 0 ? r : merge_cidrs(&ret_row->cidrs, &b->cidrs);
}

/* The union of a, which may be one already, and b: the same one for the same rows. */
static int merge_items(struct catalogue *c, const struct catalogue_item *a,
		       const struct catalogue_item *b, struct catalogue_item **ret_item)
{
	struct catalogue_item *item;
	const char *id = catalogue_text(c, a->row.id, SV("+"), b->row.id);
	int r;

	if (!id)
		return -ENOMEM;
	item = map_get(&c->by_id, sv_from(id));
	if (!item) {
		item = catalogue_take(c, sizeof(*item));
		if (!item)
			return -ENOMEM;
		prefix_set_init(&item->row.cidrs);
		item->row.id = id;
		item->n_merged = (a->n_merged ? a->n_merged : 1) + 1;
		r = map_put(&c->by_id, sv_from(id), item, NULL);
		if (r == 0)
			r = merge_rows(c, &a->row, &b->row, &item->row);
		if (r < 0)
			return r;
	}
	*ret_item = item;
	return 0;
}

static size_t labels_of(const char *name)
{
	size_t n = 1;

	for (; *name; name++)
		n += *name == '.';
	return n;
}

static int index_suffix(struct catalogue *c, const char *suffix, struct catalogue_item *item,
			struct catalogue_error *error)
{
	struct catalogue_item *other = map_get(&c->by_suffix, sv_from(suffix));
	size_t labels = labels_of(suffix);

	if (other == item)
		return 0;
	if (other && other->n_merged >= MERGED_MAX) {
		snprintf(error->text, sizeof(error->text),
			 "%.200s:%u: mx_suffixes: '%.120s' stands in %d rows already (%.100s); "
			 "accepted: in so many",
			 item->row.file ? item->row.file : "providers.tsv", item->row.line, suffix,
			 MERGED_MAX, other->row.id);
		return -EINVAL;
	}
	if (other && merge_items(c, other, item, &item) < 0)
		return -ENOMEM;
	if (labels > c->most_labels)
		c->most_labels = labels;
	return map_put(&c->by_suffix, sv_from(suffix), item, NULL) < 0 ? -ENOMEM : 0;
}

static int index_rows(struct catalogue *c, struct catalogue_error *error)
{
	for (size_t i = 0; i < c->n_items; i++) {
		const struct catalogue_row *row = &c->items[i]->row;

		for (size_t k = 0; k < row->n_mx; k++) {
			int r = index_suffix(c, row->mx[k], c->items[i], error);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* What is needed after the rows of all files. */
static int finish(struct catalogue *c, struct sv rules, struct sv snapshot,
		  struct catalogue_error *error)
{
	int r = index_rows(c, error);

	if (r == 0 && rules.n > 0)
		r = catalogue_parse_rules(c, "derive.tsv", rules, error);
	if (r == 0 && snapshot.n > 0)
		r = catalogue_parse_snapshot(c, "spf_snapshot.tsv", snapshot, error);
	return r;
}

int catalogue_read(struct sv providers, struct sv rules, struct sv snapshot,
		   struct catalogue **ret_catalogue, struct catalogue_error *ret_error)
{
	struct catalogue *c = catalogue_new();
	int r = c ? catalogue_parse_providers(c, "providers.tsv", providers, true, ret_error)
		  : -ENOMEM;

	if (r == 0)
		r = finish(c, rules, snapshot, ret_error);
	if (r == 0)
		*ret_catalogue = c;
	else
		catalogue_free(c);
	return r;
}

int catalogue_extend(const char *const *files, const struct sv *texts, size_t n,
		     struct catalogue **ret_catalogue, struct catalogue_error *ret_error)
{
	struct catalogue *c = catalogue_new();
	int r = c ? catalogue_parse_providers(c, "providers.tsv", catalogue_data_providers, true,
					      ret_error)
		  : -ENOMEM;

	for (size_t i = 0; i < n && r == 0; i++)
		r = catalogue_parse_providers(c, files[i], texts[i], false, ret_error);
	if (r == 0)
		r = finish(c, catalogue_data_derive, catalogue_data_spf_snapshot, ret_error);
	if (r == 0)
		*ret_catalogue = c;
	else
		catalogue_free(c);
	return r;
}

const struct catalogue *catalogue_shipped(void)
{
	static _Atomic(struct catalogue *) shipped;
	struct catalogue *c = atomic_load(&shipped), *other = NULL;
	struct catalogue_error error;

	if (c || catalogue_extend(NULL, NULL, 0, &c, &error) < 0)
		return c;
	/* Two threads at once: one of them was first. */
	if (atomic_compare_exchange_strong(&shipped, &other, c))
		return c;
	catalogue_free(c);
	return other;
}

size_t catalogue_count(const struct catalogue *c)
{
	return c->n_items;
}

const struct catalogue_row *catalogue_row(const struct catalogue *c, size_t i)
{
	return &c->items[i]->row;
}

/* Suffixes with more labels than any that there is need not be looked for. */
const struct catalogue_row *catalogue_find(const struct catalogue *c, const char *host)
{
	size_t labels = labels_of(host);

	for (const char *at = host, *dot; at; at = dot ? dot + 1 : NULL, labels--) {
		const struct catalogue_item *item = NULL;

		if (labels <= c->most_labels)
			item = map_get(&c->by_suffix, sv_from(at));
		if (item)
			return &item->row;
		dot = strchr(at, '.');
	}
	return NULL;
}

bool catalogue_has(const struct catalogue *c, const char *host)
{
	return labels_of(host) <= c->most_labels && map_get(&c->by_suffix, sv_from(host));
}

const struct catalogue_row *catalogue_by_id(const struct catalogue *c, struct sv id)
{
	const struct catalogue_item *item = map_get(&c->by_id, id);

	return item ? &item->row : NULL;
}

const struct prefix_set *catalogue_fallback(const struct catalogue *c, const char *key)
{
	const struct prefix_set *set = map_get(&c->snapshot, sv_from(key));

	/* Names that only led to others are known, but not by addresses. */
	return set && set->n > 0 ? set : NULL;
}
