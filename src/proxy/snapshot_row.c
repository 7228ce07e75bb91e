#include "proxy/snapshot_row.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

enum {
	HOSTS_MAX = 64,   /* of a door; a look-up takes fewer */
	NAME_MAX_N = 255, /* octets of a name; RFC 1035 2.3.4 */
	ADDRS_MAX = 1024, /* of all its hosts; what is beyond is left out, and that is told */
};

struct snapshot_room {
	struct dns_host hosts[2 * HOSTS_MAX];
	struct addr addrs[2 * ADDRS_MAX];
	size_t n_addrs;
	struct addr_range *ranges;
	size_t alloc_ranges;
};

int snapshot_room_new(struct snapshot_room **ret_room)
{
	struct snapshot_room *room = calloc(1, sizeof(*room));

	if (!room)
		return -ENOMEM;
	*ret_room = room;
	return 0;
}

void snapshot_room_free(struct snapshot_room *room)
{
	if (room)
		free(room->ranges);
	free(room);
}

/* ---- writing ---- */

/* Counts when out is NULL. */
struct packer {
	uint8_t *out;
	size_t n;
};

static void put(struct packer *p, const void *bytes, size_t n)
{
	if (p->out)
		memcpy(p->out + p->n, bytes, n);
	p->n += n;
}

static void put_u8(struct packer *p, unsigned v)
{
	uint8_t b = (uint8_t)v;

	put(p, &b, 1);
}

static void put_int(struct packer *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		put_u8(p, (unsigned)(v >> (8 * i)) & 0xff);
}

static void put_string(struct packer *p, const char *s)
{
	put(p, s, strlen(s) + 1);
}

static void put_addr(struct packer *p, const struct addr *a)
{
	bool v4 = addr_is_v4(a);

	put_u8(p, v4 ? 4 : 16);
	put(p, v4 ? a->b + 12 : a->b, v4 ? 4 : 16);
}

static void put_time(struct packer *p, int64_t mono_ms, const struct snapshot_clock *clock)
{
	put_int(p, (uint64_t)(clock->wall_ms - (clock->mono_ms - mono_ms)), 8);
}

/* The sum of the row's key and bytes, in front of them. */
static uint32_t sum_of(const char *key, const uint8_t *bytes, size_t n)
{
	return (uint32_t)XXH3_64bits_withSeed(bytes, n, XXH3_64bits(key, strlen(key)));
}

static void put_host(struct packer *p, const struct dns_host *h, size_t *addrs_left)
{
	size_t n = min_size(h->n_addrs, *addrs_left);
	bool same = !h->canonical || strcmp(h->name, h->canonical) == 0;

	*addrs_left -= n;
	put_int(p, h->preference, 2);
	put_u8(p, h->status);
	put_u8(p, h->incomplete || n < h->n_addrs);
	put_string(p, h->name);
	put_string(p, same ? "" : h->canonical);
	put_string(p, h->ptr ? h->ptr : "");
	put_int(p, n, 2);
	for (size_t i = 0; i < n; i++)
		put_addr(p, &h->addrs[i]);
}

static void put_hosts(struct packer *p, const struct dns_host *hosts, size_t n)
{
	size_t addrs_left = ADDRS_MAX;

	n = min_size(n, HOSTS_MAX);
	put_u8(p, (unsigned)n);
	for (size_t i = 0; i < n; i++)
		put_host(p, &hosts[i], &addrs_left);
}

static void put_domain(struct packer *p, const void *row, const struct snapshot_clock *clock)
{
	const struct domain_facts *f = row;

	put_u8(p, f->kind);
	put_u8(p, (unsigned)(f->nxdomain | f->aa << 1));
	put_int(p, f->ttl, 4);
	put_time(p, f->fetched_ms, clock);
	put_time(p, f->expires_ms, clock);
	put_hosts(p, f->hosts, f->n_hosts);
	put_u8(p, f->former_until_ms != 0);
	if (!f->former_until_ms)
		return;
	put_time(p, f->former_until_ms, clock);
	put_u8(p, f->former_kind);
	put_hosts(p, f->former, f->n_former);
}

static void put_source(struct packer *p, const void *row, const struct snapshot_clock *clock)
{
	const struct egress_source *s = row;

	put_u8(p, s->status);
	put_u8(p, s->incomplete);
	put_int(p, s->ttl, 4);
	if (s->fetched_ms == -1) /* never */
		put_int(p, UINT64_MAX, 8);
	else
		put_time(p, s->fetched_ms, clock);
	put_time(p, s->expires_ms, clock);
	put_string(p, s->left_out ? s->left_out : "");
	put_int(p, s->set.n, 4);
	for (size_t i = 0; i < s->set.n; i++) {
		put_addr(p, &s->set.ranges[i].lo);
		put_addr(p, &s->set.ranges[i].hi);
	}
}

typedef void (*put_row_fn)(struct packer *p, const void *row, const struct snapshot_clock *clock);

/* Twice over the row: how long it gets, then what it is. Its sum, of key too, stands before it. */
static void *pack(put_row_fn put_row, const void *row, const char *key,
		  const struct snapshot_clock *clock, size_t *ret_n)
{
	struct packer p = { .n = 4 };

	put_row(&p, row, clock);
	p.out = malloc(p.n);
	if (!p.out)
		return NULL;
	*ret_n = p.n;
	p.n = 4;
	put_row(&p, row, clock);
	p.n = 0;
	put_int(&p, sum_of(key, p.out + 4, *ret_n - 4), 4);
	return p.out;
}

void *snapshot_pack_domain(const struct domain_facts *facts, const struct snapshot_clock *clock,
			   size_t *ret_n)
{
	return pack(put_domain, facts, facts->domain, clock, ret_n);
}

void *snapshot_pack_source(const struct egress_source *source, const struct snapshot_clock *clock,
			   size_t *ret_n)
{
	return pack(put_source, source, source->key, clock, ret_n);
}

/* ---- reading ---- */

struct unpacker {
	const uint8_t *p;
	size_t n;
	bool bad;
	const struct snapshot_clock *clock;
};

static const uint8_t *take(struct unpacker *u, size_t n)
{
	const uint8_t *p = u->p;

	if (u->bad || n > u->n) {
		u->bad = true;
		return NULL;
	}
	u->p += n;
	u->n -= n;
	return p;
}

static uint64_t take_int(struct unpacker *u, int bytes)
{
	const uint8_t *p = take(u, (size_t)bytes);
	uint64_t v = 0;

	for (int i = 0; p && i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* At most max; more is no row of ours. */
static unsigned take_up_to(struct unpacker *u, int bytes, unsigned max)
{
	uint64_t v = take_int(u, bytes);

	u->bad |= v > max;
	return u->bad ? 0 : (unsigned)v;
}

static const char *take_string(struct unpacker *u)
{
	const uint8_t *end = u->bad || u->n == 0 ? NULL : memchr(u->p, 0, u->n);

	if (!end) {
		u->bad = true;
		return "";
	}
	return (const char *)take(u, (size_t)(end - u->p) + 1);
}

/* No longer than those who use it have room for. */
static const char *take_name(struct unpacker *u)
{
	const char *name = take_string(u);

	u->bad |= strlen(name) > NAME_MAX_N;
	return u->bad ? "" : name;
}

static void take_addr(struct unpacker *u, struct addr *out)
{
	unsigned n = take_up_to(u, 1, 16);
	const uint8_t *p = n == 4 || n == 16 ? take(u, n) : NULL;

	if (!p)
		u->bad = true;
	else
		*out = n == 4 ? addr_from_v4(p) : addr_from_v6(p);
}

/* Perhaps before the monotonic clock began: then it is negative. -1: never. */
static int64_t take_time(struct unpacker *u)
{
	int64_t wall = (int64_t)take_int(u, 8);
	const int64_t limit = INT64_MAX / 4;

	if (wall < 0)
		return -1;
	u->bad |= wall > limit;
	return u->bad ? -1 : u->clock->mono_ms - (u->clock->wall_ms - wall);
}

static void take_host(struct unpacker *u, struct snapshot_room *room, struct dns_host *h)
{
	*h = (struct dns_host) { .preference = (uint16_t)take_int(u, 2) };
	h->status = (enum dns_status)take_up_to(u, 1, DNS_FAILED);
	h->incomplete = take_up_to(u, 1, 1);
	h->name = take_name(u);
	h->canonical = take_name(u);
	if (!*h->canonical)
		h->canonical = h->name;
	h->ptr = take_name(u);
	h->n_addrs = (uint16_t)take_up_to(u, 2, ADDRS_MAX);
	h->addrs = room->addrs + room->n_addrs;
	for (unsigned i = 0; i < h->n_addrs && !u->bad; i++) {
		if (room->n_addrs == ARRAY_SIZE(room->addrs))
			u->bad = true;
		else
			take_addr(u, &room->addrs[room->n_addrs++]);
	}
}

static uint16_t take_hosts(struct unpacker *u, struct snapshot_room *room, struct dns_host *hosts)
{
	unsigned n = take_up_to(u, 1, HOSTS_MAX);

	for (unsigned i = 0; i < n && !u->bad; i++)
		take_host(u, room, &hosts[i]);
	return (uint16_t)n;
}

static bool begin(struct unpacker *u, struct sv row, const char *key)
{
	*u = (struct unpacker) { .p = (const uint8_t *)row.p, .n = row.n, .clock = u->clock };
	uint32_t sum = (uint32_t)take_int(u, 4);

	return !u->bad && sum == sum_of(key, u->p, u->n);
}

/* Known only since now, and no longer good for sure. */
static void bring_back(const struct snapshot_clock *clock, int64_t *fetched_ms, int64_t *expires_ms,
		       bool *ret_future)
{
	*ret_future = *fetched_ms > clock->mono_ms;
	if (!*ret_future)
		return;
	*fetched_ms = clock->mono_ms;
	if (*expires_ms > clock->mono_ms)
		*expires_ms = clock->mono_ms;
}

/* Only these kinds have hosts, and who reads them relies on it. */
static bool hosts_fit(enum facts_kind kind, size_t n)
{
	return kind == FACTS_MX ? n > 0 : kind == FACTS_ADDRESS ? n == 1 : n == 0;
}

int snapshot_unpack_domain(struct sv row, const char *domain, const struct snapshot_clock *clock,
			   struct snapshot_room *room, struct domain_facts *ret_facts,
			   bool *ret_future)
{
	struct unpacker u = { .clock = clock };
	struct domain_facts f = { .domain = domain, .confirmed_ms = -1 };
	unsigned flags;

	if (!begin(&u, row, domain))
		return -EINVAL;
	room->n_addrs = 0;
	f.kind = (enum facts_kind)take_up_to(&u, 1, FACTS_FAILED);
	flags = take_up_to(&u, 1, 3);
	f.nxdomain = flags & 1;
	f.aa = flags & 2;
	f.ttl = (uint32_t)take_int(&u, 4);
	f.fetched_ms = take_time(&u);
	f.expires_ms = take_time(&u);
	f.hosts = room->hosts;
	f.n_hosts = take_hosts(&u, room, room->hosts);
	if (take_up_to(&u, 1, 1)) {
		f.former_until_ms = take_time(&u);
		f.former_kind = (enum facts_kind)take_up_to(&u, 1, FACTS_FAILED);
		f.former = room->hosts + HOSTS_MAX;
		f.n_former = take_hosts(&u, room, room->hosts + HOSTS_MAX);
	}
	if (u.bad || u.n > 0 || f.kind == FACTS_FAILED || !hosts_fit(f.kind, f.n_hosts))
		return -EINVAL;
	bring_back(clock, &f.fetched_ms, &f.expires_ms, ret_future);
	/* before the monotonic clock began is no time that anybody compares with */
	if (*ret_future || (f.former_until_ms && f.former_until_ms <= clock->mono_ms)) {
		f.former_until_ms = 0;
		f.n_former = 0;
		f.former = NULL;
	}
	*ret_facts = f;
	return 0;
}

static int take_ranges(struct unpacker *u, struct snapshot_room *room, struct prefix_set *set)
{
	size_t n = (size_t)take_int(u, 4);

	if (u->bad || n > u->n / 10) /* each has two addresses of 5 bytes at least */
		return -EINVAL;
	if (n > room->alloc_ranges) {
		struct addr_range *more = realloc(room->ranges, n * sizeof(*more));

		if (!more)
			return -ENOMEM;
		room->ranges = more;
		room->alloc_ranges = n;
	}
	for (size_t i = 0; i < n; i++) {
		take_addr(u, &room->ranges[i].lo);
		take_addr(u, &room->ranges[i].hi);
		/* in order, as a sealed set is: it is searched by halves */
		if (u->bad || addr_cmp(&room->ranges[i].lo, &room->ranges[i].hi) > 0 ||
		    (i > 0 && addr_cmp(&room->ranges[i - 1].hi, &room->ranges[i].lo) >= 0))
			return -EINVAL;
	}
	*set = (struct prefix_set) { .ranges = room->ranges, .n = n, .sealed = true };
	return 0;
}

int snapshot_unpack_source(struct sv row, const char *key, const struct snapshot_clock *clock,
			   struct snapshot_room *room, struct egress_source *ret_source,
			   bool *ret_future)
{
	struct unpacker u = { .clock = clock };
	struct egress_source s = { .key = key };
	int r;

	if (!begin(&u, row, key))
		return -EINVAL;
	s.status = (enum source_status)take_up_to(&u, 1, SOURCE_FAILED);
	s.incomplete = take_up_to(&u, 1, 1);
	s.ttl = (uint32_t)take_int(&u, 4);
	s.fetched_ms = take_time(&u);
	s.expires_ms = take_time(&u);
	s.left_out = take_string(&u);
	r = take_ranges(&u, room, &s.set);
	if (r < 0)
		return r;
	if (u.bad || u.n > 0)
		return -EINVAL;
	bring_back(clock, &s.fetched_ms, &s.expires_ms, ret_future);
	*ret_source = s;
	return 0;
}
