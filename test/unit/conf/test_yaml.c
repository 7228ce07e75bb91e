#include "conf/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>

static void test_positions(void **state)
{
	struct yaml_node *root;
	struct yaml_error error;
	const char *text = "# head\n"
			   "list:\n"
			   "  - {a: 1, b: \"two\"}\n"
			   "  - c: [x, 'y z']\n"
			   "empty:\n"
			   "last: |\n"
			   "  block\n";

	assert_int_equal(yaml_parse(sv_from(text), &root, &error), 0);
	assert_int_equal(root->kind, YAML_MAPPING);
	const struct yaml_node *list = yaml_get(root, "list");

	assert_int_equal(list->kind, YAML_SEQUENCE);
	assert_int_equal(list->key->line, 2);
	assert_int_equal(list->key->column, 1);
	const struct yaml_node *b = yaml_get(list->first, "b");

	assert_true(sv_eq(b->text, SV("two")));
	assert_true(b->quoted);
	assert_int_equal(b->line, 3);
	assert_int_equal(b->column, 15);
	assert_int_equal(b->key->column, 12);
	assert_false(yaml_get(list->first, "a")->quoted);
	const struct yaml_node *c = yaml_get(list->first->next, "c");

	assert_int_equal(c->line, 4);
	assert_int_equal(c->column, 8);
	assert_true(sv_eq(c->first->next->text, SV("y z")));
	assert_int_equal(yaml_get(root, "empty")->text.n, 0);
	assert_true(sv_eq(yaml_get(root, "last")->text, SV("block\n")));
	assert_null(yaml_get(root, "none"));
	assert_null(yaml_get(list, "none"));
	yaml_free(root);
}

static void test_nothing(void **state)
{
	static const char *const texts[] = { "", "\n\n", "# only a comment\n", "---\n" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct yaml_node *root;
		struct yaml_error error;

		assert_int_equal(yaml_parse(sv_from(texts[i]), &root, &error), 0);
		assert_null(root->first);
		yaml_free(root);
	}
}

static void test_errors(void **state)
{
	static const struct {
		const char *text;
		int line, column; /* 0: any */
		const char *says;
	} rows[] = {
		{ "a: [1, 2\nb: 3\n", 0, 0, "no YAML" },
		{ "a: 'open\n", 0, 0, "no YAML" },
		{ "a: 1\n b: 2\n", 0, 0, "no YAML" },
		{ "a: &x 1\nb: *x\n", 1, 0, "anchors" },
		{ "a: !!str 1\n", 1, 0, "tags" },
		{ "a: *x\n", 1, 4, "aliases" },
		{ "? [a]\n: 1\n", 1, 3, "a key must be a word" },
		{ "a: 1\n---\nb: 2\n", 2, 1, "second document" },
		{ "\t- x", 0, 0, "no YAML" },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0, 0, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct yaml_node *root;
		struct yaml_error error = { 0 };
		int r = yaml_parse(sv_from(rows[i].text), &root, &error);

		if (r != -EINVAL || (rows[i].line && error.line != rows[i].line) ||
		    (rows[i].column && error.column != rows[i].column) ||
		    !strstr(error.text, rows[i].says) || error.line < 1 || error.column < 1)
			fail_msg("row %zu: %d, %d:%d: %s", i, r, error.line, error.column,
				 error.text);
	}
}

/* Cut anywhere, a document is read or refused; nothing else. */
static void test_cut(void **state)
{
	const char *text =
		"a: {b: [1, \"x\\n\", {c: d}], e: 'f'}\ng:\n  - h: |\n      i\n  - - j\n";

	for (size_t n = 0; n <= strlen(text); n++) {
		struct yaml_node *root;
		struct yaml_error error;
		int r = yaml_parse((struct sv) { text, n }, &root, &error);

		assert_true(r == 0 || r == -EINVAL);
		if (r == 0)
			yaml_free(root);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
