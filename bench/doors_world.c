#include "doors_world.h"

#include <errno.h>
#include <stdio.h>

enum world_kind world_kind(unsigned int i)
{
	static const unsigned int from[] = {
		[WORLD_OWN_NAME] = 70, [WORLD_SELF] = 90, [WORLD_BACKUP] = 94,
		[WORLD_ADDRESS] = 95,  [WORLD_NULL] = 98, [WORLD_NOTHING] = 99
	};
	/* not in step with the scanners */
	unsigned int percent = i / WORLD_SCANNERS % 100;
	enum world_kind kind = WORLD_NOTHING;

	while (percent < from[kind])
		kind--;
	return kind;
}

void world_name(unsigned int i, char *out)
{
	snprintf(out, WORLD_NAME, "d%u.s%u.bench-doors.net", i, i % WORLD_SCANNERS);
}

static struct addr scanner_addr(unsigned int scanner, unsigned int k)
{
	uint8_t v4[] = { 198, 18, (uint8_t)scanner, (uint8_t)(1 + k) };

	return addr_from_v4(v4);
}

static void add_host(struct world_door *d, unsigned int scanner, unsigned int first, unsigned int n)
{
	size_t at = d->facts.n_hosts++;
	struct dns_host *h = &d->hosts[at];

	for (unsigned int k = 0; k < n; k++)
		d->addrs[at][k] = scanner_addr(scanner, first + k);
	*h = (struct dns_host) { .name = d->host_names[at],
				 .canonical = d->host_names[at],
				 .status = DNS_OK,
				 .preference = (uint16_t)(10 + 10 * at),
				 .n_addrs = (uint16_t)n,
				 .addrs = d->addrs[at],
				 .ptr = "" };
}

void world_door(unsigned int i, int64_t fetched_ms, uint32_t ttl, struct world_door *ret_door)
{
	static const uint8_t ours[] = { 203, 0, 113, 25 }, web[] = { 192, 0, 2, 80 };
	unsigned int scanner = i % WORLD_SCANNERS;
	struct world_door *d = ret_door;
	enum world_kind kind = world_kind(i);

	world_name(i, d->name);
	d->facts = (struct domain_facts) { .kind = FACTS_MX,
					   .fetched_ms = fetched_ms,
					   .expires_ms = fetched_ms + (int64_t)ttl * 1000,
					   .confirmed_ms = -1,
					   .ttl = ttl,
					   .domain = d->name,
					   .hosts = d->hosts };
	switch (kind) {
	case WORLD_SHARED:
		for (unsigned int k = 0; k < 2; k++) {
			snprintf(d->host_names[k], WORLD_HOST_NAME, "mx%u.filter%u.net", k + 1,
				 scanner);
			add_host(d, scanner, 4 * k, 2 + scanner % 3);
		}
		break;
	case WORLD_OWN_NAME:
		snprintf(d->host_names[0], WORLD_HOST_NAME, "d%u-s%u.mail.filter%u.net", i, scanner,
			 scanner);
		add_host(d, scanner, 8, 4);
		break;
	case WORLD_SELF:
		snprintf(d->host_names[0], WORLD_HOST_NAME, "mail.%s", d->name);
		add_host(d, scanner, 0, 1);
		d->addrs[0][0] = addr_from_v4(ours);
		break;
	case WORLD_BACKUP:
		snprintf(d->host_names[0], WORLD_HOST_NAME, "mx1.filter%u.net", scanner);
		add_host(d, scanner, 0, 2);
		snprintf(d->host_names[1], WORLD_HOST_NAME, "mail.%s", d->name);
		add_host(d, scanner, 0, 1);
		d->addrs[1][0] = addr_from_v4(ours);
		break;
	case WORLD_ADDRESS:
		snprintf(d->host_names[0], WORLD_HOST_NAME, "%s", d->name);
		add_host(d, scanner, 0, 1);
		d->hosts[0].preference = 0;
		d->addrs[0][0] = addr_from_v4(web);
		d->facts.kind = FACTS_ADDRESS;
		break;
	case WORLD_NULL:
		d->facts.kind = FACTS_NULL_MX;
		break;
	case WORLD_NOTHING:
		d->facts.kind = FACTS_NOTHING;
		d->facts.nxdomain = true;
		break;
	case WORLD_KINDS:
		break;
	}
}

int world_write_zone(const char *file)
{
	FILE *f = fopen(file, "w");
	int res = 0;

	if (!f)
		return -errno;
	fputs("$ORIGIN bench-doors.net.\n$TTL 3600\n"
	      "@ SOA ns hostmaster 1 3600 600 86400 300\n@ NS ns\nns A 127.0.0.1\n",
	      f);
	for (unsigned int s = 0; s < WORLD_SCANNERS; s++) {
		fprintf(f, "*.s%u MX 10 mx1.filter%u\n*.s%u MX 20 mx2.filter%u\n", s, s, s, s);
		for (unsigned int k = 1; k <= 2; k++)
			fprintf(f, "mx%u.filter%u A 198.18.%u.%u\n", k, s, s, k);
	}
	if (ferror(f))
		res = -EIO;
	if (fclose(f) != 0)
		res = -errno;
	return res;
}
