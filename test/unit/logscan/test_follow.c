/* A live log: what is appended, half-written, rotated, truncated, or gone for a while. */
#include "base/clock.h"
#include "files.h"
#include "logscan/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define LONG_MS 20000 /* no test comes near it */

static struct source *follow(const char *name, bool from_start)
{
	struct source *s;

	assert_int_equal(source_follow(name, from_start, files_err, &s), 0);
	return s;
}

/* What is there now as "NUMBER:TEXT|", "*" before the first of a file, "..." behind what was cut;
 * and what came then. */
static void expect(struct source *s, const char *want, int then)
{
	char got[256];
	struct source_line line;
	size_t n = 0;
	int r;

	while ((r = source_next(s, &line)) == 0) {
		n += snprintf(got + n, sizeof(got) - n, "%s%d:%.20s%s|", line.new_file ? "*" : "",
			      (int)line.number, strndupa(line.text.p, min_size(line.text.n, 20)),
			      line.cut ? "..." : "");
		assert_true(n < sizeof(got));
	}
	got[n] = 0;
	assert_string_equal(got, want);
	assert_int_equal(r, then);
}

static void expect_more(struct source *s)
{
	int64_t begin = clock_mono_ms();

	source_wait(s, LONG_MS);
	assert_true(clock_mono_ms() - begin < LONG_MS / 2);
}

/* Nothing ends the wait before its time. */
static void expect_quiet(struct source *s)
{
	int64_t begin = clock_mono_ms();

	source_wait(s, 20);
	assert_true(clock_mono_ms() - begin >= 20);
}

static void test_growing(void **state)
{
	struct source *s;

	files_write("log", SV("a\nb\n"));
	s = follow("log", true);
	expect(s, "*1:a|2:b|", -EAGAIN);
	expect(s, "", -EAGAIN);
	expect_quiet(s);
	files_append("log", SV("c\r\nhalf"));
	expect_more(s);
	expect(s, "3:c|", -EAGAIN);
	expect_quiet(s); /* half a line is not waited for in a busy loop */
	files_append("log", SV(" whole\n\n"));
	expect_more(s);
	expect(s, "4:half whole|5:|", -EAGAIN);
	source_free(s);
	files_expect_told("");
}

static void test_from_end(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* when "x\ny\n" was added */
	} cases[] = {
		{ "", "*1:x|2:y|" },
		{ "a\n", "*1:x|2:y|" },
		{ "a\nb\n\n", "*1:x|2:y|" },
		{ "half ", "*1:half x|2:y|" },
		{ "a\nhalf ", "*1:half x|2:y|" },
		{ "\nhalf ", "*1:half x|2:y|" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct source *s;

		files_write("log", sv_from(cases[i].text));
		s = follow("log", false);
		expect(s, "", -EAGAIN);
		files_append("log", SV("x\ny\n"));
		expect_more(s);
		expect(s, cases[i].want, -EAGAIN);
		source_free(s);
	}
}

/* A half line at the end, of n octets, behind a line or not. */
static void test_from_end_long(void **state)
{
	static const struct {
		size_t n;
		const char *before, *want;
	} cases[] = {
		{ SOURCE_LINE_MAX - 1, "", "*1:zzzzzzzzzzzzzzzzzzzz|2:y|" },
		{ SOURCE_LINE_MAX - 1, "\n", "*1:zzzzzzzzzzzzzzzzzzzz|2:y|" },
		{ SOURCE_LINE_MAX, "", "*1:zzzzzzzzzzzzzzzzzzzz...|2:y|" },
		{ SOURCE_LINE_MAX, "\n", "*1:y|" }, /* its start is not looked for */
		{ SOURCE_LINE_MAX * 3, "", "*1:y|" },
	};
	char *z = malloc(SOURCE_LINE_MAX * 3);

	assert_non_null(z);
	memset(z, 'z', SOURCE_LINE_MAX * 3);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct source *s;

		files_write("log", sv_from(cases[i].before));
		files_append("log", (struct sv) { z, cases[i].n });
		s = follow("log", false);
		expect(s, "", -EAGAIN);
		files_append("log", SV("x\ny\n"));
		expect(s, cases[i].want, -EAGAIN);
		source_free(s);
	}
	free(z);
}

/* rename, create: the rest of the old one first, whoever writes it and when. */
static void test_renamed(void **state)
{
	struct source *s;

	files_write("log", SV("a\n"));
	s = follow("log", true);
	expect(s, "*1:a|", -EAGAIN);

	files_append("log", SV("b\n"));
	assert_int_equal(rename("log", "log.1"), 0);
	files_append("log.1", SV("c\n"));
	expect_more(s);
	expect(s, "2:b|3:c|", -EAGAIN);

	expect_quiet(s); /* missing for a while */
	files_append("log.1", SV("d\n"));
	expect(s, "4:d|", -EAGAIN);

	files_write("log", SV("")); /* there, but the old one is still written to */
	expect(s, "", -EAGAIN);
	expect_quiet(s);
	files_append("log.1", SV("e\n"));
	expect_more(s);
	expect(s, "5:e|", -EAGAIN);

	files_append("log.1", SV("f\nno newline"));
	files_append("log", SV("n\n"));
	expect_more(s);
	expect(s, "6:f|7:no newline|*1:n|", -EAGAIN);
	files_append("log", SV("o\n"));
	expect_more(s);
	expect(s, "2:o|", -EAGAIN);

	unlink("log"); /* removed rather than renamed */
	files_write("log", SV("p\n"));
	expect_more(s);
	expect(s, "*1:p|", -EAGAIN);
	source_free(s);
	files_expect_told("");
}

/* Between any two calls. */
static void test_renamed_in_line(void **state)
{
	struct source *s;
	struct source_line line;

	files_write("log", SV("a\nb\n"));
	s = follow("log", true);
	assert_int_equal(source_next(s, &line), 0);
	assert_int_equal(rename("log", "log.1"), 0);
	files_write("log", SV("c\n"));
	assert_memory_equal(line.text.p, "a", 1);
	expect(s, "2:b|*1:c|", -EAGAIN);
	source_free(s);
}

static void test_truncated(void **state)
{
	struct source *s;

	files_write("log", SV("aaa\nbbb\n"));
	s = follow("log", true);
	expect(s, "*1:aaa|2:bbb|", -EAGAIN);
	assert_int_equal(truncate("log", 0), 0);
	expect_more(s);
	expect(s, "", -EAGAIN);
	expect_quiet(s);
	files_append("log", SV("c\n"));
	expect_more(s);
	expect(s, "*1:c|", -EAGAIN);

	/* in the middle of a line; and something there again when we look */
	files_append("log", SV("long half"));
	expect(s, "", -EAGAIN);
	assert_int_equal(truncate("log", 0), 0);
	files_append("log", SV("d\n"));
	expect_more(s);
	expect(s, "2:long half...|*1:d|", -EAGAIN);
	source_free(s);
	files_expect_told("");
}

/* Through a symbolic link into another directory, where inotify sees less. */
static void test_link(void **state)
{
	struct source *s;

	mkdir("deep", 0755);
	files_write("deep/log", SV("a\n"));
	assert_int_equal(symlink("deep/log", "link"), 0);
	s = follow("link", true);
	expect(s, "*1:a|", -EAGAIN);
	files_append("deep/log", SV("b\n"));
	expect_more(s);
	expect(s, "2:b|", -EAGAIN);
	assert_int_equal(rename("deep/log", "deep/log.1"), 0);
	files_write("deep/log", SV("c\n"));
	expect_more(s);
	expect(s, "*1:c|", -EAGAIN);
	source_free(s);
	unlink("link");
}

static void *append_later(void *name)
{
	usleep(20000);
	files_append(name, SV("b\n"));
	return NULL;
}

static void *rotate_later(void *arg)
{
	usleep(20000);
	rename("deep/log", "deep/log.1");
	files_write("deep/log", SV("c\n"));
	return NULL;
}

/* While it waits, with inotify and where that sees nothing. */
static void test_wakes(void **state)
{
	struct source *s;
	pthread_t later;

	mkdir("deep", 0755);
	files_write("deep/log", SV("a\n"));
	assert_int_equal(symlink("deep/log", "link"), 0);
	s = follow("link", true);
	expect(s, "*1:a|", -EAGAIN);
	assert_int_equal(pthread_create(&later, NULL, append_later, "deep/log"), 0);
	expect_more(s);
	pthread_join(later, NULL);
	expect(s, "2:b|", -EAGAIN);
	assert_int_equal(pthread_create(&later, NULL, rotate_later, NULL), 0);
	expect_more(s);
	pthread_join(later, NULL);
	expect(s, "*1:c|", -EAGAIN);
	source_free(s);
	unlink("link");
}

/* What can't be read in its place is told once, and waited for. */
static void test_not_a_file(void **state)
{
	struct source *s;

	files_write("log", SV("a\n"));
	s = follow("log", true);
	expect(s, "*1:a|", -EAGAIN);
	assert_int_equal(rename("log", "log.1"), 0);
	assert_int_equal(mkdir("log", 0755), 0);
	expect(s, "", -EAGAIN);
	files_expect_told("log: not a file any more\n");
	expect(s, "", -EAGAIN);
	expect_quiet(s);
	files_expect_told("");
	assert_int_equal(rmdir("log"), 0);
	assert_int_equal(mkfifo("log", 0644), 0); /* to open it would take for ever */
	expect(s, "", -EAGAIN);
	unlink("log");
	files_write("log", SV("b\n"));
	expect(s, "*1:b|", -EAGAIN);
	source_free(s);
	files_expect_told("");
}

static void test_missing(void **state)
{
	struct source *s = NULL;

	unlink("log");
	assert_int_equal(source_follow("log", true, files_err, &s), -ENOENT);
	files_expect_told("log: No such file or directory\n");
	assert_int_equal(source_follow("/", false, files_err, &s), -EISDIR);
	files_expect_told("/: Is a directory\n");
	assert_null(s);
}

/* Stamps without a year are read by it. */
static void test_newest(void **state)
{
	const struct timespec old[2] = { { 1290000000, 0 }, { 1290000000, 0 } };
	struct source *s;
	struct source_line line;

	files_write("log", SV("a\n"));
	assert_int_equal(utimensat(AT_FDCWD, "log", old, 0), 0);
	s = follow("log", true);
	assert_int_equal(source_next(s, &line), 0);
	assert_int_equal(line.newest_ms, 1290000000000);
	assert_int_equal(source_next(s, &line), -EAGAIN);
	files_append("log", SV("b\n"));
	assert_int_equal(source_next(s, &line), 0);
	assert_true(clock_wall_ms() - line.newest_ms < 3600 * 1000);
	source_free(s);
}

static void test_progress(void **state)
{
	struct source *s;
	struct source_progress p;

	files_write("log", SV("aaa\nbbb\n"));
	s = follow("log", false);
	expect(s, "", -EAGAIN);
	source_progress(s, &p);
	assert_int_equal(p.done, 8);
	assert_int_equal(p.bytes, 0);
	assert_int_equal(p.total, 0);
	files_append("log", SV("c\nhalf"));
	expect(s, "*1:c|", -EAGAIN);
	source_progress(s, &p);
	assert_int_equal(p.bytes, 2);
	assert_int_equal(rename("log", "log.1"), 0);
	files_write("log", SV("d\n"));
	expect(s, "2:half|*1:d|", -EAGAIN);
	source_progress(s, &p);
	assert_int_equal(p.done, 2);
	assert_int_equal(p.bytes, 8);
	assert_int_equal(p.file, 1);
	assert_int_equal(p.n_files, 1);
	source_free(s);
}

static void test_stdin(void **state)
{
	struct source *s;
	int ends[2], saved;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	saved = files_replace_stdin(ends[0]);
	s = follow("-", false);
	expect(s, "", -EAGAIN);
	expect_quiet(s);
	assert_int_equal(write(ends[1], "a\nhalf", 6), 6);
	expect_more(s);
	expect(s, "*1:a|", -EAGAIN);
	close(ends[1]);
	expect_more(s);
	expect(s, "2:half|", 1);
	expect(s, "", 1);
	source_free(s);
	files_restore_stdin(saved);
}

/* "-" that is a file ends where the file does, and may be compressed. */
static void test_stdin_file(void **state)
{
	for (size_t kind = 0; kind < ARRAY_SIZE(packers); kind++) {
		struct source *s;
		int fd, saved;

		files_write("plain", SV("a\nb"));
		files_pack("plain", "packed", kind);
		fd = open("packed", O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		saved = files_replace_stdin(fd);
		s = follow("-", false);
		expect(s, "*1:a|2:b|", 1);
		source_free(s);
		files_restore_stdin(saved);
	}
}

static void on_alarm(int signal)
{
}

static void test_signal(void **state)
{
	struct sigaction catch = { .sa_handler = on_alarm }, before;
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { { 0 } };
	struct source *s;

	files_write("log", SV("a\n"));
	s = follow("log", false);
	expect(s, "", -EAGAIN);
	assert_int_equal(sigaction(SIGALRM, &catch, &before), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	expect_more(s);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	sigaction(SIGALRM, &before, NULL);
	expect(s, "", -EAGAIN);
	source_free(s);
}

#define LIVE_LINES 3000
#define LIVE_FILE  100 /* lines */

static atomic_int live_seen;

/* Writes as a daemon does, each line in two parts, and rotates. A file is only left when the
 * reader has seen some of it: of one that came and went between two looks nobody can know. */
static void *write_live(void *arg)
{
	int fd = -1;

	for (int i = 0; i < LIVE_LINES; i++) {
		char line[32], to[32];
		int n = snprintf(line, sizeof(line), "%d\n", i);

		if (i % LIVE_FILE == 0) {
			while (atomic_load(&live_seen) < i - LIVE_FILE / 2)
				usleep(500);
			snprintf(to, sizeof(to), "live.%d", i / LIVE_FILE);
			if (rename("live", to) != 0)
				return "rename";
			/* what still comes from those who have the old one open */
			if (fd >= 0 && write(fd, line, (size_t)n) != n)
				return "write";
			if (fd >= 0)
				close(fd);
			fd = open("live", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
			if (fd < 0)
				return "open";
			if (i > 0)
				continue;
		}
		if (write(fd, line, 1) != 1 || write(fd, line + 1, (size_t)n - 1) != n - 1)
			return "write";
	}
	close(fd);
	return NULL;
}

static void test_live(void **state)
{
	struct source *s;
	struct source_line line;
	pthread_t writer;
	void *failed;
	int next = 0, files = 0;

	files_write("live", SV(""));
	s = follow("live", true);
	assert_int_equal(pthread_create(&writer, NULL, write_live, NULL), 0);
	while (next < LIVE_LINES) {
		uint64_t number;
		int r = source_next(s, &line);

		if (r == -EAGAIN) {
			int64_t begin = clock_mono_ms();

			source_wait(s, LONG_MS);
			assert_true(clock_mono_ms() - begin < LONG_MS);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(sv_to_u64(line.text, LIVE_LINES, &number), 0);
		assert_int_equal(number, next);
		atomic_store(&live_seen, ++next);
		files += line.new_file;
	}
	pthread_join(writer, &failed);
	assert_null(failed);
	assert_int_equal(files, LIVE_LINES / LIVE_FILE);
	source_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growing),
		cmocka_unit_test(test_from_end),
		cmocka_unit_test(test_from_end_long),
		cmocka_unit_test(test_renamed),
		cmocka_unit_test(test_renamed_in_line),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_wakes),
		cmocka_unit_test(test_not_a_file),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_newest),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_stdin),
		cmocka_unit_test(test_stdin_file),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
