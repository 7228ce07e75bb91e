#include "kernel/drop.h"
#include "kernel/marks_taken.h"
#include "kernel/mend.h"
#include "kernel/net.h"
#include "kernel/nft.h"
#include "kernel/routing.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define SAID_MAX 512

static void check_family(const struct ruleset *r, int family,
			 void (*tell)(void *user, const char *line), void *user)
{
	const char *name = family == AF_INET ? "IPv4" : "IPv6";
	struct routing routing = { 0 };
	char line[SAID_MAX];

	if (!ruleset_has(r, family == AF_INET))
		return;
	int e = routing_read(family, &routing);
	if (e == 0 && !routing.taken[0])
		return;
	if (e < 0)
		snprintf(line, sizeof(line), "%s: %s", name,
			 e == -EAFNOSUPPORT ? "this kernel has none, server_addresses has"
					    : strerror(-e));
	else
		snprintf(line, sizeof(line), "%s %s; frontdoor needs both for itself", name,
			 routing.taken);
	tell(user, line);
}

/* nft checks the table against the kernel: modules for tproxy and socket are asked for. */
static void check_kernel(const struct ruleset *r, void (*tell)(void *user, const char *line),
			 void *user)
{
	static const char *const argv[] = { "nft", "-c", "-f", "-", NULL };
	CLEANUP(buf_deinit) struct buf text;
	CLEANUP(buf_deinit) struct buf output;
	char line[SAID_MAX];

	buf_init(&text, RULESET_TEXT_MAX);
	buf_init(&output, NFT_OUTPUT_MAX);
	if (ruleset_write(r, &text) < 0 || nft_run(argv, buf_view(&text), &output) == 0)
		return;
	struct sv said = buf_view(&output);
	size_t n = 0;
	while (n < said.n && said.p[n] != '\n')
		n++;
	snprintf(line, sizeof(line),
		 "this kernel does not take the table (nft: %.*s); are nft_tproxy and nft_socket "
		 "there?",
		 (int)min_size(n, 300), said.p);
	tell(user, line);
}

void net_check(const struct ruleset *r, void (*tell)(void *user, const char *line), void *user)
{
	char text[MEND_TEXT_MAX];
	_Static_assert(MEND_TEXT_MAX >= MARKS_TEXT_MAX, "one text for both");

	check_family(r, AF_INET, tell, user);
	check_family(r, AF_INET6, tell, user);
	if (mend_obstacle(r, true, text))
		tell(user, text);
	if (marks_taken_here(text))
		tell(user, text);
	if (!nft_is_there())
		tell(user, "nft is missing; it is in the package nftables");
	if (!drop_has_net_admin())
		tell(user, "CAP_NET_ADMIN is missing: there will be no heartbeat, so that a daemon "
			   "that hangs keeps mail; start it as root, or with it as ambient "
			   "capability");
	else if (nft_is_there())
		check_kernel(r, tell, user);
}
