/* What a service manager wants to hear: sd_notify(3)'s protocol, without its library. */
#pragma once

#include "base/base.h"

/* Lines as "READY=1\nSTATUS=...", to $NOTIFY_SOCKET. 0; 1: nobody wants to hear; -errno. Never
 * waits. */
int notify_send(const char *lines);
/* RELOADING=1 with the time that a manager compares; READY=1 ends it. As notify_send(). */
int notify_reloading(void);
/* Every so many ms the manager wants WATCHDOG=1 from this process; 0: it doesn't. */
int64_t notify_watchdog_ms(void);
