/*
 * A run is the part of in that is clean and not yet emitted; it grows as long as nothing has to be
 * put in or left out. The octets of a sequence whose meaning is still open (CR, ".", ".\r") are
 * part of the run if they are in this in. Those of an earlier in are "held": nothing of them has
 * been emitted, and the state says what they are.
 */
#include "smtp/body.h"

#include "smtp/body_scan.h"

struct feed {
	struct body *body;
	struct sv in;
	body_emit_fn emit;
	void *user;
	size_t at;   /* next octet to look at */
	size_t run;  /* first octet of the run */
	size_t held; /* octets of the open sequence that came before in; then run is 0 */
};

/* The sequence that a state leaves open. */
static struct sv open_sequence(enum body_state state)
{
	switch (state) {
	case BODY_CR:
		return SV("\r");
	case BODY_DOT:
		return SV(".");
	case BODY_DOT_CR:
		return SV(".\r");
	case BODY_LINE_START:
	case BODY_TEXT:
	case BODY_AFTER_BARE:
	case BODY_ENDED:
		break;
	}
	return SV("");
}

static int emit(struct feed *f, struct sv octets)
{
	if (octets.n == 0 || (f->body->bare && f->body->mode == BODY_REJECT))
		return 0;
	return f->emit(f->user, octets);
}

/* Emits the run up to end, and begins a new one at next. */
static int emit_run(struct feed *f, size_t end, size_t next)
{
	struct sv run = { f->in.p + f->run, end - f->run };

	f->run = next;
	return emit(f, run);
}

/* The held octets have turned out to be clean. */
static int release_held(struct feed *f, struct sv sequence)
{
	sequence.n = f->held;
	f->held = 0;
	return emit(f, sequence);
}

/* A bare newline ended the line at f->at: the open sequence becomes instead. */
static int replace_bare(struct feed *f, struct sv sequence, struct sv instead)
{
	size_t here = sequence.n - f->held;
	int r = emit_run(f, f->at - here, f->at);

	if (r < 0)
		return r;
	f->held = 0;
	f->body->bare = true;
	f->body->state = BODY_AFTER_BARE;
	return emit(f, instead);
}

static int feed_text(struct feed *f)
{
	struct sv rest = { f->in.p + f->at, f->in.n - f->at };

	f->at += body_scan(rest);
	if (f->at == f->in.n) {
		f->body->state = f->in.p[f->at - 1] == '\n' ? BODY_LINE_START : BODY_TEXT;
		return 0;
	}
	char c = f->in.p[f->at++];
	if (c == '\n')
		return replace_bare(f, SV("\n"), SV("\r\n"));
	f->body->state = c == '\r' ? BODY_CR : BODY_DOT;
	return 0;
}

static int feed_line_start(struct feed *f)
{
	bool after_bare = f->body->state == BODY_AFTER_BARE;

	f->body->state = BODY_TEXT;
	if (f->in.p[f->at] != '.')
		return feed_text(f);
	if (!after_bare) {
		f->body->state = BODY_DOT;
		f->at++;
		return 0;
	}
	/* Stuffed: the dot is emitted now and begins the new run again. */
	f->at++;
	return emit_run(f, f->at, f->at - 1);
}

static int feed_cr(struct feed *f)
{
	if (f->in.p[f->at] != '\n')
		return replace_bare(f, SV("\r"), SV("\r\n"));
	f->body->state = BODY_LINE_START;
	f->at++;
	return release_held(f, SV("\r"));
}

static int feed_dot(struct feed *f)
{
	switch (f->in.p[f->at]) {
	case '\r':
		f->body->state = BODY_DOT_CR;
		f->at++;
		return 0;
	case '\n':
		f->at++;
		/* in's part of the sequence is the LF, and the dot unless it is held. */
		return replace_bare(f, SV(".\n"), SV("..\r\n"));
	default:
		f->body->state = BODY_TEXT;
		return release_held(f, SV("."));
	}
}

static int feed_dot_cr(struct feed *f)
{
	if (f->in.p[f->at] != '\n')
		return replace_bare(f, SV(".\r"), SV("..\r\n"));
	f->body->state = BODY_ENDED;
	f->at++;
	return release_held(f, SV(".\r"));
}

static int step(struct feed *f)
{
	switch (f->body->state) {
	case BODY_LINE_START:
	case BODY_AFTER_BARE:
		return feed_line_start(f);
	case BODY_TEXT:
		return feed_text(f);
	case BODY_CR:
		return feed_cr(f);
	case BODY_DOT:
		return feed_dot(f);
	case BODY_DOT_CR:
		return feed_dot_cr(f);
	case BODY_ENDED:
		break;
	}
	return 0;
}

void body_init(struct body *b, enum body_bare mode)
{
	*b = (struct body) { .mode = mode, .state = BODY_LINE_START };
}

int body_feed(struct body *b, struct sv in, body_emit_fn emit_fn, void *user, size_t *ret_used)
{
	struct feed f = { .body = b, .in = in, .emit = emit_fn, .user = user };
	int r;

	if (b->state == BODY_ENDED) {
		*ret_used = 0;
		return BODY_END;
	}
	f.held = open_sequence(b->state).n;
	while (f.at < in.n && b->state != BODY_ENDED) {
		r = step(&f);
		if (r < 0)
			return r;
	}
	r = emit_run(&f, f.at - (open_sequence(b->state).n - f.held), f.at);
	if (r < 0)
		return r;

	b->octets += f.at;
	*ret_used = f.at;
	if (b->state != BODY_ENDED)
		return BODY_MORE;
	b->octets -= 3; /* ".\r\n" */
	return BODY_END;
}
