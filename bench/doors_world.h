/*
 * The doors that bench/doors measures with: domains d0.s0.bench-doors.net, d1.s1..., over 60
 * scanners, of all kinds: of a hundred 70 have the MX hosts that all of their scanner's have, 20 an
 * MX host named after them (as at large cloud filters), 4 are at home here, 1 has its backup
 * here, 3 have no MX but an address, 1 has a null MX, and 1 neither MX nor address.
 */
#pragma once

#include "dns/facts.h"

#define WORLD_SCANNERS  60
#define WORLD_NAME      64
#define WORLD_HOST_NAME 80

enum world_kind {
	WORLD_SHARED,
	WORLD_OWN_NAME,
	WORLD_SELF,
	WORLD_BACKUP,
	WORLD_ADDRESS,
	WORLD_NULL,
	WORLD_NOTHING,
	WORLD_KINDS,
};

/* What a door's facts point to. */
struct world_door {
	struct domain_facts facts;
	struct dns_host hosts[2];
	struct addr addrs[2][4];
	char name[WORLD_NAME];
	char host_names[2][WORLD_HOST_NAME];
};

enum world_kind world_kind(unsigned int i);
/* Into out[WORLD_NAME]. */
void world_name(unsigned int i, char *out);
/* Door i, fetched at fetched_ms with a TTL of ttl seconds. */
void world_door(unsigned int i, int64_t fetched_ms, uint32_t ttl, struct world_door *ret_door);
/* A zone in which every door has two MX hosts of its scanner, for a name server. 0 or -errno. */
int world_write_zone(const char *file);
