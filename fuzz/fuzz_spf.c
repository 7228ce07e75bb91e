/* SPF records from anybody. The lines of the input are the records that are asked for, one after
 * the other; an empty one stands for a failure. */
#include "dns/expand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct sv part, struct sv whole)
{
	return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void check_terms(struct sv record)
{
	struct sv rest = spf_is_record(record) ? spf_terms(record) : record;
	struct spf_term t;
	size_t n = 0;

	while (spf_next(&rest, &t)) {
		INVARIANT(++n <= record.n);
		INVARIANT(t.text.n && is_inside(t.text, record) && is_inside(t.domain, t.text));
		INVARIANT(t.bits4 <= 32 && t.bits6 <= 128 && t.prefix.bits <= 128);
		if (t.kind == SPF_IP4 || t.kind == SPF_IP6) {
			struct addr last = prefix_last(&t.prefix);
			INVARIANT(addr_cmp(&t.prefix.addr, &last) <= 0);
		}
	}
}

static struct sv line(struct sv *rest)
{
	const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
	struct sv v = { rest->p, end ? (size_t)(end - rest->p) : rest->n };

	rest->p += v.n + (end ? 1 : 0);
	rest->n -= v.n + (end ? 1 : 0);
	return v;
}

static void answer(struct expand *e, struct sv *rest)
{
	static const char *const names[] = { "mx.a.net", "", "b.net" };
	const struct addr addrs[] = { addr_from_v4("\300\0\2\1"),
				      addr_from_v6(" \1\r\270\0\0\0\0\0\0\0\0\0\0\0\1") };
	struct sv text = e->want == EXPAND_TXT ? line(rest) : (struct sv) { "x", 1 };
	struct expand_answer a = { .status = text.n ? DNS_OK : DNS_FAILED,
				   .ttl = 300,
				   .lifetime = 300,
				   .texts = &text,
				   .names = names,
				   .addrs = addrs };

	a.n = text.n == 0 ? 0 : e->want == EXPAND_TXT ? 1 : e->want == EXPAND_MX ? 3 : 2;
	if (e->want == EXPAND_TXT)
		check_terms(text);
	INVARIANT(e->name[0] && strlen(e->name) <= 253);
	expand_answer(e, &a);
}

static void check_result(const struct egress_source *s)
{
	INVARIANT(s->set.sealed && s->set.n <= EXPAND_MAX_PREFIXES);
	INVARIANT(s->incomplete == (s->left_out[0] != '\0'));
	for (size_t i = 0; i < s->set.n; i++) {
		const struct addr_range *r = &s->set.ranges[i];
		INVARIANT(addr_cmp(&r->lo, &r->hi) <= 0);
		INVARIANT(i == 0 || addr_cmp(&r[-1].hi, &r->lo) < 0);
		/* nobody opens the world: /8, /16 */
		if (addr_is_v4(&r->lo))
			INVARIANT(r->lo.b[12] == r->hi.b[12]);
		else
			INVARIANT(memcmp(r->lo.b, r->hi.b, 2) == 0 && !addr_is_v4(&r->hi));
	}
	for (const char *p = s->left_out; *p; p++)
		INVARIANT(*p >= ' ' && *p < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv rest = { (const char *)data, size };
	struct expand *e = expand_new("spf:a.net");
	struct egress_source *s;
	/* the record itself, ten terms, and the hosts of ten mx */
	int questions = 1 + 10 + 10 * EXPAND_MAX_MX;

	INVARIANT(e);
	while (e->want != EXPAND_NOTHING) {
		INVARIANT(questions-- > 0);
		answer(e, &rest);
	}
	s = expand_result(e, 0);
	INVARIANT(s);
	check_result(s);
	facts_free(s);
	expand_free(e);
	return 0;
}
