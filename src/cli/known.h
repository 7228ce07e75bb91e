/*
 * What is known of scanners: by the configuration, the catalogue, and what the state file keeps of
 * mail that was seen.
 */
#pragma once

#include "base/map.h"
#include "conf/conf.h"
#include "policy/decide.h"
#include "policy/proof.h"

#include <jansson.h>
#include <stdio.h>

/* Of one scanner that the state file knows, beside its proof. */
struct noted {
	char *name;
	int64_t heard_ms;                   /* wall clock; 0: not of late */
	struct prefix_set accepted, denied; /* settled by the operator */
};

struct knowledge {
	const struct conf *conf;
	struct memory *memory; /* what the daemon would know after a start, but for hosted files */
	struct proof *proof;
	bool has_state;
	int64_t now_ms;   /* wall clock */
	struct map noted; /* name → struct noted */
};

/* Reads the state file; what is wrong with it goes to standard error, and is gone on without. 0 or
 * -ENOMEM; close in any case. */
int knowledge_open(const struct conf *conf, struct knowledge *ret_knowledge);
void knowledge_close(struct knowledge *k);

/* One scanner. Views into the knowledge, but for its name. */
struct known {
	char name[PROOF_NAME_MAX];
	const struct scanner *scanner; /* configured; else NULL */
	const struct catalogue_row
		*row; /* of the catalogue; NULL: none of this id, or configured */
	enum grade grade;
	bool seen; /* proof says something */
	struct proof_state proof;
	int64_t heard_ms; /* wall clock; 0: not of late */
	bool quiet;
	const struct prefix_set *accepted, *denied; /* NULL: none */
};

/* 0 or -ENOMEM. known_deinit() after 0. */
int known_of(const struct knowledge *k, const char *name, struct known *ret_known);
void known_deinit(struct known *known);

/* The members of a scanner's JSON object: "scanner", "grade", "proof", ... */
json_t *known_json(const struct known *known);
/* "proven: 120 messages over 3 days from inside, ...", without newline. */
void known_write_proof(const struct proof_state *proof, const struct proof_conf *conf, FILE *out);

/* frontdoor scanners without hosts: all of them, as a table or an object a line. Exit status. */
int known_list(const struct conf *conf, bool json);
/* frontdoor scanners HOST...: whose each is, and its egress now. Exit status. */
int known_hosts(const struct conf *conf, bool json, char **hosts);
