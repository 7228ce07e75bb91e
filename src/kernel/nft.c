/*
 * Input and output go through files in memory instead of pipes: nothing can block, and no order of
 * reading and writing has to be kept.
 */
#include "kernel/nft.h"

#include <errno.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not from the caller's PATH: it may be a user's, without the sbin folders. */
static const char *const nft_paths[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft",
					 "/usr/bin/nft" };

bool nft_is_there(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(nft_paths); i++)
		if (access(nft_paths[i], X_OK) == 0)
			return true;
	return false;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int write_all(int fd, struct sv v)
{
	while (v.n > 0) {
		ssize_t n = write(fd, v.p, v.n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		v.p += n;
		v.n -= (size_t)n;
	}
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

static int read_all(int fd, struct buf *out)
{
	char block[4096];
	off_t at = 0;

	for (;;) {
		ssize_t n = pread(fd, block, sizeof(block), at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		int e = buf_add(out, block, (size_t)n);
		if (e < 0)
			return e;
		at += n;
	}
}

static int spawn(const char *const *argv, int in, int out, pid_t *ret_pid)
{
	static char locale[] = "LC_ALL=C";
	char *environment[] = { locale, NULL };
	posix_spawn_file_actions_t actions;
	int e = posix_spawn_file_actions_init(&actions);

	if (e != 0)
		return -e;
	e = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	if (e == 0) {
		e = ENOENT;
		for (size_t i = 0; i < ARRAY_SIZE(nft_paths) && e == ENOENT; i++)
			e = posix_spawn(ret_pid, nft_paths[i], &actions, NULL, (char *const *)argv,
					environment);
	}
	posix_spawn_file_actions_destroy(&actions);
	return -e;
}

int nft_run(const char *const *argv, struct sv input, struct buf *output)
{
	CLEANUP(close_fd) int in = memfd_create("nft-input", MFD_CLOEXEC);
	CLEANUP(close_fd) int out = memfd_create("nft-output", MFD_CLOEXEC);
	int status;
	pid_t pid = -1;

	if (in < 0 || out < 0)
		return -errno;
	int e = write_all(in, input);
	if (e >= 0)
		e = spawn(argv, in, out, &pid);
	if (e < 0)
		return e;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (output) {
		e = read_all(out, output);
		if (e < 0)
			return e;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}
