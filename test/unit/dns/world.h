/* A resolver that asks a fake name server, one worker of it, and time that the test sets. */
#pragma once

#include "fake.h"
#include "worker.h"

extern struct fake fake;
extern struct resolver *resolver;
extern struct worker worker;
extern int64_t now;

/* At now_ms; conf but for the servers, which the fake is. */
void world_start(struct resolver_conf conf, fake_answer_fn answer, int64_t now_ms);
/* A teardown of cmocka's. */
int world_end(void **state);
void set_time(int64_t ms);
struct resolver_stats stats(void);

/* Turns the loop until cond, at most for five seconds. */
#define WAIT_FOR(cond)                                                                             \
	do {                                                                                       \
		for (int tries_ = 0; tries_ < 500 && !(cond); tries_++)                            \
			worker_run(&worker, 10);                                                   \
		if (!(cond))                                                                       \
			fail_msg("never: %s", #cond);                                              \
	} while (0)
