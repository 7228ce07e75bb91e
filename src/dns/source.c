#include "dns/source.h"

#include "base/clock.h"
#include "dns/expand.h"
#include "dns/pair.h"

#include <stdio.h>
#include <stdlib.h>

struct source_lookup {
	lookup_done_fn done;
	void *user;
	struct channel *channel;
	struct expand *expand;
	union { /* one question at a time */
		struct channel_query query;
		struct pair pair;
	};
	struct addr *addrs; /* of the pair: some names have hundreds */
	size_t n_addrs;
};

bool source_key_is_valid(const char *key)
{
	return expand_key_is_valid(key);
}

void source_lookup_abort(struct source_lookup *l)
{
	if (!l)
		return;
	expand_free(l->expand);
	free(l->addrs);
	free(l);
}

static void go_on(struct source_lookup *l);

static void on_answer(void *user, const struct wire_answer *a)
{
	struct source_lookup *l = user;
	const char *names[WIRE_MAX_RECORDS];
	struct sv texts[WIRE_MAX_RECORDS];
	struct expand_answer answer = {
		.status = a->status,
		.more = a->more,
		.ttl = a->ttl,
		.lifetime = wire_answer_lifetime(a),
		.n = a->n,
		.texts = texts,
		.names = names,
	};

	for (size_t i = 0; i < a->n; i++) {
		texts[i] = wire_text(a, i);
		names[i] = a->records[i].name;
	}
	expand_answer(l->expand, &answer);
	go_on(l);
}

static void on_family(struct pair *p, const struct wire_answer *a)
{
	struct source_lookup *l = p->user;
	struct addr *addrs = realloc(l->addrs, (l->n_addrs + a->n_addrs) * sizeof(*addrs));

	if (!addrs) {
		p->incomplete = true;
		return;
	}
	memcpy(addrs + l->n_addrs, a->addrs, a->n_addrs * sizeof(*addrs));
	l->addrs = addrs;
	l->n_addrs += a->n_addrs;
}

static void on_pair(struct pair *p)
{
	struct source_lookup *l = p->user;
	struct expand_answer answer = {
		.status = p->status,
		.more = p->incomplete && !p->failed,
		.failed = p->failed,
		.ttl = p->lifetime,
		.lifetime = p->lifetime,
		.n = l->n_addrs,
		.addrs = l->addrs,
	};

	expand_answer(l->expand, &answer);
	go_on(l);
}

/* false: there is nothing more to ask. */
static bool ask_next(struct source_lookup *l)
{
	struct expand *e = l->expand;

	switch (e->want) {
	case EXPAND_TXT:
		channel_ask(l->channel, e->name, WIRE_TXT, on_answer, l, &l->query);
		break;
	case EXPAND_MX:
		channel_ask(l->channel, e->name, WIRE_MX, on_answer, l, &l->query);
		break;
	case EXPAND_A:
		channel_ask(l->channel, e->name, WIRE_A, on_answer, l, &l->query);
		break;
	case EXPAND_ADDRS:
		l->n_addrs = 0;
		pair_ask(&l->pair, l->channel, e->name, false, on_pair, l);
		l->pair.take = on_family;
		break;
	case EXPAND_NOTHING:
		return false;
	}
	return true;
}

static void go_on(struct source_lookup *l)
{
	if (ask_next(l))
		return;
	l->done(l->user, expand_result(l->expand, clock_mono_ms()));
	source_lookup_abort(l);
}

/* What is no key names nothing, and the answer must not come inside source_lookup(): the channel
 * says so of a name that can't be asked for. */
static const char no_key[] = "exists:\\";

struct source_lookup *source_lookup(struct channel *c, const char *key, lookup_done_fn done,
				    void *user)
{
	struct source_lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->done = done;
	l->user = user;
	l->channel = c;
	l->expand = expand_new(source_key_is_valid(key) ? key : no_key);
	if (!l->expand) {
		free(l);
		return NULL;
	}
	snprintf(l->expand->key, sizeof(l->expand->key), "%s", key);
	(void)ask_next(l); /* there is something at first */
	return l;
}
