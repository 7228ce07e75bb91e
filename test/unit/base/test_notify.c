/* What goes to a service manager, and to the journal. */
#include "base/log.h"
#include "base/notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int listen_at(const char *path, size_t n)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(sa.sun_path, path, n);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
			 0);
	return fd;
}

static void assert_hears(int fd, const char *text)
{
	char got[256] = "";

	assert_true(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) >= 0);
	assert_string_equal(got, text);
}

static void lines_reach_files_and_abstract_names(void **state)
{
	char dir[] = "/tmp/notify.XXXXXX", path[64], name[64];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	int fd = listen_at(path, strlen(path) + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_send("READY=1\nSTATUS=x"), 0);
	assert_hears(fd, "READY=1\nSTATUS=x");
	close(fd);
	assert_int_equal(notify_send("READY=1"), -ECONNREFUSED);
	unlink(path);
	rmdir(dir);

	snprintf(name, sizeof(name), "@frontdoor-test-%ld", (long)getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	char abstract[64];
	size_t n = strlen(name);
	memcpy(abstract, name, n);
	abstract[0] = '\0';
	fd = listen_at(abstract, n);
	assert_int_equal(notify_send("WATCHDOG=1"), 0);
	assert_hears(fd, "WATCHDOG=1");
	assert_int_equal(notify_reloading(), 0);
	close(fd);
}

static void without_a_manager_nothing_happens(void **state)
{
	char longer[300];

	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), 1);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_send("READY=1"), 1);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_send("READY=1"), -EINVAL);
	memset(longer, '/', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longer, 1);
	assert_int_equal(notify_send("READY=1"), -EINVAL);
	unsetenv("NOTIFY_SOCKET");
}

static void the_watchdog_is_for_this_process(void **state)
{
	char pid[32];

	unsetenv("WATCHDOG_USEC");
	assert_int_equal(notify_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "20000000", 1);
	assert_int_equal(notify_watchdog_ms(), 20000);
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ms(), 20000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_ms(), 0);
	unsetenv("WATCHDOG_PID");
	setenv("WATCHDOG_USEC", "soon", 1);
	assert_int_equal(notify_watchdog_ms(), 0);
	unsetenv("WATCHDOG_USEC");
}

/* What a process logs whose stderr is the file, with JOURNAL_STREAM as it says. */
static void logged(bool journal, const char *want)
{
	FILE *f = tmpfile();
	char stream[64], got[128] = "";
	struct stat st;
	int status;

	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + !journal);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		setenv("JOURNAL_STREAM", stream, 1);
		dup2(fileno(f), STDERR_FILENO);
		log_warning("x=%d", 1);
		log_error("y");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	rewind(f);
	assert_true(fread(got, 1, sizeof(got) - 1, f) > 0);
	assert_string_equal(got, want);
	fclose(f);
}

static void the_journal_gets_levels(void **state)
{
	logged(true, "<4>x=1\n<3>y\n");
	logged(false, "warning x=1\nerror y\n"); /* the stream is something else's */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_reach_files_and_abstract_names),
		cmocka_unit_test(without_a_manager_nothing_happens),
		cmocka_unit_test(the_watchdog_is_for_this_process),
		cmocka_unit_test(the_journal_gets_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
