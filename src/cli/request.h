/* Asking the running daemon, by its control socket (service/control.h). */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* What the commands for a running daemon have in common. */
struct request_options {
	const char *file;   /* -c FILE; NULL: none was given */
	const char *socket; /* --socket PATH; NULL: the configuration's, or the usual one */
	bool json, once;
	double interval; /* seconds */
};

/* -1: go on; else the exit status, help was printed. For all of these commands; top: --once,
 * --interval too. */
int request_options(int argc, char **argv, struct request_options *o);
/* The path of the socket, malloc'ed: 0, or an exit status; the operator was told. */
int request_socket(const struct request_options *o, char **ret_path);
/*
 * One request. CLI_DONE: *ret_answer is the caller's; else the exit status, the operator was told:
 * one line, and CLI_FAILED when the daemon does not run. wait_s: for the answer.
 */
int request_send(const char *path, const char *what, int wait_s, json_t **ret_answer);
