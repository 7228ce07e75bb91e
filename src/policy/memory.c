/*
 * Hosted domains in shards, each a table under its own lock, since every RCPT of every worker asks
 * for one. The value of a domain is the meeting that its door leads to: one of the two that are
 * embedded (not seen yet, self), or one that stands for a foreign address.
 *
 * Locks are taken in the order shard, meetings.
 */
#include "policy/memory_private.h"

#include "base/map.h"
#include "policy/name_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SHARDS      64 /* a power of two */
#define HEARD_MAX   1000000
#define SHARD_CACHE 64 /* bytes: neighbours' locks don't share a line */

struct meeting {
	struct addr addr;
	size_t domains;
};

struct scanner_known {
	enum scanner_standing proof;
	struct prefix_set rivals;
};

struct shard {
	pthread_rwlock_t lock;
	struct name_table domains; /* name → struct meeting */
} __attribute__((aligned(SHARD_CACHE)));

struct memory {
	struct shard shards[SHARDS];
	atomic_size_t n_hosted;

	pthread_rwlock_t heard_lock;
	struct map heard; /* scanner → _Atomic int64_t: when; entries stay as long as the memory */

	pthread_rwlock_t proofs_lock;
	struct map proofs; /* scanner → struct scanner_known */
	atomic_size_t n_proofs, n_with_rivals;

	pthread_rwlock_t meetings_lock;
	struct map meetings; /* address → struct meeting */
	struct meeting unseen;
	struct meeting self;
	struct meeting *largest; /* NULL: none */
	atomic_bool doubt;

	uint64_t id; /* no other one's */
	_Atomic uint64_t version;
	struct memory_egress *egress;
};

struct memory_egress *memory_egress_of(const struct memory *m)
{
	return m->egress;
}

void memory_changed(struct memory *m)
{
	static _Atomic uint64_t versions;

	atomic_store(&m->version, atomic_fetch_add(&versions, 1) + 1);
}

uint64_t memory_version(const struct memory *m)
{
	return atomic_load_explicit(&m->version, memory_order_acquire);
}

static struct shard *shard_of(const struct memory *m, uint64_t hash)
{
	/* The table uses the hash's low bits for its slots. */
	return (struct shard *)&m->shards[(hash >> 56) & (SHARDS - 1)];
}

int memory_new(struct memory **ret_memory)
{
	struct memory *m = aligned_alloc(SHARD_CACHE, sizeof(*m));

	if (!m)
		return -ENOMEM;
	memset(m, 0, sizeof(*m));
	memory_changed(m);
	m->id = memory_version(m);
	if (memory_egress_new(&m->egress) < 0) {
		free(m);
		return -ENOMEM;
	}
	for (size_t i = 0; i < SHARDS; i++) {
		pthread_rwlock_init(&m->shards[i].lock, NULL);
	}
	pthread_rwlock_init(&m->heard_lock, NULL);
	map_init(&m->heard);
	pthread_rwlock_init(&m->proofs_lock, NULL);
	map_init(&m->proofs);
	pthread_rwlock_init(&m->meetings_lock, NULL);
	map_init(&m->meetings);
	*ret_memory = m;
	return 0;
}

static void scanner_known_free(void *scanner_known)
{
	struct scanner_known *known = scanner_known;

	if (!known)
		return;
	prefix_set_deinit(&known->rivals);
	free(known);
}

void memory_free(struct memory *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		name_table_deinit(&m->shards[i].domains);
		pthread_rwlock_destroy(&m->shards[i].lock);
	}
	map_deinit(&m->heard, free);
	pthread_rwlock_destroy(&m->heard_lock);
	map_deinit(&m->proofs, scanner_known_free);
	pthread_rwlock_destroy(&m->proofs_lock);
	map_deinit(&m->meetings, free);
	pthread_rwlock_destroy(&m->meetings_lock);
	memory_egress_free(m->egress);
	free(m);
}

int memory_hosted_add(struct memory *m, struct sv domain)
{
	uint64_t hash = map_hash(domain);
	struct shard *s = shard_of(m, hash);
	int r;

	pthread_rwlock_wrlock(&s->lock);
	if (name_table_get(&s->domains, domain, hash))
		r = 1;
	else if (atomic_load(&m->n_hosted) >= MEMORY_HOSTED_MAX)
		r = -ENOSPC;
	else
		r = name_table_put(&s->domains, domain, hash, &m->unseen);
	if (r == 0)
		atomic_fetch_add(&m->n_hosted, 1);
	pthread_rwlock_unlock(&s->lock);
	return r;
}

bool memory_is_hosted(const struct memory *m, const char *domain)
{
	struct sv key = sv_from(domain);
	uint64_t hash = map_hash(key);
	struct shard *s = shard_of(m, hash);

	pthread_rwlock_rdlock(&s->lock);
	bool hosted = name_table_get(&s->domains, key, hash) != NULL;

	pthread_rwlock_unlock(&s->lock);
	return hosted;
}

size_t memory_hosted_count(const struct memory *m)
{
	return atomic_load(&((struct memory *)m)->n_hosted);
}

static int shard_each(struct shard *s, int (*fn)(void *user, const char *domain), void *user)
{
	struct sv name;
	size_t at = 0;
	char domain[256];
	int r = 0;

	while (r >= 0 && name_table_next(&s->domains, &at, &name)) {
		size_t n = min_size(name.n, sizeof(domain) - 1);
		memcpy(domain, name.p, n);
		domain[n] = '\0';
		r = fn(user, domain);
	}
	return r < 0 ? r : 0;
}

int memory_hosted_each(struct memory *m, int (*fn)(void *user, const char *domain), void *user)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < SHARDS; i++) {
		pthread_rwlock_rdlock(&m->shards[i].lock);
		r = shard_each(&m->shards[i], fn, user);
		pthread_rwlock_unlock(&m->shards[i].lock);
	}
	return r;
}

/* Every verdict on direct delivery asks, mostly for the same few scanners. Where these are is
 * remembered by each thread, so that not all of them write to one lock. */
struct heard_memo {
	uint64_t memory; /* 0: empty */
	_Atomic int64_t *when;
	char scanner[48]; /* longer ones are not kept */
};

/* NULL: never. */
static _Atomic int64_t *find_heard(struct memory *m, const char *scanner)
{
	static _Thread_local struct heard_memo memos[256];
	struct sv key = sv_from(scanner);
	struct heard_memo *memo = &memos[map_hash(key) % ARRAY_SIZE(memos)];
	_Atomic int64_t *when;

	if (memo->memory == m->id && strcmp(memo->scanner, scanner) == 0)
		return memo->when;
	pthread_rwlock_rdlock(&m->heard_lock);
	when = map_get(&m->heard, key);
	pthread_rwlock_unlock(&m->heard_lock);
	if (when && key.n < sizeof(memo->scanner)) {
		*memo = (struct heard_memo) { .memory = m->id, .when = when };
		memcpy(memo->scanner, scanner, key.n);
	}
	return when;
}

/* Later than before, or not at all: others may tell of it at the same time. */
static void heard_later(_Atomic int64_t *when, int64_t now_ms)
{
	int64_t last = atomic_load(when);

	while (last < now_ms && !atomic_compare_exchange_weak(when, &last, now_ms))
		;
}

void memory_scanner_heard(struct memory *m, const char *scanner, int64_t now_ms)
{
	struct sv key = sv_from(scanner);
	_Atomic int64_t *when;

	if (key.n == 0)
		return;
	when = find_heard(m, scanner);
	if (when) {
		heard_later(when, now_ms);
		return;
	}

	/* Over the cap, or without memory, a scanner stays unheard: its door defers instead of
	 * rejecting, which loses nothing. */
	when = malloc(sizeof(*when));
	if (!when)
		return;
	atomic_init(when, now_ms);
	pthread_rwlock_wrlock(&m->heard_lock);
	if (m->heard.n >= HEARD_MAX || map_get(&m->heard, key) ||
	    map_put(&m->heard, key, (void *)when, NULL) < 0)
		free((void *)when);
	pthread_rwlock_unlock(&m->heard_lock);
}

bool memory_scanner_is_heard(const struct memory *memory, const char *scanner, int64_t now_ms)
{
	const _Atomic int64_t *when = find_heard((struct memory *)memory, scanner);

	return when && now_ms - atomic_load(when) <= MEMORY_HEARD_MS;
}

void memory_scanner_heard_at(struct memory *m, const char *scanner, int64_t wall_ms,
			     int64_t now_wall_ms, int64_t now_mono_ms)
{
	if (wall_ms > now_wall_ms)
		wall_ms = now_wall_ms;
	if (wall_ms >= now_wall_ms - MEMORY_HEARD_MS)
		memory_scanner_heard(m, scanner, now_mono_ms - (now_wall_ms - wall_ms));
}

int memory_heard_each(struct memory *m, int (*fn)(void *user, const char *scanner, int64_t when_ms),
		      void *user)
{
	struct map_entry *e = NULL;
	char scanner[256];
	int r = 0;

	pthread_rwlock_rdlock(&m->heard_lock);
	while (r >= 0 && (e = map_next(&m->heard, e))) {
		size_t n = min_size(e->key_len, sizeof(scanner) - 1);
		memcpy(scanner, e->key, n);
		scanner[n] = '\0';
		r = fn(user, scanner, atomic_load((_Atomic int64_t *)e->value));
	}
	pthread_rwlock_unlock(&m->heard_lock);
	return r < 0 ? r : 0;
}

int prefix_set_copy(struct prefix_set *to, const struct prefix_set *from)
{
	prefix_set_init(to);
	if (from->n == 0)
		return 0;
	to->ranges = calloc(from->n, sizeof(*to->ranges));
	if (!to->ranges)
		return -ENOMEM;
	memcpy(to->ranges, from->ranges, from->n * sizeof(*to->ranges));
	to->n = to->alloc = from->n;
	return 0;
}

int memory_scanner_set_proven(struct memory *m, const char *scanner, enum scanner_standing proof,
			      const struct prefix_set *rivals)
{
	struct sv key = sv_from(scanner);
	struct scanner_known *known = NULL;
	void *old = NULL;
	int r = 0;

	if (key.n == 0)
		return 0;
	if (proof != SCANNER_UNPROVEN || rivals->n > 0) {
		known = calloc(1, sizeof(*known));
		if (!known || prefix_set_copy(&known->rivals, rivals) < 0) {
			free(known);
			return -ENOMEM;
		}
		known->proof = proof;
	}
	pthread_rwlock_wrlock(&m->proofs_lock);
	if (known)
		r = map_put(&m->proofs, key, known, &old);
	else
		old = map_remove(&m->proofs, key);
	if (r >= 0 && known && known->rivals.n > 0)
		atomic_fetch_add(&m->n_with_rivals, 1);
	if (r >= 0 && old && ((struct scanner_known *)old)->rivals.n > 0)
		atomic_fetch_sub(&m->n_with_rivals, 1);
	atomic_store(&m->n_proofs, m->proofs.n);
	memory_changed(m);
	pthread_rwlock_unlock(&m->proofs_lock);
	scanner_known_free(r < 0 ? known : old);
	return r < 0 ? r : 0;
}

static enum scanner_standing proof_of(const struct memory *memory, const char *scanner)
{
	struct memory *m = (struct memory *)memory;
	const struct scanner_known *known;

	if (atomic_load(&m->n_proofs) == 0)
		return SCANNER_UNPROVEN;
	pthread_rwlock_rdlock(&m->proofs_lock);
	known = map_get(&m->proofs, sv_from(scanner));
	enum scanner_standing proof = known ? known->proof : SCANNER_UNPROVEN;

	pthread_rwlock_unlock(&m->proofs_lock);
	return proof;
}

bool memory_scanner_is_proven(const struct memory *m, const char *scanner)
{
	return proof_of(m, scanner) == SCANNER_PROVEN;
}

bool memory_scanner_has_grown(const struct memory *m, const char *scanner)
{
	return proof_of(m, scanner) == SCANNER_GROWN;
}

bool memory_scanner_is_rival(const struct memory *memory, const char *scanner,
			     const struct addr *client)
{
	struct memory *m = (struct memory *)memory;
	const struct scanner_known *known;

	if (atomic_load(&m->n_with_rivals) == 0)
		return false;
	pthread_rwlock_rdlock(&m->proofs_lock);
	known = map_get(&m->proofs, sv_from(scanner));
	bool rival = known && known->rivals.n > 0 && prefix_set_contains(&known->rivals, client);

	pthread_rwlock_unlock(&m->proofs_lock);
	return rival;
}

/* The three below: under meetings_lock, for writing. */

static struct meeting *meeting_at(struct memory *m, const struct addr *a)
{
	struct sv key = { (const char *)a->b, sizeof(a->b) };
	struct meeting *meeting = map_get(&m->meetings, key);

	if (meeting)
		return meeting;
	meeting = calloc(1, sizeof(*meeting));
	if (!meeting)
		return NULL;
	meeting->addr = *a;
	if (map_put(&m->meetings, key, meeting, NULL) < 0) {
		free(meeting);
		return NULL;
	}
	return meeting;
}

static void meeting_drop_if_empty(struct memory *m, struct meeting *meeting)
{
	if (meeting == &m->self || meeting == &m->unseen || meeting->domains > 0)
		return;
	if (m->largest == meeting)
		m->largest = NULL;
	map_remove(&m->meetings, (struct sv) { (const char *)meeting->addr.b, 16 });
	free(meeting);
}

static void meeting_leave(struct memory *m, struct meeting *meeting)
{
	if (meeting == &m->unseen)
		return;
	meeting->domains--;
	if (m->largest == meeting) {
		struct map_entry *e = NULL;

		while ((e = map_next(&m->meetings, e))) {
			struct meeting *other = e->value;

			if (other->domains > m->largest->domains)
				m->largest = other;
		}
	}
	meeting_drop_if_empty(m, meeting);
}

static void doubt_update(struct memory *m)
{
	atomic_store(&m->doubt, m->largest && m->largest->domains >= MEMORY_MEET_MIN &&
					m->largest->domains > m->self.domains);
}

/* Where a domain's door leads to, when that is known; under the domain's shard lock. */
static bool leads_there(const struct memory *m, const struct meeting *meeting, bool self,
			const struct addr *leads_to)
{
	if (self)
		return meeting == &m->self;
	if (!leads_to)
		return meeting == &m->unseen;
	return meeting != &m->self && meeting != &m->unseen && addr_eq(&meeting->addr, leads_to);
}

static void door_moved(struct memory *m, struct sv domain, uint64_t hash, bool self,
		       const struct addr *leads_to)
{
	struct shard *s = shard_of(m, hash);
	struct meeting *was = name_table_get(&s->domains, domain, hash), *now;

	if (!was || leads_there(m, was, self, leads_to))
		return;
	now = self ? &m->self : leads_to ? meeting_at(m, leads_to) : &m->unseen;
	if (!now)
		return;
	if (name_table_put(&s->domains, domain, hash, now) != 1) {
		meeting_drop_if_empty(m, now);
		return;
	}
	if (now != &m->unseen)
		now->domains++;
	if (now != &m->unseen && now != &m->self &&
	    (!m->largest || now->domains > m->largest->domains))
		m->largest = now;
	meeting_leave(m, was);
	doubt_update(m);
}

bool memory_hosted_remove(struct memory *m, const char *domain)
{
	struct sv key = sv_from(domain);
	uint64_t hash = map_hash(key);
	struct shard *s = shard_of(m, hash);
	bool was;

	pthread_rwlock_wrlock(&s->lock);
	pthread_rwlock_wrlock(&m->meetings_lock);
	door_moved(m, key, hash, false, NULL); /* it counts nowhere any more */
	pthread_rwlock_unlock(&m->meetings_lock);
	was = name_table_remove(&s->domains, key, hash) != NULL;
	if (was)
		atomic_fetch_sub(&m->n_hosted, 1);
	pthread_rwlock_unlock(&s->lock);
	return was;
}

void memory_door_seen(struct memory *m, const char *domain, bool self, const struct addr *leads_to)
{
	struct sv key = sv_from(domain);
	uint64_t hash = map_hash(key);
	struct shard *s = shard_of(m, hash);
	const struct meeting *was;

	/* Nearly every call tells nothing new. */
	pthread_rwlock_rdlock(&s->lock);
	was = name_table_get(&s->domains, key, hash);
	bool news = was && !leads_there(m, was, self, leads_to);

	pthread_rwlock_unlock(&s->lock);
	if (!news)
		return;

	pthread_rwlock_wrlock(&s->lock);
	pthread_rwlock_wrlock(&m->meetings_lock);
	door_moved(m, key, hash, self, leads_to);
	pthread_rwlock_unlock(&m->meetings_lock);
	pthread_rwlock_unlock(&s->lock);
}

bool memory_identity_doubt(const struct memory *memory, struct addr *ret_addr)
{
	struct memory *m = (struct memory *)memory;
	bool doubt = false;

	if (!atomic_load(&m->doubt))
		return false;
	pthread_rwlock_rdlock(&m->meetings_lock);
	if (atomic_load(&m->doubt) && m->largest) {
		*ret_addr = m->largest->addr;
		doubt = true;
	}
	pthread_rwlock_unlock(&m->meetings_lock);
	return doubt;
}
