#include "fixture.h"

static void test_generic_names(void **state)
{
	static const struct {
		const char *name, *address;
		bool generic;
	} rows[] = {
		/* decimal, forward and reverse */
		{ "203-0-113-7.dyn.isp.net", "203.0.113.7", true },
		{ "203.0.113.7.static.isp.net", "203.0.113.7", true },
		{ "host7.113.0.203.isp.net", "203.0.113.7", true },
		{ "7-113-0-203.isp.net", "203.0.113.7", true },
		{ "dyn-113-7.isp.net", "203.0.113.7", true },
		{ "7.113.pool.isp.net", "203.0.113.7", true },
		{ "h203-000-113-007.isp.net", "203.0.113.7", true },
		{ "h203000113007.isp.net", "203.0.113.7", true },
		{ "cust_113_007.isp.net", "203.0.113.7", true },
		{ "p113007.isp.net", "203.0.113.7", true },
		{ "ip007113.isp.net", "203.0.113.7", true },
		{ "007113000203.isp.net", "203.0.113.7", true },
		{ "ec2-203-0-113-7.compute-1.cloud.example", "203.0.113.7", true },
		/* hex */
		{ "ip-cb007107.isp.net", "203.0.113.7", true },
		{ "CB007107.isp.net", "203.0.113.7", true },
		{ "0771.00cb.isp.net", "203.0.113.7", true },
		{ "p5b3f2a11.dip0.t-ipconnect.de", "91.63.42.17", true },
		{ "x3f2a11.isp.net", "91.63.42.17", true },
		{ "x112a3f.isp.net", "91.63.42.17", true },
		{ "5b-3f-2a-11.isp.net", "91.63.42.17", true },
		/* IPv6 */
		{ "2001-db8-0-1-0-0-0-7.isp.net", "2001:db8:0:1::7", true },
		{ "2001-db8-0-1--7.isp.net", "2001:db8:0:1::7", true },
		{ "20010db8000000010000000000000007.isp.net", "2001:db8:0:1::7", true },
		{ "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.isp.net", "2001:db8:0:1::7", true },
		{ "a1b2-c3d4-e5f6-789.isp.net", "2001:db8::a1b2:c3d4:e5f6:789", true },
		{ "a1b2c3d4e5f60789.isp.net", "2001:db8::a1b2:c3d4:e5f6:789", true },
		{ "789.e5f6.c3d4.a1b2.isp.net", "2001:db8::a1b2:c3d4:e5f6:789", true },
		/* honest machines */
		{ "mx1.acme.example", "203.0.113.1", false },
		{ "mx1.acme.example", "203.0.113.7", false },
		{ "out-12.acme.example", "203.0.113.12", false },
		{ "out-113.acme.example", "203.0.113.7", false },
		{ "out12-3.acme.example", "203.0.113.7", false },
		{ "mail-ej1-f41.google.com", "209.85.218.41", false },
		{ "mail-yw1-f172.google.com", "209.85.128.172", false },
		{ "mail-db8eur05on2093.outbound.protection.outlook.com", "40.107.20.93", false },
		{ "mail-am6eur05hn2203.outbound.protection.outlook.com", "52.100.174.203", false },
		{ "de-smtp-delivery-113.mimecast.com", "51.163.158.113", false },
		{ "eu-smtp-1.mimecast.com", "207.82.80.151", false },
		{ "smtp-out.acme.example", "198.51.100.130", false },
		{ "relay7.mail2000.acme.example", "203.0.113.7", false },
		{ "mx-2026-11.acme.example", "203.0.113.7", false },
		{ "facade.acme.example", "203.0.113.7", false },
		{ "n7.a113b7.acme.example", "203.0.113.7", false },
		{ "mx0a-001b2d01.pphosted.com", "148.163.156.1", false },
		{ "out3.acme.example", "2001:db8::3", false },
		{ "mx1.acme.example", "2001:db8:0:1::1", false },
		{ "mail-wm1-x32a.google.com", "2a00:1450:4864:20::32a", false },
		/* the address of another machine */
		{ "203-0-113-8.dyn.isp.net", "203.0.113.7", false },
		{ "ip-cb007108.isp.net", "203.0.113.7", false },
		{ "", "203.0.113.7", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct addr a = address(rows[i].address);

		if (name_is_generic(rows[i].name, &a) != rows[i].generic)
			fail_msg("%s of %s: expected %d", rows[i].name, rows[i].address,
				 rows[i].generic);
	}
}

static void test_parent_domain(void **state)
{
	static const struct {
		const char *host, *parent;
	} rows[] = {
		{ "mx1.acme.example", "acme.example" },
		{ "mx1.eu.acme.example", "eu.acme.example" },
		{ "acme.example", "acme.example" }, /* its parent is a public suffix */
		{ "acme.co.uk", "acme.co.uk" },
		{ "mx.acme.co.uk", "acme.co.uk" },
		{ "co.uk", "" },
		{ "example", "" },
		{ "localhost", "" },
		{ "", "" },
		{ "192.0.2.1", "" },
		{ "host.", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sv parent = scanner_parent_domain(rows[i].host);

		if (!sv_eq(parent, sv_from(rows[i].parent)))
			fail_msg("%s: " SV_FMT, rows[i].host, SV_ARG(parent));
	}
}

static void test_below(void **state)
{
	assert_true(name_is_below("acme.example", "acme.example"));
	assert_true(name_is_below("a.b.acme.example", "acme.example"));
	assert_false(name_is_below("notacme.example", "acme.example"));
	assert_false(name_is_below("example", "acme.example"));
	assert_false(name_is_below("acme.example", ""));
	assert_true(mx_pattern_matches("mx.acme.example", "mx.acme.example"));
	assert_false(mx_pattern_matches("mx.acme.example", "a.mx.acme.example"));
	assert_true(mx_pattern_matches("*.acme.example", "a.b.acme.example"));
	assert_false(mx_pattern_matches("*.acme.example", "acme.example"));
	assert_false(mx_pattern_matches("*.acme.example", "notacme.example"));
}

static void test_registrable(void **state)
{
	static const struct {
		const char *host, *domain;
	} rows[] = {
		{ "mx1.eu.acme.com", "acme.com" },
		{ "acme.com", "acme.com" },
		{ "a.b.acme.co.uk", "acme.co.uk" },
		{ "co.uk", NULL },
		{ "com", NULL },
		{ "192.0.2.1", NULL },
		{ "mx.acme.example", "acme.example" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *domain = registrable_domain(rows[i].host);

		if (!domain || !rows[i].domain)
			assert_ptr_equal(domain, rows[i].domain);
		else
			assert_string_equal(domain, rows[i].domain);
	}
}

static void test_find(void **state)
{
	char *wide[] = { "*.acme.example" }, *eu[] = { "mx.other.example", "*.eu.acme.example" };
	char *one[] = { "mx.eu.acme.example" };
	const struct scanner scanners[] = {
		{ .name = "wide", .mx = wide, .n_mx = 1 },
		{ .name = "eu", .mx = eu, .n_mx = 2 },
		{ .name = "one", .mx = one, .n_mx = 1 },
	};

	assert_int_equal(scanner_find(scanners, 3, "mx.us.acme.example"), 0);
	assert_int_equal(scanner_find(scanners, 3, "a.eu.acme.example"), 1);
	assert_int_equal(scanner_find(scanners, 3, "mx.other.example"), 1);
	assert_int_equal(scanner_find(scanners, 3, "mx.eu.acme.example"), 2);
	assert_int_equal(scanner_find(scanners, 3, "acme.example"), -1);
	assert_int_equal(scanner_find(NULL, 0, "acme.example"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generic_names), cmocka_unit_test(test_parent_domain),
		cmocka_unit_test(test_below),         cmocka_unit_test(test_registrable),
		cmocka_unit_test(test_find),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
