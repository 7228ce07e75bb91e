/*
 * What stands around a dialog in a replay: DNS that answers what the script says, when it says, the
 * policy, and what proxy/judge.c does with both for one domain a recipient. The verdicts are
 * decide()'s own. Time is the script's.
 */
#pragma once

#include "dialog/owner.h"
#include "policy/decide.h"
#include "policy/proof_recent.h"

#define WORLD_HOSTS_MAX    8
#define WORLD_SCANNERS_MAX 8

struct world_domain {
	struct world_domain *next;
	char name[256];
	enum facts_kind kind;
	int n_hosts;
	struct dns_host hosts[WORLD_HOSTS_MAX];
	struct addr addrs[WORLD_HOSTS_MAX];
	char host_names[WORLD_HOSTS_MAX][256];
	int64_t delay_ms;
	bool confirmable;
	struct domain_facts *facts; /* once it was asked for and answered */
};

struct world_names {
	struct world_names *next;
	struct addr client;
	bool failed;
	int n;
	const char *names[WORLD_HOSTS_MAX];
	char texts[WORLD_HOSTS_MAX][256];
	int64_t delay_ms;
};

/* An egress source. */
struct world_source {
	struct world_source *next;
	struct egress_source source;
	char key[SOURCE_KEY_MAX];
	int64_t delay_ms;
	bool answered; /* known from then on */
};

struct judgement {
	struct judgement *next;
	struct world *world;
	struct owner_rcpt *rcpt; /* NULL: the recipient has ended */
	enum rcpt_shape shape;
	char domain[256];
	int asked;      /* enum decide_outcome that is awaited; 0: none */
	int64_t due_ms; /* of the answer */
	struct domain_facts *confirmed;
	struct client_names *names;
	bool confirm_tried, decided;
	struct decision decision;
};

struct world {
	struct policy policy;
	struct scanner scanners[WORLD_SCANNERS_MAX];
	struct memory *memory;
	struct proof *proof;
	struct proof_recent *recent;
	int64_t faded_ms;
	struct addr server, client;
	struct world_domain *domains;
	struct world_names *names;
	struct world_source *sources;
	struct judgement *judgements;
	int64_t now_ms;
	const char *missing; /* a domain that was asked for and is not in the script */
};

#define WORLD_START_MS 1000000000LL
#define WORLD_WALL_MS  1700000000000LL

void world_init(struct world *w);
void world_deinit(struct world *w);
void world_set_time(struct world *w, int64_t now_ms);

/* The look-ups' side: when the next answer comes (-1: none is awaited), and letting it come. */
int64_t world_next_answer(const struct world *w);
void world_answer(struct world *w);

/* Mail of a client for a domain, accepted if it is let through: the code that its recipient is
 * told, 250 for that. Whatever DNS takes long for is there at once. */
int world_deliver(struct world *w, const struct addr *client, const char *domain,
		  struct decision *ret_decision);
/* What proxy/prover.c does from time to time. */
void world_prove(struct world *w);

/* For owner_start(), with the world as user, and for owner.ended. */
void world_judge(struct owner *o, struct owner_rcpt *r, const struct smtp_path *path);
void world_ended(struct owner *o, struct owner_rcpt *r);
