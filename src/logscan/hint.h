/*
 * What a group of clients that deliver past the door looks like, so that an administrator sees the
 * honest ones first. A hint is a reading of numbers, never a verdict: its why says which numbers.
 */
#pragma once

#include "logscan/tally.h"

enum hint {
	HINT_SCANNER_EGRESS, /* named below the domain of the MX: an egress nobody has listed */
	HINT_MONITOR,        /* few domains, steady */
	HINT_DEVICE, /* few domains, sends as the domain itself: printer, web shop, web host */
	HINT_SENDER, /* a named mail server that goes past the MX */
	HINT_BOT,    /* many domains or addresses, once; guessed recipients; no name */
	HINT_UNCLEAR,
	HINT_COUNT,
};
const char *hint_name(enum hint h);

#define HINT_WHY_MAX 400

/* why: one sentence, into out[HINT_WHY_MAX]. */
enum hint hint_of(const struct tally_group *g, const struct book *b, char *out);
