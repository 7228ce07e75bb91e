/* The summary as one JSON object, and its domains as CSV. */
#include "logscan/summary.h"

#include "base/clock.h"
#include "event/flat.h"

#include <inttypes.h>

/* Texts that strangers chose are escaped where they aren't printable UTF-8, as in events. */
static json_t *text_json(const char *text)
{
	char quoted[FLAT_QUOTED];
	struct sv v = flat_clean(sv_from(text), quoted);

	return text[0] ? json_stringn(v.p, v.n) : json_null();
}

static json_t *time_json(int64_t ms)
{
	char text[32];

	return json_string(clock_rfc3339(ms, text));
}

static json_t *count_json(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *input_json(const struct summary *s)
{
	const struct scan *scan = s->scan;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "files",
			 (json_int_t)scan->files, "lines", (json_int_t)scan->lines, "bytes",
			 (json_int_t)scan->bytes, "unparsed", (json_int_t)scan->unparsed,
			 "unfinished", (json_int_t)scan->unfinished, "without_arrival",
			 (json_int_t)scan->join.without_arrival, "without_recipient",
			 (json_int_t)scan->join.without_rcpt, "outside_filter",
			 (json_int_t)scan->join.outside_filter);
}

static json_t *classes_json(const struct summary *s)
{
	json_t *all = json_object();

	for (enum mail_class c = 0; c < CLASS_COUNT; c++) {
		const struct tally_class *t = &s->scan->tally.classes[c];

		json_object_set_new(all, mail_class_name(c),
				    json_pack("{s:I, s:I, s:I, s:I}", "mails", (json_int_t)t->mails,
					      "bytes", (json_int_t)t->bytes, "domains",
					      (json_int_t)t->domains, "clients",
					      (json_int_t)t->clients));
	}
	return all;
}

static json_t *door_names_json(const struct summary *s)
{
	json_t *all = json_object();

	for (enum mail_class c = 0; c < CLASS_COUNT; c++) {
		const struct tally_class *t = &s->scan->tally.classes[c];
		json_t *words;

		if (t->mails == 0 || !class_is_from_outside(c))
			continue;
		words = json_object();
		for (enum door_word w = 0; w < DOOR_WORD_COUNT; w++)
			json_object_set_new(words, door_word_name(w), count_json(t->names[w]));
		json_object_set_new(all, mail_class_name(c), words);
	}
	return all;
}

static json_t *days_json(const struct summary *s)
{
	const struct tally *t = &s->scan->tally;
	json_t *all = json_array();
	char text[16];

	for (size_t i = 0; i < t->n_days; i++) {
		json_t *day = json_object();

		json_object_set_new(day, "day", json_string(stamp_day(t->days[i].day, text)));
		for (enum mail_class c = 0; c < CLASS_COUNT; c++)
			if (t->days[i].mails[c] > 0)
				json_object_set_new(day, mail_class_name(c),
						    count_json(t->days[i].mails[c]));
		json_array_append_new(all, day);
	}
	return all;
}

static int by_day(const void *a, const void *b)
{
	const struct tally_domain_day *const *left = a, *const *right = b;

	return (*left)->day < (*right)->day ? -1 : (*left)->day > (*right)->day;
}

#define DAYS_MAX 4000 /* of one domain: ten years */

static json_t *domain_days_json(const struct summary *s, const struct book_domain *d)
{
	const struct tally_domain_day *days[DAYS_MAX];
	json_t *all = json_array();
	char text[16];
	size_t n = 0;

	for (uint32_t i = d->days; i != INDEX_NONE && n < DAYS_MAX;
	     i = s->scan->tally.domain_days[i].next)
		days[n++] = &s->scan->tally.domain_days[i];
	if (n > 1)
		qsort(days, n, sizeof(days[0]), by_day);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, json_pack("{s:s, s:i, s:i}", "day",
						     stamp_day(days[i]->day, text), "mails",
						     (int)days[i]->mails, "direct",
						     (int)days[i]->direct));
	return all;
}

static json_t *domain_json(const struct summary *s, const struct book_domain *d)
{
	const struct book *b = &s->scan->book;
	json_t *classes = json_object();
	uint64_t mails = 0;

	for (enum mail_class c = 0; c < CLASS_COUNT; c++) {
		mails += d->by_class[c];
		if (d->by_class[c] > 0)
			json_object_set_new(classes, mail_class_name(c),
					    count_json(d->by_class[c]));
	}
	return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:I, s:I, s:f, s:s, s:o, s:o}", "domain",
			 text_json(d->name), "hosted", d->hosted, "door",
			 d->door_known ? json_string(door_kind_name((enum door_kind)d->door))
				       : json_null(),
			 "scanner", text_json(book_string(b, d->scanner)), "grade",
			 d->door_known && d->grade != GRADE_NONE
				 ? json_string(grade_name((enum grade)d->grade))
				 : json_null(),
			 "mx", text_json(book_string(b, d->mx)), "mails", (json_int_t)mails,
			 "direct", (json_int_t)d->direct, "share", summary_share(d), "door_name",
			 door_word_name(tally_door_word(d, s->judge, NULL)), "classes", classes,
			 "days", domain_days_json(s, d));
}

static json_t *example_json(const struct summary *s, const struct tally_group *g)
{
	const struct book *b = &s->scan->book;
	const struct book_client *c = &b->clients[g->client];
	const char *sample = book_string(b, c->sample);
	const char *space = strchr(sample, ' ');
	char text[ADDR_STRLEN], id[64];

	snprintf(id, sizeof(id), "%.*s", space ? (int)(space - sample) : 0, sample);
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "client", addr_format(&c->addr, text),
			 "client_name",
			 text_json(c->names && c->names->n ? c->names->names[0] : ""), "sender",
			 text_json(space ? space + 1 : ""), "rcpt_domain",
			 text_json(b->domains[g->domain].name), "id", text_json(id));
}

static json_t *group_json(const struct summary *s, const struct summary_group *row, bool network)
{
	const struct tally_group *g = row->group;
	char text[ADDR_STRLEN + 4];
	json_t *o = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:s, s:o, s:o}",
			      "ptr_domain", text_json(book_string(&s->scan->book, g->ptr_domain)),
			      "clients", (json_int_t)g->clients, "mails", (json_int_t)g->mails,
			      "bytes", (json_int_t)g->bytes, "domains", (json_int_t)g->domains,
			      "refused", (json_int_t)g->refused, "first", time_json(g->first_ms),
			      "last", time_json(g->last_ms), "days", (json_int_t)g->days, "hint",
			      hint_name(row->hint), "why", text_json(row->why), "example",
			      example_json(s, g));

	if (network)
		json_object_set_new(o, "network", json_string(prefix_format(&g->network, text)));
	else
		json_object_set_new(o, "networks", count_json(g->networks));
	return o;
}

static json_t *groups_json(const struct summary *s, const struct summary_group *rows, size_t n,
			   bool network)
{
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, group_json(s, &rows[i], network));
	return all;
}

static json_t *scanners_json(const struct summary *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->n_scanners; i++) {
		const struct summary_scanner *row = &s->scanners[i];
		int64_t ms = row->has_proof ? row->proof.last_ms - row->proof.first_ms : 0;

		json_array_append_new(
			all, json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:s, s:o}", "name",
				       text_json(row->name), "grade", grade_name(row->grade),
				       "domains", (json_int_t)row->domains, "inside",
				       (json_int_t)row->inside, "outside", (json_int_t)row->outside,
				       "hours", (json_int_t)(ms / 3600000), "proof",
				       summary_proof_word(row), "why", text_json(row->why)));
	}
	return all;
}

static json_t *servers_json(const struct summary *s)
{
	const struct prefix_set *set = &s->judge->servers;
	json_t *all = json_array();
	char lo[ADDR_STRLEN], hi[ADDR_STRLEN], text[2 * ADDR_STRLEN + 2];

	for (size_t i = 0; i < set->n; i++) {
		snprintf(text, sizeof(text), "%s", addr_format(&set->ranges[i].lo, lo));
		if (!addr_eq(&set->ranges[i].lo, &set->ranges[i].hi))
			snprintf(text, sizeof(text), "%s-%s", lo,
				 addr_format(&set->ranges[i].hi, hi));
		json_array_append_new(all, json_string(text));
	}
	return all;
}

static json_t *domains_json(const struct summary *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < min_size(s->n_domains, SUMMARY_DOMAINS); i++)
		json_array_append_new(all, domain_json(s, &s->scan->book.domains[s->domains[i]]));
	return all;
}

json_t *summary_json(const struct summary *s)
{
	const struct join *j = &s->scan->join;
	const struct tally *t = &s->scan->tally;
	bool any = j->first_ms <= j->last_ms;
	json_t *notes = json_array();

	for (size_t i = 0; i < s->n_notes; i++)
		json_array_append_new(notes, text_json(s->notes[i]));
	return json_pack(
		"{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:I, s:o, s:o, s:o, s:o, s:I, "
		"s:o, s:I, s:o, s:I, s:o, s:o}",
		"version", FRONTDOOR_VERSION, "time", time_json(s->now_ms), "from",
		any ? time_json(j->first_ms) : json_null(), "to",
		any ? time_json(j->last_ms) : json_null(), "input", input_json(s), "received",
		(json_int_t)j->received, "mails", (json_int_t)t->mails, "direct",
		(json_int_t)s->direct, "outside", (json_int_t)s->outside, "servers",
		servers_json(s), "domains_hosted", (json_int_t)s->n_hosted, "classes",
		classes_json(s), "door_names", door_names_json(s), "days", days_json(s), "domains",
		domains_json(s), "domains_more",
		(json_int_t)(s->n_domains - min_size(s->n_domains, SUMMARY_DOMAINS)), "networks",
		groups_json(s, s->networks, s->n_networks, true), "networks_more",
		(json_int_t)(t->n_networks - s->n_networks), "ptr_domains",
		groups_json(s, s->ptr_domains, s->n_ptr_domains, false), "ptr_domains_more",
		(json_int_t)(t->n_ptr_domains - s->n_ptr_domains), "scanners", scanners_json(s),
		"notes", notes);
}

void summary_csv(const struct summary *s, FILE *out)
{
	const struct book *b = &s->scan->book;

	fputs("domain,hosted,door,scanner,mx,direct,share", out);
	for (enum mail_class c = 0; c < CLASS_COUNT; c++)
		fprintf(out, ",%s", mail_class_name(c));
	fputc('\n', out);
	for (size_t i = 0; i < s->n_domains; i++) {
		const struct book_domain *d = &b->domains[s->domains[i]];

		csv_text(out, sv_from(d->name));
		fprintf(out, ",%s,%s,", d->hosted ? "true" : "false",
			d->door_known ? door_kind_name((enum door_kind)d->door) : "");
		csv_text(out, sv_from(book_string(b, d->scanner)));
		fputc(',', out);
		csv_text(out, sv_from(book_string(b, d->mx)));
		fprintf(out, ",%" PRIu32 ",%.4f", d->direct, summary_share(d));
		for (enum mail_class c = 0; c < CLASS_COUNT; c++)
			fprintf(out, ",%" PRIu32, d->by_class[c]);
		fputc('\n', out);
	}
}
