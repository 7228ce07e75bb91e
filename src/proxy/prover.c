#include "proxy/prover_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS 500
#define APPLY_MS                                                                                   \
	2000 /* and 50 times as long as the last one took: 2 % of one processor at most            \
	      */
#define PACE_MS  20000
#define TOLD_MAX 1024 /* remembered by each thread, to count a message once */

struct told_mail {
	struct told_mail *next;
	struct addr client;
	bool inside, accepted, hosted;
	const char *domain, *scanner, *mx_host;
	char text[];
};

/* A mail that waits for its client's names. */
struct naming {
	struct resolver_query query;
	struct prover *prover;
	struct naming *next, *prev;
	struct told_mail *mail;
};

/* ---- workers' side ---- */

/* Was the same told of this message a moment ago? A message has few recipient domains: what was
 * told is remembered in as many places as a hash says, and a collision counts one twice. */
static bool told_before(const struct prover_mail *m)
{
	static _Thread_local uint64_t told[TOLD_MAX];
	char text[3 * PROOF_NAME_MAX];
	int n = snprintf(text, sizeof(text), "%s %u %d%d %s %s", m->session, m->transaction,
			 m->inside, m->accepted, m->domain, m->scanner);
	uint64_t hash = map_hash((struct sv) { text, min_size((size_t)n, sizeof(text) - 1) });
	bool before = told[hash % TOLD_MAX] == hash;

	told[hash % TOLD_MAX] = hash;
	return before;
}

static const char *put_text(char **at, const char *text)
{
	size_t n = strlen(text) + 1;
	char *to = *at;

	memcpy(to, text, n);
	*at += n;
	return to;
}

static struct told_mail *copy_mail(const struct prover_mail *m)
{
	const char *mx_host = m->mx_host ? m->mx_host : "";
	size_t n = strlen(m->domain) + strlen(m->scanner) + strlen(mx_host) + 3;
	struct told_mail *t = malloc(sizeof(*t) + n);
	char *at;

	if (!t)
		return NULL;
	*t = (struct told_mail) { .client = m->client,
				  .inside = m->inside,
				  .accepted = m->accepted,
				  .hosted = m->hosted };
	at = t->text;
	t->domain = put_text(&at, m->domain);
	t->scanner = put_text(&at, m->scanner);
	t->mx_host = put_text(&at, mx_host);
	return t;
}

void prover_tell(struct prover *p, const struct prover_mail *m)
{
	struct told_mail *t;
	bool full;

	if (told_before(m))
		return;
	t = copy_mail(m);
	pthread_mutex_lock(&p->lock);
	full = !t || p->queued >= PROVER_QUEUE_MAX;
	if (!full) {
		*p->end = t;
		p->end = &t->next;
		p->queued++;
	}
	pthread_mutex_unlock(&p->lock);
	atomic_fetch_add_explicit(full ? &p->dropped : &p->told, 1, memory_order_relaxed);
	if (full)
		free(t);
}

bool prover_retried(struct prover *p, const char *domain, const char *scanner,
		    const struct addr *client)
{
	struct prefix network = proof_network_of(client);
	char text[700], where[ADDR_STRLEN + 4];

	if (!memory_retry(p->conf.memory, domain, client, clock_mono_ms()))
		return false;
	prefix_format(&network, where);
	snprintf(text, sizeof(text),
		 "%s has retried for %s %d times over %d hours, as a mail server does, and passes "
		 "from now on; is it %s? frontdoor scanners --accept|--deny %s %s",
		 where, domain, MEMORY_RETRIES, (int)(MEMORY_RETRY_MS / 3600000), scanner, where,
		 scanner);
	log_warning("%s", text);
	event_emit_note(p->conf.events, "retried", text);
	return true;
}

void prover_stats(const struct prover *prover, struct prover_stats *ret_stats)
{
	struct prover *p = (struct prover *)prover;

	*ret_stats = (struct prover_stats) { .told = atomic_load(&p->told),
					     .dropped = atomic_load(&p->dropped),
					     .saved = atomic_load(&p->saved),
					     .save_failed = atomic_load(&p->save_failed) };
}

/* ---- counting ---- */

static const struct catalogue_row *row_of(const struct prover *p, const char *scanner)
{
	const struct catalogue *c = p->conf.conf->policy.catalogue;

	return c ? catalogue_by_id(c, sv_from(scanner)) : NULL;
}

/* Without memory a mail is not counted: a proof may be smaller than the truth. */
static void count(struct prover *p, const struct told_mail *t, const struct client_names *names)
{
	int64_t now = clock_wall_ms();
	struct proof_mail m = { .scanner = t->scanner,
				.domain = t->domain,
				.mx_host = t->mx_host,
				.row = row_of(p, t->scanner),
				.client = t->client,
				.inside = t->inside,
				.names = names,
				.messages = 1,
				.first_ms = now,
				.last_ms = now };

	if (t->accepted) {
		(void)proof_add(p->proof, &m);
		(void)proof_add(p->news, &m);
		p->changed = p->unsaved = true;
	}
	if (t->accepted && t->inside) {
		pace_count(p->pace, t->scanner, 1, now);
		memory_scanner_heard(p->learned, t->scanner, clock_mono_ms());
	}
	p->offered = true;
	if (proof_recent_add(p->recent, &m, p->proof) == 1)
		p->changed = p->urgent = p->unsaved = true;
}

static void naming_end(struct naming *n)
{
	struct prover *p = n->prover;

	*(n->prev ? &n->prev->next : &p->naming) = n->next;
	if (n->next)
		n->next->prev = n->prev;
	p->n_naming--;
	free(n->mail);
	free(n);
}

static void on_names(struct resolver_query *query, const void *result)
{
	struct naming *n = query->user;

	count(n->prover, n->mail, result);
	naming_end(n);
}

/* false: it is not waited for. */
static bool wait_for_names(struct prover *p, struct told_mail *t)
{
	struct naming *n = p->n_naming < PROVER_NAMES_MAX ? malloc(sizeof(*n)) : NULL;

	if (!n)
		return false;
	*n = (struct naming) { .query = { .answer = on_names, .user = n },
			       .prover = p,
			       .next = p->naming,
			       .mail = t };
	if (resolver_ask(p->port, RESOLVER_CLIENT, NULL, &t->client, &n->query) < 0) {
		free(n);
		return false;
	}
	if (n->next)
		n->next->prev = n;
	p->naming = n;
	p->n_naming++;
	return true;
}

static void take(struct prover *p, struct told_mail *t)
{
	const struct client_names *names = NULL;

	if (t->hosted) {
		(void)memory_hosted_add(p->learned, sv_from(t->domain));
		p->unsaved = true;
	}
	if (t->scanner[0] && !t->inside && p->port) {
		names = resolver_peek_client(p->port, &t->client);
		if (!names && wait_for_names(p, t))
			return;
	}
	if (t->scanner[0])
		count(p, t, names);
	free(t);
}

static void take_all(struct prover *p)
{
	struct told_mail *t, *next;

	pthread_mutex_lock(&p->lock);
	t = p->first;
	p->first = NULL;
	p->end = &p->first;
	p->queued = 0;
	pthread_mutex_unlock(&p->lock);
	for (; t; t = next) {
		next = t->next;
		take(p, t);
	}
}

/* ---- time ---- */

void prover_apply(struct prover *p)
{
	struct proof_listener listener = { prover_judged, p };
	struct proof_summary sum;
	int64_t begin = clock_mono_ms();

	if (proof_apply_telling(p->proof, &p->conf.conf->policy.prove, clock_wall_ms(), begin,
				p->conf.memory, &listener, &sum) < 0)
		return; /* memory ran out: the next time */
	p->changed = p->urgent = false;
	p->applied_ms = clock_mono_ms();
	p->apply_took_ms = p->applied_ms - begin;
}

static void judge(struct prover *p, int64_t now_ms)
{
	int64_t wait = 50 * p->apply_took_ms > APPLY_MS ? 50 * p->apply_took_ms : APPLY_MS;

	if (now_ms - p->applied_ms < wait && !p->urgent)
		return;
	if (p->offered) {
		int r = proof_recent_judge(p->recent, &p->conf.conf->policy.prove, clock_wall_ms(),
					   p->proof);
		p->offered = r < 0;
		p->changed = p->changed || r == 1;
		p->unsaved = p->unsaved || r == 1;
	}
	if (p->changed)
		prover_apply(p);
	p->applied_ms = now_ms;
}

static void complain_of_drops(struct prover *p, int64_t now_ms)
{
	uint64_t dropped = atomic_load(&p->dropped);

	if (dropped == p->dropped_told || now_ms - p->complained_ms < 60000)
		return;
	p->complained_ms = now_ms;
	p->dropped_told = dropped;
	log_warning("dropped=%llu proof: more mail than could be counted",
		    (unsigned long long)dropped);
}

void prover_tick(struct prover *p)
{
	int64_t now = clock_mono_ms();

	take_all(p);
	if (now - p->faded_ms >= RECENT_FADE_MS) {
		proof_recent_fade(p->recent);
		p->faded_ms = now;
	}
	judge(p, now);
	if (now - p->paced_ms >= PACE_MS) {
		pace_tick(p->pace, clock_wall_ms(), prover_paced, p);
		p->paced_ms = now;
	}
	complain_of_drops(p, now);
	if (!p->ending)
		prover_state_tick(p, now);
}

static void on_timer(uv_timer_t *timer)
{
	prover_tick(timer->data);
}

/* ---- life ---- */

static int set_quiet(void *user, const struct pace_row *row)
{
	struct prover *p = user;

	if (row->quiet_ms > 0)
		memory_scanner_set_quiet(p->conf.memory, row->scanner, true);
	return 0;
}

/* Without what was learned before frontdoor does less, not something else: it starts. */
static int recall(struct prover *p)
{
	const char *file = p->state;
	struct proof_listener listener = { prover_judged, p };
	struct proof_summary sum;
	struct state_error error;
	int loaded = 1, r;

	if (file)
		loaded = state_load_all(file, p->conf.memory, p->proof, p->pace, &p->saves, &error);
	if (loaded == -ENOMEM)
		return loaded;
	p->silent = true;
	r = proof_apply_telling(p->proof, &p->conf.conf->policy.prove, clock_wall_ms(),
				clock_mono_ms(), p->conf.memory, &listener, &sum);
	p->silent = false;
	(void)pace_each(p->pace, set_quiet, p);
	if (r < 0 || !file)
		return r;
	if (loaded == 1)
		log_info("state=%s is not there yet: no scanner is proven", file);
	else if (loaded < 0)
		log_warning("error=\"%s\" going on without what was learned", error.text);
	else
		log_info("state=%s hosted=%zu proven=%zu not-yet=%zu related-rivals=%zu "
			 "other-rivals=%zu undecided=%zu",
			 file, memory_hosted_count(p->conf.memory), sum.proven, sum.wanting,
			 sum.rival, sum.unrelated, sum.ask_operator);
	/* A file that is not ours is left alone from here on. */
	if (loaded >= 0)
		return state_watch_new(file, &p->watch);
	return 0;
}

int prover_new(const struct prover_conf *conf, struct prover **ret_prover)
{
	struct prover *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->conf = *conf;
	p->end = &p->first;
	p->settled_hash = PROVER_UNKNOWN;
	pthread_mutex_init(&p->lock, NULL);
	map_init(&p->notes);
	if (conf->conf->state && !(p->state = strdup(conf->conf->state))) {
		prover_free(p);
		return -ENOMEM;
	}
	if ((r = proof_new(&p->proof)) < 0 || (r = proof_new(&p->news)) < 0 ||
	    (r = proof_recent_new(&p->recent)) < 0 || (r = pace_new(&p->pace)) < 0 ||
	    (r = memory_new(&p->learned)) < 0 || (r = recall(p)) < 0) {
		prover_free(p);
		return r;
	}
	p->faded_ms = p->saved_ms = p->pace_saved_ms = clock_mono_ms();
	*ret_prover = p;
	return 0;
}

void prover_set_events(struct prover *p, struct event_sink *events)
{
	p->conf.events = events;
}

void prover_change(struct prover *p, const struct conf *conf)
{
	p->conf.conf = conf;
	p->changed = p->urgent = true;
}

void prover_count_now(struct prover *p)
{
	take_all(p);
}

int prover_start(struct prover *p, uv_loop_t *loop, struct resolver *resolver)
{
	int r = resolver_port_new(resolver, loop, &p->port);

	if (r < 0)
		return r;
	p->loop = loop;
	p->timer.data = p;
	uv_timer_init(loop, &p->timer);
	return uv_timer_start(&p->timer, on_timer, TICK_MS, TICK_MS);
}

bool prover_end(struct prover *p)
{
	p->ending = true;
	return p->work.job == JOB_NONE;
}

void prover_stop(struct prover *p)
{
	take_all(p);
	for (struct naming *n = p->naming, *next; n; n = next) {
		next = n->next;
		resolver_cancel(&n->query);
		count(p, n->mail, NULL);
		free(n->mail);
		free(n);
	}
	p->naming = NULL;
	p->n_naming = 0;
	if (p->port) {
		resolver_port_free(p->port);
		p->port = NULL;
		uv_close((uv_handle_t *)&p->timer, NULL);
		/* closing handles wait for one round of the loop */
		uv_run(p->loop, UV_RUN_NOWAIT);
	}
	prover_save_now(p);
}

void prover_free(struct prover *p)
{
	struct told_mail *t;

	if (!p)
		return;
	while ((t = p->first)) {
		p->first = t->next;
		free(t);
	}
	proof_free(p->proof);
	proof_free(p->news);
	proof_recent_free(p->recent);
	pace_free(p->pace);
	memory_free(p->learned);
	map_deinit(&p->notes, noted_free);
	state_watch_free(p->watch);
	free(p->state);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
