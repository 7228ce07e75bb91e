/*
 * Reverse-path and forward-path of MAIL and RCPT (RFC 5321 4.1.2, 6531 3.3). Source routes are
 * stripped, quoting is undone, and what goes on to the backend is written anew from what was
 * understood, so that both see the same address.
 *
 * As MTAs do, white space after the colon and an address without angle brackets are accepted.
 */
#pragma once

#include "base/base.h"

#define PATH_LOCAL_MAX  255 /* RFC 5321 4.5.3.1.1 asks for 64 at least; VERP makes longer ones */
#define PATH_DOMAIN_MAX 255 /* 4.5.3.1.2 */
#define PATH_WIRE_MAX   (2 * PATH_LOCAL_MAX + PATH_DOMAIN_MAX + 8)
#define PATH_ROUTES_MAX 4

enum path_kind {
	PATH_NULL,       /* <> */
	PATH_POSTMASTER, /* <postmaster>, any case, no domain */
	PATH_DOMAINLESS, /* <local> */
	PATH_MAILBOX,    /* <local@domain> */
	PATH_LITERAL,    /* <local@[192.0.2.1]> */
};

struct smtp_path {
	enum path_kind kind;
	uint16_t local_len;
	uint16_t domain_len;
	bool quoted;                    /* the local part came as a quoted string */
	char local[PATH_LOCAL_MAX + 1]; /* dequoted; no CR, LF or NUL */
	char domain[PATH_DOMAIN_MAX +
		    1]; /* as given, a trailing dot taken off; with brackets for PATH_LITERAL */
};

/* 0; -EINVAL: no path (501). ret_used: bytes of text taken, parameters follow after spaces. */
int path_parse(struct sv text, bool smtputf8, struct smtp_path *ret_path, size_t *ret_used);

/*
 * "<local@domain>" into out[PATH_WIRE_MAX]; returns its length. Quoted where it must be. Dots at
 * the ends or next to each other make no dot-string, but MTAs take them: these are written with
 * quotes only if they came so.
 */
size_t path_write(const struct smtp_path *path, char *out);

/*
 * Domains named inside the local part, by which a server may route on: after each '@' and '%',
 * before each '!'. Only what has the shape of a domain with a dot counts. Views into path->local.
 * Returns how many, up to PATH_ROUTES_MAX, or -E2BIG: more than that.
 */
int path_routes(const struct smtp_path *path, struct sv ret_domains[PATH_ROUTES_MAX]);

/* Host name of RFC 5321 Domain, or U-labels: letters, digits, hyphens, bytes above 127, dots
 * between; and underscores, which MTAs accept. */
bool domain_is_valid(struct sv domain);
