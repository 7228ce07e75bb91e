/*
 * A line of a mail server's syslog. Then the lines that Postfix would write with the input's own
 * lines as HELO, sender, recipient and reply: whatever stands in them, it is the true client,
 * sender and recipient that are told, or nothing.
 */
#include "logscan/postfix.h"
#include "logscan/syslog.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENT "192.0.2.1"
#define HOP    "192.0.2.9"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct sv v, struct sv whole)
{
	INVARIANT(v.n == 0 || (v.p >= whole.p && v.p + v.n <= whole.p + whole.n));
}

static void check_views(const struct entry *e, struct sv message)
{
	check_inside(e->id, message);
	check_inside(e->client_name, message);
	check_inside(e->helo, message);
	check_inside(e->sender, message);
	check_inside(e->recipient, message);
	INVARIANT(!e->has_recipients && !e->has_server);
}

static bool is(const struct addr *a, const char *text)
{
	struct addr want;

	return addr_parse(sv_from(text), &want) == 0 && addr_eq(a, &want);
}

/* Parses what the format makes; false: nothing was told. */
static bool PRINTF(3, 4)
	read_line(const char *program, struct entry *ret_entry, const char *fmt, ...)
{
	static char *line; /* what ret_entry points into, until the next call */
	va_list args;
	int n;

	free(line);
	va_start(args, fmt);
	n = vasprintf(&line, fmt, args);
	va_end(args);
	INVARIANT(n >= 0);
	*ret_entry = (struct entry) { 0 };
	INVARIANT(postfix_parse(sv_from(program), (struct sv) { line, (size_t)n }, ret_entry));
	check_views(ret_entry, (struct sv) { line, (size_t)n });
	return ret_entry->kind != ENTRY_UNPARSED;
}

static void check_refusal(const struct entry *e, struct sv sender, struct sv recipient)
{
	INVARIANT(e->kind == ENTRY_REFUSED && e->has_client && is(&e->client.addr, CLIENT));
	INVARIANT(!e->authenticated && e->has_sender);
	INVARIANT(sv_eq(e->sender, sender) && sv_eq(e->recipient, recipient));
}

/*
 * An address as Postfix writes it: the local part quoted, and a domain that could be one.
 * false: it would not.
 */
static bool quote(struct sv address, char *out, size_t size)
{
	const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;
	const char *end = at ? at : address.p + address.n;
	size_t n = 0;

	if (address.n * 2 + 8 > size)
		return false;
	out[n++] = '"';
	for (const char *p = address.p; p < end; p++) {
		if (*p == '"' || *p == '\\')
			out[n++] = '\\';
		out[n++] = *p;
	}
	out[n++] = '"';
	for (const char *p = end; p < address.p + address.n; p++) {
		if (strchr("<>\"[ \\", *p))
			return false;
		out[n++] = *p;
	}
	out[n] = '\0';
	return true;
}

static void check_smtpd(struct sv helo, struct sv plain_sender, struct sv plain_recipient,
			struct sv reply)
{
	static char from[8192], to[8192];
	struct sv sender, recipient;
	struct entry e;

	if (!quote(plain_sender, from, sizeof(from)) || !quote(plain_recipient, to, sizeof(to)))
		return;
	sender = sv_from(from);
	recipient = sv_from(to);
	if (read_line("postfix/smtpd", &e,
		      "NOQUEUE: reject: RCPT from a.b[" CLIENT "]: 554 5.7.1 <" SV_FMT "> " SV_FMT
		      "; from=<" SV_FMT "> to=<" SV_FMT "> proto=ESMTP helo=<" SV_FMT ">",
		      SV_ARG(helo), SV_ARG(reply), SV_ARG(sender), SV_ARG(recipient), SV_ARG(helo)))
		check_refusal(&e, sender, recipient);
	if (read_line("postfix/postscreen", &e,
		      "NOQUEUE: reject: RCPT from [" CLIENT "]:4711: 450 4.3.2 " SV_FMT
		      "; from=<" SV_FMT ">, to=<" SV_FMT ">, proto=SMTP, helo=<" SV_FMT ">",
		      SV_ARG(reply), SV_ARG(sender), SV_ARG(recipient), SV_ARG(helo)))
		check_refusal(&e, sender, recipient);
	INVARIANT(read_line("postfix/smtpd", &e,
			    "4A1B2C3D4E: client=a.b[" CLIENT
			    "], sasl_method=PLAIN, sasl_username=" SV_FMT,
			    SV_ARG(helo)));
	INVARIANT(e.kind == ENTRY_ARRIVAL && e.authenticated && is(&e.client.addr, CLIENT));
	INVARIANT(read_line("postfix/smtpd", &e,
			    "4A1B2C3D4E: client=a.b[" CLIENT "]:4711, sasl_sender=" SV_FMT,
			    SV_ARG(sender)));
	INVARIANT(e.kind == ENTRY_ARRIVAL && !e.authenticated && is(&e.client.addr, CLIENT));
}

static void check_delivery(struct sv sender, struct sv recipient, struct sv reply)
{
	static char quoted[8192];
	struct entry e;

	if (read_line("postfix/qmgr", &e,
		      "4A1B2C3D4E: from=<" SV_FMT ">, size=99, nrcpt=1 (queue active)",
		      SV_ARG(sender)))
		INVARIANT(e.kind == ENTRY_QUEUED && e.bytes == 99 && sv_eq(e.sender, sender));
	if (read_line("postfix/pickup", &e, "4A1B2C3D4E: uid=0 from=<" SV_FMT ">", SV_ARG(sender)))
		INVARIANT(e.kind == ENTRY_ARRIVAL && e.local && sv_eq(e.sender, sender));
	if (!quote(recipient, quoted, sizeof(quoted)))
		return;
	if (read_line("postfix/smtp", &e,
		      "4A1B2C3D4E: to=<%s>, relay=mx[" HOP "]:25, delay=1, delays=0/0/0/1, "
		      "dsn=2.0.0, status=sent (250 " SV_FMT ")",
		      quoted, SV_ARG(reply))) {
		INVARIANT(e.kind == ENTRY_RECIPIENT && sv_eq(e.recipient, sv_from(quoted)));
		INVARIANT(e.way == WAY_REMOTE && e.has_next_hop && is(&e.next_hop, HOP));
	}
	if (read_line("postfix/local", &e,
		      "4A1B2C3D4E: to=<root@a.b>, orig_to=<%s>, relay=local, delay=1, "
		      "delays=0/0/0/1, dsn=5.1.1, status=bounced (" SV_FMT ")",
		      quoted, SV_ARG(reply)))
		INVARIANT(e.kind == ENTRY_RECIPIENT && e.way == WAY_UNKNOWN &&
			  sv_eq(e.recipient, sv_from(quoted)));
}

/* Up to the next newline. NUL ends a string for our printf. */
static struct sv take_line(struct sv *v)
{
	struct sv line = { v->p, 0 };

	while (line.n < v->n && v->p[line.n] != '\n')
		line.n++;
	*v = (struct sv) { v->p + line.n, v->n - line.n };
	if (v->n)
		*v = (struct sv) { v->p + 1, v->n - 1 };
	line.n = strnlen(line.p, line.n);
	return line;
}

static void check_raw(struct sv line)
{
	struct entry e = { 0 };
	struct syslog_line l;
	struct stamp stamp;

	stamp_init(&stamp, INT64_C(1795651200000));
	if (syslog_parse(&stamp, line, &l) < 0)
		return;
	check_inside(l.host, line);
	check_inside(l.program, line);
	check_inside(l.message, line);
	if (postfix_parse(l.program, l.message, &e))
		check_views(&e, l.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const all[] = {
		"postfix/smtpd", "postfix/postscreen", "postfix/qmgr",
		"postfix/smtp",  "postfix/pickup",     "postfix/bounce"
	};
	struct sv v = { (const char *)data, size };
	struct sv helo, sender, recipient;

	if (size == 0 || size > 4000)
		return 0;
	check_raw(v);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct entry e = { 0 };

		INVARIANT(postfix_parse(sv_from(all[i]), v, &e));
		check_views(&e, v);
	}
	helo = take_line(&v);
	sender = take_line(&v);
	recipient = take_line(&v);
	v = take_line(&v);
	check_smtpd(helo, sender, recipient, v);
	check_delivery(sender, recipient, v);
	return 0;
}
