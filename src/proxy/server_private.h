/* The main thread, for the files it is made of: server.c (life), server_probe.c (what the backends
 * are), server_known.c, reload.c, restart.c. All of it is in that thread, but for what says
 * otherwise. */
#pragma once

#include "proxy/server.h"
#include "proxy/worker.h"

#include <pthread.h>

#define WORKERS_MAX      64
#define PROBE_TIMEOUT_MS 3000
#define PRIMARY_PORT     25
#define DRAIN_MS         30000

#define EXIT_FAILED 1
#define EXIT_CONF   78

struct reload;
struct restart;

struct main_thread {
	struct server server;
	const struct server_options *options;
	uv_timer_t beat;
	struct worker *workers[WORKERS_MAX];
	int n_workers;
	struct sockets *sockets; /* NULL: none is listened to any more */
	uv_loop_t loop;
	uv_signal_t on_term, on_int, on_hup, on_usr2;
	uv_timer_t watch;
	uv_work_t probing;
	struct setup *probed; /* held by the work */
	int probe_result;
	bool probing_now;
	uv_work_t refreshing; /* of certificates */
	struct setup *refreshed;
	bool refreshing_now;
	uv_timer_t poll;
	uv_work_t polling;           /* of the hosted files */
	pthread_mutex_t hosted_lock; /* server.hosted: while it is polled, or changed */
	bool polling_now;
	_Atomic bool ending; /* read by the prober's thread */
	bool doubted;        /* the identity safeguard was told */
	uint64_t aa_told;
	int signals;
	int exit_code;
	struct reload *reload;   /* waits for a backend's answer; NULL: none does */
	struct restart *restart; /* NULL: none is under way */
	char *known_file;        /* of known_clients.h; NULL: none */
	int64_t known_saved_ms;
	bool known_told; /* that it can't be saved */
	bool handed_over;
	char program[4096]; /* its file; "": not known */
	char **arguments;
};

/* ---- server.c ---- */

void server_end(struct main_thread *m, int64_t limit_ms);
/* Nobody is accepted here any more; another process has the sockets. */
void server_hand_over(struct main_thread *m);
void server_parts_reloaded(const struct main_thread *m);
/* Domains of the configuration that former has not, or all: their doors are kept ready. 0, -ENOMEM.
 */
int server_keep_domains(struct server *server, const struct conf *former);

/* ---- server_probe.c ---- */

/* Of the listeners whose backend isn't known: 0; EXIT_CONF: one would be an open relay, and that
 * was told. Waits; for one thread at a time, any. */
int server_probe(struct main_thread *m, struct setup *setup);
bool server_wants_probe(const struct setup *setup);
/* The same in the background. */
void server_probe_begin(struct main_thread *m, struct setup *setup);

/* ---- reload.c ---- */

/* The backends of a setup that isn't the one of now have been asked. */
void server_reload_probed(struct main_thread *m, const struct setup *probed, int exit_code);
/* The next try of one that could not be asked, since another probe was under way. */
void server_reload_tick(struct main_thread *m);
void server_reload_drop(struct main_thread *m);

/* ---- server_known.c ---- */

/* Whom the limiter knows, beside the state file. 0, -ENOMEM: without the file a scanner is known
 * again with its next mail. */
int server_load_known(struct main_thread *m);
/* Any thread. */
void server_save_known(struct main_thread *m);

/* ---- restart.c ---- */

/* What is to be executed, while it is known. */
void server_know_program(struct main_thread *m);
/* The sockets that another process has left us; NULL: none, or they are no use. */
struct sockets *server_inherited(void);
/* To who has started us: sessions are taken. */
void server_say_ready(void);
/* false: a child of ours is starting yet; it is told to end. */
bool server_restart_end(struct main_thread *m);
