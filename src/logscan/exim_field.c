#include "logscan/exim_field.h"

const uint8_t exim_octet[256] = {
	['0' ... '9'] = EXIM_ALNUM, ['A' ... 'Z'] = EXIM_ALNUM, ['a' ... 'z'] = EXIM_ALNUM,
	[' '] = EXIM_STOP,          ['"'] = EXIM_STOP,          ['\\'] = EXIM_STOP,
	['<'] = EXIM_STOP,          ['>'] = EXIM_STOP,          [')'] = EXIM_STOP,
};

static inline bool is(char c, uint8_t what)
{
	return exim_octet[(unsigned char)c] & what;
}

/* The first octet at or behind p that may end a word. */
static inline const char *next_stop(const char *p, const char *end)
{
	for (; end - p >= 4; p += 4) {
		if (is(p[0], EXIM_STOP))
			return p;
		if (is(p[1], EXIM_STOP))
			return p + 1;
		if (is(p[2], EXIM_STOP))
			return p + 2;
		if (is(p[3], EXIM_STOP))
			return p + 3;
	}
	while (p < end && !is(*p, EXIM_STOP))
		p++;
	return p;
}

const char *exim_address(const char *p, const char *end, char stop)
{
	bool quoted = false;

	for (; (p = next_stop(p, end)) < end; p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (*p == '\\')
			p += p + 1 < end;
		else if (!quoted && (*p == ' ' || *p == stop))
			break;
	}
	return quoted ? NULL : p;
}

const char *exim_bracketed(const char *p, const char *end, struct sv *ret_address)
{
	const char *q;

	if (p == end || *p != '<')
		return NULL;
	q = exim_address(p + 1, end, '>');
	if (!q || q == end || *q != '>')
		return NULL;
	*ret_address = (struct sv) { p + 1, (size_t)(q - p - 1) };
	return q + 1;
}

const char *exim_quoted(const char *p, const char *end)
{
	const char *quote, *backslash;

	if (p == end || *p != '"')
		return NULL;
	for (p++; p < end && (quote = memchr(p, '"', (size_t)(end - p))); p = backslash + 2) {
		backslash = memchr(p, '\\', (size_t)(quote - p));
		if (!backslash)
			return quote + 1;
		if (end - backslash < 2)
			break;
	}
	return NULL;
}

const char *exim_word(const char *p, const char *end)
{
	for (; (p = next_stop(p, end)) < end; p++) {
		if (*p == '"')
			return NULL;
		if (*p == ' ')
			break;
	}
	return p;
}

/* "192.0.2.1]": the common case, without a call of the C library. */
static const char *quad(const char *p, const char *end, struct addr *ret_addr)
{
	uint8_t bytes[4];

	for (int i = 0; i < 4; i++) {
		unsigned int value = 0, digits = 0;

		for (; p < end && ascii_is_digit(*p) && digits < 3; p++, digits++) {
			if (digits == 1 && value == 0)
				return NULL;
			value = value * 10 + (unsigned int)(*p - '0');
		}
		if (digits == 0 || value > 255 || p == end || *p != (i < 3 ? '.' : ']'))
			return NULL;
		bytes[i] = (uint8_t)value;
		p++;
	}
	*ret_addr = addr_from_v4(bytes);
	return p - 1;
}

const char *exim_endpoint(const char *p, const char *end, struct endpoint *ret_endpoint)
{
	struct endpoint e = { .port = 0 };
	const char *close, *scope;
	unsigned int port = 0;

	if (p == end || *p != '[')
		return NULL;
	p++;
	close = quad(p, end, &e.addr);
	if (!close) {
		close = memchr(p, ']', (size_t)(end - p));
		if (!close)
			return NULL;
		scope = memchr(p, '%', (size_t)(close - p));
		if (addr_parse((struct sv) { p, (size_t)((scope ? scope : close) - p) }, &e.addr) <
		    0)
			return NULL;
	}
	p = close + 1;
	if (p < end && *p == ':') {
		const char *digits = ++p;
		for (; p < end && ascii_is_digit(*p) && port <= 65535; p++)
			port = port * 10 + (unsigned int)(*p - '0');
		if (p == digits || port > 65535)
			return NULL;
	}
	e.port = (uint16_t)port;
	*ret_endpoint = e;
	return p;
}

/* The keys that mean something: each in its own place only. */
static bool is_known_key(const char *key, size_t n)
{
	if (n == 1)
		return strchr("ACFHIPRSTU", key[0]) != NULL;
	if (n == 2)
		return memcmp(key, "DN", 2) == 0 || memcmp(key, "id", 2) == 0;
	return n == 3 && (memcmp(key, "SNI", 3) == 0 || memcmp(key, "id*", 3) == 0);
}

/* The length of "KEY" before a '='; 0: no key. */
static size_t key_len(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && n < 10 && (is(p[n], EXIM_ALNUM) || p[n] == '*'))
		n++;
	return p + n < end && p[n] == '=' && is(*p, EXIM_ALNUM) ? n : 0;
}

static bool is_bare_word(const char *p, size_t n)
{
	static const struct sv words[] = { SV("K"),   SV("L"),    SV("L-"),  SV("L*"),
					   SV("L*-"), SV("L."),   SV("L.-"), SV("PRDR"),
					   SV("TFO"), SV("TFO*"), SV("DS"),  SV("ARC") };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].n == n && memcmp(words[i].p, p, n) == 0)
			return true;
	return false;
}

const char *exim_other_field(const char *p, const char *end)
{
	const char *q = exim_word(p, end);
	size_t n;

	if (!q)
		return NULL;
	n = key_len(p, end);
	if (n > 0 ? is_known_key(p, n) : !is_bare_word(p, (size_t)(q - p)))
		return NULL;
	return q;
}

const char *exim_authenticated(const char *p, const char *end)
{
	while ((p = exim_word(p, end)) && p < end) {
		const char *next = exim_word(p + 1, end);

		if (key_len(p + 1, end) > 0 ||
		    (next && is_bare_word(p + 1, (size_t)(next - p - 1))))
			break;
		/* rejections have no field behind it, but words */
		if (exim_at(p, end, SV(" rejected ")) || exim_at(p, end, SV(" temporarily ")))
			break;
		p++;
	}
	return p;
}
