#include "base/addr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static void buf_is_a_queue_with_a_cap(void **state)
{
	struct buf b;
	char model[3000];
	size_t start = 0, end = 0, put = 0;

	srand(3);
	buf_init(&b, 1000);
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)(rand() % 200);
		if (rand() % 2) {
			char bytes[200];
			for (size_t k = 0; k < n; k++)
				bytes[k] = (char)(put + k);
			int r = buf_add(&b, bytes, n);
			assert_int_equal(r, n > 1000 - (end - start) ? -ENOBUFS : 0);
			if (r == 0) {
				if (end + n > sizeof(model)) {
					memmove(model, model + start, end - start);
					end -= start;
					start = 0;
				}
				memcpy(model + end, bytes, n);
				end += n;
				put += n;
			}
		} else {
			n = min_size(n, buf_len(&b));
			buf_consume(&b, n);
			start += n;
		}
		struct sv all = buf_view(&b);
		assert_int_equal(all.n, end - start);
		assert_memory_equal(all.p, model + start, all.n);
		if (all.n == 0)
			assert_null(b.data);
	}
	buf_deinit(&b);
}

static void map_keeps_what_is_put(void **state)
{
	struct map m;
	char key[32];
	int *values = calloc(5000, sizeof(int));
	size_t seen = 0;

	map_init(&m);
	assert_null(map_get(&m, SV("a")));
	assert_null(map_remove(&m, SV("a")));
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		assert_int_equal(map_put(&m, sv_from(key), &values[i], NULL), 0);
	}
	void *old = NULL;
	assert_int_equal(map_put(&m, SV("key7"), &values[0], &old), 1);
	assert_ptr_equal(old, &values[7]);
	assert_ptr_equal(map_get(&m, SV("key7")), &values[0]);
	for (struct map_entry *e = map_next(&m, NULL); e; e = map_next(&m, e)) {
		++*(int *)e->value;
		seen++;
	}
	assert_int_equal(seen, 5000);
	assert_int_equal(values[0], 2);
	for (int i = 0; i < 5000; i += 2) {
		snprintf(key, sizeof(key), "key%d", i);
		assert_ptr_equal(map_remove(&m, sv_from(key)), &values[i]);
	}
	assert_int_equal(m.n, 2500);
	assert_null(map_get(&m, SV("key4")));
	assert_non_null(map_get(&m, SV("key5")));
	assert_null(map_get(&m, SV("key")));
	map_deinit(&m, NULL);
	free(values);
}

/* Prefixes of both families out of a small room, so that many meet, touch and lie in each other. */
static struct prefix some_prefix(void)
{
	uint8_t v4[4] = { 10, 0, (uint8_t)(rand() % 4), (uint8_t)rand() };
	uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8 };
	bool four = rand() % 2;
	struct prefix p = { .bits = (uint8_t)((four ? 96 + 20 : 20) + rand() % 13) };

	v6[2] = (uint8_t)(rand() % 4);
	v6[3] = (uint8_t)rand();
	p.addr = four ? addr_from_v4(v4) : addr_from_v6(v6);
	for (unsigned int i = p.bits; i < 128; i++)
		p.addr.b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	return p;
}

/* An address at, beside or inside an edge of one of the prefixes, or anywhere. */
static struct addr some_addr(const struct prefix *prefixes, size_t n)
{
	const struct prefix *p = &prefixes[n ? rand() % (int)n : 0];
	struct prefix other = some_prefix();
	struct addr a = n == 0 || rand() % 4 == 0 ? other.addr
			: rand() % 2              ? p->addr
						  : prefix_last(p);
	int step = rand() % 3 - 1;

	for (int i = 15; i >= 0 && step; i--) {
		int v = a.b[i] + step;
		a.b[i] = (uint8_t)v;
		step = v < 0 ? -1 : v > 255 ? 1 : 0;
	}
	return a;
}

static void prefix_sets_find_the_longest_match(void **state)
{
	struct prefix prefixes[64], got;

	srand(5);
	for (int round = 0; round < 3000; round++) {
		struct prefix_set s;
		size_t n = (size_t)(rand() % 64);

		prefix_set_init(&s);
		for (size_t i = 0; i < n; i++) {
			prefixes[i] = some_prefix();
			assert_int_equal(prefix_set_add(&s, &prefixes[i]), 0);
		}
		prefix_set_seal(&s);
		for (int k = 0; k < 100; k++) {
			struct addr a = some_addr(prefixes, n);
			const struct prefix *want = NULL;

			/* the set keeps none that lies in another */
			for (size_t i = 0; i < n; i++)
				if (prefix_contains(&prefixes[i], &a) &&
				    (!want || prefixes[i].bits < want->bits))
					want = &prefixes[i];
			assert_int_equal(prefix_set_contains(&s, &a), want != NULL);
			assert_int_equal(prefix_set_match(&s, &a, &got), want != NULL);
			if (want && (got.bits != want->bits || !addr_eq(&got.addr, &want->addr)))
				fail_msg("round %d: /%d, not /%d", round, got.bits, want->bits);
		}
		prefix_set_deinit(&s);
	}
}

static void prefix_sets_cover_ranges(void **state)
{
	static const struct {
		const char *lo, *hi;
		bool covers;
	} cases[] = {
		{ "10.0.0.0", "10.0.0.255", true },    { "10.0.0.7", "10.0.0.7", true },
		{ "10.0.0.255", "10.0.1.0", false },   { "9.255.255.255", "10.0.0.0", false },
		{ "10.0.2.0", "10.0.2.255", false },   { "2001:db8::", "2001:db8::ff", true },
		{ "2001:db8::", "2001:db9::", false },
	};
	struct prefix_set s;
	struct prefix p;
	struct addr_range r;

	prefix_set_init(&s);
	assert_int_equal(addr_parse(SV("10.0.0.0"), &r.lo), 0);
	r.hi = r.lo;
	assert_false(prefix_set_covers(&s, &r));
	assert_int_equal(prefix_parse(SV("10.0.0.0/24"), &p), 0);
	prefix_set_add(&s, &p);
	assert_int_equal(prefix_parse(SV("2001:db8::/32"), &p), 0);
	prefix_set_add(&s, &p);
	prefix_set_seal(&s);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(addr_parse(sv_from(cases[i].lo), &r.lo), 0);
		assert_int_equal(addr_parse(sv_from(cases[i].hi), &r.hi), 0);
		if (prefix_set_covers(&s, &r) != cases[i].covers)
			fail_msg("%s-%s", cases[i].lo, cases[i].hi);
	}
	prefix_set_deinit(&s);
}

/* Told, not judged: how long a look-up takes. */
static void prefix_sets_are_fast(void **state)
{
	static const size_t sizes[] = { 10, 300, 10000 };
	enum { ASKED = 1 << 14, ROUNDS = 64 };
	struct addr *asked = calloc(ASKED, sizeof(*asked));

	srand(7);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct prefix_set s;
		struct timespec from, to;
		size_t inside = 0, wanted = 0;

		prefix_set_init(&s);
		for (size_t k = 0; k < sizes[i]; k++) {
			uint32_t v4 = htonl(((uint32_t)rand() * 2654435761u) & 0xffffff00);
			prefix_set_add(&s, &(struct prefix) { addr_from_v4(&v4), 96 + 24 });
		}
		prefix_set_seal(&s);
		for (size_t k = 0; k < ASKED; k++) {
			uint32_t v4 = (uint32_t)rand() * 2654435761u;
			asked[k] = k % 2 ? addr_from_v4(&v4) : s.ranges[(size_t)rand() % s.n].hi;
			wanted += k % 2 == 0;
		}
		clock_gettime(CLOCK_MONOTONIC, &from);
		for (int round = 0; round < ROUNDS; round++)
			for (size_t k = 0; k < ASKED; k++)
				inside += prefix_set_contains(&s, &asked[k]);
		clock_gettime(CLOCK_MONOTONIC, &to);
		assert_true(inside >= wanted * ROUNDS);
		print_message("%zu prefixes: %.1f ns a look-up\n", s.n,
			      ((double)(to.tv_sec - from.tv_sec) * 1e9 +
			       (double)(to.tv_nsec - from.tv_nsec)) /
				      (ASKED * (double)ROUNDS));
		prefix_set_deinit(&s);
	}
	free(asked);
}

static void numbers_have_limits(void **state)
{
	uint64_t v = 42;

	assert_int_equal(sv_to_u64(SV("18446744073709551615"), UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(sv_to_u64(SV("18446744073709551616"), UINT64_MAX, &v), -ERANGE);
	assert_int_equal(sv_to_u64(SV("99999999999999999999999x"), UINT64_MAX, &v), -EINVAL);
	assert_int_equal(sv_to_u64(SV("256"), 255, &v), -ERANGE);
	assert_int_equal(sv_to_u64(SV(""), 255, &v), -EINVAL);
	assert_int_equal(sv_to_u64(SV("-1"), 255, &v), -EINVAL);
	assert_int_equal(sv_to_u64(SV("0007"), 255, &v), 0);
	assert_int_equal(v, 7);
}

static void lines_of_lists_lose_comment_and_spaces(void **state)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ "a.example\n", "a.example" },
		{ " \ta.example b \t\r\n", "a.example b" },
		{ "a.example # ours\n", "a.example" },
		{ "# a.example\n", "" },
		{ " \r\n", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_true(sv_eq(sv_list_line(sv_from(rows[i].line)), sv_from(rows[i].want)));
}

static void text_for_logs_is_escaped_and_cut(void **state)
{
	char out[64], small[8];

	assert_string_equal(log_quote(SV("a b\r\n\"\\\xff"), out, sizeof(out)),
			    "a b\\x0d\\x0a\\x22\\x5c\\xff");
	assert_string_equal(log_quote(SV("abcdefghijk"), small, sizeof(small)), "abcd");
	assert_string_equal(log_quote(SV("\n\n\n"), small, sizeof(small)), "\\x0a");
}

static void time_can_be_set(void **state)
{
	char out[32];

	clock_fake(5, 1700000000123);
	assert_int_equal(clock_mono_ms(), 5);
	assert_string_equal(clock_rfc3339(clock_wall_ms(), out), "2023-11-14T22:13:20.123Z");
	clock_fake(-1, -1);
	assert_true(clock_mono_ms() != 5);
}

static void text_compares_without_case(void **state)
{
	assert_true(sv_eq_nocase(SV("MaIL"), SV("mail")));
	assert_false(sv_eq_nocase(SV("mail"), SV("mails")));
	assert_true(sv_starts_nocase(SV("RCPT TO:"), SV("rcpt")));
	assert_true(sv_ends_nocase(SV("host.EXAMPLE"), SV(".example")));
	assert_false(sv_ends_nocase(SV("e"), SV(".example")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buf_is_a_queue_with_a_cap),
		cmocka_unit_test(map_keeps_what_is_put),
		cmocka_unit_test(prefix_sets_find_the_longest_match),
		cmocka_unit_test(prefix_sets_cover_ranges),
		cmocka_unit_test(prefix_sets_are_fast),
		cmocka_unit_test(numbers_have_limits),
		cmocka_unit_test(lines_of_lists_lose_comment_and_spaces),
		cmocka_unit_test(text_for_logs_is_escaped_and_cut),
		cmocka_unit_test(time_can_be_set),
		cmocka_unit_test(text_compares_without_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
