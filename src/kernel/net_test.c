/*
 * Each port of a family, and each address, is tried, but not each port with each address: a packet
 * filter that treats one port of one server otherwise is one that was told to.
 */
#include "kernel/net_test.h"

#include "base/marks.h"
#include "kernel/diag.h"
#include "kernel/stranger.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SAYS        "frontdoor net: "
#define SAID_MAX    512
#define TARGETS_MAX 8
#define SERVER_MS   3000

/* With tcp_fwmark_accept the socket has the packet's mark. */
static bool is_daemons(uint32_t mark)
{
	return (mark & MARK_MASK) == MARK_CLIENT || (mark & MARK_MASK) == MARK_LOCAL;
}

/* Addresses to connect to; their number. */
static size_t choose_targets(const struct ruleset *r, bool v4, struct addr out[TARGETS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; n < TARGETS_MAX && i < r->servers->n; i++) {
		const struct addr_range *a = &r->servers->ranges[i];

		if (addr_is_v4(&a->lo) == v4 && addr_eq(&a->lo, &a->hi))
			out[n++] = a->lo;
	}
	return n;
}

/* By a connection of our own, which nobody steers. */
static bool server_answers(const struct endpoint *server)
{
	struct sockaddr_storage sa;
	socklen_t n = endpoint_to_sockaddr(server, false, &sa), length = sizeof(int);
	int error = ETIMEDOUT;
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (fd < 0)
		return false;
	if (connect(fd, (struct sockaddr *)&sa, n) == 0)
		error = 0;
	else if (errno == EINPROGRESS && poll(&p, 1, SERVER_MS) > 0)
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	close(fd);
	return error == 0;
}

/* What came of it. */
enum outcome {
	WORKS,
	SERVER_DOWN, /* steered, but there may be nobody to be steered to */
	BROKEN,
};

static enum outcome judge(const struct ruleset_way *way, const char *to,
			  const struct stranger_call *call, char text[SAID_MAX])
{
	uint32_t mark = 0;
	char end[ADDR_STRLEN + 8];

	if (call->error != 0) {
		snprintf(text, SAID_MAX,
			 "a test connection from %s to %s does not get through: %s; does a packet "
			 "filter of this host let port %d in (chain input)? --no-test goes without",
			 STRANGER_INTERFACE, to, strerror(call->error), way->port);
		return BROKEN;
	}
	int r = diag_connection(&call->self, &mark);
	if (r < 0) {
		snprintf(text, SAID_MAX, "list of connections: %s", strerror(-r));
		return BROKEN;
	}
	if (strncmp(call->line, "421", 3) == 0) {
		snprintf(text, SAID_MAX, "a test connection to %s was answered \"%s\"", to,
			 call->line);
		return SERVER_DOWN;
	}
	if (r == 0 || !is_daemons(mark)) {
		snprintf(text, SAID_MAX,
			 "a test connection to %s is not steered to the daemon; another program's "
			 "rules were faster",
			 to);
		return BROKEN;
	}
	if (call->line[0] || way->silent)
		return WORKS;
	snprintf(text, SAID_MAX,
		 "a test connection to %s reaches the daemon, but nothing comes back; does the "
		 "mail server's answer to %s go through this host?",
		 to, endpoint_format(&call->self, end));
	return SERVER_DOWN;
}

/* An outcome; -errno after one line on err. */
static int try_target(const struct ruleset_way *way, const struct endpoint *target,
		      struct stranger *s, char text[SAID_MAX], FILE *err)
{
	struct stranger_call call;
	char to[ADDR_STRLEN + 8];
	int e = stranger_connect(s, target, way->silent, &call);

	if (e == 0)
		return (int)judge(way, endpoint_format(target, to), &call, text);
	if (e == -EINTR)
		fprintf(err, SAYS "interrupted before the test connection was done: all is as it "
				  "was before\n");
	else
		fprintf(err, SAYS "the test connection's process ended: %s\n", strerror(-e));
	return e;
}

static int try_targets(const struct ruleset_way *way, const struct addr *targets, size_t n,
		       bool all, struct stranger *s, FILE *out, FILE *err)
{
	char text[SAID_MAX] = "";
	bool any = false;
	int e = WORKS;

	for (size_t i = 0; i < n && (all || !any); i++) {
		struct endpoint target = { .addr = targets[i], .port = way->port };

		e = try_target(way, &target, s, text, err);
		if (e < 0)
			return e;
		if (e == SERVER_DOWN && (n == 1 || server_answers(&target)))
			e = BROKEN;
		if (e == BROKEN)
			break;
		if (e == SERVER_DOWN)
			fprintf(out, "%s (to this host it does not answer either)\n", text);
		any |= e == WORKS;
	}
	if (any && e != BROKEN)
		return 0;
	fprintf(err, SAYS "%s\n", text);
	return -ECONNREFUSED;
}

static int try_way(const struct ruleset *r, const struct ruleset_way *way, bool all,
		   struct stranger *s, FILE *out, FILE *err)
{
	struct addr targets[TARGETS_MAX];
	char listener[ADDR_STRLEN + 8];
	uint32_t mark;

	int e = diag_listener(&way->listener, &mark);
	if (e == 0)
		fprintf(out, "no daemon listens at %s: port %d is not tested\n",
			endpoint_format(&way->listener, listener), way->port);
	if (e <= 0)
		return e;
	size_t n = choose_targets(r, way->v4, targets);
	if (n == 0) {
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
	if (way->v4 ? s->v4 : s->v6)
		return try_targets(way, targets, n, all, s, out, err);
	fprintf(out, "this host has no %s: port %d is not tested there\n",
		way->v4 ? "IPv4" : "IPv6", way->port);
	return 0;
}

int net_test(const struct ruleset *r, FILE *out, FILE *err)
{
	struct stranger s = { .pid = -1, .fd = -1 };
	bool tested[2] = { false, false };
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->n_ways; i++) {
		e = try_way(r, &r->ways[i], !tested[r->ways[i].v4], &s, out, err);
		tested[r->ways[i].v4] = true;
	}
	if (s.pid > 0)
		stranger_end(&s);
	return e;
}
