/*
 * c-ares driven by a libuv loop: questions in, parsed answers out, never inside the call that
 * asks. Everything in the thread of the loop. Hosts files and search domains are never looked at.
 */
#pragma once

#include "dns/wire.h"

#include <uv.h>

struct channel;

struct channel_conf {
	const struct endpoint *servers; /* n_servers 0: /etc/resolv.conf */
	size_t n_servers;
	int timeout_ms; /* of the first try; each further round of the servers has twice as long */
	int tries;
	bool authoritative;   /* RD clear, and CNAMEs that lead elsewhere are not followed */
	size_t max_in_flight; /* questions on the wire; more wait in order */
};

/* answer is valid until the callback returns; it may ask again, and free the channel. */
typedef void (*channel_answer_fn)(void *user, const struct wire_answer *answer);

/* Embedded by the owner, untouched until it is answered or the channel is freed. */
struct channel_query {
	channel_answer_fn answer;
	void *user;
	/* private */
	struct channel *channel;
	struct channel_query *next;
	enum wire_type type;
	enum dns_status early; /* of an answer that came inside the submitting call */
	unsigned int hops;
	uint32_t ttl; /* least of the CNAMEs followed by asking again */
	bool aa;
	char name[WIRE_NAME_SIZE];
};

/* 0, -ENOMEM, or another negative errno when c-ares can't be set up. */
int channel_new(uv_loop_t *loop, const struct channel_conf *conf, struct channel **ret_channel);
/* Open questions are forgotten unanswered. Its handles close in the loop. */
void channel_free(struct channel *c);

/* name: lower-case, shorter than WIRE_NAME_SIZE. One that isn't askable is NXDOMAIN. */
void channel_ask(struct channel *c, const char *name, enum wire_type type, channel_answer_fn answer,
		 void *user, struct channel_query *query);

/* Questions unanswered, waiting ones included. */
size_t channel_load(const struct channel *c);
/* So many answers at once surely find room in the receive buffer of its sockets; 0: it has none
 * yet. */
size_t channel_room(const struct channel *c);
