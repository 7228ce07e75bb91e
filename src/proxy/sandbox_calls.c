/*
 * The list of system calls. All cases of test/daemon and test/tls run the daemon under it; what the
 * kernel refused stands in its audit log ("type=1326 ... comm=frontdoor ... syscall=N").
 */
#include "proxy/sandbox.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* clang-format off */
static const char *const allowed[] = {
	/* memory; mmap and mprotect: below */
	"brk", "madvise", "mremap", "munmap", "membarrier", "mlock", "munlock",
	/* threads, processes and what the loader of a restarted program needs; clone: below */
	"arch_prctl", "execve", "execveat", "exit", "exit_group", "fork", "futex", "get_robust_list",
	"getcpu", "rseq", "sched_getaffinity", "sched_setaffinity", "sched_yield", "set_robust_list",
	"set_tid_address", "vfork", "wait4", "waitid", "pidfd_open", "pidfd_send_signal", "kill", "tgkill",
	"prctl", "capget", "capset", "seccomp", "landlock_create_ruleset", "landlock_add_rule",
	"landlock_restrict_self", "prlimit64", "getrlimit", "setrlimit", "getrusage", "setsid",
	"setpgid", "getpgid", "getpgrp", "sched_getparam", "sched_getscheduler",
	/* who and where */
	"getegid", "geteuid", "getgid", "getgroups", "getpid", "getppid", "getresgid", "getresuid",
	"getsid", "gettid", "getuid", "sysinfo", "uname", "umask", "getpriority",
	/* signals */
	"pause", "restart_syscall", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
	"rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "signalfd4", "alarm",
	/* time */
	"clock_getres", "clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep", "time",
	"timerfd_create", "timerfd_gettime", "timerfd_settime", "getitimer", "setitimer",
	/* descriptors */
	"close", "close_range", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl",
	"epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd2", "fcntl", "lseek", "pipe", "pipe2",
	"poll", "ppoll", "pread64", "preadv", "preadv2", "pselect6", "pwrite64", "pwritev",
	"pwritev2", "read", "readv", "select", "sendfile", "splice", "write", "writev",
	/* files, as far as Landlock lets */
	"access", "chmod", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchmod", "fchmodat",
	"fchown", "fdatasync", "flock", "fstat", "fstatfs", "fsync", "ftruncate", "getcwd",
	"getdents64", "lstat", "mkdir", "mkdirat", "newfstatat", "open", "openat", "readahead",
	"readlink", "readlinkat", "rename", "renameat", "renameat2", "rmdir", "stat", "statfs",
	"statx", "sync_file_range", "syncfs", "truncate", "unlink", "unlinkat", "utime", "utimensat",
	"getrandom", "memfd_create", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	/* sockets; socket: below */
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen",
	"recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt",
	"shutdown", "socketpair",
};

static const char *const deadly[] = {
	"acct", "add_key", "bpf", "chroot", "delete_module", "finit_module", "fsconfig", "fsmount",
	"fsopen", "init_module", "io_uring_setup", "kexec_file_load", "kexec_load", "keyctl",
	"mount", "mount_setattr", "move_mount", "open_by_handle_at", "open_tree", "perf_event_open",
	"pidfd_getfd", "pivot_root", "process_madvise", "process_vm_readv", "process_vm_writev",
	"ptrace", "quotactl", "reboot", "request_key", "setns", "settimeofday", "swapoff", "swapon",
	"umount2", "unshare", "userfaultfd", "vhangup",
};
/* clang-format on */

static int add_names(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		if (number == __NR_SCMP_ERROR)
			continue; /* libseccomp is older than the call */
		/* a call that this processor's kernel has under another name or not at all */
		int r = number < 0 ? 0 : seccomp_rule_add(ctx, action, number, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

#define ALLOW(ctx, name, ...) seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(name), __VA_ARGS__)
#define ARG(n, value)         ((struct scmp_arg_cmp) { n, SCMP_CMP_EQ, (uint64_t)(value), 0 })
#define ARG_BITS(n, mask, value)                                                                   \
	((struct scmp_arg_cmp) { n, SCMP_CMP_MASKED_EQ, mask, (uint64_t)(value) })
#define SOCKET_TYPE 0xf /* without SOCK_CLOEXEC and SOCK_NONBLOCK */

/* CAP_NET_RAW is for IP_TRANSPARENT; raw and packet sockets are what else it would allow. */
static const struct sandbox_socket sockets[] = {
	{ AF_INET, SOCK_STREAM, -1 },      { AF_INET, SOCK_DGRAM, -1 },
	{ AF_INET6, SOCK_STREAM, -1 },     { AF_INET6, SOCK_DGRAM, -1 },
	{ AF_UNIX, SOCK_STREAM, -1 },      { AF_UNIX, SOCK_DGRAM, -1 },
	{ AF_NETLINK, -1, NETLINK_ROUTE }, /* getifaddrs() */
};

static int add_socket(scmp_filter_ctx ctx, const struct sandbox_socket *s)
{
	struct scmp_arg_cmp args[3] = { ARG(0, s->family) };
	unsigned n = 1;

	if (s->type >= 0)
		args[n++] = ARG_BITS(1, SOCKET_TYPE, s->type);
	if (s->protocol >= 0)
		args[n++] = ARG(2, s->protocol);
	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), n, args);
}

/* No memory is writable and executable, nor becomes executable later; code is mapped from files,
 * and which these are Landlock says. */
static int add_memory(scmp_filter_ctx ctx)
{
	static const int both = PROT_WRITE | PROT_EXEC;
	int r = ALLOW(ctx, mprotect, 1, ARG_BITS(2, PROT_EXEC, 0));

	if (r == 0)
		r = ALLOW(ctx, mmap, 1, ARG_BITS(2, both, 0));
	if (r == 0)
		r = ALLOW(ctx, mmap, 1, ARG_BITS(2, both, PROT_WRITE));
	return r == 0 ? ALLOW(ctx, mmap, 1, ARG_BITS(2, both, PROT_EXEC)) : r;
}

/* clone3 has its flags in memory that a filter can't read: glibc falls back on clone. */
static int add_clone(scmp_filter_ctx ctx)
{
	static const uint64_t namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET |
					   CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
					   CLONE_NEWCGROUP;

	return ALLOW(ctx, clone, 1, ARG_BITS(0, namespaces, 0));
}

static int add_ioctl(scmp_filter_ctx ctx)
{
	static const unsigned long requests[] = { FIONBIO,  FIONREAD, FIOCLEX,
						  FIONCLEX, TCGETS,   TIOCGWINSZ };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(requests); i++)
		r = ALLOW(ctx, ioctl, 1, ARG_BITS(1, 0xffffffff, requests[i]));
	return r;
}

static int fill(scmp_filter_ctx ctx, const struct sandbox_list *list)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);

	/* what was refused is in the audit log */
	if (r == 0)
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	/* most packets' calls are found in a few steps instead of two hundred */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = add_names(ctx, SCMP_ACT_ALLOW, list->names, list->n_names);
	if (r == 0)
		r = add_names(ctx, SCMP_ACT_KILL_PROCESS, deadly, ARRAY_SIZE(deadly));
	for (size_t i = 0; r == 0 && i < list->n_sockets; i++)
		r = add_socket(ctx, &list->sockets[i]);
	if (r == 0)
		r = add_memory(ctx);
	if (r == 0)
		r = add_clone(ctx);
	return r == 0 ? add_ioctl(ctx) : r;
}

int sandbox_calls_of(const struct sandbox_list *list)
{
#ifdef __SANITIZE_ADDRESS__
	return 0; /* the leak check of a sanitizer traces us */
#endif
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r;

	if (!ctx)
		return -ENOMEM;
	r = fill(ctx, list);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

int sandbox_calls(void)
{
	static const struct sandbox_list list = { allowed, ARRAY_SIZE(allowed), sockets,
						  ARRAY_SIZE(sockets) };

	return sandbox_calls_of(&list);
}
