/* Classes by the door table of doc/events.md, and what is taken to be at home here. */
#include "scene.h"

static const char doors[] =
	"guarded.net. MX 10 mx1.acme-filter.net.\n"
	"mx1.acme-filter.net. A 198.51.100.1\n"
	"own.net. MX 10 mail.own.net.\nmail.own.net. A 203.0.113.25\n"
	"implicit.net. A 203.0.113.25\n"
	"spare.net. MX 10 mx.other.org.\nspare.net. MX 20 mail.spare.net.\n"
	"mx.other.org. A 198.51.100.77\nmail.spare.net. A 203.0.113.25\n"
	"away.net. A 192.0.2.80\n"
	"nomail.net. MX 0 .\n"
	"gone.net. NXDOMAIN\n"
	"broken.net. SERVFAIL\n"
	"alias.net. CNAME guarded.net.\n"
	"far.org. MX 5 mx.far.org.\nmx.far.org. A 198.51.100.200\n"
	"9.100.51.198.in-addr.arpa. PTR out9.acme-filter.net.\nout9.acme-filter.net. A "
	"198.51.100.9\n"
	"8.100.51.198.in-addr.arpa. PTR out8.acme-filter.net.\nout8.acme-filter.net. A 192.0.2.1\n"
	"7.100.51.198.in-addr.arpa. SERVFAIL\n";

static void test_classes(void **state)
{
	static const struct {
		const char *client, *to, *domain, *want;
	} cases[] = {
		{ "192.0.2.9", "x@guarded.net", "guarded.net", "direct" },
		{ "198.51.100.1", "x@guarded.net", "guarded.net", "scanner" }, /* its MX */
		{ "198.51.100.9", "x@guarded.net", "guarded.net", "scanner" }, /* its name */
		{ "198.51.100.8", "x@guarded.net", "guarded.net", "direct" },  /* not confirmed */
		{ "198.51.100.7", "x@guarded.net", "guarded.net", "dns" }, /* name not to be had */
		{ "192.0.2.9", "x@own.net", "own.net", "self" },
		{ "192.0.2.9", "x@implicit.net", "implicit.net", "self" },
		{ "192.0.2.9", "x@spare.net", "spare.net", "backup" },
		{ "192.0.2.9", "x@away.net", "away.net", "elsewhere" },
		{ "192.0.2.80", "x@away.net", "away.net", "elsewhere" },
		{ "192.0.2.9", "x@nomail.net", "nomail.net", "null" },
		{ "192.0.2.9", "x@gone.net", "gone.net", "unknown" },
		{ "192.0.2.9", "x@broken.net", "broken.net", "dns" },
		{ "192.0.2.9", "x@not-in-the-file.net", "not-in-the-file.net", "dns" },
		{ "192.0.2.9", "x@alias.net", "alias.net", "direct" },
		{ "198.51.100.1", "x@alias.net", "alias.net", "scanner" },
		{ "192.0.2.9", "x@GUARDED.net", "guarded.net", "direct" },
		{ "192.0.2.9", "\"a b\"@guarded.net", "guarded.net", "direct" },
		{ "192.0.2.9", "x%guarded.net@own.net", "own.net", "direct" }, /* routed */
		{ "192.0.2.9", "postmaster", "", "self" },
		{ "192.0.2.9", "x@[192.0.2.1]", "", "unknown" },
		{ "192.0.2.200", "x@guarded.net", "guarded.net", "trusted" },
		{ "127.0.0.1", "x@guarded.net", "guarded.net", "local" },
		{ "203.0.113.25", "x@guarded.net", "guarded.net", "local" },
		{ NULL, "x@guarded.net", "guarded.net", "local" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct addr trusted = scene_addr("192.0.2.200");
		struct scene s;

		scene_open(&s, doors);
		prefix_set_add_addr(&s.policy.trusted, &trusted);
		prefix_set_seal(&s.policy.trusted);
		scene_mail(&s, 1000, cases[i].client, "a@b.net", cases[i].to);
		/* so that guarded.net is known to be at home here where it is only named */
		scene_mail(&s, 1000, "198.51.100.1", "a@b.net", "x@guarded.net");
		scene_judge(&s);
		if (strcmp(scene_class(&s, cases[i].client, cases[i].domain), cases[i].want) != 0)
			fail_msg("%s for %s: %s, expected %s", cases[i].client, cases[i].to,
				 scene_class(&s, cases[i].client, cases[i].domain), cases[i].want);
		scene_close(&s);
	}
}

/* What speaks for and against a domain's being at home here. */
static void test_hosted(void **state)
{
	static const struct {
		const char *what, *hop; /* hop: "" into a mailbox; NULL: no delivery in the logs */
		const char *more_from;  /* a second client that mail came from */
		bool given, in_file;
		const char *want;
	} cases[] = {
		{ "no word about it", NULL, NULL, false, false, "direct" },
		{ "a mailbox", "", NULL, false, false, "direct" },
		{ "a server behind", "10.0.0.9", NULL, false, false, "direct" },
		{ "back to its own MX", "198.51.100.1", NULL, false, false, "not-hosted" },
		{ "a smarthost", "192.0.2.250", NULL, false, false, "not-hosted" },
		{ "a smarthost, and its scanner delivers", "192.0.2.250", "198.51.100.1", false,
		  false, "direct" },
		{ "a content filter on the host", "127.0.0.1", NULL, false, false, "direct" },
		{ "not in the file", "", NULL, true, false, "not-hosted" },
		{ "in the file", "192.0.2.250", NULL, true, true, "direct" },
		{ "not in the file, but its scanner delivers", NULL, "198.51.100.1", true, false,
		  "direct" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene s;

		scene_open(&s, doors);
		s.judge.hosted_given = cases[i].given;
		if (cases[i].in_file)
			assert_int_equal(memory_hosted_add(s.memory, SV("guarded.net")), 0);
		scene_mail(&s, 1000, "192.0.2.9", "a@b.net", "x@guarded.net");
		if (cases[i].more_from)
			scene_mail(&s, 1000, cases[i].more_from, "a@b.net", "x@guarded.net");
		if (cases[i].hop)
			scene_delivery(&s, "x@guarded.net", cases[i].hop[0] ? cases[i].hop : NULL);
		scene_judge(&s);
		if (strcmp(scene_class(&s, "192.0.2.9", "guarded.net"), cases[i].want) != 0)
			fail_msg("%s: %s, expected %s", cases[i].what,
				 scene_class(&s, "192.0.2.9", "guarded.net"), cases[i].want);
		scene_close(&s);
	}
}

/* More mail, judged later, finds what was learned before. */
static void test_in_parts(void **state)
{
	struct scene s;

	scene_open(&s, doors);
	scene_mail(&s, 1000, "198.51.100.1", "a@b.net", "x@guarded.net");
	scene_judge(&s);
	tally_take(&s.tally, &s.book, &s.judge);
	book_clear_flows(&s.book);
	scene_mail(&s, 2000, "192.0.2.9", "a@b.net", "x@guarded.net");
	scene_delivery(&s, "x@guarded.net", "192.0.2.250");
	scene_judge(&s);
	assert_string_equal(scene_class(&s, "192.0.2.9", "guarded.net"), "direct");
	tally_take(&s.tally, &s.book, &s.judge);
	assert_int_equal(s.tally.mails, 2);
	assert_int_equal(s.tally.classes[CLASS_SCANNER].mails, 1);
	assert_int_equal(s.tally.classes[CLASS_DIRECT].mails, 1);
	scene_close(&s);
}

/* Do hosted domains whose MX hosts are called so meet at one address? */
static bool is_in_doubt(const char *mx, const struct catalogue *catalogue, struct addr *ret_at)
{
	char text[4096] = "", to[64];
	struct scene s;
	size_t n = 0;

	for (int i = 0; i < 25; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "d%d.net. MX 1 mx%d.%s.\nmx%d.%s. A 198.51.100.33\n", i, i,
				      mx, i, mx);
	scene_open(&s, text);
	s.policy.catalogue = catalogue;
	for (int i = 0; i < 25; i++) {
		snprintf(to, sizeof(to), "x@d%d.net", i);
		scene_mail(&s, 1000, "192.0.2.9", "a@b.net", to);
	}
	scene_judge(&s);
	bool doubt = memory_identity_doubt(s.memory, ret_at);

	scene_close(&s);
	return doubt;
}

/* Many at one foreign address: is that this server? Not when the catalogue knows whose it is. */
static void test_identity(void **state)
{
	struct addr at, want = scene_addr("198.51.100.33");

	assert_true(is_in_doubt("hoster.net", catalogue_shipped(), &at));
	assert_true(addr_eq(&at, &want));
	assert_true(is_in_doubt("pphosted.com", NULL, &at));
	assert_false(is_in_doubt("pphosted.com", catalogue_shipped(), &at));
}

/* A door that changed is seen when its TTL is over, where mail of now is judged. */
static void test_answers_expire(void **state)
{
	static const struct {
		bool live, expired;
		const char *want;
	} cases[] = { { true, true, "self" },
		      { true, false, "direct" },
		      { false, true, "direct" } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t domain;
		struct scene s;

		scene_open(&s, doors);
		s.judge.live = cases[i].live;
		scene_mail(&s, 1000, "192.0.2.9", "a@b.net", "x@guarded.net");
		scene_judge(&s);
		assert_string_equal(scene_class(&s, "192.0.2.9", "guarded.net"), "direct");
		book_clear_flows(&s.book);
		domain = book_domain(&s.book, "guarded.net");
		doors_close(s.judge.doors);
		s.judge.doors = scene_doors("guarded.net. A 203.0.113.25\n");
		if (cases[i].expired) {
			s.book.domains[domain].facts->expires_ms = 0;
			s.book.domains[domain].names->expires_ms = 0;
			s.book.clients[0].names->expires_ms = 0;
		}
		scene_mail(&s, 1000, "192.0.2.9", "a@b.net", "x@guarded.net");
		scene_judge(&s);
		assert_string_equal(scene_class(&s, "192.0.2.9", "guarded.net"), cases[i].want);
		assert_int_equal(s.book.domains[domain].door, i == 0 ? DOOR_SELF : DOOR_SCANNER);
		scene_close(&s);
	}
}

/* What a scanner delivers from, by SPF and by names: as many rounds as it takes. */
static void test_sources(void **state)
{
	static const char text[] =
		"guarded.net. MX 10 mx1.acme-filter.net.\nmx1.acme-filter.net. A 198.51.100.1\n"
		"_spf.acme-filter.net. TXT \"v=spf1 include:_spf2.acme-filter.net -all\"\n"
		"_spf2.acme-filter.net. TXT \"v=spf1 ip4:192.0.2.0/25 -all\"\n"
		"out.acme-filter.net. A 198.51.100.9\n"
		"gone.acme-filter.net. NODATA\n"
		"half.acme-filter.net. TXT \"v=spf1 exists:%{i}.x ip4:192.0.2.200\"\n";
	static const struct {
		const char *last; /* source of three */
		const char *client, *want;
	} cases[] = {
		{ "spf:gone.acme-filter.net", "192.0.2.9", "scanner" },
		{ "spf:gone.acme-filter.net", "198.51.100.9", "scanner" },
		{ "spf:gone.acme-filter.net", "198.51.100.1", "scanner" },
		{ "spf:gone.acme-filter.net", "192.0.2.129", "direct" },
		/* whether it is one of them is not known */
		{ "spf:absent.acme-filter.net", "192.0.2.129", "dns" },
		{ "spf:absent.acme-filter.net", "192.0.2.9", "scanner" },
		/* terms that are no addresses are nobody's */
		{ "spf:half.acme-filter.net", "192.0.2.129", "direct" },
		{ "spf:half.acme-filter.net", "192.0.2.200", "scanner" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *mx[] = { "*.acme-filter.net" }, last[64];
		char *keys[] = { "spf:_spf.acme-filter.net", "host:out.acme-filter.net", last };
		struct scanner acme = { .name = "acme",
					.mx = mx,
					.n_mx = 1,
					.egress_mx = true,
					.sources = keys,
					.n_sources = ARRAY_SIZE(keys),
					.action = ACTION_UNSET };
		struct scene s;

		snprintf(last, sizeof(last), "%s", cases[i].last);
		scene_open(&s, text);
		s.policy.scanners = &acme;
		s.policy.n_scanners = 1;
		scene_mail(&s, 1000, cases[i].client, "a@b.net", "x@guarded.net");
		scene_mail(&s, 1000, "198.51.100.1", "a@b.net", "x@guarded.net");
		scene_judge(&s);
		if (strcmp(scene_class(&s, cases[i].client, "guarded.net"), cases[i].want) != 0)
			fail_msg("%s, %s: %s, expected %s", cases[i].client, cases[i].last,
				 scene_class(&s, cases[i].client, "guarded.net"), cases[i].want);
		scene_close(&s);
	}
}

/* A domain is at home here because its own front door, known by SPF only, delivers. */
static void test_sources_own_door(void **state)
{
	char *mx[] = { "*.acme-filter.net" }, *keys[] = { "spf:_spf.acme-filter.net" };
	struct scanner acme = { .name = "acme",
				.mx = mx,
				.n_mx = 1,
				.sources = keys,
				.n_sources = 1,
				.action = ACTION_UNSET };
	struct scene s;

	scene_open(&s, "guarded.net. MX 10 mx1.acme-filter.net.\n"
		       "mx1.acme-filter.net. A 198.51.100.1\n"
		       "_spf.acme-filter.net. TXT \"v=spf1 ip4:192.0.2.0/25 -all\"\n");
	s.policy.scanners = &acme;
	s.policy.n_scanners = 1;
	/* hosted files say nothing of it, but they are there */
	s.judge.hosted_given = true;
	scene_mail(&s, 1000, "192.0.2.9", "a@b.net", "x@guarded.net");
	scene_mail(&s, 1000, "203.0.113.200", "a@b.net", "x@guarded.net");
	scene_judge(&s);
	assert_string_equal(scene_class(&s, "192.0.2.9", "guarded.net"), "scanner");
	assert_string_equal(scene_class(&s, "203.0.113.200", "guarded.net"), "direct");
	scene_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),          cmocka_unit_test(test_hosted),
		cmocka_unit_test(test_in_parts),         cmocka_unit_test(test_identity),
		cmocka_unit_test(test_answers_expire),   cmocka_unit_test(test_sources),
		cmocka_unit_test(test_sources_own_door),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
