#include "proxy/interfaces.h"

#include <errno.h>
#include <ifaddrs.h>

int interfaces_global(struct prefix_set *ret_set)
{
	struct ifaddrs *all;
	struct endpoint e;
	int r = 0;

	prefix_set_init(ret_set);
	if (getifaddrs(&all) < 0)
		return -errno;
	for (struct ifaddrs *i = all; i && r == 0; i = i->ifa_next)
		if (i->ifa_addr && endpoint_from_sockaddr(i->ifa_addr, &e) == 0 &&
		    !addr_is_private(&e.addr))
			r = prefix_set_add_addr(ret_set, &e.addr);
	freeifaddrs(all);
	if (r < 0)
		prefix_set_deinit(ret_set);
	prefix_set_seal(ret_set);
	return r;
}

int interfaces_meet(const struct prefix_set *set)
{
	struct ifaddrs *all;
	struct endpoint e;
	int r = 0;

	if (getifaddrs(&all) < 0)
		return -errno;
	for (struct ifaddrs *i = all; i && r == 0; i = i->ifa_next)
		r = i->ifa_addr && endpoint_from_sockaddr(i->ifa_addr, &e) == 0 &&
		    prefix_set_contains(set, &e.addr);
	freeifaddrs(all);
	return r;
}
