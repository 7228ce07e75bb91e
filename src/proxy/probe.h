/*
 * Asking a backend, before clients do: does it offer STARTTLS, and does it relay for our own
 * address? The latter would make an open relay of it when clients' mail comes from our address
 * (`source: self`, `send: none`).
 */
#pragma once

#include "base/addr.h"

enum probe_outcome {
	PROBE_REFUSED = 0, /* recipients elsewhere are refused with 5xx: as it should be */
	PROBE_RELAYS,      /* one was accepted */
	PROBE_UNDECIDED,   /* temporary refusals: ask again later */
};

struct probe_result {
	bool starttls;
	enum probe_outcome relay; /* set only if it was asked for */
};

/* Blocks for timeout_ms a step at most, and four times that in all. -errno: it can't be reached,
 * -EPROTO: speaks no SMTP. Sends no message. */
int probe_backend(const struct endpoint *backend, bool relay, const char *hostname, int timeout_ms,
		  struct probe_result *ret_result);
