#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static const uint8_t v4_mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool addr_is_v4(const struct addr *a)
{
	return memcmp(a->b, v4_mapped, sizeof(v4_mapped)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
	if (addr_is_v4(a))
		return a->b[12] == 127;
	return memcmp(a->b, &in6addr_loopback, 16) == 0;
}

bool addr_is_private(const struct addr *a)
{
	const uint8_t *b = a->b + 12;

	if (addr_is_loopback(a))
		return true;
	if (addr_is_v4(a))
		return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) ||
		       (b[0] == 192 && b[1] == 168) || (b[0] == 100 && (b[1] & 0xc0) == 64) ||
		       (b[0] == 169 && b[1] == 254);
	return (a->b[0] & 0xfe) == 0xfc || (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80);
}

struct addr addr_from_v4(const void *four_bytes)
{
	struct addr a;

	memcpy(a.b, v4_mapped, sizeof(v4_mapped));
	memcpy(a.b + 12, four_bytes, 4);
	return a;
}

struct addr addr_from_v6(const void *sixteen_bytes)
{
	struct addr a;

	memcpy(a.b, sixteen_bytes, 16);
	return a;
}

int addr_parse(struct sv text, struct addr *ret_addr)
{
	char s[ADDR_STRLEN];
	uint8_t raw[16];

	if (text.n == 0 || text.n >= sizeof(s) || memchr(text.p, '\0', text.n))
		return -EINVAL;
	memcpy(s, text.p, text.n);
	s[text.n] = '\0';
	if (inet_pton(AF_INET, s, raw) == 1)
		*ret_addr = addr_from_v4(raw);
	else if (inet_pton(AF_INET6, s, raw) == 1)
		*ret_addr = addr_from_v6(raw);
	else
		return -EINVAL;
	return 0;
}

/* inet_ntop() goes by sprintf(), and this is done for each recipient. */
static const char *format_v4(const uint8_t *b, char *out)
{
	char *p = out;

	for (int i = 0; i < 4; i++) {
		if (b[i] >= 100)
			*p++ = (char)('0' + b[i] / 100);
		if (b[i] >= 10)
			*p++ = (char)('0' + b[i] / 10 % 10);
		*p++ = (char)('0' + b[i] % 10);
		*p++ = i < 3 ? '.' : '\0';
	}
	return out;
}

const char *addr_format(const struct addr *a, char *out)
{
	if (addr_is_v4(a))
		return format_v4(a->b + 12, out);
	return inet_ntop(AF_INET6, a->b, out, ADDR_STRLEN);
}

/* The address with all bits past the first bits set to fill. */
static struct addr addr_mask(const struct addr *a, unsigned int bits, bool fill)
{
	struct addr m = *a;

	for (unsigned int i = 0; i < 16; i++) {
		unsigned int keep = bits > i * 8 ? bits - i * 8 : 0;
		uint8_t host = keep >= 8 ? 0 : (uint8_t)(0xff >> keep);
		m.b[i] = fill ? (uint8_t)(m.b[i] | host) : (uint8_t)(m.b[i] & ~host);
	}
	return m;
}

int prefix_parse(struct sv text, struct prefix *ret_prefix)
{
	const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
	size_t addr_len = slash ? (size_t)(slash - text.p) : text.n;
	struct prefix p = { .bits = 128 };
	uint64_t bits;
	int r;

	r = addr_parse((struct sv) { text.p, addr_len }, &p.addr);
	if (r < 0)
		return r;
	if (slash) {
		/* IPv4 by how it is written: ::ffff:0:0/96 is an IPv6 prefix */
		bool v4 = !memchr(text.p, ':', addr_len);
		struct sv len = { slash + 1, text.n - addr_len - 1 };
		if (sv_to_u64(len, v4 ? 32 : 128, &bits) < 0)
			return -EINVAL;
		p.bits = (uint8_t)(bits + (v4 ? 96 : 0));
	}
	struct addr masked = addr_mask(&p.addr, p.bits, false);
	if (!addr_eq(&masked, &p.addr))
		return -ERANGE;
	*ret_prefix = p;
	return 0;
}

const char *prefix_format(const struct prefix *p, char *out)
{
	char text[ADDR_STRLEN];
	bool v4 = addr_is_v4(&p->addr) && p->bits >= 96;

	snprintf(out, ADDR_STRLEN + 4, "%s/%d", addr_format(&p->addr, text),
		 v4 ? p->bits - 96 : p->bits);
	return out;
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	struct addr masked = addr_mask(a, p->bits, false);

	return addr_eq(&masked, &p->addr);
}

bool prefix_has_v4(const struct prefix *p)
{
	static const struct addr first = { .b = { [10] = 0xff, [11] = 0xff } };

	return addr_is_v4(&p->addr) || prefix_contains(p, &first);
}

int endpoint_parse(struct sv text, struct endpoint *ret_endpoint)
{
	struct endpoint e;
	struct sv host, port;
	uint64_t number;
	const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;

	if (!colon)
		return -EINVAL;
	host = (struct sv) { text.p, (size_t)(colon - text.p) };
	port = (struct sv) { colon + 1, text.n - host.n - 1 };
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
		host = (struct sv) { host.p + 1, host.n - 2 };
		if (!memchr(host.p, ':', host.n))
			return -EINVAL;
	} else if (memchr(host.p, ':', host.n)) {
		return -EINVAL;
	}
	if (sv_to_u64(port, 65535, &number) < 0 || addr_parse(host, &e.addr) < 0)
		return -EINVAL;
	e.port = (uint16_t)number;
	*ret_endpoint = e;
	return 0;
}

const char *endpoint_format(const struct endpoint *e, char *out)
{
	char text[ADDR_STRLEN];

	addr_format(&e->addr, text);
	snprintf(out, ADDR_STRLEN + 8, addr_is_v4(&e->addr) ? "%s:%u" : "[%s]:%u", text, e->port);
	return out;
}

int endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *ret_endpoint)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;
		*ret_endpoint =
			(struct endpoint) { addr_from_v4(&in->sin_addr), ntohs(in->sin_port) };
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;
		*ret_endpoint =
			(struct endpoint) { addr_from_v6(&in6->sin6_addr), ntohs(in6->sin6_port) };
		return 0;
	}
	return -EAFNOSUPPORT;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, bool as_v6, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (addr_is_v4(&e->addr) && !as_v6) {
		struct sockaddr_in *in = (void *)out;
		in->sin_family = AF_INET;
		in->sin_port = htons(e->port);
		memcpy(&in->sin_addr, e->addr.b + 12, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (void *)out;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(e->port);
	memcpy(&in6->sin6_addr, e->addr.b, 16);
	return sizeof(*in6);
}

struct addr prefix_last(const struct prefix *p)
{
	return addr_mask(&p->addr, p->bits, true);
}
