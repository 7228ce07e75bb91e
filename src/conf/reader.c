#include "conf/reader.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdlib.h>

#define PATH_MAX_LEN 128

static void tell(struct conf_reader *r, const struct yaml_node *node, const char *path,
		 const char *kind, const char *fmt, va_list ap)
{
	fprintf(r->err, "%s:%d:%d: %s%s%s", r->file, node->line, node->column, kind, path,
		*path ? ": " : "");
	vfprintf(r->err, fmt, ap);
	fputc('\n', r->err);
}

void reader_error(struct conf_reader *r, const struct yaml_node *node, const char *path,
		  const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(r, node, path, "", fmt, ap);
	va_end(ap);
	r->errors++;
}

void reader_warning(struct conf_reader *r, const struct yaml_node *node, const char *path,
		    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(r, node, path, "warning: ", fmt, ap);
	va_end(ap);
}

const char *reader_quote(struct sv text, char out[READER_QUOTED])
{
	return log_quote(text, out, READER_QUOTED);
}

static const char *kind_name(const struct yaml_node *node)
{
	switch (node->kind) {
	case YAML_SCALAR:
		return node->text.n == 0 && !node->quoted ? "nothing" : "a value";
	case YAML_SEQUENCE:
		return "a list";
	case YAML_MAPPING:
		return "a mapping";
	}
	return "?";
}

bool reader_is_scalar(struct conf_reader *r, const struct yaml_node *node, const char *path,
		      const char *accepted)
{
	if (node->kind == YAML_SCALAR && (node->text.n > 0 || node->quoted))
		return true;
	reader_error(r, node, path, "%s stands here; accepted: %s", kind_name(node), accepted);
	return false;
}

bool reader_is_list(struct conf_reader *r, const struct yaml_node *node, const char *path,
		    const char *accepted)
{
	if (node->kind == YAML_SEQUENCE)
		return true;
	reader_error(r, node, path, "%s stands here; accepted: a list of %s", kind_name(node),
		     accepted);
	return false;
}

void *reader_grow(struct conf_reader *r, void *array, size_t *n, size_t size)
{
	char *items, *grown;

	memcpy(&items, array, sizeof(items));
	grown = reallocarray(items, *n + 1, size);
	if (!grown) {
		r->no_memory = true;
		return NULL;
	}
	memcpy(array, &grown, sizeof(grown));
	memset(grown + *n * size, 0, size);
	return grown + (*n)++ * size;
}

char *reader_dup(struct conf_reader *r, struct sv text)
{
	char *copy = sv_dup(text);

	if (!copy)
		r->no_memory = true;
	return copy;
}

/* "a, b, c" of what is accepted, into out. */
static void list_words(const struct option_word *words, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (; words->name && n < size; words++)
		if (!words->later)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "",
					      words->name);
}

static void list_options(const struct schema *schema, const char *path, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < schema->n && n < size; i++)
		if (schema->options[i].type != OPTION_LATER)
			n += (size_t)snprintf(out + n, size - n, "%s%s%s%s", n ? ", " : "", path,
					      *path ? "." : "", schema->options[i].name);
}

static void read_word(struct conf_reader *r, const struct yaml_node *node, const char *path,
		      const struct option *o, void *field)
{
	char accepted[256], text[READER_QUOTED];

	list_words(o->words, accepted, sizeof(accepted));
	if (!reader_is_scalar(r, node, path, accepted))
		return;
	for (const struct option_word *w = o->words; w->name; w++) {
		if (!sv_eq(node->text, sv_from(w->name)))
			continue;
		if (w->later)
			reader_error(r, node, path,
				     "%s is not supported by this version; accepted: %s", w->name,
				     accepted);
		else
			memcpy(field, &w->value, sizeof(w->value));
		return;
	}
	reader_error(r, node, path, "'%s' is not known; accepted: %s",
		     reader_quote(node->text, text), accepted);
}

static void read_string(struct conf_reader *r, const struct yaml_node *node, const char *path,
			const struct option *o, void *field)
{
	size_t max = o->max > 0 ? (size_t)o->max : 4096;
	char *copy;

	if (!reader_is_scalar(r, node, path, "a word"))
		return;
	if (node->text.n > max || memchr(node->text.p, '\0', node->text.n) ||
	    (node->text.n == 0 && o->min > 0)) {
		reader_error(r, node, path, "too short or too long; accepted: %d to %zu octets",
			     (int)o->min, max);
		return;
	}
	copy = reader_dup(r, node->text);
	memcpy(field, &copy, sizeof(copy));
}

static void read_int(struct conf_reader *r, const struct yaml_node *node, const char *path,
		     const struct option *o, void *field)
{
	char text[READER_QUOTED], accepted[64];
	uint64_t v;

	snprintf(accepted, sizeof(accepted), "a number from %lld to %lld", (long long)o->min,
		 (long long)o->max);
	if (!reader_is_scalar(r, node, path, accepted))
		return;
	if (node->quoted || sv_to_u64(node->text, (uint64_t)o->max, &v) < 0 ||
	    (int64_t)v < o->min) {
		reader_error(r, node, path, "'%s' can't be; accepted: %s",
			     reader_quote(node->text, text), accepted);
		return;
	}
	*(int *)field = (int)v;
}

static void read_bool(struct conf_reader *r, const struct yaml_node *node, const char *path,
		      void *field)
{
	char text[READER_QUOTED];

	if (!reader_is_scalar(r, node, path, "true, false"))
		return;
	if (!node->quoted && sv_eq(node->text, SV("true")))
		*(bool *)field = true;
	else if (!node->quoted && sv_eq(node->text, SV("false")))
		*(bool *)field = false;
	else
		reader_error(r, node, path, "'%s' can't be; accepted: true, false",
			     reader_quote(node->text, text));
}

static void read_ms(struct conf_reader *r, const struct yaml_node *node, const char *path,
		    const struct option *o, void *field)
{
	static const char accepted[] = "a number with s, m, h or d behind it, as 300s or 7d";
	static const struct {
		char unit;
		int64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
	char text[READER_QUOTED];
	uint64_t v;

	if (!reader_is_scalar(r, node, path, accepted))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		struct sv number = { node->text.p, node->text.n - 1 };

		if (node->text.n < 2 || node->text.p[number.n] != units[i].unit)
			continue;
		if (sv_to_u64(number, (uint64_t)(INT64_MAX / units[i].ms), &v) < 0)
			break;
		int64_t ms = (int64_t)v * units[i].ms;

		if (ms < o->min || ms > o->max) {
			reader_error(r, node, path,
				     "'%s' is out of range; accepted: %llds to %lldd",
				     reader_quote(node->text, text), (long long)(o->min / 1000),
				     (long long)(o->max / 86400000));
			return;
		}
		*(int64_t *)field = ms;
		return;
	}
	reader_error(r, node, path, "'%s' is no duration; accepted: %s",
		     reader_quote(node->text, text), accepted);
}

static void read_option(struct conf_reader *r, const struct yaml_node *node, const char *path,
			const struct schema *schema, const struct option *o, const char *map_path,
			void *field)
{
	char accepted[512];

	switch (o->type) {
	case OPTION_STRING:
		read_string(r, node, path, o, field);
		break;
	case OPTION_WORD:
		read_word(r, node, path, o, field);
		break;
	case OPTION_INT:
		read_int(r, node, path, o, field);
		break;
	case OPTION_BOOL:
		read_bool(r, node, path, field);
		break;
	case OPTION_MS:
		read_ms(r, node, path, o, field);
		break;
	case OPTION_MAP:
		reader_map(r, node, path, o->map, field);
		break;
	case OPTION_READ:
		o->read(r, node, path, field);
		break;
	case OPTION_LATER:
		list_options(schema, map_path, accepted, sizeof(accepted));
		reader_error(r, node->key, path, "not supported by this version; accepted: %s",
			     accepted);
		break;
	case OPTION_UNUSED:
		if (reader_is_scalar(r, node, path, "a word"))
			reader_warning(r, node->key, path, "this version does nothing with it");
		break;
	}
}

static bool is_repeated(const struct yaml_node *map, const struct yaml_node *member)
{
	for (const struct yaml_node *n = map->first; n != member; n = n->next)
		if (sv_eq(n->key->text, member->key->text))
			return true;
	return false;
}

void reader_map(struct conf_reader *r, const struct yaml_node *node, const char *path,
		const struct schema *schema, void *target)
{
	char accepted[512], member[PATH_MAX_LEN], name[READER_QUOTED];

	list_options(schema, "", accepted, sizeof(accepted));
	if (node->kind != YAML_MAPPING) {
		reader_error(r, node, path, "%s stands here; accepted: a mapping of %s",
			     kind_name(node), accepted);
		return;
	}
	for (const struct yaml_node *n = node->first; n; n = n->next) {
		const struct option *o = NULL;

		for (size_t i = 0; i < schema->n && !o; i++)
			if (sv_eq(n->key->text, sv_from(schema->options[i].name)))
				o = &schema->options[i];
		snprintf(member, sizeof(member), "%s%s%s", path, *path ? "." : "",
			 reader_quote(n->key->text, name));
		if (!o)
			reader_error(r, n->key, member, "unknown key; accepted: %s", accepted);
		else if (is_repeated(node, n))
			reader_error(r, n->key, member, "given a second time; accepted: once");
		else
			read_option(r, n, member, schema, o, path, (char *)target + o->offset);
	}
}

void reader_defaults(const struct schema *schema, void *target)
{
	for (size_t i = 0; i < schema->n; i++) {
		const struct option *o = &schema->options[i];
		void *field = (char *)target + o->offset;

		switch (o->type) {
		case OPTION_WORD:
		case OPTION_INT:
			*(int *)field = (int)o->def;
			break;
		case OPTION_BOOL:
			*(bool *)field = o->def != 0;
			break;
		case OPTION_MS:
			*(int64_t *)field = o->def;
			break;
		case OPTION_MAP:
			reader_defaults(o->map, field);
			break;
		case OPTION_STRING:
		case OPTION_READ:
		case OPTION_LATER:
		case OPTION_UNUSED:
			break;
		}
	}
}
