/*
 * The approach: what is said to a backend that has just been reached, before the client's own
 * words.
 *
 *     banner → [EHLO of ours → [STARTTLS → handshake → EHLO of ours] → [XCLIENT → new banner]]
 *            → the client is greeted, or what it has said to us (fronted) is repeated
 *
 * No reply in it belongs to an entry of the queue, but the banner, which answers the entry that
 * stands for the client's greeting.
 */
#include "smtp/dialog_private.h"

#include <stdio.h>
#include <stdlib.h>

static bool wants_tls(const struct dialog *d)
{
	return !d->backend_tls &&
	       (d->conf.upstream_tls == DIALOG_UPSTREAM_ALWAYS ||
		(d->conf.upstream_tls == DIALOG_UPSTREAM_MIRROR && d->client_tls));
}

static bool wants_xclient(const struct dialog *d)
{
	return d->conf.xclient && !d->p->xclient_said;
}

bool dialog_approach_needed(const struct dialog *d)
{
	return wants_tls(d) || wants_xclient(d);
}

void dialog_approach_begin(struct dialog *d)
{
	d->p->approach = APPROACH_BANNER;
	d->conf.ops->connect(d);
}

static void say(struct dialog *d, const char *line, enum approach step)
{
	d->p->approach = step;
	dialog_send(d, DIALOG_BACKEND, sv_from(line));
	dialog_send(d, DIALOG_BACKEND, SV("\r\n"));
}

/* The operator is told: it is about how the two are set up. */
static void fail(struct dialog *d, const char *why)
{
	if (d->conf.ops->trouble)
		d->conf.ops->trouble(d, why);
	dialog_backend_failed(d, why);
}

/* ---- XCLIENT ---- */

/* Whether word is among those of a line "XCLIENT NAME ADDR ...". */
static bool is_offered(const char *offer, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = strchr(offer, ' '); at; at = strchr(at, ' ')) {
		at += strspn(at, " ");
		size_t n = strcspn(at, " ");
		if (sv_eq_nocase((struct sv) { at, n }, (struct sv) { word, len }))
			return true;
	}
	return false;
}

/* " KEY=value" in xtext (RFC 3461 4); false: no room. */
static bool put_attribute(char *out, size_t size, size_t *n, const char *key, const char *value)
{
	int r = snprintf(out + *n, size - *n, " %s=", key);

	if (r < 0 || (size_t)r >= size - *n)
		return false;
	*n += (size_t)r;
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		bool plain = c > ' ' && c < 0x7f && c != '+' && c != '=';
		if (size - *n < 5)
			return false;
		*n += (size_t)sprintf(out + *n, plain ? "%c" : "+%02X", c);
	}
	return true;
}

static void say_xclient(struct dialog *d)
{
	const struct dialog_xclient *x = d->conf.xclient;
	struct dialog_private *p = d->p;
	const char *const attributes[][2] = {
		{ "NAME", p->client_name },  { "ADDR", x->addr },         { "PORT", x->port },
		{ "DESTADDR", x->destaddr }, { "DESTPORT", x->destport },
	};
	char line[SMTP_COMMAND_LINE_MAX] = "XCLIENT";
	size_t n = strlen(line), said = n;

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		if (!is_offered(p->xclient_offer, attributes[i][0]))
			continue;
		size_t before = n;
		/* RFC 5321 4.5.3.1.4: a command has 512 octets; one that is too long goes alone */
		if (!put_attribute(line, sizeof(line), &n, attributes[i][0], attributes[i][1]))
			n = before;
		line[n] = '\0';
	}
	if (n == said || !is_offered(p->xclient_offer, "ADDR")) {
		fail(d, "does not take the client's address (XCLIENT)");
		return;
	}
	p->xclient_said = true;
	say(d, line, APPROACH_XCLIENT);
}

static void begin_xclient(struct dialog *d)
{
	struct dialog_private *p = d->p;

	if (!p->xclient_offer) {
		fail(d, "does not take the client's address (XCLIENT)");
		return;
	}
	if (p->client_name) {
		say_xclient(d);
		return;
	}
	p->approach = APPROACH_NAME;
	d->conf.ops->client_name(d);
}

void dialog_client_name(struct dialog *d, struct sv name)
{
	struct dialog_private *p = d->p;

	if (d->state != DIALOG_TALKING)
		return;
	free(p->client_name);
	p->client_name = sv_dup(name);
	if (!p->client_name)
		dialog_close(d);
	else if (p->approach == APPROACH_NAME)
		say_xclient(d);
}

/* ---- a fronted dialog catches up ---- */

/* The backend refuses the sender that was accepted here: each permitted recipient, now or later,
 * gets its words instead. */
static void front_mail_refused(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;

	p->t.mail = false;
	p->t.sender_refusal = sv_dup(reply->raw);
	if (!p->t.sender_refusal)
		dialog_close(d);
}

static void arrive(struct dialog *d)
{
	struct dialog_private *p = d->p;

	p->approach = APPROACH_DONE;
	if (!p->banner)
		return;
	struct reply banner;
	struct sv raw = sv_from(p->banner);
	INVARIANT(reply_parse(raw, &banner) == REPLY_DONE);
	dialog_greet(d, &banner);
	free(p->banner);
	p->banner = NULL;
}

static void repeat_mail(struct dialog *d)
{
	if (d->p->t.mail && d->p->front_mail)
		say(d, d->p->front_mail, APPROACH_MAIL);
	else
		arrive(d);
}

static void repeat_hello(struct dialog *d)
{
	if (d->p->front_helo)
		say(d, d->p->front_helo, APPROACH_EHLO);
	else
		repeat_mail(d);
}

/* ---- steps ---- */

static void next(struct dialog *d)
{
	struct dialog_private *p = d->p;
	bool tls = wants_tls(d);
	char line[300];

	if ((tls || wants_xclient(d)) && !p->hello_said) {
		p->hello_said = true;
		snprintf(line, sizeof(line), "EHLO %.255s", d->conf.hostname);
		say(d, line, APPROACH_HELLO);
	} else if (tls && d->backend_starttls) {
		say(d, "STARTTLS", APPROACH_STARTTLS);
	} else if (tls && d->conf.upstream_tls == DIALOG_UPSTREAM_ALWAYS) {
		fail(d, "offers no STARTTLS");
	} else if (wants_xclient(d)) {
		begin_xclient(d);
	} else {
		repeat_hello(d);
	}
}

/* The banner, or the one after XCLIENT: for a client that waits for it. */
static void keep_banner(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;

	if (p->head == p->tail || dialog_entry_at(d, p->head)->what != WHAT_GREETING)
		return;
	free(p->banner);
	p->banner = sv_dup(reply->raw);
	if (!p->banner)
		dialog_close(d);
}

static void on_banner(struct dialog *d, const struct reply *reply)
{
	/* 501: what was said of the client isn't understood; anything else is about the client */
	if (d->p->approach == APPROACH_XCLIENT && reply->code / 10 == 50) {
		fail(d, "does not take the client's address (XCLIENT)");
		return;
	}
	if (!smtp_is_success(reply->code)) {
		dialog_close_after(d, reply);
		return;
	}
	keep_banner(d, reply);
	if (d->p->approach == APPROACH_BANNER && d->conf.ops->heard)
		d->conf.ops->heard(d, false, reply->raw);
	next(d);
}

static void on_own_hello(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;
	struct sv text;

	if (!smtp_is_success(reply->code)) {
		fail(d, "refuses EHLO");
		return;
	}
	d->backend_starttls = false;
	free(p->xclient_offer);
	p->xclient_offer = NULL;
	for (size_t at = 0; reply_next_line(reply, &at, &text);) {
		if (sv_eq_nocase(text, SV("STARTTLS")))
			d->backend_starttls = true;
		if (sv_starts_nocase(text, SV("XCLIENT ")) && !p->xclient_offer)
			p->xclient_offer = sv_dup(text);
	}
	next(d);
}

static void on_starttls(struct dialog *d, const struct reply *reply)
{
	if (reply->code != 220) {
		fail(d, "refuses STARTTLS");
		return;
	}
	d->p->approach = APPROACH_HANDSHAKE;
	d->p->securing_backend = true;
	d->conf.ops->secure(d, DIALOG_BACKEND);
}

void dialog_approach_secured(struct dialog *d, bool ok)
{
	if (!ok) {
		fail(d, "can't be reached by TLS");
		return;
	}
	d->p->hello_said = false;
	next(d);
}

void dialog_approach_reply(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;
	char out[EHLO_REDUCED_MAX];

	if (reply->code == 421) {
		dialog_close_after(d, reply);
		return;
	}
	if (reply->code >= 300 && reply->code < 400) {
		dialog_backend_failed(d, "sent a reply that nobody asked for");
		return;
	}
	switch (p->approach) {
	case APPROACH_BANNER:
	case APPROACH_XCLIENT:
		on_banner(d, reply);
		break;
	case APPROACH_HELLO:
		on_own_hello(d, reply);
		break;
	case APPROACH_STARTTLS:
		on_starttls(d, reply);
		break;
	case APPROACH_EHLO:
		if (!smtp_is_success(reply->code)) {
			dialog_close_after(d, reply);
			break;
		}
		if (d->esmtp)
			dialog_learn_ehlo(d, reply, out);
		if (d->state == DIALOG_TALKING)
			repeat_mail(d);
		break;
	case APPROACH_MAIL:
		p->t.open = smtp_is_success(reply->code);
		if (!p->t.open)
			front_mail_refused(d, reply);
		arrive(d);
		break;
	case APPROACH_NAME: /* nothing was asked */
	case APPROACH_HANDSHAKE:
	case APPROACH_NONE:
	case APPROACH_DONE:
		fail(d, "sent a reply that nobody asked for");
		break;
	}
}
