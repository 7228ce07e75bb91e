/*
 * The text of one SPF record (RFC 7208 4.5, 4.6, 5, 6, 12), term by term. Pure: any octets may come
 * in. Nothing is looked up and no macro is expanded here: expand.h makes addresses of it.
 */
#pragma once

#include "base/addr.h"

enum spf_kind {
	SPF_ALL,
	SPF_INCLUDE,
	SPF_A,
	SPF_MX,
	SPF_PTR,
	SPF_IP4,
	SPF_IP6,
	SPF_EXISTS,
	SPF_REDIRECT,
	SPF_OTHER, /* exp=, or a modifier that nobody knows (6: to be ignored) */
	SPF_BAD,   /* no term: a receiver of mail would call the record a permanent error (4.6) */
};

/* Views are into the record. */
struct spf_term {
	enum spf_kind kind;
	char qualifier;   /* '+', '-', '~', '?'; of modifiers '+' */
	struct sv text;   /* all of it */
	struct sv domain; /* as it stands there; empty: the record's own */
	bool macros;      /* there is a '%' in domain */
	uint8_t bits4,
		bits6; /* a, mx: how much of an address found counts; 32 and 128 by default */
	struct prefix prefix; /* ip4, ip6: no bits set past its length */
};

/* 4.5: "v=spf1", alone or with a space behind it. */
bool spf_is_record(struct sv text);
/* Where the terms of a record begin; for spf_next(). */
struct sv spf_terms(struct sv record);
/* The next term, out of *rest; false: no more. */
bool spf_next(struct sv *rest, struct spf_term *ret_term);
