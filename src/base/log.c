#include "base/log.h"

#include <poll.h>
#include <pthread.h>
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

static _Thread_local struct buf *diverted;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* nobody waits who has it */
static unsigned long lost;

void log_divert(struct buf *lines)
{
	diverted = lines;
}

static int prefix(enum log_level level, char *line, size_t size)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	static const char priorities[] = { '3', '4', '6', '7' }; /* RFC 5424 6.2.1 */

	return is_journal() ? snprintf(line, size, "<%c>", priorities[level])
			    : snprintf(line, size, "%s ", names[level]);
}

/* Does it take a line without waiting? Of a pipe that is so for PIPE_BUF octets (poll(2), pipe(7)).
 */
static bool is_ready(void)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&p, 1, 0) != 0;
}

/* One write a line; nowhere to report a failure to. Under the lock: of several threads that find
 * room each would take it. */
static void put(const char *line, size_t len)
{
	char more[128];

	if (!is_ready()) {
		lost++;
		return;
	}
	if (lost > 0) {
		int at = prefix(LOG_LEVEL_WARNING, more, sizeof(more));
		at += snprintf(more + at, sizeof(more) - (size_t)at,
			       "log: %lu lines before this one were lost: nobody took them\n",
			       lost);
		(void)!write(STDERR_FILENO, more, (size_t)at);
		lost = 0;
	}
	(void)!write(STDERR_FILENO, line, len);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if ((int)level > max_level)
		return;
	int n = prefix(level, line, sizeof(line));
	va_start(ap, fmt);
	int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	size_t len = min_size((size_t)n + (size_t)m, sizeof(line) - 2);
	line[len++] = '\n';
	if (diverted && buf_add(diverted, line + n, len - (size_t)n) == 0)
		return;
	pthread_mutex_lock(&lock);
	put(line, len);
	pthread_mutex_unlock(&lock);
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
