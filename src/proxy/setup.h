/*
 * What a session goes by from its beginning to its end: one configuration, and what was made of it.
 * A reload makes another one for the sessions after it; the former is freed with the last that
 * holds it.
 */
#pragma once

#include "conf/conf.h"
#include "event/metrics.h"
#include "proxy/front.h"

#include <stdatomic.h>

struct tls_client;
struct tls_server;

enum starttls_seen { STARTTLS_UNKNOWN, STARTTLS_OFFERED, STARTTLS_ABSENT };

/* A listener as all workers see it. */
struct listener {
	const struct listener_conf *conf;
	struct metrics_listener *metrics; /* setup_count(); may be NULL */
	struct front *front;
	struct tls_client *tls; /* towards the backend */
	_Atomic int starttls;   /* enum starttls_seen: what the backend offers */
	_Atomic bool closed;    /* must not serve yet: the open-relay probe is undecided */
	bool probe_failed;      /* told the operator; the prober's alone */
};

struct setup {
	_Atomic int refs;
	struct conf *conf;
	struct listener *listeners; /* conf->n_listeners */
	struct tls_server *tls;     /* NULL: no certificates */
	struct prefix_set interfaces;
};

/*
 * Takes conf over, if it is made. former, or NULL: what was learned there of a backend counts for
 * listeners that use it in the same way. 0; 1: what conf names can't be used, and that was logged;
 * -errno.
 */
int setup_new(struct conf *conf, const struct setup *former, struct setup **ret_setup);
/* Its listeners count there from now on. Before any session has it. */
void setup_count(struct setup *s, struct metrics *metrics);
/* Any thread. */
struct setup *setup_ref(struct setup *s);
void setup_unref(struct setup *s);
