/* When enforcing stops by itself, and when it goes on. */
#include "proxy/enforcing.h"

#include "base/clock.h"
#include "policy/share.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], complaints[128], state_file[128], kept[160];
static struct conf conf;
static struct enforcing *e;
static char in_share[64], out_of_share[64];

static int begin(void **state)
{
	strcpy(dir, "/tmp/enforcing.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(complaints, sizeof(complaints), "%s/complaints", dir);
	snprintf(state_file, sizeof(state_file), "%s/state", dir);
	snprintf(kept, sizeof(kept), "%s.enforcing", state_file);
	conf = (struct conf) { .state = state_file };
	conf.policy.enforce = (struct enforce_policy) { .spared = SHARE_ALL / 2,
							.complaints = complaints,
							.max_rejections = 2000 };
	for (int i = 0; !in_share[0] || !out_of_share[0]; i++) {
		char name[64];
		snprintf(name, sizeof(name), "d%d.com", i);
		strcpy(share_contains(SHARE_ALL / 2, name) ? in_share : out_of_share, name);
	}
	return enforcing_new(&conf, NULL, &e);
}

static int end(void **state)
{
	enforcing_free(e);
	(void)unlink(complaints);
	(void)unlink(kept);
	return rmdir(dir);
}

static void complain(const char *text)
{
	FILE *f = fopen(complaints, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void tell(const char *domain, const char *client, bool refused, bool front, int code)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(client), &a), 0);
	enforcing_tell(e, &(struct enforcing_rcpt) { .domain = domain,
						     .client = &a,
						     .refused = refused,
						     .front = front,
						     .code = code });
}

static void tell_many(const char *domain, int accepted, int rejected)
{
	for (int i = 0; i < accepted; i++)
		tell(domain, "192.0.2.1", false, true, 250);
	for (int i = 0; i < rejected; i++)
		tell(domain, "192.0.2.1", false, true, 550);
}

static bool stopped_after_a_look(void)
{
	enforcing_look(e, clock_mono_ms());
	return enforcing_stopped(e);
}

static void a_complaint_counts_if_it_was_refused(void **state)
{
	static const struct {
		const char *text;
		bool stops;
	} rows[] = {
		{ "", false },
		{ "other.com\n192.0.2.9\n", false },
		{ "# refused.com\n", false },
		{ "\n\n  \xff\xfe\n..\n", false },
		{ "refused.com", true },
		{ "other.com\n  REFUSED.com.  # by telephone\r\n", true },
		{ "198.51.100.7\n", true },
		{ "::ffff:198.51.100.7\n", true },
	};

	tell("refused.com", "198.51.100.7", true, false, 0);
	tell("other.com", "192.0.2.9", false, true, 250);
	assert_false(stopped_after_a_look()); /* no file */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		complain(rows[i].text);
		if (stopped_after_a_look() != rows[i].stops)
			fail_msg("%s", rows[i].text);
		complain("");
		assert_false(stopped_after_a_look());
	}
}

static void it_stands_until_that_line_is_gone_and_over_a_new_start(void **state)
{
	struct enforcing_view v;
	struct buf text;

	tell("refused.com", "198.51.100.7", true, false, 0);
	complain("refused.com\n");
	assert_true(stopped_after_a_look());
	assert_int_equal(access(kept, F_OK), 0);

	enforcing_free(e);
	assert_int_equal(enforcing_new(&conf, NULL, &e), 0);
	assert_true(enforcing_stopped(e));
	enforcing_view(e, &v);
	assert_non_null(strstr(v.why, "refused.com"));
	assert_true(v.since_ms > 0);
	assert_true(stopped_after_a_look());
	buf_init(&text, 4096);
	assert_int_equal(enforcing_resume(e, &text), -EBUSY);
	buf_deinit(&text);

	complain("");
	assert_false(stopped_after_a_look());
	assert_int_equal(access(kept, F_OK), -1);
}

/* Perhaps with the disk that it was on: nobody has said that it is settled. */
static void a_file_that_is_gone_settles_nothing(void **state)
{
	struct buf text;

	buf_init(&text, 4096);
	tell("refused.com", "198.51.100.7", true, false, 0);
	complain("refused.com\n");
	assert_true(stopped_after_a_look());
	(void)unlink(complaints);
	assert_true(stopped_after_a_look());
	complain("refused.com\n");
	assert_true(stopped_after_a_look());
	assert_int_equal(enforcing_resume(e, &text), -EBUSY);
	(void)unlink(complaints);
	assert_true(stopped_after_a_look());
	assert_int_equal(enforcing_resume(e, &text), 0);
	assert_false(stopped_after_a_look());
	buf_deinit(&text);
}

/* A full disk, say: tried again until it is there for the next start. */
static void what_cannot_be_kept_is_tried_again(void **state)
{
	char blocked[200];

	snprintf(blocked, sizeof(blocked), "%s.new", kept);
	assert_int_equal(mkdir(blocked, 0700), 0);
	tell("refused.com", "198.51.100.7", true, false, 0);
	complain("refused.com\n");
	assert_true(stopped_after_a_look());
	assert_int_equal(access(kept, F_OK), -1);
	assert_false(enforcing_was_stopped(&conf));
	assert_int_equal(rmdir(blocked), 0);
	assert_true(stopped_after_a_look());
	assert_int_equal(access(kept, F_OK), 0);
	assert_true(enforcing_was_stopped(&conf));
}

static void a_file_that_cannot_be_read_changes_nothing(void **state)
{
	tell("refused.com", "198.51.100.7", true, false, 0);
	complain("refused.com\n");
	assert_true(stopped_after_a_look());
	(void)unlink(complaints);
	assert_int_equal(symlink(complaints, complaints), 0); /* ELOOP, for root too */
	assert_true(stopped_after_a_look());
}

static void rejections_are_compared_with_the_other_domains(void **state)
{
	static const struct {
		int in_ok, in_bad, out_ok, out_bad;
		bool stops;
	} rows[] = {
		{ 60, 40, 95, 5, true },    /* 40 % and 5 % */
		{ 60, 40, 75, 25, false },  /* not twice as much */
		{ 85, 15, 100, 0, false },  /* not over 20 % */
		{ 0, 49, 100, 0, false },   /* too few */
		{ 60, 40, 49, 0, false },   /* too few to compare with */
		{ 100, 0, 0, 100, false },  /* the other way round */
		{ 790, 210, 910, 90, true } /* just over both */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enforcing_reloaded(e, &conf); /* counts anew */
		tell_many(in_share, rows[i].in_ok, rows[i].in_bad);
		tell_many(out_of_share, rows[i].out_ok, rows[i].out_bad);
		if (stopped_after_a_look() != rows[i].stops)
			fail_msg("row %zu", i);
		if (rows[i].stops) {
			struct buf text;
			buf_init(&text, 4096);
			assert_true(stopped_after_a_look()); /* stays */
			assert_int_equal(enforcing_resume(e, &text), 0);
			assert_false(stopped_after_a_look());
			buf_deinit(&text);
		}
	}
}

static void an_hour_later_counting_begins_anew(void **state)
{
	int64_t now = clock_mono_ms();

	tell_many(in_share, 0, 100);
	tell_many(out_of_share, 20, 0);
	enforcing_look(e, now + 3601 * 1000);
	tell_many(out_of_share, 60, 0);
	enforcing_look(e, now + 3602 * 1000);
	assert_false(enforcing_stopped(e));
}

static void nobody_is_told_without_one(void **state)
{
	assert_false(enforcing_stopped(NULL));
	enforcing_tell(NULL, &(struct enforcing_rcpt) { .domain = "x.com" });
}

static void damaged_files_are_no_stop(void **state)
{
	static const char *const texts[] = { "", "7 1 x\ny\n", "0 1 x\ny\n", "x", "1 1 x", "\xff" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		FILE *f = fopen(kept, "w");
		assert_non_null(f);
		fputs(texts[i], f);
		fclose(f);
		enforcing_free(e);
		assert_int_equal(enforcing_new(&conf, NULL, &e), 0);
		assert_false(enforcing_stopped(e));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_complaint_counts_if_it_was_refused),
		TEST(it_stands_until_that_line_is_gone_and_over_a_new_start),
		TEST(a_file_that_cannot_be_read_changes_nothing),
		TEST(a_file_that_is_gone_settles_nothing),
		TEST(what_cannot_be_kept_is_tried_again),
		TEST(rejections_are_compared_with_the_other_domains),
		TEST(an_hour_later_counting_begins_anew),
		TEST(nobody_is_told_without_one),
		TEST(damaged_files_are_no_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
