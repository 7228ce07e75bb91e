#include "service/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE_MAX (4 * 1024 * 1024)
#define BACKLOG  64
#define IDLE_MS  1000 /* the library closes slow clients when it is run */

struct http {
	int fd; /* until the library has it */
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer;
	bool polling, timing, ended;
	http_page_fn page;
	void *user;
};

int http_bind(const struct endpoint *at, struct http **ret_http)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(at, false, &sa);
	int one = 1;
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* A process that takes over from us binds it while we still have it. */
	if (h->fd < 0 || setsockopt(h->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(h->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    (sa.ss_family == AF_INET6 &&
	     setsockopt(h->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    bind(h->fd, (struct sockaddr *)&sa, len) < 0 || listen(h->fd, BACKLOG) < 0) {
		int r = -errno;
		http_free(h);
		return r;
	}
	*ret_http = h;
	return 0;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *type,
			       struct sv body)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(body.n, (void *)body.p, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, HEAD");
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	static char seen;
	struct http *h = user;
	const char *type = "text/plain; charset=utf-8";

	if (!*state) { /* the headers only: a body may follow */
		*state = &seen;
		return MHD_YES;
	}
	if (*upload_size > 0) {
		*upload_size = 0; /* thrown away */
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return respond(connection, MHD_HTTP_METHOD_NOT_ALLOWED, type,
			       SV("only GET and HEAD\n"));

	const char *accept =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	struct buf page;
	buf_init(&page, PAGE_MAX);
	int status = h->page(h->user, url, accept ? accept : "", &page, &type);
	enum MHD_Result r = respond(connection, (unsigned)status, type, buf_view(&page));
	buf_deinit(&page);
	return r;
}

static void on_timer(uv_timer_t *timer);

static void run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG wait;

	MHD_run(h->daemon);
	if (MHD_get_timeout(h->daemon, &wait) != MHD_YES || wait > IDLE_MS)
		wait = IDLE_MS;
	uv_timer_start(&h->timer, on_timer, wait, 0);
}

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	run(poll->data);
}

int http_start(struct http *h, uv_loop_t *loop, http_page_fn page, void *user)
{
	h->page = page;
	h->user = user;
	h->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, h->fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CLIENTS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)HTTP_TIME_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)HTTP_MEMORY, MHD_OPTION_END);
	if (!h->daemon)
		return -EIO;
	h->fd = -1;
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -EIO;
	h->poll.data = h->timer.data = h;
	int r = uv_timer_init(loop, &h->timer);
	h->timing = r == 0;
	if (r == 0)
		r = uv_poll_init(loop, &h->poll, info->epoll_fd);
	h->polling = r == 0;
	if (r == 0)
		r = uv_poll_start(&h->poll, UV_READABLE, on_ready);
	if (r == 0)
		run(h);
	return r;
}

void http_end(struct http *h)
{
	if (!h || h->ended)
		return;
	h->ended = true;
	if (h->polling)
		uv_close((uv_handle_t *)&h->poll, NULL);
	if (h->timing)
		uv_close((uv_handle_t *)&h->timer, NULL);
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	h->daemon = NULL;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}
