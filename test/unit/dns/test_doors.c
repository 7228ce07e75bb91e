/* What becomes of a door over time, when DNS says something else, or nothing. */
#include "cm.h"
#include "doors_fixture.h"

#include <stdio.h>

static bool doors_want_ptr(void *user, const struct dns_host *host)
{
	(void)user;
	return host->n_addrs && host->name[0] != 'c';
}

static int setup_wanting(void **state)
{
	(void)state;
	start_with((struct resolver_conf) { .wants_ptr = doors_want_ptr });
	return 0;
}

static void test_first_answers_have_nothing_former(void **state)
{
	static const struct {
		int say;
		const char *facts;
		int64_t lifetime;
	} cases[] = {
		{ SAY_A, A, 600 },
		{ SAY_A_TINY, A, 60 },
		/* that there is no AAAA is good for an hour at most */
		{ SAY_A_HUGE, A, 3600 },
		{ SAY_ADDRESS, "ADDRESS 0 d3.org=[192.0.2.80]", 600 },
		{ SAY_NXDOMAIN, "NOTHING nxdomain", 600 },
		{ SAY_FAILURE, "FAILED", 10 },
		{ SAY_NULL_MX, "NULL", 600 },
	};
	char domain[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(domain, sizeof(domain), "d%zu.org", i);
		fake.mode = cases[i].say;
		set_time(now + 1000 * 1000); /* hosts of before are asked for anew */
		assert_string_equal(get(domain), cases[i].facts);
		assert_int_equal(resolver_peek_domain(worker.port, domain)->expires_ms,
				 now + cases[i].lifetime * 1000);
	}
}

/* The time runs from the moment that the change is seen: who asked just before it has the old
 * answer for its whole TTL. */
static void test_former_mx(void **state)
{
	(void)state;
	assert_string_equal(get("x.org"), A);
	next_refresh(SAY_B); /* at 570 s */
	assert_string_equal(peek("x.org"), B " | until 1170: " A);
	next_refresh(SAY_B); /* at 1140 s: the same again, and the former one still */
	assert_string_equal(peek("x.org"), B " | until 1170: " A);
	set_time(AT(1169));
	assert_string_equal(peek("x.org"), B " | until 1170: " A);
	set_time(AT(1170));
	assert_string_equal(peek("x.org"), B);
	next_refresh(SAY_B);
	assert_string_equal(peek("x.org"), B);
}

/* Senders may have any of them. */
static void test_two_changes(void **state)
{
	(void)state;
	assert_string_equal(get("x.org"), A);
	next_refresh(SAY_B); /* at 570 s */
	next_refresh(SAY_C); /* at 1140 s */
	assert_string_equal(peek("x.org"),
			    C " | until 1740: MX 0 b.net=[192.0.2.98] 0 a.net=[192.0.2.1]");
	next_refresh(SAY_C); /* at 1710 s */
	set_time(AT(1740));
	assert_string_equal(peek("x.org"), C);
	/* and back again */
	next_refresh(SAY_A);
	assert_non_null(strstr(peek("x.org"), A " | until "));
	assert_non_null(strstr(peek("x.org"), ": " C));
}

static void test_kinds_change(void **state)
{
	(void)state;
	assert_string_equal(get("x.org"), A);
	next_refresh(SAY_ADDRESS); /* 570 */
	assert_string_equal(peek("x.org"), "ADDRESS 0 x.org=[192.0.2.80] | until 1170: " A);
	set_time(AT(1150));
	next_refresh(SAY_NXDOMAIN); /* 1169 */
	assert_string_equal(peek("x.org"),
			    "NOTHING nxdomain | until 1769: MX 0 x.org=[192.0.2.80] 0 "
			    "a.net=[192.0.2.1]");
	/* nobody sends by the answer that there is nothing; the former ones stay their time */
	next_refresh(SAY_B); /* 1739 */
	assert_string_equal(peek("x.org"),
			    B " | until 1769: MX 0 x.org=[192.0.2.80] 0 a.net=[192.0.2.1]");
	next_refresh(SAY_NULL_MX); /* 2309 */
	next_refresh(SAY_A);       /* 2879 */
	assert_string_equal(peek("x.org"), A " | until 2909: " B);
	next_refresh(SAY_A);
	assert_string_equal(peek("x.org"), A);
}

/* Trouble is no change. */
static void test_stale_has_nothing_former(void **state)
{
	(void)state;
	assert_string_equal(get("x.org"), A);
	next_refresh(SAY_FAILURE);
	assert_string_equal(peek("x.org"), A);
	set_time(AT(601));
	WAIT_FOR(strcmp(peek("x.org"), "MX stale 10 a.net=[192.0.2.1]") == 0);
	fake.mode = SAY_A;
	set_time(AT(640));
	WAIT_FOR(strcmp(peek("x.org"), A) == 0);
	/* changed while nobody could tell: senders may have asked until now */
	uint64_t failed = stats().failed; /* once at 570, and at 601 perhaps */
	fake.mode = SAY_FAILURE;
	set_time(AT(1190));
	assert_string_equal(peek("x.org"), A);
	WAIT_FOR(stats().failed > failed);
	failed = stats().failed;
	set_time(AT(1300));
	WAIT_FOR(strcmp(peek("x.org"), "MX stale 10 a.net=[192.0.2.1]") == 0);
	WAIT_FOR(stats().failed > failed);
	fake.mode = SAY_B;
	set_time(AT(1400));
	WAIT_FOR(strcmp(peek("x.org"), B " | until 2000: " A) == 0);
}

/* A host that can't be looked up is no host with other addresses. */
static void test_failed_host_is_no_change(void **state)
{
	(void)state;
	assert_string_equal(get("x.org"), A);
	a_net = 0;
	next_refresh(SAY_A);
	assert_string_equal(peek("x.org"), "MX stale 10 a.net=[192.0.2.1]");
	a_net = 1;
	set_time(now + 31000);
	WAIT_FOR(strcmp(peek("x.org"), A) == 0);
}

/* The same names with other addresses: the host has both for the time, and nothing is former. */
static void test_other_addresses(void **state)
{
	(void)state;
	assert_string_equal(get("x.org"), A);
	a_net = 2;
	next_refresh(SAY_A); /* 570: until 1170 */
	assert_string_equal(peek("x.org"), "MX 10 a.net=[192.0.2.1 192.0.2.2]");
	next_refresh(SAY_A); /* 1140 */
	assert_string_equal(peek("x.org"), "MX 10 a.net=[192.0.2.1 192.0.2.2]");
	next_refresh(SAY_A); /* 1710 */
	assert_string_equal(peek("x.org"), "MX 10 a.net=[192.0.2.2]");
	/* one that rotates has the last two, never all of its history */
	for (int i = 3; i < 10; i++) {
		char expected[64];
		a_net = i;
		next_refresh(SAY_A);
		snprintf(expected, sizeof(expected), "MX 10 a.net=[192.0.2.%d 192.0.2.%d]", i - 1,
			 i);
		assert_string_equal(peek("x.org"), expected);
	}
	/* another host: the addresses of before are former with it */
	next_refresh(SAY_B);
	assert_non_null(strstr(peek("x.org"), B " | until "));
	assert_non_null(strstr(peek("x.org"), ": MX 10 a.net=[192.0.2.8 192.0.2.9]"));
	/* the domain's own address */
	fake.mode = SAY_ADDRESS;
	set_time(now + 100000 * 1000LL);
	get("x.org");
	set_time(now + 100000 * 1000LL);
	get("x.org");
	next_refresh(SAY_OTHER_ADDRESS);
	assert_string_equal(peek("x.org"), "ADDRESS 0 x.org=[192.0.2.80 192.0.2.81]");
}

/* Addresses changed, then nothing was known for so long that the next answer is a first one: the
 * addresses of before are no part of it, whatever hosts it names. */
static void test_other_addresses_forgotten(void **state)
{
	(void)state;
	get("x.org");
	a_net = 2;
	next_refresh(SAY_A);
	assert_string_equal(peek("x.org"), "MX 10 a.net=[192.0.2.1 192.0.2.2]");
	fake.mode = SAY_C;
	set_time(now + 8 * 86400 * 1000LL);
	assert_string_equal(get("x.org"), "MX 10 c.net=[192.0.2.99] 20 a.net=[192.0.2.2]");
	next_refresh(SAY_C);
	assert_string_equal(peek("x.org"), "MX 10 c.net=[192.0.2.99] 20 a.net=[192.0.2.2]");
}

/* Until when the former answer counts, seconds from START_MS. */
static long until(const char *domain)
{
	const struct domain_facts *f = resolver_peek_domain(worker.port, domain);

	return f ? (long)(f->former_until_ms - START_MS) / 1000 : -1;
}

/* Lowered before a move, as one does: who has the old answer goes by the TTL that it came with. */
static void test_lowered_ttl(void **state)
{
	int64_t changed;

	(void)state;
	fake.mode = SAY_A_LONG;
	assert_string_equal(get("x.org"), A);
	next_refresh(SAY_A_SHORT);
	next_refresh(SAY_B);
	assert_true(now < AT(4000));
	assert_in_range(until("x.org"), 86400, 86400 + 16);
	/* long after it was lowered the short one counts */
	fake.mode = SAY_A_SHORT;
	set_time(AT(200000));
	get("x.org");
	set_time(AT(300000));
	get("x.org");
	next_refresh(SAY_B);
	changed = (now - START_MS) / 1000;
	assert_in_range(until("x.org"), changed + 300, changed + 316);
}

/* Hosts that many domains share are asked for once in half of their life; failures each time. */
static void test_shared_hosts(void **state)
{
	unsigned int n;

	(void)state;
	get("x.org");
	n = fake.n_udp;
	set_time(now + 299 * 1000);
	assert_string_equal(get("y.org"), A);
	assert_int_equal(fake.n_udp, n + 1);
	/* what rests on it lives no longer than it does */
	assert_int_equal(resolver_peek_domain(worker.port, "y.org")->expires_ms, AT(600));
	set_time(now + 2 * 1000);
	assert_string_equal(get("z.org"), A);
	assert_int_equal(fake.n_udp, n + 4);
	/* one of two is known */
	fake.mode = SAY_C;
	assert_string_equal(get("two.org"), C);
	assert_int_equal(fake.n_udp, n + 7);
	fake.mode = SAY_A;
	a_net = 0;
	set_time(now + 301 * 1000);
	assert_string_equal(get("failed.org"), "MX 10 a.net=[failed?]");
	a_net = 1;
	assert_string_equal(get("well.org"), A);
}

/* Others' caches have the MX set for a day, however short its hosts' addresses are good for, and
 * however long ago we looked. */
static void test_long_mx_of_short_hosts(void **state)
{
	(void)state;
	fake.mode = SAY_A_SPLIT;
	assert_string_equal(get("x.org"), A);
	set_time(AT(200000));
	fake.mode = SAY_B;
	get("x.org");
	assert_in_range(until("x.org"), 200000 + 86400, 200000 + 86416);
}

/* ---- names of hosts ---- */

static const char *ptr_of(const char *domain, size_t i)
{
	const struct domain_facts *f = resolver_peek_domain(worker.port, domain);

	return f && i < f->n_hosts ? f->hosts[i].ptr : "?";
}

static void test_names_of_hosts(void **state)
{
	(void)state;
	/* b.net is the name of its address, and leads back to it; a.net's leads elsewhere */
	fake.mode = SAY_B;
	get("x.org");
	assert_string_equal(ptr_of("x.org", 0), "b.net");
	fake.mode = SAY_A;
	get("y.org");
	assert_string_equal(ptr_of("y.org", 0), "");
	/* not wanted */
	fake.mode = SAY_C;
	get("z.org");
	assert_string_equal(ptr_of("z.org", 0), "");
	/* trouble with the name is none of the door, and the last one serves on */
	ptr_fails = true;
	next_refresh(SAY_B);
	assert_string_equal(peek("x.org"), B);
	assert_string_equal(ptr_of("x.org", 0), "b.net");
	fake.mode = SAY_B;
	assert_string_equal(get("new.org"), B);
	assert_string_equal(ptr_of("new.org", 0), "");
}

int main(void)
{
#define WITH(test, how) cmocka_unit_test_setup_teardown(test, how, world_end)
	const struct CMUnitTest tests[] = {
		WITH(test_first_answers_have_nothing_former, doors_setup),
		WITH(test_former_mx, doors_setup),
		WITH(test_two_changes, doors_setup),
		WITH(test_kinds_change, doors_setup),
		WITH(test_stale_has_nothing_former, doors_setup),
		WITH(test_failed_host_is_no_change, doors_setup),
		WITH(test_other_addresses, doors_setup),
		WITH(test_other_addresses_forgotten, doors_setup),
		WITH(test_lowered_ttl, doors_setup),
		WITH(test_shared_hosts, doors_setup),
		WITH(test_long_mx_of_short_hosts, doors_setup),
		WITH(test_names_of_hosts, setup_wanting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
