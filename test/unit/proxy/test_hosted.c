/* Hosted files that change under the daemon. */
#include "proxy/hosted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/test_hosted.XXXXXX";

struct world {
	char files[2][64];
	char *names[2];
	struct conf conf;
	struct memory *memory;
	struct resolver *resolver;
	struct hosted *hosted;
};

/* As a program that knows how: a new file takes the place of the old one. */
static void put(const struct world *w, int i, const char *text)
{
	char fresh[80];
	FILE *f;

	snprintf(fresh, sizeof(fresh), "%s.new", w->files[i]);
	f = fopen(fresh, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(fresh, w->files[i]), 0);
}

static int setup(void **state)
{
	static struct endpoint nobody = { .port = 9 };
	struct resolver_conf rc = { .servers = &nobody, .n_servers = 1, .timeout_ms = 100 };
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	assert_int_equal(addr_parse(SV("127.0.0.1"), &nobody.addr), 0);
	for (int i = 0; i < 2; i++) {
		snprintf(w->files[i], sizeof(w->files[i]), "%s/%d", dir, i);
		w->names[i] = w->files[i];
	}
	w->conf.hosted = w->names;
	w->conf.n_hosted = 2;
	map_init(&w->conf.policy.domains);
	put(w, 0, "a.example\nboth.example\n");
	put(w, 1, "b.example\nboth.example\n");
	assert_int_equal(memory_new(&w->memory), 0);
	assert_int_equal(resolver_new(&rc, &w->resolver), 0);
	assert_int_equal(hosted_new(&w->conf, w->memory, &w->hosted), 0);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	hosted_free(w->hosted);
	resolver_free(w->resolver);
	memory_free(w->memory);
	map_deinit(&w->conf.policy.domains, NULL);
	for (int i = 0; i < 2; i++)
		(void)unlink(w->files[i]);
	free(w);
	return 0;
}

static void poll_twice(struct world *w)
{
	hosted_poll(w->hosted, w->resolver);
	hosted_poll(w->hosted, w->resolver);
}

/* names: those of a, b, both, c, row, learned that are hosted, apart by blanks. */
static void assert_hosted(struct world *w, const char *names)
{
	static const char *const all[] = { "a", "b", "both", "c", "row", "learned" };
	char found[64] = "", name[32];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		snprintf(name, sizeof(name), "%s.example", all[i]);
		if (!memory_is_hosted(w->memory, name))
			continue;
		n++;
		strcat(found, found[0] ? " " : "");
		strcat(found, all[i]);
	}
	assert_string_equal(found, names);
	assert_int_equal(memory_hosted_count(w->memory), n);
}

static void test_changes(void **state)
{
	struct world *w = *state;

	assert_hosted(w, "a b both");
	poll_twice(w);
	assert_hosted(w, "a b both");

	put(w, 0, "c.example\n");
	/* it may be half a file still */
	hosted_poll(w->hosted, w->resolver);
	assert_hosted(w, "a b both");
	hosted_poll(w->hosted, w->resolver);
	assert_hosted(w, "b both c"); /* the other file names it, too */

	put(w, 1, "b.example\n");
	poll_twice(w);
	assert_hosted(w, "b c");
	put(w, 1, "a.example\nb.example\n");
	poll_twice(w);
	assert_hosted(w, "a b c");
}

/* What mail has taught, and what the configuration names, no file takes away. */
static void test_others(void **state)
{
	struct world *w = *state;

	assert_int_equal(memory_hosted_add(w->memory, SV("learned.example")), 0);
	assert_int_equal(map_put(&w->conf.policy.domains, SV("row.example"), w, NULL), 0);
	put(w, 0, "a.example\nrow.example\n");
	poll_twice(w);
	assert_hosted(w, "a b both row learned");
	put(w, 0, "a.example\n");
	poll_twice(w);
	assert_hosted(w, "a b both row learned");
}

/* Mistakes: nothing is forgotten, and all is well again with a file that says something. */
static void test_mistakes(void **state)
{
	static const char *const empty[] = { "", "# to be filled\n\n", "not a domain!\n" };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		put(w, 0, empty[i]);
		poll_twice(w);
		assert_hosted(w, "a b both");
	}
	assert_int_equal(unlink(w->files[0]), 0);
	poll_twice(w);
	assert_hosted(w, "a b both");
	assert_int_equal(mkdir(w->files[0], 0700), 0);
	poll_twice(w);
	assert_hosted(w, "a b both");
	assert_int_equal(rmdir(w->files[0]), 0);
	put(w, 0, "c.example\n");
	poll_twice(w);
	assert_hosted(w, "b both c");
}

/* A domain that is hosted no more doesn't count where hosted domains meet. */
static void test_meetings(void **state)
{
	struct world *w = *state;
	char text[64 * MEMORY_MEET_MIN] = "", name[32];
	struct addr there;

	assert_int_equal(addr_parse(SV("192.0.2.1"), &there), 0);
	for (int i = 0; i < MEMORY_MEET_MIN; i++) {
		snprintf(name, sizeof(name), "m%d.example\n", i);
		strcat(text, name);
	}
	put(w, 0, text);
	poll_twice(w);
	for (int i = 0; i < MEMORY_MEET_MIN; i++) {
		snprintf(name, sizeof(name), "m%d.example", i);
		memory_door_seen(w->memory, name, false, &there);
	}
	assert_true(memory_identity_doubt(w->memory, &there));
	strstr(text, "m0.example")[1] = 'x'; /* one less */
	put(w, 0, text);
	poll_twice(w);
	assert_false(memory_identity_doubt(w->memory, &there));
}

static void test_start(void **state)
{
	struct world *w = *state;
	struct hosted *h;

	assert_int_equal(unlink(w->files[1]), 0);
	assert_int_equal(hosted_new(&w->conf, w->memory, &h), -ENOENT);
	hosted_free(NULL);
	put(w, 1, "b.example\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_meetings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start, setup, teardown),
	};

	if (!mkdtemp(dir))
		return 1;
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	(void)rmdir(dir);
	return r;
}
