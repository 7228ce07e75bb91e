#include "logscan/egress.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

enum { FORGET_ALL = 100000 }; /* rows, when it is time to forget some */

struct row {
	struct egress_source *source; /* NULL: wanted */
	char key[];
};

static void row_free(void *row)
{
	facts_free(((struct row *)row)->source);
	free(row);
}

void egress_deinit(struct egress *e)
{
	map_deinit(&e->rows, row_free);
	e->n_wanted = 0;
}

const struct egress_source *egress_find(void *user, const char *key)
{
	static const struct egress_source failed = {
		.key = "", .status = SOURCE_FAILED, .fetched_ms = -1, .left_out = ""
	};
	const struct egress *e = user;
	const struct row *row = map_get(&e->rows, sv_from(key));

	if (row && row->source)
		return row->source;
	return e->rounds >= EGRESS_ROUNDS ? &failed : NULL;
}

int egress_want(struct egress *e, const char *key)
{
	size_t n = strlen(key) + 1;
	struct row *row;

	if (map_get(&e->rows, sv_from(key)))
		return 0;
	row = malloc(sizeof(*row) + n);
	if (!row)
		return -ENOMEM;
	row->source = NULL;
	memcpy(row->key, key, n);
	if (map_put(&e->rows, sv_from(key), row, NULL) < 0) {
		free(row);
		return -ENOMEM;
	}
	e->n_wanted++;
	return 0;
}

bool egress_wants(const struct egress *e)
{
	return e->n_wanted > 0;
}

/* Takes answer, which may be NULL. NULL: memory ran out. */
static struct egress_source *or_shipped(struct egress_source *answer, const char *key,
					const struct catalogue *shipped)
{
	struct egress_source s = { .key = key,
				   .status = SOURCE_FAILED,
				   .fetched_ms = -1,
				   .expires_ms = clock_mono_ms(),
				   .left_out = "" };
	const struct prefix_set *set;

	if (answer && answer->status != SOURCE_FAILED)
		return answer;
	set = shipped ? catalogue_fallback(shipped, key) : NULL;
	if (answer && !set)
		return answer;
	facts_free(answer);
	if (set) {
		s.status = SOURCE_KNOWN;
		s.fallback = true;
		s.set = *set;
	}
	return egress_source_copy(&s);
}

static struct doors_question *questions(const struct egress *e)
{
	struct doors_question *q = calloc(e->n_wanted, sizeof(*q));
	size_t n = 0;

	if (!q)
		return NULL;
	for (struct map_entry *at = map_next(&e->rows, NULL); at; at = map_next(&e->rows, at)) {
		const struct row *row = at->value;

		if (!row->source)
			q[n++] = (struct doors_question) { .kind = RESOLVER_SOURCE,
							   .domain = row->key };
	}
	INVARIANT(n == e->n_wanted);
	return q;
}

int egress_ask(struct egress *e, struct doors *doors, const struct catalogue *shipped,
	       bool (*progress)(void *user, size_t done, size_t n), void *user)
{
	CLEANUP(cleanup_free) struct doors_question *q = NULL;
	int r;

	e->rounds++;
	if (e->n_wanted == 0)
		return 0;
	q = questions(e);
	if (!q)
		return -ENOMEM;
	r = doors_ask(doors, q, e->n_wanted, progress, user);
	for (size_t i = 0, n = e->n_wanted; i < n; i++) {
		struct row *row = map_get(&e->rows, sv_from(q[i].domain));

		row->source = or_shipped(q[i].answer, row->key, shipped);
		if (row->source)
			e->n_wanted--;
		else
			r = -ENOMEM;
	}
	return r;
}

void egress_forget(struct egress *e)
{
	int64_t now = clock_mono_ms();

	/* those about single clients would grow for ever */
	if (e->rows.n > FORGET_ALL)
		egress_deinit(e);
	for (struct map_entry *at = map_next(&e->rows, NULL); at; at = map_next(&e->rows, at)) {
		struct row *row = at->value;

		if (!row->source || row->source->expires_ms > now)
			continue;
		facts_free(row->source);
		row->source = NULL;
		e->n_wanted++;
	}
}

void egress_write(const struct egress *e, FILE *out)
{
	for (struct map_entry *at = map_next(&e->rows, NULL); at; at = map_next(&e->rows, at)) {
		const struct row *row = at->value;

		/* what is shipped needs no file */
		if (row->source && !row->source->fallback)
			doors_write(out, &(struct doors_question) { .kind = RESOLVER_SOURCE,
								    .domain = row->key,
								    .answer = row->source });
	}
}
