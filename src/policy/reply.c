/* The words of a refusal: decision_reply() of policy/decide.h. */
#include "policy/decide.h"

#include <stdio.h>

#define REPLY_OCTETS_MAX 512 /* RFC 5321 4.5.3.1.5, CRLF counted */

/* A reply in parts; names are cut when all is too long, the rest never is. */
struct words {
	const char *status; /* "550 5.7.1" */
	const char *before;
	const char *domain; /* "" : none */
	const char *middle;
	const char *mx; /* "" : none */
	char end[160];  /* without the id */
};

static void words_direct(const struct decision *d, const struct addr *server, struct words *w)
{
	char address[ADDR_STRLEN];
	bool defer = d->action == ACTION_DEFER;

	w->status = d->reason == REASON_BACKUP_CLOSED ? "451 4.7.1"
		    : defer                           ? "450 4.7.1"
						      : "550 5.7.1";
	w->middle = " takes mail at its MX, ";
	w->mx = d->mx;
	if (d->door == DOOR_ELSEWHERE || d->mx[0] == '\0') {
		w->middle = " takes mail at its own address, not here";
		w->mx = "";
	}
	snprintf(w->end, sizeof(w->end), "; delivery to %s is %s", addr_format(server, address),
		 defer ? "deferred" : "refused");
}

static void words_choose(const struct decision *d, const struct addr *server, struct words *w)
{
	bool defer = d->action == ACTION_DEFER;

	w->before = w->mx = "";
	w->end[0] = '\0';
	if (d->reason == REASON_AUTH_REQUIRED) { /* RFC 4954 6 */
		w->status = "530 5.7.0";
		w->domain = "";
		w->middle = "Authentication required";
	} else if (d->reason == REASON_LITERAL) {
		w->status = "550 5.1.3";
		w->domain = "";
		w->middle = "a recipient without a domain name is not accepted here";
	} else if (d->reason == REASON_UNKNOWN_DOMAIN) {
		w->status = defer ? "450 4.1.2" : "550 5.1.2";
		w->middle = " has neither MX nor address in DNS";
	} else if (d->finding == FINDING_DNS) {
		w->status = "451 4.4.3";
		w->before = "DNS of ";
		w->middle = " can't be reached just now; try again later";
		if (d->reason == REASON_PTR_FAILURE) {
			w->before = "";
			w->middle = " can't find out your host's name in DNS just now; try again "
				    "later";
		}
	} else if (d->finding == FINDING_NULL) {
		w->status = defer ? "450 4.1.10" : "556 5.1.10";
		w->middle = " takes no mail (null MX)";
	} else {
		words_direct(d, server, w);
	}
}

/* The end of a name tells more than its start. */
static size_t put_cut(char *out, size_t room, const char *name, size_t budget)
{
	size_t n = strlen(name);

	if (n <= budget)
		return (size_t)snprintf(out, room, "%s", name);
	return (size_t)snprintf(out, room, "...%s", name + n - (budget - 3));
}

size_t decision_reply(const struct decision *d, const struct policy *policy, const char *domain,
		      const struct addr *server, const char *id, char *out)
{
	struct words w = { .domain = domain ? domain : "" };
	bool has_url = d->finding == FINDING_DIRECT && d->reason != REASON_AUTH_REQUIRED;
	const char *url = has_url && policy->help_url ? policy->help_url : "";
	size_t fixed, n, names = 0, budget = DECISION_NAME_MAX;

	words_choose(d, server, &w);
	fixed = strlen(w.status) + 1 + strlen(w.before) + strlen(w.middle) + strlen(w.end) +
		strlen(" ()\r\n") + strnlen(id, 64);
	if (strlen(url) > 160)
		url = "";
	if (*url)
		fixed += strlen(" see ") + strlen(url);
	names = strlen(w.domain) + strlen(w.mx);
	if (fixed + names > REPLY_OCTETS_MAX - 1)
		budget = (REPLY_OCTETS_MAX - 1 - fixed) / (*w.mx ? 2 : 1);

	n = (size_t)snprintf(out, REPLY_OCTETS_MAX, "%s %s", w.status, w.before);
	n += put_cut(out + n, REPLY_OCTETS_MAX - n, w.domain, budget);
	n += (size_t)snprintf(out + n, REPLY_OCTETS_MAX - n, "%s", w.middle);
	n += put_cut(out + n, REPLY_OCTETS_MAX - n, w.mx, budget);
	n += (size_t)snprintf(out + n, REPLY_OCTETS_MAX - n, "%s (%.64s)%s%s\r\n", w.end, id,
			      *url ? " see " : "", url);
	INVARIANT(n < REPLY_OCTETS_MAX);
	return n;
}
