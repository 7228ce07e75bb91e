#include "logscan/exim.h"

#include "logscan/exim_delivery.h"
#include "logscan/exim_field.h"
#include "logscan/exim_host.h"

/* "1PIcQq-00040L-2X", and with 23 octets since Exim 4.97: digits and letters in three groups. */
static size_t id_len(const char *p, const char *end)
{
	bool new = end - p >= 23 && p[18] == '-';
	size_t n = new ? 23 : 16, second = new ? 18 : 13;

	if ((size_t)(end - p) < n || p[6] != '-' || p[second] != '-' ||
	    (p + n < end && p[n] != ' '))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (i != 6 && i != second && !(exim_octet[(unsigned char)p[i]] & EXIM_ALNUM))
			return 0;
	return n;
}

/* "[123] " at p, if it is there; NULL: something else in brackets, such as the "[1/2] " of a line
 * that was cut for syslog. */
static const char *skip_pid(const char *p, const char *end)
{
	if (p == end || *p != '[')
		return p;
	for (p++; p < end && ascii_is_digit(*p); p++)
		;
	return exim_at(p, end, SV("] ")) ? p + 2 : NULL;
}

/* "=>", "->", ">>", "*>", "**", "==" */
static bool is_delivery(const char *p)
{
	if (p[1] == '>')
		return p[0] == '=' || p[0] == '-' || p[0] == '>' || p[0] == '*';
	return p[1] == p[0] && (p[0] == '*' || p[0] == '=');
}

/* A line about a message, behind its id and a space. */
static void about_message(const char *p, const char *end, struct entry *ret_entry)
{
	struct sv text = { p + 3, (size_t)(end - p) - 3 };
	bool flagged = end - p > 3 && p[2] == ' ';

	ret_entry->kind = ENTRY_OTHER;
	if (flagged && p[1] == '=' && (p[0] == '<' || p[0] == '('))
		exim_arrival(text, ret_entry);
	else if (flagged && is_delivery(p))
		exim_delivery(p, text, ret_entry);
	else if (exim_at(p, end, SV("Completed")) && (end - p == 9 || p[9] == ' '))
		ret_entry->kind = ENTRY_DONE;
	else if (end - p <= 3)
		ret_entry->kind = ENTRY_UNPARSED;
}

void exim_parse_rest(struct sv rest, struct entry *ret_entry)
{
	const char *p = rest.p, *end = rest.p + rest.n;
	size_t n;

	ret_entry->kind = ENTRY_UNPARSED;
	if (rest.n == 0 || !(p = skip_pid(p, end)) || p == end)
		return;
	n = id_len(p, end);
	if (n > 0) {
		if (p + n == end)
			return;
		ret_entry->id = (struct sv) { p, n };
		about_message(p + n + 1, end, ret_entry);
		return;
	}
	ret_entry->kind = ENTRY_OTHER;
	if (*p == 'H' || *p == 'U' || *p == ' ')
		exim_refused((struct sv) { p, (size_t)(end - p) }, ret_entry);
	else if (end - p >= 3 && p[2] == ' ' && (p[1] == '=' || p[1] == '>' || p[1] == '*'))
		ret_entry->kind = ENTRY_UNPARSED; /* an arrival or delivery of no message */
}

void exim_parse(struct stamp *stamp, struct sv line, struct entry *ret_entry)
{
	size_t n;

	memset(ret_entry, 0, sizeof(*ret_entry));
	ret_entry->kind = ENTRY_UNPARSED;
	if (stamp_exim(stamp, line, &ret_entry->time_ms, &ret_entry->day, &n) < 0)
		return;
	if (n == line.n || line.p[n] != ' ')
		return;
	exim_parse_rest((struct sv) { line.p + n + 1, line.n - n - 1 }, ret_entry);
}
