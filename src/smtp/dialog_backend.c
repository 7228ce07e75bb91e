/* The backend's side of the dialog: what its replies mean, for the client and for the transaction.
 */
#include "smtp/dialog_private.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_success(int code)
{
	return code >= 200 && code < 300;
}

static void to_client(struct dialog *d, struct sv bytes)
{
	dialog_send(d, DIALOG_CLIENT, bytes);
}

/* The first entry has been answered. */
static void pop(struct dialog *d)
{
	struct dialog_private *p = d->p;
	struct dialog_entry *e = dialog_entry_at(d, p->head);

	if (e->owned)
		free((char *)e->text);
	free(e->domain);
	free(e->mx);
	*e = (struct dialog_entry) { 0 };
	p->head++;
}

static void close_after(struct dialog *d, const struct reply *reply)
{
	to_client(d, reply->raw);
	d->p->said_goodbye = true;
	d->linger = true;
	dialog_close(d);
}

/* What the backend offers, as cut down, into out[REPLY_MAX]; its length. */
static size_t learn_ehlo(struct dialog *d, const struct reply *reply, char *out)
{
	struct sv keyword;

	d->backend_starttls = d->backend_chunking = false;
	for (size_t at = 0; reply_next_line(reply, &at, &keyword);) {
		if (sv_eq_nocase(keyword, SV("STARTTLS")))
			d->backend_starttls = true;
		if (sv_eq_nocase(keyword, SV("CHUNKING")))
			d->backend_chunking = true;
	}
	size_t n = ehlo_reduce(reply, d->conf.starttls == DIALOG_STARTTLS_PASS, out);
	if (d->conf.ops->heard)
		d->conf.ops->heard(d, true, (struct sv) { out, n });
	return n;
}

/* ---- a fronted dialog catches up ---- */

static void repeat_line(struct dialog *d, const char *line, enum front_step step)
{
	dialog_send(d, DIALOG_BACKEND, sv_from(line));
	dialog_send(d, DIALOG_BACKEND, SV("\r\n"));
	d->p->front = step;
}

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

static void front_reply(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;
	bool ok = is_success(reply->code);

	if (reply->code == 421 || (!ok && p->front != FRONT_MAIL)) {
		close_after(d, reply);
		return;
	}
	if (p->front == FRONT_MAIL) {
		p->front = FRONT_OFF;
		p->t.open = ok;
		if (!ok)
			front_mail_refused(d, reply);
		return;
	}
	if (p->front == FRONT_BANNER) {
		if (d->conf.ops->heard)
			d->conf.ops->heard(d, false, reply->raw);
	} else if (d->esmtp) {
		char out[REPLY_MAX];
		learn_ehlo(d, reply, out);
	}
	if (p->front == FRONT_BANNER && p->front_helo)
		repeat_line(d, p->front_helo, FRONT_EHLO);
	else if (p->t.mail && p->front_mail)
		repeat_line(d, p->front_mail, FRONT_MAIL);
	else
		p->front = FRONT_OFF;
}

/* ---- replies to commands ---- */

static void on_greeting(struct dialog *d, const struct reply *reply)
{
	d->p->mode = MODE_COMMAND;
	if (!is_success(reply->code)) {
		close_after(d, reply);
		return;
	}
	to_client(d, reply->raw);
	if (d->conf.ops->heard)
		d->conf.ops->heard(d, false, reply->raw);
}

static void on_hello(struct dialog *d, bool ehlo, const struct reply *reply)
{
	d->p->mode = MODE_COMMAND;
	if (!is_success(reply->code)) {
		to_client(d, reply->raw);
		return;
	}
	/* in mid-session it is RSET (RFC 5321 4.1.1.1, 4.1.4) */
	dialog_end_rcpts(d, d->p->t.id, 0, 0);
	dialog_reset_transaction(d);
	d->esmtp = ehlo;
	if (ehlo) {
		char out[REPLY_MAX];
		size_t n = learn_ehlo(d, reply, out);
		to_client(d, (struct sv) { out, n });
	} else {
		d->backend_chunking = false;
		to_client(d, reply->raw);
	}
}

static void on_mail(struct dialog *d, const struct dialog_entry *e, const struct reply *reply)
{
	struct transaction *t = &d->p->t;

	to_client(d, reply->raw);
	if (e->transaction != t->id)
		return;
	if (!is_success(reply->code)) {
		t->mail = t->open;
		return;
	}
	if (t->open) {
		/* it takes MAIL again, so it has dropped what it had (RFC 5321 4.1.1.2) */
		dialog_end_rcpts(d, t->id, 0, 0);
		t->accepted = 0;
		t->octets = 0;
		t->chunked = t->failed = false;
	}
	t->open = t->mail = true;
}

static void on_rcpt(struct dialog *d, struct dialog_entry *e, const struct reply *reply)
{
	struct dialog_private *p = d->p;
	struct dialog_rcpt *rcpt = e->rcpt;
	bool current = rcpt->transaction == p->t.id;

	rcpt->answered = true;
	rcpt->accepted = is_success(reply->code);
	if (current) {
		p->t.pending--;
		if (rcpt->accepted) {
			p->t.accepted++;
			p->t.open = p->t.mail = true;
		}
	}
	to_client(d, reply->raw);
	d->conf.ops->rcpt_reply(d, rcpt, reply->code, reply->raw);
	if (!rcpt->accepted || !current)
		dialog_end_rcpt(d, rcpt);
}

static void on_data(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;
	char header[DIALOG_TAG_MAX];

	if (reply->code >= 300 && reply->code < 400 && reply->code != 354) {
		/* a client may take any 3xx for its go-ahead */
		dialog_backend_failed(d, "sent a reply that nobody asked for");
		return;
	}
	to_client(d, reply->raw);
	if (reply->code != 354) {
		p->mode = MODE_COMMAND;
		return;
	}
	p->mode = MODE_BODY;
	p->body_discard = false;
	body_init(&p->body, d->conf.bare);
	dialog_send(d, DIALOG_BACKEND, (struct sv) { header, dialog_tag_header(d, header) });
}

static void on_auth(struct dialog *d, const struct reply *reply)
{
	to_client(d, reply->raw);
	if (reply->code == 334) {
		d->p->mode = MODE_SASL;
		return;
	}
	d->p->mode = MODE_COMMAND;
	if (reply->code != 235)
		return;
	d->authenticated = true;
	if (d->conf.relay_authenticated && !d->p->draining)
		d->state = DIALOG_RELAY;
}

static void on_starttls(struct dialog *d, const struct reply *reply)
{
	to_client(d, reply->raw);
	d->p->mode = MODE_COMMAND;
	if (reply->code == 220) {
		d->drop_readahead = true;
		d->state = DIALOG_RELAY;
	}
}

/*
 * To a chunk. Before its end only a refusal can be meant, and whether the backend would take the
 * rest for commands is unknown: it gets no more of it, and nothing else.
 */
static void on_chunk(struct dialog *d, const struct dialog_entry *e, const struct reply *reply)
{
	struct dialog_private *p = d->p;
	bool early = p->mode == MODE_CHUNK && !p->chunk_refusal, failed = !is_success(reply->code);

	if (early && !failed) {
		dialog_backend_failed(d, "answered before the end of a chunk");
		return;
	}
	to_client(d, reply->raw);
	if (e->what == WHAT_BDAT_LAST || failed)
		dialog_end_rcpts(d, e->transaction, reply->code, e->octets);
	if (early) {
		p->chunk_refusal = "";
		d->backend_done = true;
	}
	if (failed && e->transaction == p->t.id) {
		p->t.accepted = 0;
		p->t.failed = true;
	}
}

/*
 * A reply while the client still sends its message: the backend has made up its mind (a refusal) or
 * is broken. A success can't be one, for it has not seen the end.
 */
static void early_reply(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;

	if (reply->code >= 400 && !p->early_reply)
		p->early_reply = sv_dup(reply->raw);
	p->body_discard = true;
}

static void unsolicited(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;

	if (p->mode == MODE_BODY) {
		early_reply(d, reply);
		return;
	}
	/* 421 may come at any time (RFC 5321 3.8) */
	if (reply->code == 421)
		close_after(d, reply);
	else
		dialog_backend_failed(d, "sent a reply that nobody asked for");
}

void dialog_backend_reply(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;

	if (p->front != FRONT_OFF) {
		front_reply(d, reply);
		return;
	}
	struct dialog_entry *at = p->head != p->tail ? dialog_entry_at(d, p->head) : NULL;
	if (!at || at->kind != ENTRY_BACKEND) {
		unsolicited(d, reply);
		return;
	}

	struct dialog_entry e = *at;
	switch (e.what) {
	case WHAT_GREETING:
		on_greeting(d, reply);
		break;
	case WHAT_EHLO:
	case WHAT_HELO:
		on_hello(d, e.what == WHAT_EHLO, reply);
		break;
	case WHAT_MAIL:
		on_mail(d, &e, reply);
		break;
	case WHAT_RCPT:
		on_rcpt(d, &e, reply);
		break;
	case WHAT_DATA:
		on_data(d, reply);
		break;
	case WHAT_BDAT:
	case WHAT_BDAT_LAST:
		on_chunk(d, &e, reply);
		break;
	case WHAT_END_OF_DATA:
		to_client(d, reply->raw);
		dialog_end_rcpts(d, e.transaction, reply->code, e.octets);
		break;
	case WHAT_AUTH:
		on_auth(d, reply);
		break;
	case WHAT_STARTTLS:
		on_starttls(d, reply);
		break;
	case WHAT_QUIT:
		to_client(d, reply->raw);
		p->said_goodbye = true;
		dialog_close(d);
		break;
	case WHAT_OTHER:
		to_client(d, reply->raw);
		break;
	}
	/* between chunks servers take RSET only after a failure, and BDAT's octets for commands */
	if (p->t.chunked && !is_success(reply->code))
		p->t.failed = true;
	pop(d);
	if (reply->code == 421 && d->state == DIALOG_TALKING)
		p->said_goodbye = true;
}
