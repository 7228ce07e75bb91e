#include "conf/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A list of words into *array; each made by convert(), NULL when it has told why not. */
static void read_words(struct conf_reader *r, const struct yaml_node *node, const char *path,
		       char *(*convert)(struct conf_reader *r, const struct yaml_node *node,
					const char *path, struct sv text),
		       char ***array, size_t *n)
{
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		char *word, **slot;

		if (!reader_is_scalar(r, item, path, "a word"))
			continue;
		word = convert(r, item, path, item->text);
		if (!word)
			continue;
		slot = reader_grow(r, array, n, sizeof(*slot));
		if (slot)
			*slot = word;
		else
			free(word);
	}
}

/* A domain name in lower-case A-labels. */
static char *to_domain(struct conf_reader *r, const struct yaml_node *node, const char *path,
		       struct sv text)
{
	char ascii[256], shown[READER_QUOTED];

	if (domain_to_ascii(text, ascii) < 0) {
		reader_error(r, node, path, "'%s' is no domain name; accepted: example.org",
			     reader_quote(text, shown));
		return NULL;
	}
	return reader_dup(r, sv_from(ascii));
}

static char *to_mx_pattern(struct conf_reader *r, const struct yaml_node *node, const char *path,
			   struct sv text)
{
	char *domain, *pattern = NULL;

	if (!sv_starts_nocase(text, SV("*.")))
		return to_domain(r, node, path, text);
	domain = to_domain(r, node, path, (struct sv) { text.p + 2, text.n - 2 });
	if (!domain)
		return NULL;
	pattern = malloc(strlen(domain) + 3);
	if (pattern)
		sprintf(pattern, "*.%s", domain);
	else
		r->no_memory = true;
	free(domain);
	return pattern;
}

/* "ptr:SUFFIX", or "ptr:*.SUFFIX" as it is sometimes written. */
static void read_ptr(struct conf_reader *r, const struct yaml_node *node, const char *path,
		     char ***array, size_t *n)
{
	struct sv suffix = { node->text.p + 4, node->text.n - 4 };
	char *domain, **slot;

	if (sv_starts_nocase(suffix, SV("*.")))
		suffix = (struct sv) { suffix.p + 2, suffix.n - 2 };
	domain = to_domain(r, node, path, suffix);
	slot = domain ? reader_grow(r, array, n, sizeof(*slot)) : NULL;
	if (slot)
		*slot = domain;
	else
		free(domain);
}

static const char *source_prefix(struct sv text)
{
	return sv_starts_nocase(text, SV("spf:"))    ? "spf:"
	       : sv_starts_nocase(text, SV("host:")) ? "host:"
						     : NULL;
}

/* "spf:NAME", "host:NAME", as they are asked for (dns/facts.h); prefix is which. */
static void read_source(struct conf_reader *r, const struct yaml_node *node, const char *path,
			const char *prefix, char ***array, size_t *n)
{
	size_t len = strlen(prefix);
	char *domain =
		to_domain(r, node, path, (struct sv) { node->text.p + len, node->text.n - len });
	char **slot;

	if (domain && *n >= CATALOGUE_SOURCES_MAX) {
		reader_error(r, node, path, "too many spf: and host: here; accepted: %d",
			     CATALOGUE_SOURCES_MAX);
	} else if (domain && (slot = reader_grow(r, array, n, sizeof(*slot)))) {
		if (asprintf(slot, "%s%s", prefix, domain) < 0) {
			*slot = NULL;
			--*n;
			r->no_memory = true;
		}
	}
	free(domain);
}

static void read_egress(struct conf_reader *r, const struct yaml_node *node, const char *path,
			void *field)
{
	static const char accepted[] = "mx, an address or prefix, \"spf:NAME\", \"host:NAME\", "
				       "\"ptr:SUFFIX\"";
	struct scanner *s = field;
	const char *source;

	if (!reader_is_list(r, node, path, accepted))
		return;
	for (const struct yaml_node *n = node->first; n; n = n->next) {
		if (!reader_is_scalar(r, n, path, accepted))
			continue;
		if (sv_eq(n->text, SV("mx")))
			s->egress_mx = true;
		else if ((source = source_prefix(n->text)))
			read_source(r, n, path, source, &s->sources, &s->n_sources);
		else if (sv_starts_nocase(n->text, SV("ptr:")))
			read_ptr(r, n, path, &s->ptr, &s->n_ptr);
		else
			read_prefix(r, n, path, &s->cidrs);
	}
}

static void read_mx(struct conf_reader *r, const struct yaml_node *node, const char *path,
		    void *field)
{
	struct scanner *s = field;

	if (reader_is_list(r, node, path, "MX host names, as mx.example.net or \"*.example.net\""))
		read_words(r, node, path, to_mx_pattern, &s->mx, &s->n_mx);
}

static const struct option scanner_options[] = {
	{ "name", OPTION_STRING, offsetof(struct scanner, name), .min = 1, .max = 200 },
	{ "mx", OPTION_READ, 0, .read = read_mx },
	{ "egress", OPTION_READ, 0, .read = read_egress },
	{ "action", OPTION_WORD, offsetof(struct scanner, action), .def = ACTION_UNSET,
	  .words = action_words },
};
static const struct schema scanner_schema = { scanner_options, ARRAY_SIZE(scanner_options) };

void read_scanners(struct conf_reader *r, const struct yaml_node *node, const char *path,
		   void *field)
{
	struct policy *policy = &((struct conf *)field)->policy;

	if (!reader_is_list(r, node, path, "scanners"))
		return;
	for (const struct yaml_node *n = node->first; n; n = n->next) {
		unsigned before = r->errors;
		struct scanner *s =
			reader_grow(r, &policy->scanners, &policy->n_scanners, sizeof(*s));

		if (!s)
			return;
		prefix_set_init(&s->cidrs);
		reader_map(r, n, path, &scanner_schema, s);
		prefix_set_seal(&s->cidrs);
		if (!yaml_get(n, "egress"))
			s->egress_mx = s->egress_default_ptr = true;
		if (r->errors != before)
			continue;
		if (!s->name)
			reader_error(r, n, path, "no name; accepted: name: WORD");
		if (s->n_mx == 0)
			reader_error(r, n, path,
				     "no mx, so no domain can be this scanner's; accepted: mx: "
				     "[HOST, ...]");
		for (size_t i = 0; s->name && i + 1 < policy->n_scanners; i++)
			if (policy->scanners[i].name &&
			    strcmp(policy->scanners[i].name, s->name) == 0)
				reader_error(r, yaml_get(n, "name"), "scanners.name",
					     "'%s' is another scanner's already; accepted: a name "
					     "for each",
					     s->name);
	}
}

static void read_allow(struct conf_reader *r, const struct yaml_node *node, const char *path,
		       void *field)
{
	static const char accepted[] = "an address or prefix, \"spf:NAME\", \"host:NAME\", "
				       "\"ptr:SUFFIX\"";
	struct domain_policy *row = field;
	const char *source;

	if (!reader_is_list(r, node, path, accepted))
		return;
	for (const struct yaml_node *n = node->first; n; n = n->next) {
		if (!reader_is_scalar(r, n, path, accepted))
			continue;
		if ((source = source_prefix(n->text)))
			read_source(r, n, path, source, &row->allow_sources, &row->n_allow_sources);
		else if (sv_starts_nocase(n->text, SV("ptr:")))
			read_ptr(r, n, path, &row->allow_ptr, &row->n_allow_ptr);
		else
			read_prefix(r, n, path, &row->allow);
	}
}

static void read_unused_name(struct conf_reader *r, const struct yaml_node *node, const char *path,
			     void *field)
{
	reader_is_scalar(r, node, path, "a domain name");
}

static const struct option domain_options[] = {
	{ "name", OPTION_READ, 0, .read = read_unused_name }, /* becomes the row's key */
	{ "action", OPTION_WORD, offsetof(struct domain_policy, action), .def = ACTION_UNSET,
	  .words = action_words },
	{ "allow", OPTION_READ, 0, .read = read_allow },
};
static const struct schema domain_schema = { domain_options, ARRAY_SIZE(domain_options) };

/* Under its name in the map; else freed. */
static void keep_domain(struct conf_reader *r, const struct yaml_node *node, const char *path,
			struct map *domains, struct domain_policy *row)
{
	const struct yaml_node *name = yaml_get(node, "name");
	char *domain = NULL;

	if (!name)
		reader_error(r, node, path, "no name; accepted: name: DOMAIN");
	else if (name->kind == YAML_SCALAR)
		domain = to_domain(r, name, "domains.name", name->text);
	if (domain && map_get(domains, sv_from(domain))) {
		reader_error(r, name, "domains.name", "%s stands here already; accepted: each once",
			     domain);
	} else if (domain) {
		if (map_put(domains, sv_from(domain), row, NULL) == 0)
			row = NULL;
		else
			r->no_memory = true;
	}
	free(domain);
	domain_policy_free(row);
}

void read_domains(struct conf_reader *r, const struct yaml_node *node, const char *path,
		  void *field)
{
	struct policy *policy = &((struct conf *)field)->policy;

	if (!reader_is_list(r, node, path, "domains"))
		return;
	for (const struct yaml_node *n = node->first; n; n = n->next) {
		struct domain_policy *row = calloc(1, sizeof(*row));

		if (!row) {
			r->no_memory = true;
			return;
		}
		prefix_set_init(&row->allow);
		reader_map(r, n, path, &domain_schema, row);
		prefix_set_seal(&row->allow);
		if (n->kind == YAML_MAPPING)
			keep_domain(r, n, path, &policy->domains, row);
		else
			domain_policy_free(row);
	}
}
