/* A row of the snapshot: its first octet says whether it is a source or a door. The sum is set
 * right, as a file made by others would have it. */
#include "proxy/snapshot_row.h"

#include <stdlib.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char key[] = "spf:a.example";
static const struct snapshot_clock now = { .wall_ms = 1800000000000LL, .mono_ms = 1000000 };

static void check_hosts(const struct dns_host *hosts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		INVARIANT(strlen(hosts[i].name) < 256 && strlen(hosts[i].canonical) < 256);
		INVARIANT(strlen(hosts[i].ptr) < 256 && hosts[i].status <= DNS_FAILED);
		for (size_t k = 0; k < hosts[i].n_addrs; k++)
			INVARIANT(addr_cmp(&hosts[i].addrs[k], &hosts[i].addrs[k]) == 0);
	}
}

static void check_domain(struct sv row, struct snapshot_room *room)
{
	struct domain_facts f;
	bool future;

	if (snapshot_unpack_domain(row, key, &now, room, &f, &future) < 0)
		return;
	INVARIANT(f.kind < FACTS_FAILED && f.fetched_ms <= now.mono_ms);
	INVARIANT((f.kind == FACTS_MX) == (f.n_hosts > 0) || f.kind == FACTS_ADDRESS);
	INVARIANT(f.kind != FACTS_ADDRESS || f.n_hosts == 1);
	check_hosts(f.hosts, f.n_hosts);
	check_hosts(f.former, f.n_former);
	facts_free(facts_copy(&f));
}

static void check_source(struct sv row, struct snapshot_room *room)
{
	struct egress_source s;
	bool future;

	if (snapshot_unpack_source(row, key, &now, room, &s, &future) < 0)
		return;
	INVARIANT(s.set.sealed && s.status <= SOURCE_FAILED && s.fetched_ms <= now.mono_ms);
	for (size_t i = 0; i < s.set.n; i++) {
		INVARIANT(addr_cmp(&s.set.ranges[i].lo, &s.set.ranges[i].hi) <= 0);
		INVARIANT(i == 0 || addr_cmp(&s.set.ranges[i - 1].hi, &s.set.ranges[i].lo) < 0);
	}
	facts_free(egress_source_copy(&s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snapshot_room *room;
	uint32_t sum;
	uint8_t *row;

	if (size == 0)
		return 0;
	INVARIANT(snapshot_room_new(&room) == 0);
	row = malloc(size + 3);
	INVARIANT(row);
	memcpy(row + 4, data + 1, size - 1);
	sum = (uint32_t)XXH3_64bits_withSeed(row + 4, size - 1, XXH3_64bits(key, strlen(key)));
	for (int i = 0; i < 4; i++)
		row[i] = (uint8_t)(sum >> (8 * i));
	if (data[0] & 1)
		check_source((struct sv) { (const char *)row, size + 3 }, room);
	else
		check_domain((struct sv) { (const char *)row, size + 3 }, room);
	free(row);
	snapshot_room_free(room);
	return 0;
}
