#include "logscan/entry.h"

#include <errno.h>

int entry_address_len(struct sv v, const char *stop, size_t *ret_len)
{
	bool quoted = false;
	size_t i = 0;

	for (; i < v.n; i++) {
		char c = v.p[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted && c == '\\' && i + 1 < v.n)
			i++;
		else if (!quoted && (c == ' ' || (c && strchr(stop, c))))
			break;
	}
	if (quoted)
		return -EINVAL;
	*ret_len = i;
	return 0;
}

bool entry_next_recipient(struct sv *recipients, struct sv *ret_address)
{
	const char *space;
	size_t n;

	while (recipients->n > 0 && recipients->p[0] == ' ')
		*recipients = (struct sv) { recipients->p + 1, recipients->n - 1 };
	if (recipients->n == 0)
		return false;
	/* quotes are rare */
	space = memchr(recipients->p, ' ', recipients->n);
	n = space ? (size_t)(space - recipients->p) : recipients->n;
	if (memchr(recipients->p, '"', n) && entry_address_len(*recipients, "", &n) < 0)
		n = recipients->n;
	*ret_address = (struct sv) { recipients->p, n };
	*recipients = (struct sv) { recipients->p + n, recipients->n - n };
	return true;
}
