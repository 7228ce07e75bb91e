/*
 * frontdoor explain, between its files: explain.c reads the command line, explain_judge.c asks and
 * judges, explain_text.c and explain_json.c tell.
 */
#pragma once

#include "cli/asked.h"
#include "cli/door_view.h"
#include "cli/known.h"
#include "proxy/primary.h"

/* DNS as it is, or as if it gave no answer from now on. */
enum dns_supposed {
	DNS_AS_IS,
	DNS_DOWN_KNOWN,   /* the door and its sources were looked up before; the client never was */
	DNS_DOWN_UNKNOWN, /* nothing was */
};

struct explain {
	const struct conf *conf;
	const struct listener_conf *listener;
	struct asked asked;
	struct knowledge knowledge;
	struct memory *memory;       /* judged by: that of knowledge, or another in its place */
	struct primaries *primaries; /* NULL: not strict_backup */
	struct prefix_set interfaces;
	struct addr client, server;
	enum dns_supposed dns;
	struct asked supposed; /* sources as they are with DNS down */
	bool json, hosted, heard;
	bool enforce_stopped; /* policy.enforce has, as the daemon keeps it */
};

/* What was found out about one domain; kept between judgements of it. */
struct answers {
	struct domain_facts *dns;
	struct client_names *names;
	bool confirm_tried;
};

struct decide_facts explain_facts(struct explain *x, enum rcpt_shape shape, const char *domain);
/* decide() until it is done, asking for what it needs; --heard is heeded. 0; -1: DNS gave no answer
 * within its time, or no memory. */
int explain_judge(struct explain *x, struct decide_facts *f, struct answers *k, struct decision *d);
/* The same as if DNS were down; f->dns is there. */
int explain_judge_down(struct explain *x, const struct decide_facts *f, enum dns_supposed how,
		       struct decision *d);

/* k: as explain_judge() left it. */
void explain_text(struct explain *x, struct decide_facts *f, struct answers *k,
		  const struct decision *d);
void explain_json(struct explain *x, struct decide_facts *f, const struct decision *d);
