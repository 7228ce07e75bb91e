#include "dns/door_table.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(offsetof(struct door, next) == 64, "what readers look at is one cache line");

enum {
	MAX_EVICTED = 8, /* for one that is added */
	MAX_STEPS = 64,  /* looked at for it */
	MAX_TRIMMED = 1000,
	MAX_READS = 1000, /* of a door that is being written: then nothing is known of it */
	LASTS_UNIT_MS = 8000,
	CONFIRM_REMEMBERED_MS = 300 * 1000,
};

/* Bits of state above the kind. */
enum {
	STATE_KIND = 0x7,
	STATE_VALUE = 0x8, /* something is known */
	STATE_NXDOMAIN = 0x10,
	STATE_AA = 0x20,
	STATE_STALE = 0x40,
	STATE_CONFIRMED = 0x80,
	STATE_FORMER = 0x100,
	STATE_KEPT = 0x200,
};

/* ---- memory ---- */

/* Each begins at a place, and with the first two cache lines of it nearly all is told. */
static const size_t door_sizes[] = { DOOR_PLACE, 2 * DOOR_PLACE, 3 * DOOR_PLACE };
_Static_assert(offsetof(struct door, key) + UINT8_MAX + 1 <= 384, "the longest name fits");

static struct door *door_alloc(struct door_table *t, struct sv key)
{
	size_t size = offsetof(struct door, key) + key.n + 1;
	struct slab *s = t->slabs;
	struct door *d;

	while (s->size < size)
		s++;
	d = slab_take(s);
	if (!d)
		return NULL;
	memset(d, 0, s->size);
	d->key_len = (uint8_t)key.n;
	memcpy(d->key, key.p, key.n);
	return d;
}

static void door_free(struct epoch_node *node)
{
	struct door *d = CONTAINER_OF(node, struct door, retired);

	slab_give(d);
}

int door_table_init(struct door_table *t, struct epoch *epoch, size_t max,
		    void (*on_gone)(void *user, struct door *d), void *user)
{
	*t = (struct door_table) { .epoch = epoch, .max = max, .on_gone = on_gone, .user = user };
	if (door_lines_init(&t->lines, max) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(t->slabs); i++)
		slab_init(&t->slabs[i], door_sizes[i], &t->lines.places);
	return host_sets_init(&t->sets, epoch);
}

static void former_free(struct epoch_node *node)
{
	free(CONTAINER_OF(node, struct door_former, retired));
}

static void former_drop(struct door_table *t, struct door_former *f)
{
	if (!f)
		return;
	host_set_put(&t->sets, f->hosts);
	epoch_retire(t->epoch, &f->retired, former_free);
}

static void extra_free(struct epoch_node *node)
{
	free(CONTAINER_OF(node, struct door_extra, retired));
}

static struct door_extra *extra_of(const struct door *d)
{
	return atomic_load_explicit(&d->extra, memory_order_acquire);
}

static void extra_retire(struct door_table *t, struct door_extra *x)
{
	former_drop(t, atomic_load_explicit(&x->former, memory_order_relaxed));
	host_set_put(&t->sets, x->own);
	epoch_retire(t->epoch, &x->retired, extra_free);
}

struct door_extra *door_extra(struct door *d)
{
	struct door_extra *x = extra_of(d);

	if (x)
		return x;
	x = calloc(1, sizeof(*x));
	if (x) {
		x->confirmed_ms = -1;
		atomic_store_explicit(&d->extra, x, memory_order_release);
	}
	return x;
}

void door_drop_extra(struct door_table *t, struct door *d, int64_t now_ms)
{
	struct door_extra *x = extra_of(d);

	if (x && !x->tasks[0] && !x->tasks[1] && !x->own &&
	    !atomic_load_explicit(&x->former, memory_order_relaxed) &&
	    (x->confirmed_ms < 0 || now_ms >= x->confirmed_ms + CONFIRM_REMEMBERED_MS)) {
		atomic_store_explicit(&d->extra, NULL, memory_order_release);
		extra_retire(t, x);
	}
}

/* It is in no queue any more, and no reader gets to it from now on. All that it leads to stays, for
 * those who are at it. */
static void door_drop(struct door_table *t, struct door *d)
{
	struct door_extra *x = extra_of(d);

	wheel_remove(&d->item);
	if (x)
		extra_retire(t, x);
	host_set_put(&t->sets, atomic_load_explicit(&d->hosts, memory_order_relaxed));
	epoch_retire(t->epoch, &d->retired, door_free);
}

static void drop_one(void *user, struct door *d)
{
	door_drop(user, d);
}

void door_table_deinit(struct door_table *t)
{
	if (!t->lines.lines)
		return;
	door_lines_each(&t->lines, drop_one, t);
	epoch_reclaim(t->epoch);
	if (t->sets.sets)
		host_sets_deinit(&t->sets);
	for (size_t i = 0; i < ARRAY_SIZE(t->slabs); i++)
		slab_deinit(&t->slabs[i]);
	door_lines_deinit(&t->lines);
}

/* ---- readers ---- */

void door_table_fetch(const struct door_table *t, uint64_t hash)
{
	door_lines_fetch(&t->lines, hash);
}

void door_table_fetch_door(const struct door_table *t, uint64_t hash)
{
	door_lines_fetch_door(&t->lines, hash);
}

struct door *door_table_find_hashed(const struct door_table *t, struct sv key, uint64_t hash)
{
	return door_lines_find(&t->lines, key, hash);
}

struct door *door_table_find(const struct door_table *t, struct sv key)
{
	return door_table_find_hashed(t, key, map_hash(key));
}

void door_touch(struct door *d, int64_t now_ms)
{
	uint32_t now_s = (uint32_t)(now_ms / 1000);

	if (now_s != atomic_load_explicit(&d->used_s, memory_order_relaxed))
		atomic_store_explicit(&d->used_s, now_s, memory_order_relaxed);
}

struct snapshot {
	const struct host_set *hosts;
	const struct door_former *former;
	int64_t base_ms;
	uint32_t expires, confirmed, ttl;
	uint16_t state;
};

/*
 * All of one moment, or false. Loads that acquire keep the last look at seq behind them, stores
 * that release keep the first change of seq before them (door_write()): on most machines they cost
 * nothing, and ThreadSanitizer knows them, which it does not fences.
 */
static bool take(const struct door *d, struct snapshot *s)
{
	uint32_t seq = atomic_load_explicit(&d->seq, memory_order_acquire);
	const struct door_extra *x;

	if (seq & 1)
		return false;
	s->hosts = atomic_load_explicit(&d->hosts, memory_order_acquire);
	/* with the name of the first */
	__builtin_prefetch(s->hosts);
	__builtin_prefetch((const char *)s->hosts + 64);
	s->base_ms = atomic_load_explicit(&d->base_ms, memory_order_acquire);
	s->expires = atomic_load_explicit(&d->expires, memory_order_acquire);
	s->confirmed = atomic_load_explicit(&d->confirmed, memory_order_acquire);
	s->ttl = atomic_load_explicit(&d->ttl, memory_order_acquire);
	s->state = atomic_load_explicit(&d->state, memory_order_acquire);
	x = s->state & STATE_FORMER ? extra_of(d) : NULL;
	s->former = x ? atomic_load_explicit(&x->former, memory_order_acquire) : NULL;
	return atomic_load_explicit(&d->seq, memory_order_relaxed) == seq;
}

bool door_read(const struct door *d, int64_t now_ms, struct domain_facts *ret_facts)
{
	const struct host_set *former;
	struct snapshot s;
	int reads = 0;

	while (!take(d, &s))
		if (++reads == MAX_READS)
			return false;
	if (!(s.state & STATE_VALUE))
		return false;
	if (s.former && now_ms >= s.former->until_ms)
		s.former = NULL;
	former = s.former ? s.former->hosts : NULL;
	/* all of it, so that nothing has to be cleared before */
	*ret_facts = (struct domain_facts) {
		.kind = s.state & STATE_KIND,
		.nxdomain = s.state & STATE_NXDOMAIN,
		.aa = s.state & STATE_AA,
		.stale = s.state & STATE_STALE,
		.kept = s.state & STATE_KEPT,
		.fetched_ms = (s.state & STATE_KIND) == FACTS_FAILED ? -1 : s.base_ms,
		.expires_ms = s.base_ms + s.expires,
		.confirmed_ms = s.state & STATE_CONFIRMED ? s.base_ms + (int32_t)s.confirmed : -1,
		.ttl = s.ttl,
		.cached_s = 0,
		.n_hosts = s.hosts ? (uint16_t)s.hosts->n_hosts : 0,
		.hosts_serial = s.hosts ? s.hosts->serial : 0,
		.domain = d->key,
		.hosts = s.hosts ? s.hosts->hosts : NULL,
		.former_until_ms = s.former ? s.former->until_ms : 0,
		.former_kind = s.former ? s.former->kind : FACTS_MX,
		.n_former = former ? (uint16_t)former->n_hosts : 0,
		.former = former ? former->hosts : NULL,
	};
	return true;
}

/* ---- eviction ---- */

static struct door_queue *queue_of(struct door_table *t, const struct door *d)
{
	return d->known_good ? &t->good : &t->probation;
}

static void queue_add(struct door_table *t, struct door *d, int64_t now_ms)
{
	struct door_queue *q = queue_of(t, d);

	d->queued = true;
	d->added_s = (uint32_t)(now_ms / 1000);
	d->next = NULL;
	*(q->first ? &q->last->next : &q->first) = d;
	q->last = d;
	q->n++;
}

static struct door *queue_take(struct door_queue *q)
{
	struct door *d = q->first;

	if (d) {
		q->first = d->next;
		q->n--;
		d->queued = false;
	}
	return d;
}

static void evict(struct door_table *t, struct door *d)
{
	if (t->on_gone)
		t->on_gone(t->user, d);
	door_lines_remove(&t->lines, d, map_hash((struct sv) { d->key, d->key_len }));
	t->n--;
	atomic_fetch_add_explicit(&t->evicted, 1, memory_order_relaxed);
	door_drop(t, d);
}

/* Is it worth another round? Then it is in the queue for it. */
static bool spare(struct door_table *t, struct door *d, int64_t now_ms)
{
	uint32_t used_s = atomic_load_explicit(&d->used_s, memory_order_relaxed);
	uint16_t state = atomic_load_explicit(&d->state, memory_order_relaxed);
	unsigned int kind = state & STATE_KIND;

	/* answers of nothing can be had for every name that somebody thinks of */
	if (!(state & STATE_VALUE) || kind == FACTS_NOTHING || kind == FACTS_FAILED)
		return false;
	if (d->known_good ? used_s <= d->added_s : used_s < d->added_s + DOOR_REUSE_S)
		return false;
	d->known_good = true;
	queue_add(t, d, now_ms);
	return true;
}

/* How many doors that aren't kept there is room for. */
static size_t room(const struct door_table *t)
{
	size_t tenth = t->max / 10 + 1;

	return t->n_kept < t->max && t->max - t->n_kept > tenth ? t->max - t->n_kept : tenth;
}

/* To so many of those; as far as it goes at once. */
static void shrink(struct door_table *t, size_t n, int max_evicted, int64_t now_ms)
{
	int steps = 0, evicted = 0;
	struct door *d;

	while (t->n - t->n_kept > n && evicted < max_evicted) {
		bool probation = t->probation.n > t->max / 10 || !t->good.n;
		d = queue_take(probation ? &t->probation : &t->good);
		if (!d)
			return;
		/* one that is held comes back when it is released; without end nobody is spared */
		if (d->holds || (++steps < MAX_STEPS && spare(t, d, now_ms)))
			continue;
		evict(t, d);
		evicted++;
		steps = 0;
	}
}

void door_table_trim(struct door_table *t, int64_t now_ms)
{
	shrink(t, room(t), MAX_TRIMMED, now_ms);
}

/* ---- writer ---- */

struct door *door_table_add(struct door_table *t, struct sv key, bool known_good, int64_t now_ms)
{
	uint64_t hash = map_hash(key);
	struct door *d = door_lines_find(&t->lines, key, hash);

	if (d)
		return d;
	INVARIANT(key.n <= UINT8_MAX);
	shrink(t, room(t) - 1, MAX_EVICTED, now_ms);
	d = door_alloc(t, key);
	if (!d)
		return NULL;
	d->known_good = known_good;
	atomic_init(&d->used_s, known_good ? 0 : (uint32_t)(now_ms / 1000));
	queue_add(t, d, now_ms);
	door_lines_add(&t->lines, d, hash);
	t->n++;
	return d;
}

void door_hold(struct door *d)
{
	INVARIANT(d->holds < UINT8_MAX);
	d->holds++;
}

void door_release(struct door_table *t, struct door *d, int64_t now_ms)
{
	INVARIANT(d->holds > 0);
	if (--d->holds == 0 && !d->queued)
		queue_add(t, d, now_ms);
}

void door_table_keep(struct door_table *t, struct door *d, bool kept, int64_t now_ms)
{
	uint16_t state = atomic_load_explicit(&d->state, memory_order_relaxed);

	if (d->kept == kept)
		return;
	d->kept = kept;
	state = (uint16_t)(kept ? state | STATE_KEPT : state & ~STATE_KEPT);
	atomic_store_explicit(&d->state, state, memory_order_release);
	if (kept) {
		t->n_kept++;
		door_hold(d);
		return;
	}
	t->n_kept--;
	door_release(t, d, now_ms);
}

static uint32_t offset_ms(int64_t ms, int64_t base_ms)
{
	return ms <= base_ms               ? 0
	       : ms - base_ms > UINT32_MAX ? UINT32_MAX
					   : (uint32_t)(ms - base_ms);
}

static uint16_t state_of(const struct domain_facts *f, int64_t base_ms)
{
	unsigned int state = STATE_VALUE | (f->kind & STATE_KIND);

	state |= f->nxdomain ? STATE_NXDOMAIN : 0;
	state |= f->aa ? STATE_AA : 0;
	state |= f->stale ? STATE_STALE : 0;
	state |= f->former_until_ms ? STATE_FORMER : 0;
	/* one of long ago is as good as none */
	if (f->confirmed_ms >= 0 && f->confirmed_ms - base_ms <= INT32_MAX &&
	    base_ms - f->confirmed_ms <= INT32_MAX)
		state |= STATE_CONFIRMED;
	return (uint16_t)state;
}

/* 0: *ret_set has a reference, or is NULL without hosts. */
static int get_set(struct door_table *t, const struct dns_host *hosts, size_t n,
		   struct host_set **ret_set)
{
	struct host_set *s = n ? host_set_get(&t->sets, hosts, n) : NULL;

	if (n && !s)
		return -ENOMEM;
	*ret_set = s;
	return 0;
}

/* The former answer of facts; *ret_former NULL: none. */
static int get_former(struct door_table *t, struct door *d, const struct domain_facts *facts,
		      struct door_former **ret_former)
{
	struct door_former *f;

	*ret_former = NULL;
	if (!facts->former_until_ms)
		return 0;
	if (!door_extra(d) || !(f = malloc(sizeof(*f))))
		return -ENOMEM;
	f->until_ms = facts->former_until_ms;
	f->kind = facts->former_kind;
	if (get_set(t, facts->former, facts->n_former, &f->hosts) < 0) {
		free(f);
		return -ENOMEM;
	}
	*ret_former = f;
	return 0;
}

int door_write(struct door_table *t, struct door *d, const struct domain_facts *facts)
{
	struct door_former *former, *old_former = NULL;
	struct door_extra *x;
	struct host_set *set, *old_set = atomic_load_explicit(&d->hosts, memory_order_relaxed);
	uint32_t seq = atomic_load_explicit(&d->seq, memory_order_relaxed);
	/* of a failure there is no time of a good answer to count from */
	int64_t base = facts->kind == FACTS_FAILED ? facts->expires_ms : facts->fetched_ms;
	uint16_t state = state_of(facts, base) | (d->kept ? STATE_KEPT : 0);

	if (get_set(t, facts->hosts, facts->n_hosts, &set) < 0)
		return -ENOMEM;
	if (get_former(t, d, facts, &former) < 0) {
		host_set_put(&t->sets, set);
		return -ENOMEM;
	}
	atomic_store_explicit(&d->seq, seq + 1, memory_order_relaxed);
	x = extra_of(d);
	INVARIANT(x || !former);
	if (x) {
		old_former = atomic_load_explicit(&x->former, memory_order_relaxed);
		atomic_store_explicit(&x->former, former, memory_order_release);
	}
	atomic_store_explicit(&d->hosts, set, memory_order_release);
	atomic_store_explicit(&d->base_ms, base, memory_order_release);
	atomic_store_explicit(&d->expires, offset_ms(facts->expires_ms, base),
			      memory_order_release);
	atomic_store_explicit(
		&d->confirmed,
		state & STATE_CONFIRMED ? (uint32_t)(int32_t)(facts->confirmed_ms - base) : 0,
		memory_order_release);
	atomic_store_explicit(&d->ttl, facts->ttl, memory_order_release);
	atomic_store_explicit(&d->state, state, memory_order_release);
	atomic_store_explicit(&d->seq, seq + 2, memory_order_release);
	host_set_put(&t->sets, old_set);
	former_drop(t, old_former);
	return 0;
}
