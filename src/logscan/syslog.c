#include "logscan/syslog.h"

#include <errno.h>

static struct sv skip(struct sv v, size_t n)
{
	return (struct sv) { v.p + n, v.n - n };
}

static size_t word_len(struct sv v)
{
	const char *space = v.n ? memchr(v.p, ' ', v.n) : NULL;

	return space ? (size_t)(space - v.p) : v.n;
}

/* "<22>", which stays in files that a receiver writes as they came. */
static struct sv skip_priority(struct sv v)
{
	size_t i = 1;

	if (v.n < 3 || v.p[0] != '<')
		return v;
	while (i < v.n && i < 4 && ascii_is_digit(v.p[i]))
		i++;
	return i > 1 && i < v.n && v.p[i] == '>' ? skip(v, i + 1) : v;
}

/* "program[123]:" or "program:"; its length with the colon, 0: none. */
static size_t read_program(struct sv word, struct sv *ret_program)
{
	size_t n = 0, end;

	while (n < word.n && word.p[n] != '[' && word.p[n] != ':')
		n++;
	if (n == 0 || n == word.n)
		return 0;
	end = n;
	if (word.p[n] == '[') {
		const char *close = memchr(word.p + n, ']', word.n - n);

		if (!close)
			return 0;
		end = (size_t)(close - word.p) + 1;
	}
	if (end >= word.n || word.p[end] != ':')
		return 0;
	*ret_program = (struct sv) { word.p, n };
	return end + 1;
}

int syslog_parse(struct stamp *stamp, struct sv line, struct syslog_line *ret_line)
{
	struct sv v = skip_priority(line);
	struct syslog_line l;
	size_t n;
	int r;

	if (v.n == 0)
		return -EINVAL;
	if (ascii_is_digit(v.p[0]))
		r = stamp_rfc3339(stamp, v, &l.time_ms, &l.day, &n);
	else
		r = stamp_rfc3164(stamp, v, &l.time_ms, &l.day, &n);
	if (r < 0)
		return r;
	v = skip(v, n);
	if (v.n == 0 || v.p[0] != ' ')
		return -EINVAL;
	v = skip(v, 1);

	n = word_len(v);
	/* A colon at the end is a program's: the host is missing. */
	if (n == 0 || n == v.n || v.p[n - 1] == ':')
		return -EINVAL;
	l.host = (struct sv) { v.p, n };
	v = skip(v, n + 1);

	n = read_program((struct sv) { v.p, word_len(v) }, &l.program);
	if (n == 0)
		return -EINVAL;
	v = skip(v, n);
	if (v.n > 0 && v.p[0] == ' ')
		v = skip(v, 1);
	l.message = v;
	*ret_line = l;
	return 0;
}
