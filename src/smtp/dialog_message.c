/*
 * The client's message on its way: the octets after DATA up to the final dot, and those of BDAT,
 * counted.
 */
#include "smtp/dialog_private.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- DATA ---- */

static int emit_body(void *user, struct sv octets)
{
	struct dialog *d = user;

	if (!d->p->body_discard)
		dialog_send(d, DIALOG_BACKEND, octets);
	return 0;
}

static void end_of_body(struct dialog *d)
{
	struct dialog_private *p = d->p;

	p->mode = MODE_COMMAND;
	if (p->body_discard || (p->body.bare && p->body.mode == BODY_REJECT)) {
		/* The backend still waits for a final dot that it must not get. */
		d->backend_done = true;
		if (p->early_reply) /* freed with the dialog; nothing replaces it any more */
			dialog_reply(d, p->early_reply);
		else if (p->body_discard)
			dialog_reply_printf(
				d, "451 4.3.0 The mail server broke off; try again later (%s)\r\n",
				d->conf.id);
		else
			dialog_reply_printf(d,
					    "550 5.5.2 Bare CR or LF in the message; lines end "
					    "with CRLF (%s)\r\n",
					    d->conf.id);
		dialog_abandon_transaction(d);
		return;
	}
	struct dialog_entry *e = dialog_push(d, ENTRY_BACKEND, WHAT_END_OF_DATA);
	if (e)
		e->octets = p->body.octets;
	dialog_reset_transaction(d);
}

bool dialog_step_body(struct dialog *d, struct sv in, size_t *ret_used)
{
	struct dialog_private *p = d->p;

	*ret_used = 0;
	if (in.n == 0)
		return false;
	if (body_feed(&p->body, in, emit_body, d, ret_used) == BODY_END)
		end_of_body(d);
	return true;
}

/* ---- BDAT ---- */

/* The first chunk carries the tag header, counted in. */
static void forward_chunk(struct dialog *d, uint64_t size, bool last)
{
	struct dialog_private *p = d->p;
	char header[DIALOG_TAG_MAX];
	size_t extra = p->t.chunked ? 0 : dialog_tag_header(d, header);
	char line[64];
	int n = snprintf(line, sizeof(line), "BDAT %" PRIu64 "%s", size + extra,
			 last ? " LAST" : "");

	dialog_forward(d, last ? WHAT_BDAT_LAST : WHAT_BDAT, &(struct sv) { line, (size_t)n }, 1);
	dialog_send(d, DIALOG_BACKEND, (struct sv) { header, extra });
	p->t.chunked = true;
	p->t.octets += size;
	if (d->state == DIALOG_TALKING)
		dialog_entry_at(d, p->tail - 1)->octets = p->t.octets;
}

/* Why the backend does not get this chunk; NULL: it does. */
static const char *chunk_refusal(const struct dialog *d)
{
	const struct transaction *t = &d->p->t;

	if (d->p->need_hello)
		return HELLO_FIRST;
	if (t->failed)
		return "503 5.5.1 This message has failed; RSET first\r\n";
	if (t->accepted == 0)
		return t->mail || t->refused > 0 ? "554 5.5.1 No valid recipients\r\n"
						 : "503 5.5.1 Sender and recipient first\r\n";
	return d->backend_chunking ? NULL : "503 5.5.1 CHUNKING was not offered\r\n";
}

/* The last octet of a chunk is there. */
static void end_of_chunk(struct dialog *d)
{
	struct dialog_private *p = d->p;

	if (!p->chunk_refusal) {
		p->mode = MODE_HOLD;
		if (p->chunk_last)
			dialog_reset_transaction(d);
		return;
	}
	p->mode = MODE_COMMAND;
	if (*p->chunk_refusal)
		dialog_reply(d, p->chunk_refusal);
}

void dialog_chunk_begin(struct dialog *d, uint64_t size, bool last)
{
	struct dialog_private *p = d->p;

	p->chunk_refusal = chunk_refusal(d);
	p->chunk_left = size;
	p->chunk_last = last;
	p->mode = MODE_CHUNK;
	if (!p->chunk_refusal)
		forward_chunk(d, size, last);
	if (size == 0)
		end_of_chunk(d);
}

void dialog_chunk_passed(struct dialog *d, uint64_t n)
{
	d->p->chunk_left -= n;
	if (d->p->chunk_left == 0)
		end_of_chunk(d);
}

bool dialog_step_chunk(struct dialog *d, struct sv in, size_t *ret_used)
{
	struct dialog_private *p = d->p;
	size_t n = in.n < p->chunk_left ? in.n : (size_t)p->chunk_left;

	*ret_used = n;
	if (n == 0)
		return false;
	if (!p->chunk_refusal)
		dialog_send(d, DIALOG_BACKEND, (struct sv) { in.p, n });
	dialog_chunk_passed(d, n);
	return true;
}
