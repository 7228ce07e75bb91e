#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

static void test_file(void **state)
{
	static const char text[] = "# domains of this server\n"
				   "example.org\n"
				   "\n"
				   "  Upper.Example.NET.  # with a comment\n"
				   "*.wild.example\n"
				   "tail.example: user@host\n"
				   "b\xc3\xbc"
				   "cher.example\r\n"
				   "not a domain\n"
				   "last.example";
	static const char *const hosted[] = { "example.org",  "upper.example.net",
					      "wild.example", "tail.example",
					      "last.example", "xn--bcher-kva.example" };
	char path[] = "/tmp/test_hosted.XXXXXX", *said = NULL;
	size_t n_said = 0;
	int fd = mkstemp(path);
	char *files[] = { path };
	struct conf c = { .hosted = files, .n_hosted = 1 };
	struct memory *m;
	FILE *err = open_memstream(&said, &n_said);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	assert_int_equal(memory_new(&m), 0);
	assert_int_equal(conf_load_hosted(&c, m, err), 0);
	fflush(err);
	for (size_t i = 0; i < ARRAY_SIZE(hosted); i++)
		if (!memory_is_hosted(m, hosted[i]))
			fail_msg("%s", hosted[i]);
	assert_int_equal(memory_hosted_count(m), ARRAY_SIZE(hosted));
	assert_non_null(strstr(said, ":8:1: warning: no domain name"));

	/* Read again: nothing new. */
	assert_int_equal(conf_load_hosted(&c, m, err), 0);
	assert_int_equal(memory_hosted_count(m), ARRAY_SIZE(hosted));
	unlink(path);
	assert_int_equal(conf_load_hosted(&c, m, err), -ENOENT);
	fclose(err);
	assert_non_null(strstr(said, "No such file"));
	free(said);
	memory_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_file) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
