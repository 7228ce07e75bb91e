#include "kernel/beat.h"

#include "kernel/netlink.h"
#include "kernel/ruleset.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define NFT(message) ((NFNL_SUBSYS_NFTABLES << 8) | (message))

int beat_open(void)
{
	return netlink_open(NETLINK_NETFILTER);
}

static void begin(struct netlink *m, int type, int flags, uint8_t family, uint16_t resource)
{
	struct nfgenmsg g = { .nfgen_family = family, .res_id = htons(resource) };

	netlink_begin(m, type, flags, &g, sizeof(g));
}

static void name_set(struct netlink *m)
{
	netlink_put_text(m, NFTA_SET_ELEM_LIST_TABLE, RULESET_TABLE);
	netlink_put_text(m, NFTA_SET_ELEM_LIST_SET, RULESET_ALIVE);
}

static void add_port(struct netlink *m, uint16_t port)
{
	uint16_t key = htons(port);
	uint64_t timeout = htobe64(BEAT_TIMEOUT_MS);
	size_t element = netlink_enter(m, NFTA_LIST_ELEM);
	size_t inner = netlink_enter(m, NFTA_SET_ELEM_KEY);

	netlink_put(m, NFTA_DATA_VALUE, &key, sizeof(key));
	netlink_leave(m, inner);
	netlink_put(m, NFTA_SET_ELEM_TIMEOUT, &timeout, sizeof(timeout));
	netlink_leave(m, element);
}

int beat_renew(int fd, const uint16_t *ports, size_t n)
{
	static struct netlink m;

	INVARIANT(n <= BEAT_PORTS_MAX);
	netlink_init(&m);
	begin(&m, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	/* of no elements in particular: of all */
	begin(&m, NFT(NFT_MSG_DELSETELEM), 0, NFPROTO_INET, 0);
	name_set(&m);
	begin(&m, NFT(NFT_MSG_NEWSETELEM), NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
	name_set(&m);
	size_t elements = netlink_enter(&m, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t i = 0; i < n; i++)
		add_port(&m, ports[i]);
	netlink_leave(&m, elements);
	begin(&m, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	return netlink_exchange(fd, &m);
}
