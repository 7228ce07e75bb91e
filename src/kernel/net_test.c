#include "kernel/net_test.h"

#include "base/marks.h"
#include "kernel/diag.h"
#include "kernel/stranger.h"

#include <errno.h>

#define SAYS "frontdoor net: "

/* With tcp_fwmark_accept the socket has the packet's mark. */
static bool is_daemons(uint32_t mark)
{
	return (mark & MARK_MASK) == MARK_CLIENT || (mark & MARK_MASK) == MARK_LOCAL;
}

/* An address to connect to; false: there is none that we know of. */
static bool choose_target(const struct ruleset *r, bool v4, struct addr *ret_addr)
{
	for (size_t i = 0; i < r->servers->n; i++) {
		const struct addr_range *a = &r->servers->ranges[i];

		if (addr_is_v4(&a->lo) == v4 && addr_eq(&a->lo, &a->hi)) {
			*ret_addr = a->lo;
			return true;
		}
	}
	return false;
}

static int judge(const struct ruleset_way *way, const char *to, const struct stranger_call *call,
		 FILE *err)
{
	uint32_t mark = 0;
	char end[ADDR_STRLEN + 8];

	if (call->error != 0) {
		fprintf(err,
			SAYS "a test connection from %s to %s does not get through: %s; does a "
			     "packet filter of this host let port %d in (chain input)?\n",
			STRANGER_INTERFACE, to, strerror(call->error), way->port);
		return -ECONNREFUSED;
	}
	if (strncmp(call->line, "421", 3) == 0) {
		fprintf(err, SAYS "a test connection to %s was answered \"%s\"\n", to, call->line);
		return -ECONNREFUSED;
	}
	int r = diag_connection(&call->self, &mark);
	if (r < 0 || (r == 1 && is_daemons(mark) && (call->line[0] || way->silent)))
		return r < 0 ? r : 0;
	if (r == 1 && is_daemons(mark))
		fprintf(err,
			SAYS "a test connection to %s reaches the daemon, but nothing comes "
			     "back; does the mail server's answer to %s go through this host?\n",
			to, endpoint_format(&call->self, end));
	else
		fprintf(err,
			SAYS "a test connection to %s is not steered to the daemon; another "
			     "program's rules were faster\n",
			to);
	return -ECONNREFUSED;
}

static int try_way(const struct ruleset *r, const struct ruleset_way *way, struct stranger *s,
		   FILE *out, FILE *err)
{
	struct endpoint target = { .port = way->port };
	struct stranger_call call;
	char to[ADDR_STRLEN + 8], listener[ADDR_STRLEN + 8];
	uint32_t mark;

	int e = diag_listener(&way->listener, &mark);
	if (e == 0)
		fprintf(out, "no daemon listens at %s: port %d is not tested\n",
			endpoint_format(&way->listener, listener), way->port);
	if (e <= 0)
		return e;
	if (!choose_target(r, way->v4, &target.addr)) {
		fprintf(out, "server_addresses has prefixes only: port %d is not tested\n",
			way->port);
		return 0;
	}
	if (s->pid < 0 && (e = stranger_begin(s)) < 0) {
		fprintf(err,
			SAYS "no test connection can be made: %s; it needs CAP_SYS_ADMIN and "
			     "virtual interfaces (veth); --no-test goes without\n",
			strerror(-e));
		return e;
	}
	endpoint_format(&target, to);
	if (!(way->v4 ? s->v4 : s->v6)) {
		fprintf(out, "this host has no %s: %s is not tested\n", way->v4 ? "IPv4" : "IPv6",
			to);
		return 0;
	}
	e = stranger_connect(s, &target, way->silent, &call);
	if (e == 0)
		return judge(way, to, &call, err);
	fprintf(err, SAYS "the test connection's process ended: %s\n", strerror(-e));
	return e;
}

int net_test(const struct ruleset *r, FILE *out, FILE *err)
{
	struct stranger s = { .pid = -1, .fd = -1 };
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->n_ways; i++)
		e = try_way(r, &r->ways[i], &s, out, err);
	if (s.pid > 0)
		stranger_end(&s);
	return e;
}
