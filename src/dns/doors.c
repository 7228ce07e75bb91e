/* What becomes of a domain's answer: good ones are kept, refreshed before they expire while they
 * are used, and outlive failures as stale ones; failures are forgotten soon. */
#include "base/clock.h"
#include "dns/resolver_private.h"

#include <stdlib.h>

enum {
	REFRESH_AHEAD_MS = 5000, /* at least this long before an answer expires */
	STALE_RETRY_MS = 30000,
	KEPT_RETRY_MS = 60000, /* of a kept domain that has no good answer; twice as long each time,
				  up to an hour */
	KEPT_RETRY_MAX_MS = 3600 * 1000,
	CONFIRM_AGAIN_MS = 300 * 1000,
	CONFIRM_RETRY_MS = 30 * 1000,
	USED_GRAIN_MS = 1000, /* table_touch() may be this late */
};

static const struct domain_facts *door_facts(const struct door *d)
{
	return table_value(d->entry);
}

void door_free(void *door)
{
	struct door *d = door;

	wheel_remove(&d->due);
	free(d);
}

struct door *door_get(struct resolver *r, const char *domain)
{
	struct table_entry *e = table_add(&r->domains, domain_key(domain), clock_mono_ms());
	struct door *d;

	if (!e)
		return NULL;
	if (e->owner)
		return e->owner;
	d = calloc(1, sizeof(*d));
	if (!d) /* the entry stays, without a value, until it is asked for again or evicted */
		return NULL;
	d->entry = e;
	d->confirmed_ms = -1;
	e->owner = d;
	return d;
}

static void door_publish(struct door *d, struct domain_facts *facts)
{
	if (facts && table_set(d->entry, facts) < 0)
		facts_free(facts);
}

static void door_make_ready(struct resolver *r, struct door *d)
{
	if (d->ready || d->tasks[RESOLVER_DOMAIN])
		return;
	d->ready = true;
	table_hold(d->entry);
	d->next_ready = NULL;
	*(r->ready_first ? &r->ready_last->next_ready : &r->ready_first) = d;
	r->ready_last = d;
}

struct door *doors_next_ready(struct resolver *r)
{
	struct door *d = r->ready_first;

	if (d) {
		r->ready_first = d->next_ready;
		d->ready = false;
		table_release(d->entry);
	}
	return d;
}

void door_keep(struct resolver *r, struct door *d)
{
	if (d->kept)
		return;
	d->kept = true;
	table_hold(d->entry);
	if (!door_facts(d) || !d->due.link)
		door_make_ready(r, d);
}

static bool is_good(const struct resolver *r, const struct domain_facts *facts, int64_t now)
{
	return facts && facts->kind != FACTS_FAILED &&
	       now < facts->fetched_ms + r->conf.stale_max_ms;
}

static bool used_since(const struct door *d, int64_t ms)
{
	return d->kept ||
	       atomic_load_explicit(&d->entry->used_ms, memory_order_relaxed) >= ms - USED_GRAIN_MS;
}

static void publish_stale(struct resolver *r, struct door *d, const struct domain_facts *facts)
{
	struct domain_facts stale = *facts;

	stale.stale = true;
	door_publish(d, facts_copy(&stale));
	r->counters.stale++;
}

static int64_t kept_retry_ms(const struct door *d)
{
	int64_t ms = KEPT_RETRY_MS;

	for (int i = 1; i < d->fails && ms < KEPT_RETRY_MAX_MS; i++)
		ms *= 2;
	return ms < KEPT_RETRY_MAX_MS ? ms : KEPT_RETRY_MAX_MS;
}

static void door_failed(struct resolver *r, struct door *d, bool asked)
{
	const struct domain_facts *facts = door_facts(d);
	int64_t now = clock_mono_ms(), due;

	r->counters.failed++;
	if (d->fails < UINT8_MAX)
		d->fails++;
	d->tried_ms = now;
	if (!is_good(r, facts, now)) {
		door_publish(d, lookup_failed(d->entry->key));
		if (d->kept)
			wheel_add(&r->wheel, &d->due, now + kept_retry_ms(d));
		return;
	}
	/* an answer that hasn't expired yet is no stale one: on_due() makes it so in time */
	if (!facts->stale && (asked || now >= facts->expires_ms))
		publish_stale(r, d, facts);
	due = now + STALE_RETRY_MS;
	if (now < facts->expires_ms && facts->expires_ms < due)
		due = facts->expires_ms;
	wheel_add(&r->wheel, &d->due, due);
}

/* In any order: servers rotate them. */
static bool same_addrs(const struct dns_host *a, const struct dns_host *b)
{
	size_t k;

	for (size_t i = 0; i < a->n_addrs; i++) {
		for (k = 0; k < b->n_addrs && !addr_eq(&a->addrs[i], &b->addrs[k]); k++)
			;
		if (k == b->n_addrs)
			return false;
	}
	return a->n_addrs == b->n_addrs;
}

/* Do a and b say the same, as far as the domain's own servers are asked? */
static bool same_door(const struct domain_facts *a, const struct domain_facts *b)
{
	if (a->kind != b->kind || a->n_hosts != b->n_hosts)
		return false;
	for (size_t i = 0; i < a->n_hosts; i++)
		if (a->hosts[i].preference != b->hosts[i].preference ||
		    strcmp(a->hosts[i].name, b->hosts[i].name) != 0 ||
		    (a->kind == FACTS_ADDRESS && !same_addrs(&a->hosts[i], &b->hosts[i])))
			return false;
	return true;
}

/* A host whose addresses could not be had keeps its last good ones, and makes the whole answer a
 * stale one. Whether it did; without memory the fresh answer will do. */
static bool fill_from_last(struct domain_facts **facts, const struct domain_facts *last)
{
	struct dns_host hosts[LOOKUP_MAX_HOSTS];
	struct domain_facts filled = **facts, *copy;
	bool changed = false;

	for (size_t i = 0; i < filled.n_hosts; i++) {
		hosts[i] = filled.hosts[i];
		for (size_t k = 0; hosts[i].status == DNS_FAILED && k < last->n_hosts; k++)
			if (last->hosts[k].status == DNS_OK &&
			    strcmp(last->hosts[k].name, hosts[i].name) == 0) {
				uint16_t preference = hosts[i].preference;
				hosts[i] = last->hosts[k];
				hosts[i].preference = preference;
				changed = true;
			}
	}
	if (!changed)
		return false;
	filled.hosts = hosts;
	filled.stale = true;
	filled.fetched_ms = last->fetched_ms;
	copy = facts_copy(&filled);
	if (!copy)
		return false;
	facts_free(*facts);
	*facts = copy;
	return true;
}

static void door_succeeded(struct resolver *r, struct door *d, struct domain_facts *facts)
{
	const struct domain_facts *last = door_facts(d);
	int64_t now = clock_mono_ms(), ahead;

	if (facts->aa)
		r->counters.aa++;
	if (facts->confirmed_ms < 0 && last && same_door(facts, last))
		facts->confirmed_ms = last->confirmed_ms;
	if (is_good(r, last, now) && fill_from_last(&facts, last)) {
		r->counters.stale++;
		d->fails = 1;
		d->tried_ms = now;
		wheel_add(&r->wheel, &d->due, now + STALE_RETRY_MS);
	} else {
		d->fails = 0;
		ahead = (facts->expires_ms - now) / 10;
		if (ahead < REFRESH_AHEAD_MS)
			ahead = REFRESH_AHEAD_MS;
		wheel_add(&r->wheel, &d->due, facts->expires_ms - ahead);
	}
	door_publish(d, facts);
}

void door_update(struct resolver *r, struct door *d, struct domain_facts *facts, bool asked)
{
	if (facts && facts->kind != FACTS_FAILED) {
		if (!asked && door_facts(d))
			r->counters.refreshed++;
		door_succeeded(r, d, facts);
		return;
	}
	facts_free(facts);
	door_failed(r, d, asked);
}

void door_confirm(struct resolver *r, struct door *d, struct domain_facts *facts)
{
	const struct domain_facts *last = door_facts(d);

	d->confirmed_ms = clock_mono_ms();
	d->confirmed = facts;
	if (!facts)
		return;
	r->counters.confirmed++;
	facts->confirmed_ms = d->confirmed_ms;
	/* the recursive resolver's habits are not what was asked about */
	if (last && last->aa)
		facts->aa = true;
	door_succeeded(r, d, facts);
}

bool door_confirmed_lately(const struct door *d, int64_t now_ms)
{
	return d->confirmed_ms >= 0 &&
	       now_ms < d->confirmed_ms + (d->confirmed ? CONFIRM_AGAIN_MS : CONFIRM_RETRY_MS);
}

static void on_due_failed(struct resolver *r, struct door *d, const struct domain_facts *facts,
			  int64_t now)
{
	if (!is_good(r, facts, now)) {
		if (d->kept)
			door_make_ready(r, d);
		return;
	}
	if (!facts->stale && now >= facts->expires_ms)
		publish_stale(r, d, facts);
	if (used_since(d, d->tried_ms))
		door_make_ready(r, d);
	else
		wheel_add(&r->wheel, &d->due, now + STALE_RETRY_MS);
}

static void on_due(struct resolver *r, struct door *d)
{
	const struct domain_facts *facts = door_facts(d);
	int64_t now = clock_mono_ms();

	if (d->tasks[RESOLVER_DOMAIN] || d->ready)
		return;
	if (d->fails || !facts) {
		on_due_failed(r, d, facts, now);
		return;
	}
	if (used_since(d, now - (facts->expires_ms - facts->fetched_ms)))
		door_make_ready(r, d);
	else if (now < facts->expires_ms) /* a last look: perhaps it is used in between */
		wheel_add(&r->wheel, &d->due, facts->expires_ms);
}

void doors_tick(struct resolver *r)
{
	struct wheel_item *item;

	while ((item = wheel_next(&r->wheel, clock_mono_ms())))
		on_due(r, CONTAINER_OF(item, struct door, due));
}
