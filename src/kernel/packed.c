#include "kernel/packed.h"

#include <errno.h>
#include <stdlib.h>

#define MAGIC                                                                                      \
	0x66642d31u /* of this layout; both ends are one program, so the octet order is ours */

struct packed_head {
	uint32_t magic, n_ways, n_servers, n_straight;
};

struct packed_way {
	struct addr listener;
	uint16_t listener_port, port;
	uint8_t v4, fail_closed, silent, unused;
};
_Static_assert(sizeof(struct packed_way) == 24, "no padding");
_Static_assert(sizeof(struct addr_range) == 32, "no padding");

int packed_write(const struct ruleset *r, struct buf *out)
{
	struct packed_head head = { .magic = MAGIC,
				    .n_ways = (uint32_t)r->n_ways,
				    .n_servers = (uint32_t)r->servers->n,
				    .n_straight = (uint32_t)r->straight.n };

	if (r->n_ways > PACKED_WAYS_MAX || r->servers->n > PACKED_RANGES_MAX ||
	    r->straight.n > PACKED_RANGES_MAX - r->servers->n)
		return -E2BIG;
	int e = buf_add(out, &head, sizeof(head));
	for (size_t i = 0; e == 0 && i < r->n_ways; i++) {
		const struct ruleset_way *w = &r->ways[i];
		struct packed_way p = { .listener = w->listener.addr,
					.listener_port = w->listener.port,
					.port = w->port,
					.v4 = w->v4,
					.fail_closed = w->fail_closed,
					.silent = w->silent };
		e = buf_add(out, &p, sizeof(p));
	}
	if (e == 0)
		e = buf_add(out, r->servers->ranges, r->servers->n * sizeof(struct addr_range));
	if (e == 0)
		e = buf_add(out, r->straight.ranges, r->straight.n * sizeof(struct addr_range));
	return e;
}

static int read_ways(const char *at, size_t n, struct ruleset *r)
{
	r->ways = calloc(n, sizeof(*r->ways));
	if (!r->ways)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++, at += sizeof(struct packed_way)) {
		struct packed_way p;

		memcpy(&p, at, sizeof(p));
		if (p.v4 > 1 || p.fail_closed > 1 || p.silent > 1 || p.port == 0 ||
		    p.listener_port == 0 || addr_is_v4(&p.listener) != (bool)p.v4)
			return -EINVAL;
		r->ways[r->n_ways++] = (struct ruleset_way) {
			.v4 = p.v4,
			.fail_closed = p.fail_closed,
			.silent = p.silent,
			.port = p.port,
			.listener = { .addr = p.listener, .port = p.listener_port },
		};
	}
	return 0;
}

static int read_ranges(const char *at, size_t n, struct prefix_set *set)
{
	for (size_t i = 0; i < n; i++, at += sizeof(struct addr_range)) {
		struct addr_range a;

		memcpy(&a, at, sizeof(a));
		if (addr_cmp(&a.lo, &a.hi) > 0 || addr_is_v4(&a.lo) != addr_is_v4(&a.hi))
			return -EINVAL;
		if (prefix_set_add_range(set, &a) < 0)
			return -ENOMEM;
	}
	prefix_set_seal(set);
	return 0;
}

int packed_read(struct sv text, struct prefix_set *ret_servers, struct ruleset *ret_ruleset)
{
	struct prefix_set servers;
	struct ruleset r = { 0 };
	struct packed_head h;

	if (text.n < sizeof(h))
		return -EINVAL;
	memcpy(&h, text.p, sizeof(h));
	if (h.magic != MAGIC || h.n_ways == 0 || h.n_ways > PACKED_WAYS_MAX || h.n_servers == 0 ||
	    h.n_servers > PACKED_RANGES_MAX || h.n_straight > PACKED_RANGES_MAX)
		return -EINVAL;
	size_t ways = h.n_ways * sizeof(struct packed_way);
	size_t ranges = h.n_servers * sizeof(struct addr_range);
	if (text.n != sizeof(h) + ways + ranges + h.n_straight * sizeof(struct addr_range))
		return -EINVAL;

	const char *at = text.p + sizeof(h);
	prefix_set_init(&servers);
	prefix_set_init(&r.straight);
	int e = read_ways(at, h.n_ways, &r);
	if (e == 0)
		e = read_ranges(at + ways, h.n_servers, &servers);
	if (e == 0)
		e = read_ranges(at + ways + ranges, h.n_straight, &r.straight);
	if (e < 0) {
		prefix_set_deinit(&servers);
		ruleset_deinit(&r);
		return e;
	}
	*ret_servers = servers;
	*ret_ruleset = r;
	return 0;
}
