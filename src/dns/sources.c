/* What becomes of a source's answer: good ones are kept, refreshed before they expire while they
 * are used, and outlive failures as stale ones; what was never known is taken from the fallback. */
#include "base/clock.h"
#include "base/map.h"
#include "dns/resolver_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	REFRESH_AHEAD_MS = 5000, /* at least this long before an answer expires */
	RETRY_MS = 30000,        /* of what failed; twice as long each time */
	RETRY_MAX_MS = 600 * 1000,
	FAILED_MS = 10000, /* until a failure may be asked anew */
	GONE_MIN_MS = 60000,
	GONE_MAX_MS = 24 * 3600 * 1000,
	USED_GRAIN_MS = 1000, /* table_touch() may be this late */
	RESTORED_MS = 10000,  /* what was restored is looked up anew within */
};

/* A value of the table. */
struct published {
	struct egress_source source; /* first: it is what the table's readers see */
	struct set_store *store;
	struct shared_set *shared;
	char strings[];
};

static const struct egress_source *source_value(const struct source *s)
{
	return table_value(s->entry);
}

static bool is_exists(const char *key)
{
	return strncmp(key, "exists:", 7) == 0;
}

struct table *sources_table(struct resolver *r, const char *key)
{
	return is_exists(key) ? &r->exists : &r->sources;
}

struct source *sources_get(struct resolver *r, const char *key)
{
	struct table_entry *e = table_add(sources_table(r, key), domain_key(key), clock_mono_ms());
	struct source *s;

	if (!e)
		return NULL;
	if (e->owner)
		return e->owner;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->entry = e;
	e->owner = s;
	return s;
}

void sources_free(void *source)
{
	struct source *s = source;

	wheel_remove(&s->due);
	free(s);
}

/* ---- the line of refreshes ---- */

static void make_ready(struct resolver *r, struct source *s)
{
	if (s->ready || s->task)
		return;
	s->ready = true;
	table_hold(s->entry);
	s->next_ready = NULL;
	*(r->source_first ? &r->source_last->next_ready : &r->source_first) = s;
	r->source_last = s;
}

struct source *sources_next_ready(struct resolver *r)
{
	struct source *s = r->source_first;

	if (s) {
		r->source_first = s->next_ready;
		s->ready = false;
		table_release(s->entry);
	}
	return s;
}

void sources_keep(struct resolver *r, struct source *s)
{
	if (s->kept || is_exists(s->entry->key))
		return;
	s->kept = true;
	table_hold(s->entry);
	if (!source_value(s) || !s->due.link)
		make_ready(r, s);
}

/* It goes on while it is used, as any other. */
void sources_let_go(struct resolver *r, const char *key)
{
	struct table_entry *e;
	struct source *s;

	(void)table_get(&r->sources, domain_key(key), &e);
	s = e ? e->owner : NULL;
	if (!s || !s->kept)
		return;
	s->kept = false;
	table_release(e);
}

/* ---- publishing ---- */

void sources_value_free(void *value)
{
	struct published *p = value;

	if (!p)
		return;
	set_store_put(p->store, p->shared);
	free(p);
}

static struct published *published_new(struct resolver *r, const struct egress_source *from)
{
	size_t key = strlen(from->key) + 1, left_out = strlen(from->left_out) + 1;
	struct shared_set *shared = set_store_get(&r->sets, &from->set);
	struct published *p = shared ? malloc(sizeof(*p) + key + left_out) : NULL;

	if (!p) {
		if (shared)
			set_store_put(&r->sets, shared);
		return NULL;
	}
	*p = (struct published) { .source = *from, .store = &r->sets, .shared = shared };
	p->source.key = memcpy(p->strings, from->key, key);
	p->source.left_out = memcpy(p->strings + key, from->left_out, left_out);
	p->source.set = shared->set;
	return p;
}

/* Without memory for it what is there stays. */
static bool publish(struct resolver *r, struct source *s, const struct egress_source *source)
{
	struct published *p = published_new(r, source);

	if (!p || table_set(s->entry, p) < 0) {
		sources_value_free(p);
		return false;
	}
	return true;
}

static void publish_and_tell(struct resolver *r, struct source *s,
			     const struct egress_source *source)
{
	/* of the many that aren't a filter's own nobody wants to know */
	bool told = source->status == SOURCE_KNOWN || !is_exists(source->key);

	if (publish(r, s, source) && r->conf.on_source && told)
		r->conf.on_source(r->conf.user, source_value(s));
}

static void trouble(struct resolver *r, const char *kind, const struct source *s, const char *why,
		    const char *then, size_t n_prefixes)
{
	char text[1024];

	/* one for each client would be too much to read */
	if (!r->conf.on_trouble || is_exists(s->entry->key))
		return;
	snprintf(text, sizeof(text), "%s: %s%s%s (prefixes: %zu)", s->entry->key, why,
		 then[0] ? "; " : "", then, n_prefixes);
	r->conf.on_trouble(r->conf.user, kind, text);
}

/* Each reason once: the last few are remembered. */
static void tell_left_out(struct resolver *r, struct source *s, const struct egress_source *found)
{
	uint64_t hash = map_hash(sv_from(found->left_out));

	if (!found->left_out[0])
		return;
	for (size_t i = 0; i < ARRAY_SIZE(s->told); i++)
		if (s->told[i] == hash)
			return;
	s->told[s->n_told++ % ARRAY_SIZE(s->told)] = hash;
	trouble(r, "egress-left-out", s, found->left_out, "left out", found->set.n);
}

/* ---- outcomes ---- */

/* That there is no such record is an answer, too, and as good for as long. */
static bool is_good(const struct resolver *r, const struct egress_source *v, int64_t now)
{
	return v && v->status != SOURCE_FAILED && !v->fallback && v->fetched_ms != -1 &&
	       now < v->fetched_ms + r->conf.stale_max_ms;
}

static int64_t retry_ms(const struct source *s)
{
	int64_t ms = RETRY_MS;

	for (int i = 1; i < s->fails && ms < RETRY_MAX_MS; i++)
		ms *= 2;
	return ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

/* What is about one client is not refreshed, but it must not be stale for ever. */
static void due_at(struct resolver *r, struct source *s, int64_t ms)
{
	const struct egress_source *v = source_value(s);

	if (is_exists(s->entry->key) && !(v && v->stale))
		wheel_remove(&s->due);
	else
		wheel_add(&r->source_wheel, &s->due, ms);
}

/* Whether to has more than before. */
static bool join_sets(struct prefix_set *to, const struct prefix_set *from)
{
	bool more = false;

	for (size_t i = 0; i < from->n; i++) {
		const struct addr_range *range = &from->ranges[i];
		if (to->sealed && prefix_set_covers(to, range))
			continue;
		if (prefix_set_add_range(to, range) < 0)
			break;
		more = true;
	}
	prefix_set_seal(to);
	return more;
}

/*
 * What was known goes on to count, and what was found beside the failure counts, too: a set that
 * lacks a part would make honest mail direct delivery.
 */
static void keep_last(struct resolver *r, struct source *s, const struct egress_source *last,
		      const struct egress_source *found, int64_t now)
{
	struct egress_source v = *last;
	struct prefix_set both;
	bool more = false;

	prefix_set_init(&both);
	if (found && found->set.n) {
		join_sets(&both, &last->set);
		more = join_sets(&both, &found->set);
		v.set = both;
	}
	/* an answer that hasn't expired yet is no stale one: on_due() makes it so in time */
	v.stale = last->stale || now >= last->expires_ms;
	if (more || v.stale != last->stale)
		publish_and_tell(r, s, &v);
	prefix_set_deinit(&both);
}

/* Nothing is known that may count any more: the fallback, else what little was found. */
static void publish_unknown(struct resolver *r, struct source *s, const struct egress_source *found,
			    int64_t now)
{
	const struct prefix_set *fallback =
		r->conf.fallback ? r->conf.fallback(r->conf.user, s->entry->key) : NULL;
	struct egress_source v = {
		.key = s->entry->key,
		.status = SOURCE_FAILED,
		.fetched_ms = -1,
		.expires_ms = now + FAILED_MS,
		.left_out = found ? found->left_out : "",
	};
	struct prefix_set set;

	prefix_set_init(&set);
	if (fallback) {
		v.status = SOURCE_KNOWN;
		v.fallback = v.stale = true;
		join_sets(&set, fallback);
	} else if (found && found->set.n) {
		v.status = SOURCE_KNOWN;
		v.incomplete = true;
		v.expires_ms = now + retry_ms(s);
	}
	if (found)
		join_sets(&set, &found->set);
	v.set = set;
	publish_and_tell(r, s, &v);
	prefix_set_deinit(&set);
}

static void source_failed(struct resolver *r, struct source *s, const struct egress_source *found)
{
	const struct egress_source *last = source_value(s);
	int64_t now = clock_mono_ms(), due;
	const char *why = found && found->left_out[0] ? found->left_out : "out of memory";
	bool first = s->fails == 0, none = last && last->status == SOURCE_NONE;

	r->counters.sources_failed++;
	if (s->fails < UINT8_MAX)
		s->fails++;
	s->tried_ms = now;
	due = now + retry_ms(s);
	if (is_good(r, last, now) && !(none && found && found->set.n)) {
		if (now < last->expires_ms && last->expires_ms < due)
			due = last->expires_ms;
		if (last->fetched_ms + r->conf.stale_max_ms < due)
			due = last->fetched_ms + r->conf.stale_max_ms;
		keep_last(r, s, last, found, now);
		last = source_value(s);
		if (first && !none)
			trouble(r, "egress-stale", s, why, "what was known goes on to count",
				last->set.n);
	} else {
		publish_unknown(r, s, found, now);
		last = source_value(s);
		if (first && last && last->fallback)
			trouble(r, "egress-stale", s, why, "never known: what was shipped counts",
				last->set.n);
	}
	due_at(r, s, due);
}

/*
 * DNS says that there is no such record. What there was until now stays for its TTL more: names are
 * taken away by mistake, too, and put back.
 */
static void source_gone(struct resolver *r, struct source *s, const struct egress_source *found)
{
	const struct egress_source *last = source_value(s);
	int64_t now = clock_mono_ms();

	if (is_good(r, last, now) && last->status == SOURCE_KNOWN && !is_exists(s->entry->key)) {
		struct egress_source v = *last;
		int64_t ttl = (int64_t)last->ttl * 1000;

		if (!s->gone_until_ms) {
			ttl = ttl < GONE_MIN_MS   ? GONE_MIN_MS
			      : ttl > GONE_MAX_MS ? GONE_MAX_MS
						  : ttl;
			s->gone_until_ms = now + ttl;
			trouble(r, "egress-gone", s, "there is no such record any more",
				"what was known counts for its TTL", last->set.n);
		}
		if (now < s->gone_until_ms) {
			v.stale = true;
			v.expires_ms = s->gone_until_ms;
			publish_and_tell(r, s, &v);
			due_at(r, s,
			       s->gone_until_ms < now + RETRY_MS ? s->gone_until_ms
								 : now + RETRY_MS);
			return;
		}
	}
	s->fails = 0;
	s->gone_until_ms = 0;
	if (r->conf.fallback && r->conf.fallback(r->conf.user, s->entry->key)) {
		bool first = !last || !last->fallback;

		publish_unknown(r, s, found, now);
		last = source_value(s);
		if (first && last && last->fallback)
			trouble(r, "egress-gone", s, "there is no such record",
				"what was shipped counts", last->set.n);
	} else {
		publish_and_tell(r, s, found);
	}
	due_at(r, s, found->expires_ms);
}

static void source_known(struct resolver *r, struct source *s, const struct egress_source *found)
{
	const struct egress_source *last = source_value(s);
	int64_t now = clock_mono_ms(), ahead = (found->expires_ms - now) / 10;

	if (s->fails || s->gone_until_ms || (last && last->fallback))
		trouble(r, "egress-back", s, "looked up again", "", found->set.n);
	s->fails = 0;
	s->gone_until_ms = 0;
	publish_and_tell(r, s, found);
	tell_left_out(r, s, found);
	if (ahead < REFRESH_AHEAD_MS)
		ahead = REFRESH_AHEAD_MS;
	due_at(r, s, found->expires_ms - ahead);
}

void sources_update(struct resolver *r, struct source *s, struct egress_source *found)
{
	if (!found || found->status == SOURCE_FAILED)
		source_failed(r, s, found);
	else if (found->status == SOURCE_NONE)
		source_gone(r, s, found);
	else
		source_known(r, s, found);
	facts_free(found);
}

/* ---- time ---- */

static bool used_since(const struct source *s, int64_t ms)
{
	return s->kept ||
	       atomic_load_explicit(&s->entry->used_ms, memory_order_relaxed) >= ms - USED_GRAIN_MS;
}

/* What has grown old by itself, while no look-up succeeded. */
static void grow_old(struct resolver *r, struct source *s, int64_t now)
{
	const struct egress_source *v = source_value(s);

	if (!v || v->status == SOURCE_FAILED || v->fallback || v->fetched_ms == -1)
		return;
	if (!is_good(r, v, now))
		publish_unknown(r, s, NULL, now);
	else if (s->fails && !v->stale && now >= v->expires_ms)
		keep_last(r, s, v, NULL, now);
}

static void on_due(struct resolver *r, struct source *s)
{
	int64_t now = clock_mono_ms(), since;
	const struct egress_source *v;

	if (s->task || s->ready)
		return;
	grow_old(r, s, now);
	v = source_value(s);
	if (!v) {
		if (s->kept)
			make_ready(r, s);
		return;
	}
	if (s->fails)
		since = s->tried_ms;
	else if (v->fetched_ms != -1)
		since = now - (v->expires_ms - v->fetched_ms);
	else
		since = now - RETRY_MAX_MS;
	if (used_since(s, since))
		make_ready(r, s);
	else if (v->stale || (s->fails && v->status == SOURCE_KNOWN))
		wheel_add(&r->source_wheel, &s->due, now + retry_ms(s));
	else if (now < v->expires_ms) /* a last look: perhaps it is used in between */
		wheel_add(&r->source_wheel, &s->due, v->expires_ms);
}

void sources_tick(struct resolver *r)
{
	struct wheel_item *item;

	while ((item = wheel_next(&r->source_wheel, clock_mono_ms())))
		on_due(r, CONTAINER_OF(item, struct source, due));
}

int resolver_restore_source(struct resolver *r, const struct egress_source *source)
{
	int64_t now = clock_mono_ms();
	struct egress_source v = *source;
	struct source *s;

	if (!is_good(r, &v, now))
		return 0;
	s = sources_get(r, v.key);
	if (!s)
		return -ENOMEM;
	if (source_value(s))
		return 1;
	v.stale = now >= v.expires_ms;
	if (!publish(r, s, &v))
		return -ENOMEM;
	due_at(r, s,
	       v.stale ? now + (int64_t)(s->entry->hash % RESTORED_MS)
		       : v.expires_ms - REFRESH_AHEAD_MS);
	return 0;
}
