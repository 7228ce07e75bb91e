/* The ledger of observing: what is counted, how it is grouped, who comes first. */
#include "logscan/ledger.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DAY   86400000LL
#define START 1790000000000LL

struct mail {
	const char *client, *name, *helo, *domain, *action;
	int reply, message_reply;
	bool tls;
};

static void add(struct ledger *l, int64_t ms, const struct mail *m, const char *finding)
{
	char line[2048], time[32], name[300] = "null";

	if (m->name)
		snprintf(name, sizeof(name), "\"%s\"", m->name);
	int n = snprintf(line, sizeof(line),
			 "{\"time\":\"%s\",\"client\":\"%s\",\"client_name\":%s,\"helo\":\"%s\","
			 "\"rcpt_domain\":\"%s\",\"finding\":\"%s\",\"action\":\"%s\","
			 "\"reason\":\"not-egress\",\"scanner\":\"acme\",\"mx\":\"mx1.acme.net\","
			 "\"reply\":%d,\"message_reply\":%d,\"tls\":%s}",
			 clock_rfc3339(ms, time), m->client, name, m->helo, m->domain, finding,
			 m->action, m->reply, m->message_reply, m->tls ? "true" : "false");
	assert_int_equal(ledger_add(l, (struct sv) { line, (size_t)n }), 0);
}

static const struct mail bot = { "203.0.113.7", NULL, "x", "one.com", "observe", 550, 0, false };
static const struct mail honest = {
	"198.51.100.9", "out.shop.org", "out.shop.org", "one.com", "observe", 250, 250, true
};

static void groups_by_domain_network_reason_and_scanner(void **state)
{
	struct mail near = bot, elsewhere = bot, other = bot;
	struct ledger l;

	near.client = "203.0.113.200";
	elsewhere.client = "203.0.114.7";
	other.domain = "two.com";
	ledger_init(&l, 0, INT64_MAX);
	add(&l, START, &bot, "direct");
	add(&l, START, &near, "direct");
	add(&l, START, &elsewhere, "direct");
	add(&l, START, &other, "null");
	assert_int_equal(ledger_finish(&l), 0);
	assert_int_equal(l.n_order, 3);
	assert_int_equal(l.order[0]->recipients, 2);
	assert_int_equal(l.order[0]->rejected, 2);
	assert_int_equal(l.observed, 4);
	ledger_deinit(&l);
}

static void only_what_was_let_through_counts(void **state)
{
	struct mail refused = bot;
	struct ledger l;

	refused.action = "reject";
	ledger_init(&l, START, START + DAY);
	add(&l, START, &refused, "direct");
	add(&l, START, &bot, "pass");
	add(&l, START - 1, &bot, "direct");
	add(&l, START + DAY, &bot, "direct");
	add(&l, START + DAY - 1, &bot, "direct");
	assert_int_equal(ledger_finish(&l), 0);
	assert_int_equal(l.recipients, 3);
	assert_int_equal(l.direct, 2);
	assert_int_equal(l.refused, 1);
	assert_int_equal(l.n_order, 1);
	assert_int_equal(l.order[0]->first_ms, START + DAY - 1);
	ledger_deinit(&l);
}

static void honest_looking_ones_come_first(void **state)
{
	struct mail generic = honest, related = honest;
	struct ledger l;

	generic.client = "192.0.2.77";
	generic.name = generic.helo = "host-192-0-2-77.dsl.net";
	related.client = "192.0.3.1";
	related.name = "out7.acme.net";
	ledger_init(&l, 0, INT64_MAX);
	for (int i = 0; i < 50; i++)
		add(&l, START, &bot, "direct");
	for (int day = 0; day < 3; day++)
		add(&l, START + day * DAY, &honest, "direct");
	add(&l, START, &generic, "direct");
	add(&l, START, &related, "direct");
	assert_int_equal(ledger_finish(&l), 0);
	assert_int_equal(l.n_order, 4);

	assert_string_equal(l.order[0]->client_name, "out.shop.org");
	assert_int_equal(l.order[0]->signs, 1U << SIGN_NAMED | 1U << SIGN_ACCEPTED |
						    1U << SIGN_REGULAR | 1U << SIGN_HELO |
						    1U << SIGN_TLS);
	assert_int_equal(l.order[0]->points, 9);
	assert_string_equal(l.order[1]->client_name, "out7.acme.net");
	assert_int_equal(l.order[1]->signs, 1U << SIGN_NAMED | 1U << SIGN_RELATED |
						    1U << SIGN_ACCEPTED | 1U << SIGN_TLS);
	assert_true(l.order[1]->points >= LEDGER_HONEST);
	assert_string_equal(l.order[2]->client_name, generic.name); /* a name that is none */
	assert_int_equal(l.order[2]->signs, 1U << SIGN_ACCEPTED | 1U << SIGN_TLS);
	assert_int_equal(l.order[3]->points, 0);
	assert_int_equal(l.order[3]->recipients, 50);
	ledger_deinit(&l);
}

static void a_network_for_many_domains_is_noticed(void **state)
{
	static const char *const domains[] = { "one.com", "two.com", "three.com" };
	struct ledger l;

	for (size_t n = 2; n <= 3; n++) {
		ledger_init(&l, 0, INT64_MAX);
		for (size_t i = 0; i < n; i++) {
			struct mail m = honest;
			m.domain = domains[i];
			add(&l, START, &m, "direct");
		}
		assert_int_equal(ledger_finish(&l), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(!!(l.order[i]->signs & 1U << SIGN_DOMAINS), n == 3);
		ledger_deinit(&l);
	}
}

static void what_is_no_event_is_counted(void **state)
{
	static const char *const lines[] = {
		"{",
		"[]",
		"7",
		"nonsense",
		"{}",
		"{\"time\":\"yesterday\",\"client\":\"192.0.2.1\"}",
		"{\"time\":\"2026-11-23T20:01:02.003Z\",\"client\":\"none\"}",
		"{\"time\":5,\"client\":{}}",
		"\xff\xfe",
	};
	struct ledger l;

	ledger_init(&l, 0, INT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(ledger_add(&l, sv_from(lines[i])), 0);
	assert_int_equal(l.bad, ARRAY_SIZE(lines));
	assert_int_equal(ledger_add(&l, SV("{\"event\":\"start\",\"text\":\"\"}")), 0);
	assert_int_equal(ledger_add(&l, SV("")), 0);
	assert_int_equal(l.bad, ARRAY_SIZE(lines));
	assert_int_equal(ledger_finish(&l), 0);
	assert_int_equal(l.n_order, 0);
	ledger_deinit(&l);
}

static void times_are_read(void **state)
{
	int64_t ms;

	assert_int_equal(ledger_time(SV("2023-11-14T22:13:20.123Z"), &ms), 0);
	assert_int_equal(ms, 1700000000123);
	assert_int_equal(ledger_time(SV("2023-11-14T22:13:20.123"), &ms), -EINVAL);
	assert_int_equal(ledger_time(SV("2023-11-14T22:13:20.123Zz"), &ms), -EINVAL);
	assert_int_equal(ledger_time(SV(""), &ms), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_by_domain_network_reason_and_scanner),
		cmocka_unit_test(only_what_was_let_through_counts),
		cmocka_unit_test(honest_looking_ones_come_first),
		cmocka_unit_test(a_network_for_many_domains_is_noticed),
		cmocka_unit_test(what_is_no_event_is_counted),
		cmocka_unit_test(times_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
