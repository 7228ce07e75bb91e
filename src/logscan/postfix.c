/*
 * Longer than most files: all daemons write their lines from the same few words, and what makes a
 * reading the only one is argued once.
 */
#include "logscan/postfix.h"

#include <errno.h>

#define ID_MIN 6
#define ID_MAX 20

/* What a daemon's lines can tell. */
enum role {
	ROLE_OTHER,
	ROLE_SMTPD,
	ROLE_POSTSCREEN,
	ROLE_PICKUP,
	ROLE_CLEANUP,
	ROLE_BOUNCE,
	ROLE_QMGR,
	ROLE_REMOTE, /* delivers to other hosts */
	ROLE_LOCAL,  /* delivers here */
};

/* Those that log most come first. */
static const struct daemon {
	struct sv name;
	enum role role;
} daemons[] = {
	{ { "smtpd", 5 }, ROLE_SMTPD },
	{ { "qmgr", 4 }, ROLE_QMGR },
	{ { "cleanup", 7 }, ROLE_CLEANUP },
	{ { "smtp", 4 }, ROLE_REMOTE },
	{ { "lmtp", 4 }, ROLE_LOCAL },
	{ { "local", 5 }, ROLE_LOCAL },
	{ { "virtual", 7 }, ROLE_LOCAL },
	{ { "pipe", 4 }, ROLE_LOCAL },
	{ { "postscreen", 10 }, ROLE_POSTSCREEN },
	{ { "dnsblog", 7 }, ROLE_OTHER },
	{ { "anvil", 5 }, ROLE_OTHER },
	{ { "pickup", 6 }, ROLE_PICKUP },
	{ { "bounce", 6 }, ROLE_BOUNCE },
	{ { "error", 5 }, ROLE_OTHER },
	{ { "discard", 7 }, ROLE_OTHER },
	{ { "scache", 6 }, ROLE_OTHER },
	{ { "tlsproxy", 8 }, ROLE_OTHER },
	{ { "tlsmgr", 6 }, ROLE_OTHER },
	{ { "trivial-rewrite", 15 }, ROLE_OTHER },
	{ { "verify", 6 }, ROLE_OTHER },
	{ { "oqmgr", 5 }, ROLE_QMGR },
	{ { "nqmgr", 5 }, ROLE_QMGR },
	{ { "qmqpd", 5 }, ROLE_SMTPD },
	{ { "master", 6 }, ROLE_OTHER },
	{ { "proxymap", 8 }, ROLE_OTHER },
	{ { "flush", 5 }, ROLE_OTHER },
	{ { "showq", 5 }, ROLE_OTHER },
	{ { "spawn", 5 }, ROLE_OTHER },
	{ { "sendmail", 8 }, ROLE_OTHER },
	{ { "postdrop", 8 }, ROLE_OTHER },
	{ { "postfix-script", 14 }, ROLE_OTHER },
	{ { "postlogd", 8 }, ROLE_OTHER },
	{ { "postqueue", 9 }, ROLE_OTHER },
	{ { "postsuper", 9 }, ROLE_OTHER },
	{ { "postmap", 7 }, ROLE_OTHER },
};

/* What an octet may be part of. */
enum { OCTET_DIGIT = 1, OCTET_HEX = 2, OCTET_ALNUM = 4, OCTET_HOST = 8, OCTET_SPECIAL = 16 };

static const uint8_t octets[256] = {
	['0' ... '9'] = OCTET_DIGIT | OCTET_HEX | OCTET_ALNUM | OCTET_HOST,
	['A' ... 'F'] = OCTET_HEX | OCTET_ALNUM | OCTET_HOST,
	['G' ... 'Z'] = OCTET_ALNUM | OCTET_HOST,
	['a' ... 'z'] = OCTET_ALNUM | OCTET_HOST,
	['.'] = OCTET_HOST,
	['-'] = OCTET_HOST,
	['_'] = OCTET_HOST,
	/* in addresses */
	['"'] = OCTET_SPECIAL,
	[' '] = OCTET_SPECIAL,
	['<'] = OCTET_SPECIAL,
	['>'] = OCTET_SPECIAL,
	['['] = OCTET_SPECIAL,
};

/* What all octets of v have in common, and what any of them has. */
static void classify(struct sv v, unsigned int *ret_all, unsigned int *ret_any)
{
	unsigned int all = 0xff, any = 0;

	for (size_t i = 0; i < v.n; i++) {
		all &= octets[(uint8_t)v.p[i]];
		any |= octets[(uint8_t)v.p[i]];
	}
	*ret_all = all;
	*ret_any = any;
}

static struct sv skip(struct sv v, size_t n)
{
	return (struct sv) { v.p + n, v.n - n };
}

static bool starts(struct sv v, struct sv prefix)
{
	return v.n >= prefix.n && memcmp(v.p, prefix.p, prefix.n) == 0;
}

static bool take(struct sv *v, struct sv prefix)
{
	if (!starts(*v, prefix))
		return false;
	*v = skip(*v, prefix.n);
	return true;
}

/* take() from the end. */
static bool drop(struct sv *v, struct sv suffix)
{
	if (v->n < suffix.n || memcmp(v->p + v->n - suffix.n, suffix.p, suffix.n) != 0)
		return false;
	v->n -= suffix.n;
	return true;
}

/* memmem() prepares for more than there is to find in a line. */
static const char *find(struct sv v, struct sv word)
{
	const char *p = v.p, *end = v.p + v.n;

	for (; p < end && (p = memchr(p, word.p[0], (size_t)(end - p))); p++)
		if (starts((struct sv) { p, (size_t)(end - p) }, word))
			return p;
	return NULL;
}

static bool drop_number(struct sv *v, uint64_t *ret_number)
{
	size_t n = v->n;

	while (n > 0 && ascii_is_digit(v->p[n - 1]))
		n--;
	if (sv_to_u64(skip(*v, n), UINT64_MAX, ret_number) < 0)
		return false;
	v->n = n;
	return true;
}

/*
 * Short ids are upper-case hex digits; long ones begin with the time in base 52, whose first digit
 * is one of 0-9 until the year 2090. So no word ("warning: ") is taken for an id.
 */
static bool is_id(struct sv v)
{
	unsigned int all, any;

	if (v.n < ID_MIN || v.n > ID_MAX)
		return false;
	classify(v, &all, &any);
	return (all & OCTET_ALNUM) && ((all & OCTET_HEX) || (any & OCTET_DIGIT));
}

/* "QUEUEID: " */
static bool take_id(struct sv *v, struct sv *ret_id)
{
	const char *colon = v->n ? memchr(v->p, ':', min_size(v->n, ID_MAX + 1)) : NULL;
	struct sv id;

	if (!colon)
		return false;
	id = (struct sv) { v->p, (size_t)(colon - v->p) };
	if (id.n + 2 > v->n || colon[1] != ' ' || !is_id(id))
		return false;
	*v = skip(*v, id.n + 2);
	*ret_id = id;
	return true;
}

/*
 * Whether all of v is one address as RFC 5321 quotes it: if its quotes say that it goes on, or ends
 * before, then they and the frame around it disagree.
 */
static bool is_address(struct sv v)
{
	unsigned int all, any;
	size_t n;

	classify(v, &all, &any);
	if (!(any & OCTET_SPECIAL))
		return true;
	if (entry_address_len(v, "<>", &n) < 0 || n != v.n)
		return false;
	/* Else a "[" in the domain could hide what a quote hides in the local part. */
	const char *at = memrchr(v.p, '@', v.n);
	const char *bracket = at ? memchr(at, '[', (size_t)(v.p + v.n - at)) : NULL;
	return !bracket || (bracket == at + 1 && v.p[v.n - 1] == ']');
}

static bool is_host_name(struct sv v)
{
	unsigned int all, any;

	classify(v, &all, &any);
	return all & OCTET_HOST;
}

/* The address of "[192.0.2.1]" or "[2001:db8::1]" at the start of v. */
static bool take_address(struct sv *v, struct addr *ret_addr)
{
	const char *close = v->n ? memchr(v->p, ']', min_size(v->n, ADDR_STRLEN + 8)) : NULL;
	struct sv text;

	if (!close || v->p[0] != '[')
		return false;
	text = (struct sv) { v->p + 1, (size_t)(close - v->p) - 1 };
	*v = skip(*v, text.n + 2);
	take(&text, SV("IPv6:"));
	return addr_parse(text, ret_addr) == 0;
}

struct client {
	struct sv name;
	struct endpoint endpoint;
};

/* "name[address]" or "name[address]:port"; nothing in it is the client's own choice. */
static bool take_client(struct sv *v, struct client *ret_client)
{
	const char *bracket = v->n ? memchr(v->p, '[', v->n) : NULL;
	struct client c = { 0 };
	uint64_t port;
	size_t n = 1;

	if (!bracket)
		return false;
	c.name = (struct sv) { v->p, (size_t)(bracket - v->p) };
	if (!is_host_name(c.name))
		return false;
	*v = skip(*v, c.name.n);
	if (!take_address(v, &c.endpoint.addr))
		return false;
	if (v->n > 1 && v->p[0] == ':' && ascii_is_digit(v->p[1])) {
		while (n < v->n && ascii_is_digit(v->p[n]))
			n++;
		if (sv_to_u64((struct sv) { v->p + 1, n - 1 }, UINT16_MAX, &port) < 0)
			return false;
		c.endpoint.port = (uint16_t)port;
		*v = skip(*v, n);
	}
	*ret_client = c;
	return true;
}

static void set_client(struct entry *e, const struct client *c)
{
	e->has_client = true;
	e->client = c->endpoint;
	if (!sv_eq(c->name, SV("unknown")))
		e->client_name = c->name;
}

/* smtpd, what follows "ID: client=". */
static enum entry_kind parse_client(struct sv id, struct sv v, struct entry *e)
{
	struct client client;
	bool authenticated;

	if (!take_client(&v, &client) || client.name.n == 0)
		return ENTRY_UNPARSED;
	/* Only by the first field: those behind it hold what the client said. */
	authenticated = starts(v, SV(", sasl_method=")) || starts(v, SV(", sasl_username="));
	if (v.n > 0 && !authenticated && !starts(v, SV(", sasl_sender=")) &&
	    !starts(v, SV(", orig_queue_id=")) && !starts(v, SV(", orig_client=")))
		return ENTRY_UNPARSED;
	e->id = id;
	e->authenticated = authenticated;
	set_client(e, &client);
	return ENTRY_ARRIVAL;
}

/* The fixed words around sender, recipient and HELO of a refusal. */
struct words {
	struct sv from, to, proto, helo;
};

static const struct words smtpd_words = {
	{ "; from=<", 8 },
	{ "> to=<", 6 },
	{ "> proto=", 8 },
	{ " helo=<", 7 },
};

static const struct words postscreen_words = {
	{ "; from=<", 8 },
	{ ">, to=<", 7 },
	{ ">, proto=", 9 },
	{ ", helo=<", 8 },
};

/* One reading of a refusal. */
struct reading {
	struct sv sender, recipient, helo;
};

/* Whether word, with its "=" at v.p[at], is there; its start. */
static bool has_word(struct sv v, size_t at, size_t equals, struct sv word, size_t *ret_start)
{
	if (at < equals || at - equals + word.n > v.n ||
	    memcmp(v.p + at - equals, word.p, word.n) != 0)
		return false;
	*ret_start = at - equals;
	return true;
}

/* What follows "proto=" in a whole line: "ESMTP helo=<...>", "SMTP". */
static bool is_tail(struct sv v, const struct words *words, struct sv *ret_helo)
{
	if (!take(&v, SV("ESMTP")) && !take(&v, SV("SMTP")))
		return false;
	*ret_helo = (struct sv) { v.p, 0 };
	if (v.n == 0)
		return true;
	if (!take(&v, words->helo) || !drop(&v, SV(">")))
		return false;
	*ret_helo = v;
	return true;
}

#define PLACES_MAX 8 /* of each word in one line; with more of them it is not read */

struct places {
	size_t at[PLACES_MAX]; /* of "=" in the word */
	size_t n;
};

static bool add_place(struct places *p, size_t at)
{
	if (p->n == PLACES_MAX)
		return false;
	p->at[p->n++] = at;
	return true;
}

/* Where the three words are; false: too often. */
static bool find_places(struct sv v, const struct words *words, struct places *from,
			struct places *to, struct places *proto)
{
	const char *p = v.p, *end = v.p + v.n;
	bool room = true;
	size_t start;

	for (; room && p < end && (p = memchr(p, '=', (size_t)(end - p))); p++) {
		size_t at = (size_t)(p - v.p);

		if (has_word(v, at, words->from.n - 2, words->from, &start))
			room = add_place(from, at);
		else if (from->n && has_word(v, at, words->to.n - 2, words->to, &start))
			room = add_place(to, at);
		else if (to->n && has_word(v, at, words->proto.n - 1, words->proto, &start))
			room = add_place(proto, at);
	}
	return room;
}

/* The reading by these places, if it is one: addresses as they are quoted, and a tail that ends the
 * line. */
static bool read_places(struct sv v, const struct words *words, size_t from, size_t to,
			size_t proto, struct reading *ret)
{
	size_t sender = from + 2, sender_end = to + 2 - words->to.n;
	size_t recipient = to + 2, recipient_end = proto + 1 - words->proto.n;

	if (sender > sender_end || recipient >= recipient_end ||
	    !is_tail(skip(v, proto + 1), words, &ret->helo))
		return false;
	ret->sender = (struct sv) { v.p + sender, sender_end - sender };
	ret->recipient = (struct sv) { v.p + recipient, recipient_end - recipient };
	return is_address(ret->sender) && is_address(ret->recipient);
}

/*
 * Any of these words may also stand in the reply (which quotes HELO, sender and recipient), in the
 * sender, the recipient or the HELO. The true reading is one of all ways to find the three of them
 * in their order with addresses as RFC 5321 quotes them and a tail that ends the line; so if there
 * is one way only, it is the true one, whatever strangers wrote. Counts the ways; 2 stands for
 * more.
 */
static unsigned int count_readings(struct sv v, const struct words *words, struct reading *ret)
{
	struct places from = { .n = 0 }, to = { .n = 0 }, proto = { .n = 0 };
	struct reading reading;
	unsigned int n = 0;

	if (!find_places(v, words, &from, &to, &proto))
		return 2;
	for (size_t i = 0; i < from.n; i++)
		for (size_t k = 0; k < to.n; k++)
			for (size_t l = 0; l < proto.n && n < 2; l++)
				if (read_places(v, words, from.at[i], to.at[k], proto.at[l],
						&reading)) {
					*ret = reading;
					n++;
				}
	return n;
}

/* smtpd and postscreen, what follows "reject: RCPT from ". */
static enum entry_kind parse_refusal(enum role role, struct sv id, struct sv v, struct entry *e)
{
	bool screen = role == ROLE_POSTSCREEN;
	struct client client;
	struct reading r;

	if (!take_client(&v, &client) || (client.name.n == 0) != screen || !take(&v, SV(": ")))
		return ENTRY_UNPARSED;
	if (count_readings(v, screen ? &postscreen_words : &smtpd_words, &r) != 1)
		return ENTRY_UNPARSED;
	e->id = id;
	set_client(e, &client);
	/* Since Postfix 3.6 an authenticated client's name comes last. A HELO may say the same, so
	 * neither of them is known then. */
	if (!find(r.helo, SV("> sasl_username=<")))
		e->helo = r.helo;
	e->has_sender = true;
	e->sender = r.sender;
	e->recipient = r.recipient;
	return ENTRY_REFUSED;
}

static enum entry_kind set_local(struct entry *e, struct sv id, const struct sv *sender)
{
	e->id = id;
	e->local = true;
	if (sender) {
		e->has_sender = true;
		e->sender = *sender;
	}
	return ENTRY_ARRIVAL;
}

/* pickup, what follows "ID: uid="; the former id of a message that was queued anew comes last. */
static enum entry_kind parse_pickup(struct sv id, struct sv v, struct entry *e)
{
	size_t n = 0;

	while (n < v.n && ascii_is_digit(v.p[n]))
		n++;
	v = skip(v, n);
	if (n == 0 || !take(&v, SV(" from=<")))
		return ENTRY_UNPARSED;
	if (!drop(&v, SV(">"))) {
		const char *space = v.n ? memrchr(v.p, ' ', v.n) : NULL;
		struct sv orig;

		if (!space)
			return ENTRY_UNPARSED;
		orig = skip(v, (size_t)(space - v.p));
		v.n -= orig.n;
		if (!take(&orig, SV(" orig_id=")) || !is_id(orig) || !drop(&v, SV(">")))
			return ENTRY_UNPARSED;
	}
	return is_address(v) ? set_local(e, id, &v) : ENTRY_UNPARSED;
}

/* bounce, "sender non-delivery notification: NEWID": the new message's arrival. */
static enum entry_kind parse_bounce(struct sv v, struct entry *e)
{
	if (!take(&v, SV("sender ")) && !take(&v, SV("postmaster ")))
		return ENTRY_OTHER;
	if (!take(&v, SV("non-delivery notification: ")) && !take(&v, SV("delay notification: ")) &&
	    !take(&v, SV("delivery status notification: ")))
		return ENTRY_OTHER;
	return is_id(v) ? set_local(e, v, &SV("")) : ENTRY_UNPARSED;
}

/* qmgr, what follows "ID: from=<". Read from the right, where nothing is a stranger's choice. */
static enum entry_kind parse_queued(struct sv id, struct sv v, struct entry *e)
{
	uint64_t bytes, recipients;

	if (drop(&v, SV(", returned to sender")))
		return ENTRY_OTHER;
	if (!drop(&v, SV(" (queue active)")) || !drop_number(&v, &recipients) ||
	    !drop(&v, SV(", nrcpt=")) || !drop_number(&v, &bytes) || !drop(&v, SV(">, size=")))
		return ENTRY_UNPARSED;
	if (!is_address(v))
		return ENTRY_UNPARSED;
	e->id = id;
	e->has_sender = true;
	e->sender = v;
	e->has_bytes = true;
	e->bytes = bytes;
	return ENTRY_QUEUED;
}

static struct sv domain_of(struct sv address)
{
	const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;

	return at ? skip(address, (size_t)(at - address.p) + 1) : (struct sv) { address.p, 0 };
}

/* "example.org[192.0.2.1]:25"; not "local", "none", "example.org[private/lmtp]". */
static bool read_next_hop(struct sv relay, struct addr *ret_addr)
{
	const char *bracket = relay.n ? memchr(relay.p, '[', relay.n) : NULL;

	if (!bracket)
		return false;
	relay = skip(relay, (size_t)(bracket - relay.p));
	return take_address(&relay, ret_addr);
}

/*
 * What follows the recipient, from "RELAY, " on: "[conn_use=2, ]delay=0.1, [...]status=sent (...)".
 * No stranger chooses anything before the parenthesis.
 */
static bool read_status(struct sv v, struct sv *ret_relay, struct sv *ret_status)
{
	const char *comma = v.n ? memchr(v.p, ',', v.n) : NULL, *status;
	size_t n;

	if (!comma)
		return false;
	*ret_relay = (struct sv) { v.p, (size_t)(comma - v.p) };
	v = skip(v, ret_relay->n);
	if (!starts(v, SV(", delay=")) && !starts(v, SV(", conn_use=")))
		return false;
	status = find(v, SV(", status="));
	if (!status || v.p[v.n - 1] != ')')
		return false;
	v = skip(v, (size_t)(status - v.p) + 9);
	for (n = 0; n < v.n && (ascii_is_alpha(v.p[n]) || v.p[n] == '-'); n++)
		;
	*ret_status = (struct sv) { v.p, n };
	return n > 0 && starts(skip(v, n), SV(" ("));
}

/* "R>, orig_to=<O", or "R": the ways to read it with addresses as they are quoted; 2 for more. */
static unsigned int count_recipients(struct sv v, const struct places *orig, struct sv *ret_to,
				     struct sv *ret_orig)
{
	unsigned int n = is_address(v);

	*ret_to = v;
	*ret_orig = (struct sv) { v.p, 0 };
	for (size_t i = 0; i < orig->n && n < 2; i++) {
		struct sv to = { v.p, orig->at[i] };
		struct sv o = skip(v, min_size(orig->at[i] + SV(">, orig_to=<").n, v.n));

		if (orig->at[i] > v.n || !is_address(to) || !is_address(o))
			continue;
		*ret_to = to;
		*ret_orig = o;
		n++;
	}
	return n;
}

/*
 * Splits "R>, orig_to=<O>, relay=REST", what follows "to=<". The server's reply in REST, O and R
 * are strangers' words. The last ">, relay=" is the true one if all others are inside quotes of R
 * or O; else one may be of the reply, and there is more than one way to read the line.
 */
static bool split_recipient(struct sv v, struct sv *ret_to, struct sv *ret_orig,
			    struct sv *ret_rest)
{
	const struct sv relay_word = SV(">, relay="), orig_word = SV(">, orig_to=<");
	const char *relay = NULL, *p = v.p, *end = v.p + v.n;
	struct places orig = { .n = 0 };

	for (; p < end && (p = memchr(p, '>', (size_t)(end - p))); p++) {
		struct sv here = { p, (size_t)(end - p) };

		if (starts(here, relay_word))
			relay = p;
		else if (starts(here, orig_word) && !add_place(&orig, (size_t)(p - v.p)))
			return false;
	}
	if (!relay)
		return false;
	*ret_rest = skip(v, (size_t)(relay - v.p) + relay_word.n);
	return count_recipients((struct sv) { v.p, (size_t)(relay - v.p) }, &orig, ret_to,
				ret_orig) == 1;
}

/* Delivery agents, and qmgr and cleanup in their stead; what follows "ID: to=<". */
static enum entry_kind parse_recipient(enum role role, struct sv id, struct sv v, struct entry *e)
{
	struct sv to, orig, rest, relay, status;
	bool sent;

	if (!split_recipient(v, &to, &orig, &rest) || !read_status(rest, &relay, &status))
		return ENTRY_UNPARSED;
	if (to.n == 0)
		return ENTRY_UNPARSED;
	/* The answer to a question of verify(8): there is no mail. */
	if (sv_eq(status, SV("deliverable")) || sv_eq(status, SV("undeliverable")))
		return ENTRY_OTHER;

	e->id = id;
	e->recipient = orig.n ? orig : to;
	sent = sv_eq(status, SV("sent"));
	if (sent && role == ROLE_LOCAL) {
		e->way = WAY_LOCAL;
	} else if (sent && role == ROLE_REMOTE &&
		   sv_eq_nocase(domain_of(to), domain_of(e->recipient))) {
		/* An alias that leads elsewhere says nothing of where the alias is at home. */
		e->way = WAY_REMOTE;
		e->has_next_hop = read_next_hop(relay, &e->next_hop);
	}
	return ENTRY_RECIPIENT;
}

static enum entry_kind parse_smtpd(enum role role, struct sv id, struct sv v, struct entry *e)
{
	/* NOQUEUE: the message goes through a filter, and arrives when that hands it back. */
	if (id.n && role == ROLE_SMTPD && take(&v, SV("client=")))
		return parse_client(id, v, e);
	if (take(&v, SV("reject: RCPT from ")) || take(&v, SV("milter-reject: RCPT from ")))
		return parse_refusal(role, id, v, e);
	return ENTRY_OTHER;
}

static enum entry_kind parse_queue_file(enum role role, struct sv id, struct sv v, struct entry *e)
{
	if (role == ROLE_PICKUP)
		return take(&v, SV("uid=")) ? parse_pickup(id, v, e) : ENTRY_OTHER;
	if (take(&v, SV("to=<")))
		return parse_recipient(role, id, v, e);
	if (role == ROLE_CLEANUP &&
	    (starts(v, SV("message-id=")) || starts(v, SV("resent-message-id=")))) {
		e->weak = true;
		return set_local(e, id, NULL);
	}
	if (role == ROLE_BOUNCE)
		return parse_bounce(v, e);
	if (role == ROLE_QMGR && take(&v, SV("from=<")))
		return parse_queued(id, v, e);
	/* qmgr; postsuper, when an operator deletes it */
	if (sv_eq(v, SV("removed"))) {
		e->id = id;
		return ENTRY_DONE;
	}
	return ENTRY_OTHER;
}

static const struct daemon *find_daemon(struct sv program)
{
	const char *slash = program.n ? memrchr(program.p, '/', program.n) : NULL;

	if (!slash)
		return NULL;
	program = skip(program, (size_t)(slash - program.p) + 1);
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++)
		if (sv_eq(program, daemons[i].name))
			return &daemons[i];
	return NULL;
}

bool postfix_parse(struct sv program, struct sv message, struct entry *ret_entry)
{
	const struct daemon *daemon = find_daemon(program);
	struct sv id = { message.p, 0 };

	if (!daemon)
		return false;
	ret_entry->kind = ENTRY_OTHER;
	if (!take(&message, SV("NOQUEUE: ")) && !take_id(&message, &id))
		return true;
	if (daemon->role == ROLE_SMTPD || daemon->role == ROLE_POSTSCREEN)
		ret_entry->kind = parse_smtpd(daemon->role, id, message, ret_entry);
	else if (id.n)
		ret_entry->kind = parse_queue_file(daemon->role, id, message, ret_entry);
	return true;
}
