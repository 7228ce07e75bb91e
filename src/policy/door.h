/*
 * A door as decide() sees it: the kind by DESIGN.md's table, whose it is, and which clients it lets
 * in. Of this room only. Pure.
 */
#pragma once

#include "policy/decide.h"

struct door {
	enum door_kind kind;
	enum grade grade;
	int best;        /* index of the best host that is not us; -1: none */
	bool incomplete; /* addresses that could let a client in are not known, or there are none */
	bool implicit;   /* no MX: the domain's own addresses */
};

/* facts->dns is there. */
void door_look(const struct decide_facts *facts, struct door *ret_door);

/* What lets the client in by its address: REASON_INGRESS, REASON_EGRESS or REASON_ADDRESS, and
 * whose (host index). false: nothing. */
bool door_admits_address(const struct decide_facts *facts, const struct door *door,
			 enum reason *ret_reason, int *ret_host);
/* Can a name of the client's let it in? Then facts->names is needed before it is refused. */
bool door_admits_names(const struct decide_facts *facts, const struct door *door);
/* Does one of facts->names? */
bool door_admits_name(const struct decide_facts *facts, const struct door *door, int *ret_host);

/* The configured scanner that hosts[host] belongs to, by its name or what that is an alias of;
 * NULL: none. */
const struct scanner *door_scanner(const struct decide_facts *facts, int host);
/* Does the client's network carry much of the mail of one of its scanners that aren't configured?
 */
bool door_client_is_rival(const struct decide_facts *facts);
/* The name of its scanner, configured or not, into out. */
void door_scanner_name(const struct decide_facts *facts, int host, char out[DECISION_NAME_MAX]);
