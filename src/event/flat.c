#include "event/flat.h"

#include "base/log.h"
#include "smtp/command.h"

static void add(struct flat *l, struct sv v)
{
	INVARIANT(v.n < l->size - l->n);
	memcpy(l->out + l->n, v.p, v.n);
	l->n += v.n;
}

static void add_char(struct flat *l, char c)
{
	add(l, (struct sv) { &c, 1 });
}

static void add_key(struct flat *l, const char *key)
{
	add_char(l, l->n == 0 ? '{' : ',');
	add_char(l, '"');
	add(l, sv_from(key));
	add(l, SV("\":"));
}

void flat_word(struct flat *l, const char *key, const char *word)
{
	add_key(l, key);
	if (!word || !*word) {
		add(l, SV("null"));
		return;
	}
	add_char(l, '"');
	add(l, sv_from(word));
	add_char(l, '"');
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

void flat_string(struct flat *l, const char *key, struct sv text)
{
	char quoted[FLAT_QUOTED];

	text = flat_clean(text, quoted);
	add_key(l, key);
	add_char(l, '"');
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			add_char(l, '\\');
		add_char(l, text.p[i]);
	}
	add_char(l, '"');
}

void flat_number(struct flat *l, const char *key, uint64_t number)
{
	char digits[24];
	char *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + number % 10);
	while (number /= 10);
	add_key(l, key);
	add(l, (struct sv) { p, (size_t)(digits + sizeof(digits) - p) });
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
	add_key(l, key);
	add(l, value ? SV("true") : SV("false"));
}

size_t flat_end(struct flat *l)
{
	add(l, SV("}\n"));
	return l->n;
}
