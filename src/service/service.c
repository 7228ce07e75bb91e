#include "service/service.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "proxy/sockets.h"
#include "service/control.h"
#include "service/http.h"
#include "service/openmetrics.h"
#include "service/status.h"
#include "service/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MINUTE         60 /* beats */
#define TELL_BEATS     5  /* the service manager's STATUS */
#define REPLY_TEXT_MAX 8192

struct service {
	struct server *server;
	struct control *control;
	struct http *http;
	char *control_path; /* as it was asked for at the start; "none" */
	struct endpoint http_at;
	bool answering, ending;
	int64_t started_ms;
	uint64_t beats;
	struct view_dns dns[MINUTE]; /* what the resolver had counted at those beats */
};

static void look(struct service *s, struct view *v)
{
	memset(v, 0, sizeof(*v));
	view_fill(s->server, v);
	v->answering = s->answering;
	v->ending = s->ending;
	v->started_ms = s->started_ms;
	if (s->beats == 0)
		return;
	const struct view_dns *then = &s->dns[s->beats < MINUTE ? 0 : s->beats % MINUTE];
	v->dns_minute.lookups = v->dns.lookups - then->lookups;
	v->dns_minute.failed = v->dns.failed - then->failed;
}

/* ---- control ---- */

/* The text's lines, and whether it was done. */
static json_t *outcome(int r, const struct buf *text)
{
	struct sv v = buf_view(text);

	while (v.n > 0 && v.p[v.n - 1] == '\n')
		v.n--;
	json_t *words = json_stringn(v.p, v.n);
	if (!words)
		words = json_string("what it said can't be shown");
	return json_pack("{s:b, s:o}", "ok", r == 0, r == 0 ? "text" : "error", words);
}

static json_t *change(struct service *s, int (*fn)(struct server *server, struct buf *text))
{
	struct buf text;

	buf_init(&text, REPLY_TEXT_MAX);
	json_t *answer = outcome(fn(s->server, &text), &text);
	buf_deinit(&text);
	return answer;
}

static json_t *answer(void *user, const json_t *request)
{
	const char *what = json_string_value(json_object_get(request, "do"));
	struct service *s = user;
	struct view v;

	if (strcmp(what, "reload") == 0)
		return change(s, server_reload);
	if (strcmp(what, "restart") == 0)
		return change(s, server_restart);
	if (strcmp(what, "resume") == 0)
		return change(s, view_resume);
	if (strcmp(what, "status") != 0 && strcmp(what, "top") != 0)
		return json_pack("{s:b, s:s}", "ok", 0, "error",
				 "unknown request; accepted: status, top, reload, restart, resume");
	look(s, &v);
	return strcmp(what, "status") == 0 ? status_json(&v) : status_top_json(&v);
}

/* ---- HTTP ---- */

static int page(void *user, const char *path, const char *accept, struct buf *out,
		const char **ret_type)
{
	struct service *s = user;
	struct view v;

	if (strcmp(path, "/health") == 0) {
		(void)buf_printf(out, "%s\n", s->answering ? "ok" : "not answering");
		return s->answering ? 200 : 503;
	}
	if (strcmp(path, "/metrics") == 0) {
		enum metrics_format format = metrics_format_for(accept);
		look(s, &v);
		if (metrics_write(&v, format, out) == 0) {
			*ret_type = metrics_type(format);
			return 200;
		}
		buf_clear(out);
		(void)buf_printf(out, "out of memory\n");
		return 503;
	}
	(void)buf_printf(out, "%s", strcmp(path, "/") == 0 ? "/metrics\n/health\n" : "not here\n");
	return strcmp(path, "/") == 0 ? 200 : 404;
}

/* ---- as a part of the server ---- */

/* The socket that nobody asked for is made only where that is possible without trouble. */
static bool may_make(void)
{
	char dir[sizeof(CONTROL_DEFAULT)];

	strcpy(dir, CONTROL_DEFAULT);
	*strrchr(dir, '/') = '\0';
	return access(dir, W_OK | X_OK) == 0;
}

static void bind_control(struct service *s, const struct conf *conf)
{
	const char *path = conf_control(conf);

	if (!path || (!conf->control && !may_make()))
		return;
	bool handed_over = getenv(SOCKETS_ENVIRONMENT) != NULL;
	int r = control_bind(path, handed_over, &s->control);
	if (r == -EADDRINUSE)
		log_warning("control=%s another process answers there; this one goes without",
			    path);
	else if (r < 0)
		log_warning("control=%s error=\"%s\" can't be made; going without", path,
			    strerror(-r));
}

static void bind_http(struct service *s, const struct conf *conf)
{
	char where[ADDR_STRLEN + 8];

	if (conf->http.port == 0)
		return;
	int r = http_bind(&conf->http, &s->http);
	if (r < 0)
		log_warning("http=%s error=\"%s\" can't listen; going without",
			    endpoint_format(&conf->http, where), strerror(-r));
}

static int prepare(void *user, const struct conf *conf)
{
	struct service *s = user;

	s->started_ms = clock_wall_ms();
	s->answering = true;
	s->control_path = strdup(conf->control ? conf->control : "");
	if (!s->control_path)
		return -ENOMEM;
	s->http_at = conf->http;
	bind_control(s, conf);
	bind_http(s, conf);
	return 0;
}

static int start(void *user, struct server *server, uv_loop_t *loop)
{
	struct service *s = user;
	int r;

	s->server = server;
	if (s->control && (r = control_start(s->control, loop, answer, s)) < 0)
		log_warning("control=%s error=\"%s\" can't serve", s->control_path, strerror(-r));
	if (s->http && (r = http_start(s->http, loop, page, s)) < 0)
		log_warning("http error=\"%s\" can't serve", strerror(-r));
	(void)notify_send("READY=1\nSTATUS=ready");
	return 0;
}

static void tell_manager(struct service *s)
{
	char status[256], lines[300];
	struct view v;

	if (s->ending)
		return; /* of another process, or none */
	if (s->answering && notify_watchdog_ms() > 0)
		(void)notify_send("WATCHDOG=1");
	if (s->beats % TELL_BEATS != 0 || !getenv("NOTIFY_SOCKET"))
		return;
	look(s, &v);
	status_line(&v, status, sizeof(status));
	snprintf(lines, sizeof(lines), "STATUS=%s", status);
	(void)notify_send(lines);
}

static void beat(void *user, bool answering)
{
	struct service *s = user;

	if (answering != s->answering)
		log_msg(answering ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "heartbeat=%s",
			answering ? "every worker answers again" : "a worker does not answer");
	s->answering = answering;
	s->dns[s->beats % MINUTE] = view_dns_now(s->server);
	s->beats++;
	tell_manager(s);
}

static void reloaded(void *user, const struct conf *conf)
{
	struct service *s = user;
	const char *path = conf->control ? conf->control : "";

	view_reloaded(s->server, conf);
	if (strcmp(path, s->control_path) != 0)
		log_warning("control: its new place counts after a restart");
	if (conf->http.port != s->http_at.port || !addr_eq(&conf->http.addr, &s->http_at.addr))
		log_warning("http: its new address counts after a restart");
}

static void ending(void *user, bool handover)
{
	struct service *s = user;

	s->ending = true;
	http_end(s->http);
	control_end(s->control);
	if (!handover)
		(void)notify_send("STOPPING=1\nSTATUS=letting transactions in progress end");
}

static void stop(void *user)
{
	struct service *s = user;

	control_free(s->control);
	http_free(s->http);
	free(s->control_path);
}

struct server_part service_part(void)
{
	static struct service s;

	return (struct server_part) {
		.user = &s,
		.prepare = prepare,
		.start = start,
		.beat = beat,
		.reloaded = reloaded,
		.ending = ending,
		.stop = stop,
	};
}
