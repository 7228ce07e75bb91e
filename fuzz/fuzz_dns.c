/* A DNS answer from anybody. The first byte chooses the type asked for; the question asked for is
 * the one in the message, so that most inputs get past that check. */
#include "dns/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_name(const char *s)
{
	return strnlen(s, WIRE_NAME_SIZE) <= 253;
}

/* The name in the question, as the parser writes names. */
static void question_name(const uint8_t *p, size_t n, char *out)
{
	size_t at = 12, len = 0;

	while (at < n && p[at] && p[at] < 64 && len + p[at] < 253) {
		for (size_t i = 1; i <= p[at] && at + i < n; i++)
			out[len++] = ascii_lower((char)p[at + i]);
		out[len++] = '.';
		at += 1u + p[at];
	}
	out[len ? len - 1 : 0] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum wire_type types[] = { WIRE_A,  WIRE_AAAA, WIRE_MX,
						WIRE_NS, WIRE_PTR,  WIRE_TXT };
	static struct wire_answer a;
	char name[WIRE_NAME_SIZE];
	enum wire_type type;

	if (size == 0)
		return 0;
	type = types[data[0] % ARRAY_SIZE(types)];
	question_name(data + 1, size - 1, name);
	wire_parse(data + 1, size - 1, name, type, &a);

	INVARIANT(a.n <= WIRE_MAX_RECORDS && is_name(a.canonical));
	INVARIANT((a.n > 0) == (a.status == DNS_OK));
	INVARIANT(!a.dangling || a.status == DNS_NODATA);
	for (size_t i = 0; i < a.n; i++)
		INVARIANT(type == WIRE_A || type == WIRE_AAAA || type == WIRE_TXT ||
			  is_name(a.records[i].name));
	for (size_t i = 0; type == WIRE_TXT && i < a.n; i++)
		INVARIANT((size_t)a.records[i].text_at + a.records[i].text_n <= a.text_n);
	uint32_t lifetime = wire_answer_lifetime(&a);
	INVARIANT(lifetime >= (a.status == DNS_FAILED ? 10 : 60) && lifetime <= 86400);
	return 0;
}
