#include "logscan/exim_host.h"

#include "logscan/exim_field.h"

/* How many fields are read on all the ways to read one line (a long one counts more). Enough for
 * what a stranger may write between quotes, and little enough that no line takes long: of one that
 * has more nothing is believed. */
#define MAX_WORK 16384

/* Exim's log buffer, and what may be missing at its end: recipients that have no room are left out
 * without a word. */
#define LOG_BUFFER_SIZE 8192
#define LOG_ROOM_MIN    384

enum phase {
	PHASE_HOST,     /* before P= */
	PHASE_PROTOCOL, /* before S= */
	PHASE_SIZE,
};

struct reading {
	struct sv client_name, helo;
	bool has_client, has_server, authenticated, local;
	struct endpoint client, server;
	/* "<=" */
	enum phase phase;
	uint64_t bytes;
	bool has_recipients;
	struct sv recipients;
	/* "rejected RCPT" */
	bool has_sender;
	struct sv sender, recipient;
};

struct readings {
	const char *end;
	struct reading first;
	int found;
	size_t work;
	bool differ; /* or there are too many */
	bool other;  /* the line can be read as one of another kind too */
	/* reads what is behind the host, from a space or the end */
	void (*fields)(struct readings *all, struct reading *r, const char *p);
};

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return addr_eq(&a->addr, &b->addr) && a->port == b->port;
}

static void keep(struct readings *all, const struct reading *r)
{
	const struct reading *f = &all->first;

	if (all->found++ == 0)
		all->first = *r;
	else if (f->has_client != r->has_client || !same_endpoint(&f->client, &r->client) ||
		 f->has_server != r->has_server || !same_endpoint(&f->server, &r->server) ||
		 f->authenticated != r->authenticated || f->bytes != r->bytes ||
		 f->recipients.p != r->recipients.p || f->recipient.p != r->recipient.p ||
		 f->recipient.n != r->recipient.n)
		all->differ = true;
}

/* Another way to go on from p. */
static void try(struct readings *all, const struct reading *r, const char *p)
{
	struct reading copy = *r;

	all->fields(all, &copy, p);
}

/* A field has been read. */
static void work(struct readings *all, const char *p, const char *end)
{
	all->work += 1 + (end ? (size_t)(end - p) / 32 : 0);
	if (all->work > MAX_WORK)
		all->differ = true;
}

/* Quoted text in which quotes are not marked as such: it ends at any of them. */
static void try_quoted(struct readings *all, const struct reading *r, const char *p)
{
	while (!all->differ && p < all->end && (p = memchr(p, '"', (size_t)(all->end - p)))) {
		p++;
		if (p == all->end || *p == ' ')
			try(all, r, p);
	}
}

/* "DN=", "SNI=" at p, if so: where it ends, NULL when all ways to go on have been tried. */
static const char *tls_name(struct readings *all, const struct reading *r, const char *p,
			    bool *ret_is)
{
	size_t n = exim_at(p, all->end, SV("DN=")) ? 3 : exim_at(p, all->end, SV("SNI=")) ? 4 : 0;

	*ret_is = n > 0;
	if (n == 0)
		return NULL;
	p += n;
	if (p == all->end || *p != '"')
		return n == 4 ? exim_word(p, all->end) : NULL;
	try_quoted(all, r, p + 1);
	return NULL;
}

/* What follows "H=". "(HELO) [IP]" may be in the HELO too. */
static void read_host(struct readings *all, struct reading *r, const char *p)
{
	const char *end = all->end, *q, *helo;

	if (p < end && *p != '(' && *p != '[') {
		q = exim_word(p, end);
		if (!q || q == end)
			return;
		r->client_name = (struct sv) { p, (size_t)(q - p) };
		p = q + 1;
	}
	r->has_client = true;
	q = exim_endpoint(p, end, &r->client);
	if (q) {
		all->fields(all, r, q);
		return;
	}
	if (p == end || *p != '(')
		return;
	for (helo = ++p; !all->differ && (p = memchr(p, ')', (size_t)(end - p))); p++) {
		if (end - p < 4 || p[1] != ' ')
			continue;
		q = exim_endpoint(p + 2, end, &r->client);
		if (!q || (q < end && *q != ' '))
			continue;
		r->helo = (struct sv) { helo, (size_t)(p - helo) };
		try(all, r, q);
	}
}

static bool is_authenticated_protocol(struct sv name)
{
	static const char *const names[] = { "esmtpa", "esmtpsa", "smtpa", "smtpsa",
					     "lmtpa",  "lmtpsa",  "asmtp", "asmtps" };

	if (sv_starts_nocase(name, SV("utf8")))
		name = (struct sv) { name.p + 4, name.n - 4 };
	if (name.n == 0 || (name.p[name.n - 1] != 'a' && name.p[0] != 'a'))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (sv_eq(name, sv_from(names[i])))
			return true;
	return false;
}

static const char *read_protocol(struct reading *r, const char *p, const char *end)
{
	const char *q = exim_word(p, end);

	if (!q || q == p)
		return NULL;
	struct sv name = { p, (size_t)(q - p) };
	r->phase = PHASE_PROTOCOL;
	r->local = !r->has_client || exim_at(p, q, SV("local")) || exim_at(p, q, SV("utf8local"));
	r->authenticated = is_authenticated_protocol(name);
	return q;
}

static const char *read_size(struct reading *r, const char *p, const char *end)
{
	const char *q = p;
	uint64_t bytes = 0;

	for (; q < end && *q >= '0' && *q <= '9' && q - p < 18; q++)
		bytes = bytes * 10 + (uint64_t)(*q - '0');
	r->phase = PHASE_SIZE;
	r->bytes = bytes;
	return q > p ? q : NULL;
}

/* What follows " for ", to the end. Only a sender on the host may leave out the domain. */
static bool read_recipients(struct readings *all, struct reading *r, const char *p)
{
	struct sv list = { p, (size_t)(all->end - p) };
	bool plain = true, domainless = r->local && !r->has_client;

	for (;; p++) {
		const char *q = exim_address(p, all->end, '\0');
		struct sv address = { p, q ? (size_t)(q - p) : 0 };
		size_t n;

		if (address.n == 0 || (!domainless && !memchr(p, '@', address.n) &&
				       !sv_eq_nocase(address, SV("postmaster"))))
			return false;
		/* those who take them from the list know of no backslashes outside quotes */
		plain = plain && (!memchr(p, '\\', address.n) ||
				  (entry_address_len(address, "", &n) == 0 && n == address.n));
		p = q;
		if (p == all->end)
			break;
	}
	r->has_recipients = plain;
	r->recipients = list;
	return true;
}

/* " from <ADDRESS> for ADDRESS..." at p, of which either may be missing, to the end. A page of HTML
 * may have swallowed the <ADDRESS>. */
static bool read_tail(struct readings *all, struct reading *r, const char *p)
{
	struct sv sender;

	if (exim_at(p, all->end, SV(" from "))) {
		p += 6;
		if (p < all->end && *p == '<')
			p = exim_bracketed(p, all->end, &sender);
		if (!p)
			return false;
	}
	if (exim_at(p, all->end, SV(" for ")))
		return read_recipients(all, r, p + 5);
	return p == all->end;
}

/* Remote ident: any text up to P=. */
static void try_ident(struct readings *all, const struct reading *r, const char *p)
{
	for (; !all->differ && (p = exim_find(p, all->end, SV(" P="))); p++)
		try(all, r, p);
}

/* The field at p of an arrival; NULL: none there, or the rest has been read otherwise. */
static const char *arrival_field(struct readings *all, struct reading *r, const char *p)
{
	const char *end = all->end, *q;
	bool is_name;

	if (end - p >= 2 && p[1] == '=') {
		switch (*p) {
		case 'I':
			r->has_server = true;
			return r->phase == PHASE_HOST ? exim_endpoint(p + 2, end, &r->server)
						      : NULL;
		case 'U':
			if (r->phase == PHASE_HOST)
				try_ident(all, r, p + 2);
			return NULL;
		case 'P':
			return r->phase == PHASE_HOST ? read_protocol(r, p + 2, end) : NULL;
		case 'A':
			r->authenticated = true;
			return r->phase == PHASE_PROTOCOL ? exim_authenticated(p + 2, end) : NULL;
		case 'S':
			return r->phase == PHASE_PROTOCOL ? read_size(r, p + 2, end) : NULL;
		case 'T':
			return r->phase == PHASE_SIZE ? exim_quoted(p + 2, end) : NULL;
		default:
			return exim_other_field(p, end);
		}
	}
	if (r->phase == PHASE_SIZE && exim_at(p, end, SV("id")) && end - p > 3) {
		p += p[2] == '*' ? 3 : 2;
		return *p == '=' ? exim_address(p + 1, end, '\0') : NULL;
	}
	q = tls_name(all, r, p, &is_name);
	return is_name ? q : exim_other_field(p, end);
}

static void arrival_fields(struct readings *all, struct reading *r, const char *p)
{
	while (p && !all->differ) {
		const char *q;

		if (r->phase == PHASE_SIZE && (p == all->end || exim_at(p, all->end, SV(" f")))) {
			if (read_tail(all, r, p))
				keep(all, r);
			return;
		}
		if (p == all->end || *p != ' ')
			return;
		q = arrival_field(all, r, p + 1);
		work(all, p, q);
		p = q;
	}
}

/* The sender, and what may stand before the host; NULL: no such line. */
static const char *arrival_head(struct sv text, struct entry *ret_entry)
{
	const char *end = text.p + text.n, *p = exim_address(text.p, end, '\0');

	if (!p || p == text.p)
		return NULL;
	ret_entry->sender = (struct sv) { text.p, (size_t)(p - text.p) };
	if (sv_eq(ret_entry->sender, SV("<>")))
		ret_entry->sender.n = 0;
	else if (*text.p == '<')
		return NULL;
	ret_entry->has_sender = true;
	if (exim_at(p, end, SV(" R=")))
		p = exim_word(p + 3, end);
	while (p && p < end && *p == ' ' && !exim_at(p, end, SV(" H=")) &&
	       !exim_at(p, end, SV(" U=")) && !exim_at(p, end, SV(" P=")))
		p = exim_other_field(p + 1, end);
	return p;
}

static void fill_host(struct entry *ret_entry, const struct reading *r)
{
	ret_entry->local = r->local;
	ret_entry->authenticated = r->authenticated;
	ret_entry->has_client = r->has_client;
	ret_entry->client = r->client;
	ret_entry->client_name = r->client_name;
	ret_entry->helo = r->helo;
	ret_entry->has_server = r->has_server;
	ret_entry->server = r->server;
}

void exim_arrival(struct sv text, struct entry *ret_entry)
{
	struct readings all = { .end = text.p + text.n, .fields = arrival_fields };
	struct reading r = { .phase = PHASE_HOST };
	const char *p;

	ret_entry->kind = ENTRY_UNPARSED;
	p = arrival_head(text, ret_entry);
	if (p && exim_at(p, all.end, SV(" H=")))
		read_host(&all, &r, p + 3);
	else if (p)
		arrival_fields(&all, &r, p);
	if (all.found == 0 || all.differ) {
		ret_entry->has_sender = false;
		ret_entry->sender = (struct sv) { 0 };
		return;
	}
	ret_entry->kind = ENTRY_ARRIVAL;
	fill_host(ret_entry, &all.first);
	ret_entry->has_bytes = true;
	ret_entry->bytes = all.first.bytes;
	if (all.first.has_recipients && text.n < LOG_BUFFER_SIZE - LOG_ROOM_MIN) {
		ret_entry->has_recipients = true;
		ret_entry->recipients = all.first.recipients;
	}
}

#define REFUSED         SV(" rejected RCPT ")
#define REFUSED_FOR_NOW SV(" temporarily rejected RCPT ")

/* The argument of RCPT as the client wrote it, of which Exim logs 100 octets, and no more than that
 * before the message. */
static bool read_refused_recipient(struct readings *all, struct reading *r, const char *p)
{
	const char *end = all->end, *q;

	while (p < end && *p == ' ')
		p++;
	if (p < end && *p == '<') {
		q = exim_bracketed(p, end, &r->recipient);
		while (q && q < end && *q == ' ')
			q++;
		if (!q || (q < end && *q != ':'))
			return false;
	} else {
		q = exim_address(p, end, '\0');
		if (!q || q == p || (q < end && q[-1] != ':'))
			return false;
		r->recipient = (struct sv) { p, (size_t)(q - p) - (q[-1] == ':') };
	}
	/* a route: <@relay.example:user@domain> */
	if (r->recipient.n > 0 && r->recipient.p[0] == '@') {
		p = memchr(r->recipient.p, ':', r->recipient.n);
		if (!p)
			return false;
		q = r->recipient.p + r->recipient.n;
		r->recipient = (struct sv) { p + 1, (size_t)(q - p - 1) };
	}
	return r->recipient.n > 0;
}

static bool is_other_kind(const char *p, const char *end)
{
	static const char *const words[] = { " rejected ",      " temporarily rejected ",
					     " sender verify ", " Warning: ",
					     " incomplete ",    " RCPT " };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (exim_at(p, end, sv_from(words[i])))
			return true;
	return false;
}

/* Remote ident: any text up to the sender, or where an old Exim tells none, up to the verdict. */
static void try_refused_ident(struct readings *all, const struct reading *r, const char *p)
{
	const char *end = all->end, *q = p;

	for (; !all->differ && (q = exim_find(q, end, SV(" F=<"))); q++)
		try(all, r, q);
	if (all->found > 0 || all->other)
		return;
	for (; !all->differ && p < end && (p = memchr(p, ' ', (size_t)(end - p))); p++)
		if (exim_at(p, end, REFUSED) || exim_at(p, end, REFUSED_FOR_NOW))
			try(all, r, p);
}

static const char *refused_field(struct readings *all, struct reading *r, const char *p)
{
	const char *end = all->end, *q;
	bool is_name;

	if (exim_at(p, end, SV("I="))) {
		r->has_server = true;
		return exim_endpoint(p + 2, end, &r->server);
	}
	if (exim_at(p, end, SV("U="))) {
		try_refused_ident(all, r, p + 2);
		return NULL;
	}
	if (exim_at(p, end, SV("F="))) {
		r->has_sender = true;
		return exim_bracketed(p + 2, end, &r->sender);
	}
	if (exim_at(p, end, SV("A="))) {
		r->authenticated = true;
		return exim_authenticated(p + 2, end);
	}
	if (exim_at(p, end, SV("P=")))
		return read_protocol(r, p + 2, end);
	q = tls_name(all, r, p, &is_name);
	return is_name ? q : exim_other_field(p, end);
}

static void refused_fields(struct readings *all, struct reading *r, const char *p)
{
	while (p && !all->differ && p < all->end && *p == ' ') {
		const char *q;
		size_t n = exim_at(p, all->end, REFUSED)           ? REFUSED.n
			   : exim_at(p, all->end, REFUSED_FOR_NOW) ? REFUSED_FOR_NOW.n
								   : 0;

		if (n > 0) {
			if (read_refused_recipient(all, r, p + n))
				keep(all, r);
			return;
		}
		if (is_other_kind(p, all->end)) {
			all->other = true;
			return;
		}
		q = refused_field(all, r, p + 1);
		work(all, p, q);
		p = q;
	}
}

void exim_refused(struct sv text, struct entry *ret_entry)
{
	struct readings all = { .end = text.p + text.n, .fields = refused_fields };
	struct reading r = { .phase = PHASE_HOST };
	const char *p = text.p;

	ret_entry->kind = ENTRY_OTHER;
	if (!exim_find(p, all.end, SV("rejected RCPT ")))
		return;
	/* " DS" is not parted from H= */
	if (exim_at(p, all.end, SV(" DS")))
		p += 3;
	if (exim_at(p, all.end, SV("H="))) {
		read_host(&all, &r, p + 2);
	} else if (exim_at(p, all.end, SV("U="))) {
		r.local = true;
		try_refused_ident(&all, &r, p + 2);
	} else {
		return;
	}
	if (all.found == 0 && all.other && !all.differ)
		return;
	ret_entry->kind = ENTRY_UNPARSED;
	if (all.found == 0 || all.other || all.differ)
		return;
	ret_entry->kind = ENTRY_REFUSED;
	fill_host(ret_entry, &all.first);
	ret_entry->has_sender = all.first.has_sender;
	ret_entry->sender = all.first.sender;
	ret_entry->recipient = all.first.recipient;
}
