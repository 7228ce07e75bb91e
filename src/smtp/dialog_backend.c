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

/* ---- a fronted dialog catches up ---- */

static void repeat_line(struct dialog *d, const char *line, enum front_step step)
{
	dialog_send(d, DIALOG_BACKEND, sv_from(line));
	dialog_send(d, DIALOG_BACKEND, SV("\r\n"));
	d->p->front = step;
}

/* The backend refuses the sender that was accepted here: each recipient gets its words instead. */
static void front_mail_refused(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;

	p->front = FRONT_OFF;
	for (uint32_t i = p->head; i != p->tail; i++) {
		struct dialog_entry *e = dialog_entry_at(d, i);
		char *text;
		if (e->kind != ENTRY_JUDGED || !(text = sv_dup(reply->raw)))
			continue;
		if (e->owned)
			free((char *)e->text);
		e->kind = ENTRY_LOCAL;
		e->text = text;
		e->text_len = reply->raw.n;
		e->owned = true;
	}
}

static void front_reply(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;

	if (p->front == FRONT_MAIL) {
		if (is_success(reply->code))
			p->front = FRONT_OFF;
		else
			front_mail_refused(d, reply);
		return;
	}
	if (!is_success(reply->code)) {
		close_after(d, reply);
		return;
	}
	if (p->front == FRONT_BANNER && p->front_helo)
		repeat_line(d, p->front_helo, FRONT_EHLO);
	else if (p->t.mail && p->front_mail)
		repeat_line(d, p->front_mail, FRONT_MAIL);
	else
		p->front = FRONT_OFF;
}

/* ---- replies to commands ---- */

static void on_ehlo(struct dialog *d, const struct reply *reply)
{
	d->p->mode = MODE_COMMAND;
	if (!is_success(reply->code)) {
		to_client(d, reply->raw);
		return;
	}
	/* EHLO in mid-session is RSET (RFC 5321 4.1.4) */
	dialog_end_rcpts(d, d->p->t.id, 0, 0);
	dialog_reset_transaction(d);
	d->esmtp = true;

	struct sv keyword;
	d->backend_starttls = false;
	for (size_t at = 0; reply_next_line(reply, &at, &keyword);)
		if (sv_eq_nocase(keyword, SV("STARTTLS")))
			d->backend_starttls = true;

	char out[REPLY_MAX];
	size_t n = ehlo_reduce(reply, d->conf.starttls == DIALOG_STARTTLS_PASS, out);
	to_client(d, (struct sv) { out, n });
	if (d->conf.ops->heard)
		d->conf.ops->heard(d, true, (struct sv) { out, n });
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
		if (rcpt->accepted)
			p->t.accepted++;
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
		p->mode = MODE_COMMAND;
		if (!is_success(reply->code)) {
			close_after(d, reply);
			return;
		}
		to_client(d, reply->raw);
		if (d->conf.ops->heard)
			d->conf.ops->heard(d, false, reply->raw);
		break;
	case WHAT_EHLO:
		on_ehlo(d, reply);
		break;
	case WHAT_HELO:
		p->mode = MODE_COMMAND;
		to_client(d, reply->raw);
		break;
	case WHAT_MAIL:
		if (e.transaction == p->t.id)
			p->t.mail = is_success(reply->code) || p->t.accepted > 0;
		to_client(d, reply->raw);
		break;
	case WHAT_RCPT:
		on_rcpt(d, &e, reply);
		break;
	case WHAT_DATA:
		on_data(d, reply);
		break;
	case WHAT_BDAT_LAST:
		if (is_success(reply->code) && p->mode == MODE_CHUNK && p->tail - p->head == 1) {
			dialog_backend_failed(d, "answered before the end of a chunk");
			return;
		}
		__attribute__((fallthrough));
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
	case WHAT_BDAT:
	case WHAT_OTHER:
		to_client(d, reply->raw);
		break;
	}
	pop(d);
	if (reply->code == 421 && d->state == DIALOG_TALKING)
		p->said_goodbye = true;
}
