#include "proxy/front.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(text), &a), 0);
	return a;
}

static bool is_wanted(struct front *f, const char *client, int64_t now_ms)
{
	struct front_words w;
	struct addr a = address(client);

	if (!front_wanted(f, &a, false, now_ms, &w))
		return false;
	assert_true(sv_eq(w.banner, SV("220 mail.host ESMTP\r\n")));
	assert_true(sv_eq(w.ehlo, SV("250-mail.host\r\n250-SIZE 99\r\n250 PIPELINING\r\n")));
	assert_int_equal(w.ehlo_tls.n, 0);
	free(w.block);
	return true;
}

static void learn(struct front *f)
{
	front_learn_banner(f, SV("220 mail.host ESMTP Exim 4.96 Mon, 23 Nov 2026\r\n"));
	front_learn_ehlo(
		f, false,
		SV("250-mail.host Hello x [192.0.2.1]\r\n250-SIZE 99\r\n250 PIPELINING\r\n"));
}

static void only_refused_clients_are_fronted(void **state)
{
	struct front *f;
	struct addr bot = address("192.0.2.1"), bot6 = address("2001:db8::1");

	assert_int_equal(front_new(&f), 0);
	learn(f);
	assert_false(is_wanted(f, "192.0.2.1", 1000));
	front_note(f, &bot, true, 1000);
	assert_true(is_wanted(f, "192.0.2.1", 2000));
	assert_false(is_wanted(f, "192.0.2.2", 2000));
	/* something was accepted: it is an ordinary client again */
	front_note(f, &bot, false, 3000);
	assert_false(is_wanted(f, "192.0.2.1", 4000));
	/* for an hour */
	front_note(f, &bot, true, 5000);
	assert_true(is_wanted(f, "192.0.2.1", 5000 + 3600 * 1000));
	assert_false(is_wanted(f, "192.0.2.1", 5001 + 3600 * 1000));
	/* an IPv6 client is its /64 */
	front_note(f, &bot6, true, 1000);
	assert_true(is_wanted(f, "2001:db8::ffff:1", 2000));
	assert_false(is_wanted(f, "2001:db8:0:1::1", 2000));
	front_free(f);
}

static void nobody_is_fronted_before_the_backend_was_heard(void **state)
{
	struct front *f;
	struct addr bot = address("192.0.2.1");

	assert_int_equal(front_new(&f), 0);
	front_note(f, &bot, true, 1000);
	assert_false(is_wanted(f, "192.0.2.1", 1000));
	front_learn_banner(f, SV("220 mail.host ESMTP\r\n"));
	assert_false(is_wanted(f, "192.0.2.1", 1000));
	/* no keywords in a reply of one line; no host in a bare code */
	front_learn_ehlo(f, false, SV("250 mail.host\r\n"));
	front_learn_banner(f, SV("220\r\n"));
	assert_false(is_wanted(f, "192.0.2.1", 1000));
	learn(f);
	assert_true(is_wanted(f, "192.0.2.1", 1000));
	front_free(f);
}

static void encrypted_clients_are_told_what_is_offered_to_them(void **state)
{
	struct front *f;
	struct front_words w;
	struct addr bot = address("192.0.2.1");

	assert_int_equal(front_new(&f), 0);
	learn(f);
	front_note(f, &bot, true, 1000);
	/* from the first octet: what is offered then isn't known yet */
	assert_false(front_wanted(f, &bot, true, 1000, &w));
	front_learn_ehlo(f, true, SV("250-mail.host\r\n250 AUTH PLAIN\r\n"));
	assert_true(front_wanted(f, &bot, true, 1000, &w));
	assert_true(sv_eq(w.ehlo, SV("250-mail.host\r\n250-SIZE 99\r\n250 PIPELINING\r\n")));
	assert_true(sv_eq(w.ehlo_tls, SV("250-mail.host\r\n250 AUTH PLAIN\r\n")));
	free(w.block);
	front_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_refused_clients_are_fronted),
		cmocka_unit_test(nobody_is_fronted_before_the_backend_was_heard),
		cmocka_unit_test(encrypted_clients_are_told_what_is_offered_to_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
