/*
 * The table of doors: what is known of each recipient domain, in 128 octets a door and the
 * host sets that they share (host_set.h). One thread writes; any thread reads without waiting,
 * within the epoch.
 *
 * It is bounded, and a flood of made-up domains doesn't push out what is of use. New doors are on
 * probation, a tenth of the table when it is full; who is asked for again a minute or more after it
 * came, and is no NXDOMAIN, failure or name without mail, moves on to the others (S3-FIFO, Yang et
 * al., SOSP 2023, with time in the place of a counter: a sender tries the same name several times
 * at once). Among those, who was used since it came to the front goes to the back again. Doors that
 * are held stay: kept ones have their own place beside the others', of which there is always a
 * tenth of the bound.
 */
#pragma once

#include "dns/door_lines.h"
#include "dns/host_set.h"
#include "dns/slab.h"
#include "dns/wheel.h"

#define DOOR_REUSE_S 60

struct task;

/* An answer of before that may still be in others' caches. */
struct door_former {
	struct epoch_node retired;
	int64_t until_ms;
	enum facts_kind kind;
	struct host_set *hosts;
};

/* What a door has while something is going on with it. The writer's, but for former. */
struct door_extra {
	struct epoch_node retired;
	_Atomic(struct door_former *) former;
	struct task *tasks[2]; /* RESOLVER_DOMAIN, RESOLVER_CONFIRM */
	int64_t confirmed_ms;  /* last attempt to confirm; -1: never */
	bool confirmed;        /* it worked */
	/* The door's hosts have addresses of the answer before beside their own: those of the
	 * answer itself, until others' caches have forgotten the one before. */
	struct host_set *own;
	int64_t own_until_ms;
};

/*
 * Fields are the writer's, but for the atomics; those of what is known are read by door_read().
 * What a reader looks at fills the first 64 octets, the name comes soon behind them: mostly a door
 * is two neighbouring cache lines, of which one tells that it is another one's.
 */
struct door {
	_Alignas(64) _Atomic(struct door *) chain;
	_Atomic(struct host_set *) hosts;
	_Atomic(struct door_extra *) extra;
	_Atomic int64_t base_ms; /* others are offsets from here: when it was fetched, or failed */
	_Atomic uint32_t seq;    /* odd while what is known changes */
	_Atomic uint32_t used_s;
	_Atomic uint32_t expires;
	_Atomic uint32_t confirmed;
	_Atomic uint32_t ttl;
	_Atomic uint16_t state;
	uint8_t key_len;
	uint8_t tag;      /* of the key's hash, for those in a chain */
	uint32_t added_s; /* to its queue */
	uint32_t tried_s; /* when a refresh failed last */
	union {
		struct {
			struct door *next;      /* in its queue of eviction, or of those not used */
			struct wheel_item item; /* in the wheel, or among those to refresh */
		};
		struct epoch_node retired;
	};
	uint16_t lasts; /* how long caches may have it, since base_ms; in units of 8 s */
	uint8_t fails;  /* refreshes failed in a row */
	uint8_t holds;  /* not evicted while > 0 */
	bool kept : 1;
	bool ready : 1; /* waits for its turn to be refreshed */
	bool queued : 1;
	bool known_good : 1; /* its queue is that of the doors off probation */
	char key[];          /* with a NUL after it */
};

struct door_queue {
	struct door *first, *last;
	size_t n;
};

struct door_table {
	struct epoch *epoch;
	struct host_sets sets;
	struct door_lines lines;
	struct slab slabs[3]; /* by the length of names: most fit the first */
	size_t max;
	_Atomic size_t n;
	size_t n_kept;
	struct door_queue probation, good;
	void (*on_gone)(void *user, struct door *d); /* before it is evicted */
	void *user;
	_Atomic uint64_t evicted;
};

int door_table_init(struct door_table *t, struct epoch *epoch, size_t max,
		    void (*on_gone)(void *user, struct door *d), void *user); /* 0, -ENOMEM */
/* No reader is left. Reclaims the epoch: doors go back to memory of the table. Before
 * epoch_deinit(). */
void door_table_deinit(struct door_table *t);

/* Any thread, inside the epoch, which what they give belongs to. */

struct door *door_table_find(const struct door_table *t, struct sv key); /* NULL: none */
/* The same in steps, for those who have something to do while memory is fetched; hash:
 * map_hash(key). The second is of use once the first has come to its end. */
void door_table_fetch(const struct door_table *t, uint64_t hash);
void door_table_fetch_door(const struct door_table *t, uint64_t hash);
struct door *door_table_find_hashed(const struct door_table *t, struct sv key, uint64_t hash);
/* What is known, or false: nothing (or it is being written, and has been for an unlikely time). */
bool door_read(const struct door *d, int64_t now_ms, struct domain_facts *ret_facts);
/* It was of use now. */
void door_touch(struct door *d, int64_t now_ms);

/* The rest is for the writer's thread, which needs no epoch. */

/* The door of key, made when there is none; NULL when memory ran out. known_good: a new one is not
 * on probation, and was of no use yet (it was known before a restart). */
struct door *door_table_add(struct door_table *t, struct sv key, bool known_good, int64_t now_ms);
/* Now and then: a table that had to grow over its bound for doors held comes back to it. */
void door_table_trim(struct door_table *t, int64_t now_ms);
/* facts are copied, with the former ones. 0; -ENOMEM: nothing has changed. */
int door_write(struct door_table *t, struct door *d, const struct domain_facts *facts);
void door_hold(struct door *d);
void door_release(struct door_table *t, struct door *d, int64_t now_ms);
void door_table_keep(struct door_table *t, struct door *d, bool kept, int64_t now_ms);

/* NULL: memory ran out. */
struct door_extra *door_extra(struct door *d);
/* When nothing in it is of use any more. */
void door_drop_extra(struct door_table *t, struct door *d, int64_t now_ms);
