/* The resolver as a source of doors. The file is in doors_file.c. */
#include "logscan/doors.h"

#include "logscan/doors_private.h"

#include <errno.h>
#include <stdlib.h>

#define UNDER_WAY   2000 /* questions at a time: the resolver's own bound */
#define PROGRESS_MS 100

struct asked {
	struct resolver_query query;
	struct doors_batch *batch;
	struct doors_question *question;
};

struct doors_batch {
	struct doors *doors;
	struct doors_question *questions;
	size_t n, next, done;
	struct asked *slots;
	struct asked **idle;
	size_t n_idle;
	bool (*progress)(void *user, size_t done, size_t n);
	void *user;
	bool stop;
};

static void *copy_answer(enum resolver_kind kind, const void *answer)
{
	switch (kind) {
	case RESOLVER_CLIENT:
		return client_names_copy(answer);
	case RESOLVER_NAMES:
		return door_names_copy(answer);
	case RESOLVER_SOURCE:
		return egress_source_copy(answer);
	case RESOLVER_DOMAIN:
	case RESOLVER_CONFIRM:
		break;
	}
	return facts_copy(answer);
}

static void on_answer(struct resolver_query *query, const void *answer)
{
	struct asked *a = query->user;

	a->question->answer = copy_answer(a->question->kind, answer);
	a->batch->idle[a->batch->n_idle++] = a;
	a->batch->done++;
}

static int submit(struct doors_batch *b)
{
	while (b->n_idle > 0 && b->next < b->n) {
		struct asked *a = b->idle[--b->n_idle];
		int r;

		a->question = &b->questions[b->next++];
		a->batch = b;
		a->query = (struct resolver_query) { .answer = on_answer, .user = a };
		r = resolver_ask(b->doors->port, a->question->kind, a->question->domain,
				 a->question->kind == RESOLVER_CLIENT ? &a->question->client : NULL,
				 &a->query);
		if (r < 0) {
			b->idle[b->n_idle++] = a;
			b->done++;
			if (r != -ENAMETOOLONG)
				return r;
			a->question->answer = a->question->kind == RESOLVER_DOMAIN
						      ? doors_failed_domain(a->question->domain)
						      : NULL;
		}
	}
	return 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct doors_batch *b = timer->data;

	if (b->progress && !b->progress(b->user, b->done, b->n))
		b->stop = true;
}

static int run(struct doors_batch *b)
{
	uv_timer_t *timer = &b->doors->timer;
	int r = submit(b);

	timer->data = b;
	uv_timer_start(timer, on_timer, PROGRESS_MS, PROGRESS_MS);
	while (r == 0 && b->done < b->n && !b->stop) {
		uv_run(&b->doors->loop, UV_RUN_ONCE);
		r = submit(b);
	}
	uv_timer_stop(timer);
	return r;
}

static int ask_resolver(struct doors *d, struct doors_batch *b)
{
	size_t slots = min_size(b->n, UNDER_WAY);
	int r = -ENOMEM;

	b->slots = calloc(slots, sizeof(*b->slots));
	b->idle = calloc(slots, sizeof(*b->idle));
	if (b->slots && b->idle) {
		for (size_t i = 0; i < slots; i++)
			b->idle[b->n_idle++] = &b->slots[i];
		r = run(b);
		for (size_t i = 0; i < slots; i++)
			resolver_cancel(&b->slots[i].query);
	}
	free(b->slots);
	free(b->idle);
	return r < 0 ? r : b->stop;
}

int doors_ask(struct doors *d, struct doors_question *questions, size_t n,
	      bool (*progress)(void *user, size_t done, size_t n), void *user)
{
	struct doors_batch b = {
		.doors = d, .questions = questions, .n = n, .progress = progress, .user = user
	};

	for (size_t i = 0; i < n; i++)
		questions[i].answer = NULL;
	if (n == 0)
		return 0;
	if (!d->file)
		return ask_resolver(d, &b);
	for (size_t i = 0; i < n; i++)
		questions[i].answer = doors_file_answer(d->file, &questions[i]);
	return 0;
}

int doors_open_resolver(const struct conf *conf, FILE *err, struct doors **ret_doors)
{
	struct resolver_conf rc = {
		.servers = conf->resolvers,
		.n_servers = conf->n_resolvers,
		.timeout_ms = conf->resolver_timeout_ms,
		.stale_max_ms = conf->policy.stale_max_ms,
	};
	struct doors *d = calloc(1, sizeof(*d));
	int r = d ? uv_loop_init(&d->loop) : -ENOMEM;

	if (r < 0) {
		free(d);
		fprintf(err, "the resolver can't be started: %s\n", strerror(-r));
		return r;
	}
	uv_timer_init(&d->loop, &d->timer);
	d->has_loop = true;
	r = resolver_new(&rc, &d->resolver);
	if (r == 0)
		r = resolver_port_new(d->resolver, &d->loop, &d->port);
	if (r < 0) {
		fprintf(err, "the resolver can't be started: %s\n", strerror(-r));
		doors_close(d);
		return r;
	}
	*ret_doors = d;
	return 0;
}

void doors_close(struct doors *d)
{
	if (!d)
		return;
	if (d->has_loop) {
		if (d->port)
			resolver_port_free(d->port);
		uv_close((uv_handle_t *)&d->timer, NULL);
		uv_run(&d->loop, UV_RUN_DEFAULT);
		uv_loop_close(&d->loop);
		if (d->resolver)
			resolver_free(d->resolver);
	}
	doors_file_free(d->file);
	free(d);
}
