/* The resolver's thread: its loop, its way in, its beginning and end. */
#include "dns/resolver.h"

#include "base/clock.h"
#include "dns/resolver_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum {
	TICK_MS = 500,
	MAX_SOURCES = 20000,
	MAX_EXISTS = 100000,
	MAX_CLIENTS = 250000,
	MAX_NAMES = 100000,
};

static const struct resolver_conf defaults = {
	.timeout_ms = 2000,
	.tries = 3,
	.stale_max_ms = INT64_C(7) * 24 * 3600 * 1000,
	.max_domains = 1000000,
	.max_in_flight = 2000,
	.confirm_port = 53,
};

static void on_command(struct resolver *r, struct resolver_request *req)
{
	struct source *s;
	struct door *d;

	switch (req->command) {
	case REQUEST_KEEP:
		if ((d = door_get(r, req->domain)))
			door_keep(r, d);
		break;
	case REQUEST_RELEASE:
		if ((d = door_table_find(&r->doors, domain_key(req->domain))))
			door_let_go(r, d);
		break;
	case REQUEST_KEEP_CLIENT:
		client_keep(r, &req->client);
		break;
	case REQUEST_KEEP_SOURCE:
		if ((s = sources_get(r, req->domain)))
			sources_keep(r, s);
		break;
	case REQUEST_RELEASE_SOURCE:
		sources_let_go(r, req->domain);
		break;
	}
	free(req);
}

/* Drops all that is under way, and lets the loop end. */
static void stop(struct resolver *r)
{
	channel_free(r->channel);
	tasks_abort(r);
	uv_close((uv_handle_t *)&r->tick, NULL);
	uv_close((uv_handle_t *)&r->async, NULL);
}

static void on_async(uv_async_t *async)
{
	struct resolver *r = async->data;
	struct request_queue batch;
	struct resolver_request *req;
	bool ends;

	pthread_mutex_lock(&r->lock);
	batch = r->inbox;
	r->inbox = (struct request_queue) { 0 };
	ends = r->stop;
	pthread_mutex_unlock(&r->lock);
	while ((req = request_queue_take(&batch))) {
		if (!req->port)
			on_command(r, req);
		else
			tasks_ask(r, req);
	}
	if (ends) {
		stop(r);
		return;
	}
	tasks_pump(r);
	epoch_reclaim(&r->epoch);
}

static void on_tick(uv_timer_t *tick)
{
	struct resolver *r = tick->data;

	doors_tick(r);
	sources_tick(r);
	tasks_pump(r);
	epoch_reclaim(&r->epoch);
}

static void run(void *user)
{
	struct resolver *r = user;

	uv_run(&r->loop, UV_RUN_DEFAULT);
}

void resolver_send(struct resolver *r, struct resolver_request *req)
{
	bool first;

	pthread_mutex_lock(&r->lock);
	first = !r->inbox.first;
	request_queue_add(&r->inbox, req);
	pthread_mutex_unlock(&r->lock);
	if (first)
		uv_async_send(&r->async);
}

static int command(struct resolver *r, int what, const char *domain)
{
	size_t n = strlen(domain);
	struct resolver_request *req;

	bool source = what == REQUEST_KEEP_SOURCE || what == REQUEST_RELEASE_SOURCE;
	if (n >= (source ? SOURCE_KEY_MAX : WIRE_NAME_SIZE))
		return -ENAMETOOLONG;
	req = calloc(1, sizeof(*req) + n + 1);
	if (!req)
		return -ENOMEM;
	req->command = what;
	memcpy(req->domain, domain, n);
	resolver_send(r, req);
	return 0;
}

int resolver_keep(struct resolver *r, const char *domain)
{
	return command(r, REQUEST_KEEP, domain);
}

int resolver_release(struct resolver *r, const char *domain)
{
	return command(r, REQUEST_RELEASE, domain);
}

int resolver_keep_source(struct resolver *r, const char *key)
{
	return command(r, REQUEST_KEEP_SOURCE, key);
}

int resolver_release_source(struct resolver *r, const char *key)
{
	return command(r, REQUEST_RELEASE_SOURCE, key);
}

int resolver_keep_client(struct resolver *r, const struct addr *client)
{
	struct resolver_request *req = calloc(1, sizeof(*req) + 1);

	if (!req)
		return -ENOMEM;
	req->command = REQUEST_KEEP_CLIENT;
	req->client = *client;
	resolver_send(r, req);
	return 0;
}

static void set_defaults(struct resolver_conf *conf)
{
	if (conf->timeout_ms <= 0)
		conf->timeout_ms = defaults.timeout_ms;
	if (conf->tries <= 0)
		conf->tries = defaults.tries;
	if (conf->stale_max_ms <= 0)
		conf->stale_max_ms = defaults.stale_max_ms;
	if (conf->max_domains == 0)
		conf->max_domains = defaults.max_domains;
	if (conf->max_in_flight == 0)
		conf->max_in_flight = defaults.max_in_flight;
	if (conf->confirm_port == 0)
		conf->confirm_port = defaults.confirm_port;
}

static int init_tables(struct resolver *r)
{
	size_t max = r->conf.max_domains;
	int res;

	res = door_table_init(&r->doors, &r->epoch, max, door_gone, r);
	if (res == 0)
		res = table_init(&r->clients, &r->epoch, min_size(max, MAX_CLIENTS), facts_free,
				 NULL);
	if (res == 0)
		res = table_init(&r->names, &r->epoch, min_size(max, MAX_NAMES), facts_free, NULL);
	if (res == 0)
		res = table_init(&r->sources, &r->epoch, MAX_SOURCES, sources_value_free,
				 sources_free);
	if (res == 0)
		res = table_init(&r->exists, &r->epoch, MAX_EXISTS, sources_value_free,
				 sources_free);
	if (res == 0)
		res = set_store_init(&r->sets);
	if (res == 0)
		res = host_cache_init(&r->hosts, &r->epoch);
	if (res == 0)
		res = wheel_init(&r->wheel, clock_mono_ms());
	if (res == 0)
		res = wheel_init(&r->source_wheel, clock_mono_ms());
	return res;
}

/* Ends the loop of a resolver that has no thread. */
static void deinit_loop(struct resolver *r)
{
	run(r);
	INVARIANT(uv_loop_close(&r->loop) == 0);
}

static int init_loop(struct resolver *r, const struct resolver_conf *conf)
{
	struct channel_conf channel = {
		.servers = conf->servers,
		.n_servers = conf->n_servers,
		.timeout_ms = r->conf.timeout_ms,
		.tries = r->conf.tries,
		.max_in_flight = r->conf.max_in_flight,
	};
	int res = uv_loop_init(&r->loop);

	if (res < 0)
		return res;
	res = channel_new(&r->loop, &channel, &r->channel);
	if (res == 0) {
		res = uv_async_init(&r->loop, &r->async, on_async);
		if (res < 0)
			channel_free(r->channel);
	}
	if (res < 0) {
		deinit_loop(r);
		return res;
	}
	uv_timer_init(&r->loop, &r->tick);
	uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS);
	r->async.data = r->tick.data = r;
	return 0;
}

/* Signals are for the program's other threads. */
static int start_thread(struct resolver *r)
{
	sigset_t all, old;
	int res;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	res = uv_thread_create(&r->thread, run, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return res;
}

static void resolver_deinit(struct resolver *r)
{
	struct resolver_request *req;

	while ((req = request_queue_take(&r->inbox))) {
		if (req->port)
			port_drop(req);
		else
			free(req);
	}
	door_table_deinit(&r->doors);
	table_deinit(&r->clients);
	table_deinit(&r->names);
	table_deinit(&r->sources);
	table_deinit(&r->exists);
	host_cache_deinit(&r->hosts);
	wheel_deinit(&r->wheel);
	wheel_deinit(&r->source_wheel);
	map_deinit(&r->line_shares, NULL);
	epoch_deinit(&r->epoch);
	set_store_deinit(&r->sets);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int resolver_new(const struct resolver_conf *conf, struct resolver **ret_resolver)
{
	struct resolver *r = calloc(1, sizeof(*r));
	int res;

	if (!r)
		return -ENOMEM;
	r->conf = *conf;
	r->conf.servers = NULL; /* the caller's; the channel has its own */
	set_defaults(&r->conf);
	epoch_init(&r->epoch);
	pthread_mutex_init(&r->lock, NULL);
	map_init(&r->line_shares);
	res = init_tables(r);
	if (res == 0)
		res = init_loop(r, conf);
	if (res < 0) {
		resolver_deinit(r);
		return res;
	}
	if (r->conf.restore)
		r->conf.restore(r->conf.user, r);
	res = start_thread(r);
	if (res < 0) {
		stop(r);
		deinit_loop(r);
		resolver_deinit(r);
		return res;
	}
	*ret_resolver = r;
	return 0;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_mutex_unlock(&r->lock);
	uv_async_send(&r->async);
	uv_thread_join(&r->thread);
	INVARIANT(uv_loop_close(&r->loop) == 0);
	resolver_deinit(r);
}

void resolver_stats(struct resolver *r, struct resolver_stats *ret_stats)
{
	const struct resolver_counters *c = &r->counters;

	*ret_stats = (struct resolver_stats) {
		.domains = r->doors.n,
		.lookups = c->lookups,
		.joined = c->joined,
		.failed = c->failed,
		.stale = c->stale,
		.refreshed = c->refreshed,
		.evicted = r->doors.evicted,
		.in_flight = c->in_flight,
		.confirmed = c->confirmed,
		.aa = c->aa,
		.sources = r->sources.n + r->exists.n,
		.sources_failed = c->sources_failed,
	};
}
