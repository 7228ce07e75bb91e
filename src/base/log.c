#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static _Atomic int max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	max_level = (int)level;
}

/* Does the journal read our stderr itself (systemd.exec(5))? It takes levels as sd-daemon(3) says.
 */
static bool is_journal(void)
{
	static _Atomic int known; /* 1: no, 2: yes; threads that find out at once find the same */
	struct stat st;

	if (known == 0) {
		char *end = NULL;
		const char *stream = getenv("JOURNAL_STREAM"); /* DEVICE:INODE */
		unsigned long long dev = stream ? strtoull(stream, &end, 10) : 0;
		bool yes = stream && *end == ':' && fstat(STDERR_FILENO, &st) == 0 &&
			   st.st_dev == dev && st.st_ino == strtoull(end + 1, NULL, 10);
		known = yes ? 2 : 1;
	}
	return known == 2;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	static const char priorities[] = { '3', '4', '6', '7' }; /* RFC 5424 6.2.1 */
	char line[1024];
	va_list ap;

	if ((int)level > max_level)
		return;
	int n = is_journal() ? snprintf(line, sizeof(line), "<%c>", priorities[level])
			     : snprintf(line, sizeof(line), "%s ", names[level]);
	va_start(ap, fmt);
	int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	size_t len = min_size((size_t)n + (size_t)m, sizeof(line) - 2);
	line[len++] = '\n';
	/* one write a line, so that threads' lines don't mix; nowhere to report a failure to */
	ssize_t written = write(STDERR_FILENO, line, len);
	(void)written;
}

const char *log_quote(struct sv v, char *out, size_t size)
{
	size_t n = 0;

	INVARIANT(size >= 8);
	for (size_t i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];
		if (n + 5 > size)
			break;
		if (c >= 32 && c < 127 && c != '\\' && c != '"')
			out[n++] = (char)c;
		else
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
	}
	out[n] = '\0';
	return out;
}
