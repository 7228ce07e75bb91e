/*
 * Which folders a configuration names, and what the kernel then does: each attempt is made by a
 * process of its own that has entered the sandbox as the daemon does.
 */
#include "proxy/privileges.h"
#include "proxy/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[] = "/tmp/sandbox.XXXXXX";
static struct conf *conf;

static const char *in(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static int set_up(void **state)
{
	static const char *const folders[] = { "conf", "tls", "tls/a", "tls/real", "out", "other" };
	char text[2048];

	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		assert_int_equal(mkdir(in(folders[i]), 0700), 0);
	make_file(in("conf/hosted"));
	make_file(in("other/real.pem"));
	make_file(in("out/events.jsonl"));
	assert_int_equal(mkdir(in("secret"), 0700), 0);
	make_file(in("secret/file"));
	char link[256];
	snprintf(link, sizeof(link), "%s", in("tls/a/combined.pem"));
	assert_int_equal(symlink(in("other/real.pem"), link), 0);
	snprintf(text, sizeof(text),
		 "listeners: [{mode: listen, bind: [\"127.0.0.1:2525\"], backend: "
		 "\"127.0.0.1:25\"}]\nhosted: [%s/conf/hosted]\ntls: {directory: "
		 "\"%s/tls/*/combined.pem\"}\nevents: {json: %s/out/events.jsonl}\n",
		 dir, dir, dir);
	return conf_load_text("f", sv_from(text), stderr, &conf);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	return remove(path);
}

static int tear_down(void **state)
{
	conf_free(conf);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- the rules ---- */

static bool has(const struct sandbox_paths *paths, const char *path, enum sandbox_access access)
{
	for (size_t i = 0; i < paths->n; i++)
		if (strcmp(paths->items[i].path, path) == 0 && paths->items[i].access == access)
			return true;
	return false;
}

static void test_paths(void **state)
{
	struct sandbox_paths paths;
	char here[4096];

	assert_int_equal(sandbox_paths_of(conf, &paths), 0);
	assert_true(has(&paths, in("conf"), SANDBOX_READ));
	assert_true(has(&paths, in("tls"), SANDBOX_READ));
	assert_true(has(&paths, in("other"), SANDBOX_READ)); /* behind the link */
	assert_true(has(&paths, in("out"), SANDBOX_WRITE));
	assert_true(has(&paths, "/etc", SANDBOX_READ));
	assert_true(has(&paths, realpath(".", here), SANDBOX_READ)); /* of the file "f" */
	assert_false(has(&paths, in("secret"), SANDBOX_READ));
	for (size_t i = 0; i < paths.n; i++) {
		assert_string_not_equal(paths.items[i].path, "/");
		assert_string_not_equal(paths.items[i].path, dir);
		for (size_t k = 0; k < i; k++)
			assert_false(paths.items[i].access == paths.items[k].access &&
				     strcmp(paths.items[i].path, paths.items[k].path) == 0);
	}
	sandbox_paths_deinit(&paths);
}

/* ---- what the kernel does ---- */

static int opens(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	return fd < 0 ? errno : 0;
}

static int read_conf(void)
{
	return opens(in("conf/hosted"), O_RDONLY);
}

static int read_link(void)
{
	return opens(in("tls/a/combined.pem"), O_RDONLY);
}

static int write_events(void)
{
	return opens(in("out/events.jsonl"), O_WRONLY | O_APPEND | O_CREAT);
}

static int make_new(void)
{
	return opens(in("out/new"), O_WRONLY | O_CREAT | O_TRUNC);
}

static int read_secret(void)
{
	return opens(in("secret/file"), O_RDONLY);
}

static int write_conf(void)
{
	return opens(in("conf/hosted"), O_WRONLY);
}

static int make_elsewhere(void)
{
	return opens(in("conf/new"), O_WRONLY | O_CREAT);
}

static int list_root(void)
{
	return opens("/", O_RDONLY | O_DIRECTORY);
}

static char in_secret[256];

static int becomes(const char *program, char *argument)
{
	char *argv[] = { (char *)program, argument, in_secret, NULL };

	snprintf(in_secret, sizeof(in_secret), "%s", in("secret/file"));
	execve(program, argv, environ);
	return errno;
}

static int execute_self(void)
{
	return becomes("/proc/self/exe", "--executed");
}

static int execute_shell(void)
{
	return becomes("/usr/bin/env", NULL);
}

static int socket_of(int family, int type)
{
	return socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) < 0 ? errno : 0;
}

static int socket_tcp(void)
{
	return socket_of(AF_INET6, SOCK_STREAM);
}

static int socket_unix(void)
{
	return socket_of(AF_UNIX, SOCK_DGRAM);
}

static int socket_raw(void)
{
	return socket_of(AF_INET, SOCK_RAW);
}

static int socket_packet(void)
{
	return socket_of(AF_PACKET, SOCK_RAW);
}

static int code_in_data(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int data_to_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 0;
	return mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 ? errno : 0;
}

static int not_listed(void)
{
	return personality(0xffffffff) < 0 ? errno : 0;
}

static int trace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
}

static void *raw_in_thread(void *arg)
{
	*(int *)arg = socket_raw();
	return NULL;
}

static int thread_has_it_too(void)
{
	pthread_t t;
	int r = 0;

	if (pthread_create(&t, NULL, raw_in_thread, &r) != 0)
		return 0;
	pthread_join(t, NULL);
	return r;
}

static const struct attempt {
	const char *name;
	int (*try)(void);
	int expected; /* errno; negative: the signal that ends the process */
	bool landlock;
} attempts[] = {
	{ "read conf", read_conf, 0, false },
	{ "read link", read_link, 0, false },
	{ "write events", write_events, 0, false },
	{ "make new", make_new, 0, false },
	{ "read secret", read_secret, EACCES, true },
	{ "write conf", write_conf, EACCES, true },
	{ "make elsewhere", make_elsewhere, EACCES, true },
	{ "list root", list_root, EACCES, true },
	{ "execute self", execute_self, 0, false },
	{ "execute another", execute_shell, EACCES, true },
	{ "socket tcp", socket_tcp, 0, false },
	{ "socket unix", socket_unix, 0, false },
	{ "socket raw", socket_raw, ENOSYS, false },
	{ "socket packet", socket_packet, ENOSYS, false },
	{ "code in data", code_in_data, ENOSYS, false },
	{ "data to code", data_to_code, ENOSYS, false },
	{ "not listed", not_listed, ENOSYS, false },
	{ "trace", trace, -SIGSYS, false },
	{ "thread", thread_has_it_too, ENOSYS, false },
};

static int attempt(const struct attempt *a)
{
	/* as root, whose rights would let it read all */
	struct privileges p = { .uid = geteuid(), .change = geteuid() == 0 };
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (privileges_drop(&p) < 0)
			_exit(250);
		sandbox_enter(conf);
		_exit(a->try());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_kernel(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	skip(); /* no filter there */
#endif
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		if (attempts[i].landlock && sandbox_landlock_version() == 0)
			continue;
		int r = attempt(&attempts[i]);
		if (r != attempts[i].expected)
			fail_msg("%s: %d instead of %d", attempts[i].name, r, attempts[i].expected);
	}
}

static long filters(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long n = -1;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "Seccomp_filters:", 16) == 0)
			n = strtol(line + 16, NULL, 10);
	if (f)
		fclose(f);
	return n;
}

/* What a restart executes: it is in the sandbox that it enters, and adds no layer to it. */
static int executed(const char *secret)
{
	struct conf *c = NULL;
	struct privileges p = { .uid = geteuid(), .change = geteuid() == 0 };
	long before = filters();

	if (conf_load_text("f", SV("listeners: [{}]\n"), stderr, &c) < 0)
		return 100;
	if (privileges_drop(&p) < 0)
		return 101;
	sandbox_enter(c);
	conf_free(c);
	if (filters() != before || before < 1)
		return 102;
	if (sandbox_landlock_version() > 0 && opens(secret, O_RDONLY) != EACCES)
		return 103;
	return thread_has_it_too() == ENOSYS ? 0 : 104;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_kernel),
	};
	if (argc > 2)
		return executed(argv[2]);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
