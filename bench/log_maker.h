/*
 * Shared by the files of log_maker (see log_maker.c): the world that the mail is of, one mail, and
 * the octets that go out. Everything follows from the seed and from a mail's number, so the mail is
 * the same in each format.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct text {
	const char *p;
	size_t n;
};
#define TEXT(literal) ((struct text) { literal, sizeof(literal) - 1 })

/* ---- chance: never two draws in one expression, whose order would be the compiler's ---- */

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

static inline bool rng_permille(struct rng *r, uint32_t chance)
{
	return rng_below(r, 1000) < chance;
}

/* ---- the world ---- */

/* As in doc/events.md, "door". */
enum door {
	DOOR_SCANNER,
	DOOR_SELF,
	DOOR_BACKUP,
	DOOR_ELSEWHERE,
	DOOR_NULL,
	DOOR_UNKNOWN,
	DOOR_DNS,
	DOOR_COUNT
};

#define SCANNERS  60
#define EGRESS    20 /* addresses of each */
#define RELAYS    8  /* addresses that some scanners have besides, under another name */
#define SERVER_V4 "203.0.113.25"
#define SERVER_V6 "2001:db8:25::25"
#define HOST      "host1.provider.example"
#define SAMPLES   32768
#define NO_DOMAIN UINT32_MAX

struct domain {
	struct text name;
	enum door door;
	uint32_t scanner; /* of DOOR_SCANNER and DOOR_BACKUP */
	uint32_t place;   /* among those of its door */
	bool at_home; /* mail for it has gone into a mailbox, so the log shows that it is ours */
	uint8_t doors_open; /* bits: apex, www, mail lead here */
	uint16_t classes;   /* that it was counted for: bits */
};

struct client {
	struct text ip;
	struct text name; /* n == 0: no confirmed name */
	struct text helo;
	bool v6, tls;
	bool used;
	uint16_t classes; /* that it was counted for: bits */
};

struct remote {
	struct text domain, mx, ip;
};

/* A part of world.clients. */
struct crowd {
	uint32_t first, n;
};

struct world {
	struct domain *domains;
	uint32_t n_domains;
	struct crowd of_door[DOOR_COUNT]; /* of domains */
	uint32_t *samples[DOOR_COUNT];    /* SAMPLES domains of a door, busy ones more often */
	struct client *clients;
	uint32_t n_clients;
	struct crowd egress, relays, servers, bots, users, devices, monitors, customers, webs, self;
	struct remote *remotes;
	uint32_t n_remotes;
	struct arena {
		struct arena *next;
		size_t used;
		char text[];
	} * arena;
};

void world_init(struct world *w, uint32_t n_domains, uint64_t seed);
void world_deinit(struct world *w);
/* The records that the doors of this world have in DNS; of clients, those that came. */
void world_write_doors(const struct world *w, FILE *f);
bool world_scanner_has_relays(uint32_t scanner);

/* ---- mail ---- */

/* As in `frontdoor logs`. */
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
	CLASS_COUNT
};

/* How it came. */
enum way_in { BY_WORLD, BY_LOGIN, BY_HAND, BY_BOUNCE, BY_LOOPBACK, NOT_TAKEN };

struct address {
	struct text local;
	uint32_t tag; /* 0: none; makes bulk senders' addresses differ */
	struct text domain;
};

struct rcpt {
	struct address to;
	uint32_t domain;             /* of world.domains, or NO_DOMAIN: of a remote */
	const struct remote *remote; /* it goes there; NULL: into a mailbox here */
	struct text forward;         /* to this local part at the remote; n == 0: not forwarded */
	bool lmtp, deferred, fails;
};

#define RCPTS_MAX 4

struct mail {
	struct mail *next;
	unsigned step;  /* what happens to it next */
	struct rng rng; /* of what only one format has */
	enum way_in way;
	struct client *client; /* NULL: handed in on the host */
	struct address sender; /* domain.n == 0: <> */
	struct address login;
	struct rcpt rcpts[RCPTS_MAX];
	unsigned n_rcpts;
	uint32_t size;
	uint64_t words; /* seed of subject and Message-ID */
	unsigned refusal;
	bool tls, chunking;
	unsigned pid;
	char id[24];
	size_t id_len;
};

struct truth {
	uint64_t received, mails;
	struct class_truth {
		uint64_t mails, bytes;
		uint64_t domains, clients; /* not of classes that have others' domains in them */
	} classes[CLASS_COUNT];
};

/* What mail number says, from seed and number alone, and counts it. */
void mail_draw(struct world *w, struct truth *t, uint64_t seed, uint64_t number, struct mail *ret);
/* The report to the sender of a mail that failed. */
void mail_draw_bounce(struct world *w, struct truth *t, struct mail *failed, struct mail *ret);

/* ---- octets ---- */

struct out {
	char *start, *p, *end; /* end: a line that begins before it fits in */
	uint64_t flushed, lines;
	int fd;
	char stamp[40];
	size_t stamp_len;
	uint32_t second, micro;
};

static inline void put(struct out *o, struct text t)
{
	if (t.n > 0)
		memcpy(o->p, t.p, t.n);
	o->p += t.n;
}
#define PUT(o, literal) put(o, TEXT(literal))

static inline void put_number(struct out *o, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	put(o, (struct text) { digits + i, sizeof(digits) - i });
}

void put_hex(struct out *o, uint64_t v, unsigned digits);
void put_address(struct out *o, const struct address *a);
void put_subject(struct out *o, uint64_t words);
void put_message_id(struct out *o, const struct mail *mail);
void out_flush(struct out *o);

static inline void end_line(struct out *o)
{
	*o->p++ = '\n';
	o->lines++;
	if (o->p >= o->end)
		out_flush(o);
}

/* ---- formats ---- */

struct format {
	void (*set_second)(struct out *o, int64_t at); /* since 1970 */
	void (*begin)(struct out *o, struct mail *mail);
	void (*arrive)(struct out *o, struct mail *mail);
	void (*bounce)(struct out *o, const struct mail *failed, struct mail *mail);
	void (*deliver)(struct out *o, struct mail *mail, const struct rcpt *to, bool again);
	void (*done)(struct out *o, struct mail *mail);
	void (*refuse)(struct out *o, struct mail *mail);
	void (*noise)(struct out *o, const struct client *client, struct rng *rng);
};

extern const struct format format_exim, format_postfix, format_postfix_rfc3339;
