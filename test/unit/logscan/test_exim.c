/* Exim's main log: what each form of line says, whole and cut at every length, and what strangers
 * can't make it say. */
#include "logscan/exim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define TIME "2010-11-17 09:28:01 "
#define ID   "1PIcQq-00040L-2X "

/* An entry in words. */
struct text {
	char s[2048];
	size_t n;
};

PRINTF(2, 3) static void say(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->s + t->n, sizeof(t->s) - t->n, format, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof(t->s) - t->n);
	t->n += (size_t)n;
}

static void say_endpoint(struct text *t, const char *name, const struct endpoint *e)
{
	char out[ADDR_STRLEN + 8];

	say(t, " %s=%s", name, endpoint_format(e, out));
}

static void say_host(struct text *t, const struct entry *e)
{
	if (e->local)
		say(t, " local");
	if (e->authenticated)
		say(t, " authenticated");
	if (e->has_client)
		say_endpoint(t, "client", &e->client);
	if (e->client_name.n)
		say(t, " name=" SV_FMT, SV_ARG(e->client_name));
	if (e->helo.n)
		say(t, " helo=" SV_FMT, SV_ARG(e->helo));
	if (e->has_server)
		say_endpoint(t, "server", &e->server);
	if (e->has_sender)
		say(t, " sender=<" SV_FMT ">", SV_ARG(e->sender));
}

static const char *describe(const struct entry *e, struct text *t)
{
	static const char *const kinds[] = { "other",     "unparsed", "arrival", "queued",
					     "recipient", "done",     "refused" };
	static const char *const ways[] = { "unknown", "local", "remote" };
	struct sv list = e->recipients, address;
	char out[ADDR_STRLEN];

	t->n = 0;
	say(t, "%s", kinds[e->kind]);
	if (e->kind == ENTRY_ARRIVAL || e->kind == ENTRY_REFUSED)
		say_host(t, e);
	if (e->kind == ENTRY_ARRIVAL)
		say(t, " bytes=%llu", (unsigned long long)e->bytes);
	if (e->has_recipients)
		say(t, " for");
	while (e->has_recipients && entry_next_recipient(&list, &address))
		say(t, " " SV_FMT, SV_ARG(address));
	if (e->kind == ENTRY_RECIPIENT || e->kind == ENTRY_REFUSED)
		say(t, " <" SV_FMT ">", SV_ARG(e->recipient));
	if (e->kind == ENTRY_RECIPIENT)
		say(t, " %s", ways[e->way]);
	if (e->has_next_hop)
		say(t, " %s", addr_format(&e->next_hop, out));
	return t->s;
}

/* In a copy of exactly its size, so that reading past its end is seen. */
static const char *parse(struct sv line, struct text *t, struct entry *ret_entry)
{
	char *copy = malloc(line.n ? line.n : 1);
	struct stamp stamp;
	struct entry e;

	assert_non_null(copy);
	memcpy(copy, line.p, line.n);
	stamp_init(&stamp, 0);
	exim_parse(&stamp, (struct sv) { copy, line.n }, &e);
	describe(&e, t);
	if (ret_entry)
		*ret_entry = e;
	free(copy);
	return t->s;
}

static void check(const char *line, const char *want)
{
	struct text t;

	assert_string_equal(parse(sv_from(line), &t, NULL), want);
	for (size_t cut = 0; cut < strlen(line); cut++)
		parse((struct sv) { line, cut }, &t, NULL);
}

struct row {
	const char *rest, *want;
};

/* With and without what the time stamp and the process id may have; ids of both lengths. */
static void check_rows(const struct row *rows, size_t n, bool about_message)
{
	static const char *const heads[] = { "2010-11-17 09:28:01 ",
					     "2010-11-17 09:28:01.123 [15397] ",
					     "2010-11-17 09:28:01 +0100 ",
					     "2010-11-17 09:28:01.123 -0930 [1] " };
	static const char *const ids[] = { "1PIcQq-00040L-2X ", "1tYXyz-00000001abc-AbCd " };
	char line[2048];

	for (size_t i = 0; i < n; i++)
		for (size_t h = 0; h < ARRAY_SIZE(heads); h++)
			for (size_t k = 0; k < (about_message ? ARRAY_SIZE(ids) : 1); k++) {
				snprintf(line, sizeof(line), "%s%s%s", heads[h],
					 about_message ? ids[k] : "", rows[i].rest);
				check(line, rows[i].want);
			}
}

static void a_line_of_2010(void **state)
{
	static const char line[] =
		"2010-11-17 09:28:01 [15397] 1PIcQq-00040L-2X <= e-cards@hallmark.com "
		"H=(hallmark.com) [4.3.90.120]:61593 I=[19.3.40.91]:25 P=esmtp S=686941 "
		"T=\"You have received A Hallmark E-Card!\" from  for shaun@it.co.za";
	struct text t;
	struct entry e;
	char day[16];

	parse(SV(line), &t, &e);
	assert_string_equal(t.s, "arrival client=4.3.90.120:61593 helo=hallmark.com "
				 "server=19.3.40.91:25 sender=<e-cards@hallmark.com> bytes=686941 "
				 "for shaun@it.co.za");
	assert_true(e.has_bytes && !e.weak);
	assert_int_equal(e.id.n, 16);
	assert_int_equal(e.time_ms, 1289982481000);
	assert_string_equal(stamp_day(e.day, day), "2010-11-17");
	check(line, t.s);
}

static void arrivals(void **state)
{
	static const struct row rows[] = {
		{ "<= a@b.c H=mx.b.c [192.0.2.1] P=esmtps S=1",
		  "arrival client=192.0.2.1:0 name=mx.b.c sender=<a@b.c> bytes=1" },
		{ "<= a@b.c H=[192.0.2.1] P=smtp S=1",
		  "arrival client=192.0.2.1:0 sender=<a@b.c> bytes=1" },
		{ "<= a@b.c H=mx.b.c (helo) [192.0.2.1]:99 P=smtp S=1",
		  "arrival client=192.0.2.1:99 name=mx.b.c helo=helo sender=<a@b.c> bytes=1" },
		{ "<= <> H=([192.0.2.9]) [192.0.2.1] P=smtp S=1",
		  "arrival client=192.0.2.1:0 helo=[192.0.2.9] sender=<> bytes=1" },
		{ "<= <> H=([IPv6:2001:db8::1]) [2001:db8::2]:77 I=[2001:db8::3]:25 P=esmtp S=12",
		  "arrival client=[2001:db8::2]:77 helo=[IPv6:2001:db8::1] server=[2001:db8::3]:25 "
		  "sender=<> bytes=12" },
		{ "<= a@b.c H=(x) [fe80::1%eth0]:7 P=smtp S=1",
		  "arrival client=[fe80::1]:7 helo=x sender=<a@b.c> bytes=1" },
		{ "<= a@b.c H=() [192.0.2.1] P=smtp S=1",
		  "arrival client=192.0.2.1:0 sender=<a@b.c> bytes=1" },
		{ "(= a@b.c H=[192.0.2.1] P=smtp S=1",
		  "arrival client=192.0.2.1:0 sender=<a@b.c> bytes=1" },
		/* everything that log_selector = +all writes */
		{ "<= a@b.c DS H=mx (h) [192.0.2.1]:5 I=[192.0.2.2]:587 TFO* Ci=12 U=who P=esmtpsa "
		  "L* "
		  "X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes "
		  "DN=\"C=DE,O=x y,CN=z\" SNI=mx.example A=plain:user:a@b.c PRDR PRX=192.0.2.8 K "
		  "S=77 M8S=8 DKIM=pass ARC RT=0.123s Q=q id=m.1@b.c T=\"a \\\"b\\\" c\" from "
		  "<a@b.c> "
		  "for r@d.e \"s t\"@d.e",
		  "arrival authenticated client=192.0.2.1:5 name=mx helo=h server=192.0.2.2:587 "
		  "sender=<a@b.c> bytes=77 for r@d.e \"s t\"@d.e" },
		{ "<= a@b.c H=mx [192.0.2.1] P=esmtps X=TLSv1:AES256-SHA:256 SNI=\"mx.x\" S=1 id=x",
		  "arrival client=192.0.2.1:0 name=mx sender=<a@b.c> bytes=1" },
		/* authenticated */
		{ "<= a@b.c H=[192.0.2.1] P=esmtpa S=1",
		  "arrival authenticated client=192.0.2.1:0 sender=<a@b.c> bytes=1" },
		{ "<= a@b.c H=[192.0.2.1] P=utf8esmtpsa S=1",
		  "arrival authenticated client=192.0.2.1:0 sender=<a@b.c> bytes=1" },
		{ "<= a@b.c H=[192.0.2.1] P=asmtp A=login:x S=1",
		  "arrival authenticated client=192.0.2.1:0 sender=<a@b.c> bytes=1" },
		{ "<= a@b.c H=[192.0.2.1] P=smtp A=login:John Q. Doe S=1 id=x@y",
		  "arrival authenticated client=192.0.2.1:0 sender=<a@b.c> bytes=1" },
		/* on this host */
		{ "<= root@h U=root P=local S=1", "arrival local sender=<root@h> bytes=1" },
		{ "<= root@h U=root P=local S=1 for root",
		  "arrival local sender=<root@h> bytes=1 for root" },
		{ "<= <> R=1PIcQq-00040L-2X U=Debian-exim P=local S=2 T=\"Mail delivery failed\"",
		  "arrival local sender=<> bytes=2" },
		{ "<= <> R=1tYXyz-00000001abc-AbCd U=exim P=local S=2 for a@b.c",
		  "arrival local sender=<> bytes=2 for a@b.c" },
		{ "<= a@b U=mail P=spam-scanned S=2", "arrival local sender=<a@b> bytes=2" },
		{ "<= a@b H=localhost [127.0.0.1] P=esmtp S=2",
		  "arrival client=127.0.0.1:0 name=localhost sender=<a@b> bytes=2" },
		{ "<= a@b H=h [127.0.0.1] U=u P=local-esmtp S=2",
		  "arrival local client=127.0.0.1:0 name=h sender=<a@b> bytes=2" },
		{ "<= a@b U=J. Random Hacker P=local S=2", "arrival local sender=<a@b> bytes=2" },
		{ "<= a@b H=(h) [192.0.2.1] U=x P=local S=1 for a@b.example P=esmtp S=46",
		  "arrival client=192.0.2.1:0 helo=h sender=<a@b> bytes=46" },
		/* recipients */
		{ "<= a@b H=[192.0.2.1] P=smtp S=1 from <x@y> for POSTMASTER c@d",
		  "arrival client=192.0.2.1:0 sender=<a@b> bytes=1 for POSTMASTER c@d" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1 from <\"x> for y\"@z>",
		  "arrival client=192.0.2.1:0 sender=<a@b> bytes=1" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1 from ",
		  "arrival client=192.0.2.1:0 sender=<a@b> bytes=1" },
		/* not as Exim writes it */
		{ "<= ", "unparsed" },
		{ "<=", "unparsed" },
		{ "<= a@b", "unparsed" },
		{ "<= a@b H=", "unparsed" },
		{ "<= <a@b> H=[192.0.2.1] P=smtp S=1", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp", "unparsed" },
		{ "<= a@b H=[192.0.2.1] S=1", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1x", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1 S=2", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp P=smtp S=1", "unparsed" },
		{ "<= a@b H=[192.0.2.1]:65536 P=smtp S=1", "unparsed" },
		{ "<= a@b H=[192.0.2.256] P=smtp S=1", "unparsed" },
		{ "<= a@b H=[192.0.02.1] P=smtp S=1", "unparsed" },
		{ "<= a@b H=[192.0.2.1] [192.0.2.2] P=smtp S=1", "unparsed" },
		{ "<= a@b H=mx P=smtp S=1", "unparsed" },
		{ "<= a@b H=(x [192.0.2.1] P=smtp S=1", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1 T=\"cut", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1 T=\"x\" y", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1 for", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1 for ", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1 for c", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1 for c@d  e@f", "unparsed" },
		{ "<= \"a@b H=[192.0.2.1] P=smtp S=1", "unparsed" },
	};

	check_rows(rows, ARRAY_SIZE(rows), true);
}

static void deliveries(void **state)
{
	static const struct row rows[] = {
		{ "=> user <user@d.e> R=local_user T=maildir_home", "recipient <user@d.e> local" },
		{ "=> u@d R=dnslookup T=remote_smtp H=mx.d [192.0.2.1] X=TLS1.2:x:256 CV=yes "
		  "C=\"250 OK <q@d> R=x\"",
		  "recipient <u@d> remote 192.0.2.1" },
		{ "-> u@d R=r T=t S=5 H=mx.d DS [2001:db8::1]:25* I=[192.0.2.3]:5",
		  "recipient <u@d> remote 2001:db8::1" },
		{ ">> u@d R=r T=t H=mx [192.0.2.1]", "recipient <u@d> remote 192.0.2.1" },
		{ "*> u@d R=r T=t H=mx [192.0.2.1]", "recipient <u@d> unknown" },
		{ "=> u@d <v@e> F=<s@t> Q=q P=<s@t> R=r T=t H=mx [192.0.2.1]",
		  "recipient <v@e> remote 192.0.2.1" },
		{ "=> u@d F=<> P=<\"> R=x T=y H=z [192.0.2.9]\"@t> R=r T=t",
		  "recipient <u@d> local" },
		{ "=> u@d (m@d, n@d) <v@e> R=r T=t H=mx [192.0.2.1]",
		  "recipient <v@e> remote 192.0.2.1" },
		{ "=> u@d (m@d) (n@d) <v@e> R=r T=t", "recipient <v@e> local" },
		{ "=> /home/u/a b.mbox <u@d> R=r T=address_file", "recipient <u@d> local" },
		{ "=> save a/b <u@d> R=r T=address_file", "recipient <u@d> local" },
		{ "=> |/usr/bin/cmd -x <a@b> args (p@d) <v@e> R=r T=address_pipe",
		  "recipient <v@e> local" },
		{ "=> >a@b,c@d <v@e> R=r T=address_reply", "recipient <v@e> local" },
		{ "=> :blackhole: <v@e> R=r", "recipient <v@e> unknown" },
		{ "=> u@d <v@e> R=r T=lmtp S=7 H=/run/lmtp C=\"250 2.0.0 <v@e> Saved\" QT=1s DT=0s",
		  "recipient <v@e> local" },
		{ "=> u@d R=r T=t ST=shadow", "recipient <u@d> local" },
		{ "=> /etc/x@d R=r T=t H=mx [192.0.2.1]", "recipient </etc/x@d> remote 192.0.2.1" },
		{ "=> blackhole (DATA ACL discarded recipients)", "other" },
		{ "=> discarded (system filter)", "other" },
		{ "=> blackhole <blackhole@d> R=r T=t", "recipient <blackhole@d> local" },
		/* a recipient whose quotes were taken off, as Exim 4.96 wrote it */
		{ "=> v@x r=r t=t h=h [9.9.9.9] <\"v@x R=r T=t H=h [9.9.9.9]\"@d> F=<a@b> P=<a@b> "
		  "R=loc T=box S=269 QT=51m40s DT=0.001s",
		  "recipient <\"v@x R=r T=t H=h [9.9.9.9]\"@d> local" },
		{ "-> q\"r s@e <\"q\\\"r s\"@e> F=<a@b> P=<a@b> R=rem T=smtp S=241 "
		  "H=127.0.0.1 [127.0.0.1]:2525 I=[127.0.0.1]:54544 "
		  "C=\"250 OK <v@x> R=x T=y H=z [9.9.9.9] \\\"q\\\" \\\\ id=1\" QT=51m40s "
		  "DT=0.001s",
		  "recipient <\"q\\\"r s\"@e> remote 127.0.0.1" },
		{ "-> a=b@e <a\\=b@e> R=rem T=smtp H=mx [192.0.2.1]",
		  "recipient <a\\=b@e> remote 192.0.2.1" },
		{ "** u@d: Unrouteable address", "recipient <u@d> unknown" },
		{ "** u@d F=<s@t>: Unrouteable address", "recipient <u@d> unknown" },
		{ "** u@d <v@e>: retry timeout exceeded", "recipient <v@e> unknown" },
		{ "** u@d R=r T=t H=mx [192.0.2.1] X=x:y: SMTP error from remote mail server after "
		  "RCPT TO:<u@d>: 550 <v@victim> R=x: no",
		  "recipient <u@d> unknown" },
		{ "** |/bin/x <a b> <u@d> F=<s@t> R=r T=address_pipe: Child process <x@y> failed",
		  "recipient <u@d> unknown" },
		{ "== u@d R=r T=t defer (-1): <v@victim> R=x T=y", "recipient <u@d> unknown" },
		{ "== u@d <v@e> routing defer (-52): retry time not reached",
		  "recipient <v@e> unknown" },
		{ "== u@d (m@d) <v@e> R=r T=t defer (111): Connection refused H=mx [192.0.2.1]",
		  "recipient <v@e> unknown" },
		{ "== /var/mail/u <u@d> R=r T=address_file defer (13): Permission denied",
		  "recipient <u@d> unknown" },
		{ "Completed", "done" },
		{ "Completed QT=3s", "done" },
		{ "Completed.", "other" },
		{ "Frozen", "other" },
		{ "mx.d [192.0.2.1] Connection timed out", "other" },
		{ "no immediate delivery: queued by ACL", "other" },
		{ "H=(x) [192.0.2.1] F=<a@b> rejected after DATA: no", "other" },
		{ "SMTP connection lost after final dot H=[192.0.2.1] P=smtp", "other" },
		/* not as Exim writes it */
		{ "=> ", "unparsed" },
		{ "=> u@d", "unparsed" },
		{ "=> u@d ", "unparsed" },
		{ "=> u R=r T=t", "unparsed" },
		{ "=> u@d <v@e R=r T=t", "unparsed" },
		{ "=> u@d <v@e> T=", "recipient <v@e> local" },
		{ "=> u@d R=r T=t H=mx [192.0.2", "unparsed" },
		{ "=> u@d R=r T=t H=mx [192.0.2.1]x", "unparsed" },
		{ "=> u@d R=r \"", "recipient <u@d> local" },
		{ "** u@d", "recipient <u@d> unknown" },
		{ "** u R=r: x", "unparsed" },
		{ "** u@d x", "unparsed" },
		{ "== u@d <v@e", "unparsed" },
	};

	check_rows(rows, ARRAY_SIZE(rows), true);
}

static void refusals(void **state)
{
	static const struct row rows[] = {
		{ "H=(h) [192.0.2.1] F=<a@b> rejected RCPT <u@d>: Unrouteable address",
		  "refused client=192.0.2.1:0 helo=h sender=<a@b> <u@d>" },
		{ "H=mx (h) [192.0.2.1]:5 I=[192.0.2.2]:25 F=<> temporarily rejected RCPT <u@d>",
		  "refused client=192.0.2.1:5 name=mx helo=h server=192.0.2.2:25 sender=<> <u@d>" },
		{ "H=[192.0.2.1] U=who Ci=3 X=TLS1.2:x:256 CV=no DN=\"x \"y\" z\" SNI=a F=<\"a> "
		  "b\"@c> "
		  "A=login:x rejected RCPT u@d: no",
		  "refused authenticated client=192.0.2.1:0 sender=<\"a> b\"@c> <u@d>" },
		{ "H=mx [192.0.2.1] rejected RCPT <@r,@s:u@d>: relay not permitted",
		  "refused client=192.0.2.1:0 name=mx <u@d>" },
		{ " DSH=mx [192.0.2.1] F=<a@b> rejected RCPT <\"u> v\"@d>: (x) [192.0.2.7] is "
		  "listed",
		  "refused client=192.0.2.1:0 name=mx sender=<a@b> <\"u> v\"@d>" },
		{ "U=root F=<a@b> rejected RCPT <u@d>: no", "refused local sender=<a@b> <u@d>" },
		{ "H=(h) [192.0.2.1] F=<a@b> A=login:John Doe temporarily rejected RCPT <u@d>: x",
		  "refused authenticated client=192.0.2.1:0 helo=h sender=<a@b> <u@d>" },
		{ "H=(h) [192.0.2.1] rejected MAIL <a@b>: no", "other" },
		{ "H=(h) [192.0.2.1] F=<a@b> rejected after DATA: rejected RCPT <u@d>: x",
		  "other" },
		{ "H=(h) [192.0.2.1] Warning: rejected RCPT <u@d>: x", "other" },
		{ "H=(h) [192.0.2.1] F=<a@b> RCPT <u@d>: discarded by RCPT ACL", "other" },
		{ "SMTP connection from (h) [192.0.2.1] lost: rejected RCPT <u@d>: x", "other" },
		{ "no host name found for IP address 192.0.2.1", "other" },
		{ "unexpected disconnection while reading SMTP command from (h) [192.0.2.1]",
		  "other" },
		{ "Start queue run: pid=1", "other" },
		{ "exim 4.96 daemon started: pid=1, -q30m", "other" },
		/* of 100 octets no more was logged */
		{ "H=(h) [192.0.2.1] F=<a@b> rejected RCPT <uuuuuuuuuuuuuuuuuuu@dddddddddddd: x",
		  "unparsed" },
		{ "H=(h) [192.0.2.1] F=<a@b> rejected RCPT <>: x", "unparsed" },
		{ "H=(h) [192.0.2.1] F=<a@b> rejected RCPT <u@d> <v@e>: x", "unparsed" },
		{ "<= a@b H=[192.0.2.1] P=smtp S=1", "unparsed" },
		{ "=> u@d R=r T=t", "unparsed" },
	};

	check_rows(rows, ARRAY_SIZE(rows), false);
	/* parted for syslog */
	check(TIME "[1/2] 1PIcQq-00040L-2X Completed", "unparsed");
	check("2010-11-17 09:28:01", "unparsed");
	check("2010-11-17 09:28:01 ", "unparsed");
	check("2010-11-17 09:28:01 1PIcQq-00040L-2X", "unparsed");
	check("2010-11-17 09:28:01  Completed", "other");
	check("1PIcQq-00040L-2X Completed", "unparsed");
	check("  continued", "unparsed");
	check("", "unparsed");
}

/* What strangers may send where they choose the text. */
static const char *const evil[] = {
	"a) [9.9.9.9]:25 I=[8.8.8.8]:25 P=esmtpa A=x:y S=1 for victim@x",
	"a) [9.9.9.9] P=esmtp S=1 T=\"",
	"a) [9.9.9.9] P=esmtp S=1 id=\"",
	"a) [9.9.9.9] P=esmtp S=1 id=\"\\\"",
	"a) [9.9.9.9] P=esmtp S=1 for \"v",
	"a) [9.9.9.9] P=esmtp S=1 from <",
	"a) [9.9.9.9] P=esmtp S=1 from <v@x> for v@x",
	"a) [9.9.9.9] P=esmtpa A=x:y",
	"a) [9.9.9.9] P=esmtp DN=\"x",
	"a) [9.9.9.9] P=esmtp SNI=\"x",
	"a) [9.9.9.9] P=esmtp S=1",
	"a) [9.9.9.9]",
	" [9.9.9.9] P=esmtp S=1",
	" H=x [9.9.9.9] P=esmtpa S=1",
	" P=esmtpa S=1 for victim@x",
	" S=1 for victim@x",
	"\" S=1 for victim@x",
	"\" for victim@x",
	"\\\" for victim@x",
	"\\",
	"\\\\",
	"\\\\\" S=9",
	"\"",
	"\"\"",
	" for victim@x",
	" from <x@y> for victim@x",
	" A=plain:root",
	"> R=x T=y H=z [9.9.9.9]",
	" <v@x> R=x T=y H=z [9.9.9.9]",
	" <v@x> R=x T=y H=z [9.9.9.9] C=\"",
	" <v@x> R=x T=y",
	"x@v: y",
	"x@v R=r T=t: y",
	"v@x R=r T=t H=h [9.9.9.9]",
	"v@x <v@x> R=r T=t H=h [9.9.9.9]",
	"a F=<x@y> rejected RCPT <v@x>: no",
	"a) [9.9.9.9] F=<x@y> rejected RCPT <v@x>: no",
	"> rejected RCPT <v@x>: no",
	"=> v@x R=r T=t",
	"Completed",
};

/* As a quoted string, of SMTP and of a logged subject. */
static const char *quoted(const char *text, char *out)
{
	char *p = out;

	*p++ = '"';
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			*p++ = '\\';
		*p++ = *text;
	}
	*p++ = '"';
	*p = '\0';
	return out;
}

/* head, and form with text where it has a %s. */
static void fill(struct text *line, const char *head, const char *form, const char *text)
{
	const char *at = strstr(form, "%s");

	assert_non_null(at);
	line->n = 0;
	say(line, "%s%.*s%s%s", head, (int)(at - form), form, text, at + 2);
}

static bool says(const char *line, const char *want)
{
	struct text t;

	if (strcmp(parse(sv_from(line), &t, NULL), want) == 0)
		return true;
	if (strcmp(t.s, "unparsed") != 0)
		fail_msg("%s\n%s\n%s", line, t.s, want);
	return false;
}

/* Where Exim quotes, nothing changes what a line says. */
static void quoted_text_changes_nothing(void **state)
{
	static const char *const forms[] = {
		"<= a@b H=(h) [192.0.2.1]:5 I=[192.0.2.2]:25 P=esmtp S=7 id=m@x T=%s from <a@b> "
		"for r@d",
		"<= a@b H=mx [192.0.2.1]:5 I=[192.0.2.2]:25 P=esmtp S=7 T=%s for r@d",
		"<= a@b H=(h) [192.0.2.1]:5 I=[192.0.2.2]:25 P=esmtp S=7 id=%s@x T=\"t\" for r@d",
		"<= a@b H=(h) [192.0.2.1]:5 I=[192.0.2.2]:25 P=esmtp S=7 id=%s for r@d",
		"<= a@b H=(h) [192.0.2.1]:5 I=[192.0.2.2]:25 P=esmtp S=7 from <%s@d> for r@d",
	};
	char line[2048], text[512];
	struct text want, filled;

	for (size_t i = 0; i < ARRAY_SIZE(evil); i++) {
		quoted(evil[i], text);
		for (size_t k = 0; k < ARRAY_SIZE(forms); k++) {
			fill(&filled, TIME ID, forms[k], text);
			want.n = 0;
			say(&want,
			    "arrival client=192.0.2.1:5 %s=%s server=192.0.2.2:25 sender=<a@b> "
			    "bytes=7 "
			    "for r@d",
			    k == 1 ? "name" : "helo", k == 1 ? "mx" : "h");
			assert_true(says(filled.s, want.s));
		}
		snprintf(line, sizeof(line),
			 TIME ID "<= %s@b H=(h) [192.0.2.1] P=smtp S=7 for r@d %s@d", text, text);
		want.n = 0;
		say(&want, "arrival client=192.0.2.1:0 helo=h sender=<%s@b> bytes=7 for r@d %s@d",
		    text, text);
		assert_true(says(line, want.s));
		snprintf(line, sizeof(line), TIME ID "=> u@d F=<%s@b> P=<%s@b> R=r T=t C=%s QT=1s",
			 text, text, text);
		assert_true(says(line, "recipient <u@d> local"));
		snprintf(line, sizeof(line), TIME ID "=> u@d R=r T=t H=mx [192.0.2.1] C=%s", text);
		assert_true(says(line, "recipient <u@d> remote 192.0.2.1"));
	}
}

/* A recipient whose local part Exim has logged without its quotes, in each kind of line. */
static void unquoted_recipients_change_nothing(void **state)
{
	char line[2048], text[512];
	struct text want;

	for (size_t i = 0; i < ARRAY_SIZE(evil); i++) {
		quoted(evil[i], text);
		snprintf(line, sizeof(line),
			 TIME ID "=> %s@d <%s@d> R=r T=t H=mx [192.0.2.1] C=\"250 \\\"ok\\\"\"",
			 evil[i], text);
		want.n = 0;
		say(&want, "recipient <%s@d> remote 192.0.2.1", text);
		assert_true(says(line, want.s));
		snprintf(line, sizeof(line), TIME ID "=> %s <%s@d> F=<s@t> R=r T=t", evil[i], text);
		want.n = 0;
		say(&want, "recipient <%s@d> local", text);
		assert_true(says(line, want.s));
		want.n = 0;
		say(&want, "recipient <%s@d> unknown", text);
		snprintf(line, sizeof(line), TIME ID "** %s@d <%s@d>: Unrouteable address", evil[i],
			 text);
		assert_true(says(line, want.s));
		snprintf(line, sizeof(line), TIME ID "== %s@d <%s@d> R=r T=t defer (-1): x",
			 evil[i], text);
		assert_true(says(line, want.s));
	}
}

/* Where it doesn't quote, either the truth is told or nothing. */
static void bare_text_does_not_lie(void **state)
{
	static const char *const forms[] = {
		"<= a@b H=(%s) [192.0.2.1]:5 I=[192.0.2.2]:25 P=esmtp S=7 id=m@x T=\"t\" for r@d",
		"<= a@b H=mx (%s) [192.0.2.1]:5 I=[192.0.2.2]:25 P=esmtp S=7 for r@d",
		"<= a@b H=(h) [192.0.2.1]:5 I=[192.0.2.2]:25 U=%s P=esmtp S=7 T=\"t\" for r@d",
		"<= a@b H=(h) [192.0.2.1]:5 I=[192.0.2.2]:25 P=esmtp X=c DN=\"%s\" S=7 T=\"t\" for "
		"r@d",
		"<= a@b H=(h) [192.0.2.1]:5 I=[192.0.2.2]:25 P=esmtp X=c SNI=\"%s\" S=7 id=m@x for "
		"r@d",
	};
	struct text filled;
	size_t told[ARRAY_SIZE(forms)] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(evil); i++)
		for (size_t k = 0; k < ARRAY_SIZE(forms); k++) {
			struct text want = { .n = 0 };
			fill(&filled, TIME ID, forms[k], evil[i]);
			say(&want,
			    "arrival client=192.0.2.1:5 %shelo=%s server=192.0.2.2:25 "
			    "sender=<a@b> bytes=7 for r@d",
			    k == 1 ? "name=mx " : "", k < 2 ? evil[i] : "h");
			told[k] += says(filled.s, want.s);
		}
	/* no HELO of these can hide its mail */
	assert_int_equal(told[0], ARRAY_SIZE(evil));
	assert_int_equal(told[1], ARRAY_SIZE(evil));
	for (size_t k = 2; k < ARRAY_SIZE(forms); k++)
		assert_true(told[k] > ARRAY_SIZE(evil) * 3 / 4);
}

static void refusals_do_not_lie(void **state)
{
	static const char *const forms[] = {
		"H=(%s) [192.0.2.1] F=<a@b> rejected RCPT <r@d>: no",
		"H=(h) [192.0.2.1] U=%s F=<a@b> rejected RCPT <r@d>: no",
		"H=(h) [192.0.2.1] F=<a@b> rejected RCPT <r@d>: %s",
		"H=(h) [192.0.2.1] X=c DN=\"%s\" F=<a@b> rejected RCPT <r@d>: no",
	};
	char line[2048], text[512];
	struct text filled;
	size_t told = 0;

	for (size_t i = 0; i < ARRAY_SIZE(evil); i++) {
		struct text want = { .n = 0 };
		for (size_t k = 0; k < ARRAY_SIZE(forms); k++) {
			fill(&filled, TIME, forms[k], evil[i]);
			want.n = 0;
			say(&want, "refused client=192.0.2.1:0 helo=%s sender=<a@b> <r@d>",
			    k == 0 ? evil[i] : "h");
			told += says(filled.s, want.s);
		}
		quoted(evil[i], text);
		snprintf(line, sizeof(line),
			 TIME "H=mx [192.0.2.1] F=<%s@b> rejected RCPT <%s@d>: no", text, text);
		want.n = 0;
		say(&want, "refused client=192.0.2.1:0 name=mx sender=<%s@b> <%s@d>", text, text);
		assert_true(says(line, want.s));
	}
	assert_true(told > ARRAY_SIZE(evil) * ARRAY_SIZE(forms) * 3 / 4);
}

/* Two ways to read it, and nothing that settles which. */
static void ambiguity_is_told(void **state)
{
	static const struct row rows[] = {
		{ "<= a@b H=(x) [9.9.9.9] U=y) [192.0.2.1] P=smtp S=1", "unparsed" },
		{ "<= a@b H=(x) [9.9.9.9] P=smtp X=c DN=\"y) [192.0.2.1] P=smtp X=c DN=\"z\" S=1",
		  "unparsed" },
		{ "=> |x <u@d> R=a T=b ( <v@e> R=r T=t", "unparsed" },
	};

	check_rows(rows, ARRAY_SIZE(rows), true);
	check(TIME "H=(x) [9.9.9.9] F=<a@b> rejected RCPT <v@x>: y) [192.0.2.1] F=<a@b> rejected "
		   "RCPT <r@d>: no",
	      "unparsed");
	check(TIME
	      "H=(x) [9.9.9.9] F=<a@b> rejected RCPT <v@x>: y) [192.0.2.1] rejected MAIL <a@b>",
	      "unparsed");
}

/* Exim leaves out recipients that have no room in its buffer: such a list isn't believed. */
static void full_lines_have_no_recipients(void **state)
{
	for (size_t n = 10; n <= 900; n += 89) {
		struct entry e;
		char line[20480];
		size_t len = (size_t)snprintf(line, sizeof(line), "%s",
					      TIME ID "<= a@b H=[192.0.2.1] P=smtp S=1 for");
		for (size_t i = 0; i < n; i++)
			len += (size_t)snprintf(line + len, sizeof(line) - len,
						" a@bbbbbbbb.example");
		struct stamp stamp;
		stamp_init(&stamp, 0);
		exim_parse(&stamp, (struct sv) { line, len }, &e);
		assert_int_equal(e.kind, ENTRY_ARRIVAL);
		assert_int_equal(e.has_recipients, n < 400);
	}
	/* and one that entry_next_recipient() would part otherwise than Exim */
	check(TIME ID "<= a@b H=[192.0.2.1] P=smtp S=1 for a\\ b@c d@e",
	      "arrival client=192.0.2.1:0 sender=<a@b> bytes=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_of_2010),
		cmocka_unit_test(arrivals),
		cmocka_unit_test(deliveries),
		cmocka_unit_test(refusals),
		cmocka_unit_test(quoted_text_changes_nothing),
		cmocka_unit_test(unquoted_recipients_change_nothing),
		cmocka_unit_test(bare_text_does_not_lie),
		cmocka_unit_test(refusals_do_not_lie),
		cmocka_unit_test(ambiguity_is_told),
		cmocka_unit_test(full_lines_have_no_recipients),
	};

	setenv("TZ", "Europe/Berlin", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
