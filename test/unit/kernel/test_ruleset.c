/* From a configuration to the kernel's table: what is steered where, and what is refused. */
#include "kernel/routing.h"
#include "kernel/ruleset.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define BIND_MAX   3
#define LISTEN_MAX 3

struct listener_case {
	enum listener_mode mode;
	enum listener_fail fail;
	const char *bind[BIND_MAX];
	int port; /* 0: 25 */
};

struct ruleset_case {
	const char *name;
	struct listener_case listeners[LISTEN_MAX];
	const char *servers[4];
	int result;
	const char *says;        /* on err; NULL: nothing at all */
	const char *contains[4]; /* the text */
	const char *lacks[3];
};

static const struct ruleset_case cases[] = {
	{ "both families",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525", "[::1]:2626" } } },
	  { "203.0.113.25", "2001:db8::25" },
	  0,
	  NULL,
	  { "tproxy ip to 127.0.0.1:2525 ", "tproxy ip6 to [::1]:2626 ",
	    "elements = { 203.0.113.25 }", "elements = { 2001:db8::25 }" },
	  { "reject" } },
	{ "IPv4 alone",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525" } } },
	  { "203.0.113.25" },
	  0,
	  NULL,
	  { "tproxy ip to 127.0.0.1:2525 " },
	  { "ip6 ", "servers6", "reject" } },
	{ "IPv6 alone, though both are bound",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525", "[::1]:2525" } } },
	  { "2001:db8::25" },
	  0,
	  NULL,
	  { "tproxy ip6 to [::1]:2525 " },
	  { "ip daddr", "set servers {" } },
	{ "a family that nobody binds",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525" } } },
	  { "203.0.113.25", "2001:db8::25" },
	  0,
	  "has IPv6 addresses, but no tproxy listener for port 25 binds one",
	  { "tproxy ip to" },
	  { "tproxy ip6", "servers6" } },
	{ "prefixes, neighbours and what overlaps",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525" } } },
	  { "203.0.113.128/25", "203.0.113.0/25", "203.0.113.7", "192.0.2.1" },
	  0,
	  NULL,
	  { "elements = { 192.0.2.1, 203.0.113.0-203.0.113.127, 203.0.113.128-203.0.113.255 }" } },
	{ "wildcards are found at the loopback address",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "0.0.0.0:2525", "[::]:2525" } } },
	  { "203.0.113.25", "2001:db8::25" },
	  0,
	  NULL,
	  { "tproxy ip to 127.0.0.1:2525 ", "tproxy ip6 to [::1]:2525 " } },
	{ "a listener for each family, one of them fails closed",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525" } },
	    { LISTENER_TPROXY, FAIL_CLOSED, { "[::1]:2525" } } },
	  { "203.0.113.25", "2001:db8::25" },
	  0,
	  NULL,
	  { "tcp dport 25 ip6 daddr @servers6 ip6 saddr != @scanners6 ip6 saddr != @servers6 "
	    "reject with tcp "
	    "reset\n",
	    "tcp dport @alive ip daddr @servers ip saddr != @scanners ip saddr != @servers ct mark "
	    "set" },
	  { "tcp dport 25 ip daddr @servers ip saddr" } },
	{ "other listeners don't count",
	  { { LISTENER_LISTEN, FAIL_CLOSED, { "0.0.0.0:2525" } },
	    { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2526" } } },
	  { "203.0.113.25" },
	  0,
	  NULL,
	  { "tproxy ip to 127.0.0.1:2526 " },
	  { "reject" } },
	{ "three ports, one of them fails closed",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525", "[::1]:2525" } },
	    { LISTENER_TPROXY, FAIL_CLOSED, { "127.0.0.1:2465", "[::1]:2465" }, 465 },
	    { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2587", "[::1]:2587" }, 587 } },
	  { "203.0.113.25", "2001:db8::25" },
	  0,
	  NULL,
	  { "elements = { 25, 465, 587 }",
	    "direction original tcp dport 587 ip daddr @servers tproxy ip to 127.0.0.1:2587 ",
	    "direction original tcp dport 465 ip6 daddr @servers6 tproxy ip6 to [::1]:2465 meta "
	    "mark set meta mark & 0xffffff00 | 0xfb accept\n\t\t"
	    "tcp flags & (fin | syn | rst | ack) == syn tcp dport 465 ip6 daddr @servers6 ",
	    "tcp dport 465 ip daddr @servers ip saddr != @scanners ip saddr != @servers reject" },
	  { "dport 25 ip daddr @servers ip saddr", "dport 587 ip daddr @servers ip saddr",
	    "elements = { 25, 465, 587," } },
	{ "a port of one family alone",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525", "[::1]:2525" } },
	    { LISTENER_TPROXY, FAIL_OPEN, { "[::1]:2587" }, 587 } },
	  { "203.0.113.25", "2001:db8::25" },
	  0,
	  "has IPv4 addresses, but no tproxy listener for port 587 binds one: they are not steered "
	  "there\n",
	  { "elements = { 25, 587 }", "tcp dport 587 ip6 daddr" },
	  { "tcp dport 587 ip daddr" } },
	{ "a port whose listener is of no server's family",
	  { { LISTENER_TPROXY, FAIL_CLOSED, { "127.0.0.1:2525" } },
	    { LISTENER_TPROXY, FAIL_CLOSED, { "[::1]:2587" }, 587 } },
	  { "203.0.113.25" },
	  0,
	  "has IPv4 addresses, but no tproxy listener for port 587",
	  { "elements = { 25 }", "tcp dport 25 ip daddr" },
	  { "587", "ip6" } },
	{ "a port's families in two listeners",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2587" }, 587 },
	    { LISTENER_TPROXY, FAIL_OPEN, { "[::1]:2588" }, 587 } },
	  { "203.0.113.25", "2001:db8::25" },
	  0,
	  NULL,
	  { "elements = { 587 }", "tproxy ip to 127.0.0.1:2587 ", "tproxy ip6 to [::1]:2588 " } },
	{ "no tproxy listener",
	  { { LISTENER_LISTEN, FAIL_OPEN, { "0.0.0.0:2525" } } },
	  { "203.0.113.25" },
	  -EINVAL,
	  "no listener has mode: tproxy" },
	{ "no server address",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525" } } },
	  { NULL },
	  -EINVAL,
	  "server_addresses is empty" },
	{ "nothing in common",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525" } } },
	  { "2001:db8::25" },
	  -EINVAL,
	  "no address family in common" },
	{ "one port, two ways",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525" } },
	    { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2526" } } },
	  { "203.0.113.25" },
	  -EINVAL,
	  "steered elsewhere already" },
	{ "one listener, two ways",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525", "127.0.0.2:2525" } } },
	  { "203.0.113.25" },
	  -EINVAL,
	  "c.yaml:7: listener smtp: port 25 of IPv4 is steered elsewhere already; accepted for "
	  "each "
	  "port: one IPv4 and one IPv6 address" },
	{ "a port twice, behind another",
	  { { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2587", "[::1]:2587" }, 587 },
	    { LISTENER_TPROXY, FAIL_OPEN, { "127.0.0.1:2525", "[::1]:2525" } },
	    { LISTENER_TPROXY, FAIL_OPEN, { "[::1]:2588" }, 587 } },
	  { "203.0.113.25", "2001:db8::25" },
	  -EINVAL,
	  "port 587 of IPv6 is steered elsewhere already" },
};

struct fixture {
	struct conf conf;
	struct listener_conf listeners[LISTEN_MAX];
	struct endpoint bind[LISTEN_MAX][BIND_MAX];
};

static void set_up(struct fixture *f, const struct ruleset_case *c)
{
	static char file[] = "c.yaml", name[] = "smtp";

	*f = (struct fixture) { .conf = { .file = file, .listeners = f->listeners } };
	for (size_t i = 0; i < LISTEN_MAX && c->listeners[i].bind[0]; i++) {
		struct listener_conf *l = &f->listeners[f->conf.n_listeners++];
		*l = (struct listener_conf) { .name = name,
					      .mode = c->listeners[i].mode,
					      .fail = c->listeners[i].fail,
					      .bind = f->bind[i],
					      .port = c->listeners[i].port ?: 25,
					      .line = 7 };
		for (size_t k = 0; k < BIND_MAX && c->listeners[i].bind[k]; k++)
			assert_int_equal(endpoint_parse(sv_from(c->listeners[i].bind[k]),
							&l->bind[l->n_bind++]),
					 0);
	}
	prefix_set_init(&f->conf.policy.server_addresses);
	for (size_t i = 0; i < ARRAY_SIZE(c->servers) && c->servers[i]; i++) {
		struct prefix p;
		assert_int_equal(prefix_parse(sv_from(c->servers[i]), &p), 0);
		assert_int_equal(prefix_set_add(&f->conf.policy.server_addresses, &p), 0);
	}
	prefix_set_seal(&f->conf.policy.server_addresses);
}

static void check_text(const struct ruleset *r, const struct ruleset_case *c)
{
	struct buf text;

	buf_init(&text, RULESET_TEXT_MAX);
	assert_int_equal(ruleset_write(r, &text), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	const char *s = buf_view(&text).p;
	for (size_t i = 0; i < ARRAY_SIZE(c->contains) && c->contains[i]; i++)
		if (!strstr(s, c->contains[i]))
			fail_msg("%s: no \"%s\" in\n%s", c->name, c->contains[i], s);
	for (size_t i = 0; i < ARRAY_SIZE(c->lacks) && c->lacks[i]; i++)
		if (strstr(s, c->lacks[i]))
			fail_msg("%s: there is \"%s\" in\n%s", c->name, c->lacks[i], s);
	buf_deinit(&text);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ruleset_case *c = &cases[i];
		char said[512] = "";
		struct ruleset r;
		struct fixture f;

		set_up(&f, c);
		FILE *err = fmemopen(said, sizeof(said), "w");
		assert_non_null(err);
		int result = ruleset_from_conf(&f.conf, err, &r);
		fclose(err);
		if (result != c->result)
			fail_msg("%s: %d, expected %d (%s)", c->name, result, c->result, said);
		if (c->says ? !strstr(said, c->says) : said[0] != '\0')
			fail_msg("%s: says \"%s\"", c->name, said);
		if (result == 0) {
			check_text(&r, c);
			ruleset_deinit(&r);
		}
		prefix_set_deinit(&f.conf.policy.server_addresses);
	}
}

/* The whole text, as it was tried in namespaces: a change of it has to be tried there again. */
static void test_whole(void **state)
{
	static const char expected[] =
		"add table inet frontdoor\n"
		"delete table inet frontdoor\n"
		"table inet frontdoor {\n"
		"\tcomment \"made by frontdoor net\"\n"
		"\tset alive {\n"
		"\t\ttype inet_service\n"
		"\t\tflags timeout\n"
		"\t\telements = { 25 }\n"
		"\t}\n"
		"\tset servers {\n"
		"\t\ttype ipv4_addr\n"
		"\t\tflags interval\n"
		"\t\tauto-merge\n"
		"\t\telements = { 203.0.113.25 }\n"
		"\t}\n"
		"\tset scanners {\n"
		"\t\ttype ipv4_addr\n"
		"\t\tflags interval,timeout\n"
		"\t\tauto-merge\n"
		"\t}\n"
		"\tchain prerouting {\n"
		"\t\ttype filter hook prerouting priority -90; policy accept;\n"
		"\t\tiif \"lo\" return\n"
		"\t\tmeta l4proto { 1, 6, 58 } socket wildcard 0 socket transparent 1 "
		"meta mark set meta mark & 0xffffff00 | 0xfb accept\n"
		"\t\ttcp flags & (fin | syn | rst | ack) == syn tcp dport @alive ip daddr @servers "
		"ip saddr != @scanners ip saddr != @servers ct mark set ct mark & 0xffffff00 | "
		"0xfd\n"
		"\t\tct mark & 0xff == 0xfd tcp flags & (fin | syn | rst | ack) == syn "
		"tcp dport != @alive ct mark set ct mark & 0xffffff00\n"
		"\t\tct mark & 0xff == 0xfd ct direction original tcp dport 25 ip daddr @servers "
		"tproxy ip to 127.0.0.1:2525 meta mark set meta mark & 0xffffff00 | 0xfb accept\n"
		"\t\tct mark & 0xff == 0xfd tcp flags & (fin | syn | rst | ack) == syn "
		"ct mark set ct mark & 0xffffff00\n"
		"\t}\n"
		"\tchain output {\n"
		"\t\ttype route hook output priority mangle; policy accept;\n"
		"\t\tmeta mark & 0xff == 0xfc return\n"
		"\t\tmeta mark & 0xff == 0xfe ct mark set ct mark & 0xffffff00 | 0xfe\n"
		"\t\tct mark & 0xff == 0xfe ct direction reply meta mark set meta mark & "
		"0xffffff00 | 0xfb\n"
		"\t}\n"
		"}\n";
	struct ruleset r;
	struct fixture f;
	struct buf text;

	set_up(&f, &cases[1]);
	assert_int_equal(ruleset_from_conf(&f.conf, stderr, &r), 0);
	buf_init(&text, RULESET_TEXT_MAX);
	assert_int_equal(ruleset_write(&r, &text), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	assert_string_equal(buf_view(&text).p, expected);
	buf_deinit(&text);
	ruleset_deinit(&r);
	prefix_set_deinit(&f.conf.policy.server_addresses);
}

struct straight_case {
	const char *name;
	struct listener_conf listener;
	const char *accept_proxy; /* NULL: nobody */
	const char *elements[2];  /* of scanners and scanners6; NULL: none */
};

static const struct straight_case straight_cases[] = {
	{ "the trusted",
	  { .backend_original = true },
	  NULL,
	  { "elements = { 192.0.2.0-192.0.2.255, 198.51.100.7 }\n",
	    "elements = { 2001:db8:9::1 }\n" } },
	{ "not who says for whom he speaks",
	  { .backend_original = true },
	  "192.0.2.128/25",
	  { "elements = { 198.51.100.7 }\n", "elements = { 2001:db8:9::1 }\n" } },
	{ "another backend", { .backend_original = false }, NULL, { NULL } },
	{ "who must be told the client",
	  { .backend_original = true, .send = SEND_PROXY_V2 },
	  NULL,
	  { NULL } },
	{ "TLS only here",
	  { .backend_original = true, .upstream_tls = UPSTREAM_OFF },
	  NULL,
	  { NULL } },
};

static void add_prefix(struct prefix_set *set, const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(sv_from(text), &p), 0);
	assert_int_equal(prefix_set_add(set, &p), 0);
}

static void check_straight(const struct straight_case *c)
{
	static const char *const trusted[] = { "192.0.2.0/24", "198.51.100.7", "2001:db8:9::1" };
	static const char *const sets[] = { "\tset scanners {", "\tset scanners6 {" };
	struct listener_conf *l;
	struct ruleset r;
	struct fixture f;
	struct buf text;

	set_up(&f, &cases[0]);
	l = &f.listeners[0];
	l->backend_original = c->listener.backend_original;
	l->send = c->listener.send;
	l->upstream_tls = c->listener.upstream_tls;
	if (c->accept_proxy)
		add_prefix(&l->accept_proxy, c->accept_proxy);
	prefix_set_seal(&l->accept_proxy);
	for (size_t i = 0; i < ARRAY_SIZE(trusted); i++)
		add_prefix(&f.conf.policy.trusted, trusted[i]);
	prefix_set_seal(&f.conf.policy.trusted);
	assert_int_equal(ruleset_from_conf(&f.conf, stderr, &r), 0);
	buf_init(&text, RULESET_TEXT_MAX);
	assert_int_equal(ruleset_write(&r, &text), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		const char *set = strstr(buf_view(&text).p, sets[i]);
		assert_non_null(set);
		const char *elements = strstr(set, "elements"), *end = strstr(set, "\t}\n");
		if (elements > end)
			elements = NULL;
		size_t n = c->elements[i] ? strlen(c->elements[i]) : 0;
		if (c->elements[i] ? !elements || strncmp(elements, c->elements[i], n) != 0
				   : elements != NULL)
			fail_msg("%s: %.*s", c->name, (int)(end - set), set);
	}
	buf_deinit(&text);
	ruleset_deinit(&r);
	prefix_set_deinit(&l->accept_proxy);
	prefix_set_deinit(&f.conf.policy.trusted);
	prefix_set_deinit(&f.conf.policy.server_addresses);
}

static void test_straight(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(straight_cases); i++)
		check_straight(&straight_cases[i]);
}

static void test_too_long(void **state)
{
	struct ruleset r;
	struct fixture f;
	struct buf text;

	set_up(&f, &cases[0]);
	assert_int_equal(ruleset_from_conf(&f.conf, stderr, &r), 0);
	for (size_t max = 0; max < 1500; max += 50) {
		buf_init(&text, max);
		assert_int_equal(ruleset_write(&r, &text), -ENOBUFS);
		buf_deinit(&text);
	}
	ruleset_deinit(&r);
	prefix_set_deinit(&f.conf.policy.server_addresses);
}

static void test_commands(void **state)
{
	char out[ROUTING_TEXT_MAX];

	assert_string_equal(routing_format(AF_INET, ROUTING_RULE, "add", out),
			    "ip -4 rule add pref 100 fwmark 0xfb/0xff lookup 100 protocol 253");
	assert_string_equal(routing_format(AF_INET6, ROUTING_ROUTE, "del", out),
			    "ip -6 route del local default dev lo table 100 protocol 253");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),    cmocka_unit_test(test_whole),
		cmocka_unit_test(test_straight), cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_commands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
