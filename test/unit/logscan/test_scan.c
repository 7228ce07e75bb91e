/* A run from lines to the summary: its figures add up, however often it had to settle early. */
#include "logscan/learn.h"
#include "logscan/summary.h"
#include "scene.h"

static const char doors[] =
	"guarded.net. MX 10 mx1.acme-filter.net.\n"
	"two.org. MX 10 mx1.acme-filter.net.\n"
	"mx1.acme-filter.net. A 198.51.100.1\n"
	"own.net. MX 10 mail.own.net.\nmail.own.net. A 203.0.113.25\n"
	"away.net. A 192.0.2.80\n"
	"nomail.net. MX 0 .\n"
	"gone.net. NXDOMAIN\n"
	"broken.net. SERVFAIL\n"
	"guarded.net. A 203.0.113.25\n"
	"7.2.0.192.in-addr.arpa. PTR out7.bulk.org.\nout7.bulk.org. A 192.0.2.7\n"
	"8.2.0.192.in-addr.arpa. PTR out8.bulk.org.\nout8.bulk.org. A "
	"192.0.2.8\n";

static const char *const domains[] = { "guarded.net", "own.net", "away.net",   "nomail.net",
				       "gone.net",    "two.org", "broken.net", "relayed.net" };
static const char *const clients[] = { "198.51.100.1", "192.0.2.7", "192.0.2.8",   "192.0.2.9",
				       "203.0.113.25", "5.6.7.8",   "2001:db8::1", "192.0.2.80" };

static void write_log(FILE *out)
{
	uint32_t x = 1;

	for (int i = 0; i < 900; i++) {
		x = x * 1664525 + 1013904223;
		const char *domain = domains[(x >> 8) % 8], *client = clients[(x >> 12) % 8];
		int day = 10 + i / 100 - ((x >> 16) % 20 == 0), second = i % 100 % 60;

		if ((x >> 20) % 5 == 0)
			fprintf(out,
				"2010-11-%d 10:00:%02d H=(x) [%s]:99 I=[203.0.113.25]:25 "
				"F=<a@b.net> rejected RCPT <u%d@%s>: Unknown user\n",
				day, second, client, i, domain);
		else
			fprintf(out,
				"2010-11-%d 10:00:%02d 1PIcQq-%06d-2X <= %s H=(x) [%s]:99 "
				"I=[203.0.113.25]:25 P=esmtp%s S=%d for a@%s b@%s%s%s\n",
				day, second, i, (x >> 24) % 3 ? "a@b.net" : "x@guarded.net", client,
				(x >> 26) % 7 ? "" : "a A=plain:u", 1000 + i, domain, domain,
				(x >> 22) % 4 ? "" : " c@own.net",
				(x >> 28) % 9 ? "" : " c%two.org@own.net");
	}
}

/* The summary of all, with so many flows in memory. */
static json_t *run(size_t flows_max, uint64_t *ret_early)
{
	static const struct proof_conf prove = { .mails = 20, .hours = 24, .rival = 0.1 };
	char name[] = "/tmp/frontdoor-scan-XXXXXX", *names[] = { name };
	struct source *source;
	struct scan_conf conf;
	struct summary summary;
	struct proof *proof;
	struct scene scene;
	struct scan scan;
	json_t *json;
	FILE *log;

	scene_open(&scene, doors);
	scene.judge.hosted_given = true;
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(memory_hosted_add(scene.memory, sv_from(domains[i])), 0);
	log = fdopen(mkstemp(name), "w");
	assert_non_null(log);
	write_log(log);
	assert_int_equal(fclose(log), 0);
	assert_int_equal(proof_new(&proof), 0);
	conf = (struct scan_conf) { .filter = { .since_ms = INT64_MIN, .until_ms = INT64_MAX },
				    .judge = &scene.judge,
				    .proof = proof,
				    .flows_max = flows_max };
	assert_int_equal(scan_init(&scan, &conf), 0);
	assert_int_equal(source_open(names, 1, line_time, stderr, &source), 0);
	assert_int_equal(scan_read(&scan, source), 0);
	assert_int_equal(scan_settle(&scan), 0);
	assert_int_equal(summary_make(&scan, &prove, 1300000000000, &summary), 0);
	json = summary_json(&summary);
	assert_non_null(json);
	*ret_early = scan.early;
	summary_deinit(&summary);
	source_free(source);
	scan_deinit(&scan);
	proof_free(proof);
	scene_close(&scene);
	unlink(name);
	return json;
}

static json_int_t number(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* Sum of a class over rows that have it as a member, or in a member. */
static json_int_t sum(json_t *rows, const char *within, const char *class)
{
	json_int_t n = 0;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) n +=
		number(within ? json_object_get(row, within) : row, class);
	return n;
}

static void test_figures_add_up(void **state)
{
	uint64_t early;
	json_t *s = run(0, &early), *classes = json_object_get(s, "classes"), *class, *row, *names;
	json_t *rows = json_object_get(s, "domains"), *days = json_object_get(s, "days");
	json_int_t all = 0, direct = 0, outside = 0, seen = 0;
	const char *name, *word;
	size_t i;

	assert_int_equal(early, 0);
	json_object_foreach(classes, name, class)
	{
		json_int_t n = number(class, "mails");

		if (sum(rows, "classes", name) != n || sum(days, NULL, name) != n)
			fail_msg("%s: %lld, by domain %lld, by day %lld", name, (long long)n,
				 (long long)sum(rows, "classes", name),
				 (long long)sum(days, NULL, name));
		seen += n > 0;
		all += n;
		names = json_object_get(json_object_get(s, "door_names"), name);
		if (names) {
			json_int_t by_name = 0;

			outside += n;
			json_object_foreach(names, word, row) by_name += json_integer_value(row);
			assert_int_equal(by_name, n);
		}
	}
	if (seen < 10) /* else this shows little */
		fail_msg("%s", json_dumps(classes, 0));
	assert_int_equal(all, number(s, "mails"));
	assert_int_equal(outside, number(s, "outside"));
	json_array_foreach(rows, i, row)
	{
		json_int_t of_days = sum(json_object_get(row, "days"), NULL, "direct");

		assert_int_equal(of_days, number(row, "direct"));
		direct += of_days;
	}
	assert_int_equal(direct, number(s, "direct"));
	assert_int_equal(sum(json_object_get(s, "networks"), NULL, "mails"), direct);
	assert_true(sum(json_object_get(s, "networks"), NULL, "refused") > 0);
	json_decref(s);
}

/* What depends on the order in which flows came together. */
static void drop_examples(json_t *s, const char *groups)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(s, groups), i, row) json_object_del(row, "example");
}

static void test_settled_early(void **state)
{
	static const char *const same[] = { "classes",  "door_names",  "days",     "domains",
					    "networks", "ptr_domains", "scanners", "mails",
					    "direct",   "outside",     "received" };
	uint64_t early;
	json_t *whole = run(0, &early);

	drop_examples(whole, "networks");
	drop_examples(whole, "ptr_domains");
	for (size_t max = 1; max < 200; max = 3 * max + 1) {
		json_t *parts = run(max, &early);

		assert_true(early > 0);
		drop_examples(parts, "networks");
		drop_examples(parts, "ptr_domains");
		for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
			json_t *a = json_object_get(whole, same[i]);
			json_t *b = json_object_get(parts, same[i]);

			if (!json_equal(a, b))
				fail_msg("with %zu flows %s differ:\n%s\n%s", max, same[i],
					 json_dumps(a, JSON_SORT_KEYS | JSON_ENCODE_ANY),
					 json_dumps(b, JSON_SORT_KEYS | JSON_ENCODE_ANY));
		}
		json_decref(parts);
	}
	json_decref(whole);
}

/* Days are memory, too: one client and domain over many years. */
static void test_days_are_bounded(void **state)
{
	struct scan_conf conf = { .filter = { .since_ms = INT64_MIN, .until_ms = INT64_MAX },
				  .flows_max = 100 };
	char name[] = "/tmp/frontdoor-scan-XXXXXX", *names[] = { name }, day[16];
	struct source *source;
	struct scene scene;
	struct scan scan;
	FILE *log = fdopen(mkstemp(name), "w");

	assert_non_null(log);
	for (int i = 0; i < 3000; i++)
		fprintf(log,
			"%s 10:00:00 1PIcQq-%06d-2X <= a@b.net H=(x) [192.0.2.9]:99 "
			"I=[203.0.113.25]:25 P=esmtp S=9 for a@guarded.net\n",
			stamp_day(10000 + i, day), i);
	assert_int_equal(fclose(log), 0);
	scene_open(&scene, doors);
	conf.judge = &scene.judge;
	assert_int_equal(scan_init(&scan, &conf), 0);
	assert_int_equal(source_open(names, 1, line_time, stderr, &source), 0);
	assert_int_equal(scan_read(&scan, source), 0);
	assert_true(scan.early >= 3);
	assert_true(scan.book.alloc_days <= 2000);
	assert_int_equal(scan_settle(&scan), 0);
	assert_int_equal(scan.tally.n_days, 3000);
	assert_int_equal(scan.tally.classes[CLASS_DIRECT].mails, 3000);
	source_free(source);
	scan_deinit(&scan);
	scene_close(&scene);
	unlink(name);
}

/* The lines of all, with so many clients remembered. */
static char *lines(size_t clients_max, size_t *ret_clients)
{
	char name[] = "/tmp/frontdoor-scan-XXXXXX", *names[] = { name }, *text = NULL;
	struct scan_conf conf = { .filter = { .since_ms = INT64_MIN, .until_ms = INT64_MAX },
				  .lines = true,
				  .format = MAIL_CSV,
				  .lines_only = true,
				  .flows_max = 2,
				  .clients_max = clients_max };
	struct source *source;
	struct scene scene;
	struct scan scan;
	size_t size;
	FILE *log = fdopen(mkstemp(name), "w");

	assert_non_null(log);
	write_log(log);
	assert_int_equal(fclose(log), 0);
	scene_open(&scene, doors);
	scene.judge.hosted_given = true;
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(memory_hosted_add(scene.memory, sv_from(domains[i])), 0);
	conf.judge = &scene.judge;
	conf.out = open_memstream(&text, &size);
	assert_int_equal(scan_init(&scan, &conf), 0);
	assert_int_equal(source_open(names, 1, line_time, stderr, &source), 0);
	assert_int_equal(scan_read(&scan, source), 0);
	assert_int_equal(scan_settle(&scan), 0);
	assert_int_equal(scan.tally.mails, 0);
	*ret_clients = scan.book.n_clients;
	fclose(conf.out);
	source_free(source);
	scan_deinit(&scan);
	scene_close(&scene);
	unlink(name);
	return text;
}

static void test_clients_are_forgotten(void **state)
{
	size_t all, few;
	char *whole = lines(0, &all), *bounded = lines(2, &few);

	assert_int_equal(all, 8);
	assert_true(few <= 2);
	assert_string_equal(whole, bounded);
	free(whole);
	free(bounded);
}

/* The verdict on a recipient that names two domains says nothing about the first one's scanner. */
static void test_routed_mail_proves_nothing(void **state)
{
	static const struct {
		const char *to;
		size_t want;
	} cases[] = { { "x@guarded.net", 1 }, { "x%third.net@guarded.net", 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proof *proof;
		struct scene s;

		scene_open(&s, "guarded.net. MX 10 mx1.acme-filter.net.\n"
			       "mx1.acme-filter.net. A 198.51.100.1\n"
			       "third.net. MX 10 mx.other.org.\nmx.other.org. A 198.51.100.77\n");
		assert_int_equal(memory_hosted_add(s.memory, SV("third.net")), 0);
		assert_int_equal(proof_new(&proof), 0);
		scene_mail(&s, 1000, "198.51.100.1", "a@b.net", cases[i].to);
		scene_judge(&s);
		assert_int_equal(learn_take(proof, &s.book, &s.judge), 0);
		assert_int_equal(proof_scanner_count(proof), cases[i].want);
		proof_free(proof);
		scene_close(&s);
	}
}

/* A row of the catalogue that knows no names has nobody's looked up for a verdict; for the proof
 * they are: who has none doesn't count, and who has the scanner's own is a related rival. */
static void test_names_are_learned(void **state)
{
	static const char providers[] =
		"id\tname\tkind\tmx_suffixes\tegress_spf\tegress_hosts\tegress_cidrs\t"
		"egress_ptr_suffixes\tsource\tconfidence\n"
		"acme\tAcme\tfilter\tacme-filter.net\t\t\t198.51.100.0/28\t\ttest\thigh\n";
	static const struct {
		const char *client;
		double share;
		size_t rivals;
		bool related;
	} rows[] = {
		{ "192.0.2.8", 1, 0, false },   /* has no name */
		{ "192.0.2.7", 0.2, 1, true },  /* a name of Acme's */
		{ "192.0.2.6", 0.2, 0, false }, /* one of somebody else's; for one domain */
	};
	const struct proof_conf conf = { 1, 0, 0.1 };
	struct catalogue_error error;
	struct catalogue *catalogue;

	assert_int_equal(catalogue_read(SV(providers), SV(""), SV(""), &catalogue, &error), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proof_state found;
		struct proof *proof;
		struct scene s;

		scene_open(&s, "guarded.net. MX 10 mx1.acme-filter.net.\n"
			       "mx1.acme-filter.net. A 198.51.100.1\n"
			       "8.2.0.192.in-addr.arpa. NXDOMAIN\n"
			       "7.2.0.192.in-addr.arpa. PTR out7.acme-filter.net.\n"
			       "out7.acme-filter.net. A 192.0.2.7\n"
			       "6.2.0.192.in-addr.arpa. PTR mta.else.net.\n"
			       "mta.else.net. A 192.0.2.6\n");
		s.policy.catalogue = catalogue;
		assert_int_equal(proof_new(&proof), 0);
		scene_mail(&s, 1000, "198.51.100.1", "a@b.net", "x@guarded.net");
		for (int k = 0; k < 4; k++)
			scene_mail(&s, 1000, rows[i].client, "a@b.net", "x@guarded.net");
		scene_judge(&s);
		assert_int_equal(learn_names(&s.judge, &s.book), 0);
		assert_int_equal(learn_take(proof, &s.book, &s.judge), 0);
		assert_int_equal(proof_judge(proof, "acme", &conf, 1000, &found), 0);
		if (found.share != rows[i].share || found.n_rivals != rows[i].rivals ||
		    (found.n_rivals > 0 && found.rivals[0].related != rows[i].related))
			fail_msg("%s: %g %zu", rows[i].client, found.share, found.n_rivals);
		proof_state_deinit(&found);
		proof_free(proof);
		scene_close(&s);
	}
	catalogue_free(catalogue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures_add_up),
		cmocka_unit_test(test_settled_early),
		cmocka_unit_test(test_days_are_bounded),
		cmocka_unit_test(test_clients_are_forgotten),
		cmocka_unit_test(test_routed_mail_proves_nothing),
		cmocka_unit_test(test_names_are_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
