/* Doors, clients and a policy for the tests of this room: documentation addresses only. */
#pragma once

#include "policy/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static inline struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(text), &a), 0);
	return a;
}

static inline struct prefix_set prefixes(const char *const *texts)
{
	struct prefix_set set;

	prefix_set_init(&set);
	for (; *texts; texts++) {
		struct prefix p;

		assert_int_equal(prefix_parse(sv_from(*texts), &p), 0);
		assert_int_equal(prefix_set_add(&set, &p), 0);
	}
	prefix_set_seal(&set);
	return set;
}

#define PREFIXES(...) prefixes((const char *const[]) { __VA_ARGS__, NULL })
