/* The daemon: everything that `frontdoor serve` runs, from start to end. */
#pragma once

#include "base/buf.h"
#include "conf/conf.h"

#include <uv.h>

struct server;

/*
 * What goes with the daemon and belongs to a room below: kernel/, service/. Any function may be
 * NULL; all are called in the main thread, and must not wait. Those that return: 0; > 0 an exit
 * code, the operator was told why; -errno.
 */
struct server_part {
	void *user;
	/* Before any thread and any socket of ours, still with the privileges of the start. */
	int (*prepare)(void *user, const struct conf *conf);
	/* The workers take sessions. loop is the main thread's. */
	int (*start)(void *user, struct server *server, uv_loop_t *loop);
	/* Each second; answering: every worker has answered since the last time. */
	void (*beat)(void *user, bool answering);
	/* From now on this configuration counts; the former one is gone after the call. */
	void (*reloaded)(void *user, const struct conf *conf);
	/* No new sessions are taken any more. handover: another process takes them. */
	void (*ending)(void *user, bool handover);
	/* Its handles on the loop are closed by now, or never were. */
	void (*stop)(void *user);
};

struct server_options {
	char *const *argv; /* of this process: what a restart executes */
	const struct server_part *parts;
	size_t n_parts;
};

/* Before the configuration is read: one that asks for another reading of it, or for a restart,
 * waits until server_run() can do that, rather than end the program. */
void server_hold_signals(void);
/* Takes conf over. Returns the exit code: 0 after SIGTERM or SIGINT, 1 failed, 78 when the
 * configuration can't be served. */
int server_run(struct conf *conf, const struct server_options *options);

/* ---- for parts, in the main thread ---- */

const struct conf *server_conf(const struct server *s);
struct metrics *server_metrics(struct server *s);
/* As by SIGTERM, with that exit code. */
void server_stop(struct server *s, int exit_code);
/* Reads the file again; 0, or -EINVAL and -ENOMEM: nothing has changed. text: what the operator is
 * told, lines. */
int server_reload(struct server *s, struct buf *text);
/* The same program from its file, with the listening sockets: 0, it has begun; -errno: text says
 * why. */
int server_restart(struct server *s, struct buf *text);
