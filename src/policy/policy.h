/*
 * What the operator decided, as policy needs it: a part of the configuration's immutable snapshot.
 * Filled by conf/.
 */
#pragma once

#include "base/addr.h"
#include "base/map.h"
#include "policy/catalogue.h"
#include "policy/proof.h"
#include "policy/scanner.h"
#include "policy/verdict.h"

/* A row of domains:. */
struct domain_policy {
	enum action action;      /* ACTION_UNSET: none of its own */
	struct prefix_set allow; /* sealed */
	char **allow_ptr;        /* suffixes */
	size_t n_allow_ptr;
	char **allow_sources; /* keys, as "spf:NAME" */
	size_t n_allow_sources;
};
void domain_policy_free(void *domain_policy);

uint64_t policy_next_generation(void);

/* policy.enforce. Shares in hundredths of a percent (policy/share.h). */
struct enforce_policy {
	int spared;         /* share of domains that are only observed; default 0 */
	char *complaints;   /* file; NULL: none */
	int max_rejections; /* share of mail; default 20 % */
};

struct policy {
	/* Of its scanners and catalogue: no other policy of this process has or had it
	 * (policy_next_generation()), so that threads may remember what they found there. 0: they
	 * may not. */
	uint64_t generation;
	enum action action;            /* default ACTION_OBSERVE */
	enum action guessed_action;    /* default ACTION_OBSERVE */
	enum action on_dns_failure;    /* ACTION_DEFER (default) or ACTION_PASS */
	enum action on_unknown_domain; /* ACTION_PASS (default), ACTION_DEFER or ACTION_REJECT */
	enum action shared_egress;     /* ACTION_PASS (default) or ACTION_TAG */
	bool strict_backup;
	bool confirm; /* resolver.confirm: authoritative */
	int64_t stale_max_ms;
	struct proof_conf prove;
	const char *help_url; /* "" : none */
	struct enforce_policy enforce;
	struct prefix_set trusted;
	struct prefix_set server_addresses;
	bool server_addresses_given;
	const struct catalogue *catalogue; /* NULL: none */
	struct scanner *scanners;
	size_t n_scanners;
	struct map domains; /* A-label name → struct domain_policy */
};
