/*
 * What the operator and his machines see of a running daemon: control socket, HTTP, the service
 * manager. A part of the server (proxy/server.h). Nothing here is needed for mail: what can't be
 * had is told, and the daemon runs without it.
 */
#pragma once

#include "proxy/server.h"

/* One for a process; there is nothing to free. */
struct server_part service_part(void);
