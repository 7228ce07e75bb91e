#include "owner.h"

#include "smtp/dialog_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ALL_MAX (64 * 1024 * 1024)

/* ---- what the dialog calls ---- */

/* What the backend is told, or asked, on the dialog's own account. */
static bool is_own_talk(const struct owner *o)
{
	return o->d.p->approach >= APPROACH_HELLO && o->d.p->approach <= APPROACH_XCLIENT;
}

static int on_send(struct dialog *d, enum dialog_side to, struct sv bytes)
{
	struct owner *o = d->user;
	struct buf *record = to == DIALOG_CLIENT ? &o->record.to_client : &o->record.to_backend;

	/* nothing is said to a backend that is not there or was given up */
	INVARIANT(to == DIALOG_CLIENT || (o->connected && !d->backend_done));
	INVARIANT(bytes.n > 0 && !o->securing[to]);
	if (to == DIALOG_CLIENT || !is_own_talk(o))
		INVARIANT(buf_add_sv(record, bytes) == 0);
	return buf_add_sv(to == DIALOG_CLIENT ? &o->to_client : &o->to_backend, bytes);
}

static void on_rcpt(struct dialog *d, struct dialog_rcpt *rcpt)
{
	struct owner *o = d->user;
	struct owner_rcpt *r = calloc(1, sizeof(*r));
	const struct smtp_path *path = rcpt->path;

	INVARIANT(r && path);
	r->owner = o;
	r->rcpt = rcpt;
	r->waiting = true;
	snprintf(r->address, sizeof(r->address), "%s%s%s", path->local,
		 path->domain_len > 0 ? "@" : "", path->domain);
	rcpt->user = r;
	*o->rcpts_end = r;
	o->rcpts_end = &r->next;
	o->judge(o, r, path);
}

static void on_rcpt_reply(struct dialog *d, struct dialog_rcpt *rcpt, int code, struct sv reply)
{
	struct owner_rcpt *r = rcpt->user;

	INVARIANT(r && r->rcpt == rcpt && r->n_replies == 0 && r->n_ends == 0 && !r->waiting);
	INVARIANT(reply.n >= 5 && owner_code(reply.p) == code);
	r->reply = code;
	r->n_replies++;
}

static void on_rcpt_end(struct dialog *d, struct dialog_rcpt *rcpt, int code, uint64_t octets)
{
	struct owner_rcpt *r = rcpt->user;

	INVARIANT(r && r->rcpt == rcpt && r->n_ends == 0);
	/* a message's answer is for those it was accepted for */
	INVARIANT(code == 0 || (r->reply >= 200 && r->reply < 300));
	r->rcpt = NULL;
	r->code = code;
	r->octets = octets;
	r->n_ends++;
	r->waiting = false;
	if (r->owner->ended)
		r->owner->ended(r->owner, r);
}

static void on_connect(struct dialog *d)
{
	struct owner *o = d->user;

	INVARIANT(!o->connected);
	o->connected = true;
	o->connects++;
}

static void on_heard(struct dialog *d, bool ehlo, struct sv reply)
{
	struct owner *o = d->user;

	INVARIANT(reply.n > 5 && reply.p[0] == '2');
	*(ehlo ? &o->heard_ehlos : &o->heard_greetings) += 1;
}

static void on_secure(struct dialog *d, enum dialog_side side)
{
	struct owner *o = d->user;

	INVARIANT(!o->securing[side]);
	o->securing[side] = true;
}

static void on_client_name(struct dialog *d)
{
	struct owner *o = d->user;

	o->name_wanted = true;
}

static void on_trouble(struct dialog *d, const char *why)
{
	struct owner *o = d->user;

	INVARIANT(*why);
	o->troubles++;
}

static const struct dialog_ops ops = {
	.secure = on_secure,
	.client_name = on_client_name,
	.trouble = on_trouble,
	.send = on_send,
	.rcpt = on_rcpt,
	.rcpt_reply = on_rcpt_reply,
	.rcpt_end = on_rcpt_end,
	.connect = on_connect,
	.heard = on_heard,
};

/* ---- bytes ---- */

static size_t feed_copy(struct owner *o, enum dialog_side from, struct sv in)
{
	char *exact = malloc(in.n ? in.n : 1);

	INVARIANT(exact);
	if (in.n > 0)
		memcpy(exact, in.p, in.n);
	o->feeding++;
	size_t used = dialog_feed(&o->d, from, (struct sv) { exact, in.n });
	o->feeding--;
	INVARIANT(used <= in.n);
	/* what was said in the clear behind the last line is thrown away */
	INVARIANT(!o->securing[from] || used == in.n);
	free(exact);
	return used;
}

static void offer(struct owner *o, enum dialog_side from)
{
	struct buf *left = from == DIALOG_CLIENT ? &o->client_in : &o->backend_in;

	buf_consume(left, feed_copy(o, from, buf_view(left)));
}

static void copy_left(struct owner *o)
{
	if (!o->drop_readahead) {
		INVARIANT(buf_add_sv(&o->to_backend, buf_view(&o->client_in)) == 0);
		INVARIANT(buf_add_sv(&o->to_client, buf_view(&o->backend_in)) == 0);
	}
	buf_clear(&o->client_in);
	buf_clear(&o->backend_in);
}

void owner_close(struct owner *o)
{
	if (!o->open)
		return;
	o->open = false;
	o->state = o->d.state;
	o->drop_readahead = o->d.drop_readahead;
	INVARIANT(o->state == DIALOG_TALKING || buf_add_sv(&o->tarpit, o->d.tarpit) == 0);
	dialog_deinit(&o->d);
	for (const struct owner_rcpt *r = o->rcpts; r; r = r->next)
		INVARIANT(r->n_ends == 1);
	if (o->state == DIALOG_RELAY)
		copy_left(o);
	buf_clear(&o->client_in);
	buf_clear(&o->backend_in);
}

static void settle(struct owner *o)
{
	if (!o->open)
		return;
	if (o->securing[DIALOG_CLIENT])
		buf_clear(&o->client_in);
	if (o->securing[DIALOG_BACKEND])
		buf_clear(&o->backend_in);
	if (!o->securing[DIALOG_CLIENT] && (buf_len(&o->client_in) > 0 || o->client_eof))
		offer(o, DIALOG_CLIENT);
	if (!o->lazy)
		owner_check(o);
	if (o->d.state != DIALOG_TALKING)
		owner_close(o);
}

/* What is the backend's as it is goes there without the dialog. How much of bytes did. */
static size_t carry(struct owner *o, struct sv bytes)
{
	if (!o->carries || buf_len(&o->client_in) > 0)
		return 0;
	size_t n = (size_t)dialog_untouched(&o->d);
	n = min_size(n, bytes.n);
	if (n == 0)
		return 0;
	struct sv carried = { bytes.p, n };
	INVARIANT(on_send(&o->d, DIALOG_BACKEND, carried) == 0);
	dialog_carried(&o->d, n);
	o->carried += n;
	return n;
}

static void take_piece(struct owner *o, enum dialog_side from, struct sv bytes)
{
	bool client = from == DIALOG_CLIENT;

	if (client ? o->client_eof : o->backend_eof || !o->connected)
		return;
	if (o->open && o->securing[from]) /* no SMTP, but the handshake's */
		return;
	if (!o->open && o->state == DIALOG_RELAY)
		INVARIANT(buf_add_sv(client ? &o->to_backend : &o->to_client, bytes) == 0);
	if (!o->open || (!client && o->d.backend_done))
		return;
	INVARIANT(buf_add_sv(client ? &o->from_client : &o->from_backend, bytes) == 0);
	if (client)
		INVARIANT(buf_add_sv(&o->record.from_client, bytes) == 0);
	else if (!is_own_talk(o))
		INVARIANT(buf_add_sv(&o->record.from_backend, bytes) == 0);
	size_t carried = client ? carry(o, bytes) : 0;
	bytes = (struct sv) { bytes.p + carried, bytes.n - carried };
	INVARIANT(buf_add_sv(client ? &o->client_in : &o->backend_in, bytes) == 0);
	offer(o, from);
	settle(o);
}

/* During the approach line by line, so that each is known to be of one step. */
static void take(struct owner *o, enum dialog_side from, struct sv bytes)
{
	while (from == DIALOG_BACKEND && o->open && o->d.p->approach > APPROACH_NONE) {
		const char *lf = memchr(bytes.p, '\n', bytes.n);
		if (!lf || lf + 1 == bytes.p + bytes.n)
			break;
		take_piece(o, from, (struct sv) { bytes.p, (size_t)(lf + 1 - bytes.p) });
		bytes.n -= (size_t)(lf + 1 - bytes.p);
		bytes.p = lf + 1;
	}
	take_piece(o, from, bytes);
}

void owner_client(struct owner *o, struct sv bytes)
{
	take(o, DIALOG_CLIENT, bytes);
}

void owner_backend(struct owner *o, struct sv bytes)
{
	take(o, DIALOG_BACKEND, bytes);
}

void owner_client_eof(struct owner *o)
{
	if (!o->open || o->client_eof)
		return;
	o->client_eof = true;
	dialog_eof(&o->d, DIALOG_CLIENT);
	settle(o);
}

void owner_backend_eof(struct owner *o)
{
	if (!o->open || o->backend_eof || !o->connected)
		return;
	o->backend_eof = true;
	if (!o->d.backend_done) /* else its connection was closed already */
		dialog_eof(&o->d, DIALOG_BACKEND);
	settle(o);
}

void owner_backend_failed(struct owner *o, const char *why)
{
	if (!o->open || !o->connected || o->d.backend_done)
		return;
	dialog_backend_failed(&o->d, why);
	settle(o);
}

/* All before it is answered; the checker begins anew, behind a greeting. */
static void begin_record(struct owner *o)
{
	struct owner_record *r = &o->record;
	struct buf *bufs[] = { &r->from_client, &r->from_backend, &r->to_client, &r->to_backend };

	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		buf_clear(bufs[i]);
	INVARIANT(buf_add_sv(&r->to_client, SV(OWNER_BANNER)) == 0);
	if (o->connected)
		INVARIANT(buf_add_sv(&r->from_backend, SV(OWNER_BANNER)) == 0);
}

void owner_secured(struct owner *o, enum dialog_side side, bool ok)
{
	if (!o->open)
		return;
	INVARIANT(o->securing[side]);
	o->securing[side] = false;
	if (side == DIALOG_CLIENT)
		begin_record(o);
	dialog_secured(&o->d, side, ok);
	settle(o);
}

void owner_name(struct owner *o, struct sv name)
{
	if (!o->open)
		return;
	dialog_client_name(&o->d, name);
	settle(o);
}

void owner_timeout(struct owner *o)
{
	if (!o->open)
		return;
	dialog_timeout(&o->d);
	settle(o);
}

void owner_drain(struct owner *o)
{
	if (!o->open)
		return;
	dialog_drain(&o->d);
	settle(o);
}

void owner_verdict(struct owner_rcpt *r, const struct dialog_verdict *v)
{
	if (!r->rcpt || !r->waiting)
		return;
	r->waiting = false;
	r->passed = v->kind == DIALOG_PASS || v->kind == DIALOG_TAG;
	/* copies: the dialog must not keep views of a verdict's texts */
	char *text = sv_dup(v->reply), *domain = sv_dup(v->domain), *mx = sv_dup(v->mx);
	struct dialog_verdict copy = {
		v->kind, { text, v->reply.n }, { domain, v->domain.n }, { mx, v->mx.n }
	};
	INVARIANT(text && domain && mx);
	dialog_verdict(&r->owner->d, r->rcpt, &copy);
	free(text);
	free(domain);
	free(mx);
	if (r->owner->feeding == 0)
		settle(r->owner);
}

/* ---- start and end ---- */

void owner_start(struct owner *o, struct dialog_conf conf, owner_judge_fn judge, void *user)
{
	*o = (struct owner) { .judge = judge, .user = user };
	o->rcpts_end = &o->rcpts;
	struct owner_record *r = &o->record;
	struct buf *bufs[] = { &o->client_in,    &o->backend_in, &o->from_client, &o->from_backend,
			       &o->to_client,    &o->to_backend, &o->tarpit,      &r->from_client,
			       &r->from_backend, &r->to_client,  &r->to_backend };
	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		buf_init(bufs[i], ALL_MAX);
	conf.ops = &ops;
	conf.hostname = OWNER_HOSTNAME;
	conf.id = OWNER_ID;
	conf.client = OWNER_CLIENT;
	o->connected = conf.front_banner.n == 0;
	INVARIANT(dialog_init(&o->d, &conf, o) == 0);
	o->open = true;
	settle(o);
}

void owner_end(struct owner *o)
{
	struct owner_record *r = &o->record;
	struct buf *bufs[] = { &o->client_in,    &o->backend_in, &o->from_client, &o->from_backend,
			       &o->to_client,    &o->to_backend, &o->tarpit,      &r->from_client,
			       &r->from_backend, &r->to_client,  &r->to_backend };

	owner_close(o);
	owner_check(o);
	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		buf_deinit(bufs[i]);
	while (o->rcpts) {
		struct owner_rcpt *rcpt = o->rcpts;
		o->rcpts = rcpt->next;
		free(rcpt);
	}
}
