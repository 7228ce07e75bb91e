/*
 * Internet addresses, prefixes, and sets of prefixes. An IPv4 address is held as IPv4-mapped IPv6
 * (RFC 4291 2.5.5.2), so both families are 16 bytes and a mapped peer equals its IPv4 self.
 */
#pragma once

#include "base/base.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define ADDR_STRLEN 46 /* INET6_ADDRSTRLEN */

struct addr {
	uint8_t b[16];
};

struct endpoint {
	struct addr addr;
	uint16_t port; /* host byte order */
};

/* bits counts from the left of the 16 bytes: 10.0.0.0/8 has 104. */
struct prefix {
	struct addr addr;
	uint8_t bits;
};

bool addr_is_v4(const struct addr *a);
static inline bool addr_eq(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}
static inline int addr_cmp(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, 16);
}

/* RFC 1918, RFC 6598, ULA (RFC 4193), link-local or loopback: no address the world can reach. */
bool addr_is_private(const struct addr *a);
bool addr_is_loopback(const struct addr *a);

struct addr addr_from_v4(const void *four_bytes);
struct addr addr_from_v6(const void *sixteen_bytes);

/* "192.0.2.1", "2001:db8::1"; no brackets, no scope. 0 or -EINVAL. */
int addr_parse(struct sv text, struct addr *ret_addr);
/* Into out[ADDR_STRLEN]; returns out. */
const char *addr_format(const struct addr *a, char *out);

/* "192.0.2.0/24", "2001:db8::/32", or an address alone. 0; -EINVAL; -ERANGE: bits set past the
 * length. */
int prefix_parse(struct sv text, struct prefix *ret_prefix);
/* Into out[ADDR_STRLEN + 4]. */
const char *prefix_format(const struct prefix *p, char *out);
/* The highest address inside; the lowest is p->addr. */
struct addr prefix_last(const struct prefix *p);
bool prefix_contains(const struct prefix *p, const struct addr *a);
/* Does it lie in IPv4, or have all of that in it, as ::/16 has? */
bool prefix_has_v4(const struct prefix *p);

/* "192.0.2.1:25", "[2001:db8::1]:25". 0 or -EINVAL. */
int endpoint_parse(struct sv text, struct endpoint *ret_endpoint);
/* Into out[ADDR_STRLEN + 8]. */
const char *endpoint_format(const struct endpoint *e, char *out);

int endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *ret_endpoint);
/* IPv4 as AF_INET, unless as_v6: then IPv4-mapped AF_INET6. Returns the length. */
socklen_t endpoint_to_sockaddr(const struct endpoint *e, bool as_v6, struct sockaddr_storage *out);

/* A set of prefixes: add, then seal (sorts and merges), then ask. */
struct prefix_set {
	struct addr_range {
		struct addr lo, hi; /* both inside */
	} * ranges;
	size_t n;
	size_t alloc;
	bool sealed;
};

void prefix_set_init(struct prefix_set *s);
void prefix_set_deinit(struct prefix_set *s);
int prefix_set_add(struct prefix_set *s, const struct prefix *p); /* 0, -ENOMEM */
int prefix_set_add_addr(struct prefix_set *s, const struct addr *a);
int prefix_set_add_range(struct prefix_set *s, const struct addr_range *r);
void prefix_set_seal(struct prefix_set *s);
bool prefix_set_contains(const struct prefix_set *s, const struct addr *a);
/* The same, and by which prefix: the only one of the set that contains a, since one that lies in
 * another is merged into it. (Of a range that is no prefix: the largest inside.) */
bool prefix_set_match(const struct prefix_set *s, const struct addr *a, struct prefix *ret_prefix);
/* Is all of the range inside, in one piece? */
bool prefix_set_covers(const struct prefix_set *s, const struct addr_range *r);
