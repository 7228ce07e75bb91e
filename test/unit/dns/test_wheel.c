#include "dns/wheel.h"

#include "cm.h"

enum { HOUR = 3600 * 1000 };

/* How many are due at now. */
static int due(struct wheel *w, int64_t now)
{
	int n = 0;

	while (wheel_next(w, now))
		n++;
	return n;
}

static void test_due(void **state)
{
	static const int64_t times[] = { 1000, 1001, 2000, 2001, 60000, 24 * (int64_t)HOUR };
	struct wheel_item items[ARRAY_SIZE(times)] = { 0 };
	struct wheel w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		assert_int_equal(wheel_init(&w, 500), 0);
		wheel_add(&w, &items[i], 500 + times[i]);
		assert_int_equal(due(&w, 499 + times[i]), 0);
		/* at most a second late */
		assert_int_equal(due(&w, 1500 + times[i]), 1);
		assert_null(items[i].link);
		assert_int_equal(due(&w, 100 * (int64_t)HOUR), 0);
		wheel_deinit(&w);
	}
}

static void test_move_and_remove(void **state)
{
	struct wheel_item a = { 0 }, b = { 0 }, c = { 0 };
	struct wheel w;

	(void)state;
	wheel_init(&w, 0);
	wheel_add(&w, &a, 5000);
	wheel_add(&w, &b, 5000);
	wheel_add(&w, &c, 5000);
	wheel_remove(&b);
	wheel_remove(&b);
	wheel_add(&w, &c, 9000);
	assert_ptr_equal(wheel_next(&w, 5000), &a);
	assert_int_equal(due(&w, 5000), 0);
	/* what should have been long ago is due now */
	wheel_add(&w, &b, 100);
	assert_ptr_equal(wheel_next(&w, 5000), &b);
	assert_ptr_equal(wheel_next(&w, 9000), &c);
	wheel_deinit(&w);
}

/* After a sleep longer than the wheel everything is due, at once and once. */
static void test_long_sleep(void **state)
{
	struct wheel_item items[100] = { 0 };
	struct wheel w;

	(void)state;
	wheel_init(&w, 0);
	for (size_t i = 0; i < ARRAY_SIZE(items); i++)
		wheel_add(&w, &items[i], (int64_t)i * 600 * 1000);
	assert_int_equal(due(&w, 1000 * (int64_t)HOUR), ARRAY_SIZE(items));
	wheel_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_move_and_remove),
		cmocka_unit_test(test_long_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
