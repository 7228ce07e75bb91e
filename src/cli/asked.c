#include "cli/asked.h"

#include <stdlib.h>

const struct egress_source *asked_find(const struct asked *a, const char *key)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->sources[i]->key, key) == 0)
			return a->sources[i];
	return NULL;
}

static bool has_room(struct asked *a)
{
	size_t alloc = a->alloc ? 2 * a->alloc : 8;
	struct egress_source **grown;

	if (a->n < a->alloc)
		return true;
	grown = realloc(a->sources, alloc * sizeof(struct egress_source *));
	if (!grown)
		return false;
	a->sources = grown;
	a->alloc = alloc;
	return true;
}

const struct egress_source *asked_source(struct asked *a, const char *key)
{
	const struct egress_source no_answer = {
		.key = key, .status = SOURCE_FAILED, .fetched_ms = -1, .left_out = ""
	};
	const struct egress_source *known = asked_find(a, key);
	struct egress_source *source;

	if (known || !has_room(a))
		return known;
	source = ask_source(a->ask, key);
	if (!source)
		return asked_put(a, &no_answer);
	return a->sources[a->n++] = source;
}

const struct egress_source *asked_put(struct asked *a, const struct egress_source *source)
{
	struct egress_source *copy = has_room(a) ? egress_source_copy(source) : NULL;

	if (copy)
		a->sources[a->n++] = copy;
	return copy;
}

void asked_deinit(struct asked *a)
{
	for (size_t i = 0; i < a->n; i++)
		facts_free(a->sources[i]);
	free(a->sources);
	*a = (struct asked) { .ask = a->ask };
}
