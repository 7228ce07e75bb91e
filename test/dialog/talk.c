#include "talk.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum give { GIVE_AT_ONCE, GIVE_IN_ORDER, GIVE_BACKWARDS, GIVES };

struct run {
	const struct talk *talk;
	struct owner owner;
	enum give give;
	bool carries;     /* chunks go past the dialog where they can */
	size_t cut, step; /* pieces: the first of cut octets, then of step */
	size_t seen_client, seen_backend;
	char how[160];
};

static void fail_at(const struct run *r, const struct talk_step *s, struct sv want, struct sv got)
{
	fail_msg("%s, step %d:\nexpected: " SV_FMT "\ngot:      " SV_FMT, r->how,
		 (int)(s - r->talk->steps) + 1, SV_ARG(want), SV_ARG(got));
}

/* ---- verdicts ---- */

static bool verdict_of(const char *local, struct dialog_verdict *v, char *text)
{
	*v = (struct dialog_verdict) { .kind = DIALOG_PASS };
	if (strncmp(local, "tag", 3) == 0) {
		v->kind = DIALOG_TAG;
		v->domain = sv_from(strchr(local, '@') + 1);
		v->mx = (struct sv) { text,
				      (size_t)sprintf(text, "mx." SV_FMT, SV_ARG(v->domain)) };
		return true;
	}
	bool soft = strncmp(local, "soft", 4) == 0, drip = strncmp(local, "drip", 4) == 0;
	if (soft || drip || strncmp(local, "bad", 3) == 0) {
		v->kind = drip ? DIALOG_DRIP : DIALOG_REFUSE;
		v->reply = (struct sv) { text, (size_t)sprintf(text, "%s no\r\n",
							       soft ? "450 4.7.1" : "550 5.7.1") };
		return true;
	}
	return strncmp(local, "ok", 2) == 0 || strcasecmp(local, "postmaster") == 0;
}

static bool give(struct owner_rcpt *r, const char *local)
{
	struct dialog_verdict v;
	char text[400];

	if (!verdict_of(local, &v, text))
		return false;
	owner_verdict(r, &v);
	return true;
}

static void judge(struct owner *o, struct owner_rcpt *r, const struct smtp_path *path)
{
	struct run *run = o->user;

	if (run->give == GIVE_AT_ONCE)
		give(r, r->address);
}

/* A verdict may let more recipients be read: until none is left that can be answered. */
static void give_open(struct run *run)
{
	struct owner_rcpt *next;

	if (run->give == GIVE_AT_ONCE)
		return;
	do {
		next = NULL;
		for (struct owner_rcpt *r = run->owner.rcpts; r; r = r->next)
			if (r->waiting && strncmp(r->address, "wait-", 5) != 0) {
				next = r;
				if (run->give == GIVE_IN_ORDER)
					break;
			}
	} while (next && give(next, next->address));
}

static void give_named(struct run *run, const struct talk_step *s)
{
	for (struct owner_rcpt *r = run->owner.rcpts; r; r = r->next) {
		struct sv address = sv_from(r->address);
		if (r->waiting && sv_starts_nocase(address, s->bytes) &&
		    address.p[s->bytes.n] == '@') {
			assert_true(give(r, r->address + 5));
			return;
		}
	}
	fail_at(run, s, s->bytes, SV("no such recipient waits"));
}

/* ---- steps ---- */

static void say(struct run *r, struct sv bytes, void (*to)(struct owner *o, struct sv bytes))
{
	size_t at = 0, n = min_size(r->cut, bytes.n);

	do {
		to(&r->owner, (struct sv) { bytes.p + at, n });
		at += n;
		n = min_size(r->step, bytes.n - at);
	} while (at < bytes.n);
	give_open(r);
}

static void expect(struct run *r, const struct talk_step *s, struct sv all, size_t *seen)
{
	struct sv got = { all.p + *seen, all.n - *seen };

	if (!sv_eq(got, s->bytes))
		fail_at(r, s, s->bytes, got);
	*seen = all.n;
}

static void expect_number(struct run *r, const struct talk_step *s, int got)
{
	if (got != s->n)
		fail_msg("%s, step %d: expected %d, got %d", r->how, (int)(s - r->talk->steps) + 1,
			 s->n, got);
}

static void look(struct run *r, const struct talk_step *s)
{
	struct owner *o = &r->owner;

	switch (s->what) {
	case TALK_STATE:
		expect_number(r, s, o->open ? o->d.state : o->state);
		return;
	case TALK_WAITS:
		assert_true(o->open);
		expect_number(r, s, dialog_waits_for(&o->d));
		return;
	case TALK_BUSY:
		assert_true(o->open);
		expect_number(r, s, dialog_is_busy(&o->d));
		return;
	case TALK_CONNECTS:
		expect_number(r, s, o->connects);
		return;
	case TALK_BACKEND_DONE:
		expect_number(r, s, o->d.backend_done);
		return;
	case TALK_TROUBLES:
		expect_number(r, s, o->troubles);
		return;
	case TALK_TARPIT:
		if (!sv_eq(buf_view(&o->tarpit), s->bytes))
			fail_at(r, s, s->bytes, buf_view(&o->tarpit));
		return;
	case TALK_END:
	case TALK_CLIENT:
	case TALK_BACKEND:
	case TALK_EXPECT_CLIENT:
	case TALK_EXPECT_BACKEND:
	case TALK_CLIENT_EOF:
	case TALK_BACKEND_EOF:
	case TALK_TIMEOUT:
	case TALK_DRAIN:
	case TALK_SECURED_CLIENT:
	case TALK_SECURED_BACKEND:
	case TALK_NAME:
	case TALK_VERDICT:
		fail();
	}
}

static void step(struct run *r, const struct talk_step *s)
{
	struct owner *o = &r->owner;

	switch (s->what) {
	case TALK_CLIENT:
		say(r, s->bytes, owner_client);
		return;
	case TALK_BACKEND:
		say(r, s->bytes, owner_backend);
		return;
	case TALK_EXPECT_CLIENT:
		expect(r, s, buf_view(&o->to_client), &r->seen_client);
		return;
	case TALK_EXPECT_BACKEND:
		expect(r, s, buf_view(&o->to_backend), &r->seen_backend);
		return;
	case TALK_CLIENT_EOF:
		owner_client_eof(o);
		return;
	case TALK_BACKEND_EOF:
		owner_backend_eof(o);
		return;
	case TALK_TIMEOUT:
		owner_timeout(o);
		return;
	case TALK_DRAIN:
		owner_drain(o);
		return;
	case TALK_SECURED_CLIENT:
	case TALK_SECURED_BACKEND: {
		enum dialog_side side =
			s->what == TALK_SECURED_CLIENT ? DIALOG_CLIENT : DIALOG_BACKEND;
		if (!o->open || !o->securing[side])
			fail_at(r, s, SV("a handshake"), SV("none"));
		owner_secured(o, side, s->n);
		return;
	}
	case TALK_NAME:
		assert_true(o->name_wanted);
		owner_name(o, s->bytes);
		return;
	case TALK_VERDICT:
		give_named(r, s);
		give_open(r);
		return;
	case TALK_END:
	case TALK_STATE:
	case TALK_WAITS:
	case TALK_BUSY:
	case TALK_CONNECTS:
	case TALK_BACKEND_DONE:
	case TALK_TROUBLES:
	case TALK_TARPIT:
		look(r, s);
		return;
	}
}

static void check_ends(struct run *r)
{
	char told[16384];
	size_t n = 0;

	told[0] = '\0';
	for (const struct owner_rcpt *rcpt = r->owner.rcpts; rcpt; rcpt = rcpt->next)
		n += (size_t)snprintf(told + n, sizeof(told) - n, "%s%s %d/%d:%llu", n ? ", " : "",
				      rcpt->address, rcpt->reply, rcpt->code,
				      (unsigned long long)rcpt->octets);
	assert_true(n < sizeof(told));
	if (r->talk->ends && strcmp(told, r->talk->ends) != 0)
		fail_msg("%s, recipients:\nexpected: %s\ngot:      %s", r->how, r->talk->ends,
			 told);
}

static void run_talk(struct run *r)
{
	static const char *const gives[GIVES] = { "at once", "in order", "backwards" };
	const struct talk *t = r->talk;
	static const struct dialog_xclient xclient = { "192.0.2.9", "4025", "198.51.100.25", "25" };
	struct dialog_conf conf = { .starttls = t->starttls,
				    .upstream_tls = t->upstream_tls,
				    .client_tls = t->client_tls,
				    .xclient = t->xclient ? &xclient : NULL,
				    .bare = t->bare,
				    .relay_authenticated = t->relay,
				    .commands_max = t->commands_max,
				    .errors_max = t->errors_max };

	if (t->fronted) {
		conf.front_banner = SV(OWNER_BANNER);
		conf.front_ehlo = SV(OWNER_EHLO);
		if (t->fronted_tls)
			conf.front_ehlo_tls = SV(OWNER_EHLO_TLS);
	}
	snprintf(r->how, sizeof(r->how), "%s (cut at %zu, then each %zu; verdicts %s%s)", t->name,
		 r->cut, r->step, gives[r->give], r->carries ? "; chunks carried" : "");
	r->seen_client = r->seen_backend = 0;
	owner_start(&r->owner, conf, judge, r);
	r->owner.carries = r->carries;
	if (t->draining)
		owner_drain(&r->owner);
	for (const struct talk_step *s = t->steps; s->what != TALK_END; s++)
		step(r, s);
	/* nothing came that no step expected */
	struct talk_step nothing = { 0 };
	expect(r, &nothing, buf_view(&r->owner.to_client), &r->seen_client);
	expect(r, &nothing, buf_view(&r->owner.to_backend), &r->seen_backend);
	owner_close(&r->owner);
	check_ends(r);
	owner_end(&r->owner);
}

/* Where a broken invariant, which ends the program, was met. */
static const struct run *running;

static void on_abort(int signal)
{
	if (write(STDERR_FILENO, running->how, strlen(running->how)) < 0)
		return;
}

#define CUTS_MAX 150 /* of long steps only the start is cut at each octet */

static void test_talk(void **state)
{
	struct run r = { .talk = *state };
	size_t longest = 1;

	running = &r;
	signal(SIGABRT, on_abort);
	for (const struct talk_step *s = r.talk->steps; s->what != TALK_END; s++)
		if (s->bytes.n > longest && (s->what == TALK_CLIENT || s->what == TALK_BACKEND))
			longest = s->bytes.n;
	assert_int_equal(r.talk->steps[TALK_STEPS_MAX - 1].what, TALK_END);
	for (int way = 0; way < 2 * GIVES; way++) {
		r.give = (enum give)(way % GIVES);
		r.carries = way >= GIVES;
		r.cut = r.step = SIZE_MAX;
		run_talk(&r);
		for (r.cut = 1; r.cut < min_size(longest, CUTS_MAX); r.cut++)
			run_talk(&r);
		r.cut = r.step = 1;
		run_talk(&r);
	}
}

int talk_main(const struct talk *talks, size_t n)
{
	struct CMUnitTest *tests = calloc(n, sizeof(*tests));
	int failed;

	if (!tests)
		return 1;
	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest) { .name = talks[i].name,
						 .test_func = test_talk,
						 .initial_state = (void *)&talks[i] };
	failed = _cmocka_run_group_tests("talks", tests, n, NULL, NULL);
	free(tests);
	return failed;
}
