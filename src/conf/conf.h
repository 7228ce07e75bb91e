/*
 * The configuration: one immutable snapshot made from a YAML file. Names, defaults and errors are
 * DESIGN.md's contract ("Configuration and commands"): an error is one line "FILE:LINE:COLUMN: what
 * is wrong; what is accepted". What this version can't do is an error too, never silently ignored.
 */
#pragma once

#include "base/addr.h"
#include "policy/memory.h"
#include "policy/policy.h"
#include "smtp/body.h"

#include <stdio.h>

enum listener_mode { LISTENER_LISTEN, LISTENER_TPROXY };
enum listener_source { SOURCE_SELF, SOURCE_CLIENT };
enum listener_fail { FAIL_OPEN, FAIL_CLOSED };

struct listener_conf {
	char *name;
	enum listener_mode mode;
	struct endpoint *bind;
	size_t n_bind;
	bool backend_original; /* tproxy only */
	struct endpoint backend;
	enum listener_source source; /* default: self in listen mode, client in tproxy mode */
	enum listener_fail fail;
	enum body_bare bare_newline;
	enum action action; /* ACTION_UNSET: policy.action */
	int line;           /* in the file, for messages */
};

struct conf {
	char *file;
	struct listener_conf *listeners;
	size_t n_listeners;
	struct policy policy;
	struct endpoint *resolvers;
	size_t n_resolvers; /* 0: /etc/resolv.conf */
	int resolver_timeout_ms;
	char **hosted; /* files */
	size_t n_hosted;
	bool tls_hide;
	char *events_json; /* NULL: none; "-": standard output */
	char *state;       /* file of what was learned; NULL: none */
	int workers;       /* 0: one for each processor */
};

/* 0; -errno: errors were printed to err, all that could be found, one line each. Warnings too. */
int conf_load(const char *file, FILE *err, struct conf **ret_conf);
/* text as if it were the content of a file called name. */
int conf_load_text(const char *name, struct sv text, FILE *err, struct conf **ret_conf);
void conf_free(struct conf *c);
/* Reads the hosted files into memory: a domain a line, '#' comments, "*." and ":..." tails dropped.
 */
int conf_load_hosted(const struct conf *c, struct memory *memory, FILE *err);
