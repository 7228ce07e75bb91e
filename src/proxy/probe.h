/*
 * Asking a backend, before clients do: does it offer STARTTLS, and does it relay for our own
 * address? The latter would make an open relay of it when clients' mail comes from our address
 * (`source: self`). What a listener sends of its clients' addresses is sent here too, about a
 * foreign one (192.0.2.1 or 2001:db8::1, RFC 5737, RFC 3849): a backend that does not heed it is
 * found out.
 */
#pragma once

#include "conf/conf.h"

enum probe_outcome {
	PROBE_REFUSED = 0, /* recipients elsewhere are refused with 5xx: as it should be */
	PROBE_RELAYS,      /* one was accepted */
	PROBE_UNDECIDED,   /* temporary refusals: ask again later */
};

struct probe_result {
	bool starttls;
	enum probe_outcome relay; /* set only if it was asked for */
};

struct tls_client;

struct probe_conf {
	const struct listener_conf *listener; /* its backend is a fixed one */
	struct tls_client *tls;               /* NULL: in the clear only */
	bool relay; /* ask that too: in the clear, and encrypted if offered */
	const char *hostname;
	int timeout_ms; /* for one step; four times that in all */
};

/* Blocks. -errno: it can't be reached; -EPROTO: speaks no SMTP; -EPROTONOSUPPORT: does not offer
 * XCLIENT, which the listener needs. Sends no message. */
int probe_backend(const struct probe_conf *conf, struct probe_result *ret_result);
