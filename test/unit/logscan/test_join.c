/* Lines to messages: by id, in any order that logs have, once for each domain. */
#include "scene.h"

#define ID SV("4XyzAB1Q2Rz9T")

struct got {
	char text[4096];
	size_t n;
	struct book *book;
};

static void on_mail(void *user, const struct mail *m, uint32_t flow)
{
	struct got *g = user;
	const struct flow *f = &g->book->flows[flow];
	char client[ADDR_STRLEN] = "-";

	if (m->has_client)
		addr_format(&m->client, client);
	g->n += (size_t)snprintf(g->text + g->n, sizeof(g->text) - g->n,
				 SV_FMT " %s " SV_FMT " %s %llu %d\n", SV_ARG(m->id), client,
				 SV_ARG(m->sender), g->book->domains[f->domain].name,
				 (unsigned long long)m->bytes, (int)m->kind);
}

static void open_scene(struct scene *s, struct got *g)
{
	scene_open(s, "");
	*g = (struct got) { .book = &s->book };
	s->join.on_mail = on_mail;
	s->join.user = g;
}

static struct entry arrival(const char *client)
{
	struct entry e = { .kind = ENTRY_ARRIVAL, .id = ID, .time_ms = 5000, .has_client = true };

	e.client.addr = scene_addr(client);
	return e;
}

static struct entry queued(const char *sender, uint64_t bytes)
{
	return (struct entry) { .kind = ENTRY_QUEUED,
				.id = ID,
				.time_ms = 6000,
				.has_sender = true,
				.sender = sv_from(sender),
				.has_bytes = true,
				.bytes = bytes };
}

static struct entry recipient(const char *to)
{
	return (struct entry) {
		.kind = ENTRY_RECIPIENT, .id = ID, .recipient = sv_from(to), .way = WAY_LOCAL
	};
}

static const struct entry done = { .kind = ENTRY_DONE, .id = { "4XyzAB1Q2Rz9T", 13 } };

static void put(struct scene *s, struct entry e)
{
	join_entry(&s->join, &e);
}

static void test_in_parts(void **state)
{
	struct scene s;
	struct got g;

	open_scene(&s, &g);
	put(&s, arrival("192.0.2.9"));
	put(&s, queued("a@b.net", 77));
	put(&s, recipient("x@one.net"));
	put(&s, recipient("y@one.net"));
	put(&s, recipient("y@two.net"));
	put(&s, recipient("x@one.net"));
	assert_string_equal(g.text, "");
	put(&s, done);
	assert_string_equal(g.text, "4XyzAB1Q2Rz9T 192.0.2.9 a@b.net one.net 77 0\n"
				    "4XyzAB1Q2Rz9T 192.0.2.9 a@b.net two.net 77 0\n");
	assert_int_equal(join_end(&s.join), 0);
	assert_int_equal(s.join.received, 1);
	scene_close(&s);
}

static void test_end_of_logs(void **state)
{
	struct scene s;
	struct got g;

	open_scene(&s, &g);
	put(&s, arrival("192.0.2.9"));
	put(&s, recipient("x@one.net"));
	assert_int_equal(join_end(&s.join), 1);
	assert_string_equal(g.text, "4XyzAB1Q2Rz9T 192.0.2.9  one.net 0 0\n");
	scene_close(&s);
}

static void test_incomplete(void **state)
{
	struct scene s;
	struct got g;

	open_scene(&s, &g);
	/* no arrival */
	put(&s, queued("a@b.net", 77));
	put(&s, recipient("x@one.net"));
	put(&s, done);
	/* no recipient */
	put(&s, arrival("192.0.2.9"));
	put(&s, done);
	/* nothing known at all */
	put(&s, done);
	put(&s, recipient("x@two.net"));
	join_end(&s.join);
	assert_string_equal(g.text, "");
	assert_int_equal(s.join.without_arrival, 1);
	assert_int_equal(s.join.without_rcpt, 1);
	assert_int_equal(s.join.received, 0);
	scene_close(&s);
}

/* Short queue ids come again: the second message is another one. */
static void test_id_again(void **state)
{
	struct scene s;
	struct got g;

	open_scene(&s, &g);
	put(&s, arrival("192.0.2.9"));
	put(&s, recipient("x@one.net"));
	put(&s, arrival("192.0.2.10"));
	put(&s, recipient("x@two.net"));
	put(&s, done);
	assert_string_equal(g.text, "4XyzAB1Q2Rz9T 192.0.2.9  one.net 0 0\n"
				    "4XyzAB1Q2Rz9T 192.0.2.10  two.net 0 0\n");
	scene_close(&s);
}

/* cleanup's line makes a message local only when nobody said how it came. */
static void test_weak(void **state)
{
	struct entry weak = {
		.kind = ENTRY_ARRIVAL, .id = ID, .time_ms = 5000, .local = true, .weak = true
	};
	struct scene s;
	struct got g;

	open_scene(&s, &g);
	put(&s, arrival("192.0.2.9"));
	put(&s, weak);
	put(&s, recipient("x@one.net"));
	put(&s, done);
	put(&s, weak);
	put(&s, recipient("x@one.net"));
	put(&s, done);
	put(&s, weak);
	put(&s, arrival("192.0.2.9"));
	put(&s, recipient("x@one.net"));
	put(&s, done);
	assert_string_equal(g.text, "4XyzAB1Q2Rz9T 192.0.2.9  one.net 0 0\n"
				    "4XyzAB1Q2Rz9T -  one.net 0 2\n"
				    "4XyzAB1Q2Rz9T 192.0.2.9  one.net 0 0\n");
	scene_close(&s);
}

static void test_refused(void **state)
{
	struct entry e = { .kind = ENTRY_REFUSED,
			   .time_ms = 5000,
			   .has_client = true,
			   .recipient = SV("guess@one.net") };
	struct scene s;
	struct got g;

	e.client.addr = scene_addr("192.0.2.9");
	open_scene(&s, &g);
	put(&s, e);
	put(&s, e);
	assert_string_equal(g.text, " 192.0.2.9  one.net 0 3\n 192.0.2.9  one.net 0 3\n");
	assert_int_equal(s.join.received, 0);
	assert_int_equal(s.join.refused, 2);
	scene_judge(&s);
	tally_take(&s.tally, &s.book, &s.judge);
	scene_close(&s);
}

static void test_filters(void **state)
{
	static const char *const one[] = { "one.net" };
	struct prefix net;
	struct scene s;
	struct got g;

	assert_int_equal(prefix_parse(SV("192.0.2.0/24"), &net), 0);
	open_scene(&s, &g);
	s.filter.domains = one;
	s.filter.n_domains = 1;
	s.filter.since_ms = 1000;
	s.filter.until_ms = 1999;
	prefix_set_add(&s.filter.clients, &net);
	prefix_set_seal(&s.filter.clients);
	scene_mail(&s, 999, "192.0.2.9", "early@b.net", "x@one.net");
	scene_mail(&s, 2000, "192.0.2.9", "late@b.net", "x@one.net");
	scene_mail(&s, 1500, "192.0.3.9", "other@b.net", "x@one.net");
	scene_mail(&s, 1500, NULL, "local@b.net", "x@one.net");
	scene_mail(&s, 1500, "192.0.2.9", "elsewhere@b.net", "x@two.net");
	scene_mail(&s, 1000, "192.0.2.9", "first@b.net", "x@one.net y@two.net");
	scene_mail(&s, 1999, "192.0.2.9", "last@b.net", "x@sub.one.net");
	assert_string_equal(g.text, "1PIcQq-00040L-2X 192.0.2.9 first@b.net one.net 1000 0\n"
				    "1PIcQq-00040L-2X 192.0.2.9 last@b.net sub.one.net 1000 0\n");
	assert_int_equal(s.join.outside_filter, 5);
	assert_int_equal(s.join.received, 2);
	scene_close(&s);
}

/* However many messages never end, what waits is bounded, and the oldest counts. */
static void test_bound(void **state)
{
	char id[24];
	struct scene s;

	scene_open(&s, "");
	for (int i = 0; i < JOIN_WAITING_MAX + 10; i++) {
		struct entry e = arrival("192.0.2.9"), r = recipient("x@one.net");

		snprintf(id, sizeof(id), "%x", 0x1000000 + i);
		e.id = r.id = sv_from(id);
		put(&s, e);
		put(&s, r);
	}
	assert_int_equal(s.join.received, 10);
	assert_int_equal(join_end(&s.join), JOIN_WAITING_MAX);
	assert_int_equal(s.join.received, JOIN_WAITING_MAX + 10);
	assert_int_equal(s.book.n_flows, 1);
	assert_int_equal(s.book.flows[0].mails, JOIN_WAITING_MAX + 10);
	scene_close(&s);
}

/* A client that could not be kept: its mail has no verdict, and is left out. */
static void test_no_room_for_the_client(void **state)
{
	struct mail m = { .kind = FLOW_WORLD, .id = SV("x"), .sender = SV("a@b.net") };
	struct scene s;

	scene_open(&s, "");
	assert_int_equal(book_mail(&s.book, &m, book_domain(&s.book, "own.net")), INDEX_NONE);
	m.kind = FLOW_LOCAL;
	assert_int_equal(book_mail(&s.book, &m, book_domain(&s.book, "own.net")), 0);
	scene_judge(&s);
	scene_close(&s);
}

/* Texts of strangers, many times over, are cut. */
static void test_long_texts(void **state)
{
	static char text[60000];
	struct mail m = { .kind = FLOW_WORLD, .has_client = true };
	struct scene s;

	memset(text, 'a', sizeof(text) - 1);
	text[1] = '@';
	scene_open(&s, "");
	m.sender = (struct sv) { text, sizeof(text) - 1 };
	m.id = m.sender;
	for (uint32_t i = 0; i < 100; i++) {
		struct addr a = scene_addr("2001:db8::");

		a.b[15] = (unsigned char)i;
		text[2] = (char)('a' + i % 26);
		text[3] = (char)('a' + i / 26);
		m.client = a;
		assert_int_not_equal(book_mail(&s.book, &m, book_recipient(&s.book, m.sender)),
				     INDEX_NONE);
	}
	assert_true(s.book.n_strings < 100000);
	scene_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_room_for_the_client),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_in_parts),
		cmocka_unit_test(test_end_of_logs),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_id_again),
		cmocka_unit_test(test_weak),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
