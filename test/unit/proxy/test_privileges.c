/* Which capabilities a configuration needs, and who would run it. */
#include "proxy/privileges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/capability.h>

#define RAW  (1ULL << CAP_NET_RAW)
#define BIND (1ULL << CAP_NET_BIND_SERVICE)

static struct conf *load(const char *text)
{
	struct conf *c = NULL;

	assert_int_equal(conf_load_text("f", sv_from(text), stderr, &c), 0);
	return c;
}

static const struct {
	const char *text;
	uint64_t caps;
	const char *names;
} rows[] = {
	{ "{mode: listen, bind: [\"127.0.0.1:2525\"], backend: \"127.0.0.1:25\"}", 0, "none" },
	{ "{mode: listen, bind: [\"127.0.0.1:1024\"], backend: \"127.0.0.1:25\"}", 0, "none" },
	{ "{mode: listen, bind: [\"127.0.0.1:25\"], backend: \"127.0.0.1:26\"}", BIND,
	  "CAP_NET_BIND_SERVICE" },
	{ "{mode: listen, bind: [\"127.0.0.1:2525\"], backend: \"127.0.0.1:25\", source: client}",
	  RAW, "CAP_NET_RAW" },
	{ "{mode: tproxy}", RAW, "CAP_NET_RAW" },
	{ "{mode: tproxy, bind: [\"127.0.0.1:2525\", \"[::1]:465\"]}", RAW | BIND,
	  "CAP_NET_RAW CAP_NET_BIND_SERVICE" },
};

static void test_wanted(void **state)
{
	char text[512], names[64];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(text, sizeof(text),
			 "listeners: [%s]\nserver_addresses: [192.0.2.1]\ntls: {hide: true}\n",
			 rows[i].text);
		struct conf *c = load(text);

		assert_int_equal(privileges_wanted(c), rows[i].caps);
		assert_string_equal(privileges_names(rows[i].caps, names), rows[i].names);
		conf_free(c);
	}
}

static void test_user(void **state)
{
	struct privileges p = { .uid = 12345 };
	struct conf *c = load("listeners: [{mode: tproxy}]\nserver_addresses: [192.0.2.1]\n"
			      "user: no-such-user\n");
	int r = privileges_find(c, &p);

	if (geteuid() == 0) {
		assert_int_equal(r, -ENOENT);
		assert_int_equal(p.uid, 12345);
		free(c->user);
		c->user = strdup("root");
		assert_int_equal(privileges_find(c, &p), 0);
		assert_true(p.change);
		assert_int_equal(p.missing, 0);
	} else {
		/* it stays who it is, whatever the key says */
		assert_int_equal(r, 0);
		assert_false(p.change);
		assert_int_equal(p.uid, geteuid());
	}
	conf_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_user),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
