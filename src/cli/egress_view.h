/* The egress of one scanner part by part, as it is now: what is shown of it by explain and
 * scanners. */
#pragma once

#include "cli/asked.h"
#include "policy/decide.h"

#include <jansson.h>
#include <stdio.h>

enum egress_kind {
	EGRESS_MX,         /* its ingress: the addresses of its MX hosts */
	EGRESS_PREFIXES,   /* written down in the configuration or the catalogue */
	EGRESS_ACCEPTED,   /* settled by the operator */
	EGRESS_SOURCE,     /* "spf:NAME", "host:NAME" */
	EGRESS_EXISTS,     /* the tenant's record about each client */
	EGRESS_PTR,        /* names below a suffix */
	EGRESS_TENANT_PTR, /* names by the tenant's pattern */
	EGRESS_PARENT,     /* default: names below the MX hosts' parent domain */
};

struct egress_part {
	enum egress_kind kind;
	char text[SOURCE_KEY_MAX + 8]; /* as the configuration would say it: "mx", "ptr:SUFFIX" */
	const struct prefix_set *set;  /* its addresses; NULL: it has none of its own */
	const struct egress_source *source; /* NULL: not asked for */
	bool matches;                       /* lets the client in */
	struct prefix match;                /* by this prefix; bits 0: by name, or by its record */
};

struct egress_query {
	const struct door_owner *owner;
	const struct dns_host *const *hosts; /* the owner's */
	size_t n_hosts;
	struct asked *asked;
	const struct addr *client;        /* NULL: nobody in particular */
	const struct client_names *names; /* its names; NULL: not known */
	const struct prefix_set *accepted;
};

struct egress_view {
	struct egress_part *parts;
	size_t n, alloc;
	struct prefix_set mx;
	bool one_address; /* in each family at most */
};

/* Asks DNS for sources that were not asked for yet. What it shows lives as long as what is in the
 * query. 0 or -ENOMEM; deinit in any case. */
int egress_view_gather(const struct egress_query *q, struct egress_view *ret_egress);
/* The same of what a row of domains: allows; of q only asked, client and names are looked at. */
int egress_view_gather_allowed(const struct domain_policy *row, const struct egress_query *q,
			       struct egress_view *ret_egress);
void egress_view_deinit(struct egress_view *e);
/* The part with the longest prefix, else the first, of those that let the client in; NULL: none. */
const struct egress_part *egress_view_match(const struct egress_view *e);

/* Some source's look-up failed. */
bool egress_view_has_failed(const struct egress_view *e);

/* A line for each part, every one after the first with so many spaces in front. */
void egress_view_write(const struct egress_view *e, FILE *out, int indent);
json_t *egress_view_json(const struct egress_view *e);
/* The first few, and how many there are; no newline. */
void prefixes_write(const struct prefix_set *set, FILE *out);
json_t *prefixes_json(const struct prefix_set *set);
/* What strangers may have written: escaped where it isn't printable; "" and NULL: null. */
json_t *text_json(const char *text);

/* "configured", "mx", "cname", "ptr", "default" */
const char *owner_from_name(enum owner_from from);
/* "the catalogue, by the name NAME", ... */
void owner_write_from(const struct door_owner *owner, FILE *out);
/* {"spf", "exists", "names"}; null: it has no tenant */
json_t *owner_tenant_json(const struct door_owner *owner);
