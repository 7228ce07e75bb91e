#include "dns/expand.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	LIFETIME_FAILED = 10, /* seconds */
	LIFETIME_NONE_MIN = 60,
	LIFETIME_NONE_MAX = 300,
	LIFETIME_EXISTS_MAX = 3600,
	SHORTEST_4 = 96 + 8,
	SHORTEST_6 = 16,
};

static const struct {
	struct sv prefix;
	enum expand_want want;
} kinds[] = {
	{ { "spf:", 4 }, EXPAND_TXT },
	{ { "host:", 5 }, EXPAND_ADDRS },
	{ { "exists:", 7 }, EXPAND_A },
};

static const char no_record[] = "no SPF record";
static const char two_records[] = "more than one SPF record";
static const char look_up_failed[] = "look-up failed";

/* Labels of 1 to 63 printable bytes, in lower case. */
static bool is_name(const char *name)
{
	size_t label = 0;

	for (const char *p = name; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f || *p == '%' || (*p >= 'A' && *p <= 'Z') ||
		    (*p == '.' && label == 0))
			return false;
		label = *p == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return label && wire_name_is_askable(name);
}

/* NULL: no such kind. */
static const char *key_name(const char *key, enum expand_want *ret_want)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strncmp(key, kinds[i].prefix.p, kinds[i].prefix.n) == 0) {
			*ret_want = kinds[i].want;
			return key + kinds[i].prefix.n;
		}
	return NULL;
}

bool expand_key_is_valid(const char *key)
{
	enum expand_want want;
	const char *name = key_name(key, &want);

	return name && is_name(name);
}

static void ask(struct expand *e, enum expand_want want, const char *name)
{
	if (name != e->asked)
		memcpy(e->asked, name, strlen(name) + 1);
	e->want = want;
	e->name = e->asked;
}

struct expand *expand_new(const char *key)
{
	struct expand *e = calloc(1, sizeof(*e));
	enum expand_want want = EXPAND_NOTHING;
	const char *name = key_name(key, &want);

	INVARIANT(name && strlen(name) < WIRE_NAME_SIZE);
	if (!e)
		return NULL;
	memcpy(e->key, key, strlen(key) + 1);
	e->ttl = e->lifetime = UINT32_MAX;
	e->room4 = 4ULL << 24;
	e->room6 = 4ULL << 48;
	prefix_set_init(&e->set);
	memcpy(e->seen[e->n_seen++], name, strlen(name) + 1);
	ask(e, want, name);
	return e;
}

void expand_free(struct expand *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->depth; i++)
		free(e->frames[i].text);
	prefix_set_deinit(&e->set);
	free(e);
}

/* ---- what is left out ---- */

/* The first one is told; the text is a peer's. */
static void tell(char *out, size_t size, struct sv term, const char *why)
{
	char quoted[128];

	if (out[0])
		return;
	if (term.n)
		snprintf(out, size, "%s: %s", log_quote(term, quoted, sizeof(quoted)), why);
	else
		snprintf(out, size, "%s", why);
}

static void leave_out(struct expand *e, const char *why)
{
	e->incomplete = true;
	tell(e->left_out, sizeof(e->left_out), e->term.text, why);
}

static void part_failed(struct expand *e, const char *why)
{
	e->failed = true;
	e->n_failed++;
	tell(e->why_failed, sizeof(e->why_failed), e->term.text, why);
}

/* ---- addresses ---- */

static bool covers_ipv4(const struct prefix *p)
{
	const struct addr mapped = addr_from_v4("\0\0\0\0");

	return addr_is_v4(&p->addr) || prefix_contains(p, &mapped);
}

/* Whether there is room for it, which is taken. */
static bool take_room(struct expand *e, const struct prefix *p)
{
	bool v4 = covers_ipv4(p);
	uint64_t *room = v4 ? &e->room4 : &e->room6, size;

	if (p->bits < (v4 ? SHORTEST_4 : SHORTEST_6))
		return false;
	size = v4 ? 1ULL << (128 - p->bits) : p->bits < 64 ? 1ULL << (64 - p->bits) : 0;
	if (size > *room)
		return false;
	*room -= size;
	return true;
}

static void add(struct expand *e, const struct prefix *p)
{
	if (e->set.n == EXPAND_MAX_PREFIXES)
		leave_out(e, "too many prefixes");
	else if (!take_room(e, p))
		leave_out(e, "too much of the Internet");
	else if (prefix_set_add(&e->set, p) < 0)
		e->no_memory = true;
}

static void add_found(struct expand *e, const struct addr *found)
{
	uint8_t bits = addr_is_v4(found) ? (uint8_t)(96 + e->term.bits4) : e->term.bits6;
	struct prefix p = { *found, bits };

	for (unsigned int i = bits; i < 128; i++)
		p.addr.b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	add(e, &p);
}

/* ---- walking ---- */

static void pop(struct expand *e)
{
	free(e->frames[--e->depth].text);
}

/* One more look-up for this term? */
static bool may_ask(struct expand *e)
{
	if (e->n_failed >= EXPAND_MAX_FAILED) {
		part_failed(e, look_up_failed);
		return false;
	}
	if (e->n_terms >= EXPAND_MAX_TERMS || e->n_void > EXPAND_MAX_VOID) {
		leave_out(e, e->n_void > EXPAND_MAX_VOID ? "too many look-ups found nothing"
							 : "too many look-ups");
		return false;
	}
	e->n_terms++;
	return true;
}

/* The name that the term is about, into out[WIRE_NAME_SIZE]. */
static bool term_name(struct expand *e, char *out)
{
	struct sv d = e->term.domain;

	if (e->term.macros) {
		leave_out(e, "macros are not expanded");
		return false;
	}
	if (d.n == 0)
		d = sv_from(e->frames[e->depth - 1].name);
	else if (d.p[d.n - 1] == '.')
		d.n--;
	if (d.n < WIRE_NAME_SIZE && !memchr(d.p, '\0', d.n)) {
		for (size_t i = 0; i < d.n; i++)
			out[i] = ascii_lower(d.p[i]);
		out[d.n] = '\0';
		if (is_name(out))
			return true;
	}
	leave_out(e, "no name");
	return false;
}

static bool is_open(const struct expand *e, const char *name)
{
	for (size_t i = 0; i < e->depth; i++)
		if (strcmp(e->frames[i].name, name) == 0)
			return true;
	return false;
}

static bool was_seen(const struct expand *e, const char *name)
{
	for (size_t i = 0; i < e->n_seen; i++)
		if (strcmp(e->seen[i], name) == 0)
			return true;
	return false;
}

/* include and redirect: both add what the other record permits. */
static void walk_into(struct expand *e)
{
	char name[WIRE_NAME_SIZE];

	if (!term_name(e, name))
		return;
	if (is_open(e, name)) {
		leave_out(e, "a loop");
		return;
	}
	/* it adds nothing a second time */
	if (was_seen(e, name) || !may_ask(e))
		return;
	INVARIANT(e->n_seen < ARRAY_SIZE(e->seen));
	memcpy(e->seen[e->n_seen++], name, strlen(name) + 1);
	ask(e, EXPAND_TXT, name);
}

static void walk_all(struct expand *e)
{
	struct expand_frame *f = &e->frames[e->depth - 1];

	if (e->term.qualifier == '+')
		leave_out(e, "permits everybody");
	/* 5.1: what follows is never tested, and redirect is ignored, wherever it stands */
	f->all = true;
	f->rest.n = 0;
}

static void walk_redirect(struct expand *e)
{
	struct expand_frame *f = &e->frames[e->depth - 1];

	if (f->redirect.text.n)
		leave_out(e, "there is one before");
	else
		f->redirect = e->term;
}

static void walk_term(struct expand *e)
{
	char name[WIRE_NAME_SIZE];

	if (e->term.qualifier != '+' && e->term.kind != SPF_ALL)
		return;
	switch (e->term.kind) {
	case SPF_ALL:
		walk_all(e);
		break;
	case SPF_INCLUDE:
		walk_into(e);
		break;
	case SPF_A:
	case SPF_MX:
		if (term_name(e, name) && may_ask(e))
			ask(e, e->term.kind == SPF_A ? EXPAND_ADDRS : EXPAND_MX, name);
		break;
	case SPF_IP4:
	case SPF_IP6:
		add(e, &e->term.prefix);
		break;
	case SPF_REDIRECT:
		walk_redirect(e);
		break;
	case SPF_PTR:
	case SPF_EXISTS:
		leave_out(e, "can't be expanded");
		break;
	case SPF_BAD:
		leave_out(e, "is no term");
		break;
	case SPF_OTHER:
		break;
	}
}

static void advance(struct expand *e)
{
	e->want = EXPAND_NOTHING;
	while (e->depth && e->want == EXPAND_NOTHING && !e->no_memory) {
		struct expand_frame *f = &e->frames[e->depth - 1];

		if (spf_next(&f->rest, &e->term)) {
			walk_term(e);
		} else if (f->redirect.text.n && !f->all) {
			e->term = f->redirect;
			f->all = true; /* once */
			walk_into(e);
		} else {
			pop(e);
		}
	}
}

/* ---- answers ---- */

static bool found_nothing(const struct expand_answer *a)
{
	return a->status == DNS_NODATA || a->status == DNS_NXDOMAIN;
}

static void push(struct expand *e, struct sv record)
{
	struct expand_frame *f = &e->frames[e->depth];

	INVARIANT(e->depth < ARRAY_SIZE(e->frames));
	/* the name asked for last */
	*f = (struct expand_frame) { .name = e->seen[e->n_seen - 1], .text = sv_dup(record) };
	if (!f->text) {
		e->no_memory = true;
		return;
	}
	f->rest = spf_terms((struct sv) { f->text, record.n });
	e->depth++;
}

static void on_texts(struct expand *e, const struct expand_answer *a)
{
	struct sv record = { 0 };
	unsigned int n = 0;

	for (size_t i = 0; i < a->n; i++)
		if (spf_is_record(a->texts[i]) && n++ == 0)
			record = a->texts[i];
	if (n == 1) {
		push(e, record);
	} else if (e->depth == 0) {
		e->status = n ? SOURCE_FAILED : SOURCE_NONE;
		if (n)
			part_failed(e, two_records);
	} else {
		e->n_void += found_nothing(a);
		leave_out(e, n ? two_records : no_record);
	}
	advance(e);
}

static void next_host(struct expand *e)
{
	if (e->host < e->n_hosts)
		ask(e, EXPAND_ADDRS, e->hosts[e->host++]);
	else
		advance(e);
}

static void on_hosts(struct expand *e, const struct expand_answer *a)
{
	e->n_hosts = e->host = 0;
	e->n_void += found_nothing(a);
	for (size_t i = 0; i < a->n; i++) {
		size_t size = strlen(a->names[i]) + 1;

		if (!a->names[i][0]) /* null MX */
			continue;
		if (e->n_hosts == EXPAND_MAX_MX) {
			leave_out(e, "too many hosts");
			break;
		}
		memcpy(e->hosts[e->n_hosts++], a->names[i], size);
	}
	next_host(e);
}

static void on_addrs(struct expand *e, const struct expand_answer *a)
{
	bool host = e->depth == 0; /* "host:": nobody limits its prefixes */

	if (host)
		e->term = (struct spf_term) { .bits4 = 32, .bits6 = 128 };
	if (host && found_nothing(a))
		e->status = SOURCE_NONE;
	else if (e->term.kind == SPF_A && !host)
		e->n_void += found_nothing(a);
	for (size_t i = 0; i < a->n; i++)
		add_found(e, &a->addrs[i]);
	if (a->more)
		leave_out(e, "more addresses than can be taken");
	if (host || e->term.kind == SPF_A)
		advance(e);
	else
		next_host(e);
}

void expand_answer(struct expand *e, const struct expand_answer *a)
{
	enum expand_want want = e->want;

	if (a->status == DNS_FAILED || a->failed) {
		part_failed(e, look_up_failed);
	} else {
		e->ttl = a->ttl < e->ttl ? a->ttl : e->ttl;
		e->lifetime = a->lifetime < e->lifetime ? a->lifetime : e->lifetime;
	}
	if (a->status == DNS_FAILED) {
		if (want == EXPAND_ADDRS && e->depth && e->term.kind == SPF_MX &&
		    e->n_failed < EXPAND_MAX_FAILED)
			next_host(e);
		else
			advance(e);
		return;
	}
	switch (want) {
	case EXPAND_TXT:
		on_texts(e, a);
		break;
	case EXPAND_MX:
		on_hosts(e, a);
		break;
	case EXPAND_ADDRS:
		on_addrs(e, a);
		break;
	case EXPAND_A:
		e->status = found_nothing(a) ? SOURCE_NONE : SOURCE_KNOWN;
		advance(e);
		break;
	case EXPAND_NOTHING:
		INVARIANT(!"an answer that nobody asked for");
	}
}

static uint32_t clamp(uint32_t v, uint32_t min, uint32_t max)
{
	return v < min ? min : v > max ? max : v;
}

struct egress_source *expand_result(struct expand *e, int64_t now_ms)
{
	struct egress_source s = {
		.key = e->key,
		.status = e->failed ? SOURCE_FAILED : e->status,
		.incomplete = e->failed || e->incomplete,
		.fetched_ms = e->failed ? -1 : now_ms,
		.ttl = e->ttl == UINT32_MAX ? 0 : e->ttl,
		.left_out = e->failed ? e->why_failed : e->left_out,
	};
	uint32_t lifetime = e->lifetime;

	INVARIANT(e->want == EXPAND_NOTHING);
	if (e->no_memory)
		return NULL;
	if (s.status == SOURCE_FAILED)
		lifetime = LIFETIME_FAILED;
	else if (s.status == SOURCE_NONE)
		lifetime = clamp(lifetime, LIFETIME_NONE_MIN, LIFETIME_NONE_MAX);
	else if (strncmp(e->key, "exists:", 7) == 0)
		lifetime = clamp(lifetime, 0, LIFETIME_EXISTS_MAX);
	s.expires_ms = now_ms + (int64_t)lifetime * 1000;
	prefix_set_seal(&e->set);
	s.set = e->set;
	return egress_source_copy(&s);
}
