#include "kernel/neighbours.h"

#include "kernel/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVERS_MAX 256 /* looked at */
#define SHORTEST    8   /* an unnumbered default route has no neighbours */

/* The route that a packet to a server would take. */
struct way {
	bool found, gateway;
	uint8_t length;
	uint32_t interface;
};

static void look(const struct nlmsghdr *h, void *user)
{
	struct way *w = user;
	const struct rtmsg *m = NLMSG_DATA(h);
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));

	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_type != RTN_UNICAST)
		return;
	w->found = true;
	w->length = m->rtm_dst_len;
	for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == RTA_GATEWAY || a->rta_type == RTA_VIA ||
		    a->rta_type == RTA_MULTIPATH)
			w->gateway = true;
		else if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) == sizeof(w->interface))
			memcpy(&w->interface, RTA_DATA(a), sizeof(w->interface));
	}
}

static struct way way_to(int fd, const struct addr *server)
{
	bool v4 = addr_is_v4(server);
	struct rtmsg r = { .rtm_family = v4 ? AF_INET : AF_INET6,
			   .rtm_dst_len = v4 ? 32 : 128,
			   .rtm_flags = RTM_F_FIB_MATCH };
	static struct netlink m;
	struct way w = { 0 };

	netlink_init(&m);
	netlink_begin(&m, RTM_GETROUTE, NLM_F_ACK, &r, sizeof(r));
	netlink_put(&m, RTA_DST, server->b + (v4 ? 12 : 0), v4 ? 4 : 16);
	if (netlink_ask(fd, &m, look, &w) < 0)
		w.found = false;
	return w;
}

static void look_for_bridge(const struct nlmsghdr *h, void *user)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));

	if (h->nlmsg_type != RTM_NEWLINK)
		return;
	for (const struct rtattr *a = IFLA_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if ((a->rta_type & NLA_TYPE_MASK) != IFLA_LINKINFO)
			continue;
		int rest = (int)RTA_PAYLOAD(a);
		for (const struct rtattr *k = RTA_DATA(a); RTA_OK(k, rest); k = RTA_NEXT(k, rest))
			if (k->rta_type == IFLA_INFO_KIND && RTA_PAYLOAD(k) >= sizeof("bridge") &&
			    memcmp(RTA_DATA(k), "bridge", sizeof("bridge")) == 0)
				*(bool *)user = true;
	}
}

static bool is_bridge(int fd, uint32_t interface)
{
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC, .ifi_index = (int)interface };
	static struct netlink m;
	bool bridge = false;

	netlink_init(&m);
	netlink_begin(&m, RTM_GETLINK, NLM_F_ACK, &i, sizeof(i));
	return netlink_ask(fd, &m, look_for_bridge, &bridge) == 0 && bridge;
}

static bool bridges_are_filtered(bool v4)
{
	char c = '0';
	int fd = open(v4 ? "/proc/sys/net/bridge/bridge-nf-call-iptables"
			 : "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
		      O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	bool on = read(fd, &c, 1) == 1 && c != '0';
	close(fd);
	return on;
}

static struct addr_range range_of(const struct addr *a, unsigned length)
{
	struct addr_range r = { *a, *a };

	for (unsigned bit = length; bit < 128; bit++) {
		r.lo.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
		r.hi.b[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
	}
	return r;
}

int neighbours_add(const struct prefix_set *servers, struct prefix_set *set)
{
	bool filtered[2] = { bridges_are_filtered(false), bridges_are_filtered(true) };
	int e = 0;

	if (!filtered[0] && !filtered[1])
		return 0;
	int fd = netlink_open(NETLINK_ROUTE);
	if (fd < 0)
		return 0;
	for (size_t i = 0; e >= 0 && i < servers->n && i < SERVERS_MAX; i++) {
		const struct addr *a = &servers->ranges[i].lo;
		bool v4 = addr_is_v4(a);
		if (!filtered[v4])
			continue;
		struct way w = way_to(fd, a);
		if (!w.found || w.gateway || w.length < SHORTEST || !is_bridge(fd, w.interface))
			continue;
		struct addr_range r = range_of(a, w.length + (v4 ? 96u : 0u));
		e = prefix_set_add_range(set, &r);
	}
	close(fd);
	return e < 0 ? -ENOMEM : 0;
}
