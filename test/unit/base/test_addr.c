#include "base/addr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void addresses_parse_and_print(void **state)
{
	static const struct {
		const char *text, *printed; /* NULL: refused */
		bool v4, private;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1", true, false },
		{ "10.1.2.3", "10.1.2.3", true, true },
		{ "172.16.0.1", "172.16.0.1", true, true },
		{ "172.32.0.1", "172.32.0.1", true, false },
		{ "192.168.255.255", "192.168.255.255", true, true },
		{ "100.64.0.1", "100.64.0.1", true, true },
		{ "100.128.0.1", "100.128.0.1", true, false },
		{ "169.254.9.9", "169.254.9.9", true, true },
		{ "127.9.9.9", "127.9.9.9", true, true },
		{ "2001:DB8::1", "2001:db8::1", false, false },
		{ "::1", "::1", false, true },
		{ "fd00::1", "fd00::1", false, true },
		{ "fe80::1", "fe80::1", false, true },
		{ "::ffff:192.0.2.1", "192.0.2.1", true, false },
		{ "192.0.2", NULL, false, false },
		{ "192.0.2.1 ", NULL, false, false },
		{ "192.0.2.256", NULL, false, false },
		{ "[::1]", NULL, false, false },
		{ "fe80::1%eth0", NULL, false, false },
		{ "", NULL, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[ADDR_STRLEN];
		struct addr a;
		int r = addr_parse(sv_from(rows[i].text), &a);

		if (!rows[i].printed) {
			assert_int_equal(r, -EINVAL);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(addr_format(&a, out), rows[i].printed);
		assert_int_equal(addr_is_v4(&a), rows[i].v4);
		assert_int_equal(addr_is_private(&a), rows[i].private);
	}
}

static void prefixes_parse_print_contain(void **state)
{
	static const struct {
		const char *text;
		int result;
		const char *printed, *inside, *outside;
	} rows[] = {
		{ "192.0.2.0/24", 0, "192.0.2.0/24", "192.0.2.255", "192.0.3.0" },
		{ "192.0.2.7", 0, "192.0.2.7/32", "192.0.2.7", "192.0.2.6" },
		{ "0.0.0.0/0", 0, "0.0.0.0/0", "203.0.113.1", "2001:db8::1" },
		{ "2001:db8::/33", 0, "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1" },
		{ "::/0", 0, "::/0", "192.0.2.1", NULL },
		{ "192.0.2.1/24", -ERANGE, NULL, NULL, NULL },
		{ "192.0.2.0/33", -EINVAL, NULL, NULL, NULL },
		{ "192.0.2.0/", -EINVAL, NULL, NULL, NULL },
		{ "192.0.2.0/-1", -EINVAL, NULL, NULL, NULL },
		{ "/24", -EINVAL, NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[ADDR_STRLEN + 4];
		struct prefix p;
		struct addr a;

		assert_int_equal(prefix_parse(sv_from(rows[i].text), &p), rows[i].result);
		if (rows[i].result < 0)
			continue;
		assert_string_equal(prefix_format(&p, out), rows[i].printed);
		assert_int_equal(addr_parse(sv_from(rows[i].inside), &a), 0);
		assert_true(prefix_contains(&p, &a));
		if (rows[i].outside) {
			assert_int_equal(addr_parse(sv_from(rows[i].outside), &a), 0);
			assert_false(prefix_contains(&p, &a));
		}
	}
}

static void endpoints_parse_and_print(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{ "192.0.2.1:25", true },    { "[2001:db8::1]:2525", true },
		{ "192.0.2.1", false },      { "2001:db8::1:25", false },
		{ "[192.0.2.1]:25", false }, { "192.0.2.1:65536", false },
		{ "192.0.2.1:", false },     { ":25", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct endpoint e, again;
		struct sockaddr_storage sa;
		char out[ADDR_STRLEN + 8];

		assert_int_equal(endpoint_parse(sv_from(rows[i].text), &e) == 0, rows[i].good);
		if (!rows[i].good)
			continue;
		assert_string_equal(endpoint_format(&e, out), rows[i].text);
		for (int as_v6 = 0; as_v6 < 2; as_v6++) {
			endpoint_to_sockaddr(&e, as_v6, &sa);
			assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, &again), 0);
			assert_true(addr_eq(&e.addr, &again.addr));
			assert_int_equal(e.port, again.port);
		}
	}
}

static struct addr v4(uint32_t n)
{
	uint8_t b[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };

	return addr_from_v4(b);
}

/* Random prefixes, overlapping and nested, against asking each of them. */
static void sets_agree_with_their_prefixes(void **state)
{
	srand(7);
	for (int round = 0; round < 200; round++) {
		struct prefix prefixes[40];
		struct prefix_set set;
		int n = rand() % 40;

		prefix_set_init(&set);
		for (int i = 0; i < n; i++) {
			int bits = 20 + rand() % 13;
			uint32_t base = 0xc0000000u + ((uint32_t)rand() & 0xffff);
			prefixes[i].bits = (uint8_t)(96 + bits);
			prefixes[i].addr = v4(base & ~((bits == 32 ? 0u : ~0u >> bits)));
			assert_int_equal(prefix_set_add(&set, &prefixes[i]), 0);
		}
		prefix_set_seal(&set);
		for (int k = 0; k < 500; k++) {
			struct addr a = v4(0xc0000000u + ((uint32_t)rand() & 0x1ffff));
			bool expected = false;
			for (int i = 0; i < n; i++)
				expected |= prefix_contains(&prefixes[i], &a);
			assert_int_equal(prefix_set_contains(&set, &a), expected);
		}
		prefix_set_deinit(&set);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_parse_and_print),
		cmocka_unit_test(prefixes_parse_print_contain),
		cmocka_unit_test(endpoints_parse_and_print),
		cmocka_unit_test(sets_agree_with_their_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
