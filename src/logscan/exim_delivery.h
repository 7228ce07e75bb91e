/* Exim's lines about a recipient: "=>", "->", ">>", "*>", "**" and "==". */
#pragma once

#include "logscan/entry.h"

/* flag: its two octets; text: what follows the space behind it. ret_entry has time, day and id
 * already; kind and the recipient's fields are set. */
void exim_delivery(const char *flag, struct sv text, struct entry *ret_entry);
