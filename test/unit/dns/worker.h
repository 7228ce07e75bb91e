/* A worker of the test: a loop with a port in this thread, that waits for its answers. */
#pragma once

#include "dns/resolver.h"

struct worker {
	uv_loop_t loop;
	struct resolver_port *port;
};

/* The copy of an answer, one of them by what was asked; worker_free_answer(). */
struct answer {
	struct resolver_query query;
	enum resolver_kind kind;
	bool done;
	struct domain_facts *facts;
	struct client_names *client;
	struct door_names *names;
	struct egress_source *source;
};

void worker_init(struct worker *w, struct resolver *r);
void worker_deinit(struct worker *w);

/* Asks; the answer comes with worker_wait(). */
void worker_ask(struct worker *w, enum resolver_kind kind, const char *key, struct answer *a);
/* Until it is there; fails the test after ten seconds. */
void worker_wait(struct worker *w, struct answer *a);
/* Asks and waits. */
struct answer worker_get(struct worker *w, enum resolver_kind kind, const char *key);
void worker_free_answer(struct answer *a);
/* Turns the loop for ms. */
void worker_run(struct worker *w, unsigned int ms);

/* "STATUS PREFIX... [LEFT OUT]", "? " for incomplete; static. */
const char *source_text(const struct egress_source *s);
/* "MX 10 mx1.lab.net=[192.0.2.1 2001:db8::1] ..."; static. */
const char *facts_text(const struct domain_facts *f);
