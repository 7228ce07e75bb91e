/* Egress as text and as JSON. */
#include "base/clock.h"
#include "cli/egress_view.h"
#include "cli/prefixes.h"
#include "event/flat.h"

#include <inttypes.h>

#define SHOWN_PREFIXES 4 /* of a part; --json has all */

void prefixes_write(const struct prefix_set *set, FILE *out)
{
	struct prefixes all = { .set = set };
	size_t n = prefixes_count(set), shown = 0;
	char text[ADDR_STRLEN + 4];
	struct prefix prefix;

	while (shown < SHOWN_PREFIXES && prefixes_next(&all, &prefix))
		fprintf(out, "%s%s", shown++ ? " " : "", prefixes_format(&prefix, text));
	if (n > shown)
		fprintf(out, " and %zu more (--json: all)", n - shown);
	if (n == 0)
		fputs("no address", out);
}

static int64_t age_of(const struct egress_source *s)
{
	int64_t age = clock_mono_ms() - s->fetched_ms;

	return age > 0 ? age / 1000 : 0;
}

static void write_source(const struct egress_source *s, FILE *out)
{
	char quoted[FLAT_QUOTED];

	switch (s->status) {
	case SOURCE_NONE:
		fputs("DNS has no such record", out);
		return;
	case SOURCE_FAILED:
		fputs("the look-up failed", out);
		return;
	case SOURCE_KNOWN:
		break;
	}
	prefixes_write(&s->set, out);
	if (s->fallback)
		fputs("; the look-up failed, this is the snapshot shipped with frontdoor", out);
	else
		fprintf(out, "; TTL %" PRIu32 " s, %" PRId64 " s old", s->ttl, age_of(s));
	if (s->stale)
		fputs(", last known: a refresh failed", out);
	if (s->incomplete)
		fputs("; incomplete", out);
	if (s->left_out && s->left_out[0]) {
		struct sv v = flat_clean(sv_from(s->left_out), quoted);

		fprintf(out, "; left out: " SV_FMT, SV_ARG(v));
	}
}

static void write_exists(const struct egress_part *p, FILE *out)
{
	if (!p->source) {
		fputs("asked for each client", out);
		return;
	}
	fprintf(out, "%s ", p->source->key);
	fputs(p->source->status == SOURCE_KNOWN  ? "is there"
	      : p->source->status == SOURCE_NONE ? "isn't there"
						 : "could not be found out",
	      out);
}

static void write_part(const struct egress_part *p, FILE *out)
{
	char text[ADDR_STRLEN + 4];

	fprintf(out, "%s: ", p->text);
	switch (p->kind) {
	case EGRESS_MX:
	case EGRESS_PREFIXES:
	case EGRESS_ACCEPTED:
		prefixes_write(p->set, out);
		break;
	case EGRESS_SOURCE:
		write_source(p->source, out);
		break;
	case EGRESS_EXISTS:
		write_exists(p, out);
		break;
	case EGRESS_PTR:
		fputs("clients with a confirmed name below it", out);
		break;
	case EGRESS_TENANT_PTR:
		fputs("clients with a confirmed name of the tenant's", out);
		break;
	case EGRESS_PARENT:
		fputs("by default, clients with a confirmed name below it", out);
		break;
	}
	if (p->matches && p->match.bits > 0)
		fprintf(out, "  <- the client, by %s", prefixes_format(&p->match, text));
	else if (p->matches)
		fputs("  <- the client", out);
	fputc('\n', out);
}

void egress_view_write(const struct egress_view *e, FILE *out, int indent)
{
	for (size_t i = 0; i < e->n; i++) {
		fprintf(out, "%*s", i ? indent : 0, "");
		write_part(&e->parts[i], out);
	}
}

/* ---- JSON ---- */

json_t *text_json(const char *text)
{
	char quoted[FLAT_QUOTED];
	struct sv v = text ? flat_clean(sv_from(text), quoted) : SV("");

	return v.n > 0 ? json_stringn(v.p, v.n) : json_null();
}

json_t *prefixes_json(const struct prefix_set *set)
{
	struct prefixes all = { .set = set };
	char text[ADDR_STRLEN + 4];
	struct prefix prefix;
	json_t *list = json_array();

	while (prefixes_next(&all, &prefix))
		json_array_append_new(list, json_string(prefix_format(&prefix, text)));
	return list;
}

static json_t *match_json(const struct egress_part *p)
{
	char text[ADDR_STRLEN + 4];

	if (!p->matches)
		return json_null();
	return json_string(p->match.bits > 0 ? prefix_format(&p->match, text) : p->text);
}

static void add_source(json_t *part, const struct egress_source *s)
{
	static const char *const words[] = {
		[SOURCE_KNOWN] = "known", [SOURCE_NONE] = "none", [SOURCE_FAILED] = "failed"
	};
	bool dated = s->status == SOURCE_KNOWN && !s->fallback;

	json_object_set_new(part, "status", json_string(words[s->status]));
	json_object_set_new(part, "ttl", dated ? json_integer(s->ttl) : json_null());
	json_object_set_new(part, "age", dated ? json_integer(age_of(s)) : json_null());
	json_object_set_new(part, "stale", json_boolean(s->stale));
	json_object_set_new(part, "fallback", json_boolean(s->fallback));
	json_object_set_new(part, "incomplete", json_boolean(s->incomplete));
	json_object_set_new(part, "left_out", text_json(s->left_out));
}

static json_t *part_json(const struct egress_part *p)
{
	static const char *const kinds[] = {
		[EGRESS_MX] = "mx",
		[EGRESS_PREFIXES] = "prefixes",
		[EGRESS_ACCEPTED] = "accepted",
		[EGRESS_SOURCE] = "source",
		[EGRESS_EXISTS] = "exists",
		[EGRESS_PTR] = "ptr",
		[EGRESS_TENANT_PTR] = "tenant-ptr",
		[EGRESS_PARENT] = "default-ptr",
	};
	json_t *part = json_pack("{s:s, s:s, s:o, s:o}", "kind", kinds[p->kind], "egress", p->text,
				 "match", match_json(p), "prefixes",
				 p->set ? prefixes_json(p->set) : json_null());

	if (p->source)
		add_source(part, p->source);
	if (p->kind == EGRESS_EXISTS)
		json_object_set_new(part, "asked",
				    p->source ? json_string(p->source->key) : json_null());
	return part;
}

json_t *egress_view_json(const struct egress_view *e)
{
	json_t *list = json_array();

	for (size_t i = 0; i < e->n; i++)
		json_array_append_new(list, part_json(&e->parts[i]));
	return list;
}

/* ---- whose ---- */

const char *owner_from_name(enum owner_from from)
{
	switch (from) {
	case OWNER_CONFIGURED:
		return "configured";
	case OWNER_MX:
		return "mx";
	case OWNER_CNAME:
		return "cname";
	case OWNER_PTR:
		return "ptr";
	case OWNER_DEFAULT:
		break;
	}
	return "default";
}

void owner_write_from(const struct door_owner *o, FILE *out)
{
	switch (o->from) {
	case OWNER_CONFIGURED:
		fprintf(out, "configured (scanners:), by the name %s", o->told_by);
		break;
	case OWNER_MX:
		fprintf(out, "in the catalogue, by the name %s", o->told_by);
		break;
	case OWNER_CNAME:
		fprintf(out, "in the catalogue, by where its name leads, %s", o->told_by);
		break;
	case OWNER_PTR:
		fprintf(out, "in the catalogue, by the name of its address, %s", o->told_by);
		break;
	case OWNER_DEFAULT:
		fputs("neither configured nor in the catalogue, so named after its domain", out);
		break;
	}
	if (o->row && o->row->name)
		fprintf(out, ": %s", o->row->name);
}

json_t *owner_tenant_json(const struct door_owner *o)
{
	const struct tenant *t = o->tenant;

	if (!t)
		return json_null();
	return json_pack("{s:s?, s:s?, s:b, s:b}", "spf", t->spf, "exists", t->exists, "names",
			 t->ptr != NULL, "shared", t->shared);
}
