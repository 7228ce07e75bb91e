/* Case `calls` of test/kernel/run compares the list with what is called. */
#include "kernel/limit.h"

#include "base/log.h"
#include "proxy/sandbox.h"

#include <linux/netlink.h>
#include <sys/socket.h>

/* clang-format off */
static const char *const calls[] = {
	/* memory */
	"brk", "madvise", "mremap", "munmap",
	/* processes, and what the loader of nft needs */
	"arch_prctl", "execve", "exit", "exit_group", "fork", "futex", "getcpu", "get_robust_list",
	"prctl", "prlimit64", "getrlimit", "rseq", "set_robust_list", "set_tid_address", "tgkill",
	"vfork", "wait4", "waitid",
	/* who and where */
	"getegid", "geteuid", "getgid", "getpid", "getppid", "gettid", "getuid", "sysinfo", "uname",
	/* signals and time */
	"restart_syscall", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn",
	"sigaltstack", "clock_getres", "clock_gettime", "clock_nanosleep", "gettimeofday",
	"nanosleep", "time",
	/* descriptors */
	"close", "close_range", "dup", "dup2", "dup3", "fcntl", "lseek", "pipe", "pipe2", "poll",
	"ppoll", "pread64", "pselect6", "read", "readv", "select", "write", "writev",
	/* files */
	"access", "faccessat", "faccessat2", "fstat", "fstatfs", "getcwd", "getdents64",
	"getrandom", "lstat", "memfd_create", "newfstatat", "open", "openat", "readlink",
	"readlinkat", "stat", "statfs", "statx",
	/* sockets */
	"bind", "getsockname", "getsockopt", "recvfrom", "recvmsg", "sendmsg", "sendto",
	"setsockopt",
};
/* clang-format on */

static const struct sandbox_socket sockets[] = {
	{ AF_NETLINK, -1, NETLINK_ROUTE },
	{ AF_NETLINK, -1, NETLINK_NETFILTER },
	{ AF_NETLINK, -1, NETLINK_SOCK_DIAG },
};

/* Folders: an upgrade puts another file in the place of nft. */
static struct sandbox_path paths[] = {
	{ "/etc", SANDBOX_READ },
	{ "/usr/share", SANDBOX_READ },
	{ "/proc", SANDBOX_READ },
	{ "/usr/lib", SANDBOX_EXECUTE },
	{ "/usr/lib64", SANDBOX_EXECUTE },
	{ "/usr/local/lib", SANDBOX_EXECUTE },
	{ "/lib", SANDBOX_EXECUTE },
	{ "/lib64", SANDBOX_EXECUTE },
	{ "/usr/sbin", SANDBOX_EXECUTE },
	{ "/sbin", SANDBOX_EXECUTE },
	{ "/usr/local/sbin", SANDBOX_EXECUTE },
	{ "/usr/bin/nft", SANDBOX_EXECUTE },
};

void limit_all(void)
{
	static const struct sandbox_list list = { calls, ARRAY_SIZE(calls), sockets,
						  ARRAY_SIZE(sockets) };

	/* where the kernel has no Landlock, the daemon has said so */
	(void)sandbox_files(&(struct sandbox_paths) { paths, ARRAY_SIZE(paths) });
	int e = sandbox_calls_of(&list);
	if (e < 0)
		log_warning("error=\"%s\" no seccomp filter for the kernel process", strerror(-e));
}
