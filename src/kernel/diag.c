#include "kernel/diag.h"

#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <unistd.h>

struct question {
	struct endpoint wanted;
	bool listener, found;
	uint32_t mark;
};

static struct addr address_of(int family, const void *bytes)
{
	return family == AF_INET ? addr_from_v4(bytes) : addr_from_v6(bytes);
}

static bool is_any(const struct addr *a)
{
	static const struct addr any_v6 = { { 0 } };
	static const struct addr any_v4 = { { [10] = 0xff, [11] = 0xff } };

	return addr_eq(a, &any_v4) || addr_eq(a, &any_v6);
}

static bool is_wanted(const struct question *q, const struct inet_diag_msg *d)
{
	const struct inet_diag_sockid *id = &d->id;
	struct addr a = address_of(d->idiag_family, q->listener ? id->idiag_src : id->idiag_dst);

	return ntohs(q->listener ? id->idiag_sport : id->idiag_dport) == q->wanted.port &&
	       (addr_eq(&a, &q->wanted.addr) || (q->listener && is_any(&a)));
}

static void look(const struct nlmsghdr *h, void *user)
{
	struct question *q = user;
	const struct inet_diag_msg *d = NLMSG_DATA(h);

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || q->found || !is_wanted(q, d))
		return;
	q->found = true;
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*d)));
	const char *at = (const char *)d + NLMSG_ALIGN(sizeof(*d));
	while (left >= (int)NLA_HDRLEN) {
		const struct nlattr *a = (const void *)at;
		if (a->nla_len < NLA_HDRLEN || a->nla_len > left)
			return;
		if (a->nla_type == INET_DIAG_MARK && a->nla_len >= NLA_HDRLEN + sizeof(q->mark))
			memcpy(&q->mark, at + NLA_HDRLEN, sizeof(q->mark));
		at += NLA_ALIGN(a->nla_len);
		left -= (int)NLA_ALIGN(a->nla_len);
	}
}

static int ask(struct question *q, uint32_t *ret_mark)
{
	static struct netlink m;
	struct inet_diag_req_v2 r = {
		.sdiag_family = addr_is_v4(&q->wanted.addr) ? AF_INET : AF_INET6,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1u << (q->listener ? TCP_LISTEN : TCP_ESTABLISHED),
	};
	int fd = netlink_open(NETLINK_SOCK_DIAG);

	if (fd < 0)
		return fd;
	netlink_init(&m);
	netlink_begin(&m, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof(r));
	int e = netlink_dump(fd, &m, look, q);
	close(fd);
	if (e < 0)
		return e;
	if (q->found)
		*ret_mark = q->mark;
	return q->found;
}

int diag_listener(const struct endpoint *at, uint32_t *ret_mark)
{
	return ask(&(struct question) { .wanted = *at, .listener = true }, ret_mark);
}

int diag_connection(const struct endpoint *peer, uint32_t *ret_mark)
{
	return ask(&(struct question) { .wanted = *peer }, ret_mark);
}
