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

struct proof {
	struct map scanners; /* name → struct scanner_proof */
	size_t n_domains;
};

/* The network that a client counts for: /24 or /48. */
struct prefix proof_network_of(const struct addr *client);
