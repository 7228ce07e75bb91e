#include "proxy/proxy_header.h"

#include <stdio.h>

#define V2_HEAD 16 /* signature, version and command, family and protocol, length */
#define V2_IP4  12
#define V2_IP6  36

enum {
	AT_COMMAND = 12,
	AT_FAMILY = 13,
	AT_LENGTH = 14,

	COMMAND_LOCAL = 0x20, /* with the version's nibble */
	COMMAND_PROXY = 0x21,

	FAMILY_TCP4 = 0x11,
	FAMILY_TCP6 = 0x21,
	FAMILY_MAX = 3,   /* AF_UNIX */
	PROTOCOL_MAX = 2, /* DGRAM */

	TLV_HEAD = 3,
	TLV_CRC32C = 3,
};

static const struct sv v1_start = { "PROXY ", 6 };
static const struct sv v2_signature = { "\r\n\r\n\0\r\nQUIT\n", 12 };

/* Version 1: a rest of the line is read from its front. With MORE all of it was a beginning. */

static enum proxy_header_outcome take(struct sv *rest, struct sv word)
{
	size_t n = min_size(rest->n, word.n);

	if (!sv_eq((struct sv) { rest->p, n }, (struct sv) { word.p, n }))
		return PROXY_HEADER_BAD;
	if (n < word.n)
		return PROXY_HEADER_MORE;
	*rest = (struct sv) { rest->p + n, rest->n - n };
	return PROXY_HEADER_DONE;
}

/* The octets before end; with MORE, those that are there. */
static enum proxy_header_outcome take_field(struct sv *rest, char end, struct sv *ret_field)
{
	const char *p = rest->n ? memchr(rest->p, end, rest->n) : NULL;
	size_t n = p ? (size_t)(p - rest->p) : rest->n;

	*ret_field = (struct sv) { rest->p, n };
	if (!p)
		return PROXY_HEADER_MORE;
	*rest = (struct sv) { p + 1, rest->n - n - 1 };
	return n > 0 ? PROXY_HEADER_DONE : PROXY_HEADER_BAD;
}

/* Also true of nothing. */
static bool is_number(struct sv v, uint64_t max)
{
	uint64_t value;

	return v.n == 0 || (sv_to_u64(v, max, &value) == 0 && (v.n == 1 || v.p[0] != '0'));
}

static bool begins_ip4(struct sv v)
{
	int dots = 0;
	size_t start = 0;

	for (size_t i = 0; i <= v.n; i++) {
		if (i < v.n && v.p[i] != '.')
			continue;
		if (!is_number((struct sv) { v.p + start, i - start }, 255))
			return false;
		if (i < v.n && (i == start || ++dots > 3))
			return false;
		start = i + 1;
	}
	return true;
}

/* An address with an IPv4 tail is allowed: so does inet_ntop() write mapped ones, and so HAProxy.
 */
static bool begins_ip6(struct sv v)
{
	for (size_t i = 0; i < v.n; i++) {
		char c = ascii_lower(v.p[i]);
		if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f') && c != ':' && c != '.')
			return false;
	}
	return v.n < ADDR_STRLEN;
}

static enum proxy_header_outcome take_address(struct sv *rest, bool is_ip4, struct addr *ret_addr)
{
	struct sv field;
	enum proxy_header_outcome r = take_field(rest, ' ', &field);

	if (r == PROXY_HEADER_BAD || !(is_ip4 ? begins_ip4(field) : begins_ip6(field)))
		return PROXY_HEADER_BAD;
	if (r == PROXY_HEADER_MORE)
		return r;
	if (!is_ip4 && !memchr(field.p, ':', field.n))
		return PROXY_HEADER_BAD;
	return addr_parse(field, ret_addr) == 0 ? PROXY_HEADER_DONE : PROXY_HEADER_BAD;
}

static enum proxy_header_outcome take_port(struct sv *rest, char end, uint16_t *ret_port)
{
	struct sv field;
	uint64_t value = 0;
	enum proxy_header_outcome r = take_field(rest, end, &field);

	if (r == PROXY_HEADER_BAD || !is_number(field, UINT16_MAX))
		return PROXY_HEADER_BAD;
	if (r == PROXY_HEADER_DONE && sv_to_u64(field, UINT16_MAX, &value) == 0)
		*ret_port = (uint16_t)value;
	return r;
}

static enum proxy_header_outcome take_tcp(struct sv *rest, bool is_ip4, struct proxy_header *h)
{
	enum proxy_header_outcome r = take_address(rest, is_ip4, &h->source.addr);

	if (r == PROXY_HEADER_DONE)
		r = take_address(rest, is_ip4, &h->destination.addr);
	if (r == PROXY_HEADER_DONE)
		r = take_port(rest, ' ', &h->source.port);
	if (r == PROXY_HEADER_DONE)
		r = take_port(rest, '\r', &h->destination.port);
	return r == PROXY_HEADER_DONE ? take(rest, SV("\n")) : r;
}

/* What is behind UNKNOWN is ignored, but it is text and ends with CRLF. */
static enum proxy_header_outcome take_ignored(struct sv *rest)
{
	size_t n = 0;

	while (n < rest->n && rest->p[n] >= ' ' && rest->p[n] <= '~')
		n++;
	if (n > 0 && rest->p[0] != ' ')
		return PROXY_HEADER_BAD;
	*rest = (struct sv) { rest->p + n, rest->n - n };
	return take(rest, SV("\r\n"));
}

static enum proxy_header_outcome parse_v1(struct sv in, struct proxy_header *ret_header)
{
	struct proxy_header h = { 0 };
	struct sv line = { in.p, min_size(in.n, PROXY_HEADER_V1_MAX) };
	struct sv rest = line;
	enum proxy_header_outcome r = take(&rest, v1_start);

	if (r != PROXY_HEADER_DONE)
		return r;
	struct sv ip4 = rest, ip6 = rest, unknown = rest;
	enum proxy_header_outcome r4 = take(&ip4, SV("TCP4 ")), r6 = take(&ip6, SV("TCP6 "));
	enum proxy_header_outcome ru = take(&unknown, SV("UNKNOWN"));
	if (r4 == PROXY_HEADER_DONE) {
		rest = ip4;
		r = take_tcp(&rest, true, &h);
	} else if (r6 == PROXY_HEADER_DONE) {
		rest = ip6;
		r = take_tcp(&rest, false, &h);
	} else if (ru == PROXY_HEADER_DONE) {
		rest = unknown;
		h.is_local = true;
		r = take_ignored(&rest);
	} else {
		bool bad =
			r4 == PROXY_HEADER_BAD && r6 == PROXY_HEADER_BAD && ru == PROXY_HEADER_BAD;
		r = bad ? PROXY_HEADER_BAD : PROXY_HEADER_MORE;
	}
	if (r == PROXY_HEADER_MORE && line.n == PROXY_HEADER_V1_MAX)
		return PROXY_HEADER_BAD;
	if (r == PROXY_HEADER_DONE) {
		h.used = line.n - rest.n;
		*ret_header = h;
	}
	return r;
}

static uint16_t get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static uint8_t *put16(uint8_t *b, uint16_t value)
{
	b[0] = (uint8_t)(value >> 8);
	b[1] = (uint8_t)value;
	return b + 2;
}

/* CRC32C (RFC 4960 appendix B) of a header, with the four octets at field taken as zero. */
static uint32_t header_crc(const uint8_t *b, size_t n, size_t field)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= i >= field && i - field < 4 ? 0 : b[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	return ~crc;
}

/* The TLVs from at to the header's end at n, as far as they came; DONE when all are there. */
static enum proxy_header_outcome check_tlvs(struct sv in, size_t at, size_t n)
{
	const uint8_t *b = (const uint8_t *)in.p;
	size_t crc_at = 0;

	while (at < n) {
		if (n - at < TLV_HEAD)
			return PROXY_HEADER_BAD;
		if (in.n < at + TLV_HEAD)
			return PROXY_HEADER_MORE;
		size_t length = get16(b + at + 1);
		if (length > n - at - TLV_HEAD)
			return PROXY_HEADER_BAD;
		if (b[at] == TLV_CRC32C) {
			if (length != 4 || crc_at != 0)
				return PROXY_HEADER_BAD;
			crc_at = at + TLV_HEAD;
		}
		at += TLV_HEAD + length;
	}
	if (in.n < n)
		return PROXY_HEADER_MORE;
	if (crc_at != 0) {
		const uint8_t *f = b + crc_at;
		uint32_t crc = (uint32_t)get16(f) << 16 | get16(f + 2);
		if (crc != header_crc(b, n, crc_at))
			return PROXY_HEADER_BAD;
	}
	return PROXY_HEADER_DONE;
}

static void get_endpoints(const uint8_t *b, bool is_ip4, struct proxy_header *h)
{
	size_t n = is_ip4 ? 4 : 16;

	h->source.addr = is_ip4 ? addr_from_v4(b) : addr_from_v6(b);
	h->destination.addr = is_ip4 ? addr_from_v4(b + n) : addr_from_v6(b + n);
	h->source.port = get16(b + 2 * n);
	h->destination.port = get16(b + 2 * n + 2);
}

static enum proxy_header_outcome parse_v2(struct sv in, struct proxy_header *ret_header)
{
	const uint8_t *b = (const uint8_t *)in.p;
	struct proxy_header h = { .is_local = true };

	if (in.n > AT_COMMAND && b[AT_COMMAND] != COMMAND_LOCAL && b[AT_COMMAND] != COMMAND_PROXY)
		return PROXY_HEADER_BAD;
	/* LOCAL: the family is ignored, and so is the block. */
	if (in.n > AT_FAMILY && b[AT_COMMAND] == COMMAND_PROXY) {
		uint8_t family = b[AT_FAMILY];
		if (family >> 4 > FAMILY_MAX || (family & 0x0f) > PROTOCOL_MAX)
			return PROXY_HEADER_BAD;
		h.is_local = family != FAMILY_TCP4 && family != FAMILY_TCP6;
	}
	if (in.n < V2_HEAD)
		return PROXY_HEADER_MORE;

	h.used = V2_HEAD + (size_t)get16(b + AT_LENGTH);
	if (h.used > PROXY_HEADER_MAX)
		return PROXY_HEADER_BAD;
	if (!h.is_local) {
		bool is_ip4 = b[AT_FAMILY] == FAMILY_TCP4;
		size_t tlvs = V2_HEAD + (is_ip4 ? V2_IP4 : V2_IP6);
		if (h.used < tlvs)
			return PROXY_HEADER_BAD;
		enum proxy_header_outcome r = check_tlvs(in, tlvs, h.used);
		if (r != PROXY_HEADER_DONE)
			return r;
		get_endpoints(b + V2_HEAD, is_ip4, &h);
	}
	if (in.n < h.used)
		return PROXY_HEADER_MORE;
	*ret_header = h;
	return PROXY_HEADER_DONE;
}

enum proxy_header_outcome proxy_header_parse(struct sv in, struct proxy_header *ret_header)
{
	struct sv rest = in;
	enum proxy_header_outcome r = take(&rest, v2_signature);

	if (r == PROXY_HEADER_DONE)
		return parse_v2(in, ret_header);
	/* No octet yet, or "\r": version 1 begins with another. */
	if (r == PROXY_HEADER_MORE)
		return r;
	return parse_v1(in, ret_header);
}

static bool are_ip4(const struct endpoint *source, const struct endpoint *destination)
{
	return addr_is_v4(&source->addr) && addr_is_v4(&destination->addr);
}

/* Into out[ADDR_STRLEN + 7]. */
static const char *format_ip6(const struct addr *a, char *out)
{
	char text[ADDR_STRLEN];

	snprintf(out, ADDR_STRLEN + 7, "%s%s", addr_is_v4(a) ? "::ffff:" : "",
		 addr_format(a, text));
	return out;
}

size_t proxy_header_write_v1(const struct endpoint *source, const struct endpoint *destination,
			     char out[PROXY_HEADER_V1_MAX])
{
	bool is_ip4 = are_ip4(source, destination);
	const char *(*format)(const struct addr *, char *) = is_ip4 ? addr_format : format_ip6;
	char line[PROXY_HEADER_V1_MAX + 1], from[ADDR_STRLEN + 7], to[ADDR_STRLEN + 7];
	int n = snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n", is_ip4 ? '4' : '6',
			 format(&source->addr, from), format(&destination->addr, to), source->port,
			 destination->port);

	INVARIANT(n > 0 && (size_t)n < sizeof(line));
	memcpy(out, line, (size_t)n);
	return (size_t)n;
}

size_t proxy_header_write_v1_unknown(char out[PROXY_HEADER_V1_MAX])
{
	static const struct sv line = { "PROXY UNKNOWN\r\n", 15 };

	memcpy(out, line.p, line.n);
	return line.n;
}

static uint8_t *put_v2_head(char *out, uint8_t command, uint8_t family, uint16_t length)
{
	uint8_t *b = (uint8_t *)out;

	memcpy(b, v2_signature.p, v2_signature.n);
	b[AT_COMMAND] = command;
	b[AT_FAMILY] = family;
	return put16(b + AT_LENGTH, length);
}

size_t proxy_header_write_v2(const struct endpoint *source, const struct endpoint *destination,
			     char out[PROXY_HEADER_V2_MAX])
{
	bool is_ip4 = are_ip4(source, destination);
	size_t n = is_ip4 ? 4 : 16;
	uint16_t length = is_ip4 ? V2_IP4 : V2_IP6;
	uint8_t *b = put_v2_head(out, COMMAND_PROXY, is_ip4 ? FAMILY_TCP4 : FAMILY_TCP6, length);

	/* An IPv4 address is the last four octets of struct addr. */
	memcpy(b, source->addr.b + 16 - n, n);
	memcpy(b + n, destination->addr.b + 16 - n, n);
	put16(put16(b + 2 * n, source->port), destination->port);
	return V2_HEAD + length;
}

size_t proxy_header_write_v2_local(char out[PROXY_HEADER_V2_MAX])
{
	put_v2_head(out, COMMAND_LOCAL, 0, 0);
	return V2_HEAD;
}

enum proxy_lure_outcome proxy_lure_feed(struct proxy_lure *lure, struct sv in)
{
	for (size_t i = 0; i < in.n && lure->outcome == PROXY_LURE_MAYBE; i++) {
		if (lure->matched == 0)
			lure->version = in.p[i] == v1_start.p[0] ? 1 : 2;
		struct sv lead = lure->version == 1 ? v1_start : v2_signature;
		if (in.p[i] != lead.p[lure->matched])
			lure->outcome = PROXY_LURE_NO;
		else if (++lure->matched == lead.n)
			lure->outcome = PROXY_LURE_YES;
	}
	return (enum proxy_lure_outcome)lure->outcome;
}
