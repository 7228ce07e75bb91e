#include "kernel/netlink.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

void netlink_init(struct netlink *m)
{
	m->n = m->head = 0;
	m->seq = 0;
}

static void *reserve(struct netlink *m, size_t n)
{
	char *at = m->bytes + m->n;

	INVARIANT(m->n + NLMSG_ALIGN(n) <= sizeof(m->bytes));
	memset(at, 0, NLMSG_ALIGN(n));
	m->n += NLMSG_ALIGN(n);
	return at;
}

static struct nlmsghdr *head_of(struct netlink *m)
{
	return (void *)(m->bytes + m->head);
}

void netlink_begin(struct netlink *m, int type, int flags, const void *header, size_t n)
{
	m->head = m->n;
	struct nlmsghdr *h = reserve(m, sizeof(*h));
	memcpy(reserve(m, n), header, n);
	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++m->seq;
	h->nlmsg_len = (uint32_t)(m->n - m->head);
}

void netlink_put(struct netlink *m, int type, const void *value, size_t n)
{
	struct nlattr *a = reserve(m, NLA_HDRLEN + n);

	a->nla_type = (uint16_t)type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + n);
	memcpy((char *)a + NLA_HDRLEN, value, n);
	head_of(m)->nlmsg_len = (uint32_t)(m->n - m->head);
}

void netlink_put_text(struct netlink *m, int type, const char *text)
{
	netlink_put(m, type, text, strlen(text) + 1);
}

void netlink_put_u32(struct netlink *m, int type, uint32_t value)
{
	netlink_put(m, type, &value, sizeof(value));
}

size_t netlink_enter(struct netlink *m, int type)
{
	size_t entered = m->n;

	netlink_put(m, type | NLA_F_NESTED, "", 0);
	return entered;
}

void netlink_leave(struct netlink *m, size_t entered)
{
	struct nlattr *a = (void *)(m->bytes + entered);

	a->nla_len = (uint16_t)(m->n - entered);
}

int netlink_open(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return -errno;
	return fd;
}

/* 1: no more; 0: go on; -errno. */
static int look_at(char *bytes, size_t n, int *acknowledged,
		   void (*fn)(const struct nlmsghdr *, void *), void *user)
{
	unsigned left = (unsigned)n;

	for (struct nlmsghdr *h = (void *)bytes; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR) {
			int e = ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (e != 0)
				return e;
			(*acknowledged)++;
		} else if (fn) {
			fn(h, user);
		}
	}
	return 0;
}

int netlink_ask(int fd, const struct netlink *m, void (*fn)(const struct nlmsghdr *, void *),
		void *user)
{
	static _Alignas(struct nlmsghdr) char in[32768];
	int acknowledged = 0, result = 0;

	if (send(fd, m->bytes, m->n, 0) < 0)
		return -errno;
	/* to the end, whatever comes: the next answer must be the next question's */
	for (;;) {
		ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n < 0 && errno != EAGAIN && result == 0)
				result = -errno;
			break;
		}
		int e = look_at(in, (size_t)n, &acknowledged, fn, user);
		if (e < 0 && result == 0)
			result = e;
	}
	return result != 0 ? result : acknowledged > 0 ? 0 : -EPROTO;
}

int netlink_exchange(int fd, const struct netlink *m)
{
	return netlink_ask(fd, m, NULL, NULL);
}

int netlink_dump(int fd, const struct netlink *m, void (*fn)(const struct nlmsghdr *, void *),
		 void *user)
{
	static _Alignas(struct nlmsghdr) char in[32768];
	int ignored = 0, e = 0;

	if (send(fd, m->bytes, m->n, 0) < 0)
		return -errno;
	while (e == 0) {
		ssize_t n = recv(fd, in, sizeof(in), 0);
		if (n < 0)
			e = errno == EINTR ? 0 : -errno;
		else
			e = look_at(in, (size_t)n, &ignored, fn, user);
	}
	return e < 0 ? e : 0;
}
