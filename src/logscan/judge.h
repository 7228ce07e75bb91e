/*
 * The verdict that frontdoor would have given, on each flow of the book: policy's own decide(), on
 * doors as they are today. What the configuration doesn't say about which domains are at home here
 * is learned from the logs first.
 */
#pragma once

#include "conf/conf.h"
#include "logscan/book.h"
#include "logscan/doors.h"
#include "logscan/egress.h"

enum judge_step { JUDGE_DOMAINS, JUDGE_CLIENTS, JUDGE_NAMES, JUDGE_SOURCES };

struct judge {
	const struct policy *policy;
	struct memory *memory; /* hosted domains of files, proven scanners; more are added */
	bool hosted_given;     /* there are hosted files */
	bool live;             /* mail of now: answers are asked for again when their TTL is over */
	struct doors *doors;
	struct prefix_set given;   /* server addresses by the operator's word */
	struct prefix_set here;    /* of this host: taken where neither he nor the logs tell any */
	struct prefix_set servers; /* made by judge_servers(): all that are known */
	struct addr server;        /* for mail whose log line has none; zero: not known */

	/* false: stop asking. May be NULL. */
	bool (*progress)(void *user, enum judge_step step, size_t done, size_t n);
	void *user;
	/* private */
	enum judge_step step;
	struct egress egress;
	char wanted_source[SOURCE_KEY_MAX];
};

/* What it made itself: servers and what was looked up. */
void judge_deinit(struct judge *j);

/* Puts servers together, the logs' own included. 0, -ENOMEM. */
int judge_servers(struct judge *j, const struct book *b);
/* All flows that have no verdict yet. 0; 1: stopped by progress(), what is not known then counts as
 * trouble with DNS; -errno. */
int judge_flows(struct judge *j, struct book *b);
/* Which of their names lead here, for hosted domains that are not this server's own by their MX. */
int judge_names(struct judge *j, struct book *b);
/* The names of clients, as far as they were not needed before. */
int judge_clients(struct judge *j, struct book *b, const uint32_t *clients, size_t n);

/* What decide() is asked with for a flow of kind FLOW_WORLD and one of its domains. */
struct decide_facts judge_facts(const struct judge *j, const struct book *b, const struct flow *f,
				uint32_t domain);
/* All that was looked up, as a file for doors_open_file(). */
void judge_write_doors(const struct judge *j, const struct book *b, FILE *out);

bool judge_is_server(const struct judge *j, const struct addr *a);
