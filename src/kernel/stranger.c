#include "kernel/stranger.h"

#include "kernel/netlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INSIDE     "outside" /* its interface, in its namespace */
#define CONNECT_MS 5000
#define LINE_MS    10000
#define GOODBYE_MS 1000
#define END_MS     3000
#define LOOK_MS    100 /* for signals */

static const uint8_t host_v4[4] = { 198, 18, 255, 253 }, own_v4[4] = { 198, 18, 255, 254 };
static const uint8_t host_v6[16] = { 0xfd, 0x66, 0x72, 0x6f, 0x6e, 0x74, [15] = 1 };
static const uint8_t own_v6[16] = { 0xfd, 0x66, 0x72, 0x6f, 0x6e, 0x74, [15] = 2 };

struct call {
	struct endpoint to;
	bool silent;
};

/* ---- interfaces ---- */

static int ask(const struct netlink *m)
{
	int fd = netlink_open(NETLINK_ROUTE);

	if (fd < 0)
		return fd;
	int e = netlink_exchange(fd, m);
	close(fd);
	return e;
}

static int add_pair(pid_t peer)
{
	struct ifinfomsg none = { 0 };
	struct netlink m;

	netlink_init(&m);
	netlink_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &none, sizeof(none));
	netlink_put_text(&m, IFLA_IFNAME, STRANGER_INTERFACE);
	size_t info = netlink_enter(&m, IFLA_LINKINFO);
	netlink_put_text(&m, IFLA_INFO_KIND, "veth");
	size_t data = netlink_enter(&m, IFLA_INFO_DATA);
	size_t other = netlink_enter(&m, VETH_INFO_PEER);
	/* this attribute begins with a header of the other end */
	memset(m.bytes + m.n, 0, sizeof(none));
	m.n += NLMSG_ALIGN(sizeof(none));
	netlink_put_text(&m, IFLA_IFNAME, INSIDE);
	netlink_put_u32(&m, IFLA_NET_NS_PID, (uint32_t)peer);
	netlink_leave(&m, other);
	netlink_leave(&m, data);
	netlink_leave(&m, info);
	((struct nlmsghdr *)(void *)m.bytes)->nlmsg_len = (uint32_t)m.n;
	return ask(&m);
}

static int change_link(const char *name, bool remove)
{
	struct ifinfomsg link = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct netlink m;

	netlink_init(&m);
	if (remove)
		link.ifi_flags = link.ifi_change = 0;
	netlink_begin(&m, remove ? RTM_DELLINK : RTM_NEWLINK, NLM_F_ACK, &link, sizeof(link));
	netlink_put_text(&m, IFLA_IFNAME, name);
	return ask(&m);
}

static int add_address(const char *name, int family, const void *address)
{
	size_t n = family == AF_INET ? 4 : 16;
	struct ifaddrmsg a = { .ifa_family = (uint8_t)family,
			       .ifa_prefixlen = family == AF_INET ? 30 : 126,
			       .ifa_flags = family == AF_INET ? 0 : IFA_F_NODAD,
			       .ifa_index = if_nametoindex(name) };
	struct netlink m;

	netlink_init(&m);
	netlink_begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &a, sizeof(a));
	netlink_put(&m, IFA_LOCAL, address, n);
	netlink_put(&m, IFA_ADDRESS, address, n);
	return ask(&m);
}

static int add_way_out(int family, const void *gateway)
{
	struct rtmsg r = { .rtm_family = (uint8_t)family,
			   .rtm_table = RT_TABLE_MAIN,
			   .rtm_protocol = RTPROT_STATIC,
			   .rtm_scope = RT_SCOPE_UNIVERSE,
			   .rtm_type = RTN_UNICAST };
	struct netlink m;

	netlink_init(&m);
	netlink_begin(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_ACK, &r, sizeof(r));
	netlink_put(&m, RTA_GATEWAY, gateway, family == AF_INET ? 4 : 16);
	return ask(&m);
}

/* ---- the stranger ---- */

/* 0; errno. */
static int connect_within(int fd, const struct endpoint *to)
{
	struct sockaddr_storage sa;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t n = endpoint_to_sockaddr(to, false, &sa), length = sizeof(int);
	int error = 0;

	if (connect(fd, (struct sockaddr *)&sa, n) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&p, 1, CONNECT_MS) <= 0)
		return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return errno;
	return error;
}

static void read_line(int fd, char *line, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0;

	while (n < size - 1 && !memchr(line, '\n', n) && poll(&p, 1, LINE_MS) > 0) {
		ssize_t more = recv(fd, line + n, size - 1 - n, 0);
		if (more <= 0)
			break;
		n += (size_t)more;
	}
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	for (char *c = line; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

/* Goodbye, heard or not: what the daemon isn't told before the interface goes, it would keep as a
 * session until its time is up. */
static void hang_up(int *held)
{
	static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	struct pollfd p = { .fd = *held, .events = POLLIN };
	char rest[512];

	if (*held < 0)
		return;
	if (send(*held, "QUIT\r\n", 6, MSG_NOSIGNAL) == 6)
		while (poll(&p, 1, GOODBYE_MS) > 0 && recv(*held, rest, sizeof(rest), 0) > 0)
			;
	(void)setsockopt(*held, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(*held);
	*held = -1;
}

static void call(const struct call *c, int *held, struct stranger_call *ret)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);

	*ret = (struct stranger_call) { 0 };
	hang_up(held);
	*held = socket(addr_is_v4(&c->to.addr) ? AF_INET : AF_INET6,
		       SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret->error = *held < 0 ? errno : connect_within(*held, &c->to);
	if (ret->error == 0 && getsockname(*held, (struct sockaddr *)&sa, &n) == 0)
		(void)endpoint_from_sockaddr((struct sockaddr *)&sa, &ret->self);
	if (ret->error == 0 && !c->silent)
		read_line(*held, ret->line, sizeof(ret->line));
}

static bool settle(int family, const void *own, const void *host)
{
	return add_address(INSIDE, family, own) == 0 && add_way_out(family, host) == 0;
}

static void live(int fd)
{
	struct stranger_call result;
	struct call c;
	int held = -1, e = unshare(CLONE_NEWNET) < 0 ? errno : 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (send(fd, &e, sizeof(e), MSG_NOSIGNAL) < 0 || e != 0)
		return;
	/* the other end is there when the first word comes */
	if (recv(fd, &c, sizeof(c), 0) != sizeof(c) || change_link("lo", false) < 0 ||
	    change_link(INSIDE, false) < 0)
		return;
	bool families[2] = { settle(AF_INET, own_v4, host_v4), settle(AF_INET6, own_v6, host_v6) };
	if (send(fd, families, sizeof(families), MSG_NOSIGNAL) < 0)
		return;
	while (recv(fd, &c, sizeof(c), 0) == sizeof(c)) {
		call(&c, &held, &result);
		if (send(fd, &result, sizeof(result), MSG_NOSIGNAL) < 0)
			break;
	}
	hang_up(&held);
}

/* ---- this side ---- */

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };

void stranger_hold_signals(sigset_t *ret_former)
{
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++) {
		struct sigaction a;
		if (sigaction(ending[i], NULL, &a) == 0 && a.sa_handler != SIG_IGN)
			sigaddset(&held, ending[i]);
	}
	sigprocmask(SIG_BLOCK, &held, ret_former);
}

/* One that nobody reads our words any more (SIGPIPE) is no wish. */
static bool is_given_up(void)
{
	sigset_t waiting;

	if (sigpending(&waiting) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		if (ending[i] != SIGPIPE && sigismember(&waiting, ending[i]))
			return true;
	return false;
}

static int receive(int fd, void *answer, size_t n)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, LOOK_MS) == 0)
		if (is_given_up())
			return -EINTR;
	ssize_t r = recv(fd, answer, n, 0);

	return r < 0 ? -errno : (size_t)r == n ? 0 : -EPIPE;
}

static int connect_host(struct stranger *s)
{
	struct call none = { 0 };
	bool families[2];
	int e = add_pair(s->pid);

	s->paired = e == 0;
	if (e == 0)
		e = change_link(STRANGER_INTERFACE, false);
	if (e < 0)
		return e;
	bool v4 = add_address(STRANGER_INTERFACE, AF_INET, host_v4) == 0;
	bool v6 = add_address(STRANGER_INTERFACE, AF_INET6, host_v6) == 0;
	if (send(s->fd, &none, sizeof(none), MSG_NOSIGNAL) < 0)
		return -errno;
	e = receive(s->fd, families, sizeof(families));
	if (e == 0) {
		s->v4 = v4 && families[0];
		s->v6 = v6 && families[1];
	}
	return e;
}

int stranger_begin(struct stranger *ret_stranger)
{
	struct stranger s = { .pid = -1 };
	int ends[2], error = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	s.pid = fork();
	if (s.pid == 0) {
		close(ends[0]);
		live(ends[1]);
		_exit(0);
	}
	close(ends[1]);
	s.fd = ends[0];
	int e = s.pid < 0 ? -EAGAIN : receive(s.fd, &error, sizeof(error));
	if (e == 0)
		e = error ? -error : connect_host(&s);
	if (e < 0) {
		stranger_end(&s);
		return e;
	}
	*ret_stranger = s;
	return 0;
}

int stranger_connect(struct stranger *s, const struct endpoint *to, bool silent,
		     struct stranger_call *ret_call)
{
	struct call c = { .to = *to, .silent = silent };

	if (send(s->fd, &c, sizeof(c), MSG_NOSIGNAL) < 0)
		return -errno;
	int e = receive(s->fd, ret_call, sizeof(*ret_call));
	if (e == -EINTR)
		kill(s->pid, SIGKILL); /* no goodbye, nobody waits for one */
	return e;
}

/* It hangs up and ends when there is nobody to ask it; not for ever. */
static void wait_for_end(pid_t pid)
{
	static const struct timespec moment = { .tv_nsec = 10 * 1000000 };

	for (int ms = 0; ms < END_MS; ms += 10) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		(void)nanosleep(&moment, NULL);
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void stranger_end(struct stranger *s)
{
	close(s->fd);
	if (s->pid > 0)
		wait_for_end(s->pid);
	/* now, not when the kernel gets round to it: down must find nothing */
	if (s->paired)
		(void)change_link(STRANGER_INTERFACE, true);
}
