/*
 * Asks a domain's own servers: NS set of the zone it is in and the addresses of those from the
 * recursive resolver, then what lookup_domain() asks about the domain directly, RD clear, AA
 * required. Addresses of MX hosts come from the recursive resolver.
 */
#pragma once

#include "dns/channel.h"

struct confirm;

struct confirm_conf {
	uv_loop_t *loop;
	struct channel *recursive;
	uint16_t port; /* of the authoritative servers */
	int timeout_ms;
};

/* facts are the callee's, or NULL: not confirmed. Not inside confirm_domain(). */
typedef void (*confirm_done_fn)(void *user, struct domain_facts *facts);

/* NULL when memory ran out. */
struct confirm *confirm_domain(const struct confirm_conf *conf, const char *domain,
			       confirm_done_fn done, void *user);
/* Only when the recursive channel is freed before. NULL is fine. */
void confirm_abort(struct confirm *c);
