#include "policy/catalogue_table.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int table_wrong(const struct table *t, const char *fmt, ...)
{
	size_t size = sizeof(t->error->text);
	int n = snprintf(t->error->text, size, "%.200s:%u: ", t->file, t->line);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->error->text + n, size - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

const char *table_quote(struct sv text, char out[TABLE_QUOTED])
{
	return log_quote(text, out, TABLE_QUOTED);
}

/* "id, name, kind" of all columns. */
static const char *list_columns(const struct table *t, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < t->n_columns && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", i ? ", " : "", t->columns[i]);
	return out;
}

/* The next line, without its end, that is one. */
static bool take_line(struct table *t, struct sv *ret_line)
{
	while (t->rest.n > 0) {
		const char *end = memchr(t->rest.p, '\n', t->rest.n);
		size_t n = end ? (size_t)(end - t->rest.p) : t->rest.n;
		struct sv line = { t->rest.p, n };

		t->rest.p += end ? n + 1 : n;
		t->rest.n -= end ? n + 1 : n;
		t->line++;
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n == 0 || line.p[0] == '#')
			continue;
		*ret_line = line;
		return true;
	}
	return false;
}

/* Cuts the line into cells. Names of providers go to terminals, logs and JSON. */
static int split(struct table *t, struct sv line)
{
	char accepted[256];
	size_t n = 0, start = 0;

	for (size_t i = 0; i <= line.n; i++) {
		if (i < line.n && line.p[i] != '\t') {
			if (line.p[i] >= ' ' && line.p[i] < 0x7f)
				continue;
			return table_wrong(t,
					   "an octet that is no printable ASCII character, in "
					   "column %zu; accepted: letters, digits, punctuation, "
					   "spaces",
					   n + 1);
		}
		if (n < t->n_columns)
			t->cells[n] = (struct sv) { line.p + start, i - start };
		n++;
		start = i + 1;
	}
	if (n != t->n_columns)
		return table_wrong(t, "%zu columns; accepted: %zu, separated by tabs: %s", n,
				   t->n_columns, list_columns(t, accepted, sizeof(accepted)));
	return 0;
}

int table_open(struct table *t, const char *file, struct sv text, const char *const *columns,
	       size_t n_columns, struct catalogue_error *error)
{
	char accepted[256];
	struct sv line;

	INVARIANT(n_columns <= TABLE_COLUMNS_MAX);
	*t = (struct table) { .file = file,
			      .columns = columns,
			      .n_columns = n_columns,
			      .error = error,
			      .rest = text };
	if (take_line(t, &line) && split(t, line) == 0) {
		size_t same = 0;

		while (same < n_columns && sv_eq(t->cells[same], sv_from(columns[same])))
			same++;
		if (same == n_columns)
			return 0;
	}
	if (t->line == 0)
		t->line = 1;
	return table_wrong(t, "the head is missing; accepted: first a line of %zu columns: %s",
			   n_columns, list_columns(t, accepted, sizeof(accepted)));
}

int table_next(struct table *t)
{
	struct sv line;
	int r;

	if (!take_line(t, &line))
		return 0;
	r = split(t, line);
	return r < 0 ? r : 1;
}

bool table_word(struct sv *cell, struct sv *ret_word)
{
	size_t n = 0;

	while (cell->n > 0 && *cell->p == ' ') {
		cell->p++;
		cell->n--;
	}
	while (n < cell->n && cell->p[n] != ' ')
		n++;
	if (n == 0)
		return false;
	*ret_word = (struct sv) { cell->p, n };
	cell->p += n;
	cell->n -= n;
	return true;
}

size_t table_words(struct sv cell)
{
	struct sv word;
	size_t n = 0;

	while (table_word(&cell, &word))
		n++;
	return n;
}
