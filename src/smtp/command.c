#include "smtp/command.h"

#include <stdint.h>

enum verb_args { ARGS_ANY, ARGS_NONE, ARGS_SOME };

static const struct verb_row {
	struct sv name;
	enum verb_args args;
} verbs[VERB_COUNT] = {
	[VERB_UNKNOWN] = { { "UNKNOWN", 7 }, ARGS_ANY },
	[VERB_HELO] = { { "HELO", 4 }, ARGS_SOME },
	[VERB_EHLO] = { { "EHLO", 4 }, ARGS_SOME },
	[VERB_MAIL] = { { "MAIL", 4 }, ARGS_SOME },
	[VERB_RCPT] = { { "RCPT", 4 }, ARGS_SOME },
	[VERB_DATA] = { { "DATA", 4 }, ARGS_NONE },
	[VERB_BDAT] = { { "BDAT", 4 }, ARGS_SOME },
	[VERB_RSET] = { { "RSET", 4 }, ARGS_NONE },
	[VERB_NOOP] = { { "NOOP", 4 }, ARGS_ANY },
	[VERB_QUIT] = { { "QUIT", 4 }, ARGS_NONE },
	[VERB_VRFY] = { { "VRFY", 4 }, ARGS_SOME },
	[VERB_EXPN] = { { "EXPN", 4 }, ARGS_ANY },
	[VERB_HELP] = { { "HELP", 4 }, ARGS_ANY },
	[VERB_AUTH] = { { "AUTH", 4 }, ARGS_SOME },
	[VERB_STARTTLS] = { { "STARTTLS", 8 }, ARGS_NONE },
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct sv skip(struct sv v, size_t n)
{
	return (struct sv) { v.p + n, v.n - n };
}

static struct sv trim_start(struct sv v)
{
	while (v.n > 0 && is_blank(v.p[0]))
		v = skip(v, 1);
	return v;
}

static struct sv trim(struct sv v)
{
	v = trim_start(v);
	while (v.n > 0 && is_blank(v.p[v.n - 1]))
		v.n--;
	return v;
}

/* v up to its first blank. */
static struct sv first_word(struct sv v)
{
	struct sv word = { v.p, 0 };

	while (word.n < v.n && !is_blank(v.p[word.n]))
		word.n++;
	return word;
}

const char *verb_name(enum smtp_verb verb)
{
	return verbs[verb].name.p;
}

enum command_error command_parse(struct sv line, struct command *ret_command)
{
	struct sv word = first_word(line);
	struct sv args = trim(skip(line, word.n));
	size_t verb = VERB_UNKNOWN + 1;

	while (verb < VERB_COUNT && !sv_eq_nocase(word, verbs[verb].name))
		verb++;
	*ret_command = (struct command) { VERB_UNKNOWN, args };
	if (verb == VERB_COUNT)
		return COMMAND_UNKNOWN;
	ret_command->verb = (enum smtp_verb)verb;
	if (verbs[verb].args == ARGS_NONE ? args.n > 0
					  : verbs[verb].args == ARGS_SOME && args.n == 0)
		return COMMAND_SYNTAX;
	return COMMAND_OK;
}

static bool is_hex(char c)
{
	return ascii_is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

/*
 * xtext of RFC 3461 4. An '=' that should be "+3D" passes: MTAs take it, and the value goes on as
 * it is. 8-bit octets are RFC 6533's utf-8-addr-unitext.
 */
static bool is_xtext(struct sv v, bool utf8)
{
	if (!text_is_clean(v, utf8))
		return false;
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == ' ')
			return false;
		if (v.p[i] == '+' && !(v.n - i > 2 && is_hex(v.p[i + 1]) && is_hex(v.p[i + 2])))
			return false;
	}
	return v.n > 0;
}

static bool check_size(struct sv v, bool utf8)
{
	for (size_t i = 0; i < v.n; i++) {
		if (!ascii_is_digit(v.p[i]))
			return false;
	}
	return v.n >= 1 && v.n <= 20; /* RFC 1870 4 */
}

static bool check_body(struct sv v, bool utf8)
{
	return sv_eq_nocase(v, SV("7BIT")) || sv_eq_nocase(v, SV("8BITMIME")) ||
	       sv_eq_nocase(v, SV("BINARYMIME"));
}

static bool check_ret(struct sv v, bool utf8)
{
	return sv_eq_nocase(v, SV("FULL")) || sv_eq_nocase(v, SV("HDRS"));
}

static bool check_auth(struct sv v, bool utf8)
{
	return is_xtext(v, utf8); /* "<>" too, as RFC 4954 5 has it */
}

/* RFC 3461 4.1: NEVER alone, or a list of the other three. */
static bool check_notify(struct sv v, bool utf8)
{
	if (sv_eq_nocase(v, SV("NEVER")))
		return true;
	for (;;) {
		const char *comma = v.n > 0 ? memchr(v.p, ',', v.n) : NULL;
		struct sv item = { v.p, comma ? (size_t)(comma - v.p) : v.n };
		if (!sv_eq_nocase(item, SV("SUCCESS")) && !sv_eq_nocase(item, SV("FAILURE")) &&
		    !sv_eq_nocase(item, SV("DELAY")))
			return false;
		if (!comma)
			return true;
		v = skip(v, item.n + 1);
	}
}

/* RFC 3461 4.2: addr-type ";" xtext. */
static bool check_orcpt(struct sv v, bool utf8)
{
	const char *semicolon = v.n > 0 ? memchr(v.p, ';', v.n) : NULL;
	size_t type = semicolon ? (size_t)(semicolon - v.p) : 0;

	for (size_t i = 0; i < type; i++) {
		if (!ascii_is_alpha(v.p[i]) && !ascii_is_digit(v.p[i]) && v.p[i] != '-')
			return false;
	}
	return type > 0 && is_xtext(skip(v, type + 1), utf8);
}

struct param {
	struct sv name;
	bool (*check)(struct sv value, bool utf8); /* NULL: takes no value */
};

static const struct param mail_params[] = {
	{ { "SIZE", 4 }, check_size }, { { "BODY", 4 }, check_body }, { { "SMTPUTF8", 8 }, NULL },
	{ { "RET", 3 }, check_ret },   { { "ENVID", 5 }, is_xtext },  { { "AUTH", 4 }, check_auth },
};
#define MAIL_SMTPUTF8 (1u << 2) /* its place in mail_params */

static const struct param rcpt_params[] = {
	{ { "NOTIFY", 6 }, check_notify },
	{ { "ORCPT", 5 }, check_orcpt },
};

/* esmtp-keyword: (ALPHA / DIGIT) *(ALPHA / DIGIT / "-") */
static bool is_keyword(struct sv v)
{
	for (size_t i = 0; i < v.n; i++) {
		if (!ascii_is_alpha(v.p[i]) && !ascii_is_digit(v.p[i]) && !(i > 0 && v.p[i] == '-'))
			return false;
	}
	return v.n > 0;
}

/* "NAME=value" or "NAME". Sets the bit of its row in *seen. */
static enum command_error check_param(struct sv word, const struct param *rows, size_t n_rows,
				      bool utf8, uint32_t *seen)
{
	const char *equals = memchr(word.p, '=', word.n);
	struct sv name = { word.p, equals ? (size_t)(equals - word.p) : word.n };
	size_t row = 0;

	if (!is_keyword(name))
		return COMMAND_SYNTAX;
	while (row < n_rows && !sv_eq_nocase(name, rows[row].name))
		row++;
	if (row == n_rows)
		return COMMAND_PARAMETER;
	if (*seen & (1u << row))
		return COMMAND_SYNTAX;
	*seen |= 1u << row;
	if (!rows[row].check)
		return equals ? COMMAND_SYNTAX : COMMAND_OK;
	return equals && rows[row].check(skip(word, name.n + 1), utf8) ? COMMAND_OK
								       : COMMAND_SYNTAX;
}

static enum command_error check_params(struct sv params, const struct param *rows, size_t n_rows,
				       bool utf8, uint32_t *ret_seen)
{
	uint32_t seen = 0;

	for (struct sv rest = params; rest.n > 0;) {
		struct sv word = first_word(rest);
		enum command_error e = check_param(word, rows, n_rows, utf8, &seen);
		if (e != COMMAND_OK)
			return e;
		rest = skip(rest, word.n);
		/* They go on as they stand: only spaces between them. */
		if (rest.n > 0 && rest.p[0] != ' ')
			return COMMAND_SYNTAX;
		while (rest.n > 0 && rest.p[0] == ' ')
			rest = skip(rest, 1);
	}
	*ret_seen = seen;
	return COMMAND_OK;
}

/* "FROM:<path> params" or "TO:...", whichever keyword is. */
static enum command_error split_path(struct sv args, struct sv keyword, bool utf8,
				     struct smtp_path *path, struct sv *ret_params)
{
	size_t used;

	if (!sv_starts_nocase(args, keyword))
		return COMMAND_SYNTAX;
	args = skip(args, keyword.n);
	if (path_parse(args, utf8, path, &used) < 0)
		return COMMAND_ADDRESS;
	args = skip(args, used);
	if (args.n > 0 && !is_blank(args.p[0]))
		return COMMAND_ADDRESS;
	*ret_params = trim(args);
	return COMMAND_OK;
}

static bool path_is_ascii(const struct smtp_path *path)
{
	return text_is_clean((struct sv) { path->local, path->local_len }, false) &&
	       text_is_clean((struct sv) { path->domain, path->domain_len }, false);
}

enum command_error command_mail(struct sv args, struct smtp_path *ret_path, struct sv *ret_params,
				bool *ret_smtputf8)
{
	struct smtp_path path;
	struct sv params;
	uint32_t seen;
	/* SMTPUTF8 stands behind the path that it permits. */
	enum command_error e = split_path(args, SV("FROM:"), true, &path, &params);

	if (e == COMMAND_OK)
		e = check_params(params, mail_params, ARRAY_SIZE(mail_params), false, &seen);
	if (e != COMMAND_OK)
		return e;
	bool smtputf8 = seen & MAIL_SMTPUTF8;
	if (!smtputf8 && !path_is_ascii(&path))
		return COMMAND_ADDRESS;
	*ret_path = path;
	*ret_params = params;
	*ret_smtputf8 = smtputf8;
	return COMMAND_OK;
}

enum command_error command_rcpt(struct sv args, bool smtputf8, struct smtp_path *ret_path,
				struct sv *ret_params)
{
	struct smtp_path path;
	struct sv params;
	uint32_t seen;
	enum command_error e = split_path(args, SV("TO:"), smtputf8, &path, &params);

	if (e == COMMAND_OK && path.kind == PATH_NULL)
		e = COMMAND_ADDRESS;
	if (e == COMMAND_OK)
		e = check_params(params, rcpt_params, ARRAY_SIZE(rcpt_params), smtputf8, &seen);
	if (e != COMMAND_OK)
		return e;
	*ret_path = path;
	*ret_params = params;
	return COMMAND_OK;
}

enum command_error command_bdat(struct sv args, uint64_t *ret_size, bool *ret_last)
{
	struct sv digits = first_word(args);
	struct sv rest = trim(skip(args, digits.n));
	uint64_t size;

	if (sv_to_u64(digits, INT64_MAX, &size) < 0)
		return COMMAND_SYNTAX;
	if (rest.n > 0 && !sv_eq_nocase(rest, SV("LAST")))
		return COMMAND_SYNTAX;
	*ret_size = size;
	*ret_last = rest.n > 0;
	return COMMAND_OK;
}

/* Octets of the UTF-8 character (RFC 3629 4) that v starts with; 0: none, or a C1 control. */
static size_t utf8_len(struct sv v)
{
	const unsigned char *p = (const unsigned char *)v.p;
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t len;

	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		len = 2;
		low = p[0] == 0xc2 ? 0xa0 : 0x80;
	} else if ((p[0] & 0xf0) == 0xe0) {
		len = 3;
		low = p[0] == 0xe0 ? 0xa0 : 0x80;
		high = p[0] == 0xed ? 0x9f : 0xbf;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		len = 4;
		low = p[0] == 0xf0 ? 0x90 : 0x80;
		high = p[0] == 0xf4 ? 0x8f : 0xbf;
	} else {
		return 0;
	}
	if (v.n < len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

bool text_is_clean(struct sv text, bool utf8)
{
	for (size_t i = 0; i < text.n;) {
		unsigned char c = (unsigned char)text.p[i];
		size_t len = 1;
		if (c > 127 && utf8)
			len = utf8_len(skip(text, i));
		else if (c < 32 || c > 126)
			len = 0;
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}
