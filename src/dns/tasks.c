/* Look-ups joined and under way: how many at once, in which order, and who gets their answers. */
#include "base/clock.h"
#include "dns/resolver_private.h"

#include <stdlib.h>

enum {
	MAX_CONFIRMING = 64,  /* each has a socket of its own */
	MAX_REFRESHING = 100, /* questions: as many answers surely fit a socket's usual buffer */
	/* In the line: clients that ask for names nobody answers for must not make it grow. Above
	   it a name that is not known counts as one that can't be found out. */
	MAX_WAITING = 20000,
};

static void list_add(struct task_list *l, struct task *t)
{
	t->prev = l->last;
	t->next = NULL;
	*(l->last ? &l->last->next : &l->first) = t;
	l->last = t;
	l->n++;
}

static void list_remove(struct task_list *l, struct task *t)
{
	*(t->prev ? &t->prev->next : &l->first) = t->next;
	*(t->next ? &t->next->prev : &l->last) = t->prev;
	l->n--;
}

static bool is_door(enum resolver_kind kind)
{
	return kind == RESOLVER_DOMAIN || kind == RESOLVER_CONFIRM;
}

/* Where the entry's running task is noted. */
static struct task *entry_task(const struct table_entry *e, enum resolver_kind kind)
{
	return is_door(kind) ? ((struct door *)e->owner)->tasks[kind] : e->owner;
}

static void entry_set_task(struct table_entry *e, enum resolver_kind kind, struct task *t)
{
	if (is_door(kind))
		((struct door *)e->owner)->tasks[kind] = t;
	else
		e->owner = t;
}

/* In no list yet; NULL: memory ran out. */
static struct task *task_new(struct resolver *r, enum resolver_kind kind, struct table_entry *e)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->resolver = r;
	t->kind = kind;
	t->entry = e;
	table_hold(e);
	entry_set_task(e, kind, t);
	return t;
}

/* Out of every list already; its waiters get what the table has. */
static void task_end(struct task *t)
{
	struct table_entry *e = t->entry;
	struct resolver_request *req;

	entry_set_task(e, t->kind, NULL);
	while ((req = request_queue_take(&t->waiters)))
		port_answer(req, table_value(e));
	table_release(e);
	free(t);
}

/* A confirmation that waited for the domain's facts: worth while only when there are some. */
static void confirm_after_domain(struct resolver *r, struct door *d)
{
	struct task *t = d->tasks[RESOLVER_CONFIRM];
	const struct domain_facts *facts = table_value(d->entry);

	if (!t || !t->after_domain)
		return;
	t->after_domain = false;
	if (facts && facts->kind != FACTS_FAILED)
		list_add(&r->confirm_line, t);
	else
		task_end(t);
}

static void domain_done(struct task *t, struct domain_facts *facts)
{
	struct resolver *r = t->resolver;
	struct door *d = t->entry->owner;
	bool confirm = d->tasks[RESOLVER_CONFIRM] && d->tasks[RESOLVER_CONFIRM]->after_domain;

	door_update(r, d, facts, t->waiters.first || confirm);
	/* the entry is held by this task until its end, and by that one from now on */
	if (confirm)
		confirm_after_domain(r, d);
	task_end(t);
}

static void on_lookup(void *user, void *result)
{
	struct task *t = user;
	struct resolver *r = t->resolver;

	t->lookup = NULL;
	list_remove(&r->running, t);
	if (t->kind == RESOLVER_DOMAIN) {
		domain_done(t, result);
	} else {
		if (!result || (t->kind == RESOLVER_CLIENT &&
				((struct client_names *)result)->status == DNS_FAILED))
			r->counters.failed++;
		if (result && table_set(t->entry, result) < 0)
			facts_free(result);
		task_end(t);
	}
	tasks_pump(r);
}

static void on_confirm(void *user, struct domain_facts *facts)
{
	struct task *t = user;
	struct resolver *r = t->resolver;

	t->confirm = NULL;
	list_remove(&r->running, t);
	r->n_confirming--;
	door_confirm(r, t->entry->owner, facts);
	task_end(t);
	tasks_pump(r);
}

static bool task_begin(struct task *t)
{
	struct resolver *r = t->resolver;
	const char *key = t->entry->key;
	struct confirm_conf conf = { &r->loop, r->channel, r->conf.confirm_port,
				     r->conf.timeout_ms };
	struct addr client;

	switch (t->kind) {
	case RESOLVER_DOMAIN:
		t->lookup = lookup_domain(r->channel, r->channel, false, key, on_lookup, t);
		break;
	case RESOLVER_NAMES:
		t->lookup = lookup_names(r->channel, key, on_lookup, t);
		break;
	case RESOLVER_CLIENT:
		memcpy(client.b, key, sizeof(client.b));
		t->lookup = lookup_client(r->channel, &client, on_lookup, t);
		break;
	case RESOLVER_CONFIRM:
		t->confirm = confirm_domain(&conf, key, on_confirm, t);
		break;
	}
	return t->lookup || t->confirm;
}

static void task_start(struct task *t)
{
	struct resolver *r = t->resolver;

	list_add(&r->running, t);
	r->counters.lookups++;
	if (t->kind == RESOLVER_CONFIRM)
		r->n_confirming++;
	if (task_begin(t))
		return;
	if (t->kind == RESOLVER_CONFIRM)
		on_confirm(t, NULL);
	else
		on_lookup(t, NULL);
}

static bool has_room(const struct resolver *r, size_t max)
{
	return channel_load(r->channel) < max && r->running.n < max;
}

static void refresh_ready(struct resolver *r)
{
	/* half of the room is always left to those that somebody waits for */
	size_t max = min_size((r->conf.max_in_flight + 1) / 2, MAX_REFRESHING);
	struct door *d;
	struct task *t;

	while (r->ready_first && has_room(r, max)) {
		d = doors_next_ready(r);
		if (d->tasks[RESOLVER_DOMAIN])
			continue;
		t = task_new(r, RESOLVER_DOMAIN, d->entry);
		if (!t) {
			wheel_add(&r->wheel, &d->due, clock_mono_ms() + 1000);
			return;
		}
		t->refresh = true;
		task_start(t);
	}
}

/* All who asked have gone since: clients that hang up leave no work behind. */
static bool is_abandoned(const struct task *t)
{
	if (!t->waiters.first)
		return false; /* a confirmation waits for it */
	for (struct resolver_request *req = t->waiters.first; req; req = req->next)
		if (atomic_load_explicit(&req->query, memory_order_relaxed))
			return false;
	if (t->kind != RESOLVER_DOMAIN)
		return true;
	/* a door that is in use: its next refresh is set when this one ends */
	const struct door *d = t->entry->owner;
	return !d->kept && !d->ready && !table_value(t->entry) && !d->tasks[RESOLVER_CONFIRM];
}

/* The next of a line that is worth while, out of it; NULL: none. */
static struct task *line_take(struct task_list *line)
{
	struct task *t;

	while ((t = line->first)) {
		list_remove(line, t);
		if (!is_abandoned(t))
			return t;
		task_end(t);
	}
	return NULL;
}

void tasks_pump(struct resolver *r)
{
	struct task *t;

	/* a look-up that can't begin ends here, and would come back */
	if (r->pumping)
		return;
	r->pumping = true;
	while (has_room(r, r->conf.max_in_flight) && (t = line_take(&r->line)))
		task_start(t);
	while (r->n_confirming < MAX_CONFIRMING && (t = line_take(&r->confirm_line)))
		task_start(t);
	refresh_ready(r);
	r->pumping = false;
	atomic_store_explicit(&r->counters.in_flight, channel_load(r->channel),
			      memory_order_relaxed);
}

/* Joins the look-up that is under way, or puts one in the line. NULL: the line is too long, or
 * memory ran out. */
static struct task *join(struct resolver *r, enum resolver_kind kind, struct table_entry *e)
{
	struct task *t = entry_task(e, kind);

	if (t) {
		r->counters.joined++;
		return t;
	}
	if (kind != RESOLVER_CONFIRM && r->line.n >= MAX_WAITING)
		return NULL;
	t = task_new(r, kind, e);
	if (t && kind != RESOLVER_CONFIRM)
		list_add(&r->line, t);
	return t;
}

static void ask_confirm(struct resolver *r, struct resolver_request *req, struct door *d)
{
	const struct domain_facts *facts = table_value(d->entry);
	int64_t now = clock_mono_ms();
	bool known = resolver_usable(r, RESOLVER_DOMAIN, facts, now);
	bool running = d->tasks[RESOLVER_CONFIRM];
	struct task *t;

	if (known && (facts->kind == FACTS_FAILED || door_confirmed_lately(d, now))) {
		port_answer(req, facts);
		return;
	}
	t = join(r, RESOLVER_CONFIRM, d->entry);
	if (!t) {
		port_answer(req, NULL);
		return;
	}
	request_queue_add(&t->waiters, req);
	if (running)
		return;
	if (known) {
		list_add(&r->confirm_line, t);
		return;
	}
	t->after_domain = true;
	if (!join(r, RESOLVER_DOMAIN, d->entry))
		confirm_after_domain(r, d);
}

static struct table_entry *request_entry(struct resolver *r, struct resolver_request *req)
{
	int64_t now = clock_mono_ms();
	struct door *d;

	switch (req->kind) {
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		d = door_get(r, req->domain);
		return d ? d->entry : NULL;
	case RESOLVER_CLIENT:
		return table_add(&r->clients, client_key(&req->client), now);
	case RESOLVER_NAMES:
		return table_add(&r->names, domain_key(req->domain), now);
	}
	return NULL;
}

/* Nothing is made for a name that is new when there is no place in the line. */
static bool is_refused(const struct resolver *r, const struct resolver_request *req)
{
	const struct table *t = req->kind == RESOLVER_CLIENT  ? &r->clients
				: req->kind == RESOLVER_NAMES ? &r->names
							      : &r->domains;
	struct table_entry *e;

	if (r->line.n < MAX_WAITING)
		return false;
	(void)table_get(t,
			req->kind == RESOLVER_CLIENT ? client_key(&req->client)
						     : domain_key(req->domain),
			&e);
	return !e;
}

void tasks_ask(struct resolver *r, struct resolver_request *req)
{
	struct table_entry *e = is_refused(r, req) ? NULL : request_entry(r, req);
	int64_t now = clock_mono_ms();
	struct task *t;

	if (!e) {
		port_answer(req, NULL);
		return;
	}
	table_touch(e, now);
	if (req->kind == RESOLVER_CONFIRM) {
		ask_confirm(r, req, e->owner);
		return;
	}
	/* another's answer may have come since the port looked */
	if (resolver_usable(r, req->kind, table_value(e), now)) {
		port_answer(req, table_value(e));
		return;
	}
	t = join(r, req->kind, e);
	if (t)
		request_queue_add(&t->waiters, req);
	else
		port_answer(req, NULL);
}

static void task_abort(struct task *t)
{
	struct resolver_request *req;

	lookup_abort(t->lookup);
	confirm_abort(t->confirm);
	entry_set_task(t->entry, t->kind, NULL);
	while ((req = request_queue_take(&t->waiters)))
		port_drop(req);
	free(t);
}

void tasks_abort(struct resolver *r)
{
	struct task_list *lists[] = { &r->line, &r->confirm_line, &r->running };
	struct task *t, *confirm;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		while ((t = lists[i]->first)) {
			list_remove(lists[i], t);
			/* one that waits for this domain's facts is in no list */
			confirm = t->kind == RESOLVER_DOMAIN
					  ? entry_task(t->entry, RESOLVER_CONFIRM)
					  : NULL;
			if (confirm && confirm->after_domain)
				task_abort(confirm);
			task_abort(t);
		}
}
