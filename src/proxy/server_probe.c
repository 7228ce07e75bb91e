/*
 * What the backends are: asked before a configuration is served, and again until they answer.
 *
 * Meanwhile a listener that might make an open relay of its backend answers 421, and one whose
 * backend may offer STARTTLS only observes: neither is a reason not to start, since mail servers
 * and frontdoor start at the same time.
 */
#include "proxy/server_private.h"

#include "base/log.h"
#include "proxy/probe.h"

#include <errno.h>

static bool may_relay(const struct listener_conf *conf)
{
	return conf->source == SOURCE_SELF;
}

static bool is_unknown(const struct listener *l)
{
	return atomic_load(&l->closed) || atomic_load(&l->starttls) == STARTTLS_UNKNOWN;
}

/* 0; EXIT_CONF: it is an open relay for us. */
static int probe_listener(const struct main_thread *m, const struct setup *setup,
			  struct listener *l)
{
	const struct listener_conf *conf = l->conf;
	struct probe_result result;
	char where[ADDR_STRLEN + 8];

	if (conf->backend_original)
		return 0; /* many of them: learned from the first session */
	struct probe_conf pc = { .listener = conf,
				 .tls = l->tls,
				 .relay = may_relay(conf),
				 .hostname = m->server.hostname,
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
	if (result.starttls && !setup->conf->tls_hide && !setup->tls)
		log_warning("listener=%s backend=%s offers STARTTLS: this listener only observes; "
			    "tls.hide: true takes STARTTLS away",
			    conf->name, where);
	if (!may_relay(conf))
		return 0;
	if (result.relay == PROBE_RELAYS) {
		log_error("%s:%d: listener %s: with source: self the backend %s would relay for "
			  "everybody, since it trusts our address%s; accepted: a backend that "
			  "refuses recipients elsewhere, or source: client",
			  setup->conf->file, conf->line, conf->name, where,
			  conf->send == SEND_NONE ? "" : " or everybody's");
		return EXIT_CONF;
	}
	if (result.relay == PROBE_REFUSED)
		atomic_store(&l->closed, false);
	return 0;
}

int server_probe(struct main_thread *m, struct setup *setup)
{
	int r = 0;

	for (size_t i = 0; i < setup->conf->n_listeners && r == 0; i++)
		if (!atomic_load(&m->ending) && is_unknown(&setup->listeners[i]))
			r = probe_listener(m, setup, &setup->listeners[i]);
	return r;
}

bool server_wants_probe(const struct setup *setup)
{
	for (size_t i = 0; i < setup->conf->n_listeners; i++)
		if (!setup->listeners[i].conf->backend_original && is_unknown(&setup->listeners[i]))
			return true;
	return false;
}

static void probe_work(uv_work_t *work)
{
	struct main_thread *m = work->data;

	m->probe_result = server_probe(m, m->probed);
}

static void probe_done(uv_work_t *work, int status)
{
	struct main_thread *m = work->data;
	struct setup *probed = m->probed;

	m->probing_now = false;
	m->probed = NULL;
	if (probed != m->server.setup) {
		server_reload_probed(m, probed, m->probe_result);
		server_reload_tick(m); /* another one may wait for its turn */
	} else if (m->probe_result != 0 && m->signals == 0) {
		m->exit_code = m->probe_result;
		server_end(m, 0);
	}
	setup_unref(probed);
}

void server_probe_begin(struct main_thread *m, struct setup *setup)
{
	if (m->probing_now)
		return;
	m->probed = setup_ref(setup);
	m->probing_now = uv_queue_work(&m->loop, &m->probing, probe_work, probe_done) == 0;
	if (!m->probing_now)
		setup_unref(m->probed);
}
