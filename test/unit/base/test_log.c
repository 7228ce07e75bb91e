/* Log lines: to whom they go, and that nobody waits for them. */
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int saved, ends[2];

static int begin(void **state)
{
	(void)unsetenv("JOURNAL_STREAM");
	saved = dup(STDERR_FILENO);
	return pipe(ends) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ||
	       dup2(ends[1], STDERR_FILENO) < 0;
}

static int end(void **state)
{
	(void)dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static size_t hear(char *out, size_t size)
{
	ssize_t n = read(ends[0], out, size - 1);

	out[n < 0 ? 0 : n] = '\0';
	return n < 0 ? 0 : (size_t)n;
}

static void a_line(void **state)
{
	char text[256];

	log_warning("id=%d said", 7);
	hear(text, sizeof(text));
	assert_string_equal(text, "warning id=7 said\n");
}

/* A pipe that nobody reads: lines are dropped, and who comes back is told how many. */
static void nobody_takes_them(void **state)
{
	static char text[1 << 20];
	int whole = 0;

	alarm(20);
	for (int i = 0; i < 5000; i++)
		log_error("%0100d", i);
	alarm(0);
	hear(text, sizeof(text));
	for (char *at = text; (at = strchr(at, '\n')); at++)
		whole++;
	assert_in_range(whole, 100, 4999);
	log_error("after");
	hear(text, sizeof(text));
	char want[128];
	snprintf(want, sizeof(want),
		 "warning log: %d lines before this one were lost: nobody took them\n"
		 "error after\n",
		 5000 - whole);
	assert_string_equal(text, want);
}

static void diverted(void **state)
{
	struct buf lines;
	char text[256];

	buf_init(&lines, 24);
	log_divert(&lines);
	log_error("first");
	log_warning("second, which is too long");
	log_divert(NULL);
	assert_int_equal(buf_len(&lines), 6);
	assert_memory_equal(buf_view(&lines).p, "first\n", 6);
	hear(text, sizeof(text));
	assert_string_equal(text, "warning second, which is too long\n");
	buf_deinit(&lines);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(a_line), TEST(nobody_takes_them), TEST(diverted) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
