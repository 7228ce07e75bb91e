#include "msg.h"

#include <assert.h>

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

size_t msg_put_name(uint8_t *out, const char *name)
{
	size_t n = 0;

	while (*name) {
		size_t len = strcspn(name, ".");
		out[n++] = (uint8_t)len;
		for (size_t i = 0; i < len; i++)
			out[n++] = (uint8_t)(name[i] == '\\' ? '.' : name[i]);
		name += len;
		name += *name == '.';
	}
	out[n++] = 0;
	return n;
}

void msg_begin(struct msg *m, uint16_t id, uint16_t flags, const char *name, uint16_t type)
{
	memset(m->b, 0, 12);
	put16(m->b, id);
	put16(m->b + 2, flags);
	put16(m->b + 4, 1);
	m->n = 12 + msg_put_name(m->b + 12, name);
	put16(m->b + m->n, type);
	put16(m->b + m->n + 2, 1);
	m->n += 4;
}

void msg_raw(struct msg *m, enum msg_section section, const char *owner, uint16_t type,
	     uint16_t class, uint32_t ttl, const void *rdata, size_t n)
{
	uint8_t *count = m->b + 6 + 2 * section;
	uint8_t *p;

	assert(m->n + n + 300 < sizeof(m->b));
	put16(count, (unsigned int)(count[0] << 8 | count[1]) + 1);
	m->n += msg_put_name(m->b + m->n, owner);
	p = m->b + m->n;
	put16(p, type);
	put16(p + 2, class);
	put32(p + 4, ttl);
	put16(p + 8, (unsigned int)n);
	if (n)
		memcpy(p + 10, rdata, n);
	m->n += 10 + n;
}

void msg_addr(struct msg *m, const char *owner, uint32_t ttl, const char *addr)
{
	struct addr a = { 0 };

	assert(addr_parse(sv_from(addr), &a) == 0);
	if (addr_is_v4(&a))
		msg_raw(m, MSG_ANSWER, owner, WIRE_A, 1, ttl, a.b + 12, 4);
	else
		msg_raw(m, MSG_ANSWER, owner, WIRE_AAAA, 1, ttl, a.b, 16);
}

void msg_name(struct msg *m, enum msg_section section, const char *owner, uint16_t type,
	      uint32_t ttl, const char *name)
{
	uint8_t rdata[300];

	msg_raw(m, section, owner, type, 1, ttl, rdata, msg_put_name(rdata, name));
}

void msg_mx(struct msg *m, const char *owner, uint32_t ttl, uint16_t preference, const char *name)
{
	uint8_t rdata[300];

	put16(rdata, preference);
	msg_raw(m, MSG_ANSWER, owner, WIRE_MX, 1, ttl, rdata, 2 + msg_put_name(rdata + 2, name));
}

void msg_soa(struct msg *m, const char *owner, uint32_t ttl, uint32_t minimum)
{
	uint8_t rdata[300] = { 0 };
	size_t n = msg_put_name(rdata, "ns.lab.net");

	n += msg_put_name(rdata + n, "hostmaster.lab.net");
	put32(rdata + n, 1);
	put32(rdata + n + 16, minimum);
	msg_raw(m, MSG_AUTHORITY, owner, WIRE_SOA, 1, ttl, rdata, n + 20);
}

void msg_opt(struct msg *m, uint8_t rcode_high)
{
	msg_raw(m, MSG_ADDITIONAL, "", 41, 1232, (uint32_t)rcode_high << 24, NULL, 0);
}
