/* Look-ups joined and under way: how many at once, in which order, and who gets their answers. */
#include "base/clock.h"
#include "dns/resolver_private.h"

#include <errno.h>
#include <stdlib.h>

enum {
	MAX_CONFIRMING = 64, /* each has a socket of its own */
	/* Questions: as many answers surely fit the usual buffer, and a recursive resolver that
	   has to ask far away isn't full of them, so that those that somebody waits for are
	   answered. */
	MAX_REFRESHING = 100,
	/* In the line: clients that ask for names nobody answers for must not make it grow. Above
	   it a name that is not known counts as one that can't be found out. */
	MAX_WAITING = 20000,
	/* Of those on behalf of one client (an IPv6 /64), when others wait too. Alone it may have
	   half of the line, so that whoever comes next finds room. */
	CLIENT_SHARE = MAX_WAITING / 16,
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

/* What is asked about: a door, or an entry of another table. */
struct subject {
	struct door *door;
	struct table_entry *entry;
};

static const char *subject_key(struct subject s)
{
	return s.door ? s.door->key : s.entry->key;
}

/* Its running task. */
static struct task *subject_task(struct subject s, enum resolver_kind kind)
{
	if (s.door)
		return door_task(s.door, kind);
	return kind == RESOLVER_SOURCE ? ((struct source *)s.entry->owner)->task : s.entry->owner;
}

/* -ENOMEM only where t is the first that a door has. */
static int subject_set_task(struct subject s, enum resolver_kind kind, struct task *t)
{
	struct door_extra *x = s.door ? door_extra(s.door) : NULL;

	if (s.door && !x)
		return -ENOMEM;
	if (x)
		x->tasks[kind] = t;
	else if (kind == RESOLVER_SOURCE)
		((struct source *)s.entry->owner)->task = t;
	else
		s.entry->owner = t;
	return 0;
}

static struct subject task_subject(const struct task *t)
{
	return (struct subject) { t->door, t->entry };
}

/* What is known of it, in the form that answers have; view is for a door's. NULL: nothing. */
static const void *subject_value(struct subject s, struct domain_facts *view)
{
	if (!s.door)
		return table_value(s.entry);
	return door_facts(s.door, view) ? view : NULL;
}

/* ---- what was known last ---- */

/* An answer that has expired, but can serve on while nobody can say more. */
struct last_known {
	union {
		struct domain_facts domain;
		struct client_names client;
		struct egress_source source;
	};
};

static bool is_recent(const struct resolver *r, int64_t fetched_ms)
{
	return clock_mono_ms() < fetched_ms + r->conf.stale_max_ms;
}

/* value, of that kind, as a stale one in *last; NULL: it is none to go on by. */
static const void *last_known(const struct resolver *r, enum resolver_kind kind, const void *value,
			      struct last_known *last)
{
	if (!value)
		return NULL;
	switch (kind) {
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		last->domain = *(const struct domain_facts *)value;
		last->domain.stale = true;
		return last->domain.kind != FACTS_FAILED && is_recent(r, last->domain.fetched_ms)
			       ? last
			       : NULL;
	case RESOLVER_CLIENT:
		last->client = *(const struct client_names *)value;
		last->client.stale = true;
		/* that it had none opens nothing */
		return last->client.n && is_recent(r, last->client.fetched_ms) ? last : NULL;
	case RESOLVER_SOURCE:
		last->source = *(const struct egress_source *)value;
		last->source.stale = true;
		return last->source.status != SOURCE_FAILED && last->source.fetched_ms != -1 &&
				       is_recent(r, last->source.fetched_ms)
			       ? last
			       : NULL;
	case RESOLVER_NAMES:
		break;
	}
	return NULL;
}

/* ---- tasks ---- */

/* In no list yet; NULL: memory ran out. */
static struct task *task_new(struct resolver *r, enum resolver_kind kind, struct subject s)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t || subject_set_task(s, kind, t) < 0) {
		free(t);
		return NULL;
	}
	t->resolver = r;
	t->kind = kind;
	t->door = s.door;
	t->entry = s.entry;
	if (s.door)
		door_hold(s.door);
	else
		table_hold(s.entry);
	return t;
}

/* The subject is no task's of that kind any more. */
static void task_detach(struct task *t)
{
	struct subject s = task_subject(t);
	int64_t now = clock_mono_ms();

	(void)subject_set_task(s, t->kind, NULL);
	if (!s.door) {
		table_release(s.entry);
		return;
	}
	door_drop_extra(&t->resolver->doors, s.door, now);
	door_release(&t->resolver->doors, s.door, now);
}

/* Out of every list already; its waiters get what the table has. */
static void task_end(struct task *t)
{
	struct domain_facts view;
	const void *value = subject_value(task_subject(t), &view);
	struct resolver_request *req;

	while ((req = request_queue_take(&t->waiters)))
		port_answer(req, value);
	task_detach(t);
	free(t);
}

/* A confirmation that waited for the domain's facts: worth while only when there are some. */
static void confirm_after_domain(struct resolver *r, struct door *d)
{
	struct task *t = door_task(d, RESOLVER_CONFIRM);
	struct domain_facts facts;

	if (!t || !t->after_domain)
		return;
	t->after_domain = false;
	if (door_facts(d, &facts) && facts.kind != FACTS_FAILED)
		list_add(&r->confirm_line, t);
	else
		task_end(t);
}

static void domain_done(struct task *t, struct domain_facts *facts)
{
	struct resolver *r = t->resolver;
	struct door *d = t->door;
	const struct task *waits = door_task(d, RESOLVER_CONFIRM);
	bool confirm = waits && waits->after_domain;

	door_update(r, d, facts, t->waiters.first || confirm);
	/* the door is held by this task until its end, and by that one from now on */
	if (confirm)
		confirm_after_domain(r, d);
	task_end(t);
}

static void on_lookup(void *user, void *result)
{
	struct task *t = user;
	struct resolver *r = t->resolver;

	t->lookup = NULL;
	t->source = NULL;
	list_remove(&r->running, t);
	if (t->kind == RESOLVER_DOMAIN) {
		domain_done(t, result);
	} else if (t->kind == RESOLVER_SOURCE) {
		sources_update(r, t->entry->owner, result);
		task_end(t);
	} else if (t->kind == RESOLVER_CLIENT) {
		client_update(r, t->entry, result);
		task_end(t);
	} else {
		if (!result)
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
	door_confirm(r, t->door, facts);
	task_end(t);
	tasks_pump(r);
}

static bool task_begin(struct task *t)
{
	struct resolver *r = t->resolver;
	const char *key = subject_key(task_subject(t));
	struct confirm_conf conf = { &r->loop, r->channel, r->conf.confirm_port,
				     r->conf.timeout_ms };
	struct lookup_aid aid = { r->conf.wants_ptr, r->conf.user, &r->hosts };
	struct addr client;

	switch (t->kind) {
	case RESOLVER_DOMAIN:
		t->lookup = lookup_domain(r->channel, r->channel, false, key, &aid, on_lookup, t);
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
	case RESOLVER_SOURCE:
		t->source = source_lookup(r->channel, key, on_lookup, t);
		break;
	}
	return t->lookup || t->confirm || t->source;
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
	size_t room = channel_room(r->channel);
	size_t max = min_size((r->conf.max_in_flight + 1) / 2,
			      room && room < MAX_REFRESHING ? room : MAX_REFRESHING);
	struct door *d;
	struct source *s;
	struct task *t;

	while (has_room(r, max) && (s = sources_next_ready(r))) {
		t = s->task ? NULL
			    : task_new(r, RESOLVER_SOURCE, (struct subject) { .entry = s->entry });
		if (!t) {
			wheel_add(&r->source_wheel, &s->due, clock_mono_ms() + 1000);
			continue;
		}
		t->refresh = true;
		task_start(t);
	}
	while (has_room(r, max) && (d = doors_next_ready(r))) {
		if (door_task(d, RESOLVER_DOMAIN))
			continue;
		t = task_new(r, RESOLVER_DOMAIN, (struct subject) { .door = d });
		if (!t) {
			door_due(r, d, clock_mono_ms() + 1000);
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
	struct domain_facts facts;
	const struct door *d = t->door;
	return !d->kept && !d->ready && !door_facts(d, &facts) && !door_task(d, RESOLVER_CONFIRM);
}

/* ---- shares of the line ---- */

static struct sv share_key(const struct addr *client)
{
	return (struct sv) { (const char *)client->b, addr_is_v4(client) ? sizeof(client->b) : 8 };
}

static bool is_nobody(const struct addr *client)
{
	static const struct addr nobody;

	return addr_eq(client, &nobody);
}

static size_t share_of(const struct resolver *r, const struct addr *client)
{
	return is_nobody(client) ? 0 : (uintptr_t)map_get(&r->line_shares, share_key(client));
}

/* Whether another look-up finds room in the line. */
static bool line_has_room(const struct resolver *r, const struct addr *client)
{
	size_t share = share_of(r, client);

	if (r->line.n >= MAX_WAITING)
		return false;
	return share < CLIENT_SHARE || (share == r->line.n && share < MAX_WAITING / 2);
}

static void line_add(struct resolver *r, struct task *t, const struct addr *client)
{
	size_t share = share_of(r, client) + 1;

	/* without memory it isn't counted */
	if (!is_nobody(client) &&
	    map_put(&r->line_shares, share_key(client), (void *)share, NULL) >= 0)
		t->client = *client;
	list_add(&r->line, t);
}

static void line_remove(struct resolver *r, struct task_list *line, struct task *t)
{
	size_t share = share_of(r, &t->client);

	list_remove(line, t);
	if (share > 1)
		map_put(&r->line_shares, share_key(&t->client), (void *)(share - 1), NULL);
	else if (share == 1)
		map_remove(&r->line_shares, share_key(&t->client));
	t->client = (struct addr) { 0 };
}

/* The next of a line that is worth while, out of it; NULL: none. */
static struct task *line_take(struct resolver *r, struct task_list *line)
{
	struct task *t;

	while ((t = line->first)) {
		line_remove(r, line, t);
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
	while (has_room(r, r->conf.max_in_flight) && (t = line_take(r, &r->line)))
		task_start(t);
	while (r->n_confirming < MAX_CONFIRMING && (t = line_take(r, &r->confirm_line)))
		task_start(t);
	refresh_ready(r);
	r->pumping = false;
	atomic_store_explicit(&r->counters.in_flight, channel_load(r->channel),
			      memory_order_relaxed);
}

/* Joins the look-up that is under way, or puts one in the line. NULL: the line is too long, or
 * memory ran out. */
static struct task *join(struct resolver *r, enum resolver_kind kind, struct subject s,
			 const struct addr *client)
{
	struct task *t = subject_task(s, kind);

	if (t) {
		r->counters.joined++;
		return t;
	}
	if (kind == RESOLVER_CONFIRM ? r->confirm_line.n >= MAX_WAITING : !line_has_room(r, client))
		return NULL;
	t = task_new(r, kind, s);
	if (t && kind != RESOLVER_CONFIRM)
		line_add(r, t, client);
	return t;
}

static void ask_confirm(struct resolver *r, struct resolver_request *req, struct subject s)
{
	struct domain_facts facts;
	struct door *d = s.door;
	int64_t now = clock_mono_ms();
	bool known = door_facts(d, &facts) && resolver_usable(r, RESOLVER_DOMAIN, &facts, now);
	bool running = door_task(d, RESOLVER_CONFIRM);
	struct task *t;

	if (known && (facts.kind == FACTS_FAILED || door_confirmed_lately(d, now))) {
		port_answer(req, &facts);
		return;
	}
	t = join(r, RESOLVER_CONFIRM, s, &req->client);
	if (!t) {
		port_answer(req, known ? &facts : NULL);
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
	if (!join(r, RESOLVER_DOMAIN, s, &req->client))
		confirm_after_domain(r, d);
}

/* Its subject, made when there is none; false: memory ran out. */
static bool request_subject(struct resolver *r, struct resolver_request *req,
			    struct subject *ret_subject)
{
	int64_t now = clock_mono_ms();
	struct subject s = { 0 };
	struct source *source;

	switch (req->kind) {
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		s.door = door_get(r, req->domain);
		break;
	case RESOLVER_CLIENT:
		s.entry = table_add(&r->clients, client_key(&req->client), now);
		break;
	case RESOLVER_NAMES:
		s.entry = table_add(&r->names, domain_key(req->domain), now);
		break;
	case RESOLVER_SOURCE:
		source = sources_get(r, req->domain);
		s.entry = source ? source->entry : NULL;
		break;
	}
	*ret_subject = s;
	return s.door || s.entry;
}

static bool is_in_table(struct resolver *r, const struct resolver_request *req)
{
	struct table_entry *e = NULL;

	switch (req->kind) {
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		return door_table_find(&r->doors, domain_key(req->domain));
	case RESOLVER_CLIENT:
		(void)table_get(&r->clients, client_key(&req->client), &e);
		break;
	case RESOLVER_NAMES:
		(void)table_get(&r->names, domain_key(req->domain), &e);
		break;
	case RESOLVER_SOURCE:
		(void)table_get(sources_table(r, req->domain), domain_key(req->domain), &e);
		break;
	}
	return e;
}

void tasks_ask(struct resolver *r, struct resolver_request *req)
{
	int64_t now = clock_mono_ms();
	struct last_known last;
	struct domain_facts view;
	struct subject s;
	const void *value;
	struct task *t;

	/* nothing is made for a name that is new when there is no place in the line */
	if ((!line_has_room(r, &req->client) && !is_in_table(r, req)) ||
	    !request_subject(r, req, &s)) {
		port_answer(req, NULL);
		return;
	}
	if (s.door)
		door_touch(s.door, now);
	else
		table_touch(s.entry, now);
	if (req->kind == RESOLVER_CONFIRM) {
		ask_confirm(r, req, s);
		return;
	}
	/* another's answer may have come since the port looked */
	value = subject_value(s, &view);
	if (resolver_usable(r, req->kind, value, now)) {
		port_answer(req, value);
		return;
	}
	t = join(r, req->kind, s, &req->client);
	if (t)
		request_queue_add(&t->waiters, req);
	else /* a flood of other names doesn't make one that is known unknown */
		port_answer(req, last_known(r, req->kind, value, &last));
}

static void task_abort(struct task *t)
{
	struct resolver_request *req;

	lookup_abort(t->lookup);
	confirm_abort(t->confirm);
	source_lookup_abort(t->source);
	task_detach(t);
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
			INVARIANT(!t->prev);
			list_remove(lists[i], t);
			/* one that waits for this domain's facts is in no list */
			confirm = t->kind == RESOLVER_DOMAIN ? door_task(t->door, RESOLVER_CONFIRM)
							     : NULL;
			if (confirm && confirm->after_domain)
				task_abort(confirm);
			task_abort(t);
		}
}
