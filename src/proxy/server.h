/* The daemon: everything that `frontdoor serve` runs, from start to end. */
#pragma once

#include "conf/conf.h"

/* Returns the exit code: 0 after SIGTERM or SIGINT, 1 failed, 78 when the configuration can't be
 * served. */
int server_run(const struct conf *conf);
