/*
 * The catalogue: which mail filters and mailbox services there are, by the names of their MX hosts,
 * and which addresses they deliver from. Facts gathered by hand (data/providers.tsv,
 * data/derive.tsv, data/spf_snapshot.tsv; data/README.md says how far to trust them), shipped
 * inside the program; a second file of the operator's adds rows and replaces those of the same id.
 * Immutable once made, read by all threads. Pure: bytes in, rows out.
 */
#pragma once

#include "base/addr.h"
#include "base/base.h"

struct catalogue;

enum confidence { CONFIDENCE_LOW, CONFIDENCE_MEDIUM, CONFIDENCE_HIGH };
enum provider_kind { PROVIDER_FILTER, PROVIDER_MAILBOX, PROVIDER_FORWARDER };

struct catalogue_row {
	const char *id;   /* the scanner's name in events and commands */
	const char *name; /* for people */
	enum provider_kind kind;
	enum confidence confidence;
	const char *source;
	const char *const *mx; /* suffixes, on label boundaries */
	size_t n_mx;
	const char *const *sources; /* keys of egress sources: "spf:NAME", "host:NAME" */
	size_t n_sources;
	struct prefix_set cidrs;
	const char *const *ptr; /* suffixes */
	size_t n_ptr;
	const char *file; /* where the row stands; NULL: shipped */
	unsigned line;    /* there */
};

#define CATALOGUE_ROW_SOURCES 16 /* of one row, at most */
#define CATALOGUE_SOURCES_MAX 64 /* of what catalogue_find() gives, at most */

/* Which part of a row's egress is the tenant's own, by the name of its MX host. */
struct tenant {
	const char *spf;    /* key "spf:NAME"; NULL: none */
	const char *exists; /* "%{i}.spf.ALLOC": what to ask for an A record, with the client's
			       address (RFC 7208 7.3) put in; NULL: none */
	const struct tenant_ptr *ptr; /* names that are the tenant's, in place of the row's
					 suffixes; NULL: those of the row stay */
	bool shared; /* it is no customer but a region of the provider's, which all of its customers
			send from */
};

/* "FILE:LINE: what is wrong; what is accepted", without newline. */
struct catalogue_error {
	char text[512];
};

/*
 * The shipped one. Made once, never freed, safe from any thread. NULL: memory ran out (its text is
 * checked by the tests).
 */
const struct catalogue *catalogue_shipped(void);
/*
 * The shipped rows and those of texts (n of them; files are their names, for errors and for
 * row->file), each in the format of data/providers.tsv, headed by the names of its columns; later
 * rows replace earlier ones of the same id. Freed by catalogue_free(). 0; -EINVAL: ret_error says
 * what; -ENOMEM.
 */
int catalogue_extend(const char *const *files, const struct sv *texts, size_t n,
		     struct catalogue **ret_catalogue, struct catalogue_error *ret_error);
/* Makes one of nothing but these texts, in the formats of the three files; rules and snapshot may
 * be empty. As catalogue_extend(). */
int catalogue_read(struct sv providers, struct sv rules, struct sv snapshot,
		   struct catalogue **ret_catalogue, struct catalogue_error *ret_error);
void catalogue_free(struct catalogue *c);

size_t catalogue_count(const struct catalogue *c);
const struct catalogue_row *catalogue_row(const struct catalogue *c, size_t i);

/* The row with the longest suffix that host (lower-case A-labels) equals or lies below; NULL: none.
 * Where that suffix is several rows', it is their union, called "a+b" by their ids, with the least
 * confidence of them and without tenants. Fast: one hash look-up a label. */
const struct catalogue_row *catalogue_find(const struct catalogue *c, const char *host);
/* Is host itself such a suffix? */
bool catalogue_has(const struct catalogue *c, const char *host);
/* The row of this id; NULL: none. */
const struct catalogue_row *catalogue_by_id(const struct catalogue *c, struct sv id);

/* The tenant that an MX host of this row is, valid until the thread has asked for some hundred
 * others; NULL: its name tells none, or no rule is about the row. Rules are about ids, so they hold
 * for an operator's row of that id, too. Fast for names asked for of late. */
const struct tenant *catalogue_tenant(const struct catalogue *c, const struct catalogue_row *row,
				      const char *mx_host);
/* Is a rule about the row, so that names of its MX hosts may tell a tenant? */
bool catalogue_has_tenants(const struct catalogue *c, const struct catalogue_row *row);
/* Is this forward-confirmed name one of the tenant's? */
bool tenant_admits_name(const struct tenant *tenant, const char *name);

/* What an SPF name expanded to when the catalogue was made, by its key "spf:NAME"; NULL: not in it.
 */
const struct prefix_set *catalogue_fallback(const struct catalogue *c, const char *key);
