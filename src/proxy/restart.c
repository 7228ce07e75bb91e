/*
 * Another process of the same program takes over: it is given the listening sockets, begins, says
 * that it takes sessions, and only then this one stops doing so. What waits on a socket meanwhile
 * is accepted by one of the two. Should the other one fail, nothing has happened.
 *
 * What was learned is saved before the other process reads it; what is learned here afterwards, of
 * the sessions that end here, is added to the file at the end (prover_hand_over()).
 */
#include "proxy/server_private.h"

#include "base/log.h"
#include "base/notify.h"
#include "proxy/prover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READY_ENVIRONMENT "FRONTDOOR_READY" /* descriptor to write READY to */
#define READY             "ready\n"
#define FIRST_FD          3
#define SAVE_TRIES        100 /* 50 ms each */
#define START_MS          120000

struct restart {
	struct main_thread *main;
	uv_timer_t timer;
	uv_pipe_t ready;
	uv_process_t process;
	bool has_ready, has_process, has_ended, heard, over;
	int tries, handles;
	char why[256];
};

static struct main_thread *main_of(struct server *s)
{
	return CONTAINER_OF(s, struct main_thread, server);
}

/* ---- the new process ---- */

static int take_descriptor(const char *name)
{
	const char *text = getenv(name);
	uint64_t fd = 0;

	if (!text || sv_to_u64(sv_from(text), INT_MAX, &fd) < 0)
		fd = 0;
	unsetenv(name);
	if (fd < FIRST_FD || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	return (int)fd;
}

static int ready_fd = -1;

struct sockets *server_inherited(void)
{
	const char *text = getenv(SOCKETS_ENVIRONMENT);
	struct sockets *s = NULL;

	ready_fd = take_descriptor(READY_ENVIRONMENT);
	if (text && sockets_inherit(text, &s) < 0)
		log_warning("%s=\"%s\" can't be understood: sockets are bound anew",
			    SOCKETS_ENVIRONMENT, text);
	unsetenv(SOCKETS_ENVIRONMENT);
	return s;
}

void server_say_ready(void)
{
	if (ready_fd < 0)
		return;
	(void)!write(ready_fd, READY, strlen(READY));
	close(ready_fd);
	ready_fd = -1;
}

/* ---- the end of an attempt ---- */

static void handle_closed(uv_handle_t *handle)
{
	struct restart *r = handle->data;

	if (--r->handles > 0)
		return;
	r->main->restart = NULL;
	free(r);
}

/* Not in server_restart(): r goes. */
static void finish(struct restart *r)
{
	if (r->over)
		return;
	r->over = true;
	r->handles = 1 + r->has_ready + r->has_process;
	uv_close((uv_handle_t *)&r->timer, handle_closed);
	if (r->has_ready)
		uv_close((uv_handle_t *)&r->ready, handle_closed);
	if (r->has_process)
		uv_close((uv_handle_t *)&r->process, handle_closed);
}

static void fail(struct restart *r, const char *why)
{
	struct main_thread *m = r->main;

	if (r->over)
		return;
	if (r->has_process && !r->has_ended)
		(void)uv_process_kill(&r->process, SIGTERM);
	log_error("restart: %s; this process goes on", why);
	event_emit_note(m->server.events, "restart-failed", why);
	prover_stay(m->server.prover);
	finish(r);
}

static void succeed(struct restart *r)
{
	struct main_thread *m = r->main;
	char text[64];

	log_info("restart: pid=%d takes the sessions from now on; those that are here go on",
		 r->process.pid);
	event_emit_note(m->server.events, "restart", "another process takes the sessions");
	snprintf(text, sizeof(text), "MAINPID=%d", r->process.pid);
	(void)notify_send(text);
	finish(r);
	if (!atomic_load(&m->ending))
		server_hand_over(m);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal)
{
	struct restart *r = process->data;
	char why[128];

	r->has_ended = true;
	if (signal)
		snprintf(why, sizeof(why), "the new process ended by signal %d", signal);
	else
		snprintf(why, sizeof(why),
			 "the new process ended with status %d; the lines before say why",
			 (int)status);
	fail(r, why);
}

static void give_room(uv_handle_t *handle, size_t size, uv_buf_t *ret_buf)
{
	struct restart *r = handle->data;

	*ret_buf = uv_buf_init(r->why, sizeof(r->why));
}

static void on_said(uv_stream_t *stream, ssize_t n, const uv_buf_t *said)
{
	struct restart *r = stream->data;

	if (n == 0 || r->over)
		return;
	if (n > 0)
		succeed(r);
	else if (r->has_process)
		uv_read_stop(stream); /* its exit status says more */
}

/* ---- the old process ---- */

static bool is_ours(const char *assignment)
{
	static const char *const names[] = { SOCKETS_ENVIRONMENT, READY_ENVIRONMENT,
					     "WATCHDOG_PID" /* this process, not the next */ };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);
		if (strncmp(assignment, names[i], n) == 0 && assignment[n] == '=')
			return true;
	}
	return false;
}

struct spawn {
	char **environment;
	char *sockets, ready[64];
	uv_stdio_container_t *stdio;
	int n_stdio;
};

static void spawn_free(struct spawn *p)
{
	free(p->environment);
	free(p->sockets);
	free(p->stdio);
}

/* Standard streams, then READY's pipe, then the sockets. */
static int prepare(const struct sockets *s, int ready, struct spawn *p)
{
	char *text = sockets_describe(s, FIRST_FD + 1);
	size_t n = 0, k = 0;

	while (environ[n])
		n++;
	p->environment = calloc(n + 3, sizeof(*p->environment));
	p->stdio = calloc(FIRST_FD + 1 + s->n, sizeof(*p->stdio));
	if (!text || !p->environment || !p->stdio ||
	    asprintf(&p->sockets, "%s=%s", SOCKETS_ENVIRONMENT, text) < 0) {
		free(text);
		return -ENOMEM;
	}
	free(text);
	snprintf(p->ready, sizeof(p->ready), "%s=%d", READY_ENVIRONMENT, FIRST_FD);
	for (size_t i = 0; i < n; i++)
		if (!is_ours(environ[i]))
			p->environment[k++] = environ[i];
	p->environment[k++] = p->sockets;
	p->environment[k] = p->ready;
	p->n_stdio = FIRST_FD + 1 + (int)s->n;
	for (int i = 0; i < p->n_stdio; i++) {
		p->stdio[i].flags = UV_INHERIT_FD;
		p->stdio[i].data.fd = i < FIRST_FD    ? i
				      : i == FIRST_FD ? ready
						      : s->rows[i - FIRST_FD - 1].fd;
	}
	return 0;
}

static int spawn(struct restart *r, int ready)
{
	struct main_thread *m = r->main;
	struct spawn p = { 0 };
	int e = prepare(m->sockets, ready, &p);

	if (e == 0) {
		uv_process_options_t how = { .exit_cb = on_exit_of,
					     .file = m->program,
					     .args = m->arguments,
					     .env = p.environment,
					     .stdio = p.stdio,
					     .stdio_count = p.n_stdio };
		e = uv_spawn(&m->loop, &r->process, &how);
		r->process.data = r;
		r->has_process = true; /* the handle is there in any case */
		r->has_ended = e < 0;
	}
	spawn_free(&p);
	return e;
}

static int begin(struct restart *r)
{
	struct main_thread *m = r->main;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	int e = uv_pipe_init(&m->loop, &r->ready, 0);
	if (e == 0) {
		r->ready.data = r;
		r->has_ready = true;
		e = uv_pipe_open(&r->ready, fds[0]);
	}
	if (e < 0) {
		close(fds[0]);
		close(fds[1]);
		return e;
	}
	e = spawn(r, fds[1]);
	close(fds[1]);
	return e < 0 ? e : uv_read_start((uv_stream_t *)&r->ready, give_room, on_said);
}

static void on_time(uv_timer_t *timer)
{
	struct restart *r = timer->data;
	char why[sizeof(r->main->program) + 128];

	if (r->has_process) {
		fail(r, "the new process is not ready in time");
		return;
	}
	if (!prover_hand_over(r->main->server.prover)) {
		if (++r->tries == SAVE_TRIES)
			fail(r, "what was learned can't be saved: the disk does not answer");
		return;
	}
	server_save_known(r->main);
	int e = begin(r);
	if (e < 0) {
		snprintf(why, sizeof(why), "%s can't be executed: %s", r->main->program,
			 strerror(-e));
		fail(r, why);
		return;
	}
	uv_timer_start(&r->timer, on_time, START_MS, 0);
}

/* A configuration that can't be served is found out before anything is begun. */
static int check(const struct conf *conf, struct buf *text)
{
	char *said = NULL;
	size_t n = 0;
	FILE *err = open_memstream(&said, &n);
	struct conf *next;

	if (!err)
		return -ENOMEM;
	int r = conf_load(conf->file, err, &next);
	if (r == 0)
		conf_free(next);
	fclose(err);
	if (r < 0 && said)
		(void)buf_add(text, said, min_size(n, buf_room(text)));
	free(said);
	return r;
}

int server_restart(struct server *s, struct buf *text)
{
	struct main_thread *m = main_of(s);
	struct restart *r;
	int e;

	if (atomic_load(&m->ending) || m->restart || m->reload) {
		(void)buf_printf(text, "a restart, a reload or the end is under way\n");
		return -EBUSY;
	}
	if (!m->program[0]) {
		(void)buf_printf(text, "the program's file is not known\n");
		return -ENOENT;
	}
	if ((e = check(s->setup->conf, text)) < 0)
		return e;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->main = m;
	r->timer.data = r;
	uv_timer_init(&m->loop, &r->timer);
	m->restart = r;
	(void)buf_printf(text, "restart: %s begins\n", m->program);
	return uv_timer_start(&r->timer, on_time, 0, 50);
}

bool server_restart_end(struct main_thread *m)
{
	if (m->restart && !m->restart->over)
		fail(m->restart, "the end was asked for");
	return !m->restart;
}

/* ---- what to execute ---- */

/* The file by its name, so that an upgrade's new one is found there; the arguments as they were. */
void server_know_program(struct main_thread *m)
{
	static char words[16384], *list[256];
	ssize_t n = readlink("/proc/self/exe", m->program, sizeof(m->program) - 1);
	size_t k = 0;

	if (n < 0)
		n = 0;
	m->program[n] = '\0';
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, words, sizeof(words) - 1);
	if (fd >= 0)
		close(fd);
	for (char *at = words; n > 0 && at < words + n && k + 1 < ARRAY_SIZE(list);
	     at += strlen(at) + 1)
		list[k++] = at;
	if (k == 0)
		m->program[0] = '\0';
	m->arguments = list;
}
