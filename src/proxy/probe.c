#include "proxy/probe.h"

#include "base/clock.h"
#include "proxy/proxy_header.h"
#include "proxy/tls.h"
#include "smtp/reply.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/ssl.h>

/* Names that resolve in the world and are nobody's customers; a refusal of all of them is needed.
 */
static const char *const elsewhere[] = { "frontdoor-probe@example.net",
					 "frontdoor-probe@iana.org" };

struct probe {
	const struct probe_conf *conf;
	int fd;
	SSL *ssl;         /* NULL: in the clear */
	int64_t until_ms; /* a backend that drips must not hold up the end of the program */
	size_t len;
	bool starttls, xclient; /* offered */
	char in[REPLY_MAX];
};

static ssize_t probe_read(struct probe *p, char *to, size_t size)
{
	ssize_t n = p->ssl ? SSL_read(p->ssl, to, (int)size) : recv(p->fd, to, size, 0);

	if (n > 0)
		return n;
	if (n == 0)
		return -ECONNRESET;
	return errno == EAGAIN ? -ETIMEDOUT : p->ssl ? -EPROTO : -errno;
}

static int probe_write(struct probe *p, struct sv bytes)
{
	ssize_t n = p->ssl ? SSL_write(p->ssl, bytes.p, (int)bytes.n)
			   : send(p->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

	if (n == (ssize_t)bytes.n)
		return 0;
	return p->ssl || n >= 0 ? -EPROTO : -errno;
}

/* The next reply; it stands in p->in until the next call. */
static int read_reply(struct probe *p, struct reply *ret_reply)
{
	p->len = 0;
	for (;;) {
		ssize_t n = probe_read(p, p->in + p->len, sizeof(p->in) - p->len);
		if (n < 0)
			return (int)n;
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
	int r = probe_write(p, sv_from(line));
	return r < 0 ? r : read_reply(p, ret_reply);
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

/* ---- steps ---- */

static int open_socket(struct probe *p)
{
	int ms = p->conf->timeout_ms;
	struct timeval limit = { ms / 1000, (ms % 1000) * 1000 };
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&p->conf->listener->backend, false, &sa);

	p->until_ms = clock_mono_ms() + 3 * ms;
	p->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(p->fd, (struct sockaddr *)&sa, len) < 0)
		return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	return 0;
}

static void close_probe(struct probe *p)
{
	SSL_free(p->ssl);
	if (p->fd >= 0)
		close(p->fd);
}

static struct endpoint somebody(const struct endpoint *backend)
{
	struct endpoint e = { .port = 1025 };
	const char *text = addr_is_v4(&backend->addr) ? "192.0.2.1" : "2001:db8::1";

	INVARIANT(addr_parse(sv_from(text), &e.addr) == 0);
	return e;
}

static int send_header(struct probe *p)
{
	const struct listener_conf *l = p->conf->listener;
	struct endpoint client = somebody(&l->backend);
	char header[PROXY_HEADER_V1_MAX + PROXY_HEADER_V2_MAX];
	size_t n = 0;

	if (l->send == SEND_PROXY_V1)
		n = proxy_header_write_v1(&client, &l->backend, header);
	else if (l->send == SEND_PROXY_V2)
		n = proxy_header_write_v2(&client, &l->backend, header);
	return n ? probe_write(p, (struct sv) { header, n }) : 0;
}

static int secure(struct probe *p)
{
	const struct listener_conf *l = p->conf->listener;
	bool verify = l->upstream_verify && !addr_is_loopback(&l->backend.addr);

	p->ssl = tls_client_session(p->conf->tls, verify ? l->upstream_verify : NULL,
				    l->upstream_verify);
	if (!p->ssl)
		return -ENOMEM;
	if (SSL_set_fd(p->ssl, p->fd) != 1 || SSL_connect(p->ssl) != 1)
		return -EPROTO;
	return 0;
}

static int greeted(struct probe *p)
{
	struct reply reply;
	int r = read_reply(p, &reply);

	return r == 0 && reply.code >= 400 ? -ECONNREFUSED : r;
}

static int hello(struct probe *p)
{
	struct reply reply;
	struct sv keyword;
	char line[300];

	snprintf(line, sizeof(line), "EHLO %.255s\r\n", p->conf->hostname);
	int r = command(p, line, &reply);
	if (r < 0)
		return r;
	p->starttls = p->xclient = false;
	for (size_t at = 0; reply_next_line(&reply, &at, &keyword);) {
		p->starttls |= sv_eq_nocase(keyword, SV("STARTTLS"));
		p->xclient |= sv_starts_nocase(keyword, SV("XCLIENT "));
	}
	return 0;
}

/* As somebody, where the listener tells the backend who its client is by XCLIENT. */
static int be_somebody(struct probe *p)
{
	const struct listener_conf *l = p->conf->listener;
	struct endpoint client = somebody(&l->backend);
	char line[128], text[ADDR_STRLEN];
	struct reply reply;

	if (l->send != SEND_XCLIENT)
		return 0;
	if (!p->xclient)
		return -EPROTONOSUPPORT;
	snprintf(line, sizeof(line), "XCLIENT NAME=[UNAVAILABLE] ADDR=%s%s\r\n",
		 addr_is_v4(&client.addr) ? "" : "IPV6:", addr_format(&client.addr, text));
	int r = command(p, line, &reply);
	if (r == 0 && reply.code != 220)
		r = -EPROTONOSUPPORT;
	return r == 0 ? hello(p) : r;
}

/* The worse of both counts: users of TLS are served as well. */
static int ask_relay_encrypted(struct probe *p, enum probe_outcome *relay)
{
	enum probe_outcome encrypted;
	struct reply reply;

	int r = command(p, "RSET\r\n", &reply);
	if (r == 0)
		r = command(p, "STARTTLS\r\n", &reply);
	if (r < 0 || reply.code != 220)
		return r;
	/* a backend whose TLS is broken relays nothing that way */
	if (secure(p) < 0)
		return 0;
	if ((r = hello(p)) < 0 || (r = be_somebody(p)) < 0 || (r = ask_relay(p, &encrypted)) < 0)
		return r;
	if (encrypted == PROBE_RELAYS || *relay == PROBE_REFUSED)
		*relay = encrypted;
	return 0;
}

static int ask(struct probe *p, struct probe_result *ret_result)
{
	bool implicit = listener_backend_is_tls(p->conf->listener);
	struct probe_result result = { 0 };
	struct reply reply;
	int r;

	if ((r = open_socket(p)) < 0 || (r = send_header(p)) < 0 ||
	    (implicit && (r = secure(p)) < 0) || (r = greeted(p)) < 0 || (r = hello(p)) < 0)
		return r;
	result.starttls = p->starttls;
	if ((r = be_somebody(p)) < 0)
		return r;
	if (p->conf->relay && (r = ask_relay(p, &result.relay)) < 0)
		return r;
	if (p->conf->relay && result.starttls && !implicit && p->conf->tls &&
	    (r = ask_relay_encrypted(p, &result.relay)) < 0)
		return r;
	(void)command(p, "QUIT\r\n", &reply);
	*ret_result = result;
	return 0;
}

int probe_backend(const struct probe_conf *conf, struct probe_result *ret_result)
{
	static _Thread_local struct probe p;

	p = (struct probe) { .conf = conf, .fd = -1 };
	int r = ask(&p, ret_result);
	close_probe(&p);
	return r;
}
