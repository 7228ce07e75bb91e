/*
 * The pieces that Exim's log lines are made of, as Exim writes them (log_write() and its callers).
 * Each reader takes the text that is left, [p, end), and returns where the piece ends; NULL: it is
 * not there, or not as Exim writes it.
 */
#pragma once

#include "logscan/entry.h"

/* What an octet is, of EXIM_...; a table because a line is read octet by octet. */
extern const uint8_t exim_octet[256];
#define EXIM_ALNUM 1
#define EXIM_STOP                                                                                  \
	2 /* in a word or an address: space, quote, backslash, and what ends one in <> or () */

/*
 * An address: up to a space or stop ('\0': none) outside quotes. Unlike RFC 5321 Exim takes (and
 * writes) a backslash with the octet after it outside quotes too. NULL: a quote that does not end.
 */
const char *exim_address(const char *p, const char *end, char stop);
/* "<ADDRESS>": *ret_address is without the brackets. */
const char *exim_bracketed(const char *p, const char *end, struct sv *ret_address);
/* "TEXT" in quotes, with backslashes before quotes and backslashes inside. */
const char *exim_quoted(const char *p, const char *end);
/* Up to a space; NULL when a quote is in it. */
const char *exim_word(const char *p, const char *end);
/* "[IP]" or "[IP]:PORT"; the port is 0 without. A scope behind the address is dropped. */
const char *exim_endpoint(const char *p, const char *end, struct endpoint *ret_endpoint);
/* Whether text stands at p. */
static inline bool exim_at(const char *p, const char *end, struct sv text)
{
	return (size_t)(end - p) >= text.n && memcmp(p, text.p, text.n) == 0;
}
/* Where text is next at or behind p; NULL: nowhere. */
static inline const char *exim_find(const char *p, const char *end, struct sv text)
{
	return p < end ? memmem(p, (size_t)(end - p), text.p, text.n) : NULL;
}
/*
 * A field that is of no interest here: a bare word ("K", "L-", "PRDR", "TFO*", "DS", "ARC") or
 * KEY=WORD with a key that is none of those that mean something. */
const char *exim_other_field(const char *p, const char *end);
/* What follows "A=": name, identity and sender of who has authenticated; an identity may have
 * spaces in it. */
const char *exim_authenticated(const char *p, const char *end);
