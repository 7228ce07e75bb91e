/* What explain found out, as one object: the fields of an event, and what they rest on. */
#include "base/clock.h"
#include "cli/explain.h"
#include "event/event.h"

#include <stdlib.h>

/* NULL: could not be found out. */
static const char *first_name(const struct explain *x, const struct decide_facts *f)
{
	struct door_names *names = ask_names(x->asked.ask, f->domain);
	const char *found = names ? door_names_word(names, &x->server) : NULL;

	facts_free(names);
	return found;
}

static json_t *event_json(const struct explain *x, const struct decide_facts *f,
			  const struct decision *d)
{
	struct event_rcpt e = {
		.time_ms = clock_wall_ms(),
		.client = { .addr = x->client },
		.server = { .addr = x->server },
		.reply = d->code,
	};
	json_t *json;
	char *line;

	event_rcpt_decided(&e, d);
	if (!e.door_name && f->domain && f->dns)
		e.door_name = first_name(x, f);
	event_copy(e.listener, sizeof(e.listener), x->listener->name);
	event_copy(e.rcpt_domain, sizeof(e.rcpt_domain), f->domain);
	line = event_rcpt_json(&e);
	json = line ? json_loads(line, 0, NULL) : NULL;
	free(line);
	return json;
}

static json_t *seconds(int64_t ms)
{
	return json_integer(ms > 0 ? ms / 1000 : 0);
}

static json_t *hosts_json(const struct dns_host *hosts, size_t n)
{
	json_t *list = json_array();
	char text[ADDR_STRLEN];

	for (size_t i = 0; i < n; i++) {
		const struct dns_host *h = &hosts[i];
		json_t *addresses = json_array();

		for (unsigned k = 0; k < h->n_addrs; k++)
			json_array_append_new(addresses,
					      json_string(addr_format(&h->addrs[k], text)));
		json_array_append_new(
			list, json_pack("{s:o, s:i, s:o, s:o, s:o, s:b, s:b}", "host",
					text_json(h->name), "preference", (int)h->preference,
					"canonical", text_json(h->canonical), "ptr",
					text_json(h->ptr), "addresses", addresses, "failed",
					h->status == DNS_FAILED, "incomplete", h->incomplete));
	}
	return list;
}

static const char *kind_word(enum facts_kind kind)
{
	static const char *const words[] = { [FACTS_MX] = "mx",
					     [FACTS_ADDRESS] = "address",
					     [FACTS_NULL_MX] = "null-mx",
					     [FACTS_NOTHING] = "nothing",
					     [FACTS_FAILED] = "failed" };

	return words[kind];
}

static json_t *dns_json(const struct decide_facts *f)
{
	const struct domain_facts *dns = f->dns;
	json_t *former = json_null();

	if (door_has_former(f))
		former = json_pack("{s:s, s:o, s:o}", "answer", kind_word(dns->former_kind),
				   "seconds", seconds(dns->former_until_ms - f->now_ms), "hosts",
				   hosts_json(dns->former, dns->n_former));
	return json_pack(
		"{s:s, s:o, s:i, s:o, s:b, s:o, s:b, s:o}", "answer", kind_word(dns->kind), "hosts",
		hosts_json(dns->hosts, dns->n_hosts), "ttl", (int)dns->ttl, "age",
		dns->kind == FACTS_FAILED ? json_null() : seconds(f->now_ms - dns->fetched_ms),
		"stale", dns->stale, "confirmed_age",
		dns->confirmed_ms < 0 ? json_null() : seconds(f->now_ms - dns->confirmed_ms),
		"authoritative", dns->aa, "former", former);
}

static json_t *scanner_json(const struct scanner_view *s)
{
	json_t *o = known_json(&s->known), *hosts = json_array();

	for (size_t i = 0; i < s->n_hosts; i++)
		json_array_append_new(hosts, text_json(s->hosts[i]->name));
	json_object_update_new(
		o, json_pack("{s:s, s:o, s:o, s:o, s:o, s:b, s:o}", "known_by",
			     owner_from_name(s->owner.from), "told_by", text_json(s->owner.told_by),
			     "name", text_json(s->owner.row ? s->owner.row->name : NULL), "tenant",
			     owner_tenant_json(&s->owner), "hosts", hosts, "former", s->former,
			     "egress", egress_view_json(&s->egress)));
	return o;
}

static json_t *match_json(const struct door_view *v)
{
	const struct scanner_view *s = NULL;
	const struct egress_part *p = door_view_match(v, &s);
	char text[ADDR_STRLEN + 4];

	if (!p)
		return json_null();
	return json_pack("{s:o, s:s, s:s?}", "scanner", text_json(s ? s->name : NULL), "egress",
			 p->text, "prefix",
			 p->match.bits > 0 ? prefix_format(&p->match, text) : NULL);
}

static json_t *names_json(const struct client_names *names)
{
	json_t *list;

	if (!names || names->status == DNS_FAILED)
		return json_null();
	list = json_array();
	for (unsigned i = 0; i < names->n; i++)
		json_array_append_new(list, text_json(names->names[i]));
	return list;
}

static json_t *down_json(struct explain *x, const struct decide_facts *f, enum dns_supposed how)
{
	struct decision d;

	if ((how == DNS_DOWN_KNOWN && f->dns->kind == FACTS_FAILED) ||
	    explain_judge_down(x, f, how, &d) < 0)
		return json_null();
	return json_pack("{s:s, s:s, s:s, s:o, s:o}", "finding", finding_name(d.finding), "action",
			 action_name(d.action), "reason", reason_name(d.reason), "restraint",
			 text_json(restraint_name(d.restraint)), "reply",
			 d.code ? json_integer(d.code) : json_null());
}

static json_t *details_json(struct explain *x, const struct decide_facts *f,
			    const struct decision *d)
{
	json_t *scanners = json_array(), *o;
	struct door_view view;

	if (door_view_make(f, d->door, &x->knowledge, &x->asked, &view) == 0)
		for (size_t i = 0; i < view.n; i++)
			json_array_append_new(scanners, scanner_json(&view.scanners[i]));
	o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}}", "dns", dns_json(f), "scanners",
		      scanners, "allow", egress_view_json(&view.allowed), "matched",
		      match_json(&view), "client_names", names_json(f->names), "dns_down", "known",
		      down_json(x, f, DNS_DOWN_KNOWN), "unknown",
		      down_json(x, f, DNS_DOWN_UNKNOWN));
	door_view_deinit(&view);
	return o;
}

void explain_json(struct explain *x, struct decide_facts *f, const struct decision *d)
{
	json_t *o = event_json(x, f, d);

	if (o && f->domain)
		json_object_set_new(o, "hosted", json_boolean(d->hosted));
	if (o && f->domain && f->dns)
		json_object_update_new(o, details_json(x, f, d));
	if (o && json_dumpf(o, stdout, JSON_COMPACT) == 0)
		putchar('\n');
	json_decref(o);
}
