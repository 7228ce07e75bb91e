/*
 * One door, or one egress source, as bytes: what a row of the snapshot file holds. Pure.
 *
 * Times in it are those of the wall clock, since the monotonic one begins anew with the machine.
 * What was written by a clock that has been set back since comes from the future: it then counts
 * as known from now on, and *ret_future says that the row is to be written again, so that it does
 * not stay young for ever. A row carries a sum of itself and of its key: what is damaged is not
 * read.
 */
#pragma once

#include "dns/facts.h"

struct snapshot_clock {
	int64_t wall_ms, mono_ms; /* the same moment */
};

/* malloc'ed, ret_n bytes; NULL: memory ran out. */
void *snapshot_pack_domain(const struct domain_facts *facts, const struct snapshot_clock *clock,
			   size_t *ret_n);
void *snapshot_pack_source(const struct egress_source *source, const struct snapshot_clock *clock,
			   size_t *ret_n);

/* Room for what an unpacked row points to; valid until the next row is unpacked into it. */
struct snapshot_room;
int snapshot_room_new(struct snapshot_room **ret_room); /* 0, -ENOMEM */
void snapshot_room_free(struct snapshot_room *room);

/* row and the key must stay as they are while the facts are used. 0; -EINVAL: it is no such row,
 * or damaged; -ENOMEM. */
int snapshot_unpack_domain(struct sv row, const char *domain, const struct snapshot_clock *clock,
			   struct snapshot_room *room, struct domain_facts *ret_facts,
			   bool *ret_future);
int snapshot_unpack_source(struct sv row, const char *key, const struct snapshot_clock *clock,
			   struct snapshot_room *room, struct egress_source *ret_source,
			   bool *ret_future);
