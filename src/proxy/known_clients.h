/*
 * Which clients a scanner's mail came from of late (limiter_heard_scanner()), kept beside the state
 * file in "STATE.clients": else their share would be nobody's after a start, just when a flood may
 * be what it was started for. A line each: the limiter's key in hexadecimal, and until when, ms
 * since 1970. What can't be read is left out.
 */
#pragma once

#include "proxy/limiter.h"

#define KNOWN_CLIENTS_SAVE_MS (10 * 60 * 1000LL)

/* Any thread. 0, -errno: the former file stays. */
int known_clients_save(const char *file, struct limiter *l);
/* 0, -errno. */
int known_clients_load(const char *file, struct limiter *l);
