/*
 * The dialog's frame: the queue of replies owed, how its entries are released, and the ways a
 * dialog ends.
 *
 * Every entry is answered by us (LOCAL) or by the backend (BACKEND). Entries that are not decided
 * yet (VERDICT, JUDGED) only ever stand behind all BACKEND ones, since nothing is passed on past
 * them; so the backend's next reply always belongs to the first entry of the queue.
 */
#include "smtp/dialog_private.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void entry_deinit(struct dialog_entry *e)
{
	if (e->owned)
		free((char *)e->text);
	free(e->domain);
	free(e->mx);
}

struct dialog_entry *dialog_entry_at(struct dialog *d, uint32_t number)
{
	return &d->p->ring[number & (d->p->ring_size - 1)];
}

static int ring_grow(struct dialog_private *p)
{
	uint32_t size = p->ring_size ? p->ring_size * 2 : 4;
	struct dialog_entry *ring = calloc(size, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	for (uint32_t i = p->head; i != p->tail; i++)
		ring[i & (size - 1)] = p->ring[i & (p->ring_size - 1)];
	free(p->ring);
	p->ring = ring;
	p->ring_size = size;
	return 0;
}

void dialog_close(struct dialog *d)
{
	d->state = DIALOG_CLOSING;
}

struct dialog_entry *dialog_push(struct dialog *d, enum entry_kind kind, enum entry_what what)
{
	struct dialog_private *p = d->p;

	if (p->tail - p->head == p->ring_size && ring_grow(p) < 0) {
		dialog_close(d);
		return NULL;
	}
	struct dialog_entry *e = dialog_entry_at(d, p->tail);
	*e = (struct dialog_entry) { .kind = kind, .what = what, .transaction = p->t.id };
	/* nothing undecided before it: it needs no turn to be passed on */
	if (p->next_forward == p->tail && kind != ENTRY_VERDICT)
		p->next_forward++;
	p->tail++;
	return e;
}

struct dialog_entry *dialog_reply(struct dialog *d, const char *text)
{
	struct dialog_entry *e = dialog_push(d, ENTRY_LOCAL, WHAT_OTHER);

	if (e) {
		e->text = text;
		e->text_len = strlen(text);
	}
	return e;
}

static int entry_own_text(struct dialog_entry *e, struct sv text)
{
	char *copy = sv_dup(text);

	if (!copy)
		return -ENOMEM;
	if (e->owned)
		free((char *)e->text);
	e->text = copy;
	e->text_len = text.n;
	e->owned = true;
	return 0;
}

struct dialog_entry *dialog_reply_printf(struct dialog *d, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	INVARIANT(n > 0 && (size_t)n < sizeof(text));

	struct dialog_entry *e = dialog_push(d, ENTRY_LOCAL, WHAT_OTHER);
	if (e && entry_own_text(e, (struct sv) { text, (size_t)n }) < 0) {
		e->text = "";
		dialog_close(d);
		return NULL;
	}
	return e;
}

void dialog_send(struct dialog *d, enum dialog_side to, struct sv bytes)
{
	/* in a handshake there is no way to say anything */
	if (to == DIALOG_CLIENT && d->p->securing_client)
		return;
	if (to == DIALOG_CLIENT && bytes.n > 0 && bytes.p[0] == '5')
		d->errors++;
	if (bytes.n > 0 && d->state != DIALOG_CLOSING && d->conf.ops->send(d, to, bytes) < 0)
		dialog_close(d);
}

void dialog_forward(struct dialog *d, enum entry_what what, const struct sv *parts, size_t n)
{
	char line[SMTP_AUTH_LINE_MAX + 16];
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		INVARIANT(parts[i].n <= sizeof(line) - 2 - len);
		memcpy(line + len, parts[i].p, parts[i].n);
		len += parts[i].n;
	}
	memcpy(line + len, "\r\n", 2);
	if (dialog_push(d, ENTRY_BACKEND, what))
		dialog_send(d, DIALOG_BACKEND, (struct sv) { line, len + 2 });
}

/* ---- the queue's turn ---- */

static void entry_becomes_local(struct dialog_entry *e, const char *text)
{
	if (e->owned)
		free((char *)e->text);
	e->owned = false;
	e->kind = ENTRY_LOCAL;
	e->text = text;
	e->text_len = strlen(text);
}

/* Passes judged recipients on, in order, as far as all before them are judged. */
static void release(struct dialog *d)
{
	struct dialog_private *p = d->p;

	for (; p->next_forward != p->tail && d->state == DIALOG_TALKING; p->next_forward++) {
		struct dialog_entry *e = dialog_entry_at(d, p->next_forward);
		if (e->kind == ENTRY_VERDICT)
			return;
		if (e->kind != ENTRY_JUDGED)
			continue;
		if (d->backend_done)
			return;
		if (p->approach != APPROACH_DONE) {
			if (p->approach == APPROACH_NONE) {
				dialog_approach_begin(d);
			}
			return;
		}
		if (p->t.sender_refusal) {
			e->kind = ENTRY_LOCAL;
			p->t.refused++;
			if (entry_own_text(e, sv_from(p->t.sender_refusal)) < 0)
				dialog_close(d);
			continue;
		}
		if (!dialog_class_admits(d, e)) {
			entry_becomes_local(
				e, "452 4.5.3 This recipient needs a message of its own\r\n");
			continue;
		}
		p->t.pending++;
		e->kind = ENTRY_BACKEND;
		dialog_send(d, DIALOG_BACKEND, (struct sv) { e->text, e->text_len });
	}
}

/* A refused recipient's reply can be dripped only when the session is about nothing else. */
static bool tarpit_begins(struct dialog *d, const struct dialog_entry *e)
{
	struct dialog_private *p = d->p;

	if (!e->drip || p->t.pending + p->t.accepted > 0 || p->tail - p->head > 1 || p->draining)
		return false;
	p->drip_text = sv_dup((struct sv) { e->text, e->text_len });
	if (!p->drip_text)
		return false;
	d->tarpit = (struct sv) { p->drip_text, e->text_len };
	return true;
}

static int reply_code(const char *text)
{
	return (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
}

/* Sends replies of ours whose turn it is. */
static void flush(struct dialog *d)
{
	struct dialog_private *p = d->p;

	while (d->state == DIALOG_TALKING && p->head != p->tail) {
		struct dialog_entry e = *dialog_entry_at(d, p->head);
		if (e.kind != ENTRY_LOCAL)
			return;
		bool drip = tarpit_begins(d, &e);
		if (!drip)
			dialog_send(d, DIALOG_CLIENT, (struct sv) { e.text, e.text_len });
		if (e.rcpt) {
			e.rcpt->answered = true;
			d->conf.ops->rcpt_reply(d, e.rcpt, reply_code(e.text),
						(struct sv) { e.text, e.text_len });
			dialog_end_rcpt(d, e.rcpt);
		}
		if (p->next_forward == p->head)
			p->next_forward++;
		p->head++;
		entry_deinit(&e);
		if (drip)
			d->state = DIALOG_TARPIT;
		else if (e.close)
			dialog_close(d);
	}
}

static void drain_if_idle(struct dialog *d)
{
	struct dialog_private *p = d->p;

	if (!p->draining || d->state != DIALOG_TALKING || p->head != p->tail || p->t.mail)
		return;
	if (p->mode != MODE_COMMAND && p->mode != MODE_SASL)
		return;
	struct dialog_entry *e =
		dialog_reply_printf(d, "421 4.3.2 %s is shutting down; try again soon (%s)\r\n",
				    d->conf.hostname, d->conf.id);
	if (e)
		e->close = true;
	flush(d);
}

void dialog_turn(struct dialog *d)
{
	release(d);
	flush(d);
	drain_if_idle(d);
}

/* ---- what the owner calls ---- */

int dialog_init(struct dialog *d, const struct dialog_conf *conf, void *user)
{
	*d = (struct dialog) {
		.conf = *conf,
		.user = user,
		.client_tls = conf->client_tls,
		.backend_tls = conf->backend_tls,
	};
	d->p = calloc(1, sizeof(*d->p));
	if (!d->p)
		return -ENOMEM;
	d->p->rcpts_end = &d->p->rcpts;
	if (conf->front_banner.n > 0) {
		d->p->approach = APPROACH_NONE;
		struct dialog_entry *e = dialog_push(d, ENTRY_LOCAL, WHAT_GREETING);
		if (e) {
			e->text = conf->front_banner.p;
			e->text_len = conf->front_banner.n;
		}
		dialog_turn(d);
	} else {
		d->p->mode = MODE_HOLD;
		dialog_push(d, ENTRY_BACKEND, WHAT_GREETING);
		if (dialog_approach_needed(d))
			d->p->approach = APPROACH_BANNER;
	}
	return 0;
}

void dialog_deinit(struct dialog *d)
{
	struct dialog_private *p = d->p;

	if (!p)
		return;
	for (; p->head != p->tail; p->head++)
		entry_deinit(dialog_entry_at(d, p->head));
	dialog_end_rcpts(d, UINT32_MAX, 0, 0);
	dialog_reset_transaction(d);
	free(p->ring);
	free(p->early_reply);
	free(p->front_helo);
	free(p->front_mail);
	free(p->banner);
	free(p->client_name);
	free(p->xclient_offer);
	free(p->drip_text);
	free(p);
	d->p = NULL;
}

static size_t feed_backend(struct dialog *d, struct sv in)
{
	size_t used = 0;

	while (d->state == DIALOG_TALKING && used < in.n && !d->backend_done &&
	       !d->p->securing_backend) {
		struct reply reply;
		enum reply_outcome r =
			reply_parse((struct sv) { in.p + used, in.n - used }, &reply);
		if (r == REPLY_MORE)
			return used;
		if (r == REPLY_BAD) {
			dialog_backend_failed(d, "sent what is no SMTP reply");
			break;
		}
		d->replies++;
		dialog_backend_reply(d, &reply);
		used += reply.raw.n;
		dialog_turn(d);
	}
	/* what comes after the end, or in the clear behind the reply to STARTTLS, is nobody's; what
	 * is to be copied stays */
	return d->state == DIALOG_RELAY && !d->drop_readahead ? used : in.n;
}

static size_t feed_client(struct dialog *d, struct sv in)
{
	struct dialog_private *p = d->p;
	size_t used = 0, n;

	for (;;) {
		struct sv rest = { in.p + used, in.n - used };
		if (d->state != DIALOG_TALKING || !dialog_client_step(d, rest, &n))
			break;
		used += n;
		dialog_turn(d);
	}
	if (d->state == DIALOG_CLOSING || d->state == DIALOG_TARPIT || p->securing_client)
		return in.n;
	/* all that can be is answered, or the end of a message will never come */
	bool in_message = p->mode == MODE_BODY || p->mode == MODE_CHUNK || p->mode == MODE_SASL;
	if (p->client_eof && d->state == DIALOG_TALKING && p->approach <= APPROACH_NONE &&
	    (p->head == p->tail || in_message))
		dialog_close(d);
	return used;
}

size_t dialog_feed(struct dialog *d, enum dialog_side from, struct sv in)
{
	size_t used;

	d->p->depth++;
	used = from == DIALOG_CLIENT ? feed_client(d, in) : feed_backend(d, in);
	d->p->depth--;
	return used;
}

uint64_t dialog_untouched(const struct dialog *d)
{
	const struct dialog_private *p = d->p;

	if (d->state != DIALOG_TALKING || d->backend_done || p->mode != MODE_CHUNK ||
	    p->chunk_refusal)
		return 0;
	return p->chunk_left;
}

void dialog_carried(struct dialog *d, uint64_t n)
{
	INVARIANT(n <= dialog_untouched(d));
	if (n == 0)
		return;
	d->p->depth++;
	dialog_chunk_passed(d, n);
	d->p->depth--;
}

void dialog_eof(struct dialog *d, enum dialog_side from)
{
	struct dialog_private *p = d->p;

	if (d->state != DIALOG_TALKING)
		return;
	if (from == DIALOG_BACKEND) {
		if (p->securing_backend)
			dialog_secured(d, DIALOG_BACKEND, false);
		else if (p->said_goodbye)
			dialog_close(d);
		else if (p->mode == MODE_BODY && p->body_discard)
			d->backend_done = true; /* what it said is told at the end */
		else if (!d->backend_done)
			dialog_backend_failed(d, "closed the connection");
		return;
	}
	p->client_eof = true;
	if (p->mode == MODE_BODY || p->mode == MODE_CHUNK || p->mode == MODE_SASL)
		dialog_close(d);
}

static void last_words(struct dialog *d, const char *text)
{
	/* in the place of the first reply that is owed; those behind it will not come */
	if (d->state == DIALOG_TALKING)
		dialog_send(d, DIALOG_CLIENT, sv_from(text));
	d->p->said_goodbye = true;
	d->linger = true;
	dialog_close(d);
}

void dialog_backend_failed(struct dialog *d, const char *why)
{
	char text[512];

	d->backend_done = true;
	snprintf(text, sizeof(text), "421 4.3.0 %s: the mail server %s; try again later (%s)\r\n",
		 d->conf.hostname, why, d->conf.id);
	last_words(d, text);
}

void dialog_give_up(struct dialog *d, const char *code, const char *why)
{
	char text[512];

	snprintf(text, sizeof(text), "421 %s %s: %s (%s)\r\n", code, d->conf.hostname, why,
		 d->conf.id);
	last_words(d, text);
}

void dialog_timeout(struct dialog *d)
{
	switch (dialog_waits_for(d)) {
	case DIALOG_WAIT_HANDSHAKE: /* there is no way to say anything */
		dialog_close(d);
		break;
	case DIALOG_WAIT_COMMAND:
	case DIALOG_WAIT_DATA:
		dialog_give_up(d, "4.4.2", "timeout, closing connection");
		break;
	case DIALOG_WAIT_VERDICT:
	case DIALOG_WAIT_BACKEND:
	case DIALOG_WAIT_BACKEND_DATA:
	case DIALOG_WAIT_BACKEND_FINAL:
	case DIALOG_WAIT_COUNT:
		dialog_backend_failed(d, "does not answer");
		break;
	}
}

void dialog_drain(struct dialog *d)
{
	d->p->draining = true;
	if (d->p->securing_client && d->state == DIALOG_TALKING)
		dialog_close(d);
	drain_if_idle(d);
}

/* Nothing that was said in the clear counts any more (RFC 3207 4.2). */
static void client_secured(struct dialog *d)
{
	struct dialog_private *p = d->p;

	/* what is reported of its recipients is as it was when they were named */
	dialog_end_rcpts(d, p->t.id, 0, 0);
	dialog_reset_transaction(d);
	p->mode = MODE_COMMAND;
	p->reader = (struct line_reader) { 0 };
	p->need_hello = true;
	free(p->front_helo);
	p->front_helo = NULL;
	d->client_tls = true;
	d->authenticated = false;
	d->esmtp = false;
	d->helo[0] = '\0';
	d->front_told = (struct sv) { 0 };
}

void dialog_secure_client(struct dialog *d)
{
	dialog_send(d, DIALOG_CLIENT, SV("220 2.0.0 Ready to start TLS\r\n"));
	d->p->securing_client = true;
	d->conf.ops->secure(d, DIALOG_CLIENT);
}

/* The backend's leg that goes before the client's own (dialog_client.c, on_starttls()). */
static void backend_secured(struct dialog *d, bool ok)
{
	struct dialog_private *p = d->p;

	if (ok) {
		dialog_secure_client(d);
		return;
	}
	/* half a handshake: it can't be gone back to clear text on that connection */
	d->backend_done = true;
	p->mode = MODE_COMMAND;
	dialog_send(d, DIALOG_CLIENT, SV(TLS_NOT_NOW));
}

void dialog_secured(struct dialog *d, enum dialog_side side, bool ok)
{
	struct dialog_private *p = d->p;
	bool *waited = side == DIALOG_CLIENT ? &p->securing_client : &p->securing_backend;

	if (d->state != DIALOG_TALKING)
		return;
	INVARIANT(*waited);
	*waited = false;
	if (side == DIALOG_BACKEND)
		d->backend_tls = ok;
	if (side == DIALOG_CLIENT && ok)
		client_secured(d);
	else if (side == DIALOG_CLIENT)
		dialog_close(d);
	else if (p->approach == APPROACH_HANDSHAKE)
		dialog_approach_secured(d, ok);
	else
		backend_secured(d, ok);
	if (p->depth == 0)
		dialog_turn(d);
}

static int entry_judge(struct dialog *d, struct dialog_entry *e, const struct dialog_verdict *v)
{
	switch (v->kind) {
	case DIALOG_REFUSE:
	case DIALOG_DRIP:
		e->kind = ENTRY_LOCAL;
		e->drip = v->kind == DIALOG_DRIP;
		d->p->t.refused++;
		return entry_own_text(e, v->reply);
	case DIALOG_TAG:
		e->class = v->shared ? DIALOG_CLASS_SHARED : DIALOG_CLASS_TAG;
		e->domain = sv_dup(v->domain);
		e->mx = sv_dup(v->mx);
		if (!e->domain || !e->mx)
			return -ENOMEM;
		break;
	case DIALOG_PASS:
		e->class = DIALOG_CLASS_PASS;
		break;
	}
	e->kind = ENTRY_JUDGED;
	return 0;
}

void dialog_verdict(struct dialog *d, struct dialog_rcpt *rcpt,
		    const struct dialog_verdict *verdict)
{
	struct dialog_entry *e = dialog_entry_at(d, rcpt->entry);

	INVARIANT(e->kind == ENTRY_VERDICT && e->rcpt == rcpt);
	if (entry_judge(d, e, verdict) < 0) {
		dialog_close(d);
		return;
	}
	if (d->p->depth == 0)
		dialog_turn(d);
}

enum dialog_wait dialog_waits_for(const struct dialog *d)
{
	const struct dialog_private *p = d->p;

	if (p->securing_client)
		return DIALOG_WAIT_HANDSHAKE;
	if (p->approach == APPROACH_NAME)
		return DIALOG_WAIT_VERDICT;
	if (p->approach > APPROACH_NONE || p->securing_backend)
		return DIALOG_WAIT_BACKEND;
	if (p->head != p->tail) {
		const struct dialog_entry *e = &p->ring[p->head & (p->ring_size - 1)];
		if (e->kind == ENTRY_VERDICT)
			return DIALOG_WAIT_VERDICT;
		if (p->mode == MODE_CHUNK && p->tail - p->head == 1)
			return DIALOG_WAIT_DATA;
		if (e->what == WHAT_END_OF_DATA || e->what == WHAT_BDAT_LAST)
			return DIALOG_WAIT_BACKEND_FINAL;
		return e->what == WHAT_DATA ? DIALOG_WAIT_BACKEND_DATA : DIALOG_WAIT_BACKEND;
	}
	if (p->mode == MODE_BODY || p->mode == MODE_CHUNK)
		return DIALOG_WAIT_DATA;
	return DIALOG_WAIT_COMMAND;
}

bool dialog_is_busy(const struct dialog *d)
{
	const struct dialog_private *p = d->p;

	return d->state == DIALOG_TALKING && (p->head != p->tail || p->t.mail);
}
