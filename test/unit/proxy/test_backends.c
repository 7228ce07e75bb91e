/* Backends that are down: real sockets on loopback, probed by a real loop on the test's clock. */
#include "base/clock.h"
#include "base/log.h"
#include "proxy/backends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
	struct backends *backends;
	uv_loop_t loop;
	int64_t now;
};

static struct endpoint at(unsigned n, uint16_t port)
{
	struct endpoint e = { .port = port };
	uint8_t four[] = { 127, 44, (uint8_t)(n >> 8), (uint8_t)n };

	e.addr = addr_from_v4(four);
	return e;
}

/* ret_at: with the port that it got, if there was none. */
static int serve(struct endpoint *e)
{
	struct sockaddr_storage sa;
	socklen_t n = endpoint_to_sockaddr(e, false, &sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	n = sizeof(sa);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, e), 0);
	return fd;
}

static void world_init(struct world *w)
{
	w->now = 1000000;
	clock_fake(w->now, 1700000000000);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(backends_new(NULL, &w->backends), 0);
	assert_int_equal(backends_start(w->backends, &w->loop), 0);
}

/* The loop turns until down are down; or for long enough that it would show. */
static void turn(struct world *w, size_t down)
{
	for (int i = 0; i < 3000 && backends_down(w->backends) != down; i++) {
		w->now += 20;
		clock_fake(w->now, 1700000000000);
		uv_run(&w->loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	assert_int_equal(backends_down(w->backends), down);
}

static void world_deinit(struct world *w)
{
	backends_stop(w->backends);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	backends_free(w->backends);
	clock_fake(-1, -1);
}

static void test_down_and_up(void **state)
{
	struct endpoint e = at(1, 0), other = at(2, 0);
	struct world w;

	world_init(&w);
	int fd = serve(&e), standing = serve(&other);
	close(fd);
	assert_false(backends_is_down(w.backends, &e, false));
	backends_failed(w.backends, &e, ECONNREFUSED);
	/* one session's word is not enough */
	assert_false(backends_is_down(w.backends, &e, false));
	turn(&w, 1);
	for (int i = 0; i < 3; i++)
		assert_true(backends_is_down(w.backends, &e, false));
	assert_false(backends_is_down(w.backends, &other, false));
	fd = serve(&e);
	turn(&w, 0);
	assert_false(backends_is_down(w.backends, &e, false));
	close(fd);
	close(standing);
	world_deinit(&w);
}

/* A backend refuses one client alone; or our own resources are at fault. */
static void test_answers_others(void **state)
{
	static const int ours[] = { EADDRNOTAVAIL, EMFILE, EPERM, EAFNOSUPPORT };
	struct endpoint e = at(1, 0);
	struct world w;

	world_init(&w);
	int fd = serve(&e);
	for (int round = 0; round < 5; round++) {
		backends_failed(w.backends, &e, ECONNREFUSED);
		for (int i = 0; i < 20; i++) {
			w.now += 100;
			clock_fake(w.now, 1700000000000);
			uv_run(&w.loop, UV_RUN_NOWAIT);
			assert_int_equal(backends_down(w.backends), 0);
			usleep(1000);
		}
	}
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		backends_failed(w.backends, &e, ours[i]);
	for (int i = 0; i < 50; i++) {
		uv_run(&w.loop, UV_RUN_NOWAIT);
		assert_int_equal(backends_down(w.backends), 0);
		usleep(1000);
	}
	world_deinit(&w);
}

/* Sessions come through where the probe doesn't: it has no say any more. */
static void test_mute(void **state)
{
	struct endpoint e = at(1, 0);
	struct world w;

	world_init(&w);
	close(serve(&e));
	backends_failed(w.backends, &e, ETIMEDOUT);
	for (int round = 0; round < 2; round++) {
		turn(&w, 1);
		assert_false(backends_is_down(w.backends, &e, true)); /* one a second */
		assert_true(backends_is_down(w.backends, &e, true));
		w.now += 1000;
		clock_fake(w.now, 1700000000000);
		assert_false(backends_is_down(w.backends, &e, true));
		backends_reached(w.backends, &e);
		assert_int_equal(backends_down(w.backends), 0);
	}
	backends_failed(w.backends, &e, ETIMEDOUT);
	for (int i = 0; i < 100; i++) {
		w.now += 50;
		clock_fake(w.now, 1700000000000);
		uv_run(&w.loop, UV_RUN_NOWAIT);
		assert_int_equal(backends_down(w.backends), 0);
		usleep(500);
	}
	world_deinit(&w);
}

/* Connections are taken, and nothing is said: only a greeting is an answer. */
static void test_silent(void **state)
{
	struct endpoint e = at(1, 0);
	struct world w;
	char line[64];

	world_init(&w);
	int fd = serve(&e);
	/* somebody else was greeted meanwhile */
	backends_greeted(w.backends, &e);
	backends_silent(w.backends, &e, SEND_NONE, w.now - 5000, 5000);
	turn(&w, 0);
	w.now += 10000;
	clock_fake(w.now, 1700000000000);
	backends_silent(w.backends, &e, SEND_PROXY_V1, w.now - 5000, 5000);
	turn(&w, 1);
	assert_true(backends_is_down(w.backends, &e, false));
	/* a connection says nothing for it */
	backends_reached(w.backends, &e);
	assert_true(backends_is_down(w.backends, &e, false));
	/* the next probe gets an answer, if only to go away */
	int probe = accept(fd, NULL, NULL);
	assert_int_equal(recv(probe, line, sizeof(line), 0), 15);
	assert_memory_equal(line, "PROXY UNKNOWN\r\n", 15);
	close(probe);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 3000 && (probe = accept(fd, NULL, NULL)) < 0; i++) {
		w.now += 2;
		clock_fake(w.now, 1700000000000);
		uv_run(&w.loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	assert_int_equal(send(probe, "554 no\r\n", 8, 0), 8);
	turn(&w, 0);
	close(probe);
	/* greeted sessions are word enough, as connections are where these fail */
	for (int round = 0; round < 2; round++) {
		w.now += 10000;
		clock_fake(w.now, 1700000000000);
		backends_silent(w.backends, &e, SEND_NONE, w.now - 5000, 5000);
		turn(&w, 1);
		backends_greeted(w.backends, &e);
		assert_int_equal(backends_down(w.backends), 0);
	}
	close(fd);
	world_deinit(&w);
}

static void test_bounded(void **state)
{
	struct endpoint e = at(1, 0);
	struct world w;

	world_init(&w);
	close(serve(&e));
	for (unsigned i = 1; i <= BACKENDS_MAX + 50; i++) {
		struct endpoint one = at(i, e.port);
		backends_failed(w.backends, &one, ECONNREFUSED);
	}
	turn(&w, BACKENDS_MAX);
	struct endpoint last = at(BACKENDS_MAX + 50, e.port);
	assert_false(backends_is_down(w.backends, &last, false));
	/* nobody asks for them any more */
	w.now += 3600 * 1000;
	turn(&w, 0);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_down_and_up), cmocka_unit_test(test_answers_others),
		cmocka_unit_test(test_mute),        cmocka_unit_test(test_silent),
		cmocka_unit_test(test_bounded),
	};

	log_set_level(LOG_LEVEL_ERROR - 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
