/*
 * Scanners: who the hosts of an MX set belong to, and which clients are their egress. Pure.
 *
 * A scanner comes from the configuration, else from the catalogue (catalogue.h), or is unknown and
 * named after the MX host's parent domain, with the default egress: the MX set's own addresses, and
 * clients whose forward-confirmed name lies below the MX host's parent domain (the MX host's own
 * name where the parent is a public suffix).
 */
#pragma once

#include "base/addr.h"
#include "dns/facts.h"
#include "policy/verdict.h"

struct scanner {
	char *name;
	char **mx; /* patterns: "host.example" or "*.example" (any depth below) */
	size_t n_mx;
	bool egress_mx;          /* the MX set's addresses deliver */
	bool egress_default_ptr; /* as for an unknown scanner */
	struct prefix_set cidrs; /* sealed */
	char **ptr;              /* suffixes, on label boundaries */
	size_t n_ptr;
	char **sources; /* keys, as "spf:NAME", "host:NAME" (dns/facts.h) */
	size_t n_sources;
	enum action action; /* ACTION_UNSET: none of its own */
};

void scanner_deinit(struct scanner *s);

bool mx_pattern_matches(const char *pattern, const char *host);
/* host equals suffix or lies below it; both lower-case. */
bool name_is_below(const char *host, const char *suffix);
/* The name the default egress of an MX host is below, a view into host; n == 0: none is safe. */
struct sv scanner_parent_domain(const char *mx_host);
/* The domain under a public suffix that the host belongs to, a view to its end; NULL: none. */
const char *registrable_domain(const char *host);
/* Does this PTR name spell out the address (in decimal, hex, either direction), as names of
 * dial-up and cloud customers do? */
bool name_is_generic(const char *name, const struct addr *address);

/* The configured scanner that this MX host belongs to: the longest pattern wins; -1: none. */
int scanner_find(const struct scanner *scanners, size_t n, const char *mx_host);
