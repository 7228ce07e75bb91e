/* The summary for people: tables and bars on a terminal, plain where it is none. */
#include "logscan/summary.h"

#include "base/clock.h"
#include "event/flat.h"

#include <inttypes.h>

#define ROWS_DOMAINS 20
#define ROWS_GROUPS  12
#define ROWS_DAYS    31
#define BAR_MAX      30

struct page {
	const struct summary *s;
	FILE *out;
	bool colour;
	int bar; /* columns that a bar may have */
};

static void style(const struct page *p, const char *code)
{
	if (p->colour)
		fprintf(p->out, "\033[%sm", code);
}

static void heading(const struct page *p, const char *text)
{
	fputc('\n', p->out);
	style(p, "1");
	fputs(text, p->out);
	style(p, "0");
	fputc('\n', p->out);
}

/* 1234567 → "1,234,567", into out[32]. */
static const char *grouped(uint64_t n, char *out)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

/* Eighths of a column, so that small shares can still be told apart. */
static void bar(const struct page *p, double share, const char *code)
{
	static const char *const parts[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
	int eighths = (int)(share * p->bar * 8 + 0.5), columns = (eighths + 7) / 8;

	style(p, code);
	for (int i = 0; i < eighths / 8; i++)
		fputs("█", p->out);
	fputs(parts[eighths % 8], p->out);
	style(p, "0");
	for (int i = columns; i < p->bar; i++)
		fputc(' ', p->out);
}

static double share_of(uint64_t part, uint64_t all)
{
	return all ? (double)part / (double)all : 0;
}

/* A text that strangers chose, cut to so many columns. */
static const char *shown(const char *text, size_t columns, char *out)
{
	char quoted[FLAT_QUOTED];
	struct sv v = flat_clean(sv_from(text), quoted);
	size_t n = 0, width = 0;

	while (n < v.n && width < columns) {
		n++;
		while (n < v.n && ((unsigned char)v.p[n] & 0xc0) == 0x80)
			n++;
		width++;
	}
	snprintf(out, FLAT_QUOTED, SV_FMT "%*s", (int)n, v.p, (int)(columns - width), "");
	return out;
}

static const char *class_colour(enum mail_class c)
{
	return c == CLASS_DIRECT || c == CLASS_NULL ? "31" : c == CLASS_SCANNER ? "32" : "36";
}

/* ---- parts ---- */

static void write_head(const struct page *p)
{
	const struct summary *s = p->s;
	const struct scan *scan = s->scan;
	const struct join *j = &scan->join;
	char a[32], b[32], c[32], d[32];

	style(p, "1");
	fputs("Who came by which door", p->out);
	style(p, "0");
	if (j->first_ms <= j->last_ms)
		fprintf(p->out, ", %.16s to %.16s UTC", clock_rfc3339(j->first_ms, a),
			clock_rfc3339(j->last_ms, b));
	fprintf(p->out, "\n%s messages for %s recipient domains in %s lines of %" PRIu64 " file%s",
		grouped(j->received, a), grouped(s->n_domains, b), grouped(scan->lines, c),
		scan->files, scan->files == 1 ? "" : "s");
	if (scan->unparsed > 0)
		fprintf(p->out, "; %s lines not understood (--unparsed)",
			grouped(scan->unparsed, d));
	fputc('\n', p->out);
	for (size_t i = 0; i < s->n_notes; i++) {
		style(p, "33");
		fprintf(p->out, "note: %s\n", s->notes[i]);
		style(p, "0");
	}
}

static void write_classes(const struct page *p)
{
	const struct tally *t = &p->s->scan->tally;
	char mails[32], domains[32], clients[32];

	fprintf(p->out, "\n%-14s %-*s %13s %8s %9s %9s\n", "class", p->bar, "", "mails", "share",
		"domains", "clients");
	for (enum mail_class c = 0; c < CLASS_COUNT; c++) {
		const struct tally_class *row = &t->classes[c];

		if (row->mails == 0 && c != CLASS_DIRECT)
			continue;
		fprintf(p->out, "%-14s ", mail_class_name(c));
		bar(p, share_of(row->mails, t->mails), class_colour(c));
		fprintf(p->out, " %13s %6.1f %% %9s %9s\n", grouped(row->mails, mails),
			100 * share_of(row->mails, t->mails), grouped(row->domains, domains),
			row->clients ? grouped(row->clients, clients) : "-");
	}
}

static uint64_t day_total(const struct tally_day *d)
{
	uint64_t n = 0;

	for (enum mail_class c = 0; c < CLASS_COUNT; c++)
		n += class_is_from_outside(c) ? d->mails[c] : 0;
	return n;
}

static void write_days(const struct page *p)
{
	const struct tally *t = &p->s->scan->tally;
	size_t from = t->n_days > ROWS_DAYS ? t->n_days - ROWS_DAYS : 0;
	uint64_t most = 1;
	char day[16], n[32];

	if (t->n_days < 2)
		return;
	for (size_t i = from; i < t->n_days; i++)
		if (t->days[i].mails[CLASS_DIRECT] > most)
			most = t->days[i].mails[CLASS_DIRECT];
	heading(p, "Direct mail by day, and its share of the mail from outside");
	for (size_t i = from; i < t->n_days; i++) {
		const struct tally_day *d = &t->days[i];

		fprintf(p->out, "%-14s ", stamp_day(d->day, day));
		bar(p, share_of(d->mails[CLASS_DIRECT], most), "31");
		fprintf(p->out, " %13s %6.1f %%\n", grouped(d->mails[CLASS_DIRECT], n),
			100 * share_of(d->mails[CLASS_DIRECT], day_total(d)));
	}
}

static void write_names(const struct page *p)
{
	static const char *const words[DOOR_WORD_COUNT] = {
		[DOOR_WORD_MX] = "its MX",          [DOOR_WORD_APEX] = "the domain itself",
		[DOOR_WORD_WWW] = "www.",           [DOOR_WORD_MAIL] = "mail.",
		[DOOR_WORD_SMTP] = "smtp.",         [DOOR_WORD_OTHER] = "mx. (an old MX)",
		[DOOR_WORD_NONE] = "no usual name", [DOOR_WORD_UNKNOWN] = "not looked up",
	};
	const struct tally *t = &p->s->scan->tally;
	bool any = false;

	for (enum mail_class c = 0; c < CLASS_COUNT; c++) {
		const struct tally_class *row = &t->classes[c];
		bool first = true;

		if (row->mails == 0 || !class_is_from_outside(c) || c == CLASS_SELF)
			continue;
		if (!any)
			heading(p, "Which of the domain's names leads here");
		any = true;
		fprintf(p->out, "%-14s ", mail_class_name(c));
		for (enum door_word w = 0; w < DOOR_WORD_COUNT; w++) {
			if (row->names[w] == 0)
				continue;
			fprintf(p->out, "%s%s %.1f %%", first ? "" : ", ", words[w],
				100 * share_of(row->names[w], row->mails));
			first = false;
		}
		fputc('\n', p->out);
	}
}

/* The last days of a domain's direct mail as a line of eight heights. */
static void write_trend(const struct page *p, const struct book_domain *d)
{
	static const char *const heights[] = { "·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	const struct tally *t = &p->s->scan->tally;
	uint32_t values[14] = { 0 }, most = 0;
	size_t n = min_size(t->n_days, ARRAY_SIZE(values));

	for (uint32_t i = d->days; i != INDEX_NONE; i = t->domain_days[i].next)
		for (size_t k = 0; k < n; k++)
			if (t->days[t->n_days - n + k].day == t->domain_days[i].day)
				values[k] = t->domain_days[i].direct;
	for (size_t k = 0; k < n; k++)
		most = values[k] > most ? values[k] : most;
	for (size_t k = 0; k < n; k++)
		fputs(heights[values[k] == 0 ? 0 : 1 + (uint64_t)values[k] * 7 / most], p->out);
}

static void write_domains(const struct page *p)
{
	const struct summary *s = p->s;
	const struct book *b = &s->scan->book;
	size_t rows = 0, with_direct = 0;
	char name[FLAT_QUOTED], scanner[FLAT_QUOTED], n[32], m[32];

	while (with_direct < s->n_domains && b->domains[s->domains[with_direct]].direct > 0)
		with_direct++;
	if (with_direct == 0)
		return;
	heading(p, "Domains with the most direct mail");
	fprintf(p->out, "%-32s %-22s %9s %8s  %-6s %s\n", "domain", "scanner", "direct", "share",
		"name", "by day");
	for (; rows < with_direct && rows < ROWS_DOMAINS; rows++) {
		const struct book_domain *d = &b->domains[s->domains[rows]];

		fprintf(p->out, "%s %s %9s %6.1f %%  %-6s ", shown(d->name, 32, name),
			shown(d->scanner ? book_string(b, d->scanner) : "-", 22, scanner),
			grouped(d->direct, n), 100 * summary_share(d),
			door_word_name(tally_door_word(d, s->judge, NULL)));
		write_trend(p, d);
		fputc('\n', p->out);
	}
	if (rows < with_direct)
		fprintf(p->out, "and %s more of %s domains hosted here (--csv --summary)\n",
			grouped(with_direct - rows, n), grouped(s->n_hosted, m));
}

static void write_span(const struct page *p, const struct tally_group *g)
{
	char from[32], to[32];

	clock_rfc3339(g->first_ms, from);
	clock_rfc3339(g->last_ms, to);
	fprintf(p->out, "%.10s..%.5s", from, to + 5);
}

static const char *hint_colour(enum hint h)
{
	return h == HINT_BOT ? "31" : h == HINT_UNCLEAR ? "33" : "32";
}

static void write_groups(const struct page *p, bool networks)
{
	const struct summary *s = p->s;
	const struct summary_group *rows = networks ? s->networks : s->ptr_domains;
	size_t n = networks ? s->n_networks : s->n_ptr_domains;
	size_t all = networks ? s->scan->tally.n_networks : s->scan->tally.n_ptr_domains;
	char text[FLAT_QUOTED], mails[32], clients[32], domains[32], network[ADDR_STRLEN + 4];

	if (n == 0)
		return;
	heading(p, networks ? "Direct clients by network"
			    : "Direct clients by the domain they are named below");
	fprintf(p->out, "%-32s %9s %8s %8s  %-17s %s\n", networks ? "network" : "domain", "mails",
		"clients", "domains", "from..to", "looks like");
	for (size_t i = 0; i < n && i < ROWS_GROUPS; i++) {
		const struct tally_group *g = rows[i].group;

		fprintf(p->out, "%s %9s %8s %8s  ",
			shown(networks ? prefix_format(&g->network, network)
				       : book_string(&s->scan->book, g->ptr_domain),
			      32, text),
			grouped(g->mails, mails), grouped(g->clients, clients),
			grouped(g->domains, domains));
		write_span(p, g);
		fputs("  ", p->out);
		style(p, hint_colour(rows[i].hint));
		fputs(hint_name(rows[i].hint), p->out);
		style(p, "0");
		fprintf(p->out, "\n    %s\n", rows[i].why);
	}
	if (all > ROWS_GROUPS)
		fprintf(p->out, "and %s more (--json --summary has up to %d)\n",
			grouped(all - min_size(all, ROWS_GROUPS), mails), SUMMARY_NETWORKS);
}

static void write_scanners(const struct page *p)
{
	const struct summary *s = p->s;
	char name[FLAT_QUOTED], inside[32], outside[32], domains[32];

	if (s->n_scanners == 0)
		return;
	heading(p, "Scanners");
	fprintf(p->out, "%-32s %-10s %9s %9s %8s  %s\n", "scanner", "grade", "by it", "past it",
		"domains", "proof");
	for (size_t i = 0; i < s->n_scanners && i < ROWS_DOMAINS; i++) {
		const struct summary_scanner *row = &s->scanners[i];

		fprintf(p->out, "%s %-10s %9s %9s %8s  %s: %s\n", shown(row->name, 32, name),
			grade_name(row->grade), grouped(row->inside, inside),
			grouped(row->outside, outside), grouped(row->domains, domains),
			summary_proof_word(row), row->why);
	}
}

void summary_text(const struct summary *s, FILE *out, bool colour, int columns)
{
	struct page p = { s, out, colour, columns - 60 };

	p.bar = p.bar < 8 ? 8 : p.bar > BAR_MAX ? BAR_MAX : p.bar;
	write_head(&p);
	if (s->scan->tally.mails == 0)
		return;
	write_classes(&p);
	write_days(&p);
	write_names(&p);
	write_domains(&p);
	write_groups(&p, true);
	write_groups(&p, false);
	write_scanners(&p);
}
