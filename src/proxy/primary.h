/*
 * Does the host of a better MX take mail? For policy.strict_backup: a thread of its own connects to
 * port 25 of primaries that mail came past, and waits for a 220 greeting (RFC 5321 3.1). What it
 * found is known for PRIMARY_UP_MS or PRIMARY_DOWN_MS; a look at what has become older asks again,
 * and gets the former answer for as long once more, then PRIMARY_UNKNOWN.
 *
 * Bounded: PRIMARIES_MAX addresses are remembered, PRIMARIES_CHECKING connections are open at once.
 * What finds no room is unknown, and mail is taken then.
 */
#pragma once

#include "base/addr.h"
#include "policy/decide.h"

#define PRIMARY_UP_MS      (60 * 1000)
#define PRIMARY_DOWN_MS    (30 * 1000)
#define PRIMARY_TIMEOUT_MS 5000
#define PRIMARIES_MAX      20000
#define PRIMARIES_CHECKING 64

struct primaries;

/* port: 25, another in tests. Starts its thread. 0, -errno. */
int primaries_new(uint16_t port, struct primaries **ret_primaries);
/* NULL is fine. Waits for the thread. */
void primaries_free(struct primaries *p);
/* Any thread; does not wait. */
enum primary_state primaries_look(struct primaries *p, const struct addr *address);
