/* The backend's side of the dialog: what its replies mean, for the client and for the transaction.
 */
#include "smtp/dialog_private.h"

#include <stdio.h>
#include <stdlib.h>

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

void dialog_close_after(struct dialog *d, const struct reply *reply)
{
	to_client(d, reply->raw);
	d->p->said_goodbye = true;
	d->linger = true;
	dialog_close(d);
}

static struct ehlo_offer our_offer(const struct dialog *d)
{
	bool ours = d->conf.starttls == DIALOG_STARTTLS_OURS;
	struct ehlo_offer offer = { EHLO_STARTTLS_HIDE, .no_channel_binding = ours };

	if (d->conf.starttls == DIALOG_STARTTLS_PASS)
		offer.starttls = EHLO_STARTTLS_KEEP;
	else if (ours && !d->client_tls)
		offer.starttls = EHLO_STARTTLS_OURS;
	return offer;
}

size_t dialog_learn_ehlo(struct dialog *d, const struct reply *reply, char *out)
{
	struct sv keyword;

	d->backend_starttls = d->backend_chunking = false;
	for (size_t at = 0; reply_next_line(reply, &at, &keyword);) {
		if (sv_eq_nocase(keyword, SV("STARTTLS")))
			d->backend_starttls = true;
		if (sv_eq_nocase(keyword, SV("CHUNKING")))
			d->backend_chunking = true;
	}
	size_t n = ehlo_reduce(reply, our_offer(d), out);
	if (d->conf.ops->heard)
		d->conf.ops->heard(d, true, (struct sv) { out, n });
	return n;
}

/* ---- replies to commands ---- */

static void on_greeting(struct dialog *d, const struct reply *reply)
{
	d->p->mode = MODE_COMMAND;
	if (!smtp_is_success(reply->code)) {
		dialog_close_after(d, reply);
		return;
	}
	to_client(d, reply->raw);
	if (d->conf.ops->heard)
		d->conf.ops->heard(d, false, reply->raw);
}

void dialog_greet(struct dialog *d, const struct reply *reply)
{
	d->p->mode = MODE_COMMAND;
	to_client(d, reply->raw);
	pop(d);
}

static void on_hello(struct dialog *d, bool ehlo, const struct reply *reply)
{
	d->p->mode = MODE_COMMAND;
	if (!smtp_is_success(reply->code)) {
		to_client(d, reply->raw);
		return;
	}
	d->p->need_hello = false;
	/* in mid-session it is RSET (RFC 5321 4.1.1.1, 4.1.4) */
	dialog_end_rcpts(d, d->p->t.id, 0, 0);
	dialog_reset_transaction(d);
	d->esmtp = ehlo;
	if (ehlo) {
		char out[EHLO_REDUCED_MAX];
		size_t n = dialog_learn_ehlo(d, reply, out);
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
	if (!smtp_is_success(reply->code)) {
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
	rcpt->accepted = smtp_is_success(reply->code);
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

/* To the STARTTLS that goes before the client's own. */
static void on_backend_leg(struct dialog *d, const struct reply *reply)
{
	if (reply->code == 220) {
		d->p->securing_backend = true;
		d->conf.ops->secure(d, DIALOG_BACKEND);
		return;
	}
	to_client(d, SV(TLS_NOT_NOW));
	d->p->mode = MODE_COMMAND;
}

static void on_starttls(struct dialog *d, const struct reply *reply)
{
	if (d->conf.starttls == DIALOG_STARTTLS_OURS) {
		on_backend_leg(d, reply);
		return;
	}
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
	bool early = p->mode == MODE_CHUNK && !p->chunk_refusal,
	     failed = !smtp_is_success(reply->code);

	if (early && !failed) {
		dialog_backend_failed(d, "answered before the end of a chunk");
		return;
	}
	if (p->mode == MODE_HOLD)
		p->mode = MODE_COMMAND;
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
		dialog_close_after(d, reply);
	else
		dialog_backend_failed(d, "sent a reply that nobody asked for");
}

/* A client may take any 3xx for its go-ahead, and any 2xx to DATA for the end (RFC 5321 4.3.2). */
static bool is_out_of_place(enum entry_what what, int code)
{
	bool intermediate = code >= 300 && code < 400;

	if (what == WHAT_DATA)
		return code < 400 && code != 354;
	return intermediate && !(what == WHAT_AUTH && code == 334);
}

void dialog_backend_reply(struct dialog *d, const struct reply *reply)
{
	struct dialog_private *p = d->p;

	if (p->approach != APPROACH_DONE) {
		dialog_approach_reply(d, reply);
		return;
	}
	struct dialog_entry *at = p->head != p->tail ? dialog_entry_at(d, p->head) : NULL;
	if (!at || at->kind != ENTRY_BACKEND) {
		unsolicited(d, reply);
		return;
	}

	struct dialog_entry e = *at;
	if (is_out_of_place(e.what, reply->code)) {
		dialog_backend_failed(d, "sent a reply that nobody asked for");
		return;
	}
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
	if (p->t.chunked && !smtp_is_success(reply->code))
		p->t.failed = true;
	pop(d);
	if (reply->code == 421 && d->state == DIALOG_TALKING)
		p->said_goodbye = true;
}
