/*
 * The summary stands in a script element of a type that is not run. Whatever could end that
 * element, or begin a comment in it (HTML standard, "Restrictions for contents of script
 * elements"), has a '<'; in JSON that octet is found in strings only, where \u003c is the same.
 * '>' and '&' go with it for readers that take the page for XML, U+2028 and U+2029 for those that
 * take the JSON for JavaScript of before 2019.
 */
#include "logscan/html.h"

#include "base/base.h"
#include "logscan/html_page.h"

#include <errno.h>

/* How what stands at p is to be written; NULL: as it is. */
static const char *escaped(const char *p, size_t n, size_t *ret_taken)
{
	*ret_taken = 1;
	switch (*p) {
	case '<':
		return "\\u003c";
	case '>':
		return "\\u003e";
	case '&':
		return "\\u0026";
	default:
		break;
	}
	if (n < 3 || memcmp(p, "\xe2\x80", 2) != 0 || (p[2] != '\xa8' && p[2] != '\xa9'))
		return NULL;
	*ret_taken = 3;
	return p[2] == '\xa8' ? "\\u2028" : "\\u2029";
}

static void write_json(FILE *out, const char *json, size_t n)
{
	size_t plain = 0; /* from here on nothing is written yet */

	for (size_t i = 0, taken; i < n; i += taken) {
		const char *e = escaped(json + i, n - i, &taken);

		if (!e)
			continue;
		fwrite(json + plain, 1, i - plain, out);
		fputs(e, out);
		plain = i + taken;
	}
	fwrite(json + plain, 1, n - plain, out);
}

int html_write(FILE *out, const char *summary_json, size_t n)
{
	errno = 0;
	fwrite(html_page_head, 1, html_page_head_len, out);
	write_json(out, summary_json, n);
	fwrite(html_page_tail, 1, html_page_tail_len, out);
	if (fflush(out) != 0 || ferror(out))
		return errno > 0 ? -errno : -EIO;
	return 0;
}
