/*
 * Does a rule of another table give packets or connections a mark of ours (base/marks.h)? What it
 * marks would be delivered on this host. Rules of iptables-legacy aren't seen, nor what copies
 * marks from one place to the other: the test connection meets these.
 */
#pragma once

#include "base/buf.h"

#define MARKS_TEXT_MAX 200

/* ruleset: as nft prints it. true: ret_text says which. Pure. */
bool marks_taken(struct sv ruleset, char ret_text[MARKS_TEXT_MAX]);
/* Of this host; false too where it can't be read. */
bool marks_taken_here(char ret_text[MARKS_TEXT_MAX]);
