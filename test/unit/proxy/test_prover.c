/*
 * The prover: what workers tell it becomes proof, events and rows of the state file. The clock is
 * the test's; names come from a DNS server of its own.
 */
#include "proxy/prover.h"

#include "base/clock.h"
#include "proxy/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MINUTE  (60 * 1000LL)
#define HOUR    (60 * MINUTE)
#define DAY     (24 * HOUR)
#define MONO    (100 * DAY)
#define WALL    (19730 * DAY) /* a Monday */
#define SCANNER "acme.example"
#define INSIDE  "198.51.100.1"

static char folder[64], state_file[96], events_file[96];
static int64_t passed;
static struct fake fake;
static atomic_uint transactions; /* each message is another one */

/* Names of 192.0.2.7: in the scanner's domain; .8: DNS fails; others have none. */
static bool answer(struct fake *f, struct msg *m, const char *name, uint16_t type, bool tcp)
{
	if (strncmp(name, "8.", 2) == 0) {
		m->b[3] = (uint8_t)((m->b[3] & 0xf0) | 2);
		return true;
	}
	if (type == WIRE_PTR && strncmp(name, "7.2.0.192.", 10) == 0)
		msg_name(m, MSG_ANSWER, name, WIRE_PTR, 600, "out7.eu.acme.example");
	else if (type == WIRE_A && strcmp(name, "out7.eu.acme.example") == 0)
		msg_addr(m, name, 600, "192.0.2.7");
	else
		msg_soa(m, "example", 600, 600);
	return true;
}

static int setup(void **state)
{
	strcpy(folder, "/tmp/frontdoor-prover-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(state_file, sizeof(state_file), "%s/later/state.db", folder);
	snprintf(events_file, sizeof(events_file), "%s/events", folder);
	passed = 0;
	clock_fake(MONO, WALL);
	fake_start(&fake, answer);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	fake_stop(&fake);
	clock_fake(-1, -1);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command); /* NOLINT(cert-env33-c) */
}

static void pass(int64_t ms)
{
	passed += ms;
	clock_fake(MONO + passed, WALL + passed);
}

/* ---- a prover, and what it says ---- */

struct scene {
	struct conf conf;
	struct memory *memory;
	struct event_sink *events;
	struct prover *prover;
	struct resolver *resolver; /* NULL: the prover has no loop */
	uv_loop_t loop;
};

static void begin(struct scene *s, bool with_state)
{
	*s = (struct scene) { .conf = { .policy.prove = { 6, 0, 0.1 },
					.state = with_state ? state_file : NULL } };
	assert_int_equal(memory_new(&s->memory), 0);
	assert_int_equal(event_sink_new(events_file, &s->events), 0);
	assert_int_equal(
		prover_new(&(struct prover_conf) { &s->conf, s->memory, s->events }, &s->prover),
		0);
}

static void begin_loop(struct scene *s, bool with_state)
{
	struct endpoint server = { .port = fake.port };
	struct resolver_conf rc = {
		.servers = &server, .n_servers = 1, .timeout_ms = 500, .tries = 1
	};

	begin(s, with_state);
	assert_int_equal(addr_parse(SV("127.0.0.1"), &server.addr), 0);
	assert_int_equal(resolver_new(&rc, &s->resolver), 0);
	assert_int_equal(uv_loop_init(&s->loop), 0);
	assert_int_equal(prover_start(s->prover, &s->loop, s->resolver), 0);
}

static void end(struct scene *s)
{
	if (s->resolver) {
		while (!prover_end(s->prover)) {
			uv_run(&s->loop, UV_RUN_NOWAIT);
			usleep(1000);
		}
		prover_stop(s->prover);
		uv_run(&s->loop, UV_RUN_NOWAIT);
		assert_int_equal(uv_loop_close(&s->loop), 0);
		resolver_free(s->resolver);
	}
	prover_free(s->prover);
	event_sink_free(s->events);
	memory_free(s->memory);
}

/* Turns the loop until that is so; a condition that never comes fails after ten seconds. */
static void turn_until(struct scene *s, bool (*is_so)(struct scene *s))
{
	for (int i = 0; i < 10000 && !is_so(s); i++) {
		prover_tick(s->prover);
		uv_run(&s->loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	assert_true(is_so(s));
}

static struct prover_mail mail(int domain, const char *client, char text[32])
{
	struct prover_mail m = { .session = "abcdefghijkl",
				 .transaction = atomic_fetch_add(&transactions, 1),
				 .domain = text,
				 .scanner = SCANNER,
				 .mx_host = "mx1.acme.example",
				 .inside = strcmp(client, INSIDE) == 0,
				 .accepted = true };

	snprintf(text, 32, "d%d.example", domain);
	assert_int_equal(addr_parse(sv_from(client), &m.client), 0);
	return m;
}

static void tell(struct scene *s, const char *client, bool accepted, int domains, int times)
{
	char text[32];

	for (int i = 0; i < times; i++)
		for (int d = 0; d < domains; d++) {
			struct prover_mail m = mail(d, client, text);

			m.accepted = accepted;
			prover_tell(s->prover, &m);
		}
}

static void tick(struct scene *s)
{
	pass(3000);
	prover_tick(s->prover);
}

static bool is_proven(struct scene *s)
{
	return memory_scanner_is_proven(s->memory, SCANNER);
}

static bool is_rival(const struct scene *s, const char *client)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(client), &a), 0);
	return memory_scanner_is_rival(s->memory, SCANNER, &a);
}

/* How many events of the kind have these words; the sink is ended for it. */
static int count_events(struct scene *s, const char *kind, const char *words)
{
	char line[4096], event[64];
	int n = 0;

	prover_set_events(s->prover, NULL);
	event_sink_free(s->events);
	assert_int_equal(event_sink_new(events_file, &s->events), 0);
	prover_set_events(s->prover, s->events);
	snprintf(event, sizeof(event), "\"event\":\"%s\"", kind);
	FILE *f = fopen(events_file, "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, event) && strstr(line, words);
	fclose(f);
	return n;
}

/* ---- counting ---- */

static void test_proven(void **state)
{
	struct scene s;

	begin(&s, false);
	tell(&s, INSIDE, true, 1, 5);
	tell(&s, INSIDE, false, 1, 50); /* offered only */
	tick(&s);
	assert_false(is_proven(&s));
	tell(&s, INSIDE, true, 1, 1);
	tick(&s);
	assert_true(is_proven(&s));
	assert_true(memory_scanner_is_heard(s.memory, SCANNER, clock_mono_ms()));
	tell(&s, INSIDE, true, 1, 1);
	tick(&s);
	assert_int_equal(count_events(&s, "scanner-proven", "acme.example is proven: 6 messages"),
			 1);
	assert_int_equal(count_events(&s, "scanner-", ""), 0);
	end(&s);
}

/* A message counts once for a domain, however many recipients it has there. */
static void test_once(void **state)
{
	struct scene s;
	char text[32], other[32];

	begin(&s, false);
	struct prover_mail m = mail(1, INSIDE, text);
	struct prover_mail n = mail(2, INSIDE, other);

	n.transaction = m.transaction;
	for (int i = 0; i < 50; i++) {
		m.hosted = i == 0;
		prover_tell(s.prover, &m);
		prover_tell(s.prover, &n);
	}
	struct prover_stats stats;

	prover_stats(s.prover, &stats);
	assert_int_equal(stats.told, 2);
	m.transaction++;
	prover_tell(s.prover, &m);
	m.session = "abcdefghijkm";
	prover_tell(s.prover, &m);
	prover_stats(s.prover, &stats);
	assert_int_equal(stats.told, 4);
	end(&s);
}

/* Nobody waits, and nothing grows, when the owner does not come round. */
static void test_queue(void **state)
{
	struct prover_stats stats;
	struct scene s;

	begin(&s, false);
	tell(&s, INSIDE, true, 1, PROVER_QUEUE_MAX + 100);
	prover_stats(s.prover, &stats);
	assert_int_equal(stats.told, PROVER_QUEUE_MAX);
	assert_int_equal(stats.dropped, 100);
	tick(&s);
	tell(&s, INSIDE, true, 1, 10);
	prover_stats(s.prover, &stats);
	assert_int_equal(stats.told, PROVER_QUEUE_MAX + 10);
	end(&s);
}

static void *tell_much(void *scene)
{
	tell(scene, INSIDE, true, 3, 2000);
	return NULL;
}

static void test_threads(void **state)
{
	struct prover_stats stats;
	pthread_t threads[4];
	struct scene s;

	begin(&s, false);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, tell_much, &s), 0);
	for (int i = 0; i < 100; i++)
		prover_tick(s.prover);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	prover_stats(s.prover, &stats);
	assert_int_equal(stats.told + stats.dropped, 4 * 6000);
	tick(&s);
	assert_true(is_proven(&s));
	end(&s);
}

/* ---- events ---- */

static void test_rival(void **state)
{
	struct scene s;

	begin(&s, false);
	tell(&s, INSIDE, true, 3, 10);
	tick(&s);
	assert_true(is_proven(&s));
	tell(&s, "203.0.113.7", false, 3, 5);
	tick(&s);
	assert_true(is_proven(&s));
	assert_true(is_rival(&s, "203.0.113.200"));
	assert_false(is_rival(&s, "203.0.114.7"));
	tell(&s, "203.0.113.8", false, 3, 50);
	tick(&s);
	assert_int_equal(
		count_events(&s, "scanner-rival",
			     "203.0.113.0/24 carries 33 % of the mail for 3 domains of scanner "
			     "acme.example"),
		1);
	assert_int_equal(count_events(&s, "scanner-rival",
				      "frontdoor scanners --accept|--deny 203.0.113.0/24 "
				      "acme.example"),
			 1);
	end(&s);
}

static bool is_guessed(struct scene *s)
{
	return !is_proven(s);
}

/* With a name in the scanner's domain, found in the background; and with DNS failing: a client
 * whose name can't be found out is nobody's. */
static void test_related(void **state)
{
	struct scene s;

	begin_loop(&s, false);
	tell(&s, INSIDE, true, 3, 10);
	tick(&s);
	assert_true(is_proven(&s));
	tell(&s, "192.0.2.7", false, 3, 5);
	pass(3000);
	turn_until(&s, is_guessed);
	assert_true(is_rival(&s, "192.0.2.7"));
	assert_int_equal(count_events(&s, "scanner-rival", "192.0.2.0/24 (acme.example) "), 1);
	assert_int_equal(count_events(&s, "scanner-guessed-again",
				      "since its egress has grown: 192.0.2.0/24 (acme.example)"),
			 1);
	end(&s);
}

static bool is_wanting(struct scene *s)
{
	pass(3000);
	return !is_proven(s);
}

/* Trouble with DNS must not shut a door: such clients count as named. */
static void test_names_fail(void **state)
{
	struct scene s;

	begin_loop(&s, false);
	tell(&s, INSIDE, true, 1, 10);
	tell(&s, "203.0.113.9", true, 1, 30); /* has no name: does not count */
	for (int i = 0; i < 200; i++) {
		prover_tick(s.prover);
		uv_run(&s.loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	tick(&s);
	assert_true(is_proven(&s));
	tell(&s, "203.0.113.8", true, 1, 30);
	turn_until(&s, is_wanting);
	end(&s);
}

static void test_undecided(void **state)
{
	struct scene s;

	begin(&s, false);
	tell(&s, INSIDE, true, 1, 5);
	tick(&s);
	pass(14 * DAY);
	tell(&s, "203.0.113.9", true, 1, 6);
	tick(&s);
	tick(&s);
	assert_int_equal(count_events(&s, "scanner-undecided",
				      "acme.example is not proven after 14 days: 5 messages"),
			 1);
	end(&s);
}

static void test_quiet(void **state)
{
	struct scene s;

	begin(&s, false);
	for (int minutes = 0; minutes < 9 * 24 * 60 + 600; minutes++) {
		tell(&s, INSIDE, true, 1, 1);
		pass(MINUTE);
		prover_tick(s.prover);
	}
	assert_false(memory_scanner_is_quiet(s.memory, SCANNER));
	for (int minutes = 0; minutes < 70; minutes++) {
		pass(MINUTE);
		prover_tick(s.prover);
	}
	assert_true(memory_scanner_is_quiet(s.memory, SCANNER));
	for (int minutes = 0; minutes < 70; minutes++) {
		tell(&s, INSIDE, true, 1, 1);
		pass(MINUTE);
		prover_tick(s.prover);
	}
	assert_false(memory_scanner_is_quiet(s.memory, SCANNER));
	assert_int_equal(count_events(&s, "scanner-quiet", "where 60 are usual"), 1);
	assert_int_equal(count_events(&s, "scanner-heard-again", SCANNER), 1);
	end(&s);
}

static void test_retried(void **state)
{
	struct addr client;
	struct scene s;
	int passes = 0;

	begin(&s, false);
	assert_int_equal(addr_parse(SV("192.0.2.7"), &client), 0);
	for (int i = 0; i < 8; i++) {
		passes += prover_retried(s.prover, "example.org", SCANNER, &client);
		pass(2 * HOUR);
	}
	assert_int_equal(passes, 1);
	assert_int_equal(
		count_events(&s, "retried", "192.0.2.0/24 has retried for example.org 4 times"), 1);
	end(&s);
}

/* ---- the state file ---- */

static bool save_failed(struct scene *s)
{
	struct prover_stats stats;

	prover_stats(s->prover, &stats);
	pass(1000);
	return stats.save_failed > 0;
}

static bool has_saved(struct scene *s)
{
	struct prover_stats stats;

	prover_stats(s->prover, &stats);
	pass(1000);
	return stats.saved > 0;
}

static uint64_t saved_inside(void)
{
	static const struct proof_conf conf = { 6, 0, 0.1 };
	struct state_error error;
	struct proof_state judged;
	struct proof *p;
	uint64_t inside = 0;

	assert_int_equal(proof_new(&p), 0);
	if (state_load(state_file, NULL, p, &error) != 0)
		fail_msg("%s", error.text);
	if (proof_judge(p, SCANNER, &conf, WALL, &judged) == 0) {
		inside = judged.inside;
		proof_state_deinit(&judged);
	}
	proof_free(p);
	return inside;
}

/* The folder is not there at first: nothing is lost by that. */
static void test_disk(void **state)
{
	char later[80], text[32];
	struct scene s;

	begin_loop(&s, true);
	tell(&s, INSIDE, true, 2, 5);
	struct prover_mail m = mail(77, INSIDE, text);

	m.scanner = "";
	m.hosted = true;
	prover_tell(s.prover, &m);
	turn_until(&s, save_failed);
	assert_true(is_proven(&s));
	tell(&s, INSIDE, true, 2, 1);
	snprintf(later, sizeof(later), "%s/later", folder);
	assert_int_equal(mkdir(later, 0700), 0);
	turn_until(&s, has_saved);
	tell(&s, INSIDE, true, 2, 2);
	end(&s);
	assert_int_equal(saved_inside(), 16);

	/* After a restart it goes on from there, and says nothing anew. */
	begin_loop(&s, true);
	assert_true(is_proven(&s));
	assert_true(memory_is_hosted(s.memory, "d77.example"));
	assert_true(memory_scanner_is_heard(s.memory, SCANNER, clock_mono_ms()));
	tell(&s, INSIDE, true, 2, 1);
	tick(&s);
	assert_int_equal(count_events(&s, "scanner-proven", ""), 1);
	end(&s);
	assert_int_equal(saved_inside(), 18);
}

static bool is_accepted(struct scene *s)
{
	struct addr a;

	assert_int_equal(addr_parse(SV("192.0.2.9"), &a), 0);
	pass(1000);
	return memory_scanner_accepts(s->memory, SCANNER, &a);
}

static bool is_not_accepted(struct scene *s)
{
	return !is_accepted(s);
}

/* Both in the file while the daemon runs: settled by one command, learned by another. */
static void test_others(void **state)
{
	struct state_error error;
	struct prefix network, other;
	struct proof *logs;
	char later[80];
	struct scene s;

	snprintf(later, sizeof(later), "%s/later", folder);
	assert_int_equal(mkdir(later, 0700), 0);
	begin_loop(&s, true);
	tell(&s, INSIDE, true, 1, 2);
	tick(&s);
	assert_int_equal(prefix_parse(SV("192.0.2.0/24"), &network), 0);
	assert_int_equal(state_settle(state_file, SCANNER, &network, SETTLE_ACCEPT, &other, &error),
			 0);
	turn_until(&s, is_accepted);
	assert_false(is_proven(&s));

	assert_int_equal(proof_new(&logs), 0);
	struct proof_mail m = { .scanner = SCANNER,
				.domain = "d0.example",
				.mx_host = "mx1.acme.example",
				.inside = true,
				.messages = 50,
				.first_ms = WALL - 5 * DAY,
				.last_ms = WALL - DAY };

	assert_int_equal(proof_add(logs, &m), 0);
	assert_int_equal(state_save(state_file, NULL, logs, &error), 0);
	turn_until(&s, is_proven);
	assert_true(is_accepted(&s));
	assert_int_equal(state_settle(state_file, SCANNER, &network, SETTLE_FORGET, &other, &error),
			 0);
	turn_until(&s, is_not_accepted);
	assert_true(is_proven(&s));
	tell(&s, INSIDE, true, 1, 3);
	end(&s);
	assert_int_equal(saved_inside(), 55);
	proof_free(logs);
}

static bool is_saved(struct scene *s)
{
	struct prover_stats stats;

	pass(1000);
	prover_stats(s->prover, &stats);
	return stats.saved > 0;
}

/* The file is moved away to learn anew: what it had is not gone by any more, proof nor settled. */
static void test_moved_away(void **state)
{
	struct state_error error;
	struct prefix network, other;
	char text[1024], name[32];
	struct scene s;

	snprintf(text, sizeof(text), "%s/later", folder);
	assert_int_equal(mkdir(text, 0700), 0);
	begin_loop(&s, true);
	tell(&s, INSIDE, true, 3, 10);
	tick(&s);
	assert_true(is_proven(&s));
	turn_until(&s, is_saved);
	assert_int_equal(prefix_parse(SV("192.0.2.0/24"), &network), 0);
	assert_int_equal(state_settle(state_file, SCANNER, &network, SETTLE_ACCEPT, &other, &error),
			 0);
	turn_until(&s, is_accepted);
	for (size_t i = 0; i < 3; i++) {
		static const char *const ends[] = { "", "-wal", "-shm" };

		snprintf(text, sizeof(text), "%s%s", state_file, ends[i]);
		(void)unlink(text);
	}
	struct prover_mail m = mail(0, INSIDE, name);

	m.scanner = "other.example";
	prover_tell(s.prover, &m);
	turn_until(&s, is_wanting);
	turn_until(&s, is_not_accepted);
	end(&s);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_proven),     CASE(test_once),      CASE(test_queue),
		CASE(test_threads),    CASE(test_rival),     CASE(test_related),
		CASE(test_names_fail), CASE(test_undecided), CASE(test_quiet),
		CASE(test_retried),    CASE(test_disk),      CASE(test_others),
		CASE(test_moved_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
