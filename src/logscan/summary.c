#include "logscan/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static uint64_t outside_of(const struct book_domain *d)
{
	uint64_t n = 0;

	for (enum mail_class c = 0; c < CLASS_COUNT; c++)
		n += class_is_from_outside(c) ? d->by_class[c] : 0;
	return n;
}

double summary_share(const struct book_domain *d)
{
	uint64_t n = outside_of(d);

	return n ? (double)d->direct / (double)n : 0;
}

const char *summary_proof_word(const struct summary_scanner *s)
{
	if (!s->has_proof)
		return "wanting";
	switch (s->proof.outcome) {
	case PROOF_PROVEN:
		return "proven";
	case PROOF_RIVAL:
		return "rival";
	case PROOF_WANTING:
		break;
	}
	return "wanting";
}

/* ---- notes ---- */

PRINTF(2, 3) static void note(struct summary *s, const char *fmt, ...)
{
	va_list ap;

	if (s->n_notes == SUMMARY_NOTES)
		return;
	va_start(ap, fmt);
	vsnprintf(s->notes[s->n_notes++], SUMMARY_NOTE_MAX, fmt, ap);
	va_end(ap);
}

static bool any_public(const struct prefix_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (!addr_is_private(&set->ranges[i].lo))
			return true;
	return false;
}

static void make_notes(struct summary *s)
{
	const struct scan *scan = s->scan;
	char text[ADDR_STRLEN];
	struct addr at;

	if (s->judge->servers.n == 0)
		note(s, "no address of the mail server is known (these logs don't tell it): "
			"domains whose MX is this server look as if a scanner had them; --server "
			"ADDRESS");
	else if (!any_public(&s->judge->servers))
		note(s, "only private addresses of the mail server are known: behind NAT domains "
			"whose MX is this server look as if a scanner had them; --server ADDRESS");
	if (memory_identity_doubt(s->judge->memory, &at))
		note(s, "many domains lead to %s; is this the mail server? then --server %s",
		     addr_format(&at, text), text);
	if (scan->join.without_rcpt > 0)
		note(s, "%" PRIu64 " messages have no recipient in these logs, and are not counted",
		     scan->join.without_rcpt);
	if (scan->join.without_arrival > 0)
		note(s, "%" PRIu64 " messages arrived before these logs begin, and are not counted",
		     scan->join.without_arrival);
	if (scan->early > 0)
		note(s,
		     "there was not room to judge all at the end: what is hosted here was taken "
		     "from the part read so far, %" PRIu64 " times",
		     scan->early);
	if (scan->tally.no_memory || scan->book.no_memory)
		note(s, "memory ran out: figures are too low");
	if (scan->lines > 0 && scan->unparsed == scan->lines)
		note(s, "not one line is of a known format: Exim's main log, Postfix's or Exim's "
			"lines in syslog or journald JSON");
}

/* ---- rows ---- */

static int by_direct(const void *a, const void *b, void *user)
{
	const struct book *book = user;
	const struct book_domain *left = &book->domains[*(const uint32_t *)a];
	const struct book_domain *right = &book->domains[*(const uint32_t *)b];

	if (left->direct != right->direct)
		return left->direct > right->direct ? -1 : 1;
	uint64_t l = outside_of(left), r = outside_of(right);

	if (l != r)
		return l > r ? -1 : 1;
	return strcmp(left->name, right->name);
}

static bool has_mail(const struct book_domain *d)
{
	for (enum mail_class c = 0; c < CLASS_COUNT; c++)
		if (d->by_class[c] > 0)
			return true;
	return false;
}

static int make_domains(struct summary *s)
{
	struct book *b = &s->scan->book;

	s->domains = calloc(b->n_domains + 1, sizeof(*s->domains));
	if (!s->domains)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_domains; i++) {
		const struct book_domain *d = &b->domains[i];

		if (d->base != i || !has_mail(d))
			continue;
		s->domains[s->n_domains++] = (uint32_t)i;
		s->n_hosted += d->hosted;
		s->direct += d->direct;
		s->outside += outside_of(d);
	}
	qsort_r(s->domains, s->n_domains, sizeof(*s->domains), by_direct, b);
	return 0;
}

static int make_groups(const struct book *b, const struct tally_group *groups, size_t n,
		       struct summary_group **ret_rows, size_t *ret_n)
{
	size_t rows = min_size(n, SUMMARY_NETWORKS);

	*ret_rows = calloc(rows + 1, sizeof(**ret_rows));
	if (!*ret_rows)
		return -ENOMEM;
	for (size_t i = 0; i < rows; i++) {
		struct summary_group *g = &(*ret_rows)[i];

		g->group = &groups[i];
		g->hint = hint_of(g->group, b, g->why);
	}
	*ret_n = rows;
	return 0;
}

/* ---- scanners ---- */

static void explain_proof(struct summary_scanner *s)
{
	const struct proof_state *p = &s->proof;
	char network[ADDR_STRLEN + 4];

	if (!s->has_proof) {
		snprintf(s->why, sizeof(s->why), "no mail was seen from it");
	} else if (p->outcome == PROOF_RIVAL) {
		snprintf(s->why, sizeof(s->why),
			 "%s, named below %.80s, carries %.0f %% of the mail for %u of its "
			 "domains: its egress is larger than what is configured",
			 p->n_rivals ? prefix_format(&p->rivals[0].network, network) : "a network",
			 p->n_rivals && p->rivals[0].ptr_domain ? p->rivals[0].ptr_domain
								: "the MX",
			 p->n_rivals ? 100 * p->rivals[0].share : 0,
			 p->n_rivals ? p->rivals[0].domains : 0);
	} else if (p->outcome == PROOF_PROVEN) {
		snprintf(s->why, sizeof(s->why),
			 "%" PRIu64
			 " mails came from it in %.0f hours, %.0f %% of the mail for its "
			 "domains",
			 p->inside, (double)(p->last_ms - p->first_ms) / 3600000, 100 * p->share);
	} else {
		snprintf(s->why, sizeof(s->why), "%" PRIu64 " mails came from it%s%s%s", p->inside,
			 p->lacks & PROOF_LACKS_MAILS ? "; too few" : "",
			 p->lacks & PROOF_LACKS_HOURS ? "; in too short a time" : "",
			 p->lacks & PROOF_LACKS_SHARE
				 ? "; less than half of the mail for its domains"
				 : "");
	}
}

static int by_outside(const void *a, const void *b)
{
	const struct summary_scanner *left = a, *right = b;

	if (left->outside != right->outside)
		return left->outside > right->outside ? -1 : 1;
	if (left->inside != right->inside)
		return left->inside > right->inside ? -1 : 1;
	return strcmp(left->name, right->name);
}

static int add_scanner(struct summary *s, struct map *rows, const struct book_domain *d)
{
	struct sv name = sv_from(book_string(&s->scan->book, d->scanner));
	struct summary_scanner *row = map_get(rows, name);

	if (!row) {
		row = calloc(1, sizeof(*row));
		if (!row || !(row->name = sv_dup(name)) || map_put(rows, name, row, NULL) < 0) {
			if (row)
				free(row->name);
			free(row);
			return -ENOMEM;
		}
		row->grade = (enum grade)d->grade;
	}
	row->domains++;
	row->inside += d->by_class[CLASS_SCANNER];
	row->outside += d->direct;
	return 0;
}

static int make_scanners(struct summary *s, const struct proof_conf *prove)
{
	const struct book *b = &s->scan->book;
	struct map_entry *e = NULL;
	struct map rows;
	int r = 0;

	map_init(&rows);
	for (size_t i = 0; r == 0 && i < b->n_domains; i++) {
		const struct book_domain *d = &b->domains[i];

		if (d->base == i && d->hosted && d->door == DOOR_SCANNER && d->scanner)
			r = add_scanner(s, &rows, d);
	}
	s->scanners = r == 0 ? calloc(rows.n + 1, sizeof(*s->scanners)) : NULL;
	while ((e = map_next(&rows, e))) {
		struct summary_scanner *row = e->value;

		if (!s->scanners) {
			free(row->name);
			continue;
		}
		row->has_proof =
			s->scan->conf.proof && proof_judge(s->scan->conf.proof, row->name, prove,
							   s->now_ms, &row->proof) == 0;
		explain_proof(row);
		s->scanners[s->n_scanners++] = *row;
	}
	map_deinit(&rows, free);
	if (!s->scanners)
		return -ENOMEM;
	qsort(s->scanners, s->n_scanners, sizeof(*s->scanners), by_outside);
	return 0;
}

/* ---- all ---- */

int summary_make(struct scan *scan, const struct proof_conf *prove, int64_t now_ms,
		 struct summary *ret_summary)
{
	struct summary *s = ret_summary;
	struct tally *t = &scan->tally;
	int r;

	*s = (struct summary) { .scan = scan, .judge = scan->conf.judge, .now_ms = now_ms };
	tally_sort(t);
	r = make_domains(s);
	if (r == 0)
		r = make_groups(&scan->book, t->networks, t->n_networks, &s->networks,
				&s->n_networks);
	if (r == 0)
		r = make_groups(&scan->book, t->ptr_domains, t->n_ptr_domains, &s->ptr_domains,
				&s->n_ptr_domains);
	if (r == 0)
		r = make_scanners(s, prove);
	if (r < 0)
		summary_deinit(s);
	else
		make_notes(s);
	return r;
}

void summary_deinit(struct summary *s)
{
	for (size_t i = 0; s->scanners && i < s->n_scanners; i++) {
		free(s->scanners[i].name);
		if (s->scanners[i].has_proof)
			proof_state_deinit(&s->scanners[i].proof);
	}
	free(s->scanners);
	free(s->domains);
	free(s->networks);
	free(s->ptr_domains);
	*s = (struct summary) { 0 };
}
