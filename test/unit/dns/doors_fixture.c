#include "doors_fixture.h"

#include "base/clock.h"
#include "cm.h"

#include <stdio.h>
#include <stdlib.h>

enum { SERVFAIL = 2, NXDOMAIN = 3 };

/* What is said about every domain "*.org" from now on, by the mode of the fake. */
static const struct say {
	int rcode;
	const char *mx[3];      /* preferences 10, 20, 30 */
	const char *a;          /* of the domain itself, without MX */
	uint32_t ttl, host_ttl; /* host_ttl 0: the same */
} says[] = {
	[SAY_A] = { .mx = { "a.net" }, .ttl = 600 },
	[SAY_B] = { .mx = { "b.net" }, .ttl = 600 },
	[SAY_C] = { .mx = { "c.net", "a.net" }, .ttl = 600 },
	[SAY_ADDRESS] = { .a = "192.0.2.80", .ttl = 600 },
	[SAY_NXDOMAIN] = { .rcode = NXDOMAIN, .ttl = 600 },
	[SAY_FAILURE] = { .rcode = SERVFAIL, .ttl = 600 },
	[SAY_A_LONG] = { .mx = { "a.net" }, .ttl = 86400 },
	[SAY_A_SHORT] = { .mx = { "a.net" }, .ttl = 300 },
	[SAY_NULL_MX] = { .mx = { "" }, .ttl = 600 },
	[SAY_OTHER_ADDRESS] = { .a = "192.0.2.81", .ttl = 600 },
	[SAY_SILENCE] = { .rcode = -1 },
	[SAY_A_TINY] = { .mx = { "a.net" }, .ttl = 5 },
	[SAY_A_HUGE] = { .mx = { "a.net" }, .ttl = 900000 },
	[SAY_A_SPLIT] = { .mx = { "a.net" }, .ttl = 86400, .host_ttl = 60 },
};

_Atomic int a_net; /* the last octet of its address; 0: its look-up fails */
_Atomic bool ptr_fails;

struct told told;

static bool nodata(struct msg *m, uint32_t ttl)
{
	msg_soa(m, "org", ttl, ttl);
	return true;
}

static bool rcode(struct msg *m, int code, uint32_t ttl)
{
	m->b[3] = (uint8_t)((m->b[3] & 0xf0) | code);
	return nodata(m, ttl);
}

static bool answer_host(struct msg *m, const char *name, uint16_t type, int mode)
{
	uint32_t ttl = says[mode].host_ttl ? says[mode].host_ttl : says[mode].ttl;
	char addr[32];

	if (name[0] == 'a' && !a_net)
		return rcode(m, SERVFAIL, 0);
	if (type != WIRE_A)
		return nodata(m, 86400);
	snprintf(addr, sizeof(addr), "192.0.2.%d", name[0] == 'a' ? a_net : name[0]);
	msg_addr(m, name, ttl, addr);
	return true;
}

static bool answer(struct fake *f, struct msg *m, const char *name, uint16_t type, bool tcp)
{
	int mode = f->mode;
	const struct say *say = &says[mode];

	(void)tcp;
	if (say->rcode < 0)
		return false;
	if (strstr(name, "in-addr.arpa")) {
		if (ptr_fails)
			return rcode(m, SERVFAIL, 0);
		msg_name(m, MSG_ANSWER, name, WIRE_PTR, 600, "b.net");
		return true;
	}
	if (strstr(name, ".net"))
		return answer_host(m, name, type, mode);
	if (say->rcode)
		return rcode(m, say->rcode, say->ttl);
	for (int i = 0; type == WIRE_MX && i < 3 && say->mx[i]; i++)
		msg_mx(m, name, say->ttl, (uint16_t)(10 * i + 10), say->mx[i]);
	if (type == WIRE_MX && say->mx[0])
		return true;
	if (type != WIRE_A || !say->a)
		return nodata(m, say->ttl);
	msg_addr(m, name, say->ttl, say->a);
	return true;
}

static void on_domain(void *user, const char *domain, const struct domain_facts *facts, bool kept)
{
	(void)user;
	if (facts) {
		told.n++;
		if (strcmp(facts->domain, domain) != 0)
			abort();
	} else {
		snprintf(told.gone, sizeof(told.gone), "%s", domain);
		told.n_gone++;
	}
	if (kept)
		told.n_kept++;
}

void start_with(struct resolver_conf conf)
{
	memset(&told, 0, sizeof(told));
	a_net = 1;
	ptr_fails = false;
	conf.on_domain = on_domain;
	if (!conf.timeout_ms)
		conf.timeout_ms = 60;
	conf.tries = 2;
	world_start(conf, answer, START_MS);
}

int doors_setup(void **state)
{
	(void)state;
	start_with((struct resolver_conf) { 0 });
	return 0;
}

static const char *text_of(const struct domain_facts *f)
{
	static char out[8192];
	struct domain_facts former;
	int n;

	if (!f)
		return "";
	n = snprintf(out, sizeof(out), "%s", facts_text(f));
	if (f->former_until_ms) {
		former = (struct domain_facts) { .kind = f->former_kind,
						 .n_hosts = f->n_former,
						 .hosts = f->former };
		snprintf(out + n, sizeof(out) - (size_t)n, " | until %ld: %s",
			 (long)(f->former_until_ms - START_MS) / 1000, facts_text(&former));
	}
	return out;
}

const char *get(const char *domain)
{
	struct answer a = worker_get(&worker, RESOLVER_DOMAIN, domain);
	const char *text = text_of(a.facts);

	worker_free_answer(&a);
	return text;
}

const char *peek(const char *domain)
{
	return text_of(resolver_peek_domain(worker.port, domain));
}

void next_refresh(int say)
{
	const struct domain_facts *f = resolver_peek_domain(worker.port, "x.org");
	uint64_t done = stats().refreshed, failed = stats().failed;
	int64_t left;

	assert_non_null(f);
	fake.mode = say;
	left = f->expires_ms - now;
	set_time(now + left - left / 20);
	peek("x.org");
	WAIT_FOR(say == SAY_FAILURE ? stats().failed > failed : stats().refreshed > done);
}
