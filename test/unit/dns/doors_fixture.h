/* A resolver whose doors are watched over time: a fake name server that says what the test wants,
 * and time set by the test. */
#pragma once

#include "world.h"

enum { START_MS = 1000000 };

/* For fake.mode: what is said of every domain "*.org" from now on. */
enum {
	SAY_A,
	SAY_B,
	SAY_C,
	SAY_ADDRESS,
	SAY_NXDOMAIN,
	SAY_FAILURE,
	SAY_A_LONG,
	SAY_A_SHORT,
	SAY_NULL_MX,
	SAY_OTHER_ADDRESS,
	SAY_SILENCE,
	SAY_A_TINY,
	SAY_A_HUGE,
	SAY_A_SPLIT, /* its MX for a day, the host's address for a minute */
};

extern _Atomic int a_net; /* the last octet of a.net's address; 0: its look-up fails */
extern _Atomic bool ptr_fails;

/* What conf.on_domain was told. */
struct told {
	_Atomic unsigned int n, n_gone, n_kept;
	char gone[64];
};
extern struct told told;

void start_with(struct resolver_conf conf);
int doors_setup(void **state);

/* "MX 10 a.net=[192.0.2.1]", and what is former behind it with its time from START_MS in seconds:
 * " | until 1200: MX 10 b.net=[192.0.2.98]". */
const char *get(const char *domain);
const char *peek(const char *domain);
/* To the last tenth of the life of what is known, where the refresh begins: "x.org" is in use, and
 * known anew after it. */
void next_refresh(int say);

#define AT(seconds) (START_MS + (seconds)*1000)
#define A           "MX 10 a.net=[192.0.2.1]"
#define B           "MX 10 b.net=[192.0.2.98]"
#define C           "MX 10 c.net=[192.0.2.99] 20 a.net=[192.0.2.1]"
