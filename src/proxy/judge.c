#include "proxy/judge.h"

#include "base/clock.h"
#include "base/log.h"
#include "policy/recipient.h"
#include "proxy/enforcing.h"
#include "proxy/primary.h"
#include "proxy/prover.h"
#include "proxy/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Look-ups for one domain of one recipient. Most are of sources, one at a time: those of all the
 * owners that a door can have, once; they are known from then on. */
#define ATTEMPTS_MAX 160

/* Events that wait for names: with a resolver that answers nothing they would pile up. */
#define NAMED_MAX 4096

/* The answer about a source, kept while others are awaited: the table may have no room for it. */
struct kept_source {
	struct kept_source *next;
	struct egress_source *source;
};

/* One recipient, from RCPT until its end is known. */
struct judgement {
	struct session *session;
	struct dialog_rcpt *rcpt;
	struct resolver_query query;
	bool asking;
	int asked; /* enum decide_outcome that the open question answers */
	int attempts;
	bool confirm_tried;
	enum rcpt_shape shape;
	char *domains[RECIPIENT_DOMAINS_MAX]; /* A-labels: the recipient's, then those its local
						 part names */
	int n_domains, at;
	struct domain_facts *dns; /* an answer, kept while others are awaited */
	struct client_names *names;
	struct kept_source *sources;
	bool decided;
	struct decision decision; /* the strictest so far */
	int strictest;            /* its domain */
	bool learn;               /* the first domain's own front door */
	int reply;
	int64_t start_ms, ms;
	int64_t wall_ms;
};

static void judgement_step(struct judgement *j);

static void forget_answers(struct judgement *j)
{
	free(j->dns);
	free(j->names);
	j->dns = NULL;
	j->names = NULL;
	for (struct kept_source *k; (k = j->sources);) {
		j->sources = k->next;
		facts_free(k->source);
		free(k);
	}
	j->confirm_tried = false;
	j->attempts = 0;
}

static void judgement_free(struct judgement *j)
{
	if (j->asking)
		resolver_cancel(&j->query);
	forget_answers(j);
	for (int i = 0; i < j->n_domains; i++)
		free(j->domains[i]);
	free(j);
	buf_account(-(int64_t)sizeof(*j));
}

/* ---- facts ---- */

static const struct egress_source *find_source(void *user, const char *key)
{
	const struct judgement *j = user;

	for (const struct kept_source *k = j->sources; k; k = k->next)
		if (strcmp(k->source->key, key) == 0)
			return k->source;
	return resolver_peek_source(j->session->worker->port, key);
}

static enum primary_state find_primary(void *user, const struct addr *address)
{
	const struct judgement *j = user;
	struct primaries *p =
		atomic_load_explicit(&j->session->worker->server->primaries, memory_order_acquire);

	return p ? primaries_look(p, address) : PRIMARY_UNKNOWN;
}

static void gather(struct judgement *j, struct decide_facts *f)
{
	const struct session *s = j->session;
	const struct server *server = s->worker->server;
	const struct listener_conf *conf = s->listener->conf;
	int starttls = atomic_load_explicit(&s->listener->starttls, memory_order_relaxed);
	bool tls_passes = s->dialog.conf.starttls == DIALOG_STARTTLS_PASS;
	bool here = conf->mode == LISTENER_LISTEN ||
		    prefix_set_contains(&s->setup->interfaces, &s->server.addr);

	*f = (struct decide_facts) {
		.policy = &s->setup->conf->policy,
		.memory = server->memory,
		.listener_action = conf->action,
		.enforce_stopped = enforcing_stopped(server->enforcing),
		.observe_only = tls_passes && starttls != STARTTLS_ABSENT,
		.require_auth = conf->require_auth,
		.authenticated = s->dialog.authenticated,
		.server_is_ours = prefix_set_contains(&s->setup->conf->policy.server_addresses,
						      &s->server.addr),
		.client = s->peer.addr,
		.server = s->server.addr,
		.interfaces = here ? &s->setup->interfaces : NULL,
		.shape = j->shape,
		.domain = j->n_domains ? j->domains[j->at] : NULL,
		.confirm_tried = j->confirm_tried,
		.now_ms = clock_mono_ms(),
		.source = find_source,
		.primary = find_primary,
		.user = j,
	};
	if (!f->domain)
		return;
	f->dns = j->dns ? j->dns : resolver_peek_domain(s->worker->port, f->domain);
	f->names = j->names ? j->names : resolver_peek_client(s->worker->port, &f->client);
}

/* Without memory it is asked for again, until ATTEMPTS_MAX. */
static void keep_source(struct judgement *j, const struct egress_source *source)
{
	struct kept_source *k = calloc(1, sizeof(*k));

	if (k)
		k->source = egress_source_copy(source);
	if (!k || !k->source) {
		free(k);
		return;
	}
	k->next = j->sources;
	j->sources = k;
}

static void on_answer(struct resolver_query *query, const void *result)
{
	struct judgement *j = query->user;
	struct session *s = j->session;

	j->asking = false;
	switch (j->asked) {
	case DECIDE_NEEDS_CLIENT:
		free(j->names);
		j->names = client_names_copy(result);
		break;
	case DECIDE_NEEDS_SOURCE:
		keep_source(j, result);
		break;
	default:
		free(j->dns);
		j->dns = facts_copy(result);
		if (j->asked == DECIDE_NEEDS_CONFIRM)
			j->confirm_tried = true;
	}
	judgement_step(j);
	/* j may be gone, s is not: its memory waits for its handles */
	session_go_on(s);
}

static int ask(struct judgement *j, int needs, const struct decision *d)
{
	static const enum resolver_kind kinds[] = {
		[DECIDE_NEEDS_DOMAIN] = RESOLVER_DOMAIN,
		[DECIDE_NEEDS_CLIENT] = RESOLVER_CLIENT,
		[DECIDE_NEEDS_SOURCE] = RESOLVER_SOURCE,
		[DECIDE_NEEDS_CONFIRM] = RESOLVER_CONFIRM,
	};
	struct session *s = j->session;

	if (++j->attempts > ATTEMPTS_MAX)
		return -ELOOP;
	j->asked = needs;
	j->query = (struct resolver_query) { .answer = on_answer, .user = j };
	int r = resolver_ask(s->worker->port, kinds[needs],
			     needs == DECIDE_NEEDS_SOURCE ? d->wanted_source : j->domains[j->at],
			     &s->peer.addr, &j->query);
	if (r == 0)
		j->asking = true;
	return r;
}

/* ---- verdict ---- */

static void tell(struct judgement *j)
{
	struct session *s = j->session;
	const struct decision *d = &j->decision;
	struct dialog_verdict v = { .kind = DIALOG_PASS };
	char text[512];

	if (d->code != 0) {
		const char *domain = j->n_domains ? j->domains[j->strictest] : "";
		v.kind = d->action == ACTION_TARPIT && d->code >= 500 ? DIALOG_DRIP : DIALOG_REFUSE;
		v.reply = (struct sv) { text, decision_reply(d, &s->setup->conf->policy, domain,
							     &s->server.addr, s->id, text) };
		if (d->finding == FINDING_DIRECT || d->finding == FINDING_NULL)
			s->refused++;
	} else if (d->action == ACTION_TAG) {
		INVARIANT(j->domains[j->strictest]); /* a tag is about a domain's door */
		v.kind = DIALOG_TAG;
		v.shared = d->reason == REASON_SHARED_EGRESS;
		v.domain = sv_from(j->domains[j->strictest]);
		v.mx = sv_from(d->mx[0] ? d->mx : "-");
	}
	dialog_verdict(&s->dialog, j->rcpt, &v);
}

static void refuse_plainly(struct judgement *j, const char *reply)
{
	struct dialog_verdict v = { .kind = DIALOG_REFUSE, .reply = sv_from(reply) };

	j->decided = false;
	dialog_verdict(&j->session->dialog, j->rcpt, &v);
}

/* One that was deferred because its scanner is not proven, and has come again. */
static void count_retry(const struct judgement *j, const struct decide_facts *f,
			const struct decision *d)
{
	if (d->retry_counts)
		(void)prover_retried(j->session->worker->server->prover, f->domain, d->scanner,
				     &f->client);
}

/* Names that let mail in are wanted after a new start, too, when there may be no DNS. Without
 * memory the next mail tells of them. */
static void keep_names(const struct judgement *j, const struct decide_facts *f,
		       const struct decision *d)
{
	bool by_egress = d->reason == REASON_PTR || d->reason == REASON_SHARED_EGRESS;

	if (by_egress && f->names && f->names->n > 0 && !f->names->kept)
		(void)resolver_keep_client(j->session->worker->server->resolver, &f->client);
}

static void judgement_step(struct judgement *j)
{
	for (;;) {
		struct decide_facts f;
		struct decision d;

		gather(j, &f);
		int r = decide(&f, &d);
		if (r > 0)
			r = ask(j, r, &d);
		else
			r = 1;
		if (r == 0)
			return;
		if (r < 0) {
			log_warning("id=%s error=\"%s\" look-up failed", j->session->id,
				    strerror(-r));
			refuse_plainly(j, "451 4.3.0 Not possible just now; try again later\r\n");
			return;
		}
		decide_remember_door(&f, &d, j->session->worker->server->memory);
		count_retry(j, &f, &d);
		keep_names(j, &f, &d);
		if (j->at == 0)
			j->learn = d.own_front_door;
		if (!j->decided || decision_stricter(&j->decision, &d) == &d) {
			j->decision = d;
			j->strictest = j->at;
			j->decided = true;
		}
		if (j->at + 1 >= j->n_domains)
			break;
		j->at++;
		forget_answers(j);
	}
	forget_answers(j);
	histogram_add(&j->session->worker->server->metrics.verdict_time,
		      clock_mono_ms() - j->start_ms);
	tell(j);
}

/* The domains to judge by. 0; -EINVAL, -E2BIG: none can be made of it; -ENOMEM. */
static int find_domains(struct judgement *j, const struct smtp_path *path)
{
	struct recipient recipient;
	int r = recipient_of(path, &recipient);

	if (r < 0)
		return r;
	j->shape = recipient.shape;
	for (int i = 0; i < recipient.n_domains; i++) {
		j->domains[i] = sv_dup(sv_from(recipient.domains[i]));
		if (!j->domains[i])
			return -ENOMEM;
		j->n_domains++;
	}
	return 0;
}

static struct judgement *judgement_new(struct session *s, struct dialog_rcpt *rcpt)
{
	struct judgement *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	/* a thousand recipients hold more than any buffer */
	buf_account(sizeof(*j));
	j->session = s;
	j->rcpt = rcpt;
	j->start_ms = clock_mono_ms();
	j->wall_ms = clock_wall_ms();
	rcpt->user = j;
	return j;
}

/* The door is far away, in a memory that is looked at in no order: it comes in two steps, while the
 * dialog and judge_rcpt() put together what else is needed. */
void judge_rcpt_near(struct dialog *d, const struct smtp_path *path)
{
	struct session *s = d->user;
	struct sv domain = { path->domain, path->domain_len };
	char key[RECIPIENT_NAME_SIZE];

	s->fetch = 0;
	if (path->kind == PATH_MAILBOX && domain_to_ascii(domain, key) == 0)
		s->fetch = resolver_fetch_domain(s->worker->port, key);
}

void judge_rcpt(struct dialog *d, struct dialog_rcpt *rcpt)
{
	struct session *s = d->user;
	struct judgement *j;
	int r;

	if (s->fetch)
		resolver_fetch_door(s->worker->port, s->fetch);
	s->fetch = 0;
	j = judgement_new(s, rcpt);
	if (!j) {
		struct dialog_verdict v = {
			.kind = DIALOG_REFUSE,
			.reply = SV("451 4.3.0 Out of memory; try again later\r\n")
		};
		dialog_verdict(d, rcpt, &v);
		return;
	}
	r = find_domains(j, rcpt->path);
	if (r == -ENOMEM)
		refuse_plainly(j, "451 4.3.0 Out of memory; try again later\r\n");
	else if (r < 0)
		refuse_plainly(j, "501 5.1.3 No domain can be made of this recipient address\r\n");
	else
		judgement_step(j);
}

void judge_rcpt_reply(struct dialog *d, struct dialog_rcpt *rcpt, int code, struct sv reply)
{
	struct judgement *j = rcpt->user;

	if (j) {
		j->reply = code;
		j->ms = clock_mono_ms() - j->start_ms;
	}
}

/* ---- events ---- */

static void fill_event(const struct judgement *j, int message_reply, uint64_t octets,
		       struct event_rcpt *e)
{
	const struct session *s = j->session;
	const struct decision *d = &j->decision;

	*e = (struct event_rcpt) {
		.time_ms = j->wall_ms,
		.client = s->peer,
		.server = s->server,
		.reply = j->reply,
		.message_reply = message_reply,
		.tls = s->dialog.client_tls,
		.auth = s->dialog.authenticated,
		.bytes = octets,
		.ms = j->ms,
	};
	event_rcpt_decided(e, d);
	event_copy(e->id, sizeof(e->id), s->id);
	event_copy(e->listener, sizeof(e->listener), s->listener->conf->name);
	const struct client_names *names =
		d->finding == FINDING_DIRECT ? resolver_peek_client(s->worker->port, &s->peer.addr)
					     : NULL;
	if (names && names->status == DNS_OK && names->n > 0)
		event_copy(e->client_name, sizeof(e->client_name), names->names[0]);
	event_copy(e->helo, sizeof(e->helo), s->dialog.helo);
	event_copy(e->rcpt_domain, sizeof(e->rcpt_domain),
		   j->n_domains ? j->domains[j->strictest] : "");
}

/* An event that waits to hear by which of the domain's names the client came. */
struct named_event {
	struct resolver_query query;
	struct worker_shared *worker;
	struct named_event *next, *prev; /* the worker's list */
	struct event_rcpt event;
};

static void named_end(struct named_event *n)
{
	struct worker_shared *w = n->worker;

	if (n->prev)
		n->prev->next = n->next;
	else
		w->named = n->next;
	if (n->next)
		n->next->prev = n->prev;
	w->n_named--;
	event_emit_rcpt(w->server->events, &n->event);
	free(n);
}

static void on_names(struct resolver_query *query, const void *result)
{
	struct named_event *n = query->user;

	n->event.door_name = door_names_word(result, &n->event.server.addr);
	named_end(n);
}

/* false: the event is not kept, nor will it be named. */
static bool wait_for_names(struct worker_shared *w, const struct event_rcpt *e)
{
	struct named_event *n = w->n_named < NAMED_MAX ? malloc(sizeof(*n)) : NULL;

	if (!n)
		return false;
	*n = (struct named_event) {
		.query = { .answer = on_names, .user = n },
		.worker = w,
		.next = w->named,
		.event = *e,
	};
	if (resolver_ask(w->port, RESOLVER_NAMES, e->rcpt_domain, NULL, &n->query) < 0) {
		free(n);
		return false;
	}
	if (n->next)
		n->next->prev = n;
	w->named = n;
	w->n_named++;
	return true;
}

static void emit(struct worker_shared *w, struct event_rcpt *e)
{
	if (e->finding == FINDING_DIRECT && e->rcpt_domain[0] && !w->draining) {
		const struct door_names *names = resolver_peek_names(w->port, e->rcpt_domain);
		if (names)
			e->door_name = door_names_word(names, &e->server.addr);
		else if (wait_for_names(w, e))
			return;
	}
	event_emit_rcpt(w->server->events, e);
}

void judge_stop(struct worker_shared *w)
{
	for (struct named_event *n = w->named, *next; n; n = next) {
		next = n->next;
		resolver_cancel(&n->query);
		event_emit_rcpt(w->server->events, &n->event);
		free(n);
	}
	w->named = NULL;
	w->n_named = 0;
}

static struct prover_mail mail_of(const struct judgement *j, uint32_t transaction, bool accepted)
{
	return (struct prover_mail) { .session = j->session->id,
				      .transaction = transaction,
				      .domain = j->domains[0],
				      .scanner = "",
				      .client = j->session->peer.addr,
				      .accepted = accepted };
}

/* Mail from outside is told of each scanner of the door. */
static void tell_outside(struct judgement *j, struct prover_mail m)
{
	char name[DECISION_NAME_MAX];
	struct decide_facts f;
	int host = -1;

	gather(j, &f);
	if (!f.dns)
		return;
	m.scanner = name;
	while (door_next_scanner(&f, &host, name)) {
		m.mx_host = f.dns->hosts[host].name;
		prover_tell(j->session->worker->server->prover, &m);
	}
}

/* What a message teaches, accepted or only offered: who is heard of, what is hosted, who is proven.
 * Of a recipient that names several domains the decision may be about another one than the first.
 */
static void learn(struct judgement *j, uint32_t transaction, bool accepted)
{
	const struct server *server = j->session->worker->server;
	const struct decision *d = &j->decision;
	struct prover_mail m = mail_of(j, transaction, accepted);
	bool first = j->strictest == 0, door = first && d->door_known && d->door == DOOR_SCANNER;

	if (accepted && j->learn) {
		m.hosted = memory_hosted_add(server->memory, sv_from(j->domains[0])) == 0;
		if (d->scanner[0] && first)
			memory_scanner_heard(server->memory, d->scanner, clock_mono_ms());
	}
	if (accepted && door && j->learn && d->scanner[0])
		limiter_heard_scanner(server->limiter, &m.client, clock_mono_ms());
	m.inside = door && j->learn && d->scanner[0] && d->reason != REASON_GRACE;
	if (m.inside)
		m.scanner = d->scanner;
	if (m.hosted || (m.inside && j->n_domains == 1))
		prover_tell(server->prover, &m);
	if (door && j->n_domains == 1 && d->hosted &&
	    (d->finding == FINDING_DIRECT || d->reason == REASON_RETRIED))
		tell_outside(j, m);
}

static void tell_enforcing(const struct judgement *j, int code)
{
	const struct decision *d = &j->decision;

	if (j->n_domains > 0)
		enforcing_tell(j->session->worker->server->enforcing,
			       &(struct enforcing_rcpt) {
				       .domain = j->domains[j->strictest],
				       .client = &j->session->peer.addr,
				       .refused = d->code != 0 && (d->finding == FINDING_DIRECT ||
								   d->finding == FINDING_NULL),
				       .front = d->own_front_door,
				       .code = code ? code : j->reply,
			       });
}

void judge_rcpt_end(struct dialog *d, struct dialog_rcpt *rcpt, int code, uint64_t octets)
{
	struct judgement *j = rcpt->user;
	struct session *s = d->user;
	struct event_rcpt e;

	if (!j)
		return;
	rcpt->user = NULL;
	if (j->decided) {
		bool accepted = code >= 200 && code < 300;

		s->accepted += accepted;
		tell_enforcing(j, code);
		if (j->n_domains > 0 && !d->authenticated)
			learn(j, rcpt->transaction, accepted);
		fill_event(j, code, octets, &e);
		metrics_verdict(&s->worker->server->metrics, s->listener->metrics, &e);
		if (event_wanted(s->worker->server->events))
			emit(s->worker, &e);
	}
	judgement_free(j);
}
