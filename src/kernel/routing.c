#include "kernel/routing.h"

#include "base/marks.h"
#include "kernel/ruleset.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOPBACK_INDEX 1 /* LOOPBACK_IFINDEX of the kernel: in every network namespace */

/* Nothing asked of the kernel here needs more. */
struct request {
	struct nlmsghdr head;
	union {
		struct rtmsg route;
		struct fib_rule_hdr rule;
	};
	char attributes[96];
};
_Static_assert(sizeof(struct rtmsg) == sizeof(struct fib_rule_hdr), "one size for both");

static void request_init(struct request *q, int type, int flags)
{
	*q = (struct request) {
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
			  .nlmsg_type = (uint16_t)type,
			  .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
			  .nlmsg_seq = 1 },
	};
}

static void request_add(struct request *q, unsigned short type, const void *value, size_t n)
{
	struct rtattr *a = (void *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	INVARIANT(q->head.nlmsg_len + RTA_SPACE(n) <= sizeof(*q));
	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(n);
	memcpy(RTA_DATA(a), value, n);
	q->head.nlmsg_len = NLMSG_ALIGN(q->head.nlmsg_len) + (uint32_t)RTA_SPACE(n);
}

static void request_add_u32(struct request *q, unsigned short type, uint32_t value)
{
	request_add(q, type, &value, sizeof(value));
}

static void request_add_u8(struct request *q, unsigned short type, uint8_t value)
{
	request_add(q, type, &value, sizeof(value));
}

static int netlink_open(void)
{
	int on = 1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	/* Lets a dump be of one table only: a router may have a million routes. Older kernels give
	 * all, so what comes is looked at nevertheless. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return fd;
}

/* Sends q and reads until the answer ends: 0 or the kernel's -errno. */
static int netlink_ask(const struct request *q, void (*fn)(const struct nlmsghdr *, void *),
		       void *arg)
{
	static _Alignas(struct nlmsghdr) char in[32768];
	int fd = netlink_open();
	int e = fd < 0 ? fd : 1;

	if (e > 0 && send(fd, q, q->head.nlmsg_len, 0) < 0)
		e = -errno;
	while (e > 0) {
		ssize_t n = recv(fd, in, sizeof(in), 0);
		if (n < 0) {
			e = errno == EINTR ? 1 : -errno;
			continue;
		}
		unsigned left = (unsigned)n;
		for (struct nlmsghdr *h = (void *)in; e > 0 && NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				e = 0;
			else if (h->nlmsg_type == NLMSG_ERROR)
				e = ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			else if (fn)
				fn(h, arg);
		}
	}
	if (fd >= 0)
		close(fd);
	return e;
}

static uint32_t attribute_u32(const struct rtattr *a)
{
	uint32_t value = 0;

	memcpy(&value, RTA_DATA(a),
	       RTA_PAYLOAD(a) < sizeof(value) ? RTA_PAYLOAD(a) : sizeof(value));
	return value;
}

struct rule {
	uint32_t pref, mark, mask, table;
	uint8_t protocol;
};

static struct rule rule_read(const struct nlmsghdr *h)
{
	const struct fib_rule_hdr *f = NLMSG_DATA(h);
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*f)));
	struct rule r = { .table = f->table };

	for (const struct rtattr *a = (const void *)((const char *)f + NLMSG_ALIGN(sizeof(*f)));
	     RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == FRA_PRIORITY)
			r.pref = attribute_u32(a);
		else if (a->rta_type == FRA_FWMARK)
			r.mark = attribute_u32(a);
		else if (a->rta_type == FRA_FWMASK)
			r.mask = attribute_u32(a);
		else if (a->rta_type == FRA_TABLE)
			r.table = attribute_u32(a);
		else if (a->rta_type == FRA_PROTOCOL)
			r.protocol = (uint8_t)attribute_u32(a);
	}
	return r;
}

static bool rule_is_ours(const struct rule *r)
{
	return r->protocol == RULESET_PROTOCOL && r->pref == RULESET_ROUTES &&
	       r->table == RULESET_ROUTES && r->mark == MARK_LOCAL && r->mask == MARK_MASK;
}

/* Would it take packets that we mark, or does it say that our byte has another owner? */
static bool rule_shares_mark(const struct rule *r)
{
	uint32_t mask = r->mask & MARK_MASK;

	return mask != 0 && (r->mark & mask) == (MARK_LOCAL & mask);
}

static void look_at_rule(const struct nlmsghdr *h, void *arg)
{
	struct routing *routing = arg;

	if (h->nlmsg_type != RTM_NEWRULE)
		return;
	struct rule r = rule_read(h);
	if (rule_is_ours(&r))
		routing->rule = true;
	else if (r.table == RULESET_ROUTES)
		snprintf(routing->taken, sizeof(routing->taken),
			 "rule %u looks up table %d (not made by frontdoor)", r.pref,
			 RULESET_ROUTES);
	else if (rule_shares_mark(&r))
		snprintf(routing->taken, sizeof(routing->taken),
			 "rule %u has fwmark 0x%x/0x%x (not made by frontdoor), which overlaps "
			 "0x%x/0x%x",
			 r.pref, r.mark, r.mask, MARK_LOCAL, MARK_MASK);
}

static void look_at_route(const struct nlmsghdr *h, void *arg)
{
	struct routing *routing = arg;
	const struct rtmsg *m = NLMSG_DATA(h);

	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_table != RULESET_ROUTES)
		return;
	if (m->rtm_protocol == RULESET_PROTOCOL && m->rtm_type == RTN_LOCAL && m->rtm_dst_len == 0)
		routing->route = true;
	else
		snprintf(routing->taken, sizeof(routing->taken),
			 "routing table %d has a route not made by frontdoor", RULESET_ROUTES);
}

int routing_read(int family, struct routing *ret_routing)
{
	struct routing routing = { 0 };
	struct request q;
	int e;

	request_init(&q, RTM_GETRULE, NLM_F_DUMP);
	q.rule.family = (uint8_t)family;
	e = netlink_ask(&q, look_at_rule, &routing);
	if (e < 0)
		return e == -EOPNOTSUPP ? -EAFNOSUPPORT : e;

	request_init(&q, RTM_GETROUTE, NLM_F_DUMP);
	q.route.rtm_family = (uint8_t)family;
	request_add_u32(&q, RTA_TABLE, RULESET_ROUTES);
	e = netlink_ask(&q, look_at_route, &routing);
	if (e < 0 && e != -ENOENT) /* there is no such table */
		return e;
	*ret_routing = routing;
	return 0;
}

/* All that tells ours from any other, so that deleting never meets another's. */
static void fill_rule(struct request *q, int family)
{
	q->rule.family = (uint8_t)family;
	q->rule.table = RULESET_ROUTES;
	q->rule.action = FR_ACT_TO_TBL;
	request_add_u32(q, FRA_PRIORITY, RULESET_ROUTES);
	request_add_u32(q, FRA_FWMARK, MARK_LOCAL);
	request_add_u32(q, FRA_FWMASK, MARK_MASK);
	request_add_u8(q, FRA_PROTOCOL, RULESET_PROTOCOL);
}

static void fill_route(struct request *q, int family)
{
	q->route.rtm_family = (uint8_t)family;
	q->route.rtm_table = RULESET_ROUTES;
	q->route.rtm_protocol = RULESET_PROTOCOL;
	q->route.rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	q->route.rtm_type = RTN_LOCAL;
	request_add_u32(q, RTA_OIF, LOOPBACK_INDEX);
}

static int change(int family, enum routing_item item, bool add)
{
	int flags = NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	struct request q;

	if (item == ROUTING_RULE) {
		request_init(&q, add ? RTM_NEWRULE : RTM_DELRULE, flags);
		fill_rule(&q, family);
	} else {
		request_init(&q, add ? RTM_NEWROUTE : RTM_DELROUTE, flags);
		fill_route(&q, family);
	}
	return netlink_ask(&q, NULL, NULL);
}

int routing_add(int family, enum routing_item item)
{
	int e = change(family, item, true);

	return e == -EEXIST ? 1 : e;
}

int routing_delete(int family, enum routing_item item)
{
	int e = change(family, item, false);

	return e == -ENOENT || e == -ESRCH ? 1 : e;
}

const char *routing_format(int family, enum routing_item item, const char *verb, char *out)
{
	const char *f = family == AF_INET ? "-4" : "-6";

	if (item == ROUTING_RULE)
		snprintf(out, ROUTING_TEXT_MAX,
			 "ip %s rule %s pref %d fwmark 0x%x/0x%x lookup %d protocol %d", f, verb,
			 RULESET_ROUTES, MARK_LOCAL, MARK_MASK, RULESET_ROUTES, RULESET_PROTOCOL);
	else
		snprintf(out, ROUTING_TEXT_MAX,
			 "ip %s route %s local default dev lo table %d protocol %d", f, verb,
			 RULESET_ROUTES, RULESET_PROTOCOL);
	return out;
}
