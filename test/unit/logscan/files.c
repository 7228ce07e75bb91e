#include "files.h"

#include <stdlib.h>
#include <unistd.h>

const char *const packers[5] = { "cat", "gzip -c", "zstd -q -c", "xz -c", "bzip2 -c" };

static char folder[] = "/tmp/test_logscan.XXXXXX";

static void run(const char *command)
{
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
}

FILE *files_err;
static char *err_text;
static size_t err_n;

int files_setup(void **state)
{
	files_err = open_memstream(&err_text, &err_n);
	return files_err && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

int files_teardown(void **state)
{
	char command[128];

	fclose(files_err);
	free(err_text);
	if (chdir("/") != 0)
		return -1;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	run(command);
	return 0;
}

static void put(const char *name, const char *mode, struct sv text)
{
	FILE *f = fopen(name, mode);

	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
	assert_int_equal(fclose(f), 0);
}

void files_write(const char *name, struct sv text)
{
	unlink(name); /* a file system may write out at once what was truncated first */
	put(name, "w", text);
}

void files_append(const char *name, struct sv text)
{
	put(name, "a", text);
}

char *files_read(const char *name, size_t *ret_n)
{
	FILE *f = fopen(name, "r");
	size_t alloc = 8 << 20;
	char *p = malloc(alloc);

	assert_non_null(f);
	assert_non_null(p);
	*ret_n = fread(p, 1, alloc - 1, f);
	assert_true(feof(f));
	p[*ret_n] = 0;
	fclose(f);
	return p;
}

void files_pack(const char *from, const char *to, size_t kind)
{
	char command[256];

	unlink(to);
	snprintf(command, sizeof(command), "%s <%s >%s", packers[kind], from, to);
	run(command);
}

char *files_log(size_t n, size_t *ret_n)
{
	char *p = malloc(n * 400 + 1), *at = p;
	uint32_t random = 1;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		random = random * 1664525 + 1013904223;
		at += sprintf(at, "2010-11-17 09:28:01 %08x <= u%x@example.org S=%u %.*s\n",
			      (unsigned)random, (unsigned)random >> 13, (unsigned)random >> 8,
			      (int)(random >> 24),
			      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	}
	*ret_n = (size_t)(at - p);
	return p;
}

static void forget_told(void)
{
	rewind(files_err);
	memset(err_text, 0, err_n);
}

void files_expect_told(const char *want)
{
	fflush(files_err);
	assert_string_equal(err_text, want);
	forget_told();
}

void files_expect_told_begin(const char *want)
{
	fflush(files_err);
	assert_true(err_n > strlen(want));
	assert_memory_equal(err_text, want, strlen(want));
	forget_told();
}

int files_replace_stdin(int fd)
{
	int saved = dup(STDIN_FILENO);

	assert_true(fd >= 0);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	close(fd);
	return saved;
}

void files_restore_stdin(int saved)
{
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
}
