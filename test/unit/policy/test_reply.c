#include "fixture.h"

#include <stdio.h>

static const struct policy no_url = { .help_url = "" };
static const struct policy with_url = { .help_url = "https://isp.example/mx" };

static void check(struct decision d, const struct policy *policy, const char *domain,
		  const char *want)
{
	struct addr server = address("203.0.113.25");
	char out[512];
	size_t n = decision_reply(&d, policy, domain, &server, "AbC123", out);

	assert_int_equal(n, strlen(out));
	assert_string_equal(out, want);
}

static struct decision refusal(enum finding finding, enum reason reason, enum action action)
{
	return (struct decision) { .door = DOOR_SCANNER,
				   .finding = finding,
				   .reason = reason,
				   .action = action,
				   .mx = "mx1.acme.example" };
}

static void test_words(void **state)
{
	struct decision d = refusal(FINDING_DIRECT, REASON_NOT_EGRESS, ACTION_DEFER);

	check(d, &no_url, "example.org",
	      "450 4.7.1 example.org takes mail at its MX, mx1.acme.example; delivery to "
	      "203.0.113.25 is deferred (AbC123)\r\n");
	d.action = ACTION_REJECT;
	check(d, &no_url, "example.org",
	      "550 5.7.1 example.org takes mail at its MX, mx1.acme.example; delivery to "
	      "203.0.113.25 is refused (AbC123)\r\n");
	d.action = ACTION_TARPIT;
	check(d, &with_url, "example.org",
	      "550 5.7.1 example.org takes mail at its MX, mx1.acme.example; delivery to "
	      "203.0.113.25 is refused (AbC123) see https://isp.example/mx\r\n");
	d.door = DOOR_ELSEWHERE;
	d.reason = REASON_NOT_ADDRESS;
	check(d, &no_url, "example.org",
	      "550 5.7.1 example.org takes mail at its own address, not here; delivery to "
	      "203.0.113.25 is refused (AbC123)\r\n");
	check(refusal(FINDING_NULL, REASON_NULL_MX, ACTION_REJECT), &with_url, "example.org",
	      "556 5.1.10 example.org takes no mail (null MX) (AbC123)\r\n");
	check(refusal(FINDING_NULL, REASON_NULL_MX, ACTION_DEFER), &no_url, "example.org",
	      "450 4.1.10 example.org takes no mail (null MX) (AbC123)\r\n");
	check(refusal(FINDING_DNS, REASON_DNS_FAILURE, ACTION_DEFER), &no_url, "example.org",
	      "451 4.4.3 DNS of example.org can't be reached just now; try again later "
	      "(AbC123)\r\n");
	check(refusal(FINDING_PASS, REASON_LITERAL, ACTION_REJECT), &no_url, NULL,
	      "550 5.1.3 a recipient without a domain name is not accepted here (AbC123)\r\n");
	check(refusal(FINDING_PASS, REASON_UNKNOWN_DOMAIN, ACTION_REJECT), &no_url, "example.org",
	      "550 5.1.2 example.org has neither MX nor address in DNS (AbC123)\r\n");
	check(refusal(FINDING_PASS, REASON_UNKNOWN_DOMAIN, ACTION_DEFER), &no_url, "example.org",
	      "450 4.1.2 example.org has neither MX nor address in DNS (AbC123)\r\n");
}

/* Every refusal, with names of every length: at most 512 octets, one line, the id in it. */
static void test_limits(void **state)
{
	static const struct {
		enum finding finding;
		enum reason reason;
		enum action action;
		enum door_kind door;
	} kinds[] = {
		{ FINDING_DIRECT, REASON_NOT_EGRESS, ACTION_REJECT, DOOR_SCANNER },
		{ FINDING_DIRECT, REASON_NOT_ADDRESS, ACTION_DEFER, DOOR_ELSEWHERE },
		{ FINDING_NULL, REASON_NULL_MX, ACTION_REJECT, DOOR_NULL },
		{ FINDING_DNS, REASON_DNS_FAILURE, ACTION_DEFER, DOOR_DNS },
		{ FINDING_DNS, REASON_PTR_FAILURE, ACTION_DEFER, DOOR_SCANNER },
		{ FINDING_PASS, REASON_LITERAL, ACTION_REJECT, DOOR_UNKNOWN },
		{ FINDING_PASS, REASON_UNKNOWN_DOMAIN, ACTION_REJECT, DOOR_UNKNOWN },
	};
	char domain[256], url[300], out[512 + 8];
	struct addr server = address("2001:db8:1111:2222:3333:4444:5555:6666");

	memset(url, 'u', sizeof(url));
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (size_t len = 1; len <= 255; len++) {
			struct decision d = { .finding = kinds[k].finding,
					      .reason = kinds[k].reason,
					      .action = kinds[k].action,
					      .door = kinds[k].door };
			size_t url_len = (len * 7) % 299;
			struct policy policy = { .help_url = url };

			memset(domain, 'd', len);
			memset(d.mx, 'm', len);
			domain[len] = d.mx[len] = '\0';
			memset(url, 'u', sizeof(url));
			url[url_len] = '\0';
			memset(out, '#', sizeof(out));
			size_t n = decision_reply(&d, &policy, domain, &server,
						  "0123456789abcdef012345", out);

			assert_true(n <= 512);
			assert_int_equal(n, strlen(out));
			assert_ptr_equal(strstr(out, "\r\n"), out + n - 2);
			assert_non_null(strstr(out, " (0123456789abcdef012345)"));
			assert_int_equal(out[sizeof(out) - 1], '#');
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
