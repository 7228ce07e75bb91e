/* A line of Exim's log, and text that strangers choose inside lines that Exim wrote. */
#include "logscan/exim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct addr truth;

static void check_view(struct sv line, struct sv view)
{
	INVARIANT(view.n == 0 || (view.p >= line.p && view.p + view.n <= line.p + line.n));
}

static void check_entry(struct sv line, const struct entry *e)
{
	static const struct endpoint none;
	static const struct addr no_addr;
	struct sv list = e->recipients, address;
	bool host = e->kind == ENTRY_ARRIVAL || e->kind == ENTRY_REFUSED;

	check_view(line, e->id);
	check_view(line, e->client_name);
	check_view(line, e->helo);
	check_view(line, e->sender);
	check_view(line, e->recipients);
	check_view(line, e->recipient);
	INVARIANT(e->kind != ENTRY_QUEUED && !e->weak);
	INVARIANT(host || (!e->local && !e->authenticated && !e->has_client && !e->has_server &&
			   !e->has_sender && e->helo.n == 0));
	INVARIANT(e->has_client || memcmp(&e->client, &none, sizeof(none)) == 0);
	INVARIANT(e->has_server || memcmp(&e->server, &none, sizeof(none)) == 0);
	INVARIANT(e->has_next_hop || addr_eq(&e->next_hop, &no_addr));
	INVARIANT(e->has_sender || e->sender.n == 0);
	INVARIANT(e->has_recipients == (e->recipients.n > 0));
	INVARIANT(!host || e->has_client || e->local);
	INVARIANT((e->kind == ENTRY_ARRIVAL) == (e->has_bytes));
	INVARIANT(e->kind != ENTRY_ARRIVAL || (e->id.n > 0 && e->has_sender));
	INVARIANT(e->has_next_hop == (e->way == WAY_REMOTE));
	INVARIANT((e->recipient.n > 0) == (e->kind == ENTRY_RECIPIENT || e->kind == ENTRY_REFUSED));
	while (entry_next_recipient(&list, &address)) {
		INVARIANT(address.n > 0);
		check_view(line, address);
	}
}

static void parse(struct sv line, struct entry *ret_entry)
{
	struct stamp stamp;

	stamp_init(&stamp, 0);
	exim_parse(&stamp, line, ret_entry);
	check_entry(line, ret_entry);
}

/* A line with text in it, which has no line feed: then it would be two lines. */
static void parse_with(const char *before, struct sv text, const char *after,
		       struct entry *ret_entry)
{
	static const char head[] = "2010-11-17 09:28:01 ";
	static char line[4096];
	size_t n = sizeof(head) - 1, before_n = strlen(before), after_n = strlen(after);

	memcpy(line, head, n);
	memcpy(line + n, before, before_n);
	memcpy(line + n + before_n, text.p, text.n);
	memcpy(line + n + before_n + text.n, after, after_n);
	parse((struct sv) { line, n + before_n + text.n + after_n }, ret_entry);
}

/* Without quotes: the truth, or nothing. */
static void check_bare(struct sv text)
{
	static const struct {
		const char *before, *after;
		struct sv recipients, recipient;
	} forms[] = {
		{ "1PIcQq-00040L-2X <= x H=(",
		  ") [192.0.2.1] P=smtp S=1 for r@d",
		  SV("r@d"),
		  { 0 } },
		{ "1PIcQq-00040L-2X <= x H=(",
		  ") [192.0.2.1]:5 I=[192.0.2.2]:25 P=smtp S=1 id=m@x T=\"a \\\"b\\\"\" from <x> "
		  "for r@d",
		  SV("r@d"),
		  { 0 } },
		{ "1PIcQq-00040L-2X <= x H=m [192.0.2.1] U=",
		  " P=smtp S=1 T=\"a\" for r@d",
		  SV("r@d"),
		  { 0 } },
		{ "1PIcQq-00040L-2X <= x H=m [192.0.2.1] P=smtp DN=\"",
		  "\" S=1 for r@d",
		  SV("r@d"),
		  { 0 } },
		{ "H=(", ") [192.0.2.1] F=<x@y> rejected RCPT <r@d>: no", { 0 }, SV("r@d") },
		{ "H=m [192.0.2.1] U=", " F=<x@y> rejected RCPT <r@d>: no", { 0 }, SV("r@d") },
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct entry e;

		parse_with(forms[i].before, text, forms[i].after, &e);
		if (e.kind == ENTRY_UNPARSED)
			continue;
		INVARIANT(e.kind == (forms[i].recipient.n ? ENTRY_REFUSED : ENTRY_ARRIVAL));
		INVARIANT(e.has_client && addr_eq(&e.client.addr, &truth) && !e.authenticated);
		INVARIANT(sv_eq(e.recipient, forms[i].recipient));
		INVARIANT(sv_eq(e.recipients, forms[i].recipients));
	}
}

/* In quotes as Exim or SMTP writes them: always the truth. */
static void check_quoted(struct sv text)
{
	char quoted[2048];
	size_t n = 0;
	struct sv v;
	struct entry e;

	quoted[n++] = '"';
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			quoted[n++] = '\\';
		quoted[n++] = text.p[i];
	}
	quoted[n++] = '"';
	v = (struct sv) { quoted, n };
	parse_with("1PIcQq-00040L-2X <= x H=(h) [192.0.2.1] P=smtp S=1 T=", v, " for r@d", &e);
	INVARIANT(e.kind == ENTRY_ARRIVAL && addr_eq(&e.client.addr, &truth) && e.bytes == 1);
	INVARIANT(sv_eq(e.recipients, SV("r@d")) && !e.authenticated);
	parse_with("1PIcQq-00040L-2X <= ", v, "@x H=(h) [192.0.2.1] P=smtp S=1 for r@d", &e);
	INVARIANT(e.kind == ENTRY_ARRIVAL && addr_eq(&e.client.addr, &truth) && e.bytes == 1);
	INVARIANT(e.sender.n == n + 2 && sv_eq(e.recipients, SV("r@d")));
	parse_with("1PIcQq-00040L-2X => r@d R=r T=t H=m [192.0.2.1] C=", v, "", &e);
	INVARIANT(e.kind == ENTRY_RECIPIENT && addr_eq(&e.next_hop, &truth));
	INVARIANT(sv_eq(e.recipient, SV("r@d")));
	parse_with("H=m [192.0.2.1] F=<x@y> rejected RCPT <", v, "@d>: no", &e);
	INVARIANT(e.kind == ENTRY_REFUSED && addr_eq(&e.client.addr, &truth));
	INVARIANT(e.recipient.n == n + 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv line = { (const char *)data, size };
	struct entry e;

	addr_parse(SV("192.0.2.1"), &truth);
	parse(line, &e);
	if (size > 1000)
		return 0;
	check_bare(line);
	/* longer text has so many ways to be read that none is taken */
	if (size <= 300)
		check_quoted(line);
	return 0;
}
