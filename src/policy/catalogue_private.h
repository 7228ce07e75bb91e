/* The parts of the catalogue. Of policy/catalogue*.c only. */
#pragma once

#include "base/map.h"
#include "dns/facts.h"
#include "policy/catalogue.h"

#include <regex.h>

/* Text with the name of a tenant put into its middle: "spf-" and ".pphosted.com". */
struct tenant_text {
	const char *before; /* NULL: the rule has no such text */
	const char *after;  /* NULL: no tenant's name is in it; before is all of it */
};

/* A regular expression cut where the tenant's name stands in it, so that this is compared as it is,
 * and the expressions are compiled once. */
struct tenant_regex {
	bool before_set, after_set; /* which are there; none: the rule has no such expression */
	regex_t before, after;      /* after: unless no tenant's name is in it */
};

/* A row of derive.tsv. */
struct tenant_rule {
	struct tenant_rule *next; /* of the same provider, in the file's order */
	regex_t mx;
	bool mx_set;
	struct tenant_text spf;    /* a domain name */
	struct tenant_text exists; /* with "%{i}" in it */
	struct tenant_regex ptr;
	bool shared;
};

struct catalogue_item {
	struct catalogue_row row;
	const struct tenant_rule *rules; /* NULL: none */
	size_t index;                    /* among items */
	size_t n_merged;                 /* rows that it is the union of; 0: it is one row */
};

struct catalogue {
	uint64_t generation; /* no other catalogue of this process has or had it */
	struct arena_block *blocks;
	struct catalogue_item **items; /* rows in the files' order */
	size_t n_items;
	struct map by_id;     /* id → struct catalogue_item; unions too */
	struct map by_suffix; /* suffix of an MX host → struct catalogue_item */
	size_t most_labels;   /* of any suffix */
	struct map rules;     /* id → first struct tenant_rule */
	struct map snapshot;  /* key → struct prefix_set * */
};

/* Zeroed, freed with the catalogue; NULL: no memory. */
void *catalogue_take(struct catalogue *c, size_t size);
/* before, text and after (n octets) in one; terminated. */
const char *catalogue_text(struct catalogue *c, const char *before, struct sv text,
			   const char *after);

/* Rows of such a file; later ones replace earlier ones of the same id. 0; -EINVAL; -ENOMEM. */
int catalogue_parse_providers(struct catalogue *c, const char *file, struct sv text, bool shipped,
			      struct catalogue_error *error);
int catalogue_parse_snapshot(struct catalogue *c, const char *file, struct sv text,
			     struct catalogue_error *error);
/* After the rows. */
int catalogue_parse_rules(struct catalogue *c, const char *file, struct sv text,
			  struct catalogue_error *error);
void tenant_rule_deinit(struct tenant_rule *rule);
