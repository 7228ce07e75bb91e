/*
 * Octet 0: what kind of dialog. Each octet after it is an event: one side says a word of the tables
 * (+64: octet by octet), a recipient's verdict comes, or something ends. What must hold after each
 * event is owner_check()'s.
 */
#include "dialog/owner.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EVENTS_MAX 300
#define EACH_OCTET 64

#define WORD(s)                                                                                    \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}

/* '#' becomes a number, so that no two recipients are alike */
static const struct sv client_words[] = {
	WORD("EHLO c.net\r\n"),
	WORD("HELO c.net\r\n"),
	WORD("MAIL FROM:<s@c.net>\r\n"),
	WORD("RCPT TO:<ok#@b.net>\r\n"),
	WORD("RCPT TO:<bad#@b.net>\r\n"),
	WORD("RCPT TO:<tag#@b.net>\r\n"),
	WORD("RCPT TO:<drip#@b.net>\r\n"),
	WORD("RCPT TO:<wait#@b.net>\r\n"),
	WORD("DATA\r\n"),
	WORD("BDAT 0\r\n"),
	WORD("BDAT 6\r\n"),
	WORD("BDAT 22 LAST\r\n"),
	WORD("BDAT 0 LAST\r\n"),
	WORD("RSET\r\n"),
	WORD("NOOP\r\n"),
	WORD("VRFY x\r\n"),
	WORD("EXPN x\r\n"),
	WORD("AUTH PLAIN eA==\r\n"),
	WORD("STARTTLS\r\n"),
	WORD("QUIT\r\n"),
	WORD("QUIT\r\nRCPT TO:<bad#@b.net>\r\n"),
	WORD("x\r\n"),
	WORD(".\r\n"),
	WORD("\n"),
	WORD("\r"),
	WORD("*\r\n"),
};

static const struct sv backend_words[] = {
	WORD("220 b.example ESMTP\r\n"),
	WORD("250-b.example\r\n250-STARTTLS\r\n250 CHUNKING\r\n"),
	WORD("250-b.example\r\n250 HELP\r\n"),
	WORD("250 ok\r\n"),
	WORD("354 go\r\n"),
	WORD("334 eA==\r\n"),
	WORD("235 in\r\n"),
	WORD("221 bye\r\n"),
	WORD("421 gone\r\n"),
	WORD("450 later\r\n"),
	WORD("550 no\r\n"),
	WORD("250-part\r\n"),
	WORD("junk"),
};

enum {
	EVENT_CLIENT_EOF = sizeof(client_words) / sizeof(client_words[0]) +
			   sizeof(backend_words) / sizeof(backend_words[0]),
	EVENT_BACKEND_EOF,
	EVENT_BACKEND_FAILED,
	EVENT_TIMEOUT,
	EVENT_DRAIN,
	EVENT_FIRST_PASSES,
	EVENT_FIRST_REFUSED,
	EVENT_LAST_PASSES,
	EVENT_LAST_REFUSED,
	EVENT_LAST_DRIPS,
	EVENT_LAST_TAGGED,
	EVENT_SECURED,
	EVENT_NOT_SECURED,
	EVENT_NAME,
	EVENT_XCLIENT_OFFERED,
	EVENTS,
};
_Static_assert(EVENTS <= EACH_OCTET, "an event is six bits");

static void give(struct owner_rcpt *r, enum dialog_verdict_kind kind)
{
	owner_verdict(r, &(struct dialog_verdict) { .kind = kind,
						    .reply = SV("550 5.7.1 refused here\r\n"),
						    .domain = SV("b.net"),
						    .mx = SV("mx.b.net") });
}

static void judge(struct owner *o, struct owner_rcpt *r, const struct smtp_path *path)
{
	if (strncmp(path->local, "ok", 2) == 0)
		give(r, DIALOG_PASS);
	else if (strncmp(path->local, "bad", 3) == 0)
		give(r, DIALOG_REFUSE);
	else if (strncmp(path->local, "tag", 3) == 0)
		give(r, DIALOG_TAG);
	else if (strncmp(path->local, "drip", 4) == 0)
		give(r, DIALOG_DRIP);
}

static void give_one(struct owner *o, bool last, enum dialog_verdict_kind kind)
{
	struct owner_rcpt *one = NULL;

	for (struct owner_rcpt *r = o->rcpts; r && (last || !one); r = r->next)
		if (r->waiting)
			one = r;
	if (one)
		give(one, kind);
}

static void say(struct owner *o, struct sv word, int number, bool each,
		void (*to)(struct owner *o, struct sv bytes))
{
	char text[128];
	size_t n = 0;

	for (size_t i = 0; i < word.n; i++)
		if (word.p[i] == '#')
			n += (size_t)sprintf(text + n, "%d", number);
		else
			text[n++] = word.p[i];
	for (size_t i = 0; i < n; i += each ? 1 : n)
		to(o, (struct sv) { text + i, each ? 1 : n });
}

static void secured(struct owner *o, bool ok)
{
	for (int side = DIALOG_CLIENT; side <= DIALOG_BACKEND; side++)
		if (o->open && o->securing[side])
			owner_secured(o, side, ok);
}

static void event(struct owner *o, unsigned int what)
{
	switch (what) {
	case EVENT_CLIENT_EOF:
		owner_client_eof(o);
		break;
	case EVENT_BACKEND_EOF:
		owner_backend_eof(o);
		break;
	case EVENT_BACKEND_FAILED:
		owner_backend_failed(o, "failed");
		break;
	case EVENT_TIMEOUT:
		owner_timeout(o);
		break;
	case EVENT_DRAIN:
		owner_drain(o);
		break;
	case EVENT_FIRST_PASSES:
		give_one(o, false, DIALOG_PASS);
		break;
	case EVENT_FIRST_REFUSED:
		give_one(o, false, DIALOG_REFUSE);
		break;
	case EVENT_LAST_PASSES:
		give_one(o, true, DIALOG_PASS);
		break;
	case EVENT_LAST_REFUSED:
		give_one(o, true, DIALOG_REFUSE);
		break;
	case EVENT_LAST_DRIPS:
		give_one(o, true, DIALOG_DRIP);
		break;
	case EVENT_LAST_TAGGED:
		give_one(o, true, DIALOG_TAG);
		break;
	case EVENT_SECURED:
	case EVENT_NOT_SECURED:
		secured(o, what == EVENT_SECURED);
		break;
	case EVENT_XCLIENT_OFFERED:
		owner_backend(o, SV("250-b.example\r\n250-STARTTLS\r\n250 XCLIENT NAME ADDR\r\n"));
		break;
	case EVENT_NAME:
		if (o->name_wanted)
			owner_name(o, SV("host.c.net"));
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dialog_xclient xclient = { "192.0.2.9", "4025", "198.51.100.25", "25" };
	struct dialog_conf conf = { 0 };
	struct owner o;

	if (size < 1)
		return 0;
	if (data[0] & 1) {
		conf.front_banner = SV(OWNER_BANNER);
		conf.front_ehlo = SV(OWNER_EHLO);
	}
	conf.starttls = data[0] & 2 ? DIALOG_STARTTLS_PASS : DIALOG_STARTTLS_HIDE;
	if (data[0] & 16)
		conf.starttls = DIALOG_STARTTLS_OURS;
	if (data[0] & 32)
		conf.upstream_tls = data[0] & 2 ? DIALOG_UPSTREAM_ALWAYS : DIALOG_UPSTREAM_OFF;
	if (data[0] & 64)
		conf.xclient = &xclient;
	conf.client_tls = (data[0] & 128) && conf.starttls == DIALOG_STARTTLS_OURS;
	if (data[0] & 8)
		conf.front_ehlo_tls = SV(OWNER_EHLO_TLS);
	conf.bare = data[0] & 4 ? BODY_REJECT : BODY_NORMALIZE;
	conf.relay_authenticated = data[0] & 8;
	owner_start(&o, conf, judge, NULL);
	o.carries = size & 1;
	for (size_t i = 1; i < size && i <= EVENTS_MAX && o.open; i++) {
		unsigned int what = data[i] % EACH_OCTET;
		bool each = data[i] & EACH_OCTET;

		if (what < ARRAY_SIZE(client_words))
			say(&o, client_words[what], (int)i, each, owner_client);
		else if (what < EVENT_CLIENT_EOF)
			say(&o, backend_words[what - ARRAY_SIZE(client_words)], (int)i, each,
			    owner_backend);
		else
			event(&o, what);
	}
	owner_end(&o);
	return 0;
}
