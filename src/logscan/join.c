#include "logscan/join.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

#define ID_MAX         32
#define RECIPIENTS_MAX 20000 /* domains of one message; what comes after is left out */

/* A message whose last line has not come yet. */
struct waiting {
	struct waiting *older, *newer;
	char id[ID_MAX];
	uint8_t id_len;
	bool arrived, weak, local, authenticated, has_client, has_server;
	struct addr client, server;
	int64_t time_ms;
	int32_t day;
	uint64_t bytes;
	char *sender;
	uint32_t *domains;
	uint32_t n_domains, alloc_domains;
};

int join_init(struct join *j, struct book *book, const struct join_filter *filter,
	      join_mail_fn on_mail, void *user)
{
	*j = (struct join) { .book = book,
			     .filter = filter,
			     .on_mail = on_mail,
			     .user = user,
			     .first_ms = INT64_MAX,
			     .last_ms = INT64_MIN };
	j->waiting = malloc(sizeof(*j->waiting));
	if (!j->waiting)
		return -ENOMEM;
	map_init(j->waiting);
	return 0;
}

static void waiting_free(struct waiting *w)
{
	free(w->sender);
	free(w->domains);
	free(w);
}

void join_deinit(struct join *j)
{
	for (struct waiting *w = j->oldest, *next; w; w = next) {
		next = w->newer;
		waiting_free(w);
	}
	if (j->waiting)
		map_deinit(j->waiting, NULL);
	free(j->waiting);
	*j = (struct join) { 0 };
}

/* ---- counting ---- */

static bool domain_wanted(const struct join_filter *f, const char *name)
{
	for (size_t i = 0; i < f->n_domains; i++)
		if (name_is_below(name, f->domains[i]))
			return true;
	return f->n_domains == 0;
}

static bool message_wanted(const struct join *j, const struct entry *e)
{
	const struct join_filter *f = j->filter;

	if (e->time_ms < f->since_ms || e->time_ms > f->until_ms)
		return false;
	return f->clients.n == 0 ||
	       (e->has_client && prefix_set_contains(&f->clients, &e->client.addr));
}

static void saw_time(struct join *j, int64_t ms)
{
	if (ms < j->first_ms)
		j->first_ms = ms;
	if (ms > j->last_ms)
		j->last_ms = ms;
}

static struct mail mail_of(struct join *j, const struct entry *e)
{
	struct mail m = {
		.time_ms = e->time_ms,
		.day = e->day,
		.kind = e->kind == ENTRY_REFUSED     ? FLOW_REFUSED
			: e->authenticated           ? FLOW_AUTHENTICATED
			: e->local || !e->has_client ? FLOW_LOCAL
						     : FLOW_WORLD,
		.id = e->id,
		.sender = e->sender,
		.bytes = e->bytes,
		.authenticated = e->authenticated,
		.has_client = e->has_client,
		.client = e->client.addr,
	};

	if (e->has_server)
		m.server = book_server(j->book, &e->server.addr);
	return m;
}

/* Once for each domain, however many of its recipients there are. */
static bool is_first_of_message(struct book *b, uint32_t domain)
{
	struct book_domain *d = &b->domains[domain];

	if (d->message == b->messages)
		return false;
	d->message = b->messages;
	return true;
}

static bool count_domain(struct join *j, const struct mail *m, uint32_t domain)
{
	struct book *b = j->book;
	uint32_t flow;

	if (domain == INDEX_NONE || !is_first_of_message(b, domain))
		return false;
	if (!domain_wanted(j->filter, b->domains[domain].name))
		return false;
	if (!j->on_mail) {
		book_mail_soon(b, m, domain);
		return true;
	}
	flow = book_mail(b, m, domain);
	if (flow == INDEX_NONE)
		return false;
	j->on_mail(j->user, m, flow);
	return true;
}

static void counted(struct join *j, const struct entry *e, bool any)
{
	if (!any) {
		j->outside_filter++;
		return;
	}
	j->received++;
	saw_time(j, e->time_ms);
}

static void count_waiting(struct join *j, struct waiting *w)
{
	struct entry e = {
		.kind = ENTRY_ARRIVAL,
		.time_ms = w->time_ms,
		.day = w->day,
		.id = { w->id, w->id_len },
		.local = w->local,
		.authenticated = w->authenticated,
		.has_client = w->has_client,
		.client = { .addr = w->client },
		.has_server = w->has_server,
		.server = { .addr = w->server },
		.sender = sv_from(w->sender ? w->sender : ""),
		.bytes = w->bytes,
	};
	bool any = false;

	if (!w->arrived) {
		j->without_arrival++;
		return;
	}
	if (w->n_domains == 0) {
		j->without_rcpt++;
		return;
	}
	if (message_wanted(j, &e)) {
		struct mail m = mail_of(j, &e);

		j->book->messages++;
		for (uint32_t i = 0; i < w->n_domains; i++)
			any = count_domain(j, &m, w->domains[i]) || any;
	}
	counted(j, &e, any);
}

/* ---- waiting ---- */

static void unlink_waiting(struct join *j, struct waiting *w)
{
	*(w->older ? &w->older->newer : &j->oldest) = w->newer;
	*(w->newer ? &w->newer->older : &j->newest) = w->older;
	map_remove(j->waiting, (struct sv) { w->id, w->id_len });
	j->n_waiting--;
}

static void finish(struct join *j, struct waiting *w)
{
	unlink_waiting(j, w);
	count_waiting(j, w);
	waiting_free(w);
}

static struct waiting *find_waiting(struct join *j, struct sv id)
{
	return j->n_waiting ? map_get(j->waiting, id) : NULL;
}

static struct waiting *get_waiting(struct join *j, const struct entry *e)
{
	struct waiting *w = find_waiting(j, e->id);

	if (w || e->id.n == 0 || e->id.n > ID_MAX)
		return w;
	if (j->n_waiting >= JOIN_WAITING_MAX)
		finish(j, j->oldest);
	w = calloc(1, sizeof(*w));
	if (!w || map_put(j->waiting, e->id, w, NULL) < 0) {
		free(w);
		j->book->no_memory = true;
		return NULL;
	}
	memcpy(w->id, e->id.p, e->id.n);
	w->id_len = (uint8_t)e->id.n;
	w->time_ms = e->time_ms;
	w->day = e->day;
	w->older = j->newest;
	*(j->newest ? &j->newest->newer : &j->oldest) = w;
	j->newest = w;
	j->n_waiting++;
	return w;
}

static void keep_sender(struct waiting *w, const struct entry *e)
{
	if (e->has_bytes)
		w->bytes = e->bytes;
	if (!e->has_sender)
		return;
	free(w->sender);
	w->sender = e->sender.n ? sv_dup(e->sender) : NULL;
}

static void arrive(struct join *j, const struct entry *e)
{
	struct waiting *w = find_waiting(j, e->id);

	/* A short queue id is used again; without its end in the logs the former message ends here.
	 */
	if (w && w->arrived && !w->weak && !e->weak) {
		finish(j, w);
		w = NULL;
	}
	if (w && w->arrived && e->weak)
		return;
	w = get_waiting(j, e);
	if (!w)
		return;
	w->arrived = true;
	w->weak = e->weak;
	w->local = e->local;
	w->authenticated = e->authenticated;
	w->has_client = e->has_client;
	w->client = e->client.addr;
	w->has_server = e->has_server;
	w->server = e->server.addr;
	w->time_ms = e->time_ms;
	w->day = e->day;
	keep_sender(w, e);
}

static void add_waiting_domain(struct join *j, struct waiting *w, uint32_t domain)
{
	/* nearly always that of the recipient before */
	for (uint32_t i = w->n_domains; i-- > 0 && i + 16 >= w->n_domains;)
		if (w->domains[i] == domain)
			return;
	if (w->n_domains == w->alloc_domains) {
		uint32_t more = w->alloc_domains ? 2 * w->alloc_domains : 4;
		uint32_t *grown = more > RECIPIENTS_MAX
					  ? NULL
					  : reallocarray(w->domains, more, sizeof(*grown));

		if (!grown) {
			j->book->no_memory = true;
			return;
		}
		w->domains = grown;
		w->alloc_domains = more;
	}
	w->domains[w->n_domains++] = domain;
}

/* ---- entries ---- */

static void on_arrival(struct join *j, const struct entry *e)
{
	struct sv rest = e->recipients, address;
	bool any = false;

	/* whatever a filter leaves out, an address of ours is one */
	if (e->has_server)
		(void)book_server(j->book, &e->server.addr);
	if (!e->has_recipients) {
		arrive(j, e);
		return;
	}
	if (!message_wanted(j, e)) {
		counted(j, e, false);
		return;
	}
	struct mail m = mail_of(j, e);

	j->book->messages++;
	while (entry_next_recipient(&rest, &address))
		any = count_domain(j, &m, book_recipient(j->book, address)) || any;
	counted(j, e, any);
}

static void on_refused(struct join *j, const struct entry *e)
{
	bool any = false;

	if (message_wanted(j, e)) {
		struct mail m = mail_of(j, e);

		j->book->messages++;
		any = count_domain(j, &m, book_recipient(j->book, e->recipient));
	}
	if (!any) {
		j->outside_filter++;
		return;
	}
	j->refused++;
	saw_time(j, e->time_ms);
}

static void on_recipient(struct join *j, const struct entry *e)
{
	struct waiting *w = find_waiting(j, e->id);
	uint32_t domain = book_recipient(j->book, e->recipient);

	if (domain == INDEX_NONE)
		return;
	if (e->way == WAY_LOCAL)
		book_delivery(j->book, domain, NULL);
	else if (e->way == WAY_REMOTE && e->has_next_hop)
		book_delivery(j->book, domain, &e->next_hop);
	/* Its arrival told the recipients, or isn't in these logs. */
	if (w)
		add_waiting_domain(j, w, domain);
}

void join_entry(struct join *j, const struct entry *e)
{
	struct waiting *w;

	switch (e->kind) {
	case ENTRY_ARRIVAL:
		on_arrival(j, e);
		break;
	case ENTRY_QUEUED:
		w = get_waiting(j, e);
		if (w)
			keep_sender(w, e);
		break;
	case ENTRY_RECIPIENT:
		on_recipient(j, e);
		break;
	case ENTRY_DONE:
		w = find_waiting(j, e->id);
		if (w)
			finish(j, w);
		break;
	case ENTRY_REFUSED:
		on_refused(j, e);
		break;
	case ENTRY_OTHER:
	case ENTRY_UNPARSED:
		break;
	}
}

uint64_t join_end(struct join *j)
{
	uint64_t n = j->n_waiting;

	while (j->oldest) {
		INVARIANT(!j->oldest->older);
		finish(j, j->oldest);
	}
	book_flush(j->book);
	return n;
}
