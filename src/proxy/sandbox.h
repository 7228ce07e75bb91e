/*
 * What the daemon may ask of the kernel: a list of system calls (seccomp) and of folders
 * (Landlock), for all of its threads and for what it becomes in a restart. Both are belts: mail
 * goes on where the kernel has none of them, and the operator is told.
 *
 * Calls that are not in the list answer ENOSYS, as an older kernel would: libraries have another
 * way then, and a version of theirs that nobody tried here takes mail all the same. Those that only
 * an intruder has a use for (ptrace, mount, bpf, ...) end the process. Raw and packet sockets can't
 * be had, though CAP_NET_RAW could open them.
 *
 * Folders, not files, are named to Landlock: files are replaced by others of the same name, this
 * program's too when it is upgraded. Read: /etc, libraries, the folders of what the configuration
 * names. Written: those of events and state. Executed: the program's own folder and the loader.
 */
#pragma once

#include "conf/conf.h"

enum sandbox_access { SANDBOX_READ, SANDBOX_EXECUTE, SANDBOX_WRITE };

struct sandbox_path {
	char *path; /* a folder, or a file where the folder would be too much */
	enum sandbox_access access;
};

struct sandbox_paths {
	struct sandbox_path *items;
	size_t n;
};

/* Those of the configuration and of the system that exist; 0, -ENOMEM. Free with
 * sandbox_paths_deinit() in each case. */
int sandbox_paths_of(const struct conf *conf, struct sandbox_paths *ret_paths);
void sandbox_paths_deinit(struct sandbox_paths *paths);
/* Of the kernel; 0: it has no Landlock, or it is switched off. */
int sandbox_landlock_version(void);
/* Needs no_new_privs. 0; -ENOSYS: the kernel has none; -E2BIG: 16 layers are there already; -errno.
 */
int sandbox_files(const struct sandbox_paths *paths);
/* As sandbox_files(). */
int sandbox_calls(void);

/* A list for another process: system calls by name (mmap, mprotect, clone and ioctl come with it,
 * limited), and the sockets that it may open. As sandbox_files(). */
struct sandbox_socket {
	int family;
	int type, protocol; /* -1: any */
};
struct sandbox_list {
	const char *const *names;
	size_t n_names;
	const struct sandbox_socket *sockets;
	size_t n_sockets;
};
int sandbox_calls_of(const struct sandbox_list *list);
/* Both, in the main thread before there are others; tells the operator what can't be had. A program
 * started by one that is in the same sandbox already adds no further layer. */
void sandbox_enter(const struct conf *conf);
