/* Rows of derive.tsv: which part of the name of an MX host is its tenant's, and what the egress of
 * that tenant is called. They are ours alone; their expressions are compiled here, once. */
#include "policy/catalogue_private.h"
#include "policy/catalogue_table.h"

#include <errno.h>
#include <stdio.h>

enum { REGEX_MAX = 200, REPEAT_MAX = 64 };

enum { COL_PROVIDER, COL_MX, COL_SPF, COL_PTR, COL_MEASURED, COL_SOURCE, RULE_COLUMNS };

static const char *const rule_columns[RULE_COLUMNS] = {
	[COL_PROVIDER] = "provider",     [COL_MX] = "mx_regex",       [COL_SPF] = "derived_spf",
	[COL_PTR] = "derived_ptr_regex", [COL_MEASURED] = "measured", [COL_SOURCE] = "source",
};

void tenant_rule_deinit(struct tenant_rule *rule)
{
	if (rule->mx_set)
		regfree(&rule->mx);
	if (rule->ptr.before_set)
		regfree(&rule->ptr.before);
	if (rule->ptr.after_set)
		regfree(&rule->ptr.after);
	rule->mx_set = rule->ptr.before_set = rule->ptr.after_set = false;
}

/* Where a regular expression may be cut in two. */
struct cut {
	size_t at; /* of the backslash; its length: there is no \1 */
	bool fits; /* the parts are expressions of their own */
};

/* The end of "[...]" that begins at i. */
static size_t bracket_end(struct sv text, size_t i)
{
	i++;
	if (i < text.n && text.p[i] == '^')
		i++;
	if (i < text.n && text.p[i] == ']')
		i++;
	while (i < text.n && text.p[i] != ']')
		i++;
	return i;
}

/* The greatest number in "{...}" that begins at i. */
static unsigned repeats_at(struct sv text, size_t i)
{
	unsigned most = 0, n = 0;

	for (i++; i < text.n && text.p[i] != '}'; i++) {
		n = ascii_is_digit(text.p[i]) ? 10 * n + (unsigned)(text.p[i] - '0') : 0;
		if (n > REPEAT_MAX)
			return n;
		most = n > most ? n : most;
	}
	return most;
}

/* An expression that is bounded in all that it can make the matcher do: anchored, no reference but
 * one \1, repeated REPEAT_MAX times at most in one place. */
static struct cut find_cut(struct sv text)
{
	struct cut cut = { .at = text.n };
	int depth = 0, repeats = 0;
	bool fits =
		text.n > 2 && text.n <= REGEX_MAX && text.p[0] == '^' && text.p[text.n - 1] == '$';

	for (size_t i = 0; i < text.n && fits; i++) {
		char c = text.p[i], next = i + 1 < text.n ? text.p[i + 1] : '\0';

		if (c == '\\' && next == '1' && cut.at == text.n) {
			char behind = i + 2 < text.n ? text.p[i + 2] : '\0';

			fits = depth == 0 && !strchr("*+?{", behind);
			cut.at = i++;
		} else if (c == '\\') {
			fits = !ascii_is_digit(next) && i + 2 < text.n;
			i++;
		} else if (c == '[') {
			i = bracket_end(text, i);
		} else if (c == '{') {
			fits = ++repeats == 1 && repeats_at(text, i) <= REPEAT_MAX;
		} else if (c == '(' || c == ')') {
			depth += c == '(' ? 1 : -1;
			fits = depth >= 0;
		} else if (c == '|') {
			fits = depth > 0;
		}
	}
	cut.fits = fits && depth == 0;
	return cut;
}

static int wrong_regex(const struct table *t, int column)
{
	char text[TABLE_QUOTED];

	return table_wrong(t,
			   "%s: '%s' can't be; accepted: an extended regular expression from ^ to "
			   "$",
			   t->columns[column], table_quote(t->cells[column], text));
}

/* front, text and back as one expression. */
static int compile(regex_t *regex, const char *front, struct sv text, const char *back, int flags)
{
	char pattern[REGEX_MAX + 8];

	snprintf(pattern, sizeof(pattern), "%s" SV_FMT "%s", front, SV_ARG(text), back);
	return regcomp(regex, pattern, REG_EXTENDED | flags);
}

static int read_mx(const struct table *t, struct tenant_rule *rule)
{
	struct sv text = t->cells[COL_MX];
	struct cut cut = find_cut(text);

	if (!cut.fits || cut.at != text.n || compile(&rule->mx, "", text, "", 0) != 0)
		return wrong_regex(t, COL_MX);
	rule->mx_set = true;
	return 0;
}

static int read_ptr(const struct table *t, struct tenant_rule *rule, bool *tells_tenant)
{
	struct sv text = t->cells[COL_PTR];
	struct cut cut = find_cut(text);
	struct tenant_regex *ptr = &rule->ptr;
	bool cuts = cut.at < text.n;

	if (text.n == 0)
		return 0;
	if (!cut.fits || compile(&ptr->before, "", (struct sv) { text.p, cut.at }, cuts ? "$" : "",
				 REG_NOSUB) != 0)
		return wrong_regex(t, COL_PTR);
	ptr->before_set = true;
	if (!cuts)
		return 0;
	*tells_tenant = true;
	text = (struct sv) { text.p + cut.at + 2, text.n - cut.at - 2 };
	if (compile(&ptr->after, "^", text, "", REG_NOSUB) != 0)
		return wrong_regex(t, COL_PTR);
	ptr->after_set = true;
	return 0;
}

/* The parts before and behind the one \1 in it. */
static int cut_text(struct catalogue *c, struct sv text, struct tenant_text *ret_text)
{
	const char *at = memmem(text.p, text.n, "\\1", 2);
	size_t n = at ? (size_t)(at - text.p) : text.n;

	ret_text->before = catalogue_text(c, "", (struct sv) { text.p, n }, "");
	if (at)
		ret_text->after = catalogue_text(c, "", (struct sv) { at + 2, text.n - n - 2 }, "");
	return ret_text->before && (!at || ret_text->after) ? 0 : -ENOMEM;
}

/* "NAME", or "exists:%{i}.NAME"; a \1 may stand in NAME. */
static int read_spf(struct catalogue *c, const struct table *t, struct tenant_rule *rule,
		    bool *tells_tenant)
{
	struct sv text = t->cells[COL_SPF], name = text;
	bool exists = sv_starts_nocase(text, SV("exists:%{i}."));
	char example[256], ascii[256], quoted[TABLE_QUOTED];
	struct tenant_text cut = { 0 };

	if (text.n == 0)
		return 0;
	if (exists)
		name = (struct sv) { text.p + 12, text.n - 12 };
	if (cut_text(c, name, &cut) < 0)
		return -ENOMEM;
	snprintf(example, sizeof(example), "%s%s%s", cut.before, cut.after ? "x" : "",
		 cut.after ? cut.after : "");
	if (domain_to_ascii(sv_from(example), ascii) < 0 || strcmp(example, ascii) != 0)
		return table_wrong(t,
				   "derived_spf: '%s' can't be; accepted: a domain name, "
				   "exists:%%{i}.NAME, with \\1 once for the tenant",
				   table_quote(text, quoted));
	*tells_tenant = cut.after;
	if (!exists) {
		rule->spf = cut;
		return 0;
	}
	text = (struct sv) { text.p + 7, text.n - 7 };
	return cut_text(c, text, &rule->exists);
}

static bool text_may_be(const struct tenant_text *text, const char *name)
{
	struct sv v = sv_from(name), before = sv_from(text->before);

	if (!text->after)
		return strcmp(name, text->before) == 0;
	return v.n > before.n + strlen(text->after) && sv_starts_nocase(v, before) &&
	       sv_ends_nocase(v, sv_from(text->after));
}

/* What the rule derives for one is what a row of ours says for all: then it is no customer. */
static bool is_shared(const struct catalogue *c, const struct tenant_rule *rule)
{
	for (size_t i = 0; rule->spf.before && i < c->n_items; i++) {
		const struct catalogue_row *row = &c->items[i]->row;

		for (size_t k = 0; k < row->n_sources && !row->file; k++)
			if (strncmp(row->sources[k], "spf:", 4) == 0 &&
			    text_may_be(&rule->spf, row->sources[k] + 4))
				return true;
	}
	return false;
}

/* Behind the others of the same provider. */
static int keep_rule(struct catalogue *c, const char *id, struct tenant_rule *rule)
{
	struct tenant_rule *last = map_get(&c->rules, sv_from(id));

	if (!last)
		return map_put(&c->rules, sv_from(id), rule, NULL);
	while (last->next)
		last = last->next;
	last->next = rule;
	return 0;
}

static int read_rule(struct catalogue *c, const struct table *t, struct tenant_rule *rule)
{
	struct catalogue_item *item = map_get(&c->by_id, t->cells[COL_PROVIDER]);
	bool in_spf = false, in_ptr = false;
	char text[TABLE_QUOTED];
	int r;

	if (!item)
		return table_wrong(t, "provider: there is no row '%s'; accepted: an id",
				   table_quote(t->cells[COL_PROVIDER], text));
	r = read_mx(t, rule);
	if (r == 0)
		r = read_spf(c, t, rule, &in_spf);
	if (r == 0)
		r = read_ptr(t, rule, &in_ptr);
	if (r < 0)
		return r;
	if (!rule->spf.before && !rule->exists.before && !rule->ptr.before_set)
		return table_wrong(t, "nothing is derived; accepted: derived_spf, "
				      "derived_ptr_regex, or both");
	if ((in_spf || in_ptr) && rule->mx.re_nsub == 0)
		return table_wrong(t, "mx_regex: \\1 is used but not set; accepted: with a part in "
				      "parentheses");
	rule->shared = is_shared(c, rule);
	r = keep_rule(c, item->row.id, rule);
	if (r == 0)
		item->rules = map_get(&c->rules, sv_from(item->row.id));
	return r;
}

int catalogue_parse_rules(struct catalogue *c, const char *file, struct sv text,
			  struct catalogue_error *error)
{
	struct table t;
	int r = table_open(&t, file, text, rule_columns, RULE_COLUMNS, error);

	while (r == 0 && (r = table_next(&t)) > 0) {
		struct tenant_rule *rule = catalogue_take(c, sizeof(*rule));

		r = rule ? read_rule(c, &t, rule) : -ENOMEM;
		if (r < 0 && rule)
			tenant_rule_deinit(rule);
	}
	return r;
}
