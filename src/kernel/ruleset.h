/*
 * What the kernel has to do for listeners in tproxy mode, as text and as values: pure, made from
 * the configuration alone. net.h applies it. One table serves the gateway and the mail server's own
 * host; each family has its half of it.
 *
 * The daemon's side of the bargain, for each tproxy listener: it listens on bind with
 * IP_TRANSPARENT (IPV6_TRANSPARENT), finds the original destination with getsockname(), and
 * connects to it from the client's address with IP_TRANSPARENT, IP_BIND_ADDRESS_NO_PORT and SO_MARK
 * MARK_UPSTREAM (base/marks.h).
 */
#pragma once

#include "base/addr.h"
#include "base/buf.h"
#include "conf/conf.h"

#define RULESET_TABLE    "frontdoor"
#define RULESET_ALIVE    "alive" /* the set of ports whose listeners answer: beat.h */
#define RULESET_MADE_BY  "made by frontdoor net" /* comment of the table: it is ours */
#define RULESET_ROUTES   100 /* routing table, and the priority of the rule that leads to it */
#define RULESET_PROTOCOL 253 /* "proto" of our rules and routes: what has it is ours */
#define RULESET_TEXT_MAX (4u << 20)

/* Connections of one family to one port of the servers, and the listener that takes them. */
struct ruleset_way {
	bool v4;
	bool fail_closed;
	bool silent; /* TLS from the first octet: nobody is greeted before */
	uint16_t port;
	struct endpoint listener; /* never a wildcard */
};

struct ruleset {
	/* A heartbeat was there already: its next beat is due, or nothing is to be steered. */
	bool beating;
	struct ruleset_way *ways; /* no port twice in a family, and none without servers of it */
	size_t n_ways;
	const struct prefix_set *servers; /* the configuration's, sealed */
	/*
	 * Clients that are never steered: those that are trusted. Not where the way past us is
	 * another one than ours: with backend, send or upstream_tls other than the default; nor
	 * those that say who their client is (accept_proxy).
	 */
	struct prefix_set straight;
};

/*
 * 0; -EINVAL (the configuration), -ENOMEM: one line on err says what is wrong. Warnings go there
 * too. ret_ruleset needs conf as long as it lives.
 */
int ruleset_from_conf(const struct conf *conf, FILE *err, struct ruleset *ret_ruleset);
void ruleset_deinit(struct ruleset *r);
/* Is anything of that family steered? */
bool ruleset_has(const struct ruleset *r, bool v4);

/* One transaction for nft -f, that puts the table in place of any former one. 0, -ENOMEM,
 * -ENOBUFS. */
int ruleset_write(const struct ruleset *r, struct buf *out);
/* The one that takes it away; succeeds when it isn't there. */
const char *ruleset_removal(void);
/* The one that leaves nothing of it but its name: somebody is putting it in place, or taking it
 * away, and who keeps it (mend.h) waits. */
const char *ruleset_placeholder(void);
