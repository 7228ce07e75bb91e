#include "cli/request.h"

#include "cli/cli.h"
#include "conf/conf.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (4 * 1024 * 1024)
#define SEND_S     5

static int usage(FILE *to, const char *name, int status)
{
	fprintf(to, "usage: frontdoor %s [-c FILE] [--socket PATH] [--json]%s\n", name,
		strcmp(name, "top") == 0 ? " [--once] [--interval SECONDS]" : "");
	return status;
}

static bool read_interval(const char *text, double *ret_seconds)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= 0.1 && v <= 3600))
		return false;
	*ret_seconds = v;
	return true;
}

int request_options(int argc, char **argv, struct request_options *o)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "once", no_argument, NULL, '1' },
		{ "interval", required_argument, NULL, 'i' },
		{ 0 },
	};
	bool top = strcmp(argv[0], "top") == 0;

	*o = (struct request_options) { .interval = 2 };
	optind = 0; /* glibc: start anew */
	for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		if (c == 'c')
			o->file = optarg;
		else if (c == 's')
			o->socket = optarg;
		else if (c == 'j')
			o->json = true;
		else if (c == 'h')
			return usage(stdout, argv[0], CLI_DONE);
		else if (c == '1' && top)
			o->once = true;
		else if (c != 'i' || !top || !read_interval(optarg, &o->interval))
			return usage(stderr, argv[0], CLI_USAGE);
	}
	return optind == argc ? -1 : usage(stderr, argv[0], CLI_USAGE);
}

/* The file that says where the socket is. Without -c that is asked only when there is none at the
 * usual place: a file that is wrong must not hide a daemon that runs. NULL: the usual place. */
static const char *file_to_ask(const struct request_options *o)
{
	if (o->file || access(CONTROL_DEFAULT, F_OK) == 0 || access(CONF_DEFAULT, R_OK) < 0)
		return o->file;
	return CONF_DEFAULT;
}

int request_socket(const struct request_options *o, char **ret_path)
{
	struct conf *conf = NULL;
	const char *path = o->socket ? o->socket : CONTROL_DEFAULT;
	const char *file = o->socket ? NULL : file_to_ask(o);

	if (file) {
		if (conf_load(file, stderr, &conf) < 0)
			return CLI_CONFIG;
		path = conf_control(conf);
	}
	char *copy = path ? strdup(path) : NULL;
	if (!path)
		fprintf(stderr, "frontdoor: %s says control: none; accepted: --socket PATH\n",
			file);
	conf_free(conf);
	if (!copy)
		return CLI_FAILED;
	*ret_path = copy;
	return CLI_DONE;
}

/* The descriptor, or -errno. */
static int dial(const char *path, int wait_s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval send_time = { .tv_sec = SEND_S }, wait_time = { .tv_sec = wait_s };

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_time, sizeof(send_time));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait_time, sizeof(wait_time));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* All that comes until the end, malloc'ed with its NUL. 0, -errno. */
static int read_all(int fd, char **ret_text)
{
	size_t n = 0, alloc = 65536;
	char *text = malloc(alloc);

	while (text) {
		ssize_t got = read(fd, text + n, alloc - n - 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int r = errno == EAGAIN ? -ETIMEDOUT : -errno;
			free(text);
			return r;
		}
		n += (size_t)got;
		if (got == 0)
			break;
		if (n + 1 < alloc)
			continue;
		if (alloc >= ANSWER_MAX) {
			free(text);
			return -EMSGSIZE;
		}
		alloc *= 2;
		char *more = realloc(text, alloc);
		if (!more)
			free(text);
		text = more;
	}
	if (!text)
		return -ENOMEM;
	text[n] = '\0';
	*ret_text = text;
	return 0;
}

static int exchange(int fd, const char *what, char **ret_text)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "{\"do\": \"%s\"}\n", what);

	INVARIANT(n > 0 && (size_t)n < sizeof(line));
	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n)
		return errno ? -errno : -EIO;
	return read_all(fd, ret_text);
}

/* Of an answer: CLI_DONE, or why not is told. */
static int judge(const char *path, json_t *answer)
{
	if (!json_is_object(answer)) {
		fprintf(stderr, "frontdoor: no answer from %s\n", path);
		return CLI_FAILED;
	}
	if (json_is_true(json_object_get(answer, "ok")))
		return CLI_DONE;
	const char *error = json_string_value(json_object_get(answer, "error"));
	fprintf(stderr, "%s%s\n", error ? "" : "frontdoor: it was refused", error ? error : "");
	return CLI_FAILED;
}

int request_send(const char *path, const char *what, int wait_s, json_t **ret_answer)
{
	CLEANUP(cleanup_free) char *text = NULL;
	int fd = dial(path, wait_s);

	if (fd == -ENOENT || fd == -ECONNREFUSED) {
		fprintf(stderr, "frontdoor: not running: nobody answers at %s\n", path);
		return CLI_FAILED;
	}
	int r = fd < 0 ? fd : exchange(fd, what, &text);
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		fprintf(stderr, "frontdoor: %s: %s\n", path, strerror(-r));
		return CLI_FAILED;
	}
	json_t *answer = json_loads(text, 0, NULL);
	int status = judge(path, answer);
	if (status == CLI_DONE)
		*ret_answer = answer;
	else
		json_decref(answer);
	return status;
}
