#include "event/metrics.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *name, *help;
} metrics[METRIC_COUNT] = {
	[METRIC_SESSIONS] = { "sessions", "Sessions taken." },
	[METRIC_SESSIONS_ENDED] = { "sessions_ended", "Sessions that have ended." },
	[METRIC_LIMIT_TOTAL] = { "limit_total", "Sessions refused: too many in all." },
	[METRIC_LIMIT_CLIENT] = { "limit_client",
				  "Sessions refused: too many of one client network." },
	[METRIC_LIMIT_RATE] = { "limit_rate", "Sessions refused: too many a second." },
	[METRIC_LIMIT_MEMORY] = { "limit_memory", "Sessions refused or ended: buffers in all." },
	[METRIC_LIMIT_COMMANDS] = { "limit_commands", "Sessions ended: too many commands." },
	[METRIC_LIMIT_ERRORS] = { "limit_errors", "Sessions ended: too many errors." },
	[METRIC_LIMIT_SLOW] = { "limit_slow", "Sessions ended: too slow." },
	[METRIC_BACKEND_DOWN] = { "backend_down",
				  "Sessions refused: the backend does not answer." },
	[METRIC_RELOADS] = { "reloads", "Configurations taken over." },
	[METRIC_RELOADS_FAILED] = { "reloads_failed", "Configurations that were not taken over." },
};

const char *metric_name(enum metric v)
{
	INVARIANT(v < METRIC_COUNT && metrics[v].name);
	return metrics[v].name;
}

const char *metric_help(enum metric v)
{
	INVARIANT(v < METRIC_COUNT && metrics[v].help);
	return metrics[v].help;
}

void histogram_add(struct histogram *h, int64_t ms)
{
	size_t i = 0;

	if (ms < 0)
		ms = 0;
	while (i < HISTOGRAM_BOUNDS && ms > h->bounds[i])
		i++;
	atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_ms, (uint64_t)ms, memory_order_relaxed);
}

void metrics_init(struct metrics *m)
{
	static const uint32_t verdict[HISTOGRAM_BOUNDS] = { 1,   2,   5,   10,   20,   50,
							    100, 200, 500, 1000, 2000, 10000 };
	static const uint32_t session[HISTOGRAM_BOUNDS] = { 10,    50,    100,    500,
							    1000,  2000,  5000,   10000,
							    30000, 60000, 300000, 1800000 };

	memset(m, 0, sizeof(*m));
	memcpy(m->verdict_time.bounds, verdict, sizeof(verdict));
	memcpy(m->session_time.bounds, session, sizeof(session));
	pthread_mutex_init(&m->lock, NULL);
	top_init(&m->clients);
	top_init(&m->domains);
}

void metrics_deinit(struct metrics *m)
{
	for (size_t i = 0; i < METRICS_LISTENERS_MAX; i++)
		free(m->listeners[i]);
	top_deinit(&m->clients);
	top_deinit(&m->domains);
	pthread_mutex_destroy(&m->lock);
}

/* Under the lock. */
static struct metrics_listener *find_or_add(struct metrics *m, const char *name)
{
	size_t n = m->n_listeners;
	struct metrics_listener *l;

	for (size_t i = 0; i < n; i++)
		if (strncmp(m->listeners[i]->name, name, sizeof(l->name) - 1) == 0)
			return m->listeners[i];
	if (n == METRICS_LISTENERS_MAX)
		return m->listeners[n - 1];
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	snprintf(l->name, sizeof(l->name), "%s", n + 1 == METRICS_LISTENERS_MAX ? "other" : name);
	m->listeners[n] = l;
	m->n_listeners = n + 1;
	return l;
}

struct metrics_listener *metrics_listener(struct metrics *m, const char *name)
{
	pthread_mutex_lock(&m->lock);
	struct metrics_listener *l = find_or_add(m, name);
	pthread_mutex_unlock(&m->lock);
	return l;
}

void metrics_verdict(struct metrics *m, struct metrics_listener *listener,
		     const struct event_rcpt *e)
{
	char text[ADDR_STRLEN];

	if (listener)
		atomic_fetch_add_explicit(&listener->verdicts[e->finding][e->reason][e->action], 1,
					  memory_order_relaxed);
	if (e->finding != FINDING_DIRECT)
		return;
	top_add(&m->clients, sv_from(addr_format(&e->client.addr, text)), e->time_ms);
	top_add(&m->domains, sv_from(e->rcpt_domain), e->time_ms);
}

void metrics_sum_listener(const struct metrics_listener *l, struct metrics_sums *sums)
{
	for (int f = 0; f < FINDING_COUNT; f++)
		for (int r = 0; r < REASON_COUNT; r++)
			for (int a = 0; a < ACTION_COUNT; a++) {
				uint64_t n = l->verdicts[f][r][a];

				sums->findings[f] += n;
				sums->reasons[r] += n;
				sums->actions[a] += n;
				sums->all += n;
			}
}

void metrics_sum(const struct metrics *m, struct metrics_sums *ret_sums)
{
	size_t n = ((struct metrics *)m)->n_listeners;

	memset(ret_sums, 0, sizeof(*ret_sums));
	for (size_t i = 0; i < n; i++)
		metrics_sum_listener(m->listeners[i], ret_sums);
}

/* ---- the most frequent ---- */

void top_init(struct top *t)
{
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
}

void top_deinit(struct top *t)
{
	pthread_mutex_destroy(&t->lock);
}

static void forget_slot(struct top *t, size_t i)
{
	size_t last = --t->n;

	t->hash[i] = t->hash[last];
	t->count[i] = t->count[last];
	t->error[i] = t->error[last];
	memcpy(t->key[i], t->key[last], TOP_KEY_MAX);
}

static void age(struct top *t, int64_t now_ms)
{
	if (t->halved_ms == 0 || now_ms < t->halved_ms)
		t->halved_ms = now_ms;
	for (; now_ms - t->halved_ms >= TOP_HALF_MS && t->n > 0; t->halved_ms += TOP_HALF_MS)
		for (size_t i = t->n; i-- > 0;) {
			t->count[i] /= 2;
			t->error[i] /= 2;
			if (t->count[i] == 0)
				forget_slot(t, i);
		}
	if (t->n == 0)
		t->halved_ms = now_ms;
}

/* The slot of the key, a free one, or the one with the least count, whose count goes over to it. */
static size_t slot_for(struct top *t, uint64_t hash, struct sv key)
{
	size_t at = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->hash[i] == hash)
			return i;
	if (t->n < TOP_SLOTS) {
		at = t->n++;
		t->count[at] = 0;
	} else
		for (size_t i = 1; i < t->n; i++)
			if (t->count[i] < t->count[at])
				at = i;
	t->error[at] = t->count[at];
	t->hash[at] = hash;
	snprintf(t->key[at], TOP_KEY_MAX, "%.*s", SV_ARG(key));
	return at;
}

void top_add(struct top *t, struct sv key, int64_t now_ms)
{
	uint64_t hash = map_hash(key);

	pthread_mutex_lock(&t->lock);
	age(t, now_ms);
	t->count[slot_for(t, hash, key)]++;
	pthread_mutex_unlock(&t->lock);
}

static int by_count(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->key, y->key);
}

size_t top_read(struct top *t, int64_t now_ms, struct top_row *rows, size_t max)
{
	struct top_row *all = calloc(TOP_SLOTS, sizeof(*all));
	size_t n;

	if (!all)
		return 0;
	pthread_mutex_lock(&t->lock);
	age(t, now_ms);
	n = t->n;
	for (size_t i = 0; i < n; i++) {
		memcpy(all[i].key, t->key[i], TOP_KEY_MAX);
		all[i].count = t->count[i];
		all[i].error = t->error[i];
	}
	pthread_mutex_unlock(&t->lock);
	qsort(all, n, sizeof(*all), by_count);
	n = min_size(n, max);
	memcpy(rows, all, n * sizeof(*rows));
	free(all);
	return n;
}
