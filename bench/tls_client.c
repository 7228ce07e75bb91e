/*
 * A client of the TLS benchmark: many connections at once, each EHLO, STARTTLS, handshake, EHLO,
 * mails of 4 KiB, QUIT. It checks no certificate, so its part of a handshake is what the protocol
 * makes it do.
 *
 *     tls_client [OPTION...] ADDRESS PORT RECIPIENT SESSIONS AT_ONCE
 *
 *     --clear      without TLS
 *     --tls12      TLS 1.2 instead of 1.3
 *     --rsa        wants an RSA certificate instead of an ECDSA one
 *     --resume     each connection goes on with the TLS session of the one before it
 *     --mails N    on each connection (1)
 *     --hold       opens all, says "ready" when each has its EHLO answered, and holds them until
 *                  its standard input ends
 *
 * Prints "N sessions, N mails, N resumed, SECONDS CPU" (its own), or says what went wrong and
 * fails: every mail must have been taken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAIL_SIZE 4096

enum step {
	AT_BANNER,
	AT_EHLO,
	AT_STARTTLS,
	AT_EHLO_AGAIN,
	AT_MAIL,
	AT_RCPT,
	AT_DATA,
	AT_END,
	AT_QUIT
};

struct client {
	int fd;
	enum step step;
	SSL *ssl;
	bool shaking;      /* the handshake is under way */
	SSL_SESSION *last; /* to be resumed */
	long mails;        /* left on this connection */
	char line[4];      /* its first four octets */
	size_t n;
};

static struct {
	bool clear, tls12, rsa, resume, hold;
	long mails;
} options = { .mails = 1 };

static struct sockaddr_in server;
static char rcpt[512], mail[MAIL_SIZE + 8];
static SSL_CTX *context;
static int poller, client_index;
static long to_start, running, sessions, ready, mails, resumed;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "tls_client: %s: %s\n", what, why);
	exit(1);
}

static void fail_errno(const char *what)
{
	fail(what, strerror(errno));
}

static void fail_tls(const char *what)
{
	unsigned long e = ERR_peek_error();

	fail(what, e       ? ERR_reason_error_string(e)
		   : errno ? strerror(errno)
			   : "closed by the server");
}

/* Takes the session over: 1.3's comes after the handshake, more than once. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct client *c = SSL_get_ex_data(ssl, client_index);

	SSL_SESSION_free(c->last);
	c->last = session;
	return 1;
}

static void make_context(void)
{
	int version = options.tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;

	context = SSL_CTX_new(TLS_client_method());
	client_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	/* One of each: the same handshake with every server. */
	if (!context || client_index < 0 || !SSL_CTX_set_min_proto_version(context, version) ||
	    !SSL_CTX_set_max_proto_version(context, version) ||
	    !SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384") ||
	    !SSL_CTX_set_cipher_list(context, options.rsa ? "ECDHE-RSA-AES256-GCM-SHA384"
							  : "ECDHE-ECDSA-AES256-GCM-SHA384") ||
	    !SSL_CTX_set1_groups_list(context, "X25519:P-256") ||
	    !SSL_CTX_set1_sigalgs_list(context, options.rsa ? "RSA-PSS+SHA256" : "ECDSA+SHA256"))
		fail_tls("TLS");
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	if (options.resume)
		SSL_CTX_sess_set_new_cb(context, on_session);
}

static void start(struct client *c)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	int on = 1;

	*c = (struct client) { .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
			       .mails = options.mails,
			       .last = c->last };
	if (c->fd < 0)
		fail_errno("socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(c->fd, (struct sockaddr *)&server, sizeof(server)) < 0 && errno != EINPROGRESS)
		fail_errno("connect");
	if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e) < 0)
		fail_errno("epoll_ctl");
	to_start--;
	running++;
}

static void end(struct client *c)
{
	if (c->ssl) {
		SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
		ERR_clear_error();
	}
	close(c->fd);
	running--;
	sessions++;
	if (to_start > 0)
		start(c);
}

static void say(struct client *c, const char *text)
{
	size_t n = strlen(text);

	if (c->ssl ? SSL_write(c->ssl, text, (int)n) != (int)n
		   : send(c->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		fail_tls("send");
}

static void secure(struct client *c)
{
	c->ssl = SSL_new(context);
	if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) || !SSL_set_ex_data(c->ssl, client_index, c))
		fail_tls("TLS");
	if (options.resume && c->last && !SSL_set_session(c->ssl, c->last))
		fail_tls("TLS");
	SSL_set_connect_state(c->ssl);
	c->shaking = true;
}

static void shake(struct client *c)
{
	int n;

	errno = 0;
	ERR_clear_error();
	n = SSL_do_handshake(c->ssl);
	if (n != 1) {
		if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
			fail_tls("handshake");
		return;
	}
	c->shaking = false;
	resumed += SSL_session_reused(c->ssl);
	say(c, "EHLO client.ours-bench.net\r\n");
}

static void next_mail(struct client *c)
{
	if (c->mails == 0) {
		c->step = AT_QUIT;
		say(c, "QUIT\r\n");
	} else {
		c->step = AT_MAIL;
		say(c, "MAIL FROM:<s@sender-bench.net>\r\n");
	}
}

/* Of a session that can send. */
static void on_greeted(struct client *c)
{
	if (!options.hold) {
		next_mail(c);
	} else if (++ready + to_start == running) {
		puts("ready");
		fflush(stdout);
	}
}

/* A whole reply of this class. false: the session is over. */
static bool on_reply(struct client *c, char class)
{
	if (class != (c->step == AT_DATA ? '3' : '2'))
		fail("reply", c->step == AT_RCPT ? "refused" : "not the one that was due");
	switch (c->step) {
	case AT_BANNER:
		c->step = AT_EHLO;
		say(c, "EHLO client.ours-bench.net\r\n");
		break;
	case AT_EHLO:
		if (options.clear) {
			on_greeted(c);
		} else {
			c->step = AT_STARTTLS;
			say(c, "STARTTLS\r\n");
		}
		break;
	case AT_STARTTLS:
		c->step = AT_EHLO_AGAIN;
		secure(c);
		shake(c);
		break;
	case AT_EHLO_AGAIN:
		on_greeted(c);
		break;
	case AT_MAIL:
		c->step = AT_RCPT;
		say(c, rcpt);
		break;
	case AT_RCPT:
		c->step = AT_DATA;
		say(c, "DATA\r\n");
		break;
	case AT_DATA:
		c->step = AT_END;
		say(c, mail);
		break;
	case AT_END:
		mails++;
		c->mails--;
		next_mail(c);
		break;
	case AT_QUIT:
		return false;
	}
	return true;
}

static bool on_octets(struct client *c, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n') {
			bool last = c->n == 4 && c->line[3] != '-';
			c->n = 0;
			if (last && !on_reply(c, c->line[0]))
				return false;
		} else if (c->n < 4) {
			c->line[c->n++] = p[i];
		}
	}
	return true;
}

static void on_ready(struct client *c)
{
	char in[4096];
	ssize_t n;

	if (c->shaking) {
		shake(c);
		return;
	}
	do {
		errno = 0;
		ERR_clear_error();
		n = c->ssl ? SSL_read(c->ssl, in, sizeof(in)) : recv(c->fd, in, sizeof(in), 0);
		if (n <= 0) {
			if (c->ssl ? SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ
				   : n < 0 && errno == EAGAIN)
				return;
			fail_tls("read");
		}
		if (!on_octets(c, in, (size_t)n)) {
			end(c);
			return;
		}
		/* What TLS has read already wakes nobody. */
	} while (c->ssl && !c->shaking);
}

static void make_mail(void)
{
	size_t n = (size_t)snprintf(mail, sizeof(mail), "Subject: bench\r\n\r\n");

	while (n < MAIL_SIZE) {
		mail[n] = n % 72 == 70 ? '\r' : n % 72 == 71 ? '\n' : 'x';
		n++;
	}
	memcpy(mail + MAIL_SIZE - 2, "\r\n.\r\n", 6);
}

static void read_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "clear", no_argument, NULL, 'c' },
		{ "tls12", no_argument, NULL, '2' },
		{ "rsa", no_argument, NULL, 'r' },
		{ "resume", no_argument, NULL, 's' },
		{ "hold", no_argument, NULL, 'h' },
		{ "mails", required_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (o == '?')
			exit(64);
		options.clear |= o == 'c';
		options.tls12 |= o == '2';
		options.rsa |= o == 'r';
		options.resume |= o == 's';
		options.hold |= o == 'h';
		if (o == 'm')
			options.mails = atol(optarg);
	}
	if (argc - optind != 5) {
		fputs("usage: tls_client [OPTION...] ADDRESS PORT RECIPIENT SESSIONS AT_ONCE\n",
		      stderr);
		exit(64);
	}
}

static double cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void run(void)
{
	struct epoll_event events[256], input = { .events = EPOLLIN, .data.ptr = NULL };

	if (options.hold && epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0)
		fail_errno("standard input");
	while (running > 0) {
		int n = epoll_wait(poller, events, 256, options.hold ? -1 : 30000);
		if (n == 0)
			fail("no answer", "30 s");
		if (n < 0)
			fail_errno("epoll_wait");
		for (int i = 0; i < n; i++) {
			if (!events[i].data.ptr)
				return;
			on_ready(events[i].data.ptr);
		}
	}
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	argv += optind;
	server = (struct sockaddr_in) { .sin_family = AF_INET,
					.sin_port = htons((uint16_t)atoi(argv[1])) };
	if (inet_pton(AF_INET, argv[0], &server.sin_addr) != 1)
		fail(argv[0], "not an address");
	snprintf(rcpt, sizeof(rcpt), "RCPT TO:<%s>\r\n", argv[2]);
	long count = atol(argv[3]), at_once = options.hold ? count : atol(argv[4]);
	struct client *clients = calloc((size_t)at_once, sizeof(*clients));
	poller = epoll_create1(0);
	if (!clients || poller < 0)
		fail_errno("start");
	make_mail();
	make_context();
	to_start = count;
	for (long i = 0; i < at_once && to_start > 0; i++)
		start(&clients[i]);
	run();
	printf("%ld sessions, %ld mails, %ld resumed, %.3f CPU\n", sessions, mails, resumed, cpu());
	return !options.hold && mails != count * options.mails;
}
