/*
 * The snapshot: all doors and egress sources that are known, in a SQLite file beside the state
 * file, so that a restart knows them while DNS can't be asked.
 *
 * A thread of its own writes, every SNAPSHOT_WRITE_MS what has changed since, in one transaction.
 * What waits for it is bounded: a change that finds no room is dropped and counted, and written
 * when that door is next refreshed. What can't be written (a full disk) waits for the next time;
 * that is told once. A file that is damaged or of another version is renamed to FILE.bad, and a new
 * one begun. Mail waits for none of it.
 *
 * Doors of domains that don't exist are kept only where they are to be kept ready: names that a
 * client makes up would fill the disk.
 */
#pragma once

#include "dns/facts.h"

#define SNAPSHOT_WRITE_MS    2000
#define SNAPSHOT_WAITING_MAX (64 * 1024 * 1024) /* octets */

struct snapshot;

struct snapshot_visit {
	/* >= 0: go on; negative: stop, that is returned. What they get is valid until they return.
	 */
	int (*domain)(void *user, const struct domain_facts *facts);
	int (*source)(void *user, const struct egress_source *source);
	void *user;
};

struct snapshot_stats {
	uint64_t domains, sources;         /* read by snapshot_load() */
	uint64_t damaged;                  /* rows that were left out then */
	uint64_t written, dropped, failed; /* changes; failed: transactions */
};

/* Opens the file or makes it (mode 0640). Entries last known stale_max_ms ago are forgotten. 0;
 * -errno: there will be no snapshot, the operator was told why. */
int snapshot_new(const char *file, int64_t stale_max_ms, struct snapshot **ret_snapshot);
/* Writes what waits, then ends. NULL is fine. */
void snapshot_free(struct snapshot *s);
/* What the file has. Before snapshot_start(). 0, or what visit returned. */
int snapshot_load(struct snapshot *s, const struct snapshot_visit *visit);
/* Starts the thread. 0, -errno. */
int snapshot_start(struct snapshot *s);

/* Any thread; neither waits for the disk. facts NULL: the door has gone. kept: it is to be kept
 * ready. */
void snapshot_domain(struct snapshot *s, const char *domain, const struct domain_facts *facts,
		     bool kept);
void snapshot_source(struct snapshot *s, const struct egress_source *source);

void snapshot_stats(struct snapshot *s, struct snapshot_stats *ret_stats);
