#include "logscan/hint.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const names[HINT_COUNT] = {
	[HINT_SCANNER_EGRESS] = "scanner-egress",
	[HINT_MONITOR] = "monitor",
	[HINT_DEVICE] = "device",
	[HINT_SENDER] = "sender",
	[HINT_BOT] = "bot",
	[HINT_UNCLEAR] = "unclear",
};

const char *hint_name(enum hint h)
{
	INVARIANT(h < HINT_COUNT);
	return names[h];
}

#define FEW_DOMAINS 3 /* of one client */

/* Each of its clients again and again, for few domains. */
static bool is_steady(const struct tally_group *g)
{
	return g->domains <= FEW_DOMAINS * g->clients && g->mails >= 3ull * g->clients &&
	       g->mails >= 3ull * g->domains && g->refused * 4 <= g->mails;
}

static bool is_device(const struct tally_group *g)
{
	return is_steady(g) && g->own * 2 >= g->mails && (g->days >= 2 || g->mails >= 5);
}

static bool is_monitor(const struct tally_group *g)
{
	return is_steady(g) && g->days >= 3 && g->mails >= g->days;
}

static bool is_bot(const struct tally_group *g)
{
	bool many = g->domains > 2 * FEW_DOMAINS;

	/* Whoever guesses recipients is refused as often as not. */
	if (g->refused * 2 >= g->mails && g->refused >= 2)
		return true;
	if (many && g->mails < 2ull * g->domains)
		return true;
	return g->ptr_domain == 0 && (many || g->mails <= 3ull * g->clients);
}

static enum hint look(const struct tally_group *g)
{
	if (g->related * 2 >= g->mails)
		return HINT_SCANNER_EGRESS;
	if (is_device(g))
		return HINT_DEVICE;
	if (is_bot(g))
		return HINT_BOT;
	if (is_monitor(g))
		return HINT_MONITOR;
	return g->ptr_domain ? HINT_SENDER : HINT_UNCLEAR;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

enum hint hint_of(const struct tally_group *g, const struct book *b, char *out)
{
	enum hint h = look(g);
	const char *ptr = book_string(b, g->ptr_domain), *scanner = book_string(b, g->scanner);
	int n;

	switch (h) {
	case HINT_SCANNER_EGRESS:
		snprintf(out, HINT_WHY_MAX,
			 "named below %.80s like the MX of %.80s, delivers for %u of its domain%s: "
			 "its egress, not in the configuration",
			 ptr, scanner, g->domains, plural(g->domains));
		break;
	case HINT_MONITOR:
		snprintf(out, HINT_WHY_MAX,
			 "%" PRIu64
			 " mails on %u days for %u domain%s from %u address%s, steadily: "
			 "a monitor or a machine that reports",
			 g->mails, g->days, g->domains, plural(g->domains), g->clients,
			 g->clients == 1 ? "" : "es");
		break;
	case HINT_DEVICE:
		snprintf(out, HINT_WHY_MAX,
			 "%" PRIu64 " of %" PRIu64 " mails come as from the domain itself, for %u "
			 "domain%s: a printer, a web shop or the web host",
			 g->own, g->mails, g->domains, plural(g->domains));
		break;
	case HINT_SENDER:
		snprintf(out, HINT_WHY_MAX,
			 "a mail server named below %.80s that goes past the MX of %u domain%s",
			 ptr, g->domains, plural(g->domains));
		break;
	case HINT_BOT:
		n = snprintf(out, HINT_WHY_MAX,
			     "%" PRIu64 " mail%s from %u address%s%s for %u domain%s", g->mails,
			     plural(g->mails), g->clients, g->clients == 1 ? "" : "es",
			     g->ptr_domain ? "" : " without a name of their own", g->domains,
			     plural(g->domains));
		if (g->refused > 0)
			snprintf(out + n, HINT_WHY_MAX - (size_t)n,
				 ", %" PRIu64 " guessed recipient%s refused", g->refused,
				 plural(g->refused));
		break;
	case HINT_UNCLEAR:
	case HINT_COUNT:
		snprintf(out, HINT_WHY_MAX,
			 "%" PRIu64 " mails from %u address%s without a name of their own for %u "
			 "domain%s",
			 g->mails, g->clients, g->clients == 1 ? "" : "es", g->domains,
			 plural(g->domains));
		break;
	}
	return h;
}
