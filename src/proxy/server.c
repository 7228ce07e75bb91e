/*
 * The main thread: starts the resolver and the workers, then waits for signals, asks backends what
 * has to be known of them, and tells the operator what he should know.
 *
 * What a backend offers is asked again until it answers. Meanwhile a listener that might make an
 * open relay of it answers 421, and one whose backend may offer STARTTLS only observes: neither is
 * a reason not to start, since mail servers and frontdoor start at the same time.
 */
#include "proxy/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/hosted.h"
#include "proxy/interfaces.h"
#include "proxy/primary.h"
#include "proxy/probe.h"
#include "proxy/prover.h"
#include "proxy/resolving.h"
#include "proxy/tls.h"
#include "proxy/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_FAILED      1
#define EXIT_CONF        78
#define WORKERS_MAX      64
#define TARPIT_MAX       5000
#define DRAIN_MS         30000
#define PROBE_TIMEOUT_MS 3000
#define PRIMARY_PORT     25
#define WATCH_MS         5000
#define POLL_MS          1000

struct main_thread {
	struct server server;
	struct worker *workers[WORKERS_MAX];
	int n_workers;
	uv_loop_t loop;
	uv_signal_t on_term, on_int, on_hup;
	uv_timer_t watch;
	uv_work_t probing;
	bool probing_now;
	uv_work_t refreshing; /* of certificates */
	bool refreshing_now;
	uv_timer_t poll;
	uv_work_t polling; /* of the hosted files */
	bool polling_now;
	_Atomic bool ending; /* read by the prober's thread */
	bool doubted;        /* the identity safeguard was told */
	uint64_t aa_told;
	int signals;
	int exit_code;
};

/* ---- what the backends are ---- */

static bool may_relay(const struct listener_conf *conf)
{
	return conf->source == SOURCE_SELF;
}

static bool is_unknown(const struct listener *l)
{
	return atomic_load(&l->closed) || atomic_load(&l->starttls) == STARTTLS_UNKNOWN;
}

/* 0; EXIT_CONF: it is an open relay for us. */
static int probe_listener(const struct server *server, struct listener *l)
{
	const struct listener_conf *conf = l->conf;
	struct probe_result result;
	char where[ADDR_STRLEN + 8];

	if (conf->backend_original)
		return 0; /* many of them: learned from the first session */
	struct probe_conf pc = { .listener = conf,
				 .tls = l->tls,
				 .relay = may_relay(conf),
				 .hostname = server->hostname,
				 .timeout_ms = PROBE_TIMEOUT_MS };
	int r = probe_backend(&pc, &result);
	endpoint_format(&conf->backend, where);
	if (r < 0) {
		const char *error =
			r == -EPROTONOSUPPORT ? "it does not offer us XCLIENT" : strerror(-r);
		if (!l->probe_failed)
			log_warning("listener=%s backend=%s error=\"%s\" can't be asked what it "
				    "offers; trying again",
				    conf->name, where, error);
		l->probe_failed = true;
		return 0;
	}
	if (l->probe_failed)
		log_info("listener=%s backend=%s answers", conf->name, where);
	atomic_store(&l->starttls, result.starttls ? STARTTLS_OFFERED : STARTTLS_ABSENT);
	if (result.starttls && !server->conf->tls_hide && !server->tls)
		log_warning("listener=%s backend=%s offers STARTTLS: this listener only observes; "
			    "tls.hide: true takes STARTTLS away",
			    conf->name, where);
	if (!may_relay(conf))
		return 0;
	if (result.relay == PROBE_RELAYS) {
		log_error("%s:%d: listener %s: with source: self the backend %s would relay for "
			  "everybody, since it trusts our address%s; accepted: a backend that "
			  "refuses recipients elsewhere, or source: client",
			  server->conf->file, conf->line, conf->name, where,
			  conf->send == SEND_NONE ? "" : " or everybody's");
		return EXIT_CONF;
	}
	if (result.relay == PROBE_REFUSED)
		atomic_store(&l->closed, false);
	return 0;
}

static void probe_work(uv_work_t *work)
{
	struct main_thread *m = work->data;

	for (size_t i = 0; i < m->server.conf->n_listeners && m->exit_code == 0; i++)
		if (!atomic_load(&m->ending) && is_unknown(&m->server.listeners[i]))
			m->exit_code = probe_listener(&m->server, &m->server.listeners[i]);
}

/* ---- ending ---- */

static void on_ending(uv_timer_t *timer)
{
	struct main_thread *m = timer->data;

	for (int i = 0; i < m->n_workers; i++)
		if (!worker_is_done(m->workers[i]))
			return;
	/* their threads use what is freed next */
	if (!m->probing_now && !m->refreshing_now && !m->polling_now &&
	    prover_end(m->server.prover))
		uv_stop(&m->loop);
}

static void end(struct main_thread *m, int64_t limit_ms)
{
	m->signals++;
	atomic_store(&m->ending, true);
	/* a second signal is the operator's impatience */
	for (int i = 0; i < m->n_workers; i++)
		if (!worker_is_done(m->workers[i]))
			worker_drain(m->workers[i], m->signals > 1 ? 0 : limit_ms);
	uv_timer_start(&m->watch, on_ending, 20, 20);
}

static void on_end_signal(uv_signal_t *handle, int number)
{
	log_info("signal=%d letting transactions in progress end", number);
	end(handle->data, DRAIN_MS);
}

static void on_hup(uv_signal_t *handle, int number)
{
	log_warning("signal=%d this version does not reload; nothing was changed", number);
}

/* ---- watching ---- */

static void probe_done(uv_work_t *work, int status)
{
	struct main_thread *m = work->data;

	m->probing_now = false;
	if (m->exit_code != 0 && m->signals == 0)
		end(m, 0);
}

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

	(void)tls_server_refresh(m->server.tls); /* it logs what there is to say */
}

static void refresh_done(uv_work_t *work, int status)
{
	struct main_thread *m = work->data;

	m->refreshing_now = false;
}

static void watch_certificates(struct main_thread *m)
{
	if (!m->server.tls || m->refreshing_now)
		return;
	m->refreshing_now =
		uv_queue_work(&m->loop, &m->refreshing, refresh_work, refresh_done) == 0;
}

static void poll_work(uv_work_t *work)
{
	struct main_thread *m = work->data;

	hosted_poll(m->server.hosted, m->server.resolver);
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

static void on_watch(uv_timer_t *timer)
{
	struct main_thread *m = timer->data;

	watch_certificates(m);

	watch_identity(m);
	watch_resolver(m);
	for (size_t i = 0; i < m->server.conf->n_listeners; i++)
		if (!m->probing_now && !m->server.listeners[i].conf->backend_original &&
		    is_unknown(&m->server.listeners[i])) {
			m->probing_now = true;
			uv_queue_work(&m->loop, &m->probing, probe_work, probe_done);
		}
}

/* ---- starting ---- */

static int start_listeners(struct server *server)
{
	server->listeners = calloc(server->conf->n_listeners, sizeof(*server->listeners));
	if (!server->listeners)
		return -ENOMEM;
	for (size_t i = 0; i < server->conf->n_listeners; i++) {
		struct listener *l = &server->listeners[i];
		l->conf = &server->conf->listeners[i];
		l->closed = may_relay(l->conf);
		int r = front_new(&l->front);
		if (r < 0)
			return r;
		bool tls = l->conf->upstream_tls == UPSTREAM_ALWAYS ||
			   (l->conf->upstream_tls == UPSTREAM_MIRROR && server->tls);
		r = tls ? tls_client_new(l->conf->upstream_ca, &l->tls) : 0;
		if (r < 0)
			return r == -EINVAL ? EXIT_CONF : r;
	}
	return 0;
}

/* 0; EXIT_CONF: what was named can't be used, and that was told; -errno. */
static int start_tls(struct server *server)
{
	if (!conf_has_tls(server->conf))
		return 0;
	int r = tls_server_new(&server->conf->tls, &server->tls);
	if (r == -ENOENT)
		log_error("%s: tls: no certificate can be used", server->conf->file);
	return r > 0 || r == -ENOENT ? EXIT_CONF : r;
}

static int keep_domain(void *resolver, const char *domain)
{
	return resolver_keep(resolver, domain);
}

/* As start_shared(). */
static int start_events(struct server *server)
{
	const char *file = server->conf->events_json;
	int r = file ? event_sink_new(file, &server->events) : 0;

	if (r == 0)
		return 0;
	log_error("events.json=%s error=\"%s\" can't be opened", file, strerror(-r));
	return EXIT_FAILED;
}

/* 0; > 0: the exit status, the operator was told why; -errno. */
static int start_shared(struct server *server)
{
	const struct conf *conf = server->conf;
	int r;

	if (gethostname(server->hostname, sizeof(server->hostname) - 1) < 0)
		strcpy(server->hostname, "localhost");
	if ((r = memory_new(&server->memory)) < 0)
		return r;
	if ((r = hosted_new(conf, server->memory, &server->hosted)) < 0)
		return r == -ENOMEM ? r : EXIT_CONF;
	if ((r = prover_new(&(struct prover_conf) { .conf = conf, .memory = server->memory },
			    &server->prover)) < 0)
		return r;
	if ((r = start_events(server)) != 0 || (r = interfaces_global(&server->interfaces)) < 0 ||
	    (r = resolving_new(conf, server->memory, server->events, &server->resolving)) < 0 ||
	    (r = start_tls(server)) != 0 || (r = start_listeners(server)) != 0)
		return r;
	server->resolver = resolving_resolver(server->resolving);
	if (conf->policy.strict_backup && (r = primaries_new(PRIMARY_PORT, &server->primaries)) < 0)
		return r;
	prover_set_events(server->prover, server->events);
	r = memory_hosted_each(server->memory, keep_domain, server->resolver);
	for (struct map_entry *e = NULL; r == 0 && (e = map_next(&conf->policy.domains, e));) {
		char domain[256];
		snprintf(domain, sizeof(domain), "%.*s", (int)e->key_len, e->key);
		r = resolver_keep(server->resolver, domain);
	}
	return r;
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

/* As start_shared(). */
static int start_workers(struct main_thread *m)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int n = m->server.conf->workers ? m->server.conf->workers : (int)processors;

	if (n < 1)
		n = 1;
	if (n > WORKERS_MAX)
		n = WORKERS_MAX;
	m->server.tarpit_max = tarpit_share(n);
	for (int i = 0; i < n; i++) {
		int r = worker_new(&m->server, i, &m->workers[i]);
		if (r != 0)
			return r;
		m->n_workers++;
	}
	return 0;
}

static int start_main(struct main_thread *m)
{
	int r = uv_loop_init(&m->loop);

	if (r < 0)
		return r;
	m->on_term.data = m->on_int.data = m->on_hup.data = m->watch.data = m;
	m->probing.data = m->refreshing.data = m->polling.data = m->poll.data = m;
	uv_signal_init(&m->loop, &m->on_term);
	uv_signal_init(&m->loop, &m->on_int);
	uv_signal_init(&m->loop, &m->on_hup);
	uv_timer_init(&m->loop, &m->watch);
	if ((r = uv_signal_start(&m->on_term, on_end_signal, SIGTERM)) < 0 ||
	    (r = uv_signal_start(&m->on_int, on_end_signal, SIGINT)) < 0 ||
	    (r = uv_signal_start(&m->on_hup, on_hup, SIGHUP)) < 0)
		return r;
	uv_timer_init(&m->loop, &m->poll);
	if (m->server.conf->n_hosted &&
	    (r = uv_timer_start(&m->poll, on_poll, POLL_MS, POLL_MS)) < 0)
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
	if (server->events)
		event_sink_free(server->events);
	prover_free(server->prover);
	if (server->memory)
		memory_free(server->memory);
	for (size_t i = 0; server->listeners && i < server->conf->n_listeners; i++) {
		front_free(server->listeners[i].front);
		tls_client_free(server->listeners[i].tls);
	}
	free(server->listeners);
	tls_server_free(server->tls);
	prefix_set_deinit(&server->interfaces);
}

int server_run(const struct conf *conf)
{
	static struct main_thread m;

	m.server.conf = conf;
	signal(SIGPIPE, SIG_IGN);
	raise_descriptors();
	int r = start_shared(&m.server);
	if (r == 0) {
		m.probing.data = &m;
		probe_work(&m.probing);
		if (m.exit_code != 0)
			return m.exit_code;
		r = start_main(&m);
	}
	if (r == 0)
		r = prover_start(m.server.prover, &m.loop, m.server.resolver);
	if (r == 0)
		r = start_workers(&m);
	if (r < 0)
		log_error("error=\"%s\" can't start", strerror(-r));
	if (r != 0)
		return r < 0 ? EXIT_FAILED : r;
	tell_listeners(conf);
	event_emit_note(m.server.events, "start", "frontdoor " FRONTDOOR_VERSION);

	uv_run(&m.loop, UV_RUN_DEFAULT);
	while (m.n_workers > 0) {
		worker_join(m.workers[m.n_workers - 1]);
		m.n_workers--;
	}
	prover_stop(m.server.prover);
	stop_shared(&m.server);
	log_info("ended");
	return m.exit_code;
}
