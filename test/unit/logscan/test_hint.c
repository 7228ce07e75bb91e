/* What groups of direct clients look like, and how flows make them. */
#include "scene.h"

#include "logscan/hint.h"

#define HOUR 3600000LL
#define DAY  (24 * HOUR)

/* So that is_related() finds the MX: two scanners, a self domain; reverse names. */
static const char doors[] =
	"a.net. MX 10 mx1.acme-filter.net.\nb.net. MX 10 mx1.acme-filter.net.\n"
	"c.net. MX 10 mx1.acme-filter.net.\nd.net. MX 10 mx1.acme-filter.net.\n"
	"e.net. MX 10 mx1.acme-filter.net.\nf.net. MX 10 mx1.acme-filter.net.\n"
	"g.net. MX 10 mx1.acme-filter.net.\n"
	"mx1.acme-filter.net. A 198.51.100.1\n"
	"a.net. A 203.0.113.25\nmail.b.net. A 203.0.113.25\nmx.c.net. A 203.0.113.25\n"
	/* an egress outside the MX host's parent domain, but in the same registrable one */
	"h.net. MX 10 in1.mx.far-filter.org.\ni.net. MX 10 in1.mx.far-filter.org.\n"
	"in1.mx.far-filter.org. A 198.51.100.9\n"
	"7.8.51.198.in-addr.arpa. PTR out7.far-filter.org.\nout7.far-filter.org. A 198.51.8.7\n"
	"5.2.0.192.in-addr.arpa. PTR mta5.sender.org.\nmta5.sender.org. A 192.0.2.5\n";

static const struct tally_group *group(struct scene *s, const char *client)
{
	struct addr a = scene_addr(client);

	scene_judge(s);
	tally_take(&s->tally, &s->book, &s->judge);
	tally_sort(&s->tally);
	for (size_t i = 0; i < s->tally.n_networks; i++)
		if (prefix_contains(&s->tally.networks[i].network, &a))
			return &s->tally.networks[i];
	fail_msg("no group of %s", client);
	return NULL;
}

static void check(struct scene *s, const char *client, enum hint want)
{
	char why[HINT_WHY_MAX];
	enum hint got = hint_of(group(s, client), &s->book, why);

	if (got != want)
		fail_msg("%s: %s (%s), expected %s", client, hint_name(got), why, hint_name(want));
	assert_true(strlen(why) > 20);
	scene_close(s);
}

static void test_device(void **state)
{
	struct scene s;

	scene_open(&s, doors);
	for (int i = 0; i < 5; i++)
		scene_mail(&s, i * DAY, "192.0.2.77", "printer@a.net", "boss@a.net");
	check(&s, "192.0.2.77", HINT_DEVICE);
}

static void test_monitor(void **state)
{
	struct scene s;

	scene_open(&s, doors);
	for (int i = 0; i < 40; i++)
		scene_mail(&s, i * 4 * HOUR, "192.0.2.78", "nagios@watch.org", "ops@a.net");
	check(&s, "192.0.2.78", HINT_MONITOR);
}

static void test_sender(void **state)
{
	static const char *const to[] = { "x@a.net", "x@b.net", "x@c.net", "x@d.net", "x@e.net" };
	struct scene s;

	scene_open(&s, doors);
	for (int i = 0; i < 5; i++)
		scene_mail(&s, i * HOUR, "192.0.2.5", "news@sender.org", to[i]);
	check(&s, "192.0.2.5", HINT_SENDER);
}

static void test_scanner_egress(void **state)
{
	char why[HINT_WHY_MAX];
	const struct tally_group *g;
	struct scene s;

	scene_open(&s, doors);
	for (int i = 0; i < 9; i++)
		scene_mail(&s, i * HOUR, "198.51.8.7", "x@y.org",
			   i % 2 ? "info@h.net" : "info@i.net");
	g = group(&s, "198.51.8.7");
	assert_int_equal(hint_of(g, &s.book, why), HINT_SCANNER_EGRESS);
	assert_string_equal(book_string(&s.book, g->scanner), "mx.far-filter.org");
	assert_string_equal(book_string(&s.book, g->ptr_domain), "far-filter.org");
	scene_close(&s);
}

static void test_bots(void **state)
{
	char client[32];
	struct scene s;

	/* a network of many addresses, each once */
	scene_open(&s, doors);
	for (int i = 1; i < 50; i++) {
		snprintf(client, sizeof(client), "192.0.4.%d", i);
		scene_mail(&s, i * HOUR, client, "a@a.net", i % 2 ? "info@a.net" : "info@b.net");
	}
	check(&s, "192.0.4.1", HINT_BOT);

	/* one that guesses recipients, though it has a name */
	scene_open(&s, doors);
	for (int i = 0; i < 4; i++) {
		struct entry e = { .kind = ENTRY_REFUSED,
				   .time_ms = HOUR,
				   .has_client = true,
				   .recipient = SV("guess@a.net") };

		e.client.addr = scene_addr("192.0.2.5");
		join_entry(&s.join, &e);
	}
	scene_mail(&s, HOUR, "192.0.2.5", "x@sender.org", "info@a.net");
	check(&s, "192.0.2.5", HINT_BOT);
}

static void test_unclear(void **state)
{
	struct scene s;

	scene_open(&s, doors);
	for (int i = 0; i < 9; i++)
		scene_mail(&s, i * HOUR, "192.0.2.79", "x@y.org", "info@a.net");
	check(&s, "192.0.2.79", HINT_UNCLEAR);
}

/* Sums of one group over several flows. */
static void test_sums(void **state)
{
	const struct tally_group *g;
	struct scene s;

	scene_open(&s, doors);
	scene_mail(&s, 1 * HOUR, "192.0.2.10", "a@a.net", "x@a.net x@b.net");
	scene_mail(&s, 3 * DAY, "192.0.2.11", "a@x.org", "x@a.net");
	scene_mail(&s, 2 * DAY, "192.0.2.10", "a@x.org", "x@a.net");
	scene_mail(&s, 2 * DAY, "192.0.3.10", "a@x.org", "x@a.net");
	scene_mail(&s, 2 * DAY, "198.51.100.1", "a@x.org", "x@a.net");
	g = group(&s, "192.0.2.10");
	assert_int_equal(g->mails, 4);
	assert_int_equal(g->clients, 2);
	assert_int_equal(g->domains, 2);
	assert_int_equal(g->days, 3);
	assert_int_equal(g->own, 1);
	assert_int_equal(g->bytes, 4000);
	assert_int_equal(g->first_ms, HOUR);
	assert_int_equal(g->last_ms, 3 * DAY);
	assert_int_equal(s.tally.n_networks, 2);
	assert_int_equal(s.tally.classes[CLASS_DIRECT].mails, 5);
	assert_int_equal(s.tally.classes[CLASS_DIRECT].clients, 3);
	assert_int_equal(s.tally.classes[CLASS_DIRECT].domains, 2);
	assert_int_equal(s.tally.classes[CLASS_SCANNER].mails, 1);
	assert_int_equal(s.tally.n_days, 3);
	assert_int_equal(s.tally.days[0].day, 0);
	assert_int_equal(s.tally.days[1].mails[CLASS_DIRECT], 2);
	assert_int_equal(s.tally.days[1].mails[CLASS_SCANNER], 1);
	scene_close(&s);
}

/* Which name leads here. */
static void test_door_words(void **state)
{
	struct scene s;

	scene_open(&s, doors);
	scene_mail(&s, HOUR, "192.0.2.10", "a@x.org", "x@a.net x@b.net x@c.net x@d.net");
	(void)group(&s, "192.0.2.10");
	const uint64_t *n = s.tally.classes[CLASS_DIRECT].names;

	assert_int_equal(n[DOOR_WORD_APEX], 1);
	assert_int_equal(n[DOOR_WORD_MAIL], 1);
	assert_int_equal(n[DOOR_WORD_OTHER], 1);
	assert_int_equal(n[DOOR_WORD_NONE], 1);
	scene_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device),         cmocka_unit_test(test_monitor),
		cmocka_unit_test(test_sender),         cmocka_unit_test(test_bots),
		cmocka_unit_test(test_scanner_egress), cmocka_unit_test(test_unclear),
		cmocka_unit_test(test_sums),           cmocka_unit_test(test_door_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
