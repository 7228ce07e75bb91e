/* What the daemon knows of itself at one moment, gathered in the main thread: what status, metrics
 * and the service manager are told is written from this. */
#pragma once

#include "conf/conf.h"
#include "dns/resolver.h"
#include "event/metrics.h"
#include "kernel/part.h"
#include "proxy/enforcing.h"
#include "proxy/server.h"

#define VIEW_LISTENERS 64

struct view_listener {
	const struct listener_conf *conf;
	const struct metrics_listener *metrics; /* may be NULL */
	bool closed;          /* answers 421: it isn't known yet whether the backend may be used */
	const char *starttls; /* "offered", "absent", "unknown": by the backend */
};

/* Of DNS in the last minute. */
struct view_dns {
	uint64_t lookups, failed;
};

struct view {
	const struct conf *conf;
	struct metrics *metrics;
	struct resolver_stats dns;
	struct view_dns dns_minute;
	uint64_t events_dropped;
	bool answering; /* every worker */
	bool ending;
	enum kernel_state kernel;
	int64_t now_ms, started_ms; /* wall clock */
	struct enforcing_view enforcing;
	uint64_t resident; /* octets of memory */
	uint64_t hosted;   /* domains */
	uint64_t backends_down;
	size_t n_listeners; /* the first VIEW_LISTENERS */
	struct view_listener listeners[VIEW_LISTENERS];
};

/* All but dns_minute, answering, ending and started_ms, which are the caller's. */
void view_fill(struct server *server, struct view *v);
/* Of it only what the resolver has counted. */
struct view_dns view_dns_now(struct server *server);

/* enforcing_resume() and enforcing_reloaded() of that server. */
int view_resume(struct server *server, struct buf *text);
void view_reloaded(struct server *server, const struct conf *conf);
