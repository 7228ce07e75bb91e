/*
 * The state file beside the proof: what the operator settled, rivals found of late, how much mail
 * is usual; the daemon's way of saving, and of noticing what others save.
 */
#include "state_folder.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct state_error error;

static struct prefix network(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(sv_from(text), &p), 0);
	return p;
}

static void add(struct proof *p, uint64_t messages, int64_t from_ms, int64_t to_ms)
{
	struct proof_mail m = { .scanner = "acme.example",
				.domain = "example.org",
				.mx_host = "mx.acme.example",
				.inside = true,
				.messages = messages,
				.first_ms = from_ms,
				.last_ms = to_ms };

	assert_int_equal(addr_parse(SV("198.51.100.1"), &m.client), 0);
	assert_int_equal(proof_add(p, &m), 0);
}

static uint64_t inside_of(const struct proof *p)
{
	static const struct proof_conf conf = { 20, 24, 0.1 };
	struct proof_state s;

	if (proof_judge(p, "acme.example", &conf, WALL, &s) < 0)
		return 0;
	uint64_t inside = s.inside;

	proof_state_deinit(&s);
	return inside;
}

static uint64_t saved_inside(void)
{
	struct proof *p = new_proof();

	assert_int_equal(state_load(file, NULL, p, &error), 0);
	uint64_t inside = inside_of(p);

	proof_free(p);
	return inside;
}

static void sql(const char *statements)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, statements, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* ---- settling ---- */

static const char *const kinds[] = { "denied", "accepted" };

static int print_settled(void *user, const struct proof_settled *row)
{
	char text[ADDR_STRLEN + 4];

	fprintf(user, "%s %s %s\n", row->scanner, prefix_format(&row->network, text),
		kinds[row->accepted]);
	return 0;
}

static void expect_settled(const struct proof *p, const char *expected)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	proof_each(p, &(struct proof_visit) { .settled = print_settled, .user = out });
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static int settle(const char *text, enum settle what)
{
	struct prefix n = network(text), other;
	int r = state_settle(file, "acme.example", &n, what, &other, &error);

	if (r == SETTLE_CONTRADICTS)
		assert_true(prefix_contains(&n, &other.addr) || prefix_contains(&other, &n.addr));
	if (r < 0)
		fail_msg("%s", error.text);
	return r;
}

static void test_settle(void **state)
{
	static const struct {
		const char *network;
		enum settle what;
		int outcome;
		const char *after;
	} steps[] = {
#define A "acme.example 192.0.2.0/24 accepted\n"
#define B "acme.example 2001:db8::/32 denied\n"
		{ "192.0.2.0/24", SETTLE_FORGET, SETTLE_AS_BEFORE, NULL },
		{ "192.0.2.0/24", SETTLE_ACCEPT, SETTLED, A },
		{ "192.0.2.0/24", SETTLE_ACCEPT, SETTLE_AS_BEFORE, A },
		{ "2001:db8::/32", SETTLE_DENY, SETTLED, A B },
		{ "192.0.2.7", SETTLE_DENY, SETTLE_CONTRADICTS, A B },
		{ "192.0.0.0/16", SETTLE_DENY, SETTLE_CONTRADICTS, A B },
		{ "2001:db8:7::/48", SETTLE_ACCEPT, SETTLE_CONTRADICTS, A B },
		{ "192.0.2.0/25", SETTLE_FORGET, SETTLE_AS_BEFORE, A B },
		{ "192.0.2.0/24", SETTLE_DENY, SETTLED, "acme.example 192.0.2.0/24 denied\n" B },
		{ "192.0.2.0/24", SETTLE_FORGET, SETTLED, B },
		{ "192.0.2.7", SETTLE_ACCEPT, SETTLED, "acme.example 192.0.2.7/32 accepted\n" B },
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct proof *p;

		if (settle(steps[i].network, steps[i].what) != steps[i].outcome)
			fail_msg("step %zu", i);
		if (!steps[i].after) { /* nothing was made for nothing */
			assert_int_not_equal(access(file, F_OK), 0);
			continue;
		}
		p = new_proof();
		assert_int_equal(state_load(file, NULL, p, &error), 0);
		expect_settled(p, steps[i].after);
		proof_free(p);
	}
	unlink(file);
}

/* Saving proof leaves what is settled, and the other way round; a recall tells memory. */
static void test_settled_stays(void **state)
{
	struct conf conf = { .policy.prove = { 20, 24, 0.1 }, .state = file };
	struct proof *p = new_proof();
	struct proof_summary sum;
	struct memory *m;
	struct prefix n = network("192.0.2.7");

	add(p, 30, WALL - 3 * DAY, WALL - DAY);
	assert_int_equal(state_save(file, NULL, p, &error), 0);
	assert_int_equal(settle("192.0.2.0/24", SETTLE_ACCEPT), SETTLED);
	assert_int_equal(state_save(file, NULL, p, &error), 0);
	proof_free(p);
	p = new_proof();
	assert_int_equal(memory_new(&m), 0);
	assert_int_equal(state_recall(&conf, m, p, &sum, &error), 0);
	expect_settled(p, "acme.example 192.0.2.0/24 accepted\n");
	assert_true(memory_scanner_accepts(m, "acme.example", &n.addr));
	assert_int_equal(sum.proven, 1);
	memory_free(m);
	proof_free(p);
	unlink(file);
}

/* A file that an earlier version made lacks the tables. */
static void test_earlier_version(void **state)
{
	struct proof *p = new_proof();
	struct state_watch *w;
	struct pace *pace;
	int64_t saves = 7;

	add(p, 30, WALL - 3 * DAY, WALL - DAY);
	assert_int_equal(state_save(file, NULL, p, &error), 0);
	sql("DROP TABLE settled; DROP TABLE rival; DROP TABLE pace; DROP TABLE saves;");
	proof_free(p);
	p = new_proof();
	assert_int_equal(pace_new(&pace), 0);
	assert_int_equal(state_load_all(file, NULL, p, pace, &saves, &error), 0);
	assert_int_equal(saves, 0);
	assert_int_equal(inside_of(p), 30);
	assert_int_equal(state_watch_new(file, &w), 0);
	assert_int_equal(state_watch_look(w, p, &saves, &error), 1);
	assert_int_equal(settle("192.0.2.0/24", SETTLE_ACCEPT), SETTLED);
	assert_int_equal(state_watch_look(w, p, &saves, &error), 1);
	expect_settled(p, "acme.example 192.0.2.0/24 accepted\n");
	state_watch_free(w);
	pace_free(pace);
	proof_free(p);
	unlink(file);
}

/* ---- the daemon's saving ---- */

static void test_news(void **state)
{
	struct proof *first = new_proof(), *second = new_proof(), *logs = new_proof();
	struct state_news news = { .proof = first, .counted = true };

	/* Counted at the same time, saved one after the other: all of it counts. */
	add(first, 30, WALL - 2 * DAY, WALL);
	add(second, 5, WALL - DAY, WALL);
	assert_int_equal(state_save_news(file, &news, &error), 0);
	assert_int_equal(saved_inside(), 30);
	news.proof = second;
	assert_int_equal(state_save_news(file, &news, &error), 0);
	assert_int_equal(saved_inside(), 35);
	/* Somebody learned from logs of all that time, and more: the news are in it already. */
	add(logs, 90, WALL - 3 * DAY, WALL + HOUR);
	assert_int_equal(state_save(file, NULL, logs, &error), 0);
	assert_int_equal(saved_inside(), 90);
	assert_int_equal(state_save_news(file, &news, &error), 1);
	assert_int_equal(saved_inside(), 90);
	/* From there on it is as before; and later mail counts in any case. */
	assert_int_equal(state_save_news(file, &news, &error), 0);
	assert_int_equal(saved_inside(), 95);
	assert_int_equal(state_save(file, NULL, logs, &error), 0);
	proof_free(second);
	second = new_proof();
	add(second, 7, WALL + 2 * HOUR, WALL + 3 * HOUR);
	news.proof = second;
	assert_int_equal(state_save_news(file, &news, &error), 1);
	assert_true(saved_inside() >= 97);
	proof_free(first);
	proof_free(second);
	proof_free(logs);
	unlink(file);
}

static int count_held(void *user, const struct proof_held *row)
{
	assert_string_equal(row->ptr_domain, "new.example");
	assert_int_equal(row->domains, 4);
	assert_true(row->share > 0.49 && row->share < 0.51);
	++*(int *)user;
	return 0;
}

/* Rivals found of late come back, until they have lasted their time. */
static void test_held(void **state)
{
	struct proof *p = new_proof();
	struct proof_held held = { .scanner = "acme.example",
				   .network = network("192.0.2.0/24"),
				   .since_ms = WALL - 8 * DAY,
				   .last_ms = WALL - 6 * DAY,
				   .share = 0.5,
				   .domains = 4,
				   .ptr_domain = "new.example" };

	assert_int_equal(proof_put_held(p, &held), 0);
	held.network = network("2001:db8:7::/48");
	held.last_ms = WALL - 2 * DAY;
	assert_int_equal(proof_put_held(p, &held), 0);
	assert_int_equal(state_save(file, NULL, p, &error), 0);
	proof_free(p);
	for (int days = 0, n = 0; days < 6; days += 2, n = 0) {
		clock_fake(MONO, WALL + days * DAY);
		p = new_proof();
		assert_int_equal(state_load(file, NULL, p, &error), 0);
		proof_each(p, &(struct proof_visit) { .held = count_held, .user = &n });
		assert_int_equal(n, days == 0 ? 2 : days < 6 ? 1 : 0);
		proof_free(p);
	}
	clock_fake(MONO, WALL);
	unlink(file);
}

static int find_row(void *user, const struct pace_row *row)
{
	*(struct pace_row *)user = *row;
	return 0;
}

static void test_pace(void **state)
{
	struct pace_row row = { .scanner = "acme.example",
				.quiet_ms = WALL - HOUR,
				.last_ms = WALL - 2 * HOUR,
				.usual[7] = 12.5f,
				.weeks[7] = 3 };
	struct state_news news = { .counted = true };
	struct pace *pace, *back;

	assert_int_equal(pace_new(&pace), 0);
	assert_int_equal(pace_new(&back), 0);
	assert_int_equal(pace_put(pace, &row), 0);
	news.pace = pace;
	assert_int_equal(state_save_news(file, &news, &error), 0);
	assert_int_equal(state_load_all(file, NULL, NULL, back, NULL, &error), 0);
	assert_true(pace_is_quiet(back, "acme.example"));
	memset(&row, 0, sizeof(row));
	pace_each(back, find_row, &row);
	assert_true(row.usual[7] > 12.4f && row.usual[7] < 12.6f && row.usual[8] == 0);
	assert_int_equal(row.weeks[7], 3);
	assert_int_equal(row.last_ms, WALL - 2 * HOUR);
	struct conf conf = { .policy.prove = { 20, 24, 0.1 }, .state = file };
	struct proof *p = new_proof();
	struct proof_summary sum;
	struct memory *m;

	assert_int_equal(memory_new(&m), 0);
	assert_int_equal(state_recall(&conf, m, p, &sum, &error), 0);
	assert_true(memory_scanner_is_quiet(m, "acme.example"));
	memory_free(m);
	proof_free(p);
	/* Of another length: damaged. */
	sql("UPDATE pace SET usual = x'00'");
	assert_true(state_load_all(file, NULL, NULL, back, NULL, &error) < 0);
	assert_non_null(strstr(error.text, "damaged"));
	pace_free(pace);
	pace_free(back);
	unlink(file);
}

/* ---- noticing ---- */

static void test_watch(void **state)
{
	struct proof *p = new_proof();
	struct state_watch *w;
	int64_t saves = -1;
	char other[120];

	assert_int_equal(state_watch_new(file, &w), 0);
	assert_int_equal(state_watch_look(w, p, &saves, &error), 0);
	assert_int_equal(access(file, F_OK), -1);
	/* It is there now; nothing more; settled by somebody; nothing more. */
	assert_int_equal(settle("192.0.2.0/24", SETTLE_DENY), SETTLED);
	assert_int_equal(state_watch_look(w, p, &saves, &error), 1);
	assert_int_equal(saves, 0);
	expect_settled(p, "acme.example 192.0.2.0/24 denied\n");
	assert_int_equal(state_watch_look(w, p, &saves, &error), 0);
	assert_int_equal(settle("192.0.2.0/24", SETTLE_ACCEPT), SETTLED);
	assert_int_equal(state_watch_look(w, p, &saves, &error), 1);
	expect_settled(p, "acme.example 192.0.2.0/24 accepted\n");
	assert_int_equal(state_watch_look(w, p, &saves, &error), 0);
	assert_int_equal(state_save(file, NULL, p, &error), 0);
	assert_int_equal(state_watch_look(w, p, &saves, &error), 1);
	assert_int_equal(saves, 1);
	/* Another file of that name. */
	snprintf(other, sizeof(other), "%s.old", file);
	assert_int_equal(rename(file, other), 0);
	assert_int_equal(state_watch_look(w, p, &saves, &error), 0);
	assert_int_equal(settle("198.51.100.0/24", SETTLE_DENY), SETTLED);
	proof_forget_settled(p);
	assert_int_equal(state_watch_look(w, p, &saves, &error), 1);
	expect_settled(p, "acme.example 198.51.100.0/24 denied\n");
	assert_int_equal(saves, 0);
	/* And then one that is none: an error, no more; and a good one again. */
	assert_int_equal(unlink(file), 0);
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database", f);
	fclose(f);
	assert_true(state_watch_look(w, p, &saves, &error) < 0);
	assert_true(state_watch_look(w, p, &saves, &error) < 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rename(other, file), 0);
	assert_int_equal(state_watch_look(w, p, &saves, &error), 1);
	state_watch_free(w);
	proof_free(p);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settle), cmocka_unit_test(test_settled_stays),
		cmocka_unit_test(test_news),   cmocka_unit_test(test_earlier_version),
		cmocka_unit_test(test_held),   cmocka_unit_test(test_pace),
		cmocka_unit_test(test_watch),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
