/* Listening sockets over configurations and processes: real ones, on loopback. */
#include "proxy/sockets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
	struct conf conf;
	struct listener_conf listeners[3];
	struct endpoint bind[3];
	struct buf why;
};

static struct endpoint at(const char *address, uint16_t port)
{
	struct endpoint e = { .port = port };

	assert_int_equal(addr_parse(sv_from(address), &e.addr), 0);
	return e;
}

static uint16_t free_port(void)
{
	struct endpoint e = at("127.0.0.1", 0);
	struct sockaddr_storage sa;
	socklen_t n = endpoint_to_sockaddr(&e, false, &sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	n = sizeof(sa);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, &e), 0);
	close(fd);
	return e.port;
}

static void world_init(struct world *w, size_t n)
{
	*w = (struct world) { .conf = { .listeners = w->listeners, .n_listeners = n } };
	for (size_t i = 0; i < n; i++) {
		w->bind[i] = at("127.0.0.1", free_port());
		w->listeners[i] =
			(struct listener_conf) { .name = "x", .bind = &w->bind[i], .n_bind = 1 };
	}
	buf_init(&w->why, 1000);
}

static struct sockets *open_all(struct world *w, int workers, const struct sockets *former)
{
	struct sockets *s = NULL;

	assert_int_equal(sockets_open(&w->conf, workers, former, &w->why, &s), 0);
	return s;
}

static int dial(const struct endpoint *e)
{
	struct sockaddr_storage sa;
	socklen_t n = endpoint_to_sockaddr(e, false, &sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&sa, n) == 0)
		return fd;
	close(fd);
	return -1;
}

static int accept_any(const struct sockets *s)
{
	for (size_t i = 0; i < s->n; i++) {
		int fd = accept(s->rows[i].fd, NULL, NULL);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

static void test_kept_new_gone(void **state)
{
	struct world w;

	world_init(&w, 3);
	w.conf.n_listeners = 2;
	struct sockets *a = open_all(&w, 2, NULL);
	assert_int_equal(a->n, 4);
	int kept = dial(&w.bind[1]), gone = dial(&w.bind[0]);
	assert_true(kept >= 0 && gone >= 0);

	/* the first goes, the second is the first now, a third comes */
	w.conf.listeners = &w.listeners[1];
	struct sockets *b = open_all(&w, 2, a);
	assert_int_equal(b->n, 4);
	for (size_t i = 0; i < b->n; i++) {
		assert_int_equal(b->rows[i].listener, i / 2);
		assert_int_equal(b->rows[i].slot, i % 2);
		assert_int_equal(sockets_has(a, b->rows[i].fd), i < 2);
	}
	sockets_unref(a);
	assert_int_equal(dial(&w.bind[0]), -1);
	close(gone);
	/* what waited is there still */
	int fd = accept_any(b);
	assert_true(fd >= 0);
	close(fd);
	close(kept);
	sockets_unref(b);
	assert_int_equal(dial(&w.bind[1]), -1);
}

static void test_taken(void **state)
{
	struct sockets *none = NULL;
	struct world w;

	world_init(&w, 2);
	struct sockets *a = open_all(&w, 1, NULL);
	/* by somebody else: another set that is not told of */
	assert_int_equal(sockets_open(&w.conf, 1, NULL, &w.why, &none), 1);
	assert_true(buf_len(&w.why) > 0);
	assert_null(none);
	/* twice in one configuration */
	w.bind[1] = w.bind[0];
	assert_int_equal(sockets_open(&w.conf, 1, a, &w.why, &none), 1);
	sockets_unref(a);
	buf_deinit(&w.why);
}

static void test_workers(void **state)
{
	struct world w;

	world_init(&w, 1);
	struct sockets *two = open_all(&w, 2, NULL), *five = open_all(&w, 5, two);
	assert_int_equal(five->n, 5);
	struct sockets *one = open_all(&w, 1, five);
	/* each socket has a backlog of its own: none is left */
	assert_int_equal(one->n, 5);
	sockets_unref(two);
	sockets_unref(five);
	for (int i = 0; i < 20; i++) {
		int c = dial(&w.bind[0]), fd = accept_any(one);
		assert_true(c >= 0 && fd >= 0);
		close(c);
		close(fd);
	}
	sockets_unref(one);
}

static void test_inherited(void **state)
{
	struct sockets *heir = NULL;
	struct world w;

	world_init(&w, 2);
	w.listeners[1].mode = LISTENER_LISTEN;
	struct sockets *a = open_all(&w, 2, NULL);
	int waiting = dial(&w.bind[1]);
	char *text = sockets_describe(a, 500);
	for (size_t i = 0; i < a->n; i++)
		assert_int_equal(dup2(a->rows[i].fd, 500 + (int)i), 500 + (int)i);
	sockets_unref(a);
	assert_int_equal(sockets_inherit(text, &heir), 0);
	free(text);
	assert_int_equal(heir->n, 4);
	assert_int_equal(fcntl(500, F_GETFD), FD_CLOEXEC);
	struct sockets *b = open_all(&w, 2, heir);
	sockets_unref(heir);
	int fd = accept_any(b);
	assert_true(fd >= 0);
	close(fd);
	close(waiting);
	sockets_unref(b);
}

static void test_inherit_nonsense(void **state)
{
	static const char *const wrong[] = { "",
					     "x",
					     "3",
					     "3 listen",
					     "3 listen 127.0.0.1",
					     "2 listen 127.0.0.1:25",
					     "-1 listen 127.0.0.1:25",
					     "99999999999 listen 127.0.0.1:25",
					     "900 lissen 127.0.0.1:25",
					     "900 listen 127.0.0.1:25,",
					     "900 listen  127.0.0.1:25" };
	struct sockets *s = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(sockets_inherit(wrong[i], &s), -EINVAL);
		assert_null(s);
	}
	/* no descriptor, and one that listens to nothing */
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(dup2(fd, 901), 901);
	assert_int_equal(sockets_inherit("900 listen 127.0.0.1:25,901 tproxy [::]:25", &s), 0);
	assert_int_equal(s->n, 0);
	sockets_unref(s);
	close(901);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_new_gone),    cmocka_unit_test(test_taken),
		cmocka_unit_test(test_workers),          cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_inherit_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
