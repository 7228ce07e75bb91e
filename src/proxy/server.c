/*
 * The main thread: starts the resolver and the workers, then waits for signals, and tells the
 * operator what he should know. What it does besides is in the files that server_private.h names.
 */
#include "proxy/server_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/backends.h"
#include "proxy/confine.h"
#include "proxy/enforcing.h"
#include "proxy/hosted.h"
#include "proxy/known_clients.h"
#include "proxy/primary.h"
#include "proxy/prover.h"
#include "proxy/resolving.h"
#include "proxy/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define TARPIT_MAX 5000
#define WATCH_MS   5000
#define POLL_MS    1000
#define BEAT_MS    1000
/* Of sessions that another process's start leaves here: undisturbed, then until their transaction
 * is done. */
#define HANDOVER_GENTLE_MS (5 * 60 * 1000)
#define HANDOVER_LIMIT_MS  (10 * 60 * 1000)

/* ---- ending ---- */

static void on_ending(uv_timer_t *timer)
{
	struct main_thread *m = timer->data;

	for (int i = 0; i < m->n_workers; i++)
		if (!worker_is_done(m->workers[i]))
			return;
	/* their threads use what is freed next */
	if (!m->probing_now && !m->refreshing_now && !m->polling_now && server_restart_end(m) &&
	    prover_end(m->server.prover))
		uv_stop(&m->loop);
}

static void parts_ending(const struct main_thread *m, bool handover);

static void stop_taking(struct main_thread *m)
{
	atomic_store(&m->ending, true);
	server_reload_drop(m);
	backends_stop(m->server.backends);
	sockets_unref(m->sockets);
	m->sockets = NULL;
}

void server_hand_over(struct main_thread *m)
{
	parts_ending(m, true);
	m->handed_over = true;
	stop_taking(m);
	for (int i = 0; i < m->n_workers; i++)
		worker_hand_over(m->workers[i], HANDOVER_GENTLE_MS, HANDOVER_LIMIT_MS);
	uv_timer_start(&m->watch, on_ending, 20, 20);
}

void server_end(struct main_thread *m, int64_t limit_ms)
{
	if (m->signals == 0 && m->sockets)
		parts_ending(m, false);
	m->signals++;
	stop_taking(m);
	/* a second signal is the operator's impatience */
	for (int i = 0; i < m->n_workers; i++)
		if (!worker_is_done(m->workers[i]))
			worker_drain(m->workers[i], m->signals > 1 ? 0 : limit_ms);
	uv_timer_start(&m->watch, on_ending, 20, 20);
}

static void on_end_signal(uv_signal_t *handle, int number)
{
	log_info("signal=%d letting transactions in progress end", number);
	server_end(handle->data, DRAIN_MS);
}

static void on_hup(uv_signal_t *handle, int number)
{
	struct main_thread *m = handle->data;
	struct buf text;

	buf_init(&text, 65536);
	(void)server_reload(&m->server, &text); /* which logs the same */
	buf_deinit(&text);
}

static void on_usr2(uv_signal_t *handle, int number)
{
	struct main_thread *m = handle->data;
	struct buf text;

	buf_init(&text, 4096);
	if (server_restart(&m->server, &text) < 0)
		log_error("%.*s", SV_ARG(buf_view(&text)));
	buf_deinit(&text);
}

/* ---- watching ---- */

static void watch_identity(struct main_thread *m)
{
	struct addr at;
	char text[256], where[ADDR_STRLEN];
	bool doubt = memory_identity_doubt(m->server.memory, &at);

	if (doubt && !m->doubted) {
		snprintf(text, sizeof(text),
			 "many hosted domains lead to %s; is this you? server_addresses: [%s]; "
			 "nothing is enforced until that is settled",
			 addr_format(&at, where), where);
		log_warning("%s", text);
		event_emit_note(m->server.events, "identity-doubt", text);
	}
	m->doubted = doubt;
}

static void watch_resolver(struct main_thread *m)
{
	struct resolver_stats stats;

	resolver_stats(m->server.resolver, &stats);
	if (stats.aa > 0 && m->aa_told == 0) {
		const char *text =
			"the resolver answers with authority (AA): a local zone there, "
			"perhaps forgotten, decides instead of DNS; ask a recursive resolver";
		log_warning("%s", text);
		event_emit_note(m->server.events, "aa-answer", text);
	}
	m->aa_told = stats.aa;
}

static void refresh_work(uv_work_t *work)
{
	struct main_thread *m = work->data;

	(void)tls_server_refresh(m->refreshed->tls); /* it logs what there is to say */
}

static void refresh_done(uv_work_t *work, int status)
{
	struct main_thread *m = work->data;

	m->refreshing_now = false;
	setup_unref(m->refreshed);
}

static void watch_certificates(struct main_thread *m)
{
	if (!m->server.setup->tls || m->refreshing_now)
		return;
	m->refreshed = setup_ref(m->server.setup);
	m->refreshing_now =
		uv_queue_work(&m->loop, &m->refreshing, refresh_work, refresh_done) == 0;
	if (!m->refreshing_now)
		setup_unref(m->refreshed);
}

static void poll_work(uv_work_t *work)
{
	struct main_thread *m = work->data;
	int64_t now = clock_mono_ms();

	if (now - m->known_saved_ms >= KNOWN_CLIENTS_SAVE_MS) {
		m->known_saved_ms = now;
		server_save_known(m);
	}

	pthread_mutex_lock(&m->hosted_lock);
	hosted_poll(m->server.hosted, m->server.resolver);
	pthread_mutex_unlock(&m->hosted_lock);
}

static void poll_done(uv_work_t *work, int status)
{
	struct main_thread *m = work->data;

	m->polling_now = false;
}

static void on_poll(uv_timer_t *timer)
{
	struct main_thread *m = timer->data;

	if (!m->polling_now && !atomic_load(&m->ending))
		m->polling_now = uv_queue_work(&m->loop, &m->polling, poll_work, poll_done) == 0;
}

/* ---- parts ---- */

static int parts_prepare(const struct main_thread *m, const struct conf *conf)
{
	for (size_t i = 0; i < m->options->n_parts; i++) {
		const struct server_part *p = &m->options->parts[i];
		int r = p->prepare ? p->prepare(p->user, conf) : 0;
		if (r != 0)
			return r;
	}
	return 0;
}

static int parts_start(struct main_thread *m)
{
	for (size_t i = 0; i < m->options->n_parts; i++) {
		const struct server_part *p = &m->options->parts[i];
		int r = p->start ? p->start(p->user, &m->server, &m->loop) : 0;
		if (r != 0)
			return r;
	}
	return 0;
}

static bool workers_answer(const struct main_thread *m)
{
	for (int i = 0; i < m->n_workers; i++)
		if (!worker_answers(m->workers[i]))
			return false;
	return true;
}

static void on_beat(uv_timer_t *timer)
{
	struct main_thread *m = timer->data;
	bool answering = workers_answer(m);

	for (size_t i = 0; i < m->options->n_parts; i++)
		if (m->options->parts[i].beat)
			m->options->parts[i].beat(m->options->parts[i].user, answering);
}

static void parts_ending(const struct main_thread *m, bool handover)
{
	for (size_t i = 0; i < m->options->n_parts; i++)
		if (m->options->parts[i].ending)
			m->options->parts[i].ending(m->options->parts[i].user, handover);
}

void server_parts_reloaded(const struct main_thread *m)
{
	for (size_t i = 0; i < m->options->n_parts; i++)
		if (m->options->parts[i].reloaded)
			m->options->parts[i].reloaded(m->options->parts[i].user,
						      m->server.setup->conf);
}

static void parts_stop(const struct main_thread *m)
{
	for (size_t i = m->options->n_parts; i-- > 0;)
		if (m->options->parts[i].stop)
			m->options->parts[i].stop(m->options->parts[i].user);
}

static void on_watch(uv_timer_t *timer)
{
	struct main_thread *m = timer->data;

	watch_certificates(m);

	watch_identity(m);
	watch_resolver(m);
	server_reload_tick(m);
	if (server_wants_probe(m->server.setup))
		server_probe_begin(m, m->server.setup);
}

/* ---- starting ---- */

static int keep_domain(void *resolver, const char *domain)
{
	return resolver_keep(resolver, domain);
}

/* As start_shared(). */
static int start_events(struct server *server)
{
	const char *file = server->setup->conf->events_json;
	int r = event_sink_new(file, &server->events);

	if (r == 0)
		return 0;
	log_error("events.json=%s error=\"%s\" can't be opened", file, strerror(-r));
	return EXIT_FAILED;
}

int server_keep_domains(struct server *server, const struct conf *former)
{
	const struct map *rows = &server->setup->conf->policy.domains;
	int r = 0;

	for (struct map_entry *e = NULL; r == 0 && (e = map_next(rows, e));) {
		struct sv name = { e->key, e->key_len };
		char domain[256];
		if (former && map_get(&former->policy.domains, name))
			continue;
		snprintf(domain, sizeof(domain), SV_FMT, SV_ARG(name));
		r = resolver_keep(server->resolver, domain);
	}
	return r;
}

/* 0; > 0: the exit status, the operator was told why; -errno. */
static int start_setup(struct server *server, struct conf *conf)
{
	int r;

	metrics_init(&server->metrics);
	if (gethostname(server->hostname, sizeof(server->hostname) - 1) < 0)
		strcpy(server->hostname, "localhost");
	r = setup_new(conf, NULL, &server->setup);
	if (r == 0)
		setup_count(server->setup, &server->metrics);
	return r > 0 ? EXIT_CONF : r;
}

/* As start_setup(). */
static int start_shared(struct server *server)
{
	const struct conf *conf = server->setup->conf;
	struct primaries *primaries = NULL;
	int r;

	if ((r = memory_new(&server->memory)) < 0)
		return r;
	if ((r = hosted_new(conf, server->memory, &server->hosted)) < 0)
		return r == -ENOMEM ? r : EXIT_CONF;
	if ((r = prover_new(&(struct prover_conf) { .conf = conf, .memory = server->memory },
			    &server->prover)) < 0)
		return r;
	if ((r = start_events(server)) != 0 ||
	    (r = resolving_new(server->setup, server->memory, server->events, &server->resolving)) <
		    0 ||
	    (r = backends_new(server->events, &server->backends)) < 0)
		return r;
	server->resolver = resolving_resolver(server->resolving);
	if (conf->policy.strict_backup && (r = primaries_new(PRIMARY_PORT, &primaries)) < 0)
		return r;
	server->primaries = primaries;
	prover_set_events(server->prover, server->events);
	if ((r = enforcing_new(conf, server->events, &server->enforcing)) < 0)
		return r;
	r = memory_hosted_each(server->memory, keep_domain, server->resolver);
	return r == 0 ? server_keep_domains(server, NULL) : r;
}

/* For each worker. At most a quarter of all descriptors drip: refused clients, however many, must
 * not keep others out. */
static size_t tarpit_share(int workers)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	return min_size(TARPIT_MAX, (size_t)limit.rlim_cur / 4 / (size_t)workers);
}

/* Two descriptors each, besides those of our own. */
static size_t sessions_share(int workers)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	size_t all = (size_t)limit.rlim_cur, own = min_size(64 + 8 * (size_t)workers, all / 4);
	return all - own < 2 ? 1 : (all - own) / 2;
}

static int start_limiter(struct server *server, int workers)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	uint64_t memory = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 1u << 30;
	size_t sessions = sessions_share(workers);
	int wanted = server->setup->conf->limits.connections;

	if (wanted > 0 && (size_t)wanted > sessions)
		log_warning("limits.connections: %d, but our descriptors (RLIMIT_NOFILE) carry %zu "
			    "sessions: no more are taken",
			    wanted, sessions);
	return limiter_new(sessions, memory, &server->limiter);
}

static int count_workers(const struct conf *conf)
{
	long n = conf->workers ? conf->workers : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (int)n;
}

/* As start_shared(). */
static int start_sockets(struct main_thread *m)
{
	const struct conf *conf = m->server.setup->conf;
	struct sockets *inherited = server_inherited();
	struct buf why;

	buf_init(&why, 4096);
	int r = sockets_open(conf, count_workers(conf), inherited, &why, &m->sockets);
	if (r > 0)
		log_error("%.*s", (int)buf_len(&why) - 1, buf_view(&why).p);
	buf_deinit(&why);
	sockets_unref(inherited);
	return r > 0 ? EXIT_FAILED : r;
}

static int start_workers(struct main_thread *m)
{
	int n = count_workers(m->server.setup->conf);

	m->server.tarpit_max = tarpit_share(n);
	int e = start_limiter(&m->server, n);
	if (e == 0)
		e = server_load_known(m);
	if (e < 0)
		return e;
	for (int i = 0; i < n; i++) {
		struct worker_conf wc = { .server = &m->server,
					  .setup = m->server.setup,
					  .sockets = m->sockets,
					  .number = i,
					  .workers = n };
		int r = worker_new(&wc, &m->workers[i]);
		if (r != 0)
			return r;
		m->n_workers++;
	}
	return 0;
}

static void mask_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	(void)pthread_sigmask(how, &set, NULL);
}

void server_hold_signals(void)
{
	mask_signals(SIG_BLOCK);
}

static int start_main(struct main_thread *m)
{
	int r = uv_loop_init(&m->loop);

	if (r < 0)
		return r;
	m->on_term.data = m->on_int.data = m->on_hup.data = m->on_usr2.data = m->watch.data = m;
	m->probing.data = m->refreshing.data = m->polling.data = m->poll.data = m;
	uv_signal_init(&m->loop, &m->on_term);
	uv_signal_init(&m->loop, &m->on_int);
	uv_signal_init(&m->loop, &m->on_hup);
	uv_signal_init(&m->loop, &m->on_usr2);
	uv_timer_init(&m->loop, &m->watch);
	if ((r = uv_signal_start(&m->on_term, on_end_signal, SIGTERM)) < 0 ||
	    (r = uv_signal_start(&m->on_int, on_end_signal, SIGINT)) < 0 ||
	    (r = uv_signal_start(&m->on_hup, on_hup, SIGHUP)) < 0 ||
	    (r = uv_signal_start(&m->on_usr2, on_usr2, SIGUSR2)) < 0)
		return r;
	mask_signals(SIG_UNBLOCK);
	uv_timer_init(&m->loop, &m->poll);
	if ((r = uv_timer_start(&m->poll, on_poll, POLL_MS, POLL_MS)) < 0)
		return r;
	m->beat.data = m;
	uv_timer_init(&m->loop, &m->beat);
	if ((r = uv_timer_start(&m->beat, on_beat, BEAT_MS, BEAT_MS)) < 0)
		return r;
	return uv_timer_start(&m->watch, on_watch, WATCH_MS, WATCH_MS);
}

/* Every session has two descriptors: as many as we may have. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void tell_listeners(const struct conf *conf)
{
	char where[ADDR_STRLEN + 8];

	for (size_t i = 0; i < conf->n_listeners; i++)
		for (size_t k = 0; k < conf->listeners[i].n_bind; k++)
			log_info("listener=%s mode=%s bind=%s ready", conf->listeners[i].name,
				 conf->listeners[i].mode == LISTENER_TPROXY ? "tproxy" : "listen",
				 endpoint_format(&conf->listeners[i].bind[k], where));
}

static void stop_shared(struct server *server)
{
	hosted_free(server->hosted);
	primaries_free(server->primaries);
	resolving_free(server->resolving);
	enforcing_free(server->enforcing);
	event_sink_free(server->events);
	prover_free(server->prover);
	limiter_free(server->limiter);
	if (server->memory)
		memory_free(server->memory);
	backends_free(server->backends);
	setup_unref(server->setup);
	metrics_deinit(&server->metrics);
}

const struct conf *server_conf(const struct server *s)
{
	return s->setup->conf;
}

struct metrics *server_metrics(struct server *s)
{
	return &s->metrics;
}

void server_stop(struct server *s, int exit_code)
{
	struct main_thread *m = CONTAINER_OF(s, struct main_thread, server);

	m->exit_code = exit_code;
	server_end(m, DRAIN_MS);
}

int server_run(struct conf *conf, const struct server_options *options)
{
	static struct main_thread m;
	struct privileges p = { 0 };

	m.options = options;
	pthread_mutex_init(&m.hosted_lock, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file at its limit is trouble with the disk, no more */
	raise_descriptors();
	server_know_program(&m);
	int r = parts_prepare(&m, conf);
	if (r == 0)
		r = confine(conf, &p);
	if (r == 0)
		r = start_setup(&m.server, conf);
	if (r == 0) /* as that user: SO_REUSEPORT is among sockets of one user */
		r = start_sockets(&m);
	if (r == 0)
		r = start_shared(&m.server);
	if (r == 0)
		r = server_probe(&m, m.server.setup);
	if (r == 0)
		r = start_main(&m);
	if (r == 0)
		r = prover_start(m.server.prover, &m.loop, m.server.resolver);
	if (r == 0)
		r = backends_start(m.server.backends, &m.loop);
	if (r == 0)
		r = enforcing_start(m.server.enforcing);
	if (r == 0)
		r = start_workers(&m);
	if (r == 0)
		r = parts_start(&m);
	if (r < 0)
		log_error("error=\"%s\" can't start", strerror(-r));
	if (r != 0 && !m.server.setup)
		conf_free(conf);
	if (r != 0)
		return r < 0 ? EXIT_FAILED : r;
	confine_tell(&p);
	tell_listeners(conf);
	event_emit_note(m.server.events, "start", "frontdoor " FRONTDOOR_VERSION);
	server_say_ready();

	uv_run(&m.loop, UV_RUN_DEFAULT);
	while (m.n_workers > 0) {
		worker_join(m.workers[m.n_workers - 1]);
		m.n_workers--;
	}
	prover_stop(m.server.prover);
	if (!m.handed_over) /* else the file is another process's */
		server_save_known(&m);
	parts_stop(&m);
	stop_shared(&m.server);
	log_info("ended");
	return m.exit_code;
}
