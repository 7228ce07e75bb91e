#include "event/event.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

struct place {
	char dir[64], file[96];
};

static struct place place_new(void)
{
	struct place p;

	snprintf(p.dir, sizeof(p.dir), "/tmp/test_sink.XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.file, sizeof(p.file), "%s/events.jsonl", p.dir);
	return p;
}

/* Whole lines of JSON only; returns how many, and of how many the field is text. */
static int count_lines(const char *file, const char *field, const char *text, int *ret_hits)
{
	FILE *f = fopen(file, "r");
	char line[8192];
	int n = 0;

	*ret_hits = 0;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		json_t *o = json_loads(line, 0, NULL);

		assert_non_null(o);
		n++;
		if (json_is_string(json_object_get(o, field)) &&
		    strcmp(json_string_value(json_object_get(o, field)), text) == 0)
			(*ret_hits)++;
		json_decref(o);
	}
	fclose(f);
	return n;
}

#define EACH 5000

static void *emit_many(void *sink)
{
	struct event_rcpt e = { .reason = REASON_SELF, .action = ACTION_PASS };

	for (int i = 0; i < EACH; i++) {
		e.ms = i;
		event_emit_rcpt(sink, &e);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct place p = place_new();
	struct event_sink *s;
	pthread_t threads[2];
	struct stat st;
	int hits;

	assert_int_equal(event_sink_new(p.file, &s), 0);
	event_emit_note(s, "start", "1 listener");
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, emit_many, s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	uint64_t dropped = event_dropped(s);

	event_sink_free(s);
	/* Written or counted: nothing is lost unseen. */
	assert_int_equal(count_lines(p.file, "event", "start", &hits) + dropped, 2 * EACH + 1);
	assert_int_equal(hits, 1);
	assert_int_equal(stat(p.file, &st), 0);
	assert_int_equal(st.st_mode & 0137, 0);

	/* Appended to, not begun anew. */
	assert_int_equal(event_sink_new(p.file, &s), 0);
	event_emit_note(s, "start", "again");
	event_sink_free(s);
	count_lines(p.file, "event", "start", &hits);
	assert_int_equal(hits, 2);
	unlink(p.file);
	rmdir(p.dir);
}

/* A sink whose reader stands still: bounded, counted, and free of blocking. */
static void test_bound(void **state)
{
	struct place p = place_new();
	struct event_rcpt e = { .reason = REASON_SELF, .action = ACTION_PASS };
	struct event_sink *s;
	char drain[65536];
	int n = 0, fd;

	assert_int_equal(mkfifo(p.file, 0600), 0);
	fd = open(p.file, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(event_sink_new(p.file, &s), 0);
	while (event_dropped(s) == 0 && n++ < 100000)
		event_emit_rcpt(s, &e);
	assert_true(n > 1000);
	assert_true(event_dropped(s) > 0);

	/* Let it go: the reader end closes, what is left fails and is counted. */
	int reader = open(p.file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	close(fd);
	for (int quiet = 0; quiet < 50;) {
		if (read(reader, drain, sizeof(drain)) > 0)
			quiet = 0;
		else
			quiet += usleep(10000) == 0;
	}
	event_sink_free(s);
	close(reader);
	unlink(p.file);
	rmdir(p.dir);
}

static void test_rotation(void **state)
{
	struct place p = place_new();
	struct event_sink *s;
	char moved[128];
	int hits;

	snprintf(moved, sizeof(moved), "%s/old", p.dir);
	assert_int_equal(event_sink_new(p.file, &s), 0);
	event_emit_note(s, "start", "one");
	for (int i = 0; i < 300 && access(moved, F_OK) != 0; i++) {
		struct stat st;

		if (stat(p.file, &st) == 0 && st.st_size > 0)
			assert_int_equal(rename(p.file, moved), 0);
		else
			usleep(10000);
	}
	usleep(1100 * 1000); /* the sink looks once a second */
	event_emit_note(s, "stop", "two");
	event_sink_free(s);
	assert_int_equal(count_lines(moved, "event", "start", &hits), 1);
	assert_int_equal(hits, 1);
	assert_int_equal(count_lines(p.file, "event", "stop", &hits), 1);
	assert_int_equal(hits, 1);
	unlink(moved);
	unlink(p.file);
	rmdir(p.dir);
}

static void test_failures(void **state)
{
	struct event_sink *s;

	assert_int_equal(event_sink_new("/nonexistent/events.jsonl", &s), -ENOENT);
	event_emit_note(NULL, "start", "");
	event_emit_rcpt(NULL, NULL);
	event_sink_free(NULL);
	assert_int_equal(event_dropped(NULL), 0);

	assert_int_equal(event_sink_new("/dev/full", &s), 0);
	event_emit_note(s, "start", "x");
	for (int i = 0; i < 300 && event_dropped(s) == 0; i++)
		usleep(10000);
	assert_int_equal(event_dropped(s), 1);
	event_sink_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_failures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
