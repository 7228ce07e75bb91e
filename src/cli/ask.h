/* The resolver for commands that wait for their answers: each call returns when one is there. */
#pragma once

#include "conf/conf.h"
#include "dns/facts.h"

struct ask;

int ask_open(const struct conf *conf, struct ask **ret_ask);
void ask_close(struct ask *a);

/* What DNS says now, malloc'ed; NULL: no answer within the time limit, or no memory. confirm: asked
 * at the domain's authoritative servers. */
struct domain_facts *ask_domain(struct ask *a, const char *domain, bool confirm);
struct client_names *ask_client(struct ask *a, const struct addr *client);
struct door_names *ask_names(struct ask *a, const char *domain);
struct egress_source *ask_source(struct ask *a, const char *key);
/* The addresses of one host, whatever MX it has itself: facts of kind FACTS_ADDRESS (or
 * FACTS_NOTHING, FACTS_FAILED) with that one host in any case; the name of its addresses where that
 * tells whose it is (policy_wants_ptr()). */
struct domain_facts *ask_host(struct ask *a, const char *host);
