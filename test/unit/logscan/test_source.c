/* Which files are read, in which order, and what is said of those that can't be. */
#include "logscan/source.h"

#include "base/clock.h"
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* "12 anything" is of the millisecond 12. */
static int64_t first_ms(struct sv line, int64_t newest_ms)
{
	size_t n = 0;
	uint64_t ms;

	while (n < line.n && ascii_is_digit(line.p[n]))
		n++;
	return sv_to_u64((struct sv) { line.p, n }, 1000000, &ms) < 0 ? INT64_MAX : (int64_t)ms;
}

/* Of names[] up to NULL. */
static int open_names(char **names, struct source **ret_source)
{
	size_t n = 0;

	while (names[n])
		n++;
	return source_open(names, n, first_ms, files_err, ret_source);
}

/* All lines as "FILE:NUMBER:TEXT|", "*" before those that begin a file, errors as "!". */
static void expect_lines(struct source *s, const char *want)
{
	char got[1024];
	struct source_line line;
	size_t n = 0;
	int r;

	while ((r = source_next(s, &line)) != 1) {
		if (r < 0)
			n += snprintf(got + n, sizeof(got) - n, "!|");
		else
			n += snprintf(got + n, sizeof(got) - n, "%s%s:%d:" SV_FMT "%s|",
				      line.new_file ? "*" : "", line.file, (int)line.number,
				      SV_ARG(line.text), line.cut ? "..." : "");
		assert_true(n < sizeof(got));
	}
	got[n] = 0;
	assert_string_equal(got, want);
}

static void expect_progress(const struct source *s, struct source_progress want)
{
	struct source_progress p;

	source_progress(s, &p);
	assert_int_equal(p.done, want.done);
	assert_int_equal(p.total, want.total);
	assert_int_equal(p.bytes, want.bytes);
	assert_int_equal(p.file, want.file);
	assert_int_equal(p.n_files, want.n_files);
}

static void test_order(void **state)
{
	static const struct {
		const char *files[5];
		const char *want;
	} cases[] = {
		{ { "3 x\n", "1 x\n2 y\n", "2 z\n" }, "*b:1:1 x|b:2:2 y|*c:1:2 z|*a:1:3 x|" },
		{ { "5 x\n", "5 y\n", "5 z\n" }, "*a:1:5 x|*b:1:5 y|*c:1:5 z|" },
		{ { "none\n", "", "2 x\n", "other", "1 x\n" },
		  "*e:1:1 x|*c:1:2 x|*a:1:none|*d:1:other|" },
		{ { "x\n\n4 x", "3 x" }, "*b:1:3 x|*a:1:x|a:2:|a:3:4 x|" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t kind = 0; kind < ARRAY_SIZE(packers); kind++) {
			char names[5][2] = { "a", "b", "c", "d", "e" }, *list[6] = { 0 };
			struct source *s;

			for (size_t k = 0; k < 5 && cases[i].files[k]; k++) {
				files_write("plain", sv_from(cases[i].files[k]));
				/* only the middle one is always plain */
				files_pack("plain", names[k], k == 1 ? 0 : kind);
				list[k] = names[k];
			}
			assert_int_equal(open_names(list, &s), 0);
			expect_lines(s, cases[i].want);
			files_expect_told("");
			source_free(s);
		}
}

static void test_order_given(void **state)
{
	char *names[] = { "a", "b" };
	struct source *s;

	files_write("a", SV("2\n"));
	files_write("b", SV("1\n"));
	assert_int_equal(source_open(names, 2, NULL, files_err, &s), 0);
	expect_lines(s, "*a:1:2|*b:1:1|");
	source_free(s);
}

/* A time stamp is looked for in 50 lines. */
static void test_order_looks(void **state)
{
	char *names[] = { "a", "b", "c", NULL };
	struct source *s;
	struct source_line line;

	files_write("a", SV(""));
	files_write("b", SV(""));
	for (int i = 0; i < 49; i++) {
		files_append("a", SV("-\n"));
		files_append("b", SV("-\n"));
	}
	files_append("a", SV("-\n1\n"));
	files_append("b", SV("2\n"));
	files_write("c", SV("3\n"));
	assert_int_equal(open_names(names, &s), 0);
	assert_int_equal(source_next(s, &line), 0);
	assert_string_equal(line.file, "b");
	source_free(s);
}

static void test_same(void **state)
{
	char *names[] = { "a", "./a", "link", "b", "hard", "a", "?", NULL };
	struct source *s;

	files_write("a", SV("1\n"));
	files_write("b", SV("1\n")); /* equal, but not the same */
	unlink("c");
	unlink("d");
	unlink("e");
	assert_int_equal(symlink("a", "link"), 0);
	assert_int_equal(link("a", "hard"), 0);
	assert_int_equal(open_names(names, &s), 0);
	expect_lines(s, "*a:1:1|*b:1:1|");
	source_free(s);
	unlink("link");
	unlink("hard");
}

static void test_globs(void **state)
{
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "g*", "*g2:1:1|*g[1]:1:2|" },
		{ "g[1]", "*g[1]:1:2|" }, /* there is such a name */
		{ "g[0-9]", "*g2:1:1|" },
		{ "?2", "*g2:1:1|" },
	};

	files_write("g[1]", SV("2\n"));
	files_write("g2", SV("1\n"));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char name[16], *names[] = { name, NULL };
		struct source *s;

		snprintf(name, sizeof(name), "%s", cases[i].name);
		assert_int_equal(open_names(names, &s), 0);
		expect_lines(s, cases[i].want);
		source_free(s);
	}
}

static void test_errors(void **state)
{
	static const struct {
		const char *names[4];
		int want;
		const char *told;
	} cases[] = {
		{ { "a", "missing" }, -ENOENT, "missing: No such file or directory\n" },
		{ { "folder", "a", "missing" },
		  -EISDIR,
		  "folder: Is a directory\nmissing: No such file or directory\n" },
		{ { "no*such" }, -ENOENT, "no*such: no file has such a name\n" },
		{ { "fold*", "a" }, -EISDIR, "folder: Is a directory\n" },
		{ { "loop" }, -ELOOP, "loop: Too many levels of symbolic links\n" },
		{ { "dangling*" }, -ENOENT, "dangling*: No such file or directory\n" },
		{ { "a/b" }, -ENOTDIR, "a/b: Not a directory\n" },
		{ { "" }, -ENOENT, ": No such file or directory\n" },
	};

	files_write("a", SV("1\n"));
	assert_int_equal(mkdir("folder", 0755), 0);
	assert_int_equal(symlink("loop", "loop"), 0);
	assert_int_equal(symlink("nowhere", "dangling*"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char copies[4][16], *names[5] = { 0 };
		struct source *s = NULL;

		for (size_t k = 0; k < 4 && cases[i].names[k]; k++) {
			snprintf(copies[k], sizeof(copies[k]), "%s", cases[i].names[k]);
			names[k] = copies[k];
		}
		assert_int_equal(open_names(names, &s), cases[i].want);
		assert_null(s);
		files_expect_told(cases[i].told);
	}
}

/* The lines before the fault, one error, the next file; and the bar gets to its end. */
static void test_broken(void **state)
{
	char *names[] = { "a", "b", "c", NULL };
	struct source *s;
	struct source_line line;
	size_t n;
	char *p;

	files_write("a", SV("1 a\n"));
	files_write("plain", SV("2 x\n2 y"));
	files_pack("plain", "packed", 1);
	p = files_read("packed", &n);
	files_write("b", (struct sv) { p, n - 1 });
	files_write("c", SV("3 c\n"));
	assert_int_equal(open_names(names, &s), 0);
	expect_lines(s, "*a:1:1 a|*b:1:2 x|b:2:2 y...|!|*c:1:3 c|");
	files_expect_told("b: the gzip data is cut off\n");
	expect_progress(s, (struct source_progress) { n - 1 + 8, n - 1 + 8, 4 + 7 + 4, 3, 3 });
	source_free(s);

	p[n / 2] ^= 1;
	files_write("b", (struct sv) { p, n });
	assert_int_equal(open_names(names, &s), 0);
	while (source_next(s, &line) != 1)
		;
	files_expect_told_begin("b: the gzip data is damaged");
	source_free(s);
	free(p);
}

static void test_newest(void **state)
{
	const struct timespec times[2] = { { 1, 0 }, { 1290000000, 123456789 } };
	char *names[] = { "a", NULL };
	struct source *s;
	struct source_line line;

	files_write("a", SV("1\n"));
	assert_int_equal(utimensat(AT_FDCWD, "a", times, 0), 0);
	assert_int_equal(open_names(names, &s), 0);
	assert_int_equal(source_next(s, &line), 0);
	assert_int_equal(line.newest_ms, 1290000000123);
	source_free(s);
}

static void test_progress(void **state)
{
	char *names[] = { "a", "b", NULL };
	struct source *s;
	struct source_line line;
	struct stat st;

	files_write("a", SV("1 one\n1 two\n"));
	files_write("plain", SV("2 x\n"));
	files_pack("plain", "b", 2);
	assert_int_equal(stat("b", &st), 0);
	assert_int_equal(open_names(names, &s), 0);
	expect_progress(s, (struct source_progress) { 0, 12 + st.st_size, 0, 1, 2 });
	assert_int_equal(source_next(s, &line), 0);
	expect_progress(s, (struct source_progress) { 6, 12 + st.st_size, 6, 1, 2 });
	files_append("a", SV("and more meanwhile\n"));
	assert_int_equal(source_next(s, &line), 0);
	assert_int_equal(source_next(s, &line), 0);
	expect_progress(s, (struct source_progress) { 12, 12 + st.st_size, 31, 1, 2 });
	assert_int_equal(source_next(s, &line), 0);
	expect_progress(s, (struct source_progress) { 12 + st.st_size, 12 + st.st_size, 35, 2, 2 });
	assert_int_equal(source_next(s, &line), 1);
	assert_int_equal(source_next(s, &line), 1);
	expect_progress(s, (struct source_progress) { 12 + st.st_size, 12 + st.st_size, 35, 2, 2 });
	source_free(s);
}

/* Rotated between looking and reading: each file once all the same. */
static void test_rotated_meanwhile(void **state)
{
	char *names[] = { "log", "log.1", NULL };
	struct source *s;

	files_write("log", SV("2 new\n"));
	files_write("log.1", SV("1 old\n"));
	assert_int_equal(open_names(names, &s), 0);
	assert_int_equal(rename("log.1", "log.2"), 0);
	assert_int_equal(rename("log", "log.1"), 0);
	files_write("log", SV("3 newest\n"));
	expect_lines(s, "*log.1:1:1 old|*log:1:2 new|");
	source_free(s);
}

/* More files than stay open. */
static void test_many(void **state)
{
	enum { N = 600 };
	static char names[N][16];
	static char *list[N];
	struct source *s;
	struct source_line line;
	int r, stale = 0, n = 0;

	for (int i = 0; i < N; i++) {
		char text[32];

		snprintf(names[i], sizeof(names[i]), "many.%d", i);
		snprintf(text, sizeof(text), "%d\n", N - i);
		files_write(names[i], sv_from(text));
		list[i] = names[i];
	}
	assert_int_equal(source_open(list, N, first_ms, files_err, &s), 0);
	assert_int_equal(rename("many.599", "many.was"), 0);
	files_write("many.599", SV("0\n"));
	while ((r = source_next(s, &line)) != 1) {
		if (r < 0) {
			assert_int_equal(r, -ESTALE);
			stale++;
			continue;
		}
		n++;
		assert_int_equal(first_ms(line.text, 0), n + 1);
	}
	assert_int_equal(stale, 1);
	assert_int_equal(n, N - 1);
	files_expect_told("many.599: another file has got this name\n");
	source_free(s);
}

/* A pipe that has all of the file in it. */
static int pipe_of(const char *name)
{
	int ends[2];
	size_t n;
	char *p = files_read(name, &n);

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], p, n), n);
	close(ends[1]);
	free(p);
	return ends[0];
}

static void test_stdin(void **state)
{
	char *none[] = { NULL }, *dash[] = { "-", "-", NULL }, *some[] = { "a", "-", "c", NULL };

	files_write("a", SV("1\n"));
	files_write("c", SV("3\n"));
	files_write("plain", SV("2 x\n2 y\n"));
	for (size_t kind = 0; kind < ARRAY_SIZE(packers); kind++)
		for (int piped = 0; piped < 2; piped++) {
			char **lists[] = { none, dash, some };
			const char *want[] = { "*-:1:2 x|-:2:2 y|", "*-:1:2 x|-:2:2 y|",
					       "*a:1:1|*-:1:2 x|-:2:2 y|*c:1:3|" };

			files_pack("plain", "packed", kind);
			for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
				int saved = files_replace_stdin(
					piped ? pipe_of("packed")
					      : open("packed", O_RDONLY | O_CLOEXEC));
				struct source *s;
				struct source_progress p;

				assert_int_equal(open_names(lists[i], &s), 0);
				expect_lines(s, want[i]);
				source_progress(s, &p);
				assert_int_equal(p.total == 0, piped);
				assert_int_equal(p.bytes, i == 2 ? 12 : 8);
				source_free(s);
				files_restore_stdin(saved);
			}
		}
}

/* Somebody read a line of it before. */
static void test_stdin_rest(void **state)
{
	char *names[] = { "c", "-", NULL };
	struct source *s;
	char skipped[4];
	int saved;

	files_write("c", SV("3\n"));
	files_write("plain", SV("2 x\n2 y\n"));
	saved = files_replace_stdin(open("plain", O_RDONLY | O_CLOEXEC));
	assert_int_equal(read(STDIN_FILENO, skipped, 4), 4);
	assert_int_equal(open_names(names, &s), 0);
	expect_lines(s, "*-:1:2 y|*c:1:3|");
	expect_progress(s, (struct source_progress) { 6, 6, 6, 2, 2 });
	source_free(s);
	files_restore_stdin(saved);
}

/* As the shell's <(...) gives them: can be read once only. */
static void test_pipes(void **state)
{
	char first[32], second[32], *names[] = { first, second, NULL };
	struct source *s;
	char want[128];
	int a, b;

	files_write("plain", SV("2 x\n"));
	a = pipe_of("plain");
	files_write("plain", SV("1 x\n"));
	files_pack("plain", "packed", 3);
	b = pipe_of("packed");
	snprintf(first, sizeof(first), "/dev/fd/%d", a);
	snprintf(second, sizeof(second), "/dev/fd/%d", b);
	assert_int_equal(open_names(names, &s), 0);
	snprintf(want, sizeof(want), "*%s:1:1 x|*%s:1:2 x|", second, first);
	expect_lines(s, want);
	source_free(s);
	close(a);
	close(b);
}

/* It is for those who follow; others don't wait. */
static void test_wait(void **state)
{
	char *names[] = { "a", NULL };
	struct source *s;

	files_write("a", SV("1\n"));
	assert_int_equal(open_names(names, &s), 0);
	source_wait(s, 1 << 30);
	source_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),       cmocka_unit_test(test_order_given),
		cmocka_unit_test(test_order_looks), cmocka_unit_test(test_same),
		cmocka_unit_test(test_globs),       cmocka_unit_test(test_errors),
		cmocka_unit_test(test_broken),      cmocka_unit_test(test_newest),
		cmocka_unit_test(test_progress),    cmocka_unit_test(test_rotated_meanwhile),
		cmocka_unit_test(test_many),        cmocka_unit_test(test_stdin),
		cmocka_unit_test(test_stdin_rest),  cmocka_unit_test(test_pipes),
		cmocka_unit_test(test_wait),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
