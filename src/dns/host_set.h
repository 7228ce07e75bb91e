/*
 * Host sets of doors: the hosts of an answer with their addresses, equal ones held once. Hundreds
 * of thousands of doors share the few sets of their scanners; where each domain has an MX name of
 * its own, the addresses are shared all the same.
 *
 * One thread makes and drops them, any thread reads (epoch.h): what a set is made of never changes,
 * and it goes when nobody can look at it any more.
 */
#pragma once

#include "dns/epoch.h"
#include "dns/facts.h"
#include "dns/slab.h"

#define HOST_SET_MAX_HOSTS 32
#define HOST_SET_MAX_ADDRS 128 /* of one host; one that has more is marked incomplete */

struct addr_list; /* addresses of one host, shared among sets */

struct host_set {
	union {
		struct host_set *chain; /* while it is found by its contents */
		struct epoch_node retired;
	};
	uint32_t hash;
	uint32_t refs; /* the writer's */
	uint16_t n_hosts;
	bool on_heap;
	uint32_t serial;         /* not 0; memory that is used again gets another */
	struct dns_host hosts[]; /* with their names behind them */
};

struct host_sets {
	struct epoch *epoch;
	struct host_set **sets;
	struct addr_list **lists;
	size_t n_set_buckets, n_list_buckets; /* powers of two */
	size_t n_sets, n_lists;
	struct slab slabs[4]; /* by size; for larger ones there is the heap */
};

int host_sets_init(struct host_sets *p, struct epoch *epoch); /* 0, -ENOMEM */
/* Every set was dropped. */
void host_sets_deinit(struct host_sets *p);

/*
 * The set of these hosts, with a reference more; NULL: memory ran out. Of each host the addresses
 * come out sorted (IPv4 first) and each once, whatever the order they were answered in. Of more
 * than HOST_SET_MAX_HOSTS the first are taken, and the last of those is marked incomplete.
 */
struct host_set *host_set_get(struct host_sets *p, const struct dns_host *hosts, size_t n);
/* A reference less; NULL is fine. */
void host_set_put(struct host_sets *p, struct host_set *s);
