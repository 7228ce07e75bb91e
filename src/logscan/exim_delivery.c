/*
 * A line begins with the address as string_log_address() in Exim's deliver.c writes it: what the
 * message was delivered to, its parents in brackets, and in <> the envelope's recipient if that is
 * not the same. The local part of the first has its quotes taken off, so that a recipient chosen by
 * a stranger may stand there with spaces and whatever looks like a field; a pipe or file has any
 * text. Usually the address is one word; when another end of it is possible, each is tried.
 */
#include "logscan/exim_delivery.h"

#include "logscan/exim_field.h"

/* Ends of an address that are tried in one line; with more it is not understood. More than another
 * server's reply has room for, of which Exim logs 1,024 octets. */
#define MAX_TRIES    320
#define MAX_BRACKETS 1024 /* before one end: more than an address has room for */

struct reading {
	struct sv recipient;
	bool has_next_hop;
	struct addr next_hop;
};

/* "(a@b, c@d)" or "(a@b)" at p. */
static const char *parents(const char *p, const char *end)
{
	for (p++; p < end; p += 2) {
		const char *q = exim_address(p, end, ')');

		if (!q || q == end)
			return NULL;
		if (*q == ')')
			return q + 1;
		if (q == p || q[-1] != ',')
			return NULL;
		p = q - 1;
	}
	return NULL;
}

/* One word, and what may follow it in brackets. colon: it may end with one that is not its own. */
static const char *plain_address(const char *p, const char *end, bool colon, struct sv *ret_address)
{
	const char *q = exim_address(p, end, '<');

	if (!q || q == p || (q < end && *q == '<'))
		return NULL;
	*ret_address = (struct sv) { p, (size_t)(q - p) };
	if (colon && q[-1] == ':') {
		ret_address->n--;
		return memchr(p, '@', ret_address->n) ? q - 1 : NULL;
	}
	while (exim_at(q, end, SV(" ("))) {
		q = parents(q + 1, end);
		if (!q)
			return NULL;
	}
	if (exim_at(q, end, SV(" <")))
		return exim_bracketed(q + 1, end, ret_address);
	return memchr(p, '@', ret_address->n) ? q : NULL;
}

/* The address in the last <> before end, which is behind a '>'. */
static bool last_bracketed(const char *p, const char *end, struct sv *ret_address)
{
	const char *q = end;

	for (int tries = 0; tries < MAX_BRACKETS; tries++) {
		q = memrchr(p, '<', (size_t)(q - p));
		if (!q || q == p)
			return false;
		if (q[-1] == ' ' && exim_bracketed(q, end, ret_address) == end)
			return true;
	}
	return false;
}

/* Where a '>' is next that may end an address: a field follows it. */
static const char *next_address_end(const char *p, const char *end)
{
	while (p < end && (p = memchr(p, '>', (size_t)(end - p)))) {
		p++;
		if (p == end || *p != ' ')
			continue;
		if (end - p >= 4 && p[2] == '=' && strchr("FQPRT", p[1]))
			return p;
		if (exim_at(p, end, SV(" defer (")) || exim_at(p, end, SV(" routing defer (")))
			return p;
	}
	return NULL;
}

/* " KEY=WORD" or " KEY=<ADDRESS>", if it is there; NULL: it is, but not as it should be. */
static const char *optional(const char *p, const char *end, char key, bool bracketed)
{
	struct sv ignored;

	if (end - p < 3 || p[0] != ' ' || p[1] != key || p[2] != '=')
		return p;
	return bracketed ? exim_bracketed(p + 3, end, &ignored) : exim_word(p + 3, end);
}

/* The fields up to router, transport and size, as each kind of line has them; NULL: neither router
 * nor transport. */
static const char *route(const char *p, const char *end)
{
	const char *q;

	p = optional(p, end, 'F', true);
	p = p ? optional(p, end, 'Q', false) : NULL;
	p = p ? optional(p, end, 'P', true) : NULL;
	q = p ? optional(p, end, 'R', false) : NULL;
	q = q ? optional(q, end, 'T', false) : NULL;
	return q == p || !q ? NULL : optional(q, end, 'S', false);
}

/* " H=name [ip]:port*", or " H=name" of a local transport. */
static const char *next_hop(const char *p, const char *end, struct reading *r)
{
	struct endpoint e;

	p = exim_word(p + 3, end);
	if (p && exim_at(p, end, SV(" DS [")))
		p += 3;
	if (!p || !exim_at(p, end, SV(" [")))
		return p;
	p = exim_endpoint(p + 1, end, &e);
	if (!p)
		return NULL;
	if (p < end && *p == '*')
		p++;
	if (p < end && *p != ' ')
		return NULL;
	r->has_next_hop = true;
	r->next_hop = e.addr;
	return p;
}

/* All that Exim writes behind the host, to the end of the line. */
static bool rest_is_sound(const char *p, const char *end)
{
	while (p && p < end) {
		if (*p != ' ')
			return false;
		p++;
		if (exim_at(p, end, SV("C=")))
			p = exim_quoted(p + 2, end);
		else if (exim_at(p, end, SV("DN=")))
			p = exim_quoted(p + 3, end);
		else if (exim_at(p, end, SV("A=")))
			p = exim_authenticated(p + 2, end);
		else if (exim_at(p, end, SV("I=")))
			p = exim_word(p + 2, end);
		else if (exim_at(p, end, SV("(")))
			/* why the shadow transport failed; a quote may be one opened before */
			return !memchr(p, '"', (size_t)(end - p));
		else
			p = exim_other_field(p, end);
	}
	return p != NULL;
}

/* What follows the address of a delivery. strict: to the end of the line. *ret_end: how far it was
 * read. */
static bool read_delivery(const char *p, const char *end, bool strict, struct reading *r,
			  const char **ret_end)
{
	p = route(p, end);
	if (!p)
		return false;
	r->has_next_hop = false;
	r->next_hop = (struct addr) { 0 };
	if (exim_at(p, end, SV(" H=")))
		p = next_hop(p, end, r);
	if (!p || (p < end && *p != ' '))
		return false;
	*ret_end = p;
	return !strict || rest_is_sound(p, end);
}

static bool same(const struct reading *a, const struct reading *b)
{
	return a->recipient.p == b->recipient.p && a->recipient.n == b->recipient.n &&
	       a->has_next_hop == b->has_next_hop &&
	       (!a->has_next_hop || addr_eq(&a->next_hop, &b->next_hop));
}

/* Every end that the address can have with which the rest is a delivery's: they must agree. */
static bool try_deliveries(struct sv text, struct reading *ret_reading)
{
	const char *end = text.p + text.n, *p = text.p, *q;
	struct reading r;
	int found = 0, tries = 0;

	q = plain_address(p, end, false, &r.recipient);
	if (q && read_delivery(q, end, true, &r, &q)) {
		*ret_reading = r;
		found = 1;
	}
	while ((p = next_address_end(p, end))) {
		if (++tries > MAX_TRIES)
			return false;
		if (!last_bracketed(text.p, p, &r.recipient) ||
		    !read_delivery(p, end, true, &r, &q))
			continue;
		if (found && !same(&r, ret_reading))
			return false;
		*ret_reading = r;
		found = 1;
	}
	return found;
}

/* A pipe, a file, or an automatic reply. */
static bool is_free_text(struct sv text)
{
	if (text.n == 0)
		return false;
	switch (text.p[0]) {
	case '/':
	case '|':
	case '>':
		return true;
	case 's':
		return exim_at(text.p, text.p + text.n, SV("save "));
	default:
		return false;
	}
}

static bool read_delivered(struct sv text, struct reading *r)
{
	const char *end = text.p + text.n, *p;

	if (!is_free_text(text)) {
		p = plain_address(text.p, end, false, &r->recipient);
		if (p && read_delivery(p, end, false, r, &p) && !next_address_end(p, end))
			return true;
	}
	return try_deliveries(text, r);
}

/* Whether text begins with the local part of address as it is logged, without its quotes, and that
 * is not one word. *ret_n: its length there. */
static bool begins_with_local_part(struct sv text, struct sv address, size_t *ret_n)
{
	const char *at = memrchr(address.p, '@', address.n);
	bool special = false;
	size_t n = 0;

	for (const char *p = address.p; at && p < at; p++) {
		if (*p == '"')
			continue;
		if (*p == '\\' && p + 1 < at)
			p++;
		if (n == text.n || ascii_lower(text.p[n++]) != ascii_lower(*p))
			return false;
		special = special || *p == ' ' || *p == '"' || *p == '\\';
	}
	*ret_n = n;
	return special;
}

/* The recipient of a failure that was logged with its quotes taken off: the <> with them follows.
 * 1: found; 0: none; -1: more than one. */
static int unquoted_recipient(struct sv text, struct sv *ret_recipient)
{
	const char *end = text.p + text.n, *p = text.p;
	struct sv address;
	int found = 0, tries = 0;
	size_t n;

	if (!memchr(p, '"', text.n) && !memchr(p, '\\', text.n))
		return 0;
	for (; (p = exim_find(p, end, SV(" <"))); p++) {
		struct sv before = { text.p, (size_t)(p - text.p) };

		if (++tries > MAX_TRIES)
			return -1;
		if (!exim_bracketed(p + 1, end, &address) ||
		    !begins_with_local_part(before, address, &n))
			continue;
		if (n < before.n && before.p[n] != '@')
			continue;
		*ret_recipient = address;
		found++;
	}
	return found > 1 ? -1 : found;
}

/* What follows the address of a failed or deferred recipient. */
static bool is_failure(const char *p, const char *end)
{
	static const char *const words[] = {
		": ", " F=<", " Q=", " P=<", " R=", " T=", " H=", " defer (", " routing defer ("
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (exim_at(p, end, sv_from(words[i])))
			return true;
	return p == end || (*p == ':' && p + 1 == end);
}

static bool read_failed(struct sv text, struct reading *r)
{
	const char *end = text.p + text.n, *p = text.p;
	int unquoted = unquoted_recipient(text, &r->recipient);
	struct sv again;

	if (unquoted != 0)
		return unquoted > 0;
	if (!is_free_text(text) || !next_address_end(p, end)) {
		p = plain_address(p, end, true, &r->recipient);
		return p && is_failure(p, end);
	}
	while ((p = next_address_end(p, end)))
		if (last_bracketed(text.p, p, &r->recipient))
			break;
	if (!p)
		return false;
	while ((p = next_address_end(p, end)))
		if (last_bracketed(text.p, p, &again))
			return false;
	return true;
}

void exim_delivery(const char *flag, struct sv text, struct entry *ret_entry)
{
	const char *end = text.p + text.n;
	bool done = flag[1] == '>';
	struct reading r = { .has_next_hop = false };

	ret_entry->kind = ENTRY_OTHER;
	if (done &&
	    (exim_at(text.p, end, SV("blackhole (")) || exim_at(text.p, end, SV("discarded ("))))
		return; /* the whole message: no recipient is named */
	ret_entry->kind = ENTRY_UNPARSED;
	if (!(done ? read_delivered(text, &r) : read_failed(text, &r)) || r.recipient.n == 0)
		return;
	ret_entry->kind = ENTRY_RECIPIENT;
	ret_entry->recipient = r.recipient;
	if (!done || flag[0] == '*' || exim_at(text.p, end, SV(":blackhole:")))
		return;
	ret_entry->way = r.has_next_hop ? WAY_REMOTE : WAY_LOCAL;
	ret_entry->has_next_hop = r.has_next_hop;
	ret_entry->next_hop = r.next_hop;
}
