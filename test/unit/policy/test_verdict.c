/* The names of the closed lists: all there, all different, and read back where they can be. */
#include "fixture.h"

static void test_actions_read_back(void **state)
{
	for (enum action a = ACTION_PASS; a < ACTION_COUNT; a++)
		assert_int_equal(action_from_name(sv_from(action_name(a))), a);
	assert_int_equal(action_from_name(SV("")), ACTION_UNSET);
	assert_int_equal(action_from_name(SV("Reject")), ACTION_UNSET);
	assert_int_equal(action_from_name(SV("reject ")), ACTION_UNSET);
	assert_string_equal(action_name(ACTION_TARPIT), "tarpit");
}

static void test_names_differ(void **state)
{
	for (enum reason a = 0; a < REASON_COUNT; a++)
		for (enum reason b = 0; b < a; b++)
			assert_string_not_equal(reason_name(a), reason_name(b));
	for (enum restraint a = 0; a < RESTRAINT_COUNT; a++)
		for (enum restraint b = 0; b < a; b++)
			assert_string_not_equal(restraint_name(a), restraint_name(b));
	for (enum door_kind a = 0; a < DOOR_KIND_COUNT; a++)
		for (enum door_kind b = 0; b < a; b++)
			assert_string_not_equal(door_kind_name(a), door_kind_name(b));
	for (enum grade a = 0; a < GRADE_COUNT; a++)
		for (enum grade b = 0; b < a; b++)
			assert_string_not_equal(grade_name(a), grade_name(b));
	for (enum finding a = 0; a < FINDING_COUNT; a++)
		for (enum finding b = 0; b < a; b++)
			assert_string_not_equal(finding_name(a), finding_name(b));
	assert_string_equal(restraint_name(RESTRAINT_NONE), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions_read_back),
		cmocka_unit_test(test_names_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
