#include "event/flat.h"

#include "base/log.h"
#include "smtp/command.h"

/* Room for n octets, which become part of the line. */
static char *take(struct flat *l, size_t n)
{
	char *at = l->out + l->n;

	INVARIANT(n < l->size - l->n);
	l->n += n;
	return at;
}

/* The key, and room for n octets of a value. */
static char *add_key(struct flat *l, const char *key, size_t n)
{
	size_t len = strlen(key);
	bool first = l->n == 0;
	char *at = take(l, len + 4 + n);

	*at++ = first ? '{' : ',';
	*at++ = '"';
	at = mempcpy(at, key, len);
	*at++ = '"';
	*at++ = ':';
	return at;
}

static void add_value(struct flat *l, const char *key, struct sv value)
{
	memcpy(add_key(l, key, value.n), value.p, value.n);
}

void flat_word(struct flat *l, const char *key, const char *word)
{
	size_t len = word ? strlen(word) : 0;

	if (len == 0) {
		add_value(l, key, SV("null"));
		return;
	}
	char *at = add_key(l, key, len + 2);
	*at++ = '"';
	at = mempcpy(at, word, len);
	*at = '"';
}

struct sv flat_clean(struct sv text, char *out)
{
	if (text.n <= FLAT_TEXT_MAX && text_is_clean(text, true))
		return text;
	text.n = min_size(text.n, FLAT_TEXT_MAX);
	return sv_from(log_quote(text, out, FLAT_QUOTED));
}

void flat_text(struct flat *l, const char *key, struct sv text)
{
	if (text.n == 0)
		flat_word(l, key, NULL);
	else
		flat_string(l, key, text);
}

static bool needs_escape(char c)
{
	return c == '"' || c == '\\';
}

void flat_string(struct flat *l, const char *key, struct sv text)
{
	char quoted[FLAT_QUOTED];
	size_t escapes = 0;

	text = flat_clean(text, quoted);
	for (size_t i = 0; i < text.n; i++)
		escapes += needs_escape(text.p[i]);
	char *at = add_key(l, key, text.n + escapes + 2);
	*at++ = '"';
	if (escapes == 0)
		at = mempcpy(at, text.p, text.n);
	for (size_t i = 0; escapes && i < text.n; i++) {
		if (needs_escape(text.p[i]))
			*at++ = '\\';
		*at++ = text.p[i];
	}
	*at = '"';
}

void flat_number(struct flat *l, const char *key, uint64_t number)
{
	char digits[24];
	char *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + number % 10);
	while (number /= 10);
	add_value(l, key, (struct sv) { p, (size_t)(digits + sizeof(digits) - p) });
}

void flat_code(struct flat *l, const char *key, int code)
{
	if (code > 0)
		flat_number(l, key, (uint64_t)code);
	else
		flat_word(l, key, NULL);
}

void flat_bool(struct flat *l, const char *key, bool value)
{
	add_value(l, key, value ? SV("true") : SV("false"));
}

size_t flat_end(struct flat *l)
{
	memcpy(take(l, 2), "}\n", 2);
	return l->n;
}
