#include "base/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void invariant_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "frontdoor: broken invariant: %s (%s:%d)\n", what, file, line);
	abort();
}

bool ascii_is_alpha(char c)
{
	c = ascii_lower(c);
	return c >= 'a' && c <= 'z';
}

bool sv_eq_nocase(struct sv a, struct sv b)
{
	return a.n == b.n && sv_starts_nocase(a, b);
}

bool sv_starts_nocase(struct sv v, struct sv prefix)
{
	if (v.n < prefix.n)
		return false;
	for (size_t i = 0; i < prefix.n; i++)
		if (ascii_lower(v.p[i]) != ascii_lower(prefix.p[i]))
			return false;
	return true;
}

bool sv_ends_nocase(struct sv v, struct sv suffix)
{
	if (v.n < suffix.n)
		return false;
	return sv_starts_nocase((struct sv) { v.p + v.n - suffix.n, suffix.n }, suffix);
}

int sv_to_u64(struct sv v, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	bool over = false;

	if (v.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < v.n; i++) {
		if (!ascii_is_digit(v.p[i]))
			return -EINVAL;
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(v.p[i] - '0'), &value))
			over = true;
	}
	if (over || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

struct sv sv_list_line(struct sv line)
{
	const char *comment = line.n ? memchr(line.p, '#', line.n) : NULL;

	if (comment)
		line.n = (size_t)(comment - line.p);
	while (line.n > 0 && strchr(" \t\r\n", line.p[line.n - 1]))
		line.n--;
	while (line.n > 0 && strchr(" \t", line.p[0])) {
		line.p++;
		line.n--;
	}
	return line;
}

char *sv_dup(struct sv v)
{
	char *s = malloc(v.n + 1);

	if (s) {
		if (v.n)
			memcpy(s, v.p, v.n);
		s[v.n] = '\0';
	}
	return s;
}
