/* Each attempt is made by a process of its own, under the limits of the kernel process. */
#include "kernel/limit.h"
#include "proxy/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

static int socket_of(int family, int type, int protocol)
{
	return socket(family, type | SOCK_CLOEXEC, protocol) < 0 ? errno : 0;
}

static int netfilter(void)
{
	return socket_of(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static int audit(void)
{
	return socket_of(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
}

static int tcp(void)
{
	return socket_of(AF_INET, SOCK_STREAM, 0);
}

static int packet(void)
{
	return socket_of(AF_PACKET, SOCK_RAW, 0);
}

static int unix_socket(void)
{
	return socket_of(AF_UNIX, SOCK_STREAM, 0);
}

static int opens(const char *path, int flags)
{
	return open(path, flags | O_CLOEXEC, 0600) < 0 ? errno : 0;
}

static int read_services(void)
{
	return opens("/etc/hosts", O_RDONLY);
}

static int write_file(void)
{
	return opens("/tmp/limit-test", O_WRONLY | O_CREAT);
}

static int read_root(void)
{
	return opens("/", O_RDONLY | O_DIRECTORY);
}

static int execute(const char *program)
{
	char *argv[] = { (char *)program, "--version", NULL };

	(void)close(STDOUT_FILENO);
	execve(program, argv, (char *[]) { NULL });
	return errno;
}

static int nft(void)
{
	return execute("/usr/sbin/nft");
}

static int shell(void)
{
	return execute("/usr/bin/env");
}

static int trace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
}

static int removes(void)
{
	return unlink("/tmp/limit-test") < 0 ? errno : 0;
}

static const struct attempt {
	const char *name;
	int (*try)(void);
	int expected; /* errno; negative: the signal that ends the process */
	bool landlock;
} attempts[] = {
	{ "netfilter", netfilter, 0, false },   { "audit", audit, ENOSYS, false },
	{ "tcp", tcp, ENOSYS, false },          { "packet", packet, ENOSYS, false },
	{ "unix", unix_socket, ENOSYS, false }, { "read /etc", read_services, 0, false },
	{ "write", write_file, EACCES, true },  { "read /", read_root, EACCES, true },
	{ "remove", removes, ENOSYS, false },   { "nft", nft, 0, false },
	{ "shell", shell, EACCES, true },       { "trace", trace, -SIGSYS, false },
};

static int attempt(const struct attempt *a)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			_exit(250);
		limit_all();
		_exit(a->try());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_attempts(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	skip(); /* no filter there */
#endif
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		if (attempts[i].landlock && sandbox_landlock_version() == 0)
			continue;
		if (attempts[i].try == nft && access("/usr/sbin/nft", X_OK) < 0)
			continue;
		int r = attempt(&attempts[i]);
		if (r != attempts[i].expected)
			fail_msg("%s: %d instead of %d", attempts[i].name, r, attempts[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_attempts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
