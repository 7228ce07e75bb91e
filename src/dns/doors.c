/* What becomes of a domain's answer: good ones are kept, refreshed before they expire while they
 * are used, and outlive failures as stale ones; failures are forgotten soon. */
#include "base/clock.h"
#include "dns/resolver_private.h"

#include <errno.h>
#include <stdlib.h>

enum {
	REFRESH_AHEAD_MS = 5000, /* at least this long before an answer expires */
	STALE_RETRY_MS = 30000,
	KEPT_RETRY_MS = 60000, /* of a kept domain that has no good answer; twice as long each time,
				  up to an hour */
	KEPT_RETRY_MAX_MS = 3600 * 1000,
	CONFIRM_AGAIN_MS = 10 * 1000,
	CONFIRM_RETRY_MS = 30 * 1000,
	USED_GRAIN_MS = 1000,         /* door_touch() may be this late */
	RESTORED_OVER_MS = 30 * 1000, /* doors that expired before the start are looked at again */
};

bool door_facts(const struct door *d, struct domain_facts *ret_facts)
{
	return door_read(d, clock_mono_ms(), ret_facts);
}

struct task *door_task(const struct door *d, enum resolver_kind kind)
{
	const struct door_extra *x = atomic_load_explicit(&d->extra, memory_order_relaxed);

	return x ? x->tasks[kind] : NULL;
}

struct door *door_get(struct resolver *r, const char *domain)
{
	return door_table_add(&r->doors, domain_key(domain), false, clock_mono_ms());
}

void door_gone(void *user, struct door *d)
{
	struct resolver *r = user;
	struct domain_facts facts;

	if (r->conf.on_domain && door_facts(d, &facts) && facts.kind != FACTS_FAILED)
		r->conf.on_domain(r->conf.user, d->key, NULL, false);
}

/* Without memory all stays as it was. told: somebody keeps a copy, of what is no failure. */
static void door_publish(struct resolver *r, struct door *d, const struct domain_facts *facts,
			 bool told)
{
	struct domain_facts view;

	if (!facts || door_write(&r->doors, d, facts) < 0 || !told || !r->conf.on_domain)
		return;
	if (door_facts(d, &view))
		r->conf.on_domain(r->conf.user, d->key, &view, d->kept);
}

/* ---- refreshes ---- */

static void ready_add(struct ready_list *l, struct wheel_item *item)
{
	if (!l->first)
		l->last = &l->first;
	item->next = NULL;
	item->link = l->last;
	*l->last = item;
	l->last = &item->next;
}

static void ready_remove(struct resolver *r, struct door *d)
{
	struct ready_list *lists[] = { &r->ready_used, &r->ready_kept };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (lists[i]->last == &d->item.next)
			lists[i]->last = d->item.link;
	wheel_remove(&d->item);
	d->ready = false;
	door_release(&r->doors, d, clock_mono_ms());
}

static bool used_since(const struct door *d, int64_t ms)
{
	uint32_t used_s = atomic_load_explicit(&d->used_s, memory_order_relaxed);

	return (int64_t)used_s * 1000 >= ms - USED_GRAIN_MS;
}

static void door_make_ready(struct resolver *r, struct door *d)
{
	struct domain_facts facts;
	bool used;

	if (d->ready || door_task(d, RESOLVER_DOMAIN))
		return;
	used = !d->kept || (door_facts(d, &facts) && used_since(d, facts.fetched_ms));
	d->ready = true;
	door_hold(d);
	wheel_remove(&d->item);
	ready_add(used ? &r->ready_used : &r->ready_kept, &d->item);
}

struct door *doors_next_ready(struct resolver *r)
{
	struct wheel_item *item = r->ready_used.first ? r->ready_used.first : r->ready_kept.first;
	struct door *d;

	if (!item)
		return NULL;
	d = CONTAINER_OF(item, struct door, item);
	ready_remove(r, d);
	return d;
}

void door_due(struct resolver *r, struct door *d, int64_t due_ms)
{
	if (d->ready)
		ready_remove(r, d);
	wheel_add(&r->wheel, &d->item, due_ms);
}

void door_keep(struct resolver *r, struct door *d)
{
	struct domain_facts facts;

	if (d->kept)
		return;
	door_table_keep(&r->doors, d, true, clock_mono_ms());
	if (!d->ready && (!door_facts(d, &facts) || !d->item.link))
		door_make_ready(r, d);
}

void door_let_go(struct resolver *r, struct door *d)
{
	door_table_keep(&r->doors, d, false, clock_mono_ms());
}

/* ---- outcomes ---- */

static bool is_good(const struct resolver *r, const struct domain_facts *facts, int64_t now)
{
	return facts->kind != FACTS_FAILED && now < facts->fetched_ms + r->conf.stale_max_ms;
}

static void publish_stale(struct resolver *r, struct door *d, const struct domain_facts *facts)
{
	struct domain_facts stale = *facts;

	stale.stale = true;
	door_publish(r, d, &stale, false);
	r->counters.stale++;
}

static int64_t kept_retry_ms(const struct door *d)
{
	int64_t ms = KEPT_RETRY_MS;

	for (int i = 1; i < d->fails && ms < KEPT_RETRY_MAX_MS; i++)
		ms *= 2;
	return ms < KEPT_RETRY_MAX_MS ? ms : KEPT_RETRY_MAX_MS;
}

static void note_failure(struct door *d, int64_t now)
{
	if (d->fails < UINT8_MAX)
		d->fails++;
	d->tried_s = (uint32_t)(now / 1000);
}

static void door_failed(struct resolver *r, struct door *d, bool asked)
{
	int64_t now = clock_mono_ms(), due;
	struct domain_facts facts;
	bool known = door_facts(d, &facts);

	r->counters.failed++;
	note_failure(d, now);
	if (!known || !is_good(r, &facts, now)) {
		struct domain_facts *failed = lookup_failed(d->key);
		door_publish(r, d, failed, false);
		facts_free(failed);
		if (d->kept)
			door_due(r, d, now + kept_retry_ms(d));
		return;
	}
	/* an answer that hasn't expired yet is no stale one: on_due() makes it so in time */
	if (!facts.stale && (asked || now >= facts.expires_ms))
		publish_stale(r, d, &facts);
	due = now + STALE_RETRY_MS;
	if (now < facts.expires_ms && facts.expires_ms < due)
		due = facts.expires_ms;
	door_due(r, d, due);
}

/* Do a and b say the same, as far as the domain's own servers are asked? */
static bool same_door(const struct domain_facts *a, const struct domain_facts *b)
{
	if (!grace_same_hosts(a, b))
		return false;
	return a->kind != FACTS_ADDRESS || grace_same_addrs(&a->hosts[0], &b->hosts[0]);
}

static void due_of_good(struct resolver *r, struct door *d, const struct domain_facts *facts,
			int64_t now)
{
	int64_t ahead = (facts->expires_ms - now) / 10;

	if (ahead < REFRESH_AHEAD_MS)
		ahead = REFRESH_AHEAD_MS;
	door_due(r, d, facts->expires_ms - ahead);
}

static void door_succeeded(struct resolver *r, struct door *d, struct domain_facts *facts)
{
	int64_t now = clock_mono_ms();
	struct domain_facts last;
	bool known = door_facts(d, &last) && is_good(r, &last, now);

	if (facts->aa)
		r->counters.aa++;
	if (facts->confirmed_ms < 0 && known && same_door(facts, &last))
		facts->confirmed_ms = last.confirmed_ms;
	if (known && grace_fill(&r->grace, &last, facts)) {
		r->counters.stale++;
		d->fails = 0;
		note_failure(d, now);
		door_due(r, d, now + STALE_RETRY_MS);
	} else {
		d->fails = 0;
		due_of_good(r, d, facts, now);
	}
	grace_apply(&r->grace, &r->doors, d, known ? &last : NULL, now, facts);
	door_publish(r, d, facts, true);
	facts_free(facts);
}

void door_update(struct resolver *r, struct door *d, struct domain_facts *facts, bool asked)
{
	struct domain_facts last;

	if (facts && facts->kind != FACTS_FAILED) {
		bool refreshed = !asked && door_facts(d, &last);
		door_succeeded(r, d, facts);
		if (refreshed)
			r->counters.refreshed++;
		return;
	}
	facts_free(facts);
	door_failed(r, d, asked);
}

void door_confirm(struct resolver *r, struct door *d, struct domain_facts *facts)
{
	int64_t now = clock_mono_ms();
	struct door_extra *x = door_extra(d);
	struct domain_facts last;

	if (x) {
		x->confirmed_ms = now;
		x->confirmed = facts;
	}
	if (!facts)
		return;
	r->counters.confirmed++;
	facts->confirmed_ms = now;
	/* the recursive resolver's habits are not what was asked about */
	if (door_facts(d, &last) && last.aa)
		facts->aa = true;
	door_succeeded(r, d, facts);
}

bool door_confirmed_lately(const struct door *d, int64_t now_ms)
{
	const struct door_extra *x = atomic_load_explicit(&d->extra, memory_order_relaxed);

	return x && x->confirmed_ms >= 0 &&
	       now_ms < x->confirmed_ms + (x->confirmed ? CONFIRM_AGAIN_MS : CONFIRM_RETRY_MS);
}

/* ---- time ---- */

static void on_due_failed(struct resolver *r, struct door *d, const struct domain_facts *facts,
			  int64_t now)
{
	if (!facts || !is_good(r, facts, now)) {
		if (d->kept)
			door_make_ready(r, d);
		return;
	}
	if (!facts->stale && now >= facts->expires_ms)
		publish_stale(r, d, facts);
	if (d->kept || used_since(d, (int64_t)d->tried_s * 1000))
		door_make_ready(r, d);
	else
		door_due(r, d, now + STALE_RETRY_MS);
}

static void on_due(struct resolver *r, struct door *d)
{
	int64_t now = clock_mono_ms();
	struct domain_facts facts;
	bool known = door_facts(d, &facts);

	if (door_task(d, RESOLVER_DOMAIN))
		return;
	if (d->fails || !known) {
		on_due_failed(r, d, known ? &facts : NULL, now);
		return;
	}
	if (d->kept || used_since(d, now - (facts.expires_ms - facts.fetched_ms)))
		door_make_ready(r, d);
	else if (now < facts.expires_ms) /* a last look: perhaps it is used in between */
		door_due(r, d, facts.expires_ms);
	else
		door_drop_extra(&r->doors, d, now);
}

void doors_tick(struct resolver *r)
{
	struct wheel_item *item;

	while ((item = wheel_next(&r->wheel, clock_mono_ms())))
		on_due(r, CONTAINER_OF(item, struct door, item));
	door_table_trim(&r->doors, clock_mono_ms());
}

/* ---- before a restart ---- */

int resolver_restore_domain(struct resolver *r, const struct domain_facts *facts)
{
	int64_t now = clock_mono_ms();
	struct sv key = domain_key(facts->domain);
	struct domain_facts known = *facts, there;
	bool on_probation = facts->kind == FACTS_NOTHING;
	struct door *d;

	if (key.n >= WIRE_NAME_SIZE || !is_good(r, facts, now))
		return 0;
	d = door_table_add(&r->doors, key, !on_probation, now);
	if (!d)
		return -ENOMEM;
	if (door_facts(d, &there))
		return 1;
	if (facts->kept)
		door_table_keep(&r->doors, d, true, now);
	known.stale = facts->stale || now >= facts->expires_ms;
	grace_apply(&r->grace, &r->doors, d, NULL, now, &known);
	if (door_write(&r->doors, d, &known) < 0)
		return -ENOMEM;
	if (!known.stale) {
		due_of_good(r, d, &known, now);
		return 0;
	}
	/* Once a half minute each, all over it: a refresh begins for those that are used, or kept.
	 */
	d->fails = 1;
	d->tried_s = (uint32_t)(now / 1000);
	door_due(r, d, now + (int64_t)(r->doors.n * 7919 % RESTORED_OVER_MS));
	return 0;
}
