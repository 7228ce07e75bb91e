/*
 * The state file: what is saved comes back, learning the same again changes nothing, and a file
 * that can't be ours is left alone, to the byte.
 */
#include "state_folder.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- helpers ---- */

static struct memory *new_memory(void)
{
	struct memory *m;

	assert_int_equal(memory_new(&m), 0);
	return m;
}

static void add(struct proof *p, const char *scanner, bool inside, uint64_t messages, int from,
		int to)
{
	const char *name = "mta.other.example";
	struct client_names names = { .status = DNS_OK, .n = 1, .names = &name };
	struct proof_mail m = { .scanner = scanner,
				.domain = "example.org",
				.mx_host = "mx.acme.example",
				.inside = inside,
				.names = &names,
				.messages = messages,
				.first_ms = WALL - DAY * from,
				.last_ms = WALL - DAY * to };

	assert_int_equal(addr_parse(inside ? SV("198.51.100.1") : SV("2001:db8:7:7::7"), &m.client),
			 0);
	assert_int_equal(proof_add(p, &m), 0);
}

static void save(struct memory *m, const struct proof *p)
{
	struct state_error error;

	if (state_save(file, m, p, &error) < 0)
		fail_msg("%s", error.text);
}

static struct proof *load(struct memory *m)
{
	struct proof *p = new_proof();
	struct state_error error;

	if (state_load(file, m, p, &error) < 0)
		fail_msg("%s", error.text);
	return p;
}

static uint64_t inside_of(const struct proof *p, const char *scanner)
{
	static const struct proof_conf conf = { 20, 24, 0.1 };
	struct proof_state s;

	if (proof_judge(p, scanner, &conf, WALL, &s) < 0)
		return 0;
	uint64_t inside = s.inside;

	proof_state_deinit(&s);
	return inside;
}

static char *content(size_t *ret_n)
{
	FILE *f = fopen(file, "rb");
	char *all = malloc(1 << 20);

	assert_non_null(f);
	*ret_n = fread(all, 1, 1 << 20, f);
	fclose(f);
	return all;
}

static void write_file(const char *bytes, size_t n)
{
	FILE *f = fopen(file, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static void sql(const char *statements)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, statements, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* ---- what comes back ---- */

static void test_round_trip(void **state)
{
	struct memory *m = new_memory(), *back = new_memory();
	struct proof *p = new_proof(), *loaded;
	struct proof_state s;
	struct stat st;

	memory_hosted_add(m, SV("example.org"));
	memory_hosted_add(m, SV("example.net"));
	memory_scanner_heard(m, "acme", MONO - 2 * DAY);
	memory_scanner_heard(m, "long-ago", MONO - 6 * DAY);
	add(p, "acme.example", true, 30, 3, 1);
	add(p, "acme.example", false, 20, 2, 1);
	save(m, p);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);

	/* Two days later, after a reboot. */
	clock_fake(70, WALL + 2 * DAY);
	loaded = load(back);
	assert_int_equal(memory_hosted_count(back), 2);
	assert_true(memory_is_hosted(back, "example.net"));
	assert_true(memory_scanner_is_heard(back, "acme", 70 + 3 * DAY));
	assert_false(memory_scanner_is_heard(back, "acme", 71 + 3 * DAY));
	assert_false(memory_scanner_is_heard(back, "long-ago", 70));
	assert_int_equal(proof_judge(loaded, "acme.example",
				     &(struct proof_conf) { .mails = 20, .hours = 24, .rival = 0 },
				     WALL, &s),
			 0);
	assert_int_equal(s.outcome, PROOF_PROVEN);
	assert_int_equal(s.inside, 30);
	assert_int_equal(s.first_ms, WALL - 3 * DAY);
	assert_int_equal(s.last_ms, WALL - DAY);
	assert_true(s.share > 0.599 && s.share < 0.601);
	proof_state_deinit(&s);
	clock_fake(MONO, WALL);
	memory_free(m);
	memory_free(back);
	proof_free(p);
	proof_free(loaded);
	unlink(file);
}

/* Every row, by way of another program. */
static int print_row(void *user, int n, char **values, char **names)
{
	for (int i = 0; i < n; i++)
		fprintf(user, "%s%s", i ? "|" : "", values[i] ? values[i] : "-");
	fputc('\n', user);
	return 0;
}

static void test_tables(void **state)
{
	static const char expected[] =
		"acme.example|30|1727740800000|1727913600000|1727740800000|1727913600000\n"
		"acme.example|example.org|1727740800000|30|20|20\n"
		"acme.example|example.org|2001:db8:7::/48|20|0|0|other.example\n";
	struct proof *p = new_proof();
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	sqlite3 *db;

	add(p, "acme.example", true, 30, 3, 1);
	add(p, "acme.example", false, 20, 2, 1);
	save(NULL, p);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	sqlite3_exec(db,
		     "SELECT * FROM proof_scanner; SELECT * FROM proof_domain;"
		     "SELECT * FROM proof_network",
		     print_row, out, NULL);
	sqlite3_close(db);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
	proof_free(p);
	unlink(file);
}

/* The same logs learned again, later ones, and another host's scanner. */
static void test_learning(void **state)
{
	struct proof *p = new_proof(), *later = new_proof(), *loaded;

	add(p, "acme.example", true, 30, 5, 3);
	for (int i = 0; i < 3; i++) {
		save(NULL, p);
		loaded = load(NULL);
		assert_int_equal(inside_of(loaded, "acme.example"), 30);
		proof_free(loaded);
	}
	add(later, "acme.example", true, 10, 2, 1);
	add(later, "other.example", true, 7, 2, 1);
	for (int i = 0; i < 3; i++) {
		save(NULL, i == 1 ? p : later);
		loaded = load(NULL);
		assert_int_equal(inside_of(loaded, "acme.example"), 40);
		assert_int_equal(inside_of(loaded, "other.example"), 7);
		proof_free(loaded);
	}
	proof_free(p);
	proof_free(later);
	unlink(file);
}

/* Memory and proof are saved each without harm to the other's part. */
static void test_parts(void **state)
{
	struct memory *m = new_memory(), *n = new_memory(), *back = new_memory();
	struct proof *p = new_proof(), *loaded;

	memory_hosted_add(m, SV("example.org"));
	memory_scanner_heard(m, "acme", MONO - DAY);
	save(m, NULL);
	add(p, "acme.example", true, 30, 5, 3);
	save(NULL, p);
	memory_hosted_add(n, SV("example.net"));
	memory_hosted_add(n, SV("example.org"));
	memory_scanner_heard(n, "acme", MONO - 3 * DAY); /* not as late */
	save(n, NULL);
	save(NULL, NULL);
	loaded = load(back);
	assert_int_equal(memory_hosted_count(back), 2);
	assert_true(memory_scanner_is_heard(back, "acme", MONO + 6 * DAY));
	assert_int_equal(inside_of(loaded, "acme.example"), 30);
	memory_free(m);
	memory_free(n);
	memory_free(back);
	proof_free(p);
	proof_free(loaded);
	unlink(file);
}

static void test_recall(void **state)
{
	struct conf conf = { .policy.prove = { 20, 24, 0.1 } };
	struct memory *m = new_memory();
	struct proof *p = new_proof();
	struct proof_summary sum;
	struct state_error error;

	assert_int_equal(state_recall(&conf, m, p, &sum, &error), 1);
	conf.state = file;
	assert_int_equal(state_recall(&conf, m, p, &sum, &error), 1);
	assert_int_not_equal(access(file, F_OK), 0);
	add(p, "acme.example", true, 30, 5, 3);
	save(NULL, p);
	proof_free(p);
	p = new_proof();
	assert_int_equal(state_recall(&conf, m, p, &sum, &error), 0);
	assert_int_equal(sum.proven, 1);
	assert_true(memory_scanner_is_proven(m, "acme.example"));
	assert_true(memory_scanner_is_heard(m, "acme.example", MONO + 4 * DAY));
	assert_false(memory_scanner_is_heard(m, "acme.example", MONO + 4 * DAY + 1));
	memory_free(m);
	proof_free(p);
	unlink(file);
}

/* ---- files that aren't ours, or no more ---- */

/* Both refuse it in one line that says this, and not a byte of it changes. */
static void expect_refused(const char *what, const char *says)
{
	struct memory *m = new_memory();
	struct proof *p = new_proof(), *none = new_proof();
	struct state_error error = { "" };
	size_t before_n, after_n;
	char *before = content(&before_n), *after;

	add(p, "acme.example", true, 30, 5, 3);
	for (int saving = 0; saving < 2; saving++) {
		int r = saving ? state_save(file, m, p, &error) : state_load(file, m, none, &error);

		if (r >= 0 || !strstr(error.text, says) || strchr(error.text, '\n') ||
		    strncmp(error.text, file, strlen(file)) != 0)
			fail_msg("%s: %d %s", what, r, error.text);
	}
	after = content(&after_n);
	assert_int_equal(before_n, after_n);
	assert_memory_equal(before, after, before_n);
	assert_int_equal(memory_hosted_count(m), 0);
	assert_int_equal(proof_scanner_count(none), 0);
	free(before);
	free(after);
	memory_free(m);
	proof_free(p);
	proof_free(none);
	unlink(file);
}

static void save_something(void)
{
	struct memory *m = new_memory();
	struct proof *p = new_proof();
	char name[32];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		memory_hosted_add(m, sv_from(name));
	}
	add(p, "acme.example", true, 30, 5, 3);
	add(p, "acme.example", false, 30, 5, 3);
	save(m, p);
	memory_free(m);
	proof_free(p);
}

static void test_refused(void **state)
{
	size_t n;
	char *bytes;

	write_file("listeners: [{mode: tproxy}]\n", 28);
	expect_refused("a text", "this is no state file");

	sql("CREATE TABLE mail (id)");
	expect_refused("another database", "this is another program's database");
	sql("CREATE TABLE mail (id); PRAGMA user_version = 1");
	expect_refused("another database of version 1", "another program's");

	save_something();
	sql("PRAGMA user_version = 2");
	expect_refused("a newer version", "its version is 2; this program knows version 1");
	save_something();
	sql("PRAGMA user_version = 0");
	expect_refused("version 0", "its version is 0");

	save_something();
	sql("DROP TABLE proof_scanner");
	expect_refused("a table is missing", "damaged (no such table: proof_scanner)");
	save_something();
	sql("UPDATE proof_scanner SET inside = -1");
	expect_refused("a count below 0", "damaged");

	save_something();
	bytes = content(&n);
	assert_true(n > 20000);
	write_file(bytes, n / 2);
	expect_refused("cut", "damaged");
	memset(bytes + 4096, 0x5a, n - 4096);
	write_file(bytes, n);
	expect_refused("overwritten", "damaged");
	free(bytes);
}

/* An empty file can't be told from one that is just being made. */
static void test_empty(void **state)
{
	struct memory *m = new_memory();
	struct proof *p;

	write_file("", 0);
	p = load(m);
	assert_int_equal(memory_hosted_count(m), 0);
	proof_free(p);
	save_something();
	p = load(m);
	assert_int_equal(memory_hosted_count(m), 2000);
	assert_int_equal(inside_of(p, "acme.example"), 30);
	memory_free(m);
	proof_free(p);
	unlink(file);
}

static void test_no_file(void **state)
{
	struct memory *m = new_memory();
	struct state_error error;

	assert_int_equal(state_load(file, m, NULL, &error), 1);
	assert_int_not_equal(access(file, F_OK), 0);
	assert_int_equal(state_save("/nonexistent/state.db", m, NULL, &error), -ENOENT);
	assert_string_equal(error.text, "/nonexistent/state.db: No such file or directory");
	assert_true(state_load(folder, m, NULL, &error) < 0);
	memory_free(m);
}

/* A reader that may write neither the file nor its folder. */
static void test_read_only(void **state)
{
	int status;
	pid_t child;

	if (getuid() != 0)
		skip();
	save_something();
	assert_int_equal(chmod(file, 0644), 0);
	child = fork();
	if (child == 0) {
		struct memory *m = NULL;
		struct state_error error = { "" };

		if (setgid(65534) < 0 || setuid(65534) < 0 || memory_new(&m) < 0)
			_exit(2);
		if (state_load(file, m, NULL, &error) != 0)
			fprintf(stderr, "%s\n", error.text);
		_exit(memory_hosted_count(m) == 2000 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_tables),
		cmocka_unit_test(test_learning),   cmocka_unit_test(test_parts),
		cmocka_unit_test(test_recall),     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_empty),      cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_read_only),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
