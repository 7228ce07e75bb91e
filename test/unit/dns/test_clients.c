/* Names of clients over time: failures, what is told of those that let mail in, new starts. */
#include "base/clock.h"
#include "dns/resolver.h"
#include "dns/wire.h"

#include "cm.h"
#include "world.h"

#include <stdio.h>

enum { GOOD, BAD, RENAMED }; /* fake.mode */
enum { SERVFAIL = 2, TTL = 600, STALE_MAX = 3600 };

static _Atomic unsigned int n_told;
static char told[128]; /* "ADDRESS NAME"; read when n_told has grown */

static bool answer(struct fake *f, struct msg *m, const char *name, uint16_t type, bool tcp)
{
	const char *host = f->mode == RENAMED ? "renamed.lab.net" : "named.lab.net";

	(void)tcp;
	if (f->mode == BAD)
		m->b[3] = (uint8_t)((m->b[3] & 0xf0) | SERVFAIL);
	else if (type == WIRE_PTR && strcmp(name, "5.2.0.192.in-addr.arpa") == 0)
		msg_name(m, MSG_ANSWER, name, WIRE_PTR, TTL, host);
	else if (type == WIRE_A)
		msg_addr(m, name, TTL, "192.0.2.5");
	else
		msg_soa(m, "lab.net", TTL, TTL);
	return true;
}

static void on_client(void *user, const struct addr *client, const struct client_names *names)
{
	char text[ADDR_STRLEN];

	(void)user;
	snprintf(told, sizeof(told), "%s %s", addr_format(client, text), names->names[0]);
	n_told++;
}

static void pass(int64_t seconds)
{
	set_time(now + seconds * 1000);
}

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(text), &a), 0);
	return a;
}

/* "NAME", "stale NAME", "none", "failed"; static. */
static const char *text_of(const struct client_names *c)
{
	static char text[128];

	if (c->status == DNS_FAILED)
		return "failed";
	if (c->n == 0)
		return "none";
	snprintf(text, sizeof(text), "%s%s", c->stale ? "stale " : "", c->names[0]);
	return text;
}

static const char *get(const char *client)
{
	struct answer a = worker_get(&worker, RESOLVER_CLIENT, client);
	const char *text = text_of(a.client);

	worker_free_answer(&a);
	return text;
}

static const char *peek(const char *client)
{
	struct addr a = address(client);
	const struct client_names *c = resolver_peek_client(worker.port, &a);

	return c ? text_of(c) : "-";
}

static void restore(void *user, struct resolver *r)
{
	static const struct {
		const char *client;
		int64_t age_s;
	} rows[] = { { "192.0.2.5", 100 }, { "192.0.2.6", 1000 }, { "192.0.2.7", 3601 } };
	static const char *const names[] = { "saved.lab.net" };

	(void)user;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client_names c = { .status = DNS_OK,
					  .fetched_ms = now - rows[i].age_s * 1000,
					  .expires_ms = now + (TTL - rows[i].age_s) * 1000,
					  .n = 1,
					  .names = names };
		struct addr a = address(rows[i].client);
		assert_int_equal(resolver_restore_client(r, &a, &c), 0);
		assert_int_equal(resolver_restore_client(r, &a, &c), i < 2);
	}
}

static int start(bool restored)
{
	struct resolver_conf conf = { .timeout_ms = 1000,
				      .stale_max_ms = STALE_MAX * 1000,
				      .on_client = on_client,
				      .restore = restored ? restore : NULL };

	n_told = 0;
	world_start(conf, answer, 10000000);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return start(false);
}

static int setup_restored(void **state)
{
	(void)state;
	return start(true);
}

/* A client that had names keeps them as long as a door would be; that it had none is forgotten. */
static void test_failures(void **state)
{
	(void)state;
	assert_string_equal(get("192.0.2.5"), "named.lab.net");
	assert_string_equal(get("192.0.2.8"), "none");
	fake.mode = BAD;
	for (int i = 0; i < 3; i++) {
		pass(TTL + 1);
		assert_string_equal(peek("192.0.2.5"), "-");
		assert_string_equal(get("192.0.2.5"), "stale named.lab.net");
		assert_string_equal(peek("192.0.2.5"), "stale named.lab.net");
		assert_string_equal(get("192.0.2.8"), "failed");
	}
	fake.mode = RENAMED;
	pass(301);
	assert_string_equal(get("192.0.2.5"), "renamed.lab.net");
	fake.mode = BAD;
	pass(STALE_MAX);
	assert_string_equal(get("192.0.2.5"), "failed");
}

static void wait_told(unsigned int n)
{
	for (int i = 0; i < 1000 && n_told < n; i++)
		worker_run(&worker, 10);
	assert_int_equal(n_told, n);
}

static void test_kept(void **state)
{
	struct addr client = address("192.0.2.5"), nameless = address("192.0.2.8");

	(void)state;
	assert_string_equal(get("192.0.2.5"), "named.lab.net");
	assert_string_equal(get("192.0.2.8"), "none");
	assert_int_equal(n_told, 0);
	resolver_keep_client(resolver, &nameless);
	resolver_keep_client(resolver, &client);
	wait_told(1);
	assert_string_equal(told, "192.0.2.5 named.lab.net");
	assert_string_equal(peek("192.0.2.5"), "named.lab.net");
	resolver_keep_client(resolver, &client);
	pass(TTL + 1);
	fake.mode = BAD;
	assert_string_equal(get("192.0.2.5"), "stale named.lab.net");
	assert_int_equal(n_told, 1);
	pass(301);
	fake.mode = RENAMED;
	assert_string_equal(get("192.0.2.5"), "renamed.lab.net");
	wait_told(2);
	assert_string_equal(told, "192.0.2.5 renamed.lab.net");
}

static void test_restored(void **state)
{
	(void)state;
	fake.mode = BAD;
	assert_string_equal(peek("192.0.2.5"), "saved.lab.net");
	assert_string_equal(peek("192.0.2.6"), "-");
	assert_string_equal(get("192.0.2.6"), "stale saved.lab.net");
	assert_string_equal(get("192.0.2.7"), "failed");
	fake.mode = GOOD;
	pass(TTL);
	assert_string_equal(get("192.0.2.5"), "named.lab.net");
	wait_told(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_failures, setup, world_end),
		cmocka_unit_test_setup_teardown(test_kept, setup, world_end),
		cmocka_unit_test_setup_teardown(test_restored, setup_restored, world_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
