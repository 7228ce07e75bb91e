/* Whether a primary answers: real servers on loopback, one for each way to answer or not. */
#include "base/clock.h"
#include "proxy/primary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* A server at an address of its own: the port is the same for all. */
struct server {
	struct addr address;
	const char *says; /* NULL: nothing, and hangs up */
	int fd;
	_Atomic int connections;
	pthread_t thread;
};

static uint16_t port;

static void *serve(void *user)
{
	struct server *s = user;

	for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd)) {
		atomic_fetch_add(&s->connections, 1);
		for (const char *c = s->says; c && *c; c++) {
			(void)!write(fd, c, 1); /* octet by octet */
			usleep(1000);
		}
		char quit[16];
		(void)!(s->says ? read(fd, quit, sizeof(quit)) : 0);
	}
	return NULL;
}

static void server_start(struct server *s, const char *address, const char *says)
{
	struct endpoint at = { .port = port };
	struct sockaddr_storage sa;
	socklen_t n;

	*s = (struct server) { .says = says };
	assert_int_equal(addr_parse(sv_from(address), &s->address), 0);
	at.addr = s->address;
	n = endpoint_to_sockaddr(&at, false, &sa);
	s->fd = socket(sa.ss_family, SOCK_STREAM, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	if (port == 0) {
		n = sizeof(sa);
		assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &n), 0);
		assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, &at), 0);
		port = at.port;
	}
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static enum primary_state look_until_known(struct primaries *p, const struct addr *a)
{
	enum primary_state state;

	while ((state = primaries_look(p, a)) == PRIMARY_UNKNOWN)
		usleep(5000);
	return state;
}

static void test_answers(void **state)
{
	static const struct {
		const char *address, *says;
		enum primary_state want;
	} rows[] = {
		{ "127.9.0.1", "220 mx ready\r\n", PRIMARY_ANSWERS },
		{ "127.9.0.2", "220-mx\r\n220 ready\r\n", PRIMARY_ANSWERS },
		{ "127.9.0.3", "554 no\r\n", PRIMARY_DOWN },
		{ "127.9.0.4", "421 busy\r\n", PRIMARY_DOWN },
		{ "127.9.0.5", "2200\r\n", PRIMARY_DOWN },
		{ "127.9.0.6", NULL, PRIMARY_DOWN },
	};
	struct server servers[ARRAY_SIZE(rows)];
	struct addr nobody;
	struct primaries *p;

	port = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		server_start(&servers[i], rows[i].address, rows[i].says);
	assert_int_equal(primaries_new(port, &p), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (look_until_known(p, &servers[i].address) != rows[i].want)
			fail_msg("%s", rows[i].address);
	assert_int_equal(addr_parse(SV("127.9.0.77"), &nobody), 0);
	assert_int_equal(look_until_known(p, &nobody), PRIMARY_DOWN);
	/* what is known is not asked about again */
	for (int i = 0; i < 50; i++)
		(void)primaries_look(p, &servers[0].address);
	assert_int_equal(atomic_load(&servers[0].connections), 1);
	primaries_free(p);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		server_stop(&servers[i]);
}

/* As time goes by: known, known but asked about again, forgotten. */
static void test_age(void **state)
{
	struct server s;
	struct primaries *p;

	port = 0;
	server_start(&s, "127.9.0.1", "220 mx ready\r\n");
	clock_fake(1000, 1000);
	assert_int_equal(primaries_new(port, &p), 0);
	assert_int_equal(primaries_look(p, &s.address), PRIMARY_UNKNOWN);
	assert_int_equal(look_until_known(p, &s.address), PRIMARY_ANSWERS);
	clock_fake(1000 + PRIMARY_UP_MS, 1000);
	assert_int_equal(primaries_look(p, &s.address), PRIMARY_ANSWERS);
	while (atomic_load(&s.connections) < 2)
		usleep(5000);
	/* what nobody has heard of for twice as long counts no more */
	clock_fake(1000 + 4 * PRIMARY_UP_MS, 1000);
	assert_int_equal(primaries_look(p, &s.address), PRIMARY_UNKNOWN);
	server_stop(&s);
	clock_fake(1000 + 8 * PRIMARY_UP_MS, 1000);
	(void)look_until_known(p, &s.address);
	clock_fake(1000 + 16 * PRIMARY_UP_MS, 1000);
	(void)primaries_look(p, &s.address);
	assert_int_equal(look_until_known(p, &s.address), PRIMARY_DOWN);
	primaries_free(p);
	clock_fake(-1, -1);
}

/* More than are remembered, all of them asked about at once; and an end in the middle of it. */
static void test_bound(void **state)
{
	struct primaries *p;
	char text[32];
	struct addr a;

	assert_int_equal(primaries_new(9, &p), 0);
	for (unsigned i = 0; i < PRIMARIES_MAX + 5000; i++) {
		snprintf(text, sizeof(text), "127.%u.%u.%u", 10 + i / 65536, i / 256 % 256,
			 i % 256);
		assert_int_equal(addr_parse(sv_from(text), &a), 0);
		(void)primaries_look(p, &a);
	}
	primaries_free(p);
	primaries_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_bound),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
