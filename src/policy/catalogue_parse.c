/* Rows of providers.tsv and of the SPF snapshot. What is wrong with an operator's file is told with
 * its line; what stands in ours is checked by the tests. */
#include "policy/catalogue_private.h"
#include "policy/catalogue_table.h"

#include <errno.h>
#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	ID_MAX = 48,
	NAME_MAX_LEN = 100,
	SUFFIXES_MAX = 200,
	PREFIXES_MAX = 10000,
	ROWS_MAX = 50000,
	V4_BITS_MIN = 96 + 8, /* what is wider lets half the world in */
	V6_BITS_MIN = 16,
};

enum {
	COL_ID,
	COL_NAME,
	COL_KIND,
	COL_MX,
	COL_SPF,
	COL_HOSTS,
	COL_CIDRS,
	COL_PTR,
	COL_SOURCE,
	COL_CONFIDENCE,
	PROVIDER_COLUMNS
};

static const char *const provider_columns[PROVIDER_COLUMNS] = {
	[COL_ID] = "id",
	[COL_NAME] = "name",
	[COL_KIND] = "kind",
	[COL_MX] = "mx_suffixes",
	[COL_SPF] = "egress_spf",
	[COL_HOSTS] = "egress_hosts",
	[COL_CIDRS] = "egress_cidrs",
	[COL_PTR] = "egress_ptr_suffixes",
	[COL_SOURCE] = "source",
	[COL_CONFIDENCE] = "confidence",
};

static const char *const kinds[] = {
	[PROVIDER_FILTER] = "filter",
	[PROVIDER_MAILBOX] = "mailbox",
	[PROVIDER_FORWARDER] = "forwarder",
};

static const char *const confidences[] = {
	[CONFIDENCE_LOW] = "low",
	[CONFIDENCE_MEDIUM] = "medium",
	[CONFIDENCE_HIGH] = "high",
};

static int read_word(const struct table *t, int column, const char *const *words, int n,
		     const char *accepted, int *ret_value)
{
	char text[TABLE_QUOTED];

	for (int i = 0; i < n; i++) {
		if (!sv_eq(t->cells[column], sv_from(words[i])))
			continue;
		*ret_value = i;
		return 0;
	}
	return table_wrong(t, "%s: '%s' is not known; accepted: %s", t->columns[column],
			   table_quote(t->cells[column], text), accepted);
}

/* Lower-case A-labels into out[256]. An address is no name. */
static int read_domain(const struct table *t, int column, struct sv word, char *out)
{
	char text[TABLE_QUOTED];
	struct addr a;

	if (addr_parse(word, &a) == 0 || domain_to_ascii(word, out) < 0)
		return table_wrong(t, "%s: '%s' is no domain name; accepted: mx.example.net",
				   t->columns[column], table_quote(word, text));
	return 0;
}

/* What anybody can have names below would take the rows of others, or let everybody in. */
static int check_suffix(const struct table *t, int column, const char *name)
{
	const psl_ctx_t *psl = psl_builtin();

	if (strchr(name, '.') && (!psl || !psl_is_public_suffix(psl, name)))
		return 0;
	return table_wrong(t,
			   "%s: below '%s' are names of everybody (public suffix); accepted: the "
			   "provider's own domain",
			   t->columns[column], name);
}

struct names {
	const char **at;
	size_t n;
};

static bool names_have(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->at[i], name) == 0)
			return true;
	return false;
}

/* Domain names of one cell, each once, with prefix in front, added to names, which has room. */
static int read_domains(struct catalogue *c, const struct table *t, int column, const char *prefix,
			struct names *names)
{
	struct sv rest = t->cells[column], word;
	char name[256];

	INVARIANT(names->at);
	while (table_word(&rest, &word)) {
		int r = read_domain(t, column, word, name);

		if (r == 0 && !*prefix)
			r = check_suffix(t, column, name);
		if (r < 0)
			return r;
		names->at[names->n] = catalogue_text(c, prefix, sv_from(name), "");
		if (!names->at[names->n])
			return -ENOMEM;
		if (!names_have(names, names->at[names->n]))
			names->n++;
	}
	return 0;
}

/* Room for n names. */
static int names_take(struct catalogue *c, const struct table *t, int column, size_t n, size_t max,
		      struct names *names)
{
	if (n > max)
		return table_wrong(t, "%s: %zu names; accepted: at most %zu", t->columns[column], n,
				   max);
	*names = (struct names) { .at = catalogue_take(c, (n + 1) * sizeof(*names->at)) };
	return names->at ? 0 : -ENOMEM;
}

static int read_suffixes(struct catalogue *c, const struct table *t, int column,
			 const char *const **ret_names, size_t *ret_n)
{
	struct names names = { 0 };
	int r = names_take(c, t, column, table_words(t->cells[column]), SUFFIXES_MAX, &names);

	if (r == 0)
		r = read_domains(c, t, column, "", &names);
	*ret_names = names.at;
	*ret_n = names.n;
	return r;
}

static int read_sources(struct catalogue *c, const struct table *t, struct catalogue_row *row)
{
	size_t n = table_words(t->cells[COL_SPF]) + table_words(t->cells[COL_HOSTS]);
	struct names names = { 0 };
	int r = names_take(c, t, COL_SPF, n, CATALOGUE_ROW_SOURCES, &names);

	if (r == 0)
		r = read_domains(c, t, COL_SPF, "spf:", &names);
	if (r == 0)
		r = read_domains(c, t, COL_HOSTS, "host:", &names);
	row->sources = names.at;
	row->n_sources = names.n;
	return r;
}

static int read_prefixes(const struct table *t, int column, struct prefix_set *set)
{
	struct sv rest = t->cells[column], word;
	char text[TABLE_QUOTED];

	if (table_words(rest) > PREFIXES_MAX)
		return table_wrong(t, "%s: too many prefixes; accepted: at most %d",
				   t->columns[column], PREFIXES_MAX);
	while (table_word(&rest, &word)) {
		struct prefix p;
		int r = prefix_parse(word, &p);

		if (r < 0)
			return table_wrong(t, "%s: '%s' %s; accepted: 192.0.2.0/24, 2001:db8::/32",
					   t->columns[column], table_quote(word, text),
					   r == -ERANGE ? "has bits set past its length"
							: "is no prefix");
		if (p.bits < (prefix_has_v4(&p) ? V4_BITS_MIN : V6_BITS_MIN))
			return table_wrong(
				t, "%s: '%s' is too wide; accepted: /8 and longer (IPv6: /16)",
				t->columns[column], table_quote(word, text));
		if (prefix_set_add(set, &p) < 0)
			return -ENOMEM;
	}
	prefix_set_seal(set);
	return 0;
}

static bool is_id(struct sv text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!ascii_is_digit(text.p[i]) && !(text.p[i] >= 'a' && text.p[i] <= 'z') &&
		    (i == 0 || (text.p[i] != '-' && text.p[i] != '_')))
			return false;
	return text.n > 0 && text.n <= ID_MAX;
}

static int read_texts(struct catalogue *c, const struct table *t, struct catalogue_row *row)
{
	char text[TABLE_QUOTED];

	/* Without a dot: no unknown scanner, which is called after a domain, has the same name. */
	if (!is_id(t->cells[COL_ID]))
		return table_wrong(
			t,
			"id: '%s' can't be; accepted: lower-case letters, digits, - and _, "
			"%d at most",
			table_quote(t->cells[COL_ID], text), ID_MAX);
	if (t->cells[COL_NAME].n == 0 || t->cells[COL_NAME].n > NAME_MAX_LEN)
		return table_wrong(t, "name: too short or too long; accepted: 1 to %d octets",
				   NAME_MAX_LEN);
	row->id = catalogue_text(c, "", t->cells[COL_ID], "");
	row->name = catalogue_text(c, "", t->cells[COL_NAME], "");
	row->source = catalogue_text(c, "", t->cells[COL_SOURCE], "");
	return row->id && row->name && row->source ? 0 : -ENOMEM;
}

static int read_row(struct catalogue *c, const struct table *t, struct catalogue_row *row)
{
	int kind = 0, confidence = 0;
	int r = read_texts(c, t, row);

	if (r == 0)
		r = read_word(t, COL_KIND, kinds, ARRAY_SIZE(kinds), "filter, mailbox, forwarder",
			      &kind);
	if (r == 0)
		r = read_suffixes(c, t, COL_MX, &row->mx, &row->n_mx);
	if (r == 0 && row->n_mx == 0)
		r = table_wrong(t, "mx_suffixes: there is none, so no MX host can be the row's; "
				   "accepted: domain names, separated by spaces");
	if (r == 0)
		r = read_sources(c, t, row);
	if (r == 0)
		r = read_prefixes(t, COL_CIDRS, &row->cidrs);
	if (r == 0)
		r = read_suffixes(c, t, COL_PTR, &row->ptr, &row->n_ptr);
	if (r == 0)
		r = read_word(t, COL_CONFIDENCE, confidences, ARRAY_SIZE(confidences),
			      "high, medium, low", &confidence);
	row->kind = (enum provider_kind)kind;
	row->confidence = (enum confidence)confidence;
	return r;
}

/* In the place of the row of that id, if there is one of another file. */
static int keep_row(struct catalogue *c, const struct table *t, struct catalogue_item *item)
{
	const char *id = item->row.id;
	struct catalogue_item *old = map_get(&c->by_id, sv_from(id));
	struct catalogue_item **items;

	if (old && old->row.file == item->row.file)
		return table_wrong(t, "id: '%s' stands in line %u already; accepted: each once", id,
				   old->row.line);
	if (map_put(&c->by_id, sv_from(id), item, NULL) < 0)
		return -ENOMEM;
	if (old) {
		item->index = old->index;
		c->items[item->index] = item;
		prefix_set_deinit(&old->row.cidrs);
		return 0;
	}
	if (c->n_items >= ROWS_MAX)
		return table_wrong(t, "too many rows; accepted: %d in all", ROWS_MAX);
	if ((c->n_items & (c->n_items - 1)) == 0) { /* a power of two: full */
		items = reallocarray(c->items, c->n_items ? 2 * c->n_items : 1, sizeof(*items));
		if (!items)
			return -ENOMEM;
		c->items = items;
	}
	item->index = c->n_items;
	c->items[c->n_items++] = item;
	return 0;
}

static int parse_row(struct catalogue *c, const struct table *t, const char *file)
{
	struct catalogue_item *item = catalogue_take(c, sizeof(*item));
	int r;

	if (!item)
		return -ENOMEM;
	prefix_set_init(&item->row.cidrs);
	item->row.file = file;
	item->row.line = t->line;
	r = read_row(c, t, &item->row);
	if (r == 0)
		r = keep_row(c, t, item);
	if (r < 0)
		prefix_set_deinit(&item->row.cidrs);
	return r;
}

int catalogue_parse_providers(struct catalogue *c, const char *file, struct sv text, bool shipped,
			      struct catalogue_error *error)
{
	const char *kept = shipped ? NULL : catalogue_text(c, file, SV(""), "");
	struct table t;
	int r = table_open(&t, file, text, provider_columns, PROVIDER_COLUMNS, error);

	if (!shipped && !kept)
		return -ENOMEM;
	while (r == 0 && (r = table_next(&t)) > 0)
		r = parse_row(c, &t, kept);
	return r;
}

enum { COL_SNAP_NAME, COL_SNAP_CONFIRMED, COL_SNAP_CIDRS, COL_SNAP_OTHER, SNAPSHOT_COLUMNS };

static const char *const snapshot_columns[SNAPSHOT_COLUMNS] = {
	[COL_SNAP_NAME] = "name",
	[COL_SNAP_CONFIRMED] = "confirmed_by_domains",
	[COL_SNAP_CIDRS] = "cidrs",
	[COL_SNAP_OTHER] = "other_terms",
};

/* Under its key in the map; else freed. */
static int keep_set(struct catalogue *c, const struct table *t, const char *name,
		    struct prefix_set *set)
{
	char key[SOURCE_KEY_MAX];
	int r = -ENOMEM;

	snprintf(key, sizeof(key), "spf:%s", name);
	if (map_get(&c->snapshot, sv_from(key)))
		r = table_wrong(t, "name: '%s' stands here already; accepted: each once", name);
	else if (map_put(&c->snapshot, sv_from(key), set, NULL) == 0)
		return 0;
	prefix_set_deinit(set);
	return r;
}

static int parse_set(struct catalogue *c, const struct table *t)
{
	struct prefix_set *set = catalogue_take(c, sizeof(*set));
	char name[256];
	int r = set ? read_domain(t, COL_SNAP_NAME, t->cells[COL_SNAP_NAME], name) : -ENOMEM;

	if (r < 0)
		return r;
	prefix_set_init(set);
	r = read_prefixes(t, COL_SNAP_CIDRS, set);
	if (r < 0) {
		prefix_set_deinit(set);
		return r;
	}
	return keep_set(c, t, name, set);
}

int catalogue_parse_snapshot(struct catalogue *c, const char *file, struct sv text,
			     struct catalogue_error *error)
{
	struct table t;
	int r = table_open(&t, file, text, snapshot_columns, SNAPSHOT_COLUMNS, error);

	while (r == 0 && (r = table_next(&t)) > 0)
		r = parse_set(c, &t);
	return r;
}
