/* What the kernel process believes of the octets that it gets: a ruleset, whole and sound, or
 * nothing. */
#include "kernel/packed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
	struct ruleset_way ways[2];
	struct prefix_set servers;
	struct ruleset r;
	struct buf packed;
};

static void add(struct prefix_set *set, const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(sv_from(text), &p), 0);
	assert_int_equal(prefix_set_add(set, &p), 0);
}

static void set_up(struct fixture *f)
{
	*f = (struct fixture) { 0 };
	f->ways[0] = (struct ruleset_way) { .v4 = true, .port = 25 };
	f->ways[1] = (struct ruleset_way) { .fail_closed = true, .silent = true, .port = 465 };
	assert_int_equal(endpoint_parse(SV("127.0.0.1:2525"), &f->ways[0].listener), 0);
	assert_int_equal(endpoint_parse(SV("[::1]:2465"), &f->ways[1].listener), 0);
	prefix_set_init(&f->servers);
	prefix_set_init(&f->r.straight);
	add(&f->servers, "203.0.113.25");
	add(&f->servers, "2001:db8::/64");
	add(&f->r.straight, "192.0.2.0/24");
	prefix_set_seal(&f->servers);
	prefix_set_seal(&f->r.straight);
	f->r.ways = f->ways;
	f->r.n_ways = ARRAY_SIZE(f->ways);
	f->r.servers = &f->servers;
	buf_init(&f->packed, PACKED_MAX);
	assert_int_equal(packed_write(&f->r, &f->packed), 0);
}

static void tear_down(struct fixture *f)
{
	prefix_set_deinit(&f->servers);
	prefix_set_deinit(&f->r.straight);
	buf_deinit(&f->packed);
}

static int read_back(struct sv v, struct buf *text)
{
	struct prefix_set servers;
	struct ruleset r;
	int e = packed_read(v, &servers, &r);

	if (e < 0)
		return e;
	r.servers = &servers;
	e = ruleset_write(&r, text);
	ruleset_deinit(&r);
	prefix_set_deinit(&servers);
	return e;
}

/* The text that comes of it is the same. */
static void test_there_and_back(void **state)
{
	struct buf before, after;
	struct fixture f;

	set_up(&f);
	buf_init(&before, RULESET_TEXT_MAX);
	buf_init(&after, RULESET_TEXT_MAX);
	assert_int_equal(ruleset_write(&f.r, &before), 0);
	assert_int_equal(read_back(buf_view(&f.packed), &after), 0);
	assert_true(sv_eq(buf_view(&before), buf_view(&after)));
	buf_deinit(&before);
	buf_deinit(&after);
	tear_down(&f);
}

static void test_cut(void **state)
{
	struct fixture f;

	set_up(&f);
	struct sv v = buf_view(&f.packed);
	for (size_t n = 0; n < v.n; n++)
		assert_int_equal(read_back((struct sv) { v.p, n }, NULL), -EINVAL);
	assert_int_equal(buf_add(&f.packed, "", 1), 0);
	assert_int_equal(read_back(buf_view(&f.packed), NULL), -EINVAL);
	tear_down(&f);
}

/* Each octet, with each of a few other values: refused, or a ruleset that can be written. */
static void test_damaged(void **state)
{
	static const unsigned char values[] = { 0x00, 0x01, 0x02, 0x7f, 0x80, 0xff };
	size_t refused = 0;
	struct fixture f;

	set_up(&f);
	char *p = f.packed.data + f.packed.start;
	for (size_t i = 0; i < buf_len(&f.packed); i++)
		for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
			struct buf text;
			char was = p[i];

			p[i] = (char)values[k];
			buf_init(&text, RULESET_TEXT_MAX);
			int e = read_back(buf_view(&f.packed), &text);
			assert_true(e == 0 || e == -EINVAL);
			refused += e != 0;
			buf_deinit(&text);
			p[i] = was;
		}
	assert_true(refused > 200);
	tear_down(&f);
}

static void test_too_many(void **state)
{
	struct fixture f;
	struct buf out;

	set_up(&f);
	for (unsigned i = 0; i < PACKED_RANGES_MAX; i++) {
		uint8_t b[4] = { 10, (uint8_t)(i >> 15), (uint8_t)(i >> 7), (uint8_t)(i << 1) };
		struct addr a = addr_from_v4(b);
		assert_int_equal(prefix_set_add_addr(&f.r.straight, &a), 0);
	}
	buf_init(&out, 2 * PACKED_MAX);
	assert_int_equal(packed_write(&f.r, &out), -E2BIG);
	buf_deinit(&out);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
