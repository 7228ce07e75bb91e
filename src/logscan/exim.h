/*
 * Exim's main log (Exim specification, chapter "Log files"), with every log_selector that changes
 * the shape of a line: pid, millisec, log_timezone, incoming_interface, incoming_port,
 * received_recipients, received_sender, subject, all_parents, smtp_connection, ...; ids of 16 and
 * of 23 octets. Pure: any bytes may come in.
 *
 * Subject, HELO, sender, recipients, ident, SNI, Message-ID and certificate names are chosen by
 * strangers and may imitate fields. Quoted text is skipped as Exim quotes it; of a HELO that has
 * ") [" in it the address is the last one with which the rest of the line is what Exim writes, and
 * if that does not settle it the line is ENTRY_UNPARSED.
 */
#pragma once

#include "logscan/entry.h"
#include "logscan/stamp.h"

/* One line without its newline. Always fills ret_entry. */
void exim_parse(struct stamp *stamp, struct sv line, struct entry *ret_entry);

/* The part behind the time stamp, as exim_parse() reads it; ret_entry has time and day already, the
 * rest zero. For logs that reach us through syslog. */
void exim_parse_rest(struct sv rest, struct entry *ret_entry);
