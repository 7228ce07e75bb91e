/*
 * What a session may take: time for each step (RFC 5321 4.5.3.2), the least rate of a message,
 * memory when there is too little of it.
 */
#include "proxy/session_private.h"

#include "base/clock.h"
#include "base/log.h"

#define VERDICT_MS (5 * 60 * 1000) /* the resolver answers long before */
#define TIGHT_HOLD 4096 /* what one side may have in buffers when there is too little memory */

static void at_limit(struct session *s, enum metric metric, const char *words)
{
	worker_at_limit(s->worker, s->listener, metric, words, &s->peer.addr);
}

void session_note_limit(struct session *s)
{
	if (s->dialog.limit == DIALOG_LIMIT_COMMANDS)
		at_limit(s, METRIC_LIMIT_COMMANDS, "too many commands in one session");
	else if (s->dialog.limit == DIALOG_LIMIT_ERRORS)
		at_limit(s, METRIC_LIMIT_ERRORS, "too many errors in one session");
}

static const struct limits_conf *limits_of(const struct session *s)
{
	return &s->setup->conf->limits;
}

static int64_t time_limit_ms(const struct session *s, enum dialog_wait wait)
{
	const struct limits_conf *c = limits_of(s);

	switch (wait) {
	case DIALOG_WAIT_COMMAND:
		return c->command_ms;
	case DIALOG_WAIT_DATA:
		return c->data_ms;
	case DIALOG_WAIT_BACKEND:
		return c->backend_ms;
	case DIALOG_WAIT_BACKEND_DATA:
		return c->data_start_ms;
	case DIALOG_WAIT_BACKEND_FINAL:
		return c->final_ms;
	case DIALOG_WAIT_HANDSHAKE:
		return SESSION_HANDSHAKE_MS;
	case DIALOG_WAIT_VERDICT:
	case DIALOG_WAIT_COUNT:
		break;
	}
	return VERDICT_MS;
}

/*
 * A command or a reply that comes octet by octet has no more time than one that comes at once. A
 * message has as much for each block, and is_too_slow() besides.
 */
void session_set_deadline(struct session *s)
{
	enum dialog_wait wait = dialog_waits_for(&s->dialog);
	uint32_t turn = wait == DIALOG_WAIT_COMMAND ? s->dialog.commands : s->dialog.replies;

	if (s->timed && wait == s->waits && turn == s->turn && wait != DIALOG_WAIT_DATA &&
	    wait != DIALOG_WAIT_VERDICT)
		return;
	s->timed = true;
	s->waits = wait;
	s->turn = turn;
	s->deadline_ms = clock_mono_ms() + time_limit_ms(s, wait);
}

/*
 * Over the cap of all buffers a side is not read that has filled its own already. Those that are
 * nearly empty go on: what others hold must not stop mail that passes through.
 */
void session_spare_memory(struct session *s)
{
	size_t to_client = buf_len(&s->client.out), to_backend = buf_len(&s->backend.out);
	/* half a line, or half a reply, is of no use without the other */
	bool client = to_client + to_backend > TIGHT_HOLD ||
		      buf_len(&s->client_in) > SMTP_AUTH_LINE_MAX,
	     backend = to_client > TIGHT_HOLD;

	s->tight = client && limiter_is_tight(s->worker->server->limiter, limits_of(s));
	if (!s->tight)
		return;
	s->client.reading = false;
	s->backend.reading = s->backend.reading && !backend;
}

/*
 * Less of a message than min_rate, on average over the time for a block: a shorter one would end an
 * honest client that a lost packet or a busy disk holds up for a minute (RFC 5321 4.5.3.2.5 grants
 * three). Only what the client is to blame for: not while nobody reads it, not in handshakes.
 */
static bool is_too_slow(struct session *s)
{
	const struct limits_conf *c = limits_of(s);
	uint32_t window = (uint32_t)(c->data_ms / 1000);

	if (c->min_rate == 0 || s->trusted || dialog_waits_for(&s->dialog) != DIALOG_WAIT_DATA ||
	    !s->client.reading || ++s->slow_s < window)
		return false;
	bool slow = s->slow_octets < (uint64_t)c->min_rate * s->slow_s;
	s->slow_s = s->slow_octets = 0;
	return slow;
}

static void talk_timeout(struct session *s)
{
	enum dialog_wait wait = dialog_waits_for(&s->dialog);
	bool client = wait == DIALOG_WAIT_COMMAND || wait == DIALOG_WAIT_DATA ||
		      wait == DIALOG_WAIT_HANDSHAKE;

	size_t pause = s->tight ? TIGHT_HOLD : SESSION_OUT_PAUSE;
	if (client && buf_len(&s->backend.out) > pause) {
		log_warning("id=%s listener=%s: the mail server does not take the message", s->id,
			    s->listener->conf->name);
		dialog_backend_failed(&s->dialog, "does not take the message");
		return;
	}
	if (client)
		at_limit(s, METRIC_LIMIT_SLOW, "time for a command or a block is up");
	dialog_timeout(&s->dialog);
}

/* Is it to be read again? To look is no progress: what holds memory has as much time as ever. */
static void look_again(struct session *s)
{
	enum dialog_wait waits = s->waits;
	uint32_t turn = s->turn;
	int64_t until = s->deadline_ms;

	session_settle(s);
	if (s->tight && waits == s->waits && turn == s->turn)
		s->deadline_ms = until;
}

void session_check_time(struct session *s, int64_t now_ms)
{
	if (!s->dead)
		session_check_connecting(s, now_ms);
	if (s->dead)
		return;
	bool talks = session_is_talking(s);
	if (talks && is_too_slow(s)) {
		at_limit(s, METRIC_LIMIT_SLOW, "message comes too slowly");
		dialog_give_up(&s->dialog, "4.4.2", "the message comes too slowly");
		session_settle(s);
	} else if (talks && now_ms >= s->deadline_ms) {
		talk_timeout(s);
		session_settle(s);
	} else if (now_ms >= s->deadline_ms) {
		session_end(s);
	} else if (s->tight) {
		look_again(s);
	}
}
