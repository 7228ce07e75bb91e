#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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
		cmocka_unit_test(numbers_have_limits),
		cmocka_unit_test(text_for_logs_is_escaped_and_cut),
		cmocka_unit_test(time_can_be_set),
		cmocka_unit_test(text_compares_without_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
