/* frontdoor scanners: all that are known, as a table or as JSON. */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/egress_view.h"
#include "cli/known.h"
#include "cli/prefixes.h"
#include "cli/terminal.h"
#include "event/flat.h"

#include <errno.h>
#include <stdlib.h>

struct list {
	const struct knowledge *knowledge;
	struct known *rows;
	size_t n, alloc;
};

/* 0 or -ENOMEM. */
static int add(struct list *l, const char *name)
{
	int r;

	if (l->n == l->alloc) {
		size_t alloc = l->alloc ? 2 * l->alloc : 256;
		struct known *grown = realloc(l->rows, alloc * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->rows = grown;
		l->alloc = alloc;
	}
	r = known_of(l->knowledge, name, &l->rows[l->n]);
	l->n += r == 0;
	return r;
}

static bool is_listed(const struct list *l, const char *name)
{
	const struct policy *p = &l->knowledge->conf->policy;

	for (size_t i = 0; i < p->n_scanners; i++)
		if (strcmp(p->scanners[i].name, name) == 0)
			return true;
	return p->catalogue && catalogue_by_id(p->catalogue, sv_from(name));
}

static int add_configured(struct list *l)
{
	const struct policy *p = &l->knowledge->conf->policy;
	int r = 0;

	for (size_t i = 0; i < p->n_scanners && r == 0; i++)
		r = add(l, p->scanners[i].name);
	return r;
}

static int add_catalogue(struct list *l)
{
	const struct catalogue *c = l->knowledge->conf->policy.catalogue;
	size_t n = c ? catalogue_count(c) : 0;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = add(l, catalogue_row(c, i)->id);
	return r;
}

/* Those that neither the configuration nor the catalogue has. */
static int add_seen(struct list *l)
{
	int r = 0;

	for (const struct map_entry *e = NULL; r == 0 && (e = map_next(&l->knowledge->noted, e));) {
		const struct noted *n = e->value;

		if (!is_listed(l, n->name))
			r = add(l, n->name);
	}
	return r;
}

/* Configured ones first, then those with most mail, then by name. */
static int compare(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	if (!x->scanner != !y->scanner)
		return x->scanner ? -1 : 1;
	if (x->proof.inside != y->proof.inside)
		return x->proof.inside > y->proof.inside ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int gather(struct list *l)
{
	int r = add_configured(l);

	if (r == 0)
		r = add_catalogue(l);
	if (r == 0)
		r = add_seen(l);
	if (r == 0 && l->n > 0)
		qsort(l->rows, l->n, sizeof(*l->rows), compare);
	return r;
}

/* ---- what is said of one ---- */

static const char *kind_name(const struct known *k)
{
	static const char *const kinds[] = { [PROVIDER_FILTER] = "filter",
					     [PROVIDER_MAILBOX] = "mailbox",
					     [PROVIDER_FORWARDER] = "forwarder" };

	return k->row ? kinds[k->row->kind] : NULL;
}

static const char *from_name(const struct known *k)
{
	return k->scanner ? "configured" : k->row ? "catalogue" : "seen";
}

/* Names below the MX hosts' parent domains, where nothing better is known. */
static bool has_default_names(const struct known *k)
{
	if (k->scanner)
		return k->scanner->egress_default_ptr;
	return !k->row || (k->row->n_sources == 0 && k->row->cidrs.n == 0 && k->row->n_ptr == 0);
}

/* fn for each part of the egress as the configuration would name it; prefixes as one. */
static void each_egress(const struct known *k, void (*fn)(void *user, const char *text), void *user)
{
	size_t n = k->scanner ? k->scanner->n_sources : k->row ? k->row->n_sources : 0;
	size_t n_ptr = k->scanner ? k->scanner->n_ptr : k->row ? k->row->n_ptr : 0;
	char text[SOURCE_KEY_MAX + 8];

	fn(user, "mx");
	for (size_t i = 0; i < n; i++)
		fn(user, k->scanner ? k->scanner->sources[i] : k->row->sources[i]);
	for (size_t i = 0; i < n_ptr; i++) {
		snprintf(text, sizeof(text), "ptr:%s",
			 k->scanner ? k->scanner->ptr[i] : k->row->ptr[i]);
		fn(user, text);
	}
	if (has_default_names(k))
		fn(user, "default-ptr");
}

static const struct prefix_set *cidrs_of(const struct known *k)
{
	static const struct prefix_set none;

	return k->scanner ? &k->scanner->cidrs : k->row ? &k->row->cidrs : &none;
}

static size_t mx_count(const struct known *k)
{
	return k->scanner ? k->scanner->n_mx : k->row ? k->row->n_mx : 0;
}

static const char *mx_at(const struct known *k, size_t i)
{
	return k->scanner ? k->scanner->mx[i] : k->row->mx[i];
}

static bool has_tenants(const struct knowledge *k, const struct known *known)
{
	return known->row && catalogue_has_tenants(k->conf->policy.catalogue, known->row);
}

/* ---- JSON ---- */

static void add_json(void *user, const char *text)
{
	json_array_append_new(user, text_json(text));
}

static int write_json(const struct list *l, const struct known *k)
{
	static const char *const confidences[] = {
		[CONFIDENCE_LOW] = "low", [CONFIDENCE_MEDIUM] = "medium", [CONFIDENCE_HIGH] = "high"
	};
	json_t *egress = json_array(), *mx = json_array(), *o = known_json(k);
	int r;

	each_egress(k, add_json, egress);
	for (size_t i = 0; i < mx_count(k); i++)
		json_array_append_new(mx, json_string(mx_at(k, i)));
	json_t *more = json_pack(
		"{s:s, s:o, s:s?, s:s?, s:s?, s:o, s:o, s:o, s:o, s:b}", "from", from_name(k),
		"name", text_json(k->row ? k->row->name : NULL), "kind", kind_name(k), "confidence",
		k->row ? confidences[k->row->confidence] : NULL, "file",
		k->row ? k->row->file : NULL, "source", text_json(k->row ? k->row->source : NULL),
		"mx", mx, "egress", egress, "prefixes", prefixes_json(cidrs_of(k)), "tenant_rule",
		has_tenants(l->knowledge, k));
	r = json_object_update(o, more);
	if (r == 0)
		r = json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(more);
	json_decref(o);
	return r;
}

/* ---- the table ---- */

struct line {
	char *text;
	size_t n, size;
};

static void add_word(void *user, const char *word)
{
	struct line *l = user;
	int n = snprintf(l->text + l->n, l->size - l->n, "%s%s", l->n ? " " : "", word);

	l->n = min_size(l->n + (size_t)n, l->size - 1);
}

static void write_notes(const struct list *l, const struct known *k)
{
	static const char *const words[] = { "accepted", "denied" };
	const struct prefix_set *const sets[] = { k->accepted, k->denied };

	if (k->seen) {
		fputs("    ", stdout);
		known_write_proof(&k->proof, &l->knowledge->conf->policy.prove, stdout);
		putchar('\n');
	}
	if (k->quiet)
		puts("    much less mail than usual comes from inside");
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		if (!sets[i])
			continue;
		printf("    %s: ", words[i]);
		prefixes_write(sets[i], stdout);
		putchar('\n');
	}
}

#define CELL 1024

static void name_text(const struct list *l, const struct known *k, char out[CELL])
{
	snprintf(out, CELL, "%s", k->name);
}

static void from_text(const struct list *l, const struct known *k, char out[CELL])
{
	snprintf(out, CELL, "%s", from_name(k));
}

static void grade_text(const struct list *l, const struct known *k, char out[CELL])
{
	snprintf(out, CELL, "%s", grade_name(k->grade));
}

static void kind_text(const struct list *l, const struct known *k, char out[CELL])
{
	snprintf(out, CELL, "%s", kind_name(k) ? kind_name(k) : "-");
}

static void tenant_text(const struct list *l, const struct known *k, char out[CELL])
{
	snprintf(out, CELL, "%s", has_tenants(l->knowledge, k) ? "tenant" : "-");
}

static void mails_text(const struct list *l, const struct known *k, char out[CELL])
{
	snprintf(out, CELL, "%llu", (unsigned long long)k->proof.inside);
}

static void heard_text(const struct list *l, const struct known *k, char out[CELL])
{
	char time[32];

	snprintf(out, CELL, "%.10s", k->heard_ms > 0 ? clock_rfc3339(k->heard_ms, time) : "-");
}

static void egress_text(const struct list *l, const struct known *k, char out[CELL])
{
	struct line line = { out, 0, CELL };
	size_t n = prefixes_count(cidrs_of(k));
	char text[32];

	each_egress(k, add_word, &line);
	snprintf(text, sizeof(text), "%zu prefix%s", n, n == 1 ? "" : "es");
	if (n > 0)
		add_word(&line, text);
}

static void mx_text(const struct list *l, const struct known *k, char out[CELL])
{
	struct line line = { out, 0, CELL };

	for (size_t i = 0; i < mx_count(k); i++)
		add_word(&line, mx_at(k, i));
	if (line.n == 0)
		add_word(&line, "-");
}

/* Those of the table; width is the least, and where a terminal is too narrow for all, those of the
 * greatest rank are left out. */
static const struct column {
	const char *head;
	int width, rank;
	void (*text)(const struct list *l, const struct known *k, char out[CELL]);
} columns[] = {
	{ "scanner", 28, 0, name_text }, { "from", 10, 2, from_text },
	{ "grade", 10, 0, grade_text },  { "kind", 9, 3, kind_text },
	{ "bound", 6, 4, tenant_text },  { "mails", 9, 0, mails_text },
	{ "heard", 10, 0, heard_text },  { "egress", 16, 1, egress_text },
	{ "mx", 20, 5, mx_text },
};

enum { N_COLUMNS = ARRAY_SIZE(columns), RANKS = 6, GAP = 2, WIDE = 60 };

/* What each gets, 0: left out. What remains is for egress and mx. */
static void share_width(int width[N_COLUMNS])
{
	int rest = terminal_columns() + GAP, growing = 0;

	memset(width, 0, N_COLUMNS * sizeof(width[0]));
	for (int rank = 0; rank < RANKS; rank++)
		for (size_t i = 0; i < N_COLUMNS; i++) {
			if (columns[i].rank != rank ||
			    (rank > 0 && terminal_is() && columns[i].width + GAP > rest))
				continue;
			width[i] = columns[i].width;
			rest -= columns[i].width + GAP;
			growing += i + 2 >= N_COLUMNS;
		}
	for (size_t i = N_COLUMNS - 2; i < N_COLUMNS; i++)
		if (!terminal_is()) /* nothing is cut that a program could want */
			width[i] = i + 1 == N_COLUMNS ? CELL : WIDE;
		else if (width[i] > 0 && rest > 0)
			width[i] += rest / growing;
}

static const char *colour_of(const struct column *c, enum grade grade)
{
	if (c->text != grade_text)
		return NULL;
	return grade == GRADE_GUESSED ? "33" : grade == GRADE_LISTED ? "36" : "32";
}

/* Cut to so many columns, "..." at its end then; filled up to them unless it is the last. */
static void write_cell(const struct column *c, const char *text, int width, bool last)
{
	char quoted[FLAT_QUOTED];
	struct sv v = flat_clean(sv_from(text), quoted);
	int pad = (int)v.n < width ? width - (int)v.n : 0;

	if (c->text == mails_text)
		printf("%*s" SV_FMT, pad, "", SV_ARG(v));
	else if ((int)v.n > width)
		printf(SV_FMT "...", width - 3, v.p);
	else
		printf(SV_FMT "%*s", SV_ARG(v), last ? 0 : pad, "");
	fputs(last ? "" : "  ", stdout);
}

/* k NULL: the headings. */
static void write_line(const struct list *l, const struct known *k, const int width[N_COLUMNS])
{
	char text[CELL] = "";
	size_t last = N_COLUMNS - 1;

	while (width[last] == 0)
		last--;
	for (size_t i = 0; i <= last; i++) {
		const struct column *c = &columns[i];
		const char *colour = k ? colour_of(c, k->grade) : "1";

		if (width[i] == 0)
			continue;
		if (k)
			c->text(l, k, text);
		if (colour)
			terminal_style(colour);
		write_cell(c, k ? text : c->head, width[i], i == last);
		if (colour)
			terminal_style("0");
	}
	putchar('\n');
}

static void write_table(const struct list *l)
{
	const struct conf *c = l->knowledge->conf;
	int width[N_COLUMNS];

	share_width(width);
	printf("%zu scanners: %zu configured, %zu in the catalogue; state %s\n\n", l->n,
	       c->policy.n_scanners, c->policy.catalogue ? catalogue_count(c->policy.catalogue) : 0,
	       l->knowledge->has_state ? c->state : "none");
	write_line(l, NULL, width);
	for (size_t i = 0; i < l->n; i++) {
		write_line(l, &l->rows[i], width);
		write_notes(l, &l->rows[i]);
	}
}

int known_list(const struct conf *conf, bool json)
{
	struct knowledge k;
	struct list l = { .knowledge = &k };
	int r = knowledge_open(conf, &k);

	if (r == 0)
		r = gather(&l);
	if (r == 0 && !json)
		write_table(&l);
	for (size_t i = 0; r == 0 && json && i < l.n; i++)
		r = write_json(&l, &l.rows[i]);
	for (size_t i = 0; i < l.n; i++)
		known_deinit(&l.rows[i]);
	free(l.rows);
	knowledge_close(&k);
	if (r < 0)
		fputs("no memory, or standard output can't be written\n", stderr);
	return r < 0 ? CLI_FAILED : CLI_DONE;
}
