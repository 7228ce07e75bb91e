/*
 * A client that sends one mail a session, by threads that block: what smtp-source has no word for.
 *
 *     mail_client [OPTION...] ADDRESS PORT RECIPIENT SESSIONS AT_ONCE
 *
 *     --size N     octets of the mail (4096)
 *     --bdat       in one BDAT chunk, not by DATA
 *     --rate N     begins N sessions a second, however long they take, and not AT_ONCE of them
 *     --hold       opens all, until their recipient's answer begins, which has to come octet by
 *                  octet, says "ready", and holds them until its standard input ends
 *
 * Prints "N sessions, P50 P99 us": how long replies took, from the command to the end of its reply;
 * or says what went wrong and fails: each reply must be a good one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS  6 /* that are timed, in a session */
#define STACK     (256 << 10)
#define TIMEOUT_S 60

static struct {
	bool bdat, hold;
	long rate;
	size_t size;
} options = { .size = 4096 };

static struct sockaddr_in server;
static const char *rcpt;
static char *mail;
static long n_sessions;
static atomic_long next;
static double *times; /* COMMANDS of each session, in microseconds */

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "mail_client: %s: %s\n", what, why);
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int connect_to_server(void)
{
	struct timeval limit = { .tv_sec = TIMEOUT_S };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		fail("connect", strerror(errno));
	return fd;
}

/* One whole reply, which nothing may follow. */
static void read_reply(int fd, const char *after, char class)
{
	char in[4096];
	size_t n = 0;

	for (;;) {
		ssize_t got = recv(fd, in + n, sizeof(in) - 1 - n, 0);
		if (got <= 0)
			fail(after, got ? strerror(errno) : "no reply");
		n += (size_t)got;
		in[n] = '\0';
		if (in[n - 1] != '\n')
			continue;
		char *line = in;
		for (char *end; (end = strchr(line, '\n')) != in + n - 1;)
			line = end + 1;
		if (strlen(line) > 3 && line[3] != '-')
			break;
	}
	if (in[0] != class)
		fail(after, in);
}

static void send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
		if (done < 0)
			fail("send", strerror(errno));
		p += done;
		n -= (size_t)done;
	}
}

/* The command, and the octets behind it; how long its reply takes. */
static double ask(int fd, const char *command, const char *more, size_t n, char class)
{
	double start = now_us();

	send_all(fd, command, strlen(command));
	if (n)
		send_all(fd, more, n);
	read_reply(fd, command, class);
	return now_us() - start;
}

static void session(long number)
{
	double *t = times + number * COMMANDS;
	char line[600];
	int fd = connect_to_server();

	read_reply(fd, "connect", '2');
	*t++ = ask(fd, "EHLO client.ours-bench.net\r\n", NULL, 0, '2');
	*t++ = ask(fd, "MAIL FROM:<s@sender-bench.net>\r\n", NULL, 0, '2');
	snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", rcpt);
	*t++ = ask(fd, line, NULL, 0, '2');
	if (options.bdat) {
		snprintf(line, sizeof(line), "BDAT %zu LAST\r\n", options.size);
		*t++ = ask(fd, line, mail, options.size, '2');
	} else {
		*t++ = ask(fd, "DATA\r\n", NULL, 0, '3');
		send_all(fd, mail, options.size);
		*t++ = ask(fd, ".\r\n", NULL, 0, '2');
	}
	*t++ = ask(fd, "QUIT\r\n", NULL, 0, '2');
	close(fd);
}

static void *run_sessions(void *arg)
{
	long i;

	(void)arg;
	while ((i = atomic_fetch_add(&next, 1)) < n_sessions)
		session(i);
	return NULL;
}

static void *run_one(void *arg)
{
	session((long)(intptr_t)arg);
	return NULL;
}

static void start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_attr_t a;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, STACK);
	int r = pthread_create(thread, &a, fn, arg);
	if (r)
		fail("thread", strerror(r));
	pthread_attr_destroy(&a);
}

static void run_at_once(long at_once)
{
	pthread_t *threads = calloc((size_t)at_once, sizeof(*threads));

	if (!threads)
		fail("start", strerror(errno));
	for (long i = 0; i < at_once; i++)
		start(&threads[i], run_sessions, NULL);
	for (long i = 0; i < at_once; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

static void run_at_rate(void)
{
	pthread_t *threads = calloc((size_t)n_sessions, sizeof(*threads));
	double begin = now_us();

	if (!threads)
		fail("start", strerror(errno));
	for (long i = 0; i < n_sessions; i++) {
		double wait = begin + (double)i * 1e6 / (double)options.rate - now_us();
		if (wait > 0)
			usleep((useconds_t)wait);
		start(&threads[i], run_one, (void *)(intptr_t)i);
	}
	for (long i = 0; i < n_sessions; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

static void hold(void)
{
	char line[600], answer[64] = "", in;
	int *fds = calloc((size_t)n_sessions, sizeof(*fds));

	if (!fds)
		fail("start", strerror(errno));
	snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", rcpt);
	for (long i = 0; i < n_sessions; i++) {
		fds[i] = connect_to_server();
		read_reply(fds[i], "connect", '2');
		ask(fds[i], "EHLO client.ours-bench.net\r\n", NULL, 0, '2');
		ask(fds[i], "MAIL FROM:<s@sender-bench.net>\r\n", NULL, 0, '2');
		send_all(fds[i], line, strlen(line));
	}
	for (long i = 0; i < n_sessions; i++)
		if (recv(fds[i], answer, sizeof(answer), 0) <= 0 ||
		    memchr(answer, '\n', sizeof(answer)))
			fail("RCPT", "the answer does not come octet by octet");
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &in, 1) > 0)
		;
	free(fds);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Those of one kind after the other would hide what the slow ones cost: all in one heap. */
static void print_times(void)
{
	size_t n = 0;

	for (size_t i = 0; i < (size_t)n_sessions * COMMANDS; i++)
		if (times[i] > 0)
			times[n++] = times[i];
	qsort(times, n, sizeof(*times), by_size);
	printf("%ld sessions, %.1f %.1f us\n", n_sessions, times[n / 2], times[n * 99 / 100]);
}

static void make_mail(void)
{
	mail = malloc(options.size + 1);
	if (!mail || options.size < 2)
		fail("--size", "no such mail");
	for (size_t i = 0; i < options.size; i++)
		mail[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : 'x';
	memcpy(mail + options.size - 2, "\r\n", 2);
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "size", required_argument, NULL, 's' },
		{ "bdat", no_argument, NULL, 'b' },
		{ "rate", required_argument, NULL, 'r' },
		{ "hold", no_argument, NULL, 'h' },
		{ 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		options.size = c == 's' ? (size_t)atol(optarg) : options.size;
		options.rate = c == 'r' ? atol(optarg) : options.rate;
		options.bdat |= c == 'b';
		options.hold |= c == 'h';
		if (c == '?')
			return 64;
	}
	if (argc - optind != 5) {
		fputs("usage: mail_client [--size N] [--bdat] [--rate N] [--hold] ADDRESS PORT "
		      "RECIPIENT "
		      "SESSIONS AT_ONCE\n",
		      stderr);
		return 64;
	}
	argv += optind;
	server = (struct sockaddr_in) { .sin_family = AF_INET,
					.sin_port = htons((uint16_t)atoi(argv[1])) };
	if (inet_pton(AF_INET, argv[0], &server.sin_addr) != 1)
		fail(argv[0], "no IPv4 address");
	rcpt = argv[2];
	n_sessions = atol(argv[3]);
	make_mail();
	times = n_sessions > 0 ? calloc((size_t)n_sessions * COMMANDS, sizeof(*times)) : NULL;
	if (!times)
		fail("SESSIONS", "none");
	if (options.hold) {
		hold();
		return 0;
	}
	if (options.rate > 0)
		run_at_rate();
	else
		run_at_once(atol(argv[4]));
	print_times();
	free(times);
	free(mail);
	return 0;
}
