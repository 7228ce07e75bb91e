/* The daemon becomes its user and enters its sandbox: all steps, with what the operator is told. */
#pragma once

#include "proxy/privileges.h"

/* Before there are threads, files and sockets: these have what they need afterwards. 0; > 0: the
 * exit status, the operator was told why. */
int confine(const struct conf *conf, struct privileges *ret_privileges);
/* When all has begun: who it is, and what it has kept. */
void confine_tell(const struct privileges *p);
