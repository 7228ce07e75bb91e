/*
 * A new configuration for the sessions from now on. All that can fail is done first: a file that
 * can't be served changes nothing. Where a backend is new, its answer is awaited, so that its
 * clients are not refused meanwhile.
 */
#include "proxy/server_private.h"

#include "base/log.h"
#include "base/notify.h"
#include "proxy/hosted.h"
#include "proxy/primary.h"
#include "proxy/prover.h"
#include "proxy/resolving.h"

#include <errno.h>
#include <stdlib.h>

struct reload {
	struct setup *setup;
	struct sockets *sockets;
	struct hosted *hosted;
	bool asked; /* of its backends, by a probe that is under way */
};

static struct main_thread *main_of(struct server *s)
{
	return CONTAINER_OF(s, struct main_thread, server);
}

static void reload_free(struct reload *r)
{
	if (!r)
		return;
	hosted_free(r->hosted); /* which uses the setup's conf */
	setup_unref(r->setup);
	sockets_unref(r->sockets);
	free(r);
}

/* Each line of text is logged too. */
static void log_lines(enum log_level level, const struct buf *text)
{
	struct sv left = buf_view(text);

	while (left.n > 0) {
		const char *end = memchr(left.p, '\n', left.n);
		size_t n = end ? (size_t)(end - left.p) : left.n;
		log_msg(level, "%.*s", (int)n, left.p);
		n += end ? 1 : 0;
		left = (struct sv) { left.p + n, left.n - n };
	}
}

/* ---- what only a restart changes ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_resolvers(const struct conf *a, const struct conf *b)
{
	for (size_t i = 0; a->n_resolvers == b->n_resolvers && i < a->n_resolvers; i++)
		if (a->resolvers[i].port != b->resolvers[i].port ||
		    !addr_eq(&a->resolvers[i].addr, &b->resolvers[i].addr))
			return false;
	return a->n_resolvers == b->n_resolvers && a->resolver_timeout_ms == b->resolver_timeout_ms;
}

static void tell_restart(const struct conf *was, const struct conf *now, struct buf *text)
{
	const struct {
		const char *key;
		bool changed;
	} keys[] = {
		{ "resolver", !same_resolvers(was, now) },
		{ "state", !same_text(was->state, now->state) },
		{ "workers", was->workers != now->workers },
		{ "policy.stale_max", was->policy.stale_max_ms != now->policy.stale_max_ms },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].changed)
			(void)buf_printf(text, "%s: %s changes with the next restart only\n",
					 now->file, keys[i].key);
}

/* ---- making ---- */

/* What the configuration's readers say goes to text. */
static int read_files(struct main_thread *m, FILE *err, struct conf **ret_conf,
		      struct hosted **ret_hosted)
{
	struct conf *conf;
	int r = conf_load(m->server.setup->conf->file, err, &conf);

	if (r < 0)
		return r;
	r = hosted_read(conf, m->server.memory, err, ret_hosted);
	if (r < 0)
		conf_free(conf);
	else
		*ret_conf = conf;
	return r;
}

static int read_telling(struct main_thread *m, struct buf *text, struct conf **ret_conf,
			struct hosted **ret_hosted)
{
	char *said = NULL;
	size_t n = 0;
	FILE *err = open_memstream(&said, &n);

	if (!err)
		return -ENOMEM;
	int r = read_files(m, err, ret_conf, ret_hosted);
	fclose(err);
	if (said)
		(void)buf_add(text, said, min_size(n, buf_room(text)));
	free(said);
	return r;
}

static int make(struct main_thread *m, struct buf *text, struct reload *ret)
{
	struct conf *conf = NULL;
	int r = read_telling(m, text, &conf, &ret->hosted);

	if (r < 0)
		return r;
	log_divert(text);
	r = setup_new(conf, m->server.setup, &ret->setup);
	log_divert(NULL);
	if (r == 0)
		setup_count(ret->setup, &m->server.metrics);
	if (r != 0) {
		hosted_free(ret->hosted);
		ret->hosted = NULL;
		conf_free(conf);
		return r > 0 ? -EINVAL : r;
	}
	r = sockets_open(conf, m->n_workers, m->sockets, text, &ret->sockets);
	return r > 0 ? -EINVAL : r;
}

/* Opened anew in any case: the file may have been rotated. */
static int switch_events(struct main_thread *m, const struct conf *conf, struct buf *text)
{
	int r = event_sink_switch(m->server.events, conf->events_json);

	if (r < 0)
		(void)buf_printf(text, "events.json=%s error=\"%s\" can't be opened\n",
				 conf->events_json, strerror(-r));
	return r;
}

/* ---- taking ---- */

static void take_hosted(struct main_thread *m, struct reload *r, const struct conf *was)
{
	struct server *s = &m->server;
	int e;

	pthread_mutex_lock(&m->hosted_lock);
	e = hosted_take(r->hosted, s->hosted, s->resolver);
	hosted_free(s->hosted);
	s->hosted = r->hosted;
	r->hosted = NULL;
	pthread_mutex_unlock(&m->hosted_lock);
	if (e == 0)
		e = server_keep_domains(s, was);
	for (struct map_entry *row = NULL; (row = map_next(&was->policy.domains, row));) {
		struct sv name = { row->key, row->key_len };
		char domain[256];
		snprintf(domain, sizeof(domain), SV_FMT, SV_ARG(name));
		if (!map_get(&s->setup->conf->policy.domains, name) &&
		    !memory_is_hosted(s->memory, domain))
			(void)resolver_release(s->resolver, domain);
	}
	if (e < 0)
		log_error("error=\"%s\" not all hosted domains are kept ready", strerror(-e));
}

/* Nothing can go wrong any more but for want of memory; then it does less. */
static void take(struct main_thread *m, struct reload *r)
{
	struct server *s = &m->server;
	struct setup *former = s->setup;

	for (int i = 0; i < m->n_workers; i++)
		if (worker_change(m->workers[i], r->setup, r->sockets) < 0)
			log_error("error=\"out of memory\" a worker keeps the former "
				  "configuration");
	s->setup = setup_ref(r->setup);
	sockets_unref(m->sockets);
	m->sockets = sockets_ref(r->sockets);
	take_hosted(m, r, former->conf);
	if (resolving_change(s->resolving, &former->conf->policy, s->setup) < 0)
		log_error("error=\"out of memory\" not all sources are kept ready");
	prover_change(s->prover, s->setup->conf);
	if (s->setup->conf->policy.strict_backup && !atomic_load(&s->primaries)) {
		struct primaries *primaries;
		if (primaries_new(PRIMARY_PORT, &primaries) == 0)
			atomic_store_explicit(&s->primaries, primaries, memory_order_release);
	}
	server_parts_reloaded(m);
	metrics_add(&s->metrics, METRIC_RELOADS, 1);
	event_emit_note(s->events, "reload", "a new configuration counts for new sessions");
	log_info("%s: reloaded; listeners=%zu", s->setup->conf->file, s->setup->conf->n_listeners);
	setup_unref(former);
	reload_free(r);
}

static void note_failed(struct main_thread *m)
{
	metrics_add(&m->server.metrics, METRIC_RELOADS_FAILED, 1);
	event_emit_note(m->server.events, "reload-failed",
			"the configuration can't be served; nothing has changed");
}

void server_reload_probed(struct main_thread *m, const struct setup *probed, int exit_code)
{
	struct reload *r = m->reload;

	if (!r || r->setup != probed)
		return; /* it was dropped */
	m->reload = NULL;
	if (exit_code == 0 && !atomic_load(&m->ending)) {
		take(m, r);
		return;
	}
	log_error("%s: not reloaded; nothing has changed", m->server.setup->conf->file);
	(void)event_sink_switch(m->server.events, m->server.setup->conf->events_json);
	note_failed(m);
	reload_free(r);
}

void server_reload_tick(struct main_thread *m)
{
	if (m->reload && !m->reload->asked && !m->probing_now) {
		server_probe_begin(m, m->reload->setup);
		m->reload->asked = m->probing_now;
	}
}

void server_reload_drop(struct main_thread *m)
{
	reload_free(m->reload);
	m->reload = NULL;
}

/* ---- asked for ---- */

static int fail(struct main_thread *m, int error, struct buf *text)
{
	if (error == -ENOMEM)
		(void)buf_printf(text, "out of memory\n");
	if (error == -EACCES)
		(void)buf_printf(text, "(a folder that the configuration did not name at the "
				       "start is out of reach: that takes an end and a start)\n");
	(void)buf_printf(text, "%s: not reloaded; nothing has changed\n",
			 m->server.setup->conf->file);
	log_lines(LOG_LEVEL_ERROR, text);
	note_failed(m);
	return error == -ENOMEM ? error : -EINVAL;
}

static int reload(struct server *s, struct buf *text)
{
	struct main_thread *m = main_of(s);
	struct reload made = { 0 }, *r;
	int e;

	/* whatever the file says now: the log may have been rotated */
	(void)event_sink_switch(s->events, s->setup->conf->events_json);
	if (atomic_load(&m->ending) || m->restart) {
		(void)buf_printf(text, "a restart, or the end, is under way\n");
		return fail(m, -EBUSY, text);
	}
	e = make(m, text, &made);
	if (e == 0)
		e = switch_events(m, made.setup->conf, text);
	r = e == 0 ? malloc(sizeof(*r)) : NULL;
	if (!r) {
		hosted_free(made.hosted);
		setup_unref(made.setup);
		sockets_unref(made.sockets);
		return fail(m, e < 0 ? e : -ENOMEM, text);
	}
	*r = made;
	/* one that awaits its backends' answers is not what the operator wants any more */
	server_reload_drop(m);
	tell_restart(s->setup->conf, r->setup->conf, text);
	log_lines(LOG_LEVEL_WARNING, text);
	if (!server_wants_probe(r->setup)) {
		(void)buf_printf(text, "%s: reloaded\n", r->setup->conf->file);
		take(m, r);
		return 0;
	}
	(void)buf_printf(text,
			 "%s: is taken as soon as its backends have been asked what they "
			 "offer\n",
			 r->setup->conf->file);
	m->reload = r;
	server_reload_tick(m);
	return 0;
}

int server_reload(struct server *s, struct buf *text)
{
	/* a manager that has sent SIGHUP waits for both (Type=notify-reload) */
	(void)notify_reloading();
	int r = reload(s, text);
	(void)notify_send("READY=1");
	return r;
}
