/*
 * The client's side of the dialog: commands in their table, SASL lines.
 *
 * Each command checks its syntax (command.c), then whether it may be read now: while recipients
 * wait for their verdict nothing but RCPT is read, and BDAT waits for all replies before it (see
 * dialog.h).
 */
#include "smtp/dialog_private.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct client_command {
	struct dialog *d;
	const struct command *cmd;
	struct sv line;
};

enum step { STEP_DONE, STEP_WAIT };

static bool has_undecided(const struct dialog *d)
{
	return d->p->next_forward != d->p->tail;
}

/* The backend is there and may be told things. A fronted dialog asks for it. */
static bool backend_ready(struct dialog *d)
{
	struct dialog_private *p = d->p;

	if (p->approach == APPROACH_NONE) {
		dialog_approach_begin(d);
	}
	return p->approach == APPROACH_DONE;
}

static void forward_line(struct dialog *d, enum entry_what what, struct sv line)
{
	dialog_forward(d, what, &line, 1);
}

/*
 * May a line go on as it stands? Not when it is longer than what every server takes: there are some
 * that cut such a line in two, and some whose reply, with the line in it, is over our own limit.
 */
static bool may_go_on(struct sv line)
{
	return line.n <= SMTP_PLAIN_LINE_MAX - 2 && text_is_clean(line, true);
}

/* ---- one function for each verb ---- */

static int remember(char **at, struct sv line)
{
	free(*at);
	*at = sv_dup(line);
	return *at ? 0 : -ENOMEM;
}

static enum step on_helo(struct client_command *c)
{
	struct dialog *d = c->d;
	struct dialog_private *p = d->p;
	bool ehlo = c->cmd->verb == VERB_EHLO;

	if (!may_go_on(c->line)) {
		dialog_reply(d, "501 5.5.4 Malformed host name\r\n");
		return STEP_DONE;
	}
	struct sv told = d->client_tls ? d->conf.front_ehlo_tls : d->conf.front_ehlo;
	log_quote(c->cmd->args, d->helo, sizeof(d->helo));
	if (p->approach == APPROACH_NONE && (!ehlo || told.n > 0)) {
		dialog_abandon_transaction(d);
		if (remember(&p->front_helo, c->line) < 0) {
			dialog_close(d);
			return STEP_DONE;
		}
		d->esmtp = ehlo;
		p->need_hello = false;
		if (ehlo) {
			struct dialog_entry *e = dialog_push(d, ENTRY_LOCAL, WHAT_OTHER);
			if (e) {
				e->text = told.p;
				e->text_len = told.n;
			}
			d->front_told = told;
		} else {
			dialog_reply_printf(d, "250 %.200s\r\n", d->conf.hostname);
		}
		return STEP_DONE;
	}
	if (!backend_ready(d))
		return STEP_WAIT;
	forward_line(d, ehlo ? WHAT_EHLO : WHAT_HELO, c->line);
	p->mode = MODE_HOLD;
	return STEP_DONE;
}

static bool syntax_refused(struct dialog *d, enum command_error error, bool rcpt)
{
	switch (error) {
	case COMMAND_OK:
		return false;
	case COMMAND_UNKNOWN:
		dialog_reply(d, "500 5.5.1 Command unknown\r\n");
		return true;
	case COMMAND_SYNTAX:
		dialog_reply(d, "501 5.5.4 Syntax error in arguments\r\n");
		return true;
	case COMMAND_ADDRESS:
		dialog_reply(d, rcpt ? "501 5.1.3 Malformed recipient address\r\n"
				     : "501 5.1.7 Malformed sender address\r\n");
		return true;
	case COMMAND_PARAMETER:
		dialog_reply(d, "555 5.5.4 Parameter not offered or malformed\r\n");
		return true;
	}
	return true;
}

static enum step on_mail(struct client_command *c)
{
	struct dialog *d = c->d;
	struct dialog_private *p = d->p;
	struct smtp_path path;
	struct sv params;
	char wire[PATH_WIRE_MAX];
	bool smtputf8;

	if (syntax_refused(d, command_mail(c->cmd->args, &path, &params, &smtputf8), false))
		return STEP_DONE;

	struct sv parts[] = {
		SV("MAIL FROM:"), { wire, path_write(&path, wire) }, SV(" "), params
	};
	size_t n_parts = params.n ? 4 : 2;
	if (p->approach == APPROACH_NONE) {
		char line[SMTP_COMMAND_LINE_MAX + PATH_WIRE_MAX];
		if (p->t.mail) {
			dialog_reply(d, "503 5.5.1 Sender already given\r\n");
			return STEP_DONE;
		}
		int n = snprintf(line, sizeof(line), "MAIL FROM:" SV_FMT "%s" SV_FMT,
				 SV_ARG(parts[1]), params.n ? " " : "", SV_ARG(params));
		if (n < 0 || remember(&p->front_mail, (struct sv) { line, (size_t)n }) < 0) {
			dialog_close(d);
			return STEP_DONE;
		}
		dialog_reply(d, "250 2.1.0 Sender ok\r\n");
	} else if (!backend_ready(d)) {
		return STEP_WAIT;
	}
	if (!p->t.mail) {
		dialog_abandon_transaction(d);
		p->t.mail = true;
	}
	p->t.smtputf8 |= smtputf8;
	if (p->approach == APPROACH_DONE)
		dialog_forward(d, WHAT_MAIL, parts, n_parts);
	return STEP_DONE;
}

/* The command as it will go on once the recipient is permitted. */
static char *rcpt_line(const struct smtp_path *path, struct sv params, size_t *ret_len)
{
	static const char verb[] = "RCPT TO:";
	char wire[PATH_WIRE_MAX];
	size_t wire_len = path_write(path, wire);
	char *line = malloc(sizeof(verb) + wire_len + 1 + params.n + 2);

	if (!line)
		return NULL;
	char *at = mempcpy(line, verb, sizeof(verb) - 1);
	at = mempcpy(at, wire, wire_len);
	if (params.n > 0) {
		*at++ = ' ';
		at = mempcpy(at, params.p, params.n);
	}
	*at++ = '\r';
	*at++ = '\n';
	*ret_len = (size_t)(at - line);
	return line;
}

static enum step on_rcpt(struct client_command *c)
{
	struct dialog *d = c->d;
	struct dialog_private *p = d->p;
	struct smtp_path path;
	struct sv params;
	size_t len;

	if (syntax_refused(d, command_rcpt(c->cmd->args, p->t.smtputf8, &path, &params), true))
		return STEP_DONE;
	if (p->approach == APPROACH_NONE && !p->t.mail) {
		dialog_reply(d, "503 5.5.1 Sender first\r\n");
		return STEP_DONE;
	}
	if (p->t.count >= DIALOG_RCPTS_MAX) {
		dialog_reply(d, "452 4.5.3 Too many recipients\r\n");
		return STEP_DONE;
	}

	if (d->conf.ops->rcpt_near)
		d->conf.ops->rcpt_near(d, &path);
	struct dialog_rcpt *rcpt = calloc(1, sizeof(*rcpt));
	char *line = rcpt_line(&path, params, &len);
	struct dialog_entry *e = rcpt && line ? dialog_push(d, ENTRY_VERDICT, WHAT_RCPT) : NULL;
	if (!e) {
		free(rcpt);
		free(line);
		dialog_close(d);
		return STEP_DONE;
	}
	*rcpt = (struct dialog_rcpt) {
		.path = &path,
		.transaction = p->t.id,
		.entry = p->tail - 1,
	};
	*p->rcpts_end = rcpt;
	p->rcpts_end = &rcpt->next;
	p->t.count++;
	e->rcpt = rcpt;
	e->text = line;
	e->text_len = len;
	e->owned = true;
	d->conf.ops->rcpt(d, rcpt);
	/* with the verdict given at once and sent by now, rcpt may be gone: it never is before
	 * dialog_turn() */
	rcpt->path = NULL;
	return STEP_DONE;
}

/* Why DATA or BDAT can't go to the backend: no recipient of this transaction is or may become its
 * own. */
static const char *no_recipients(const struct dialog *d)
{
	const struct transaction *t = &d->p->t;

	if (t->accepted + t->pending > 0)
		return NULL;
	if (t->refused > 0)
		return "554 5.5.1 No valid recipients\r\n";
	return d->p->approach == APPROACH_NONE ? "503 5.5.1 Recipient first\r\n" : NULL;
}

static enum step on_data(struct client_command *c)
{
	struct dialog *d = c->d;
	const char *refusal = no_recipients(d);

	if (refusal) {
		dialog_reply(d, refusal);
		return STEP_DONE;
	}
	if (!backend_ready(d))
		return STEP_WAIT;
	forward_line(d, WHAT_DATA, SV("DATA"));
	d->p->mode = MODE_HOLD;
	return STEP_DONE;
}

/* How many octets follow is unknown or too much: reading on would take them for commands. */
static enum step chunk_unreadable(struct dialog *d, const char *reply)
{
	struct dialog_entry *e = dialog_reply(d, reply);

	if (e)
		e->close = true;
	d->linger = true;
	d->p->mode = MODE_DONE;
	return STEP_DONE;
}

static enum step on_bdat(struct client_command *c)
{
	struct dialog *d = c->d;
	uint64_t size;
	bool last;

	if (command_bdat(c->cmd->args, &size, &last) != COMMAND_OK)
		return chunk_unreadable(d, "501 5.5.4 Malformed chunk size\r\n");
	if (size > DIALOG_CHUNK_MAX)
		return chunk_unreadable(d, "552 5.3.4 Chunk too large\r\n");
	if (d->p->head != d->p->tail)
		return STEP_WAIT;
	dialog_chunk_begin(d, size, last);
	return STEP_DONE;
}

static enum step on_rset(struct client_command *c)
{
	struct dialog *d = c->d;

	if (d->p->approach == APPROACH_NONE)
		dialog_reply(d, "250 2.0.0 Reset\r\n");
	else if (!backend_ready(d))
		return STEP_WAIT;
	else
		forward_line(d, WHAT_OTHER, SV("RSET"));
	dialog_abandon_transaction(d);
	return STEP_DONE;
}

static enum step on_quit(struct client_command *c)
{
	struct dialog *d = c->d;

	d->p->mode = MODE_DONE;
	if (d->p->approach == APPROACH_NONE || d->backend_done) {
		struct dialog_entry *e =
			dialog_reply_printf(d, "221 2.0.0 %.200s closing\r\n", d->conf.hostname);
		if (e)
			e->close = true;
		return STEP_DONE;
	}
	if (!backend_ready(d)) {
		d->p->mode = MODE_COMMAND;
		return STEP_WAIT;
	}
	forward_line(d, WHAT_QUIT, SV("QUIT"));
	return STEP_DONE;
}

/* NOOP, HELP, VRFY: the backend's to answer. */
static enum step on_other(struct client_command *c)
{
	struct dialog *d = c->d;

	if (!may_go_on(c->line)) {
		dialog_reply(d, "501 5.5.4 Syntax error in arguments\r\n");
		return STEP_DONE;
	}
	if (c->cmd->verb == VERB_NOOP && d->p->approach == APPROACH_NONE) {
		dialog_reply(d, "250 2.0.0 OK\r\n");
		return STEP_DONE;
	}
	if (!backend_ready(d))
		return STEP_WAIT;
	forward_line(d, WHAT_OTHER, c->line);
	return STEP_DONE;
}

static enum step on_expn(struct client_command *c)
{
	dialog_reply(c->d, "502 5.5.1 Command not offered\r\n");
	return STEP_DONE;
}

static enum step on_auth(struct client_command *c)
{
	struct dialog *d = c->d;

	if (!text_is_clean(c->line, false)) {
		dialog_reply(d, "501 5.5.4 Syntax error in arguments\r\n");
		return STEP_DONE;
	}
	if (!backend_ready(d))
		return STEP_WAIT;
	forward_line(d, WHAT_AUTH, c->line);
	d->p->mode = MODE_HOLD;
	return STEP_DONE;
}

/* Ended here. It is the last of a group (RFC 2920 3.1): all before it is answered. */
static enum step on_own_starttls(struct dialog *d)
{
	struct dialog_private *p = d->p;

	if (d->client_tls) {
		dialog_reply(d, "503 5.5.1 TLS is on already\r\n");
		return STEP_DONE;
	}
	if (d->authenticated) {
		dialog_reply(d, "503 5.5.1 Not after AUTH\r\n");
		return STEP_DONE;
	}
	if (p->head != p->tail || p->approach > APPROACH_NONE)
		return STEP_WAIT;
	p->mode = MODE_HOLD;
	if (d->conf.upstream_tls == DIALOG_UPSTREAM_MIRROR && p->approach == APPROACH_DONE &&
	    d->backend_starttls && !d->backend_tls) {
		forward_line(d, WHAT_STARTTLS, SV("STARTTLS"));
		return STEP_DONE;
	}
	dialog_secure_client(d);
	return STEP_DONE;
}

static enum step on_starttls(struct client_command *c)
{
	struct dialog *d = c->d;

	if (d->conf.starttls == DIALOG_STARTTLS_HIDE)
		return on_expn(c);
	if (d->conf.starttls == DIALOG_STARTTLS_OURS)
		return on_own_starttls(d);
	if (!backend_ready(d))
		return STEP_WAIT;
	forward_line(d, WHAT_STARTTLS, SV("STARTTLS"));
	d->p->mode = MODE_HOLD;
	return STEP_DONE;
}

static const struct {
	enum step (*run)(struct client_command *c);
	bool while_judging; /* may be read while a recipient waits for its verdict */
	bool needs_hello;   /* BDAT too, but its octets have to be read all the same */
} commands[VERB_COUNT] = {
	[VERB_HELO] = { on_helo, false, false }, [VERB_EHLO] = { on_helo, false, false },
	[VERB_MAIL] = { on_mail, false, true },  [VERB_RCPT] = { on_rcpt, true, true },
	[VERB_DATA] = { on_data, false, true },  [VERB_BDAT] = { on_bdat, false, false },
	[VERB_RSET] = { on_rset, false, false }, [VERB_NOOP] = { on_other, false, false },
	[VERB_QUIT] = { on_quit, false, false }, [VERB_VRFY] = { on_other, false, true },
	[VERB_EXPN] = { on_expn, true, false },  [VERB_HELP] = { on_other, false, false },
	[VERB_AUTH] = { on_auth, false, true },  [VERB_STARTTLS] = { on_starttls, false, false },
};

/* ---- what stands between commands ---- */

/* After the replies that are owed: a message that was accepted must not be sent again. */
static void end_at_limit(struct dialog *d, enum dialog_limit limit)
{
	const char *what = limit == DIALOG_LIMIT_COMMANDS ? "commands" : "errors";
	struct dialog_entry *e =
		dialog_reply_printf(d, "421 4.7.0 %s: too many %s in one session (%s)\r\n",
				    d->conf.hostname, what, d->conf.id);

	if (e)
		e->close = true;
	d->limit = limit;
	d->linger = true;
	d->p->mode = MODE_DONE;
}

static enum dialog_limit limit_reached(const struct dialog *d)
{
	uint32_t more = d->p->t.mail ? DIALOG_RCPTS_MAX : 0;

	if (d->conf.commands_max && d->commands >= d->conf.commands_max + more)
		return DIALOG_LIMIT_COMMANDS;
	if (d->conf.errors_max && d->errors >= d->conf.errors_max + more)
		return DIALOG_LIMIT_ERRORS;
	return DIALOG_NO_LIMIT;
}

static bool run_command(struct dialog *d, const struct command *cmd, struct sv line)
{
	struct client_command c = { d, cmd, line };

	if (commands[cmd->verb].run(&c) != STEP_DONE)
		return false;
	d->commands++;
	return true;
}

/* A line that is none, or no command. */
static bool complain(struct dialog *d, const char *reply)
{
	d->commands++;
	dialog_reply(d, reply);
	return true;
}

static bool step_command(struct dialog *d, struct sv in, size_t *ret_used)
{
	struct dialog_private *p = d->p;
	struct command cmd;
	struct sv line;
	size_t used;

	if (p->tail - p->head >= DIALOG_QUEUE_MAX)
		return false;
	size_t max = sv_starts_nocase(in, SV("AUTH ")) ? SMTP_AUTH_LINE_MAX : SMTP_COMMAND_LINE_MAX;
	enum line_outcome outcome = line_next(&p->reader, in, max, &used, &line);
	*ret_used = used;
	switch (outcome) {
	case LINE_MORE:
		return used > 0;
	case LINE_BARE:
		return complain(d, "500 5.5.2 Lines end with CRLF; bare CR, LF or NUL refused\r\n");
	case LINE_LONG:
		return complain(d, "500 5.5.2 Line too long\r\n");
	case LINE_DONE:
		break;
	}

	enum command_error error = command_parse(line, &cmd);
	if (d->backend_done && cmd.verb != VERB_QUIT) {
		dialog_backend_failed(d, "gave up this session");
		return true;
	}
	enum dialog_limit limit = limit_reached(d);
	if (limit != DIALOG_NO_LIMIT && cmd.verb != VERB_QUIT) {
		end_at_limit(d, limit);
		return true;
	}
	if (cmd.verb == VERB_BDAT && error == COMMAND_SYNTAX)
		error = COMMAND_OK; /* on_bdat() must not read on */
	if (syntax_refused(d, error, cmd.verb == VERB_RCPT)) {
		d->commands++;
		return true;
	}
	if (has_undecided(d) && !commands[cmd.verb].while_judging)
		return false;
	if (p->need_hello && commands[cmd.verb].needs_hello)
		return complain(d, HELLO_FIRST);
	return run_command(d, &cmd, line);
}

/* RFC 4954 4: whatever the client answers is the backend's to judge; it never reaches a log. */
static bool step_sasl(struct dialog *d, struct sv in, size_t *ret_used)
{
	struct sv line;
	enum line_outcome r = line_next(&d->p->reader, in, SMTP_AUTH_LINE_MAX, ret_used, &line);

	if (r == LINE_MORE)
		return *ret_used > 0;
	d->commands++;
	if (r == LINE_DONE && text_is_clean(line, false)) {
		forward_line(d, WHAT_AUTH, line);
	} else {
		/* "*" cancels the exchange at the backend (RFC 4954 4), which answers 501 */
		forward_line(d, WHAT_AUTH, SV("*"));
	}
	d->p->mode = MODE_HOLD;
	return true;
}

bool dialog_client_step(struct dialog *d, struct sv in, size_t *ret_used)
{
	switch (d->p->mode) {
	case MODE_COMMAND:
		return step_command(d, in, ret_used);
	case MODE_BODY:
		return dialog_step_body(d, in, ret_used);
	case MODE_CHUNK:
		return dialog_step_chunk(d, in, ret_used);
	case MODE_SASL:
		return step_sasl(d, in, ret_used);
	case MODE_DONE:
		/* nothing behind QUIT is read (RFC 5321 4.1.1.10) */
		*ret_used = in.n;
		return in.n > 0;
	case MODE_HOLD:
		return false;
	}
	return false;
}
