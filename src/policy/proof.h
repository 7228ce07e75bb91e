/*
 * Proof: has a scanner been seen at work, so that its door may be shut? (doc/scanners.md, "How
 * sure: grades")
 *
 * What was accepted without authentication is counted for each scanner and each of its domains:
 * mail from inside the scanner's egress, and mail from outside by the client's network (/24, /48).
 * proof_judge() then says whether the scanner is proven. Pure: times are given by the caller, in
 * milliseconds of the wall clock.
 *
 * Counted how, beyond what is said there:
 * - A client inside the egress is known by that, so all mail from inside counts, named or not.
 * - A client outside whose name could not be found out (DNS failed, or was not asked) counts as
 *   forward-confirmed: trouble with DNS must not shut a door.
 * - That a domain is new can be told only of a scanner that has been watched for a while. Domains
 *   first seen in the PROOF_DECIDE_MS after the scanner itself are what it is judged by; those
 *   that come later don't count against it for PROOF_NEW_MS.
 * - A generic name (name_is_generic()) makes nobody related, as it is nobody's egress: else the
 *   dial-up lines of a provider would keep the door of its own scanner open.
 * - Of a scanner with fewer than PROOF_RIVAL_DOMAINS domains, a related rival is one that carries
 *   its share for all of them.
 *
 * Memory is bounded whatever clients do. Scanners and domains are (PROOF_SCANNERS_MAX,
 * PROOF_SCANNER_DOMAINS, PROOF_DOMAINS_MAX: the first that come are kept; of others only the
 * scanner's own total grows). The networks of a domain are the "space-saving" summary of Metwally
 * et al. (2005), with PROOF_NETWORKS counters: a network that has none takes over the smallest
 * one, inherits its count and remembers it as its possible error. Then, whatever the order and
 * however many networks bring one mail each,
 * - the sum of the counters is exactly the mail from outside, so the smallest is at most 1/32 of
 * it;
 * - a network with more than 1/32 of it has a counter: nobody's flood evicts a real rival;
 * - a counter is never below the truth, and above it by at most its error, at most 1/32 of all.
 *   (After proof_merge() it may be below it by as much.)
 * A network is taken to carry a share when its counter does and at least half of that is no
 * possible error. For shares from 2/32 on that misses none, and makes none out of a flood.
 */
#pragma once

#include "base/addr.h"
#include "dns/facts.h"
#include "policy/catalogue.h"

#define PROOF_NETWORKS        32
#define PROOF_SCANNER_DOMAINS 20000
#define PROOF_DOMAINS_MAX     100000 /* all scanners'; 160 MB and names, if all counters are used */
#define PROOF_SCANNERS_MAX    50000
#define PROOF_RIVAL_DOMAINS   3
#define PROOF_SETTLED         4096 /* of one scanner; of all, 50,000 */
#define PROOF_HELD            32   /* of one scanner; of all, 20,000 */
#define PROOF_HOLD_MS         (7 * 24 * 3600 * 1000LL)
#define PROOF_DECIDE_MS       (14 * 24 * 3600 * 1000LL)
#define PROOF_NEW_MS          (30 * 24 * 3600 * 1000LL)
#define PROOF_NAME_MAX        256 /* of scanners and domains, with the NUL */

struct memory;
struct proof;

/* policy.prove */
struct proof_conf {
	int mails;    /* default 20 */
	int hours;    /* default 24 */
	double rival; /* default 0.1 */
};

/*
 * Accepted, unauthenticated mail of one client for one domain; not that of trusted clients. Of a
 * door with several scanners, mail from inside is that of the scanner that let it in, and mail from
 * outside is told once for each (decide.h: door_next_scanner()).
 */
struct proof_mail {
	const char *scanner; /* as in struct decision; domain: lower-case A-labels */
	const char *domain;
	const char *mx_host;             /* of that scanner */
	const struct catalogue_row *row; /* the same; NULL: none */
	struct addr client;
	bool inside;
	const struct client_names *names; /* of the client; NULL: not known. Needed outside only */
	uint64_t messages;
	int64_t first_ms, last_ms;
};

/* The network that a client counts for: /24 or /48. */
struct prefix proof_network_of(const struct addr *client);

int proof_new(struct proof **ret_proof);
void proof_free(struct proof *p);

/* Does a name of the client lie in the registrable domain of the MX host, or of a suffix of the
 * catalogue's row? ret_ptr_domain: the domain of that name, else of the first; NULL: none. */
bool proof_is_related(const struct proof_mail *m, const char **ret_ptr_domain);

/* 0; 1: over a bound, not all of it was kept; -ENOMEM. */
int proof_add(struct proof *p, const struct proof_mail *m);

/* ---- judging ---- */

enum proof_outcome {
	PROOF_PROVEN,
	PROOF_WANTING, /* lacks says what */
	PROOF_RIVAL,   /* there is a related rival: the egress has grown, and is guessed again */
};

#define PROOF_LACKS_MAILS 1u /* from inside */
#define PROOF_LACKS_HOURS 2u /* between the first and the last of them */
#define PROOF_LACKS_SHARE 4u /* below a half, or nothing to tell it by */

struct proof_rival {
	struct prefix network;
	double share;     /* of the mail for these domains, on the average */
	unsigned domains; /* for which it carries more than proof_conf.rival */
	bool related;
	const char *ptr_domain; /* registrable domain of a client's name in it, valid as long as
				   the proof isn't changed; NULL: none */
	bool held;              /* found by proof_recent.h; if only for its name, domains is 0 */
};

struct proof_state {
	enum proof_outcome outcome;
	unsigned lacks;
	bool ask_operator;          /* not proven, though watched for PROOF_DECIDE_MS */
	uint64_t inside;            /* messages */
	int64_t first_ms, last_ms;  /* the first and the last of them; 0 without */
	int64_t since_ms;           /* any mail */
	double share;               /* from inside, domains weighing equally; 0 without any */
	size_t domains;             /* the share's */
	size_t new_domains;         /* left out of it */
	struct proof_rival *rivals; /* related first, then those with most domains */
	size_t n_rivals;
};

/* 0; -ENOENT: no mail of this scanner; -ENOMEM. */
int proof_judge(const struct proof *p, const char *scanner, const struct proof_conf *conf,
		int64_t now_ms, struct proof_state *ret_state);
void proof_state_deinit(struct proof_state *s);

struct proof_summary {
	size_t proven, wanting, rival; /* scanners, by outcome */
	size_t ask_operator;
	size_t unrelated; /* rivals */
};

/*
 * Judges all scanners and tells memory: who is proven, who their rivals are, what is settled, and
 * when they were heard (which memory keeps by the monotonic clock). Scanners that memory knows and
 * p doesn't stay as they are. 0 or -ENOMEM. This is where counting in the running daemon joins:
 * proof_add() as mail is accepted, proof_apply() from time to time.
 */
int proof_apply(const struct proof *p, const struct proof_conf *conf, int64_t now_wall_ms,
		int64_t now_mono_ms, struct memory *memory, struct proof_summary *ret_summary);

/* The same, and each scanner that was judged is told to somebody; the state is gone afterwards. */
struct proof_listener {
	void (*judged)(void *user, const char *scanner, const struct proof_state *state);
	void *user;
};
int proof_apply_telling(const struct proof *p, const struct proof_conf *conf, int64_t now_wall_ms,
			int64_t now_mono_ms, struct memory *memory,
			const struct proof_listener *listener, struct proof_summary *ret_summary);

/* ---- rows, for saving and showing ---- */

struct proof_scanner {
	const char *name;
	uint64_t inside;
	int64_t first_ms, last_ms;               /* any mail */
	int64_t inside_first_ms, inside_last_ms; /* 0 while inside is */
};

struct proof_domain {
	const char *scanner, *name;
	int64_t first_ms;
	uint64_t inside;
	uint64_t outside;   /* all of it */
	uint64_t confirmed; /* of that: from forward-confirmed clients */
};

struct proof_network {
	const char *scanner, *domain;
	struct prefix network;
	uint64_t messages, error;
	bool related;
	const char *ptr_domain; /* NULL: none */
};

/* A network that the operator settled (frontdoor scanners --accept|--deny), of any size. Neither
 * kind is a rival any more, whatever it sends. What an accepted one has brought counts as from
 * inside, of a denied one it counts not at all. */
struct proof_settled {
	const char *scanner;
	struct prefix network;
	bool accepted;
};

/* A network that was found to be a rival by what it offered of late (proof_recent.h). Lasts for
 * PROOF_HOLD_MS since it was last found so. */
struct proof_held {
	const char *scanner;
	struct prefix network; /* /24 or /48 */
	int64_t since_ms, last_ms;
	double share;
	unsigned domains; /* 0: nothing but its name speaks against it */
	bool related;
	const char *ptr_domain; /* NULL: none */
};

/* Each may be NULL; < 0 ends it, and is returned. */
struct proof_visit {
	int (*scanner)(void *user, const struct proof_scanner *row);
	int (*domain)(void *user, const struct proof_domain *row);
	int (*network)(void *user, const struct proof_network *row);
	int (*settled)(void *user, const struct proof_settled *row);
	int (*held)(void *user, const struct proof_held *row);
	void *user;
};

/* Each scanner, followed by its domains, each followed by its networks; in no other order. What is
 * settled and held comes behind all of them. */
int proof_each(const struct proof *p, const struct proof_visit *visit);
size_t proof_scanner_count(const struct proof *p);

/* The way back: adds to what is there. A row's scanner, or domain, must be put before it: -ENOENT.
 * 0; 1: over a bound; -EINVAL: no such row can be; -ENOMEM. */
int proof_put_scanner(struct proof *p, const struct proof_scanner *row);
int proof_put_domain(struct proof *p, const struct proof_domain *row);
int proof_put_network(struct proof *p, const struct proof_network *row);
/* These need no scanner before them. The same network again replaces what was settled of it; of
 * held ones the spans are joined, and of too many (PROOF_HELD) those last found longest ago go,
 * unrelated ones first. Outcomes as above. */
int proof_put_settled(struct proof *p, const struct proof_settled *row);
int proof_put_held(struct proof *p, const struct proof_held *row);
/* Nothing is settled any more. memory is told by proof_apply() of scanners that p knows. */
void proof_forget_settled(struct proof *p);

/*
 * Adds what was learned in another run (of other logs, or the same again), so that nothing counts
 * twice. Every scanner has a span, from the first to the last mail that was seen; by it, news
 * - replace what is known when their span covers the known one: the same logs again, or more of
 *   them, perhaps judged by a better configuration;
 * - are added when the spans don't overlap: today's log, after yesterday's;
 * - are left out when their span lies within the known one;
 * - of two that overlap in part, the one with more mail from inside is kept, the news if equal.
 * So a proof may be smaller than the truth, never larger. 0 or -ENOMEM.
 * What is settled and held is added whatever the spans.
 */
int proof_merge(struct proof *p, const struct proof *news);
/* Adds what is known not to be counted in p yet. 0 or -ENOMEM. */
int proof_join(struct proof *p, const struct proof *news);
