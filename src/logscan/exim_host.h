/*
 * Exim's lines that begin with, or have, the other host: "<=" and "rejected RCPT". What strangers
 * choose there (HELO, ident, certificate names) has no quoting, so a line may be readable in more
 * than one way; each way is tried to its end, and only what all of them say is told.
 */
#pragma once

#include "logscan/entry.h"

/* text: what follows "<= ". ret_entry has time, day and id already; the rest is set. */
void exim_arrival(struct sv text, struct entry *ret_entry);
/* text: the line behind its time stamp. ENTRY_REFUSED, ENTRY_OTHER, or ENTRY_UNPARSED. */
void exim_refused(struct sv text, struct entry *ret_entry);
