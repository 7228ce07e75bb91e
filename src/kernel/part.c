#include "kernel/part.h"

#include "base/log.h"
#include "kernel/keeper.h"
#include "kernel/net.h"
#include "proxy/privileges.h"
#include "proxy/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_FAILED  1
#define EXIT_CONF    78
#define DOWN_MS      10000
#define HIGH_FD      4000
#define UNANSWERED   3                          /* beats without an answer: it hangs */
#define INHERITED_AS "FRONTDOOR_KERNEL_PROCESS" /* environment: descriptor, after a restart */

static struct part {
	bool net, test;
	bool inherited; /* it was there before us */
	bool waiting;   /* for the answer to KEEPER_UP */
	bool quiet;     /* another process has it now, or it is over */
	int fd;         /* -1: there is none */
	int unanswered;
	enum kernel_state state;
	struct server *server;
	uv_poll_t poll;
} part = { .fd = -1, .state = KERNEL_NOT_WANTED };

static const char *const state_names[] = {
	[KERNEL_NOT_WANTED] = "not-wanted",
	[KERNEL_UNKNOWN] = "unknown",
	[KERNEL_STEERING] = "steering",
	[KERNEL_ABSENT] = "absent",
	[KERNEL_TROUBLE] = "trouble",
	[KERNEL_STUCK] = "stuck",
	[KERNEL_GONE] = "gone",
};

const char *kernel_state_name(enum kernel_state s)
{
	INVARIANT(s < ARRAY_SIZE(state_names));
	return state_names[s];
}

enum kernel_state kernel_part_state(void)
{
	return part.state;
}

/* ---- telling ---- */

const char *kernel_state_text(enum kernel_state s)
{
	switch (s) {
	case KERNEL_STEERING:
		return "connections are steered here while the daemon answers";
	case KERNEL_ABSENT:
		return "there is no table inet frontdoor: nothing is steered here; frontdoor net "
		       "up puts it in place";
	case KERNEL_TROUBLE:
		return "the kernel's rules can't be kept; trying again each second";
	case KERNEL_STUCK:
		return "a worker does not answer: new connections are not steered here until it "
		       "does";
	case KERNEL_GONE:
		return "there is no kernel process, or it does not answer: no heartbeat is kept; "
		       "ending frontdoor and starting it again helps";
	case KERNEL_NOT_WANTED:
	case KERNEL_UNKNOWN:
		break;
	}
	return "";
}

/* Once for each change. more: what was said of it; may be "". */
static void enter(enum kernel_state s, const char *more)
{
	char text[512], kind[32];

	if (part.state == s || part.quiet)
		return;
	part.state = s;
	snprintf(text, sizeof(text), "%s%s%s", kernel_state_text(s), more[0] ? ": " : "", more);
	snprintf(kind, sizeof(kind), "kernel-%s", kernel_state_name(s));
	if (s == KERNEL_STEERING)
		log_info("kernel=%s %s", kernel_state_name(s), text);
	else
		log_warning("kernel=%s %s", kernel_state_name(s), text);
	event_emit_note(part.server->events, kind, text);
}

static void tell_restored(const char *text)
{
	log_warning("kernel=restored %s", text);
	event_emit_note(part.server->events, "kernel-restored", text);
}

/* ---- the rules ---- */

/* 0; EXIT_CONF: said why; -errno. */
static int send_rules(const struct conf *conf, enum keeper_type type)
{
	struct keeper_message m = { .type = (uint8_t)type,
				    .value = part.test ? NET_TEST_FULL : NET_TEST_NONE };
	struct ruleset r;

	if (ruleset_from_conf(conf, stderr, &r) < 0)
		return EXIT_CONF;
	int e = keeper_send(part.fd, &m, &r);
	ruleset_deinit(&r);
	return e;
}

static bool is_wanted(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_listeners; i++)
		if (conf->listeners[i].mode == LISTENER_TPROXY)
			return conf->policy.server_addresses.n > 0;
	return false;
}

/* The one of the process that we take over from; -1. */
static int inherit(void)
{
	const char *text = getenv(INHERITED_AS);
	struct stat st;
	uint64_t fd;

	if (!text || sv_to_u64(sv_from(text), INT32_MAX, &fd) < 0 || fstat((int)fd, &st) < 0 ||
	    !S_ISSOCK(st.st_mode))
		return -1;
	return (int)fd;
}

/* For a process that takes over from this one, since it can't start its own any more: at a number
 * that no listening socket is handed over as. */
static int bequeath(void)
{
	struct rlimit limit;
	char text[16];

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	int high = (int)min_size(HIGH_FD, (size_t)limit.rlim_cur / 2);
	int fd = part.fd >= high ? part.fd : fcntl(part.fd, F_DUPFD, high);
	if (fd < 0)
		return -errno;
	if (fd != part.fd)
		close(part.fd);
	part.fd = fd;
	snprintf(text, sizeof(text), "%d", fd);
	return fcntl(fd, F_SETFD, 0) < 0 || setenv(INHERITED_AS, text, 1) < 0 ? -errno : 0;
}

static int prepare(void *user, const struct conf *conf)
{
	if (!is_wanted(conf)) {
		int former = inherit(); /* it ends when the process before us has */
		if (former >= 0)
			close(former);
		unsetenv(INHERITED_AS);
		if (!part.net)
			return 0;
		fprintf(stderr,
			"%s: serve --net: no listener has mode: tproxy, or server_addresses is "
			"empty; others need nothing of the kernel\n",
			conf->file);
		return EXIT_CONF;
	}
	part.state = KERNEL_UNKNOWN;
	part.fd = inherit();
	part.inherited = part.fd >= 0;
	if (!part.inherited)
		part.fd = keeper_start(conf->user ? conf->user : PRIVILEGES_USER,
				       part.net && part.test);
	return part.fd < 0 ? part.fd : bequeath();
}

/* ---- listening to it ---- */

static void gone(void)
{
	uv_poll_stop(&part.poll);
	close(part.fd);
	part.fd = -1;
	unsetenv(INHERITED_AS);
	enter(KERNEL_GONE, "");
}

static void on_up(const struct keeper_message *m)
{
	part.waiting = false;
	if (m->value == 0) {
		if (m->text[0])
			log_info("%s", m->text);
		return;
	}
	log_error("%s", m->text);
	part.net = false; /* it is undone already */
	server_stop(part.server, EXIT_FAILED);
}

static void on_message(const struct keeper_message *m)
{
	part.unanswered = 0;
	switch (m->type) {
	case KEEPER_RENEWED:
		if (m->text[0])
			tell_restored(m->text);
		enter(KERNEL_STEERING, "");
		break;
	case KEEPER_ABSENT:
		if (!part.waiting)
			enter(KERNEL_ABSENT, "");
		break;
	case KEEPER_TROUBLE:
		enter(KERNEL_TROUBLE, m->text);
		break;
	case KEEPER_WANTS_RULES:
		(void)send_rules(server_conf(part.server), KEEPER_RULES);
		break;
	case KEEPER_IS_UP:
		on_up(m);
		break;
	default:
		break;
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct keeper_message m;
	int r;

	while ((r = keeper_receive(part.fd, &m)) > 0)
		on_message(&m);
	if (r < 0)
		gone();
}

static void beat(void *user, bool answering)
{
	struct keeper_message m = { .type = KEEPER_BEAT };

	if (part.fd < 0 || part.quiet)
		return;
	if (!answering) {
		enter(KERNEL_STUCK, "");
		return;
	}
	if (part.waiting) /* it is busy with the test connection, which needs no beat */
		return;
	int r = keeper_send(part.fd, &m, NULL);
	if (r < 0 && r != -EAGAIN)
		gone();
	else if (++part.unanswered > UNANSWERED)
		enter(KERNEL_GONE, "");
}

static int start(void *user, struct server *server, uv_loop_t *loop)
{
	part.server = server;
	if (part.fd < 0)
		return 0;
	/* one that was there before has the table; what it answers may be read by the other daemon,
	 * so nothing must depend on it */
	bool up = part.net && !part.inherited;
	int r = send_rules(server_conf(server), up ? KEEPER_UP : KEEPER_RULES);
	if (r != 0)
		return r;
	part.waiting = up;
	if ((r = uv_poll_init(loop, &part.poll, part.fd)) < 0)
		return r;
	r = uv_poll_start(&part.poll, UV_READABLE, on_readable);
	if (r == 0)
		beat(user, true); /* the workers have just begun: steered from now on */
	return r;
}

static void reloaded(void *user, const struct conf *conf)
{
	bool wanted = is_wanted(conf);

	if (part.quiet)
		return;
	if (part.fd < 0 && wanted)
		enter(KERNEL_GONE, ""); /* it can't be started any more */
	else if (part.fd >= 0 && !wanted)
		log_warning("no listener has mode: tproxy any more, or server_addresses is empty: "
			    "the kernel's rules stay as they were; frontdoor net down takes them "
			    "away");
	else if (part.fd >= 0 && send_rules(conf, KEEPER_RULES) != 0)
		log_warning("the kernel's rules are those of the former configuration");
}

static void ending(void *user, bool handover)
{
	if (part.fd < 0)
		return;
	part.quiet = true;
	uv_poll_stop(&part.poll); /* what it says is for the process that takes over */
	if (handover)
		part.net = false;
}

static void stop(void *user)
{
	struct keeper_message m = { .type = KEEPER_DOWN };
	struct pollfd p = { .fd = part.fd, .events = POLLIN };

	if (part.fd < 0)
		return;
	/* until it has ended, with all that it had put in place */
	if (part.net && keeper_send(part.fd, &m, NULL) == 0)
		while (poll(&p, 1, DOWN_MS) > 0 && keeper_receive(part.fd, &m) >= 0)
			;
	close(part.fd);
	part.fd = -1;
}

struct server_part kernel_part(bool net, bool test)
{
	part.net = net;
	part.test = test;
	return (struct server_part) { .prepare = prepare,
				      .start = start,
				      .beat = beat,
				      .reloaded = reloaded,
				      .ending = ending,
				      .stop = stop };
}
