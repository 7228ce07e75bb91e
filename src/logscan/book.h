/*
 * What the logs said, as tables: domains, clients, and flows, which are the mail that came one way
 * (client, server address, domain, kind) summed. A message counts once for each recipient domain.
 * The verdict of a flow is put in by judge.c; memory grows with the number of different flows, not
 * with the number of messages.
 */
#pragma once

#include "dns/facts.h"
#include "logscan/index.h"
#include "policy/recipient.h"

#define BOOK_DOMAINS_MAX 2000000 /* what comes after is counted under one name: "(others)" */
#define BOOK_CLIENTS_MAX 8000000

/* How the mail server took it, by its own log. */
enum flow_kind {
	FLOW_WORLD,         /* by SMTP, without a login */
	FLOW_AUTHENTICATED, /* by SMTP, logged in */
	FLOW_LOCAL,         /* handed in on the host */
	FLOW_REFUSED,       /* not taken */
};

/* The words of logs --json; doc/logs.md, "Classes". */
enum mail_class {
	CLASS_SCANNER,
	CLASS_DIRECT,
	CLASS_AUTHENTICATED,
	CLASS_TRUSTED,
	CLASS_LOCAL,
	CLASS_SELF,
	CLASS_BACKUP,
	CLASS_ELSEWHERE,
	CLASS_NULL,
	CLASS_DNS,
	CLASS_NOT_HOSTED,
	CLASS_UNKNOWN,
	CLASS_REFUSED,
	CLASS_COUNT,
};
const char *mail_class_name(enum mail_class c);

/* What speaks for and against a domain's being at home here. */
enum evidence {
	HOSTED_FILE = 1,     /* the configuration says so */
	HOSTED_LOCAL = 2,    /* mail for it went into a mailbox here */
	HOSTED_INNER = 4,    /* mail for it went on to a private address */
	HOSTED_REMOTE = 8,   /* mail for it went on to a public address */
	HOSTED_WORLD = 16,   /* taken from strangers */
	HOSTED_OWN_DOOR = 32 /* taken from its own front door; put in by judge.c */
};

#define BOOK_HOPS 3

/* What every mail touches comes first: rows are many, and each line of cache counts. */
struct book_domain {
	const char *name; /* lower-case A-labels; "" for a recipient without one */
	uint64_t message; /* the last message that counted for it */
	uint32_t base; /* itself; of a recipient that names several domains: its own domain's row */
	uint16_t name_len;
	uint8_t evidence;
	uint8_t shape; /* enum rcpt_shape */
	uint8_t n_routes;
	uint8_t n_hops;
	uint32_t *routes;            /* rows of the other domains that the recipient names */
	struct addr hops[BOOK_HOPS]; /* public addresses that mail for it went on to */

	/* judge.c */
	struct domain_facts *facts; /* NULL: not asked */
	struct door_names *names;   /* NULL: not asked */
	bool hosted, door_known, wanted;
	uint8_t door, grade; /* enum door_kind, enum grade */
	uint32_t scanner;    /* book_string; 0: none */
	uint32_t mx;         /* book_string; 0: none */

	/* tally.c */
	uint32_t by_class[CLASS_COUNT];
	uint32_t direct; /* mails found to be direct */
	uint32_t days;   /* rows of the tally; INDEX_NONE: none */
	uint64_t bytes;
};

struct book_client {
	struct addr addr;
	struct client_names *names; /* NULL: not asked */
	uint32_t refused;           /* tally.c: recipients of it that the mail server refused */
	uint32_t sample;            /* book_string of an id and a sender of its mail; 0: none */
	uint32_t network;           /* tally.c; INDEX_NONE */
	uint32_t ptr_domain;        /* tally.c: book_string; 0: none; INDEX_NONE: not looked at */
	uint16_t classes;           /* bits: counted for this class already */
	bool wanted;                /* judge.c */
};

struct flow_day {
	int32_t day;
	uint32_t mails;
	uint32_t next; /* INDEX_NONE: the last */
};

struct flow {
	uint32_t client; /* INDEX_NONE: none, or (logged in) not kept apart */
	uint32_t domain;
	uint16_t server; /* of book->servers; 0: not told */
	uint8_t kind;    /* enum flow_kind */

	/* judge.c */
	bool judged;
	uint8_t class;   /* enum mail_class */
	uint8_t finding; /* enum finding; FINDING_COUNT: none */
	uint8_t reason;  /* enum reason; REASON_COUNT: none */
	bool inside;     /* by the door's own scanner */
	uint32_t scanner;
	uint32_t verdict_domain; /* of several that the recipient names: the strictest */

	uint32_t mails, own; /* own: the sender is of the recipient's domain */
	uint64_t bytes;
	int64_t first_ms, last_ms;
	int32_t day; /* the day of the last mail, and its mails */
	uint32_t day_mails;
	uint32_t days; /* of book->days: the days before; INDEX_NONE: none */
};

/* Mail that waits while the rows of its client and flow come from memory. */
#define BOOK_PENDING    16
#define BOOK_SAMPLE_MAX 400 /* of an id and a sender */
struct book_pending {
	uint64_t hash; /* of what step is at */
	uint32_t flow; /* when all is done */
	uint8_t step;
	bool has_client;
	uint16_t sample_len;
	struct addr client;
	struct flow mail; /* a flow of one; client: from the second step on */
	char sample[BOOK_SAMPLE_MAX];
};

struct book {
	struct book_domain *domains;
	size_t n_domains, alloc_domains;
	struct index domain_index;
	struct index spelling_index;
	struct book_spelling {
		uint32_t string, len, domain;
	} * spellings;
	size_t n_spellings, alloc_spellings;

	struct book_client *clients;
	size_t n_clients, alloc_clients;
	struct index client_index;

	struct flow *flows;
	size_t n_flows, alloc_flows;
	struct index flow_index;
	struct flow_day *days;
	size_t n_days, alloc_days;
	struct book_pending pending[BOOK_PENDING]; /* a ring: pushed % BOOK_PENDING is the next */
	uint64_t pushed, taken;

	struct addr *servers; /* [0] is none */
	size_t n_servers, alloc_servers;

	char *strings; /* each ended by NUL; position 0 is "" */
	size_t n_strings, alloc_strings;

	struct index word_index;
	uint32_t *words; /* positions in strings */
	size_t n_words, alloc_words;

	uint64_t messages;
	uint64_t n_authenticated; /* clients that logged in: their flows don't keep them apart */
	bool no_samples;          /* clients' samples are not wanted */
	bool no_memory;           /* something was left out */
};

int book_init(struct book *b);
void book_deinit(struct book *b);
/* Forgets all flows; domains and clients stay. */
void book_clear_flows(struct book *b);
/* Forgets all clients; only while there are no flows. */
void book_clear_clients(struct book *b);

/* The row of a recipient's domain; INDEX_NONE: no memory. */
uint32_t book_recipient(struct book *b, struct sv address);
uint32_t book_domain(struct book *b, const char *name);
uint32_t book_client(struct book *b, const struct addr *client);
uint16_t book_server(struct book *b, const struct addr *server);

/* A text that is kept; 0: "" or no memory. */
uint32_t book_keep(struct book *b, struct sv a, struct sv separator, struct sv c);
/* The same for words that come again and again: each is kept once. */
uint32_t book_intern(struct book *b, struct sv text);
static inline const char *book_string(const struct book *b, uint32_t at)
{
	return b->strings + at;
}

/* For one who goes through all flows: lets the client's row of one further on come. */
static inline const void *book_client_ahead(const struct book *b, size_t flow)
{
	uint32_t client = flow + 16 < b->n_flows ? b->flows[flow + 16].client : INDEX_NONE;

	return client == INDEX_NONE ? NULL : &b->clients[client];
}

/* Each day of a flow once, in no order: *at is 0 at first; false: no more. */
bool book_next_day(const struct book *b, const struct flow *f, uint64_t *at, int32_t *ret_day,
		   uint32_t *ret_mails);

struct mail {
	int64_t time_ms;
	int32_t day;
	enum flow_kind kind;
	bool has_client;
	struct addr client;
	uint16_t server; /* of book_server() */
	struct sv id, sender;
	uint64_t bytes;
	bool authenticated; /* of a refused recipient's client, too */
};

/* Adds one message for one recipient domain. Its flow's position; INDEX_NONE: no memory. */
uint32_t book_mail(struct book *b, const struct mail *mail, uint32_t domain);
/* The same, but it is added some time later, which saves the time that memory takes. */
void book_mail_soon(struct book *b, const struct mail *mail, uint32_t domain);
/* Before clients and flows are looked at: adds what waits. */
void book_flush(struct book *b);

/* What a delivery tells about the recipient's domain. hop: NULL, into a mailbox here. */
void book_delivery(struct book *b, uint32_t domain, const struct addr *hop);

bool address_is_of_domain(struct sv address, struct sv domain);
