#include "service/view.h"

#include "base/clock.h"
#include "proxy/backends.h"
#include "proxy/setup.h"
#include "proxy/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t resident(void)
{
	char line[128]; /* total, resident, ...: in pages (proc(5)) */
	FILE *f = fopen("/proc/self/statm", "re");
	const char *second = f && fgets(line, sizeof(line), f) ? strchr(line, ' ') : NULL;

	if (f)
		fclose(f);
	return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static const char *starttls_word(int seen)
{
	switch ((enum starttls_seen)seen) {
	case STARTTLS_OFFERED:
		return "offered";
	case STARTTLS_ABSENT:
		return "absent";
	case STARTTLS_UNKNOWN:
		break;
	}
	return "unknown";
}

struct view_dns view_dns_now(struct server *server)
{
	struct resolver_stats stats;

	resolver_stats(server->resolver, &stats);
	return (struct view_dns) { stats.lookups, stats.failed };
}

int view_resume(struct server *server, struct buf *text)
{
	return enforcing_resume(server->enforcing, text);
}

void view_reloaded(struct server *server, const struct conf *conf)
{
	enforcing_reloaded(server->enforcing, conf);
}

void view_fill(struct server *server, struct view *v)
{
	v->conf = server_conf(server);
	v->metrics = server_metrics(server);
	v->kernel = kernel_part_state();
	resolver_stats(server->resolver, &v->dns);
	v->events_dropped = event_dropped(server->events);
	enforcing_view(server->enforcing, &v->enforcing);
	v->now_ms = clock_wall_ms();
	v->resident = resident();
	v->hosted = memory_hosted_count(server->memory);
	v->backends_down = backends_down(server->backends);
	v->n_listeners = min_size(v->conf->n_listeners, VIEW_LISTENERS);
	for (size_t i = 0; i < v->n_listeners; i++) {
		struct listener *l = &server->setup->listeners[i];

		v->listeners[i] = (struct view_listener) {
			.conf = l->conf,
			.metrics = l->metrics,
			.closed = atomic_load(&l->closed),
			.starttls = starttls_word(atomic_load(&l->starttls)),
		};
	}
}
