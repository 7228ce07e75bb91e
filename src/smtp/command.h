/* SMTP commands (RFC 5321 4.1.1, 3030 BDAT, 3207 STARTTLS, 4954 AUTH): which verb, and the grammar
 * of its arguments. Parsing only; what is allowed when is the dialog's. */
#pragma once

#include "base/base.h"
#include "smtp/path.h"

enum smtp_verb {
	VERB_UNKNOWN,
	VERB_HELO,
	VERB_EHLO,
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_BDAT,
	VERB_RSET,
	VERB_NOOP,
	VERB_QUIT,
	VERB_VRFY,
	VERB_EXPN,
	VERB_HELP,
	VERB_AUTH,
	VERB_STARTTLS,
	VERB_COUNT,
};

struct command {
	enum smtp_verb verb;
	struct sv args; /* after the verb, white space around it taken off; points into the line */
};

enum command_error {
	COMMAND_OK = 0,
	COMMAND_UNKNOWN,   /* 500 5.5.1 */
	COMMAND_SYNTAX,    /* 501 5.5.4: arguments missing, where none may be, or malformed */
	COMMAND_ADDRESS,   /* 501 5.1.3 (RCPT) or 5.1.7 (MAIL): no path */
	COMMAND_PARAMETER, /* 555 5.5.4: a MAIL or RCPT parameter that EHLO did not offer */
};

const char *verb_name(enum smtp_verb verb);

/* Splits a line from line_next(). Verbs in any case. Checks for DATA, RSET, QUIT and STARTTLS that
 * nothing follows, and that EHLO, HELO, MAIL, RCPT, BDAT, AUTH and VRFY have something.
 * ret_command is set in every outcome: the verb is known with COMMAND_SYNTAX, too. */
enum command_error command_parse(struct sv line, struct command *ret_command);

/* "FROM:<path> params" (RCPT: "TO:..."). ret_params: the rest as it stands, checked: SIZE BODY
 * SMTPUTF8 RET ENVID AUTH for MAIL, NOTIFY ORCPT for RCPT, each at most once, xtext and value
 * syntax. */
enum command_error command_mail(struct sv args, struct smtp_path *ret_path, struct sv *ret_params,
				bool *ret_smtputf8);
enum command_error command_rcpt(struct sv args, bool smtputf8, struct smtp_path *ret_path,
				struct sv *ret_params);

/* "123 LAST" (RFC 3030 2): size up to INT64_MAX. */
enum command_error command_bdat(struct sv args, uint64_t *ret_size, bool *ret_last);

/* Printable ASCII, or valid UTF-8 without control characters where utf8: what may go on to a
 * backend or into a log. */
bool text_is_clean(struct sv text, bool utf8);
