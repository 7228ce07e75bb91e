/*
 * Plays the scenario in a file (*.rpl) against the real dialog and the real decide(), with a clock
 * and a DNS of its own: no socket, no sleep. test/replay/README describes the language. Whatever
 * comes out must be expected before the next event.
 */
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 40

static const int64_t time_limit_ms[DIALOG_WAIT_COUNT] = {
	/* the defaults of conf/limits.c */
	[DIALOG_WAIT_COMMAND] = 5 * 60 * 1000,      [DIALOG_WAIT_DATA] = 3 * 60 * 1000,
	[DIALOG_WAIT_VERDICT] = 5 * 60 * 1000,      [DIALOG_WAIT_BACKEND] = 5 * 60 * 1000,
	[DIALOG_WAIT_BACKEND_DATA] = 2 * 60 * 1000, [DIALOG_WAIT_BACKEND_FINAL] = 10 * 60 * 1000,
};

struct replay {
	const char *file;
	int line;
	struct world world;
	struct owner owner;
	bool session; /* the owner is there */
	size_t seen_client, seen_backend, seen_tarpit;
	int seen_connects;
	int64_t deadline_ms;
	char *words[WORDS_MAX + 1];
	int n_words;
	char *rest[3]; /* the line from its second, from its third word on */
};

__attribute__((noreturn)) static void fail(const struct replay *r, const char *fmt, ...)
	PRINTF(2, 3);

static void fail(const struct replay *r, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: ", r->file, r->line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* ---- words ---- */

static bool is(const char *word, const char *other)
{
	return word && strcmp(word, other) == 0;
}

static const char *word(const struct replay *r, int i)
{
	if (i >= r->n_words)
		fail(r, "a word is missing behind \"%s\"", r->words[r->n_words - 1]);
	return r->words[i];
}

static int number(const struct replay *r, const char *text)
{
	uint64_t n;

	if (sv_to_u64(sv_from(text), 65535, &n) < 0)
		fail(r, "\"%s\" is no number", text);
	return (int)n;
}

static int64_t duration(const struct replay *r, const char *text)
{
	char *unit;
	long long n = strtoll(*text == '+' ? text + 1 : text, &unit, 10);

	if (is(unit, "ms"))
		return n;
	if (is(unit, "s"))
		return n * 1000;
	if (is(unit, "m"))
		return n * 60000;
	if (is(unit, "h"))
		return n * 3600000;
	fail(r, "\"%s\" is no duration; 200ms, 30s, 5m, 1h are", text);
}

static struct addr address(const struct replay *r, const char *text)
{
	struct addr a;

	if (addr_parse(sv_from(text), &a) < 0)
		fail(r, "\"%s\" is no address", text);
	return a;
}

static void prefix(const struct replay *r, struct prefix_set *set, const char *text)
{
	struct prefix p;

	if (prefix_parse(sv_from(text), &p) < 0 || prefix_set_add(set, &p) < 0)
		fail(r, "\"%s\" is no prefix", text);
}

static enum action action(const struct replay *r, const char *text)
{
	enum action a = action_from_name(sv_from(text));

	if (a == ACTION_UNSET)
		fail(r, "\"%s\" is no action", text);
	return a;
}

/* "after 2s" at a statement's end, taken off. */
static int64_t take_after(struct replay *r)
{
	if (r->n_words < 3 || !is(r->words[r->n_words - 2], "after"))
		return 0;
	r->n_words -= 2;
	return duration(r, r->words[r->n_words + 1]);
}

/* \r \n \0 \\ \xNN undone, in place. */
static struct sv unescape(const struct replay *r, char *text)
{
	char *out = text;

	if (!text)
		fail(r, "a text is missing");
	for (char *in = text; *in; in++) {
		if (*in != '\\') {
			*out++ = *in;
			continue;
		}
		in++;
		if (*in == 'x') {
			*out++ = (char)strtol((char[]) { in[1], in[1] ? in[2] : '\0', '\0' }, NULL,
					      16);
			in += 2;
		} else if (strchr("rn0\\", *in) && *in) {
			*out++ = *in == 'r' ? '\r' : *in == 'n' ? '\n' : *in == '0' ? '\0' : '\\';
		} else {
			fail(r, "\\%c is no escape", *in);
		}
	}
	return (struct sv) { text, (size_t)(out - text) };
}

/* ---- the world ---- */

static void do_policy(struct replay *r)
{
	struct policy *p = &r->world.policy;
	const char *what = word(r, 1);

	if (is(what, "confirm"))
		p->confirm = true;
	else if (is(what, "action"))
		p->action = action(r, word(r, 2));
	else if (is(what, "guessed_action"))
		p->guessed_action = action(r, word(r, 2));
	else if (is(what, "on_dns_failure"))
		p->on_dns_failure = action(r, word(r, 2));
	else if (is(what, "on_unknown_domain"))
		p->on_unknown_domain = action(r, word(r, 2));
	else if (is(what, "prove")) /* MAILS HOURS */
		p->prove = (struct proof_conf) { number(r, word(r, 2)), number(r, word(r, 3)),
						 p->prove.rival };
	else
		fail(r, "no such policy: %s", what);
}

static bool is_source(const char *text)
{
	return strncmp(text, "spf:", 4) == 0 || strncmp(text, "host:", 5) == 0;
}

/* source KEY PREFIX... or fail, [incomplete] [after TIME] */
static void do_source(struct replay *r)
{
	struct world_source *e = calloc(1, sizeof(*e));

	INVARIANT(e);
	e->delay_ms = take_after(r);
	snprintf(e->key, sizeof(e->key), "%s", word(r, 1));
	if (!is_source(e->key))
		fail(r, "source spf:NAME or host:NAME");
	e->source = (struct egress_source) { .key = e->key, .left_out = "" };
	prefix_set_init(&e->source.set);
	for (int i = 2; i < r->n_words; i++) {
		if (is(r->words[i], "fail"))
			e->source.status = SOURCE_FAILED;
		else if (is(r->words[i], "incomplete"))
			e->source.incomplete = true;
		else
			prefix(r, &e->source.set, r->words[i]);
	}
	prefix_set_seal(&e->source.set);
	e->next = r->world.sources;
	r->world.sources = e;
}

/* scanner NAME mx PATTERN [egress PREFIX|spf:NAME|host:NAME...] */
static void do_scanner(struct replay *r)
{
	struct policy *p = &r->world.policy;

	if (p->n_scanners == WORLD_SCANNERS_MAX || !is(word(r, 2), "mx"))
		fail(r, "scanner NAME mx PATTERN [egress PREFIX...]");
	struct scanner *s = &r->world.scanners[p->n_scanners++];
	s->name = strdup(word(r, 1));
	s->mx = calloc(1, sizeof(*s->mx));
	INVARIANT(s->name && s->mx);
	s->mx[s->n_mx++] = strdup(word(r, 3));
	s->egress_mx = true;
	prefix_set_init(&s->cidrs);
	s->sources = calloc((size_t)r->n_words, sizeof(*s->sources));
	INVARIANT(s->sources);
	for (int i = 5; i < r->n_words; i++) {
		if (is_source(r->words[i]))
			s->sources[s->n_sources++] = strdup(r->words[i]);
		else
			prefix(r, &s->cidrs, r->words[i]);
	}
	prefix_set_seal(&s->cidrs);
}

/* dns DOMAIN mx PREF HOST ADDR..., address ADDR, null, nothing or fail, [after TIME] */
static void do_dns(struct replay *r)
{
	struct world_domain *d = calloc(1, sizeof(*d));

	INVARIANT(d);
	d->delay_ms = take_after(r);
	snprintf(d->name, sizeof(d->name), "%s", word(r, 1));
	const char *kind = word(r, 2);
	d->kind = is(kind, "mx")        ? FACTS_MX
		  : is(kind, "address") ? FACTS_ADDRESS
		  : is(kind, "null")    ? FACTS_NULL_MX
		  : is(kind, "nothing") ? FACTS_NOTHING
					: FACTS_FAILED;
	d->confirmable = d->kind != FACTS_FAILED;
	if (d->kind == FACTS_FAILED && !is(kind, "fail"))
		fail(r, "\"%s\" is nothing that DNS says", kind);
	for (int i = 3; i < r->n_words; i += d->kind == FACTS_MX ? 3 : 1) {
		bool mx = d->kind == FACTS_MX;
		if (mx && i + 2 >= r->n_words)
			fail(r, "mx PREF HOST ADDR");
		d->addrs[d->n_hosts] = address(r, r->words[mx ? i + 2 : i]);
		snprintf(d->host_names[d->n_hosts], 256, "%s", mx ? r->words[i + 1] : d->name);
		d->hosts[d->n_hosts] =
			(struct dns_host) { .status = DNS_OK,
					    .preference =
						    (uint16_t)(mx ? number(r, r->words[i]) : 0),
					    .n_addrs = 1,
					    .addrs = &d->addrs[d->n_hosts] };
		d->n_hosts++;
	}
	/* what is said later holds */
	d->next = r->world.domains;
	r->world.domains = d;
}

/* names ADDR NAME... or fail, [after TIME] */
static void do_names(struct replay *r)
{
	struct world_names *n = calloc(1, sizeof(*n));

	INVARIANT(n);
	n->delay_ms = take_after(r);
	n->client = address(r, word(r, 1));
	n->failed = is(word(r, 2), "fail");
	for (int i = 2; i < r->n_words && !n->failed; i++, n->n++) {
		snprintf(n->texts[n->n], 256, "%s", r->words[i]);
		n->names[n->n] = n->texts[n->n];
	}
	n->next = r->world.names;
	r->world.names = n;
}

/* settle accept|deny NETWORK SCANNER, settle forget */
static void do_settle(struct replay *r)
{
	struct proof_settled row = { .accepted = is(word(r, 1), "accept") };

	if (is(r->words[1], "forget")) {
		proof_forget_settled(r->world.proof);
	} else {
		row.scanner = word(r, 3);
		if (prefix_parse(sv_from(word(r, 2)), &row.network) < 0 ||
		    proof_put_settled(r->world.proof, &row) != 0)
			fail(r, "settle accept|deny NETWORK SCANNER");
	}
	world_prove(&r->world);
}

/* A '#' in an address or name stands for a number: the messages come from, or for, all in turn. */
static void numbered(char *out, size_t size, const char *text, int n)
{
	size_t at = strcspn(text, "#");

	snprintf(out, size, text[at] ? "%.*s%d%s" : "%.*s", (int)at, text, n,
		 text[at] ? text + at + 1 : "");
}

/* traffic CLIENT DOMAIN MESSAGES [NUMBERS] */
static void do_traffic(struct replay *r)
{
	int messages = number(r, word(r, 3)), numbers = r->n_words > 4 ? number(r, word(r, 4)) : 1;
	struct decision d;

	for (int i = 0; i < messages; i++) {
		char client[64], domain[256];

		numbered(client, sizeof(client), word(r, 1), 1 + i % numbers);
		numbered(domain, sizeof(domain), word(r, 2), 1 + i % numbers);
		struct addr from = address(r, client);

		world_deliver(&r->world, &from, domain, &d);
	}
	world_prove(&r->world);
	r->world.missing = NULL;
}

/* ---- expectations ---- */

static void print_bytes(struct sv bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		unsigned char c = (unsigned char)bytes.p[i];
		if (c == '\r' || c == '\n')
			fputs(c == '\r' ? "\\r" : "\\n", stderr);
		else
			fprintf(stderr, c < 32 || c > 126 ? "\\x%02x" : "%c", c);
	}
	fputc('\n', stderr);
}

static struct sv unseen(const struct buf *all, size_t seen)
{
	struct sv v = buf_view(all);

	return (struct sv) { v.p + seen, v.n - seen };
}

/* '*' is any octets of a line. Returns how many octets of text the pattern took; -1: no match. */
static ptrdiff_t match(struct sv pattern, struct sv text)
{
	size_t i = 0, k = 0;

	for (; i < pattern.n; i++) {
		if (pattern.p[i] != '*') {
			if (k == text.n || text.p[k++] != pattern.p[i])
				return -1;
			continue;
		}
		struct sv rest = { pattern.p + i + 1, pattern.n - i - 1 };
		for (size_t from = k; from <= text.n; from++) {
			ptrdiff_t n = match(rest, (struct sv) { text.p + from, text.n - from });
			if (n >= 0)
				return (ptrdiff_t)from + n;
			if (from < text.n && text.p[from] == '\n')
				break;
		}
		return -1;
	}
	return (ptrdiff_t)k;
}

static void expect_bytes(struct replay *r, const struct buf *all, size_t *seen, struct sv pattern)
{
	struct sv got = unseen(all, *seen);
	ptrdiff_t n = match(pattern, got);

	if (n < 0) {
		fputs("expected: ", stderr);
		print_bytes(pattern);
		fputs("came:     ", stderr);
		print_bytes(got);
		fail(r, "not what was expected");
	}
	*seen += (size_t)n;
}

static void expect_nothing(struct replay *r)
{
	struct sv client, backend;

	if (!r->session)
		return;
	client = unseen(&r->owner.to_client, r->seen_client);
	backend = unseen(&r->owner.to_backend, r->seen_backend);
	if (client.n > 0 || backend.n > 0) {
		fputs("client:  ", stderr);
		print_bytes(client);
		fputs("backend: ", stderr);
		print_bytes(backend);
		fail(r, "unexpected bytes before this line");
	}
	if (r->owner.connects != r->seen_connects)
		fail(r, "an unexpected connect before this line");
	if (r->world.missing)
		fail(r, "no dns statement for %s", r->world.missing);
}

static void expect_state(struct replay *r, const char *what)
{
	static const char *const states[] = { "open", "relay", "tarpit", "closed" };
	enum dialog_state s = r->owner.open ? r->owner.d.state : r->owner.state;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (is(what, states[i])) {
			if (s != i)
				fail(r, "the dialog is %s", states[s]);
			return;
		}
	fail(r, "nothing is known as \"%s\"", what);
}

static void expect_wait(struct replay *r, const char *what)
{
	static const char *const waits[DIALOG_WAIT_COUNT] = {
		[DIALOG_WAIT_COMMAND] = "command",         [DIALOG_WAIT_DATA] = "data",
		[DIALOG_WAIT_VERDICT] = "verdict",         [DIALOG_WAIT_BACKEND] = "backend",
		[DIALOG_WAIT_BACKEND_DATA] = "data-start", [DIALOG_WAIT_BACKEND_FINAL] = "final",
		[DIALOG_WAIT_HANDSHAKE] = "handshake",
	};

	if (!r->owner.open)
		fail(r, "the dialog is over");
	if (!is(what, waits[dialog_waits_for(&r->owner.d)]))
		fail(r, "it waits for %s", waits[dialog_waits_for(&r->owner.d)]);
}

/* expect rcpt ADDRESS TOLD END REASON ACTION: the last recipient of that address */
static void expect_rcpt(struct replay *r)
{
	const struct owner_rcpt *found = NULL;

	for (const struct owner_rcpt *o = r->owner.rcpts; o; o = o->next)
		if (is(o->address, word(r, 2)))
			found = o;
	if (!found || found->n_ends == 0)
		fail(r, "%s", found ? "it has not ended" : "no such recipient");
	const struct judgement *j = found->user;
	if (found->reply != number(r, word(r, 3)) || found->code != number(r, word(r, 4)) ||
	    !is(reason_name(j->decision.reason), word(r, 5)) ||
	    !is(action_name(j->decision.action), word(r, 6)))
		fail(r, "%s %d %d %s %s", found->address, found->reply, found->code,
		     reason_name(j->decision.reason), action_name(j->decision.action));
}

/* expect told CLIENT DOMAIN CODE [GRADE] [RESTRAINT]: one message more */
static void expect_told(struct replay *r)
{
	struct addr from = address(r, word(r, 2));
	struct decision d;
	int code = world_deliver(&r->world, &from, word(r, 3), &d);
	const char *restraint = restraint_name(d.restraint);

	if (code != number(r, word(r, 4)) ||
	    (r->n_words > 5 && !is(grade_name(d.grade), r->words[5])) ||
	    (r->n_words > 6 && !is(restraint && *restraint ? restraint : "none", r->words[6])))
		fail(r, "told %d, %s %s", code, grade_name(d.grade),
		     restraint && *restraint ? restraint : "none");
}

static void do_expect(struct replay *r)
{
	const char *what = word(r, 1);

	if (is(what, "client"))
		expect_bytes(r, &r->owner.to_client, &r->seen_client, unescape(r, r->rest[2]));
	else if (is(what, "backend"))
		expect_bytes(r, &r->owner.to_backend, &r->seen_backend, unescape(r, r->rest[2]));
	else if (is(what, "nothing"))
		expect_nothing(r);
	else if (is(what, "connect") && r->owner.connects == r->seen_connects + 1)
		r->seen_connects++;
	else if (is(what, "waits"))
		expect_wait(r, word(r, 2));
	else if (is(what, "rcpt"))
		expect_rcpt(r);
	else if (is(what, "told"))
		expect_told(r);
	else
		expect_state(r, what);
	if (is(what, "tarpit"))
		expect_bytes(r, &r->owner.tarpit, &r->seen_tarpit, unescape(r, r->rest[2]));
}

/* ---- events ---- */

static void end_session(struct replay *r)
{
	if (r->session) {
		expect_nothing(r);
		owner_end(&r->owner);
	}
	r->session = false;
}

static void new_deadline(struct replay *r)
{
	if (r->session && r->owner.open)
		r->deadline_ms = r->world.now_ms + time_limit_ms[dialog_waits_for(&r->owner.d)];
}

/* session CLIENT [fronted] [relay] [starttls | tls] [reject-bare] */
static void do_session(struct replay *r)
{
	struct dialog_conf conf = { 0 };

	end_session(r);
	r->world.client = address(r, word(r, 1));
	for (int i = 2; i < r->n_words; i++) {
		if (is(r->words[i], "fronted")) {
			conf.front_banner = SV(OWNER_BANNER);
			conf.front_ehlo = SV(OWNER_EHLO);
		} else if (is(r->words[i], "relay")) {
			conf.relay_authenticated = true;
		} else if (is(r->words[i], "starttls")) {
			conf.starttls = DIALOG_STARTTLS_PASS;
		} else if (is(r->words[i], "tls")) {
			conf.starttls = DIALOG_STARTTLS_OURS;
		} else if (is(r->words[i], "reject-bare")) {
			conf.bare = BODY_REJECT;
		} else {
			fail(r, "no such session: %s", r->words[i]);
		}
	}
	r->seen_client = r->seen_backend = r->seen_tarpit = 0;
	r->seen_connects = 0;
	owner_start(&r->owner, conf, world_judge, &r->world);
	r->owner.ended = world_ended;
	r->session = true;
}

/* Greeting and EHLO as they always are. */
static void do_greet(struct replay *r)
{
	bool ours = r->owner.d.conf.starttls == DIALOG_STARTTLS_OURS;
	struct sv cut = ours ? SV("250-b.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-HELP\r\n"
				  "250 STARTTLS\r\n")
			     : SV(OWNER_EHLO);

	owner_backend(&r->owner, SV("220 b.example ESMTP\r\n"));
	expect_bytes(r, &r->owner.to_client, &r->seen_client, SV("220 b.example ESMTP\r\n"));
	owner_client(&r->owner, SV("EHLO c.example\r\n"));
	expect_bytes(r, &r->owner.to_backend, &r->seen_backend, SV("EHLO c.example\r\n"));
	owner_backend(&r->owner, SV("250-b.example\r\n250-PIPELINING\r\n250-PIPECONNECT\r\n"
				    "250-CHUNKING\r\n250 HELP\r\n"));
	expect_bytes(r, &r->owner.to_client, &r->seen_client, cut);
}

static void do_close(struct replay *r)
{
	if (is(word(r, 1), "client"))
		owner_client_eof(&r->owner);
	else if (is(r->words[1], "backend"))
		owner_backend_eof(&r->owner);
	else
		fail(r, "close client, or close backend");
}

/* secured client|backend [failed] */
static void do_secured(struct replay *r)
{
	enum dialog_side side = is(word(r, 1), "client") ? DIALOG_CLIENT : DIALOG_BACKEND;

	if (!r->owner.open || !r->owner.securing[side])
		fail(r, "no handshake of that side is under way");
	owner_secured(&r->owner, side, r->n_words == 2);
}

/* Answers and the time limit come when they are due. */
static void do_time(struct replay *r, int64_t until)
{
	for (;;) {
		int64_t answer = world_next_answer(&r->world);
		bool limit = r->session && r->owner.open && r->deadline_ms <= until;

		if (answer >= 0 && answer <= until && (!limit || answer <= r->deadline_ms)) {
			world_set_time(&r->world, answer);
			world_answer(&r->world);
		} else if (limit) {
			world_set_time(&r->world, r->deadline_ms);
			owner_timeout(&r->owner);
		} else {
			break;
		}
		new_deadline(r);
	}
	world_set_time(&r->world, until);
	world_prove(&r->world);
}

static bool do_event(struct replay *r)
{
	const char *what = r->words[0];
	bool waits = is(what, "time") || is(what, "timeout");

	if (!is(what, "session") && !waits && !r->session)
		fail(r, "a session first");
	expect_nothing(r);
	if (is(what, "session")) {
		do_session(r);
	} else if (is(what, "greet")) {
		do_greet(r);
	} else if (is(what, "client")) {
		owner_client(&r->owner, unescape(r, r->rest[1]));
	} else if (is(what, "backend")) {
		owner_backend(&r->owner, unescape(r, r->rest[1]));
	} else if (is(what, "close")) {
		do_close(r);
	} else if (is(what, "unreachable")) {
		owner_backend_failed(&r->owner, "can't be reached");
	} else if (is(what, "secured")) {
		do_secured(r);
	} else if (is(what, "drain")) {
		owner_drain(&r->owner);
	} else if (is(what, "timeout")) {
		if (world_next_answer(&r->world) >= 0)
			fail(r, "an answer is due before the time limit: use time");
		do_time(r, r->deadline_ms);
	} else if (is(what, "time")) {
		do_time(r, r->world.now_ms + duration(r, word(r, 1)));
	} else {
		return false;
	}
	if (!waits)
		new_deadline(r);
	return true;
}

/* ---- lines ---- */

static void do_line(struct replay *r)
{
	const char *what = r->words[0];

	if (is(what, "policy"))
		do_policy(r);
	else if (is(what, "scanner"))
		do_scanner(r);
	else if (is(what, "source"))
		do_source(r);
	else if (is(what, "hosted"))
		INVARIANT(memory_hosted_add(r->world.memory, sv_from(word(r, 1))) >= 0);
	else if (is(what, "heard"))
		memory_scanner_heard(r->world.memory, word(r, 1), r->world.now_ms);
	else if (is(what, "server"))
		r->world.server = address(r, word(r, 1));
	else if (is(what, "dns"))
		do_dns(r);
	else if (is(what, "names"))
		do_names(r);
	else if (is(what, "settle"))
		do_settle(r);
	else if (is(what, "traffic"))
		do_traffic(r);
	else if (is(what, "expect"))
		do_expect(r);
	else if (!do_event(r))
		fail(r, "no such statement: %s", what);
}

static void split(struct replay *r, char *line)
{
	char *copy = strdup(line), *save;

	INVARIANT(copy);
	r->n_words = 0;
	r->rest[1] = r->rest[2] = NULL;
	for (char *w = strtok_r(copy, " \t\n", &save); w && r->n_words < WORDS_MAX;
	     w = strtok_r(NULL, " \t\n", &save)) {
		if (r->n_words == 1 || r->n_words == 2)
			r->rest[r->n_words] = line + (w - copy);
		r->words[r->n_words++] = w;
	}
	/* copy is the words' now: freed with words[0], which is its start or a little behind it */
	if (r->n_words == 0 || r->words[0][0] == '#') {
		free(copy);
		r->n_words = 0;
		return;
	}
	line[strcspn(line, "\n")] = '\0';
	do_line(r);
	free(copy);
}

int main(int argc, char **argv)
{
	struct replay r = { 0 };
	char *line = NULL;
	size_t size = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: %s SCENARIO.rpl\n", argv[0]);
		return 64;
	}
	r.file = argv[1];
	FILE *f = fopen(r.file, "r");
	if (!f) {
		fprintf(stderr, "%s: %s\n", r.file, strerror(errno));
		return 1;
	}
	world_init(&r.world);
	while (getline(&line, &size, f) >= 0) {
		r.line++;
		split(&r, line);
	}
	end_session(&r);
	world_deinit(&r.world);
	free(line);
	fclose(f);
	return 0;
}
