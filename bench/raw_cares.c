/*
 * The bare minimum for the same answers, for bench/doors: c-ares with poll(), nothing kept, checked
 * or timed; of each domain the MX, then A and AAAA of every host, as massdns with its results fed
 * back would ask. "lookups_per_s N": domains whose answers were all there.
 *
 *     raw_cares N PORT [mx]    mx: that question only
 */
#include "doors_world.h"

#include <ares.h>
#include <ares_nameser.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { WINDOW = 200 }; /* up to five questions each: more would overflow the sockets */

static ares_channel channel;
static unsigned int n, asked, answered, failed;
static bool mx_only;

struct slot {
	unsigned int pending;
};
static struct slot slots[WINDOW];

static void ask_next(struct slot *slot);

static void done(struct slot *slot)
{
	if (--slot->pending)
		return;
	answered++;
	ask_next(slot);
}

static void on_addr(void *user, int status, int timeouts, unsigned char *data, int len)
{
	struct slot *slot = user;

	(void)timeouts;
	(void)data;
	(void)len;
	if (status != ARES_SUCCESS && status != ARES_ENODATA)
		failed++;
	done(slot);
}

static void on_mx(void *user, int status, int timeouts, unsigned char *data, int len)
{
	struct slot *slot = user;
	struct ares_mx_reply *mx = NULL;

	(void)timeouts;
	if (status != ARES_SUCCESS || ares_parse_mx_reply(data, len, &mx) != ARES_SUCCESS)
		failed++;
	for (struct ares_mx_reply *i = mx; i && !mx_only; i = i->next) {
		slot->pending += 2;
		ares_query(channel, i->host, ns_c_in, ns_t_a, on_addr, slot);
		ares_query(channel, i->host, ns_c_in, ns_t_aaaa, on_addr, slot);
	}
	ares_free_data(mx);
	done(slot);
}

static void ask_next(struct slot *slot)
{
	char name[WORLD_NAME];

	if (asked == n)
		return;
	world_name(asked++, name);
	slot->pending = 1;
	ares_query(channel, name, ns_c_in, ns_t_mx, on_mx, slot);
}

static void turn(void)
{
	ares_socket_t fds[ARES_GETSOCK_MAXNUM];
	struct pollfd polls[ARES_GETSOCK_MAXNUM];
	int bits = ares_getsock(channel, fds, ARES_GETSOCK_MAXNUM), n_polls = 0;

	for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++)
		if (ARES_GETSOCK_READABLE(bits, i))
			polls[n_polls++] = (struct pollfd) { .fd = fds[i], .events = POLLIN };
	if (poll(polls, (nfds_t)n_polls, 100) == 0)
		ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	for (int i = 0; i < n_polls; i++)
		if (polls[i].revents)
			ares_process_fd(channel, polls[i].fd, ARES_SOCKET_BAD);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct ares_options options = { .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_EDNS,
					.ednspsz = 1232,
					.timeout = 2000,
					.tries = 3,
					.socket_receive_buffer_size = 4 << 20 };
	char server[32];
	double start;

	if (argc < 3)
		return 64;
	n = (unsigned int)strtoul(argv[1], NULL, 10);
	mx_only = argc > 3 && strcmp(argv[3], "mx") == 0;
	snprintf(server, sizeof(server), "127.0.0.1:%s", argv[2]);
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
	    ares_init_options(&channel, &options,
			      ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS |
				      ARES_OPT_TRIES | ARES_OPT_SOCK_RCVBUF) != ARES_SUCCESS ||
	    ares_set_servers_ports_csv(channel, server) != ARES_SUCCESS) {
		fputs("raw_cares: no channel\n", stderr);
		return 1;
	}
	start = now_s();
	for (size_t i = 0; i < WINDOW; i++)
		ask_next(&slots[i]);
	while (answered < n)
		turn();
	printf("lookups_per_s %.0f\nfailed %u\n", n / (now_s() - start), failed);
	ares_destroy(channel);
	return 0;
}
