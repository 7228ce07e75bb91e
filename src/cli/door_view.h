/* The scanners that the hosts of a door belong to, each with its hosts and its egress: for explain.
 */
#pragma once

#include "cli/egress_view.h"
#include "cli/known.h"

#define SCANNER_VIEW_HOSTS 32

struct scanner_view {
	bool former; /* of the MX set of before, whose TTL lasts */
	struct door_owner owner;
	char name[DECISION_NAME_MAX];
	const struct dns_host *hosts[SCANNER_VIEW_HOSTS];
	size_t n_hosts;
	struct egress_view egress;
	struct known known;
};

struct door_view {
	struct scanner_view *scanners; /* best MX first; former ones last */
	size_t n;
	struct egress_view allowed; /* domains.allow; without parts: nothing */
};

/* facts as last given to decide(), with dns. Asks for what of the egress was not asked for. 0 or
 * -ENOMEM; deinit in any case. */
int door_view_make(const struct decide_facts *facts, enum door_kind kind, const struct knowledge *k,
		   struct asked *asked, struct door_view *ret_view);
void door_view_deinit(struct door_view *v);

/* Does the MX set of before still count? */
bool door_has_former(const struct decide_facts *facts);
/* What lets the client in, by the longest prefix, and for which scanner (NULL: it is allowed for
 * the domain); NULL: nothing. */
const struct egress_part *door_view_match(const struct door_view *v,
					  const struct scanner_view **ret_scanner);
