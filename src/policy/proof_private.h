/* What a proof is made of; for proof.c and proof_judge.c only. */
#pragma once

#include "base/map.h"
#include "policy/proof.h"

/* A counter of the space-saving summary. */
struct network_proof {
	struct addr network; /* its lowest address */
	uint64_t messages;
	uint64_t error;   /* as many of them may have been another network's */
	char *ptr_domain; /* NULL: none */
	bool related;
};

struct domain_proof {
	int64_t first_ms;
	uint64_t inside, outside, confirmed;
	struct network_proof *networks;
	uint8_t n, alloc; /* up to PROOF_NETWORKS */
};

struct scanner_proof {
	uint64_t inside;
	int64_t first_ms, last_ms, inside_first_ms, inside_last_ms;
	struct map domains; /* name → struct domain_proof */
};

struct settled_network {
	struct prefix network;
	bool accepted;
};

struct held_rival {
	struct prefix network;
	int64_t since_ms, last_ms;
	double share;
	unsigned domains;
	bool related;
	char *ptr_domain; /* NULL: none */
};

/* What stands beside the counts of a scanner. */
struct egress_proof {
	struct settled_network *settled;
	struct held_rival *held;
	unsigned n_settled, n_held;
};

struct proof {
	struct map scanners; /* name → struct scanner_proof */
	struct map egress;   /* name → struct egress_proof */
	size_t n_domains, max_domains;
	size_t n_held, n_settled;
};

void scanner_proof_free(void *scanner_proof);
void egress_proof_free(void *egress_proof);
/* NULL: nothing stands there. */
const struct egress_proof *egress_proof_of(const struct proof *p, struct sv scanner);
bool egress_is_settled(const struct egress_proof *e, const struct prefix *network,
		       bool *ret_accepted);
int egress_each(const struct proof *p, const struct proof_visit *visit);
/* What stands beside the counts of news, too. */
int egress_merge(struct proof *p, const struct proof *news);

/* Into state->rivals, those with at least that many of a network's own messages of each domain. */
int find_rivals(const struct scanner_proof *s, const struct egress_proof *e, double rival,
		uint64_t least, struct proof_state *state);
void copy_key(const struct map_entry *e, char out[PROOF_NAME_MAX]);
