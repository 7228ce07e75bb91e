#include "kernel/keeper.h"

#include "base/log.h"
#include "kernel/beat.h"
#include "kernel/drop.h"
#include "kernel/limit.h"
#include "kernel/mend.h"
#include "kernel/neighbours.h"
#include "kernel/net.h"
#include "kernel/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEIGHBOURS_BEATS 10 /* between looks at them */
#define AGAIN_S          1  /* before a crashed one is started again */
#define PUT_BACK         "another program had taken away what frontdoor needs; put back"

struct keeper {
	int fd;      /* to the daemon */
	int netlink; /* -1: not open */
	struct prefix_set servers;
	struct ruleset rules;
	bool has_rules;
	bool pending; /* the table should have these rules, and doesn't */
	bool stuck;   /* there is no way for what is steered: mend.h */
	unsigned beats;
	struct prefix_set neighbours; /* as of the last look */
	uint16_t ports[BEAT_PORTS_MAX];
	size_t n_ports;
};

/* ---- messages ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int send_with(int fd, const struct keeper_message *m, int attached)
{
	struct iovec part = { (void *)m, sizeof(*m) };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };

	if (attached >= 0) {
		memcpy(CMSG_DATA(&control.head), &attached, sizeof(attached));
		h.msg_control = &control;
		h.msg_controllen = sizeof(control.space);
	}
	return sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int keeper_send(int fd, const struct keeper_message *m, const struct ruleset *ruleset)
{
	if (!ruleset)
		return send_with(fd, m, -1);
	CLEANUP(close_fd) int file = memfd_create("ruleset", MFD_CLOEXEC);
	CLEANUP(buf_deinit) struct buf text;
	buf_init(&text, PACKED_MAX);
	int e = file < 0 ? -errno : packed_write(ruleset, &text);
	struct sv v = buf_view(&text);
	if (e == 0 && write(file, v.p, v.n) != (ssize_t)v.n)
		e = -EIO;
	return e < 0 ? e : send_with(fd, m, file);
}

/* Takes a descriptor that came along, if one did. As keeper_receive(). */
static int receive_with(int fd, int flags, struct keeper_message *ret_message, int *ret_attached)
{
	struct keeper_message m;
	struct iovec part = { &m, sizeof(m) };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr h = { .msg_iov = &part,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control.space) };
	ssize_t n = recvmsg(fd, &h, flags | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	*ret_attached = -1;
	const struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_attached, CMSG_DATA(c), sizeof(int));
	if (n == 0)
		return -EPIPE;
	if (n != sizeof(m)) {
		close_fd(ret_attached);
		return 0;
	}
	m.text[sizeof(m.text) - 1] = '\0';
	*ret_message = m;
	return 1;
}

int keeper_receive(int fd, struct keeper_message *ret_message)
{
	int attached = -1;
	int r = receive_with(fd, MSG_DONTWAIT, ret_message, &attached);

	close_fd(&attached);
	return r;
}

static void tell(const struct keeper *k, enum keeper_type type, int value, const char *text)
{
	struct keeper_message m = { .type = (uint8_t)type, .value = value };

	snprintf(m.text, sizeof(m.text), "%s", text);
	(void)send_with(k->fd, &m, -1);
}

/* ---- what the daemon wants ---- */

static void forget_rules(struct keeper *k)
{
	if (!k->has_rules)
		return;
	ruleset_deinit(&k->rules);
	prefix_set_deinit(&k->servers);
	k->has_rules = false;
}

static int read_file(int fd, struct buf *out)
{
	char block[4096];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, block, sizeof(block), at)) > 0) {
		int e = buf_add(out, block, (size_t)n);
		if (e < 0)
			return e;
		at += n;
	}
	return n < 0 ? -errno : 0;
}

static int take_rules(struct keeper *k, int file)
{
	CLEANUP(buf_deinit) struct buf text;
	struct prefix_set servers;
	struct ruleset r;

	buf_init(&text, PACKED_MAX);
	int e = file < 0 ? -EBADF : read_file(file, &text);
	if (e == 0)
		e = packed_read(buf_view(&text), &servers, &r);
	if (e < 0)
		return e;
	forget_rules(k);
	k->servers = servers;
	k->rules = r;
	k->rules.servers = &k->servers;
	k->has_rules = true;
	k->n_ports = 0;
	for (size_t i = 0; i < r.n_ways; i++) {
		bool there = false;
		for (size_t n = 0; n < k->n_ports; n++)
			there |= k->ports[n] == r.ways[i].port;
		if (!there)
			k->ports[k->n_ports++] = r.ways[i].port;
	}
	return 0;
}

/* net_up(), with the first line of what it says: of what went wrong, or else of what there is to
 * know. */
static int bring_up(const struct keeper *k, const struct net_options *how,
		    char text[KEEPER_TEXT_MAX])
{
	char told[KEEPER_TEXT_MAX * 4] = "", wrong[KEEPER_TEXT_MAX * 4] = "";
	FILE *out = fmemopen(told, sizeof(told) - 1, "w");
	FILE *err = fmemopen(wrong, sizeof(wrong) - 1, "w");
	int e = -ENOMEM;

	if (out && err)
		e = net_up(&k->rules, how, out, err);
	if (out)
		fclose(out);
	if (err)
		fclose(err);
	const char *said = e < 0 ? wrong : told;
	snprintf(text, KEEPER_TEXT_MAX, "%.*s",
		 (int)min_size(strcspn(said, "\n"), KEEPER_TEXT_MAX - 1), said);
	return e;
}

/* n: of our ports; 0: nothing is steered from now on. */
static int renew(struct keeper *k, size_t n)
{
	if (k->netlink < 0)
		k->netlink = beat_open();
	if (k->netlink < 0)
		return k->netlink;
	int e = beat_renew(k->netlink, k->ports, n);
	/* a busy or damaged socket isn't used again */
	if (e == -ENOBUFS || e == -EPROTO) {
		close(k->netlink);
		k->netlink = -1;
	}
	return e;
}

/* Container engines come and go after us: have other clients become a server's neighbours? */
static bool neighbours_changed(struct keeper *k)
{
	struct prefix_set now;

	prefix_set_init(&now);
	(void)neighbours_add(&k->servers, &now);
	prefix_set_seal(&now);
	bool same = now.n == k->neighbours.n;
	for (size_t i = 0; same && i < now.n; i++)
		same = addr_eq(&now.ranges[i].lo, &k->neighbours.ranges[i].lo) &&
		       addr_eq(&now.ranges[i].hi, &k->neighbours.ranges[i].hi);
	prefix_set_deinit(&k->neighbours);
	k->neighbours = now;
	return !same;
}

/*
 * Beats, and looks after the routing: in this order, since down takes the table's content away
 * first, and what is missing then is not to come back even for a moment. While there is no way for
 * what is steered, nothing is alive. text: what was put back, or what can't be.
 */
static int keep(struct keeper *k, char text[KEEPER_TEXT_MAX])
{
	char what[MEND_TEXT_MAX] = "";
	struct mended mended = { 0 };
	bool was_stuck = k->stuck;
	int e = renew(k, was_stuck ? 0 : k->n_ports);

	if (e < 0)
		return e;
	int m = mend_routing(&k->rules, &mended, what);
	k->stuck = m < 0;
	if (m != 0 || was_stuck)
		e = renew(k, m < 0 ? 0 : k->n_ports);
	if (m > 0 && e == -ENOENT)
		mend_undo(&mended); /* in this moment it is being taken away */
	else if (m != 0)
		snprintf(text, KEEPER_TEXT_MAX, m > 0 ? PUT_BACK ": %s" : "%s", what);
	return e < 0 ? e : m < 0 ? m : 0;
}

static void on_beat(struct keeper *k)
{
	char text[KEEPER_TEXT_MAX] = "";

	if (!k->has_rules) {
		tell(k, KEEPER_WANTS_RULES, 0, "");
		return;
	}
	int e = keep(k, text);
	if (e == 0 && k->beats++ % NEIGHBOURS_BEATS == 0)
		k->pending |= neighbours_changed(k);
	bool flushed = e == -ENOENT && net_is_flushed(&k->rules);
	if (flushed || (e == 0 && k->pending)) {
		e = bring_up(k, &(struct net_options) { .replace = !flushed }, text);
		k->pending = e < 0;
		if (e == 0)
			e = renew(k, k->n_ports);
		if (e == 0 && flushed)
			snprintf(text, sizeof(text), PUT_BACK ": table inet " RULESET_TABLE);
	}
	if (e == 0)
		tell(k, KEEPER_RENEWED, 0, text);
	else if (e == -ENOENT)
		tell(k, KEEPER_ABSENT, 0, "");
	else
		tell(k, KEEPER_TROUBLE, e, text[0] ? text : strerror(-e));
}

static int on_up(struct keeper *k, enum net_test test, int file)
{
	char text[KEEPER_TEXT_MAX] = "";
	int e = take_rules(k, file);

	if (e == 0)
		e = bring_up(k, &(struct net_options) { .test = test }, text);
	/* What net up puts there lasts: a daemon that hangs before its first beat would be
	 * steered to for ever. The next beat says what is wrong if this fails. */
	if (e == 0)
		(void)renew(k, k->n_ports);
	tell(k, KEEPER_IS_UP, e < 0 ? e : 0, text[0] || e >= 0 ? text : strerror(-e));
	return e;
}

static void on_rules(struct keeper *k, int file)
{
	int e = take_rules(k, file);

	if (e < 0)
		tell(k, KEEPER_TROUBLE, e, strerror(-e));
	else
		k->pending = true;
}

static void on_down(void)
{
	if (net_down(false, stderr, stderr) < 0)
		log_error("the kernel's rules could not be taken away; frontdoor net down does it");
}

/* 0: end. */
static int serve(struct keeper *k, bool until_up)
{
	for (;;) {
		struct keeper_message m;
		CLEANUP(close_fd) int file = -1;
		int r = receive_with(k->fd, 0, &m, &file);

		if (r < 0)
			return 0;
		if (r == 0)
			continue;
		if (m.type == KEEPER_BEAT) {
			on_beat(k);
		} else if (m.type == KEEPER_RULES) {
			on_rules(k, file);
		} else if (m.type == KEEPER_UP) {
			on_up(k, m.value == NET_TEST_FULL ? NET_TEST_FULL : NET_TEST_NONE, file);
			if (until_up)
				return 1;
		} else if (m.type == KEEPER_DOWN) {
			on_down();
			return 0;
		}
	}
}

/* ---- the processes ---- */

/* What the daemon has open is not ours: a listening socket would live on in us. */
static int keep_descriptor(int fd)
{
	if (dup2(fd, STDERR_FILENO + 1) < 0)
		return -errno;
	(void)close_range(STDERR_FILENO + 2, ~0u, 0);
	return fcntl(STDERR_FILENO + 1, F_SETFD, FD_CLOEXEC) < 0 ? -errno : STDERR_FILENO + 1;
}

static void settle(const char *name)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE };

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_NAME, name, 0, 0, 0);
}

/* Started again with the same descriptor, until one ends because it should. */
static void watch_over(struct keeper *k)
{
	for (;;) {
		int status = 0;
		pid_t child = fork();

		if (child == 0) {
			settle("fd-kernel");
			_exit(serve(k, false));
		}
		while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return;
		log_error("the kernel process ended (status %d); starting it again", status);
		forget_rules(k); /* the new one asks for them: they may be what it fell over */
		sleep(AGAIN_S);
	}
}

static void run(int fd, const char *user, bool stays_root)
{
	struct keeper k = { .netlink = -1 };

	prefix_set_init(&k.neighbours);
	settle("fd-kernel-watch");
	k.fd = keep_descriptor(fd);
	if (k.fd < 0)
		return;
	if (stays_root && serve(&k, true) == 0)
		return;
	int e = drop_to_net_admin(user);
	if (e < 0) {
		log_error("error=\"%s\" the kernel process can't give up its privileges",
			  strerror(-e));
		return;
	}
	limit_all();
	watch_over(&k);
}

int keeper_start(const char *user, bool stays_root)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		run(ends[1], user, stays_root);
		_exit(0);
	}
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	return ends[0];
}
