/*
 * What Postfix's daemons log (smtpd, cleanup, qmgr, smtp, lmtp, local, virtual, pipe, pickup,
 * bounce, ...), short and long queue ids. Pure: any bytes may come in.
 *
 * Addresses are read by RFC 5321's quoting (info_log_address_format = external, the default since
 * Postfix 3.5). HELO, sender, recipients and replies of other servers are chosen by strangers: a
 * line in which the frame ("; from=<", "> to=<", ">, relay=") can be read in two ways with the
 * addresses quoted as they are is ENTRY_UNPARSED. (smtpd takes such characters out of a HELO,
 * postscreen doesn't.) Up to Postfix 3.4 local parts are not quoted, and one with quotes and such a
 * frame in it can pass for another recipient there.
 *
 * A refusal of an authenticated client is told without HELO, and not as authenticated: its line
 * could be a HELO's work. A recipient that was an alias of another domain is WAY_UNKNOWN if its
 * target is remote.
 */
#pragma once

#include "logscan/entry.h"

/*
 * program: as syslog has it, "postfix/smtpd", "postfix/submission/smtpd", "mx-in/smtpd"; message:
 * what follows "[PID]: ". ret_entry has time and day already, the rest zero. false: no program of
 * Postfix's.
 */
bool postfix_parse(struct sv program, struct sv message, struct entry *ret_entry);
