/*
 * A flat JSON object on one line, written member by member into memory of the caller's.
 *
 * Written here and not by a library: such a line is made for every recipient of every message, and
 * building and dumping a tree of it took as long as carrying the mail. The tests read the lines
 * back with Jansson.
 */
#pragma once

#include "base/base.h"

#define FLAT_TEXT_MAX 256 /* of a text; the rest is left out */

/* A member takes at most its key and 5 * FLAT_TEXT_MAX + 16 octets; running over size is a fault of
 * the caller's, and stops the program. */
struct flat {
	char *out;
	size_t n, size;
};

/* A word of ours, which needs no escaping; null when empty. */
void flat_word(struct flat *l, const char *key, const char *word);
/* A text that a peer may have chosen; null when empty. What is not printable UTF-8 is shown as
 * \xNN. */
void flat_text(struct flat *l, const char *key, struct sv text);
/* The same, and "" when empty. */
void flat_string(struct flat *l, const char *key, struct sv text);
void flat_number(struct flat *l, const char *key, uint64_t number);
/* null when it is 0 or less */
void flat_code(struct flat *l, const char *key, int code);
void flat_bool(struct flat *l, const char *key, bool value);
/* The closing brace and the newline. Returns the length of all. */
size_t flat_end(struct flat *l);

/* text as it may stand in JSON, CSV or a terminal: itself if it is printable UTF-8 of at most
 * FLAT_TEXT_MAX octets, else escaped and cut; out[FLAT_QUOTED] is for that. */
#define FLAT_QUOTED (4 * FLAT_TEXT_MAX + 8)
struct sv flat_clean(struct sv text, char *out);
