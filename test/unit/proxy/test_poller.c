#include "proxy/poller.h"

#include "base/base.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
	struct watch watch;
	int fds[2]; /* ours, and the peer's */
	int calls, ready;
	bool closed;
	struct seen *closes; /* when it is ready */
};

struct world {
	uv_loop_t loop;
	struct poller poller;
	uv_timer_t timer;
	uv_async_t async;
	int ticks, woken;
};

static void on_timer(uv_timer_t *timer)
{
	((struct world *)timer->data)->ticks++;
}

static void on_async(uv_async_t *async)
{
	((struct world *)async->data)->woken++;
}

static void world_open(struct world *w)
{
	*w = (struct world) { 0 };
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(poller_init(&w->poller, &w->loop), 0);
	uv_timer_init(&w->loop, &w->timer);
	uv_async_init(&w->loop, &w->async, on_async);
	w->timer.data = w->async.data = w;
}

static void world_close(struct world *w)
{
	uv_close((uv_handle_t *)&w->timer, NULL);
	uv_close((uv_handle_t *)&w->async, NULL);
	while (poller_turn(&w->poller, true))
		;
	poller_deinit(&w->poller);
	assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void on_closed(struct watch *watch)
{
	CONTAINER_OF(watch, struct seen, watch)->closed = true;
}

static void on_ready(struct watch *watch, int ready)
{
	struct seen *s = CONTAINER_OF(watch, struct seen, watch);

	assert_false(s->closed);
	s->calls++;
	s->ready = ready;
	if (s->closes) {
		watch_close(&s->closes->watch, on_closed);
		assert_false(s->closes->closed);
		s->closes = NULL;
	}
}

static void seen_open(struct world *w, struct seen *s)
{
	*s = (struct seen) { 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s->fds), 0);
	assert_int_equal(watch_open(&s->watch, &w->poller, s->fds[0], on_ready), 0);
}

static void look(struct world *w)
{
	for (int i = 0; i < 5; i++)
		assert_true(poller_turn(&w->poller, false));
}

static void test_what_is_wanted(void **state)
{
	struct world w;
	struct seen s;

	world_open(&w);
	seen_open(&w, &s);
	assert_int_equal(write(s.fds[1], "x", 1), 1);
	look(&w);
	assert_int_equal(s.calls, 0);
	assert_int_equal(watch_want(&s.watch, POLLER_READABLE), 0);
	look(&w); /* not read: told each time */
	assert_int_equal(s.calls, 5);
	assert_int_equal(s.ready, POLLER_READABLE);
	assert_int_equal(watch_want(&s.watch, POLLER_WRITABLE), 0);
	look(&w);
	assert_int_equal(s.ready, POLLER_WRITABLE);
	assert_int_equal(watch_want(&s.watch, 0), 0);
	s.calls = 0;
	close(s.fds[1]);
	look(&w);
	assert_int_equal(s.calls, 0);
	assert_int_equal(watch_want(&s.watch, POLLER_READABLE), 0);
	look(&w);
	assert_true(s.calls > 0);
	watch_close(&s.watch, on_closed);
	assert_false(s.closed);
	look(&w);
	assert_true(s.closed);
	assert_int_equal(fcntl(s.fds[0], F_GETFD), -1);
	world_close(&w);
}

/* Both are ready in one turn; the first to be told closes the other. */
static void test_closed_by_another(void **state)
{
	struct world w;
	struct seen a, b;

	world_open(&w);
	seen_open(&w, &a);
	seen_open(&w, &b);
	a.closes = &b;
	b.closes = &a;
	assert_int_equal(watch_want(&a.watch, POLLER_WRITABLE), 0);
	assert_int_equal(watch_want(&b.watch, POLLER_WRITABLE), 0);
	poller_turn(&w.poller, false);
	assert_int_equal(a.calls + b.calls, 1);
	assert_true(a.closed != b.closed);
	watch_close(a.closed ? &b.watch : &a.watch, on_closed);
	look(&w);
	assert_true(a.closed && b.closed);
	close(a.fds[1]);
	close(b.fds[1]);
	world_close(&w);
}

/* Somebody else has the socket still, and the number is another's. */
static void test_a_number_again(void **state)
{
	struct world w;
	struct seen old, new;

	world_open(&w);
	seen_open(&w, &old);
	assert_int_equal(watch_want(&old.watch, POLLER_READABLE), 0);
	int other = dup(old.fds[0]);
	watch_close(&old.watch, on_closed);
	seen_open(&w, &new);
	assert_int_equal(new.fds[0], old.fds[0]);
	assert_int_equal(write(old.fds[1], "x", 1), 1);
	look(&w);
	assert_int_equal(old.calls + new.calls, 0);
	close(other);
	close(old.fds[1]);
	watch_detach(&new.watch, on_closed);
	assert_true(fcntl(new.fds[0], F_GETFD) >= 0);
	look(&w);
	close(new.fds[0]);
	close(new.fds[1]);
	world_close(&w);
}

static void test_the_loop_goes_on(void **state)
{
	struct world w;
	struct seen s;

	world_open(&w);
	uv_timer_start(&w.timer, on_timer, 1, 1);
	while (w.ticks < 3)
		poller_turn(&w.poller, true);
	/* and beside a socket that always has something to tell */
	seen_open(&w, &s);
	assert_int_equal(watch_want(&s.watch, POLLER_WRITABLE), 0);
	while (w.ticks < 6)
		poller_turn(&w.poller, true);
	uv_timer_stop(&w.timer);
	uv_async_send(&w.async);
	for (int i = 0; i < 1000 && w.woken == 0; i++)
		poller_turn(&w.poller, true);
	assert_int_equal(w.woken, 1);
	watch_close(&s.watch, on_closed);
	close(s.fds[1]);
	world_close(&w);
	assert_true(s.closed);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_wanted),
		cmocka_unit_test(test_closed_by_another),
		cmocka_unit_test(test_a_number_again),
		cmocka_unit_test(test_the_loop_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
