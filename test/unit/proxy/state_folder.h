/* A folder with a state file in it, and a clock that stands still. */
#pragma once

#include "proxy/state.h"

#define HOUR (3600 * 1000LL)
#define DAY  (24 * HOUR)
#define WALL (20000 * DAY)
#define MONO (5000LL)

extern char folder[64], file[96]; /* the file isn't there yet; its name is an awkward one */

/* A group's setup and teardown of cmocka's. */
int make_folder(void **state);
int remove_folder(void **state);
struct proof *new_proof(void);
