/* A DNS server that does what a good one wouldn't: a thread on a loopback port, UDP and TCP. */
#pragma once

#include "msg.h"

#include <pthread.h>
#include <stdatomic.h>

struct fake;

/*
 * Writes the answer to a question for name and type into m, begun already with its id, QR, RD and
 * RA. false: none is sent. Called in the fake's thread.
 */
typedef bool (*fake_answer_fn)(struct fake *f, struct msg *m, const char *name, uint16_t type,
			       bool tcp);

struct fake {
	uint16_t port;
	fake_answer_fn answer;
	_Atomic int mode; /* the test's own */
	_Atomic unsigned int n_udp, n_tcp;
	_Atomic bool rd, edns; /* of the last question */
	int udp, tcp, stop[2];
	pthread_t thread;
};

void fake_start(struct fake *f, fake_answer_fn answer);
void fake_stop(struct fake *f);
