/*
 * Names that spell out their address. Nobody calls an outgoing mail server so; providers of
 * dial-up lines and of cloud machines do, for all of them at once. Part of policy/scanner.h.
 *
 * An address counts as spelled out when its last two octets stand next to each other in decimal, in
 * either order (which covers longer forms, since those contain them), or its last three or all four
 * in hex. Single numbers are how honest machines are counted (out-12).
 */
#include "policy/scanner.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_LEN 255

static bool is_hex(char c)
{
	return ascii_is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

static bool is_separator(char c)
{
	return c == '-' || c == '.' || c == '_';
}

/* A whole run of digits at *p, of three at most, is that octet, with leading zeros or without. */
static bool take_decimal(const char **p, uint8_t octet)
{
	unsigned v = 0;
	int n = 0;
	const char *s = *p;

	for (; ascii_is_digit(*s) && n < 4; s++, n++)
		v = v * 10 + (unsigned)(*s - '0');
	if (n == 0 || n > 3 || v != octet)
		return false;
	*p = s;
	return true;
}

/* "113-7", "113.7"; name itself begins with a run of digits. */
static bool decimal_pair(const char *s, uint8_t first, uint8_t second)
{
	if (!take_decimal(&s, first) || !is_separator(*s))
		return false;
	s++;
	return take_decimal(&s, second);
}

/* "113007", or as a part of a longer run of whole padded octets: "203000113007". */
static bool padded_pair(const char *s, size_t run, uint8_t first, uint8_t second)
{
	char want[8];

	if (run != 6 && run != 9 && run != 12)
		return false;
	snprintf(want, sizeof(want), "%03u%03u", first, second);
	for (size_t at = 0; at + 6 <= run; at += 3)
		if (memcmp(s + at, want, 6) == 0)
			return true;
	return false;
}

static bool spelled_decimal(const char *name, const uint8_t v4[4])
{
	for (const char *s = name; *s;) {
		size_t run = strspn(s, "0123456789");

		if (run == 0) {
			s++;
			continue;
		}
		if (decimal_pair(s, v4[2], v4[3]) || decimal_pair(s, v4[3], v4[2]) ||
		    padded_pair(s, run, v4[2], v4[3]) || padded_pair(s, run, v4[3], v4[2]))
			return true;
		s += run;
	}
	return false;
}

/* n octets in two hex digits each, a separator allowed between them. Returns the end, or NULL. */
static const char *take_hex(const char *s, const uint8_t *octets, int n, int step)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < n; i++, octets += step) {
		if (i > 0 && is_separator(*s))
			s++;
		if (ascii_lower(s[0]) != digits[*octets >> 4] ||
		    ascii_lower(s[1]) != digits[*octets & 15])
			return NULL;
		s += 2;
	}
	return s;
}

static bool spelled_hex(const char *name, const uint8_t v4[4])
{
	for (const char *s = name; *s; s++) {
		if (take_hex(s, v4, 4, 1) || take_hex(s, v4 + 3, 4, -1))
			return true;
		/* Six digits are fewer: only as a word of their own. */
		if (s > name && is_hex(s[-1]))
			continue;
		const char *end = take_hex(s, v4 + 1, 3, 1);

		if (!end)
			end = take_hex(s, v4 + 3, 3, -1);
		if (end && !is_hex(*end))
			return true;
	}
	return false;
}

/* Groups of an IPv6 interface identifier, "0-0-0-7" or "a.b.c.d", step 1 or -1. */
static bool spelled_groups(const char *name, const uint8_t iid[8], bool reverse)
{
	for (const char *s = name; *s; s++) {
		if (!is_hex(*s) || (s > name && is_hex(s[-1])))
			continue;
		const char *at = s;
		int i = 0;

		for (; i < 4; i++) {
			const uint8_t *g = iid + 2 * (reverse ? 3 - i : i);
			char *end;

			if (i > 0 && !is_separator(*at++))
				break;
			if (!is_hex(*at) ||
			    strtoul(at, &end, 16) != (unsigned long)(g[0] << 8 | g[1]) ||
			    end - at > 4)
				break;
			at = end;
		}
		if (i == 4)
			return true;
	}
	return false;
}

static bool spelled_v6(const char *name, const struct addr *a)
{
	char plain[NAME_MAX_LEN + 1], forward[17], reverse[17], text[ADDR_STRLEN];
	size_t n = 0;

	for (const char *s = name; *s && n < NAME_MAX_LEN; s++)
		if (!is_separator(*s))
			plain[n++] = ascii_lower(*s);
	plain[n] = '\0';
	for (int i = 0; i < 8; i++)
		snprintf(forward + (size_t)(2 * i), 3, "%02x", a->b[8 + i]);
	for (int i = 0; i < 16; i++)
		reverse[i] = forward[15 - i];
	reverse[16] = '\0';
	if (strstr(plain, forward) || strstr(plain, reverse))
		return true;

	addr_format(a, text);
	for (char *p = text; *p; p++)
		if (*p == ':')
			*p = '-';
	return strstr(name, text) || spelled_groups(name, a->b + 8, false) ||
	       spelled_groups(name, a->b + 8, true);
}

bool name_is_generic(const char *name, const struct addr *address)
{
	if (strlen(name) > NAME_MAX_LEN)
		return true; /* no host name */
	if (!addr_is_v4(address))
		return spelled_v6(name, address);
	return spelled_decimal(name, address->b + 12) || spelled_hex(name, address->b + 12);
}
