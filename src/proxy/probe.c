#include "proxy/probe.h"

#include "base/clock.h"
#include "smtp/reply.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Names that resolve in the world and are nobody's customers; a refusal of all of them is needed.
 */
static const char *const elsewhere[] = { "frontdoor-probe@example.net",
					 "frontdoor-probe@iana.org" };

struct probe {
	int fd;
	int64_t until_ms; /* a backend that drips must not hold up the end of the program */
	size_t len;
	char in[REPLY_MAX];
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* The next reply; it stands in p->in until the next call. */
static int read_reply(struct probe *p, struct reply *ret_reply)
{
	p->len = 0;
	for (;;) {
		ssize_t n = recv(p->fd, p->in + p->len, sizeof(p->in) - p->len, 0);
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n == 0)
			return -ECONNRESET;
		p->len += (size_t)n;
		switch (reply_parse((struct sv) { p->in, p->len }, ret_reply)) {
		case REPLY_DONE:
			return 0;
		case REPLY_BAD:
			return -EPROTO;
		case REPLY_MORE:
			break;
		}
		if (clock_mono_ms() >= p->until_ms)
			return -ETIMEDOUT;
	}
}

static int command(struct probe *p, const char *line, struct reply *ret_reply)
{
	if (clock_mono_ms() >= p->until_ms)
		return -ETIMEDOUT;
	if (send(p->fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		return -errno;
	return read_reply(p, ret_reply);
}

static int ask_relay(struct probe *p, enum probe_outcome *ret_relay)
{
	enum probe_outcome outcome = PROBE_REFUSED;
	char line[128];
	struct reply reply;

	int r = command(p, "MAIL FROM:<>\r\n", &reply);
	if (r < 0)
		return r;
	if (reply.code >= 400)
		outcome = reply.code >= 500 ? PROBE_REFUSED : PROBE_UNDECIDED;
	for (size_t i = 0; reply.code < 400 && i < ARRAY_SIZE(elsewhere); i++) {
		struct reply answer;
		snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", elsewhere[i]);
		r = command(p, line, &answer);
		if (r < 0)
			return r;
		if (answer.code < 400)
			outcome = PROBE_RELAYS;
		else if (answer.code < 500 && outcome == PROBE_REFUSED)
			outcome = PROBE_UNDECIDED;
		reply.code = 250;
	}
	*ret_relay = outcome;
	return 0;
}

int probe_backend(const struct endpoint *backend, bool relay, const char *hostname, int timeout_ms,
		  struct probe_result *ret_result)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(backend, false, &sa);
	struct timeval limit = { timeout_ms / 1000, (timeout_ms % 1000) * 1000 };
	struct probe_result result = { 0 };
	struct reply reply;
	struct sv keyword;
	char line[300];
	CLEANUP(close_fd) int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	static _Thread_local struct probe p;
	p.fd = fd;
	p.until_ms = clock_mono_ms() + 3 * timeout_ms;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (struct sockaddr *)&sa, len) < 0)
		return errno == EINPROGRESS ? -ETIMEDOUT : -errno;

	int r = read_reply(&p, &reply);
	if (r < 0)
		return r;
	if (reply.code >= 400)
		return -ECONNREFUSED;
	snprintf(line, sizeof(line), "EHLO %s\r\n", hostname);
	r = command(&p, line, &reply);
	if (r < 0)
		return r;
	for (size_t at = 0; reply_next_line(&reply, &at, &keyword);)
		if (sv_eq_nocase(keyword, SV("STARTTLS")))
			result.starttls = true;
	if (relay) {
		r = ask_relay(&p, &result.relay);
		if (r < 0)
			return r;
	}
	(void)command(&p, "QUIT\r\n", &reply);
	*ret_result = result;
	return 0;
}
