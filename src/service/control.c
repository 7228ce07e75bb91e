#include "service/control.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

struct client {
	uv_pipe_t pipe;
	uv_timer_t timer;
	uv_write_t write;
	struct control *control;
	struct client *next;
	int open; /* handles */
	bool answered;
	size_t n;
	char request[CONTROL_REQUEST_MAX];
	char *answer; /* malloc'ed */
};

struct control {
	char *path;
	dev_t dev;
	ino_t ino; /* of the socket that is ours */
	int fd;    /* until the loop has it */
	uv_pipe_t pipe;
	bool started, ended;
	struct client *clients;
	size_t n_clients;
	control_answer_fn answer;
	void *user;
};

/* ---- the file ---- */

static int address(const char *path, struct sockaddr_un *ret_sa)
{
	*ret_sa = (struct sockaddr_un) { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret_sa->sun_path))
		return -ENAMETOOLONG;
	strcpy(ret_sa->sun_path, path);
	return 0;
}

static bool somebody_answers(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return false;
	int r = connect(fd, (const struct sockaddr *)sa, sizeof(*sa));
	bool yes = r == 0 || errno == EAGAIN || errno == EINPROGRESS;
	close(fd);
	return yes;
}

/* Under another name; control_start() renames it: at no time is there no socket, and never with a
 * wrong mode; and a process that fails to start has taken nothing from the one before it. */
static int make_socket(struct control *c)
{
	struct sockaddr_un sa;
	struct stat st;
	char name[sizeof(sa.sun_path)];

	int n = snprintf(name, sizeof(name), "%s.new", c->path);
	if (n < 0 || (size_t)n >= sizeof(name))
		return -ENAMETOOLONG;
	int r = address(name, &sa);
	if (r < 0)
		return r;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return -errno;
	(void)unlink(name);
	mode_t mask = umask(0117);
	r = bind(c->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	if (listen(c->fd, BACKLOG) < 0 || lstat(name, &st) < 0) {
		r = -errno;
		(void)unlink(name);
		return r;
	}
	c->dev = st.st_dev;
	c->ino = st.st_ino;
	return 0;
}

int control_bind(const char *path, bool takeover, struct control **ret_control)
{
	struct sockaddr_un sa;
	struct stat st;
	int r = address(path, &sa);

	if (r < 0)
		return r;
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return -EEXIST; /* whatever it is, it is not ours to take away */
	if (!takeover && somebody_answers(&sa))
		return -EADDRINUSE;
	struct control *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->fd = -1;
	c->path = strdup(path);
	r = c->path ? make_socket(c) : -ENOMEM;
	if (r < 0) {
		control_free(c);
		return r;
	}
	*ret_control = c;
	return 0;
}

/* ---- clients ---- */

static void client_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;
	struct control *c = client->control;

	if (--client->open > 0)
		return;
	for (struct client **at = &c->clients; *at; at = &(*at)->next)
		if (*at == client) {
			*at = client->next;
			break;
		}
	c->n_clients--;
	free(client->answer);
	free(client);
}

static void client_end(struct client *client)
{
	if (uv_is_closing((uv_handle_t *)&client->timer))
		return;
	uv_close((uv_handle_t *)&client->pipe, client_closed);
	uv_close((uv_handle_t *)&client->timer, client_closed);
}

static void on_time(uv_timer_t *timer)
{
	client_end(timer->data);
}

static void on_written(uv_write_t *write, int status)
{
	client_end(write->data);
}

static json_t *refusal(const char *error)
{
	return json_pack("{s:b, s:s}", "ok", 0, "error", error);
}

static json_t *answer_to(const struct control *c, struct sv line)
{
	json_t *request = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
	json_t *answer;

	if (!json_is_object(request) || !json_is_string(json_object_get(request, "do")))
		answer = refusal("not a request; accepted: one line, as {\"do\": \"status\"}");
	else
		answer = c->answer(c->user, request);
	json_decref(request);
	return answer;
}

static void client_answer(struct client *client, json_t *answer)
{
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	size_t n = text ? strlen(text) : 0;

	json_decref(answer);
	client->answered = true;
	uv_read_stop((uv_stream_t *)&client->pipe);
	if (!text) {
		client_end(client);
		return;
	}
	text[n] = '\n'; /* in place of its NUL: lengths count from here */
	client->answer = text;
	client->write.data = client;
	uv_buf_t out = uv_buf_init(text, (unsigned)(n + 1));
	if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &out, 1, on_written) < 0)
		client_end(client);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *client = handle->data;

	*buf = uv_buf_init(client->request + client->n,
			   (unsigned)(sizeof(client->request) - client->n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *client = stream->data;

	if (n == 0)
		return;
	if (n < 0 && n != UV_ENOBUFS) {
		client_end(client);
		return;
	}
	if (n > 0)
		client->n += (size_t)n;
	const char *end = memchr(client->request, '\n', client->n);
	if (end)
		client_answer(client, answer_to(client->control,
						(struct sv) { client->request,
							      (size_t)(end - client->request) }));
	else if (client->n == sizeof(client->request))
		client_answer(client, refusal("this request is too long"));
}

static void on_client(uv_stream_t *server, int status)
{
	struct control *c = server->data;
	struct client *client = status == 0 ? calloc(1, sizeof(*client)) : NULL;

	if (!client)
		return;
	client->control = c;
	client->pipe.data = client->timer.data = client;
	uv_pipe_init(server->loop, &client->pipe, 0);
	uv_timer_init(server->loop, &client->timer);
	client->open = 2;
	client->next = c->clients;
	c->clients = client;
	c->n_clients++;
	if (uv_accept(server, (uv_stream_t *)&client->pipe) < 0 || c->n_clients > CONTROL_CLIENTS ||
	    uv_timer_start(&client->timer, on_time, CONTROL_TIME_MS, 0) < 0 ||
	    uv_read_start((uv_stream_t *)&client->pipe, on_room, on_read) < 0)
		client_end(client);
}

/* ---- life ---- */

static int take_place(const struct control *c)
{
	char name[sizeof(((struct sockaddr_un *)0)->sun_path)];

	snprintf(name, sizeof(name), "%s.new", c->path);
	return rename(name, c->path) < 0 ? -errno : 0;
}

int control_start(struct control *c, uv_loop_t *loop, control_answer_fn answer, void *user)
{
	int r = take_place(c);

	if (r < 0)
		return r;
	r = uv_pipe_init(loop, &c->pipe, 0);
	if (r < 0)
		return r;
	c->started = true;
	c->pipe.data = c;
	c->answer = answer;
	c->user = user;
	r = uv_pipe_open(&c->pipe, c->fd);
	if (r < 0)
		return r;
	c->fd = -1;
	return uv_listen((uv_stream_t *)&c->pipe, BACKLOG, on_client);
}

void control_end(struct control *c)
{
	struct stat st;

	if (!c || c->ended)
		return;
	c->ended = true;
	if (lstat(c->path, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino)
		(void)unlink(c->path);
	if (!c->started)
		return;
	uv_close((uv_handle_t *)&c->pipe, NULL);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	/* the loop has ended before these did: it calls nothing any more */
	for (struct client *client = c->clients, *next; client; client = next) {
		next = client->next;
		free(client->answer);
		free(client);
	}
	free(c->path);
	free(c);
}
