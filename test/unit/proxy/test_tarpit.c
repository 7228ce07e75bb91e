#include "proxy/tarpit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

static void one_byte_a_tick_then_the_end(void **state)
{
	struct tarpit *t;
	int fds[2];
	char c;

	pair(fds);
	assert_int_equal(tarpit_new(10, &t), 0);
	assert_int_equal(tarpit_add(t, fds[0], SV("550\r\n")), 0);
	for (const char *p = "550\r\n"; *p; p++) {
		assert_int_equal(read(fds[1], &c, 1), -1);
		assert_int_equal(errno, EAGAIN);
		tarpit_tick(t);
		assert_int_equal(read(fds[1], &c, 1), 1);
		assert_int_equal(c, *p);
	}
	assert_int_equal(read(fds[1], &c, 1), 0);
	assert_int_equal(tarpit_count(t), 0);
	close(fds[1]);
	tarpit_free(t);
}

static void who_hangs_up_is_let_go(void **state)
{
	struct tarpit *t;
	int gone[2], stays[2];
	char c;

	pair(gone);
	pair(stays);
	assert_int_equal(tarpit_new(10, &t), 0);
	assert_int_equal(tarpit_add(t, gone[0], SV("550 no\r\n")), 0);
	assert_int_equal(tarpit_add(t, stays[0], SV("550 no\r\n")), 0);
	tarpit_tick(t);
	close(gone[1]);
	/* what it says meanwhile does not end it */
	assert_int_equal(write(stays[1], "QUIT\r\n", 6), 6);
	tarpit_tick(t);
	assert_int_equal(tarpit_count(t), 1);
	assert_int_equal(read(stays[1], &c, 1), 1);
	close(stays[1]);
	tarpit_free(t);
}

static void their_number_is_bounded(void **state)
{
	struct tarpit *t;
	int a[2], b[2];
	char c;

	pair(a);
	pair(b);
	assert_int_equal(tarpit_new(1, &t), 0);
	assert_int_equal(tarpit_add(t, a[0], SV("550 no\r\n")), 0);
	assert_int_equal(tarpit_add(t, b[0], SV("550 no\r\n")), -ENOSPC);
	/* the refused descriptor is still the caller's, the other is closed with the tarpit */
	tarpit_free(t);
	assert_int_equal(write(b[0], "x", 1), 1);
	assert_int_equal(read(a[1], &c, 1), 0);
	close(a[1]);
	close(b[0]);
	close(b[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_byte_a_tick_then_the_end),
		cmocka_unit_test(who_hangs_up_is_let_go),
		cmocka_unit_test(their_number_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
