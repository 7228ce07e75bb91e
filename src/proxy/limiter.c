/*
 * The table is made of buckets of WAYS entries; a client's hash names its bucket. An entry without
 * sessions is worth keeping as long as its rate or a scanner's name depends on it; the one that
 * will be worthless first makes room.
 */
#include "proxy/limiter.h"

#include "base/buf.h"
#include "base/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define WAYS         16
#define LOCKS        64
#define SESSIONS_MAX 50000 /* by default */

struct client {
	uint64_t key; /* 0: free */
	uint32_t sessions;
	int64_t full_until_ms; /* the rate: when all that came is paid for */
	int64_t known_until_ms;
};

struct limiter {
	size_t sessions_max; /* that descriptors carry */
	uint64_t memory;
	_Atomic size_t sessions, known, dripping;
	size_t n_buckets; /* a power of two */
	struct client *clients;
	pthread_mutex_t locks[LOCKS];
	struct {
		_Atomic int64_t next_ms;
		_Atomic uint64_t n;
	} told[METRIC_COUNT];
};

int limiter_new(size_t sessions, uint64_t memory, struct limiter **ret_limiter)
{
	struct limiter *l = calloc(1, sizeof(*l));
	size_t n = 64;

	if (!l)
		return -ENOMEM;
	while (n * WAYS < sessions * 2)
		n *= 2;
	l->clients = calloc(n * WAYS, sizeof(*l->clients));
	if (!l->clients) {
		free(l);
		return -ENOMEM;
	}
	l->n_buckets = n;
	l->sessions_max = sessions;
	l->memory = memory;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&l->locks[i], NULL);
	*ret_limiter = l;
	return 0;
}

void limiter_free(struct limiter *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&l->locks[i]);
	free(l->clients);
	free(l);
}

/* ---- clients ---- */

/* Never 0. ff00::/8 is multicast, nobody's source: there IPv4 and ::/64 find room. */
#define KEY_V4   (UINT64_C(0xff) << 56)
#define KEY_ZERO (KEY_V4 | UINT64_C(1) << 32)

static uint64_t key_of(const struct addr *client)
{
	uint64_t key = 0;
	bool v4 = addr_is_v4(client);

	for (int i = 0; i < (v4 ? 4 : 8); i++)
		key = key << 8 | client->b[(v4 ? 12 : 0) + i];
	if (v4)
		return key | KEY_V4;
	return key ? key : KEY_ZERO;
}

static size_t bucket_of(const struct limiter *l, uint64_t key)
{
	return map_hash((struct sv) { (const char *)&key, sizeof(key) }) & (l->n_buckets - 1);
}

static pthread_mutex_t *lock_of(struct limiter *l, size_t bucket)
{
	return &l->locks[bucket % LOCKS];
}

static struct client *find(struct limiter *l, size_t bucket, uint64_t key)
{
	struct client *c = l->clients + bucket * WAYS;

	for (int i = 0; i < WAYS; i++)
		if (c[i].key == key)
			return &c[i];
	return NULL;
}

static int64_t worth_until(const struct client *c)
{
	return c->full_until_ms > c->known_until_ms ? c->full_until_ms : c->known_until_ms;
}

/* NULL: all of the bucket have sessions. */
static struct client *find_or_make(struct limiter *l, size_t bucket, uint64_t key)
{
	struct client *c = find(l, bucket, key), *worst = NULL;

	if (c)
		return c;
	c = l->clients + bucket * WAYS;
	for (int i = 0; i < WAYS; i++)
		if (c[i].sessions == 0 && (!worst || worth_until(&c[i]) < worth_until(worst)))
			worst = &c[i];
	if (worst)
		*worst = (struct client) { .key = key };
	return worst;
}

static void know(struct limiter *l, uint64_t key, int64_t until_ms)
{
	size_t bucket = bucket_of(l, key);

	pthread_mutex_lock(lock_of(l, bucket));
	struct client *c = find_or_make(l, bucket, key);
	if (c && c->known_until_ms < until_ms)
		c->known_until_ms = until_ms;
	pthread_mutex_unlock(lock_of(l, bucket));
}

void limiter_heard_scanner(struct limiter *l, const struct addr *client, int64_t now_ms)
{
	know(l, key_of(client), now_ms + LIMITER_KNOWN_MS);
}

void limiter_know(struct limiter *l, uint64_t key, int64_t until_ms, int64_t now_ms)
{
	int64_t max = now_ms + LIMITER_KNOWN_MS;

	if (key != 0 && until_ms > now_ms)
		know(l, key, until_ms < max ? until_ms : max);
}

void limiter_known_each(struct limiter *l, int64_t now_ms,
			void (*fn)(void *user, uint64_t key, int64_t until_ms), void *user)
{
	for (size_t i = 0; i < l->n_buckets; i++) {
		struct client some[WAYS];

		pthread_mutex_lock(lock_of(l, i));
		memcpy(some, l->clients + i * WAYS, sizeof(some));
		pthread_mutex_unlock(lock_of(l, i));
		for (int k = 0; k < WAYS; k++)
			if (some[k].key && some[k].known_until_ms > now_ms)
				fn(user, some[k].key, some[k].known_until_ms);
	}
}

/* A minute's worth flows off evenly; the burst may be ahead of that. */
static bool is_too_fast(const struct client *c, int rate, int64_t now_ms)
{
	return rate > 0 && c->full_until_ms > now_ms + LIMITER_BURST_S * 1000;
}

static void count_rate(struct client *c, int rate, int64_t now_ms)
{
	int64_t from = c->full_until_ms > now_ms ? c->full_until_ms : now_ms;

	if (rate > 0)
		c->full_until_ms = from + (60 * 1000 + rate - 1) / rate;
}

/* ---- sessions ---- */

size_t limiter_connections(const struct limiter *l, const struct limits_conf *conf)
{
	size_t max = conf->connections ? (size_t)conf->connections : SESSIONS_MAX;

	size_t dripping =
		atomic_load_explicit(&((struct limiter *)l)->dripping, memory_order_relaxed);

	return min_size(max, l->sessions_max - min_size(dripping / 2, l->sessions_max));
}

void limiter_drip(struct limiter *l)
{
	atomic_fetch_add_explicit(&l->dripping, 1, memory_order_relaxed);
}

void limiter_undrip(struct limiter *l, size_t n)
{
	atomic_fetch_sub_explicit(&l->dripping, n, memory_order_relaxed);
}

size_t limiter_sessions(const struct limiter *l)
{
	return atomic_load_explicit(&((struct limiter *)l)->sessions, memory_order_relaxed);
}

/* One more, if that keeps it at most at max. */
static bool count_up(_Atomic size_t *n, size_t max)
{
	size_t was = atomic_load_explicit(n, memory_order_relaxed);

	while (was < max)
		if (atomic_compare_exchange_weak(n, &was, was + 1))
			return true;
	return false;
}

/* Who is not in the quarter leaves it to the others. */
static enum limiter_outcome take_total(struct limiter *l, size_t max, bool balancer,
				       struct limiter_ticket *t)
{
	size_t known = t->known ? 0 : atomic_load_explicit(&l->known, memory_order_relaxed);
	size_t all_kept = min_size(max / 4, LIMITER_KEPT_MAX);
	size_t kept = t->known || balancer ? 0 : all_kept - min_size(known, all_kept);

	return count_up(&l->sessions, max - kept) ? LIMITER_ADMITTED : LIMITER_TOTAL;
}

/* The entry is locked, or NULL. */
static enum limiter_outcome judge(struct limiter *l, const struct limits_conf *conf,
				  struct client *c, enum limiter_who who, int64_t now_ms,
				  struct limiter_ticket *t)
{
	size_t max = limiter_connections(l, conf);
	bool trusted = who == LIMITER_TRUSTED;

	if ((trusted || (c && c->known_until_ms > now_ms)) && count_up(&l->known, max / 4))
		t->known = true;
	/* short of memory by others' doing: what must get through holds little, within its quarter;
	 * who a balancer brings is known later */
	if (!t->known && who == LIMITER_ANYBODY && limiter_is_tight(l, conf))
		return LIMITER_MEMORY;
	if (c && !t->known && !trusted) {
		if (conf->per_client > 0 && c->sessions >= (uint32_t)conf->per_client)
			return LIMITER_CLIENT;
		if (is_too_fast(c, conf->per_client_rate, now_ms))
			return LIMITER_RATE;
	}
	enum limiter_outcome r = take_total(l, max, who == LIMITER_BALANCER, t);
	if (r != LIMITER_ADMITTED) {
		if (t->known)
			atomic_fetch_sub(&l->known, 1);
		return r;
	}
	if (c) {
		c->sessions++;
		count_rate(c, conf->per_client_rate, now_ms);
		t->counted = true;
	}
	t->held = true;
	return LIMITER_ADMITTED;
}

enum limiter_outcome limiter_admit(struct limiter *l, const struct limits_conf *conf,
				   const struct addr *client, enum limiter_who who, int64_t now_ms,
				   struct limiter_ticket *ret_ticket)
{
	struct limiter_ticket t = { .key = key_of(client) };
	size_t bucket = bucket_of(l, t.key);
	enum limiter_outcome r;

	if (who == LIMITER_BALANCER) {
		r = judge(l, conf, NULL, who, now_ms, &t);
	} else {
		pthread_mutex_lock(lock_of(l, bucket));
		r = judge(l, conf, find_or_make(l, bucket, t.key), who, now_ms, &t);
		pthread_mutex_unlock(lock_of(l, bucket));
	}
	if (r == LIMITER_ADMITTED)
		*ret_ticket = t;
	return r;
}

void limiter_release(struct limiter *l, struct limiter_ticket *ticket)
{
	struct limiter_ticket t = *ticket;

	if (!t.held)
		return;
	*ticket = (struct limiter_ticket) { 0 };
	atomic_fetch_sub(&l->sessions, 1);
	if (t.known)
		atomic_fetch_sub(&l->known, 1);
	if (!t.counted)
		return;
	size_t bucket = bucket_of(l, t.key);
	pthread_mutex_lock(lock_of(l, bucket));
	struct client *c = find(l, bucket, t.key);
	INVARIANT(c && c->sessions > 0);
	c->sessions--;
	pthread_mutex_unlock(lock_of(l, bucket));
}

bool limiter_is_tight(const struct limiter *l, const struct limits_conf *conf)
{
	int64_t max = conf->memory ? conf->memory : (int64_t)(l->memory / 8);

	return buf_total() > max;
}

/* ---- words ---- */

static const struct {
	const char *code, *words;
	enum metric metric;
} reasons[] = {
	[LIMITER_TOTAL] = { "4.3.2", "too many connections in all", METRIC_LIMIT_TOTAL },
	[LIMITER_CLIENT] = { "4.7.0", "too many connections from you", METRIC_LIMIT_CLIENT },
	[LIMITER_RATE] = { "4.7.0", "too many new connections from you", METRIC_LIMIT_RATE },
	[LIMITER_MEMORY] = { "4.3.1", "short of memory", METRIC_LIMIT_MEMORY },
};

const char *limiter_code(enum limiter_outcome why)
{
	return reasons[why].code;
}

const char *limiter_words(enum limiter_outcome why)
{
	return reasons[why].words;
}

enum metric limiter_metric(enum limiter_outcome why)
{
	return reasons[why].metric;
}

bool limiter_tell(struct limiter *l, enum metric why, int64_t now_ms, uint64_t *ret_n)
{
	int64_t next = atomic_load_explicit(&l->told[why].next_ms, memory_order_relaxed);

	atomic_fetch_add_explicit(&l->told[why].n, 1, memory_order_relaxed);
	if (now_ms < next ||
	    !atomic_compare_exchange_strong(&l->told[why].next_ms, &next, now_ms + LIMITER_TELL_MS))
		return false;
	*ret_n = atomic_exchange(&l->told[why].n, 0);
	return true;
}
