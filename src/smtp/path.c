/*
 * Which addresses are taken: those of RFC 5321 and, since refusing an address that the backend
 * would take loses mail, also dots where a dot-string has none. Not taken is what MTAs read
 * differently from each other: several '@' outside quotes, backslashes outside quotes, comments,
 * white space, words that mix quoted and unquoted.
 */
#include "smtp/path.h"

#include "base/addr.h"
#include "smtp/command.h"

#include <errno.h>

#define LABEL_MAX 63 /* octets of an A-label; a U-label may have more before it is encoded */

struct scan {
	struct sv text;
	size_t at;
};

static int peek(const struct scan *s)
{
	return s->at < s->text.n ? (unsigned char)s->text.p[s->at] : -1;
}

static bool take(struct scan *s, char c)
{
	if (peek(s) != (unsigned char)c)
		return false;
	s->at++;
	return true;
}

/* RFC 5322 atext, RFC 6531 UTF8-non-ascii. */
static bool is_atext(int c)
{
	return c > 127 || (c > 32 && c < 127 && !memchr("()<>[]:;@\\,.\"", c, 13));
}

static bool is_domain_char(int c)
{
	return c > 127 || (c > 0 && (ascii_is_alpha((char)c) || ascii_is_digit((char)c))) ||
	       c == '-' || c == '_' || c == '.';
}

bool domain_is_valid(struct sv domain)
{
	size_t label = 0;
	bool ascii = true;

	if (domain.n == 0 || domain.n > PATH_DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < domain.n; i++) {
		unsigned char c = (unsigned char)domain.p[i];
		if (!is_domain_char(c))
			return false;
		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			ascii = true;
			continue;
		}
		label++;
		ascii = ascii && c < 128;
		if (ascii && label > LABEL_MAX)
			return false;
	}
	return label > 0;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). */
static bool literal_is_valid(struct sv literal)
{
	static const struct sv tag = { "IPv6:", 5 };
	struct sv inner = { literal.p + 1, literal.n - 2 };
	struct addr addr;
	bool v6 = sv_starts_nocase(inner, tag);

	if (v6)
		inner = (struct sv) { inner.p + tag.n, inner.n - tag.n };
	if (inner.n == 0 || (memchr(inner.p, ':', inner.n) != NULL) != v6)
		return false;
	return addr_parse(inner, &addr) == 0;
}

/* A domain or an address literal, as a view of the text. */
static int scan_domain(struct scan *s, bool *ret_literal, struct sv *ret_domain)
{
	struct sv domain = { s->text.p + s->at, 0 };

	if (peek(s) == '[') {
		const char *end = memchr(domain.p, ']', s->text.n - s->at);
		if (!end)
			return -EINVAL;
		domain.n = (size_t)(end - domain.p) + 1;
		s->at += domain.n;
		if (domain.n > PATH_DOMAIN_MAX || !literal_is_valid(domain))
			return -EINVAL;
		*ret_literal = true;
		*ret_domain = domain;
		return 0;
	}
	while (is_domain_char(peek(s)))
		s->at++;
	domain.n = (size_t)(s->text.p + s->at - domain.p);
	if (domain.n > 1 && domain.p[domain.n - 1] == '.')
		domain.n--;
	if (!domain_is_valid(domain))
		return -EINVAL;
	*ret_literal = false;
	*ret_domain = domain;
	return 0;
}

static int add_local(struct smtp_path *path, int c)
{
	if (path->local_len >= PATH_LOCAL_MAX)
		return -EINVAL;
	path->local[path->local_len++] = (char)c;
	return 0;
}

/* RFC 5321 Quoted-string, behind its opening quote. */
static int scan_quoted(struct scan *s, struct smtp_path *path)
{
	path->quoted = true;
	for (;;) {
		int c = peek(s);
		if (c < 32 || c == 127)
			return -EINVAL;
		s->at++;
		if (c == '"')
			return 0;
		if (c == '\\') {
			c = peek(s);
			if (c < 32 || c > 126)
				return -EINVAL;
			s->at++;
		}
		if (add_local(path, c) < 0)
			return -EINVAL;
	}
}

static int scan_local(struct scan *s, struct smtp_path *path)
{
	if (take(s, '"'))
		return scan_quoted(s, path);
	for (int c; c = peek(s), is_atext(c) || c == '.'; s->at++) {
		if (add_local(path, c) < 0)
			return -EINVAL;
	}
	return path->local_len > 0 ? 0 : -EINVAL;
}

/* "@a,@b:" (RFC 5321 4.1.2 A-d-l): must be accepted, and should be ignored. */
static int skip_source_route(struct scan *s, bool *ret_routed)
{
	struct sv domain;
	bool literal;
	bool routed = peek(s) == '@';

	while (take(s, '@')) {
		if (scan_domain(s, &literal, &domain) < 0)
			return -EINVAL;
		if (take(s, ':'))
			break;
		if (!take(s, ',') || peek(s) != '@')
			return -EINVAL;
	}
	*ret_routed = routed;
	return 0;
}

static int scan_mailbox(struct scan *s, struct smtp_path *path)
{
	struct sv domain;
	bool routed;
	bool literal;

	if (skip_source_route(s, &routed) < 0 || scan_local(s, path) < 0)
		return -EINVAL;
	if (!take(s, '@')) {
		if (routed)
			return -EINVAL;
		struct sv local = { path->local, path->local_len };
		path->kind =
			sv_eq_nocase(local, SV("postmaster")) ? PATH_POSTMASTER : PATH_DOMAINLESS;
		return 0;
	}
	if (scan_domain(s, &literal, &domain) < 0)
		return -EINVAL;
	path->kind = literal ? PATH_LITERAL : PATH_MAILBOX;
	path->domain_len = (uint16_t)domain.n;
	memcpy(path->domain, domain.p, domain.n);
	return 0;
}

int path_parse(struct sv text, bool smtputf8, struct smtp_path *ret_path, size_t *ret_used)
{
	struct scan s = { text, 0 };
	struct smtp_path path = { .kind = PATH_NULL };

	while (take(&s, ' ') || take(&s, '\t'))
		;
	bool angle = take(&s, '<');
	if (!(angle && peek(&s) == '>') && scan_mailbox(&s, &path) < 0)
		return -EINVAL;
	if (angle && !take(&s, '>'))
		return -EINVAL;
	if (!text_is_clean((struct sv) { path.local, path.local_len }, smtputf8) ||
	    !text_is_clean((struct sv) { path.domain, path.domain_len }, smtputf8))
		return -EINVAL;
	*ret_path = path;
	*ret_used = s.at;
	return 0;
}

static bool needs_quotes(const struct smtp_path *path)
{
	char before = '.';
	bool odd_dots = false;

	for (size_t i = 0; i < path->local_len; i++) {
		unsigned char c = (unsigned char)path->local[i];
		if (c != '.' && !is_atext(c))
			return true;
		odd_dots = odd_dots || (c == '.' && before == '.');
		before = (char)c;
	}
	return path->local_len == 0 || (path->quoted && (odd_dots || before == '.'));
}

size_t path_write(const struct smtp_path *path, char *out)
{
	size_t n = 0;

	out[n++] = '<';
	if (path->kind != PATH_NULL) {
		bool quotes = needs_quotes(path);
		if (quotes)
			out[n++] = '"';
		for (size_t i = 0; i < path->local_len; i++) {
			char c = path->local[i];
			if (quotes && (c == '"' || c == '\\'))
				out[n++] = '\\';
			out[n++] = c;
		}
		if (quotes)
			out[n++] = '"';
	}
	if (path->kind == PATH_MAILBOX || path->kind == PATH_LITERAL) {
		out[n++] = '@';
		memcpy(out + n, path->domain, path->domain_len);
		n += path->domain_len;
	}
	out[n++] = '>';
	return n;
}

static bool is_routable(struct sv domain)
{
	return domain.n > 0 && memchr(domain.p, '.', domain.n) && domain_is_valid(domain);
}

/* A server that routes on cuts the local part where it likes: every run of domain characters that
 * touches one of the three signs is taken, whatever stands on its other side. */
int path_routes(const struct smtp_path *path, struct sv ret_domains[PATH_ROUTES_MAX])
{
	struct sv found[PATH_ROUTES_MAX];
	const char *local = path->local;
	size_t len = path->local_len;
	int n = 0;

	for (size_t i = 0; i < len; i++) {
		size_t start = i;
		while (i < len && is_domain_char((unsigned char)local[i]))
			i++;
		struct sv run = { local + start, i - start };
		bool named = (start > 0 && (local[start - 1] == '@' || local[start - 1] == '%')) ||
			     (i < len && local[i] == '!');
		if (run.n > 1 && run.p[run.n - 1] == '.')
			run.n--;
		if (named && is_routable(run)) {
			if (n == PATH_ROUTES_MAX)
				return -E2BIG;
			found[n++] = run;
		}
	}
	for (int i = 0; i < n; i++)
		ret_domains[i] = found[i];
	return n;
}
