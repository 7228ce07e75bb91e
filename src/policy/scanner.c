#include "policy/scanner.h"

#include "base/map.h"

#include <libpsl.h>
#include <stdlib.h>

void scanner_deinit(struct scanner *s)
{
	free(s->name);
	for (size_t i = 0; i < s->n_mx; i++)
		free(s->mx[i]);
	free(s->mx);
	for (size_t i = 0; i < s->n_ptr; i++)
		free(s->ptr[i]);
	free(s->ptr);
	for (size_t i = 0; i < s->n_sources; i++)
		free(s->sources[i]);
	free(s->sources);
	prefix_set_deinit(&s->cidrs);
	*s = (struct scanner) { 0 };
}

bool name_is_below(const char *host, const char *suffix)
{
	size_t n = strlen(host), m = strlen(suffix);

	if (m == 0 || n < m || strcmp(host + n - m, suffix) != 0)
		return false;
	return n == m || host[n - m - 1] == '.';
}

bool mx_pattern_matches(const char *pattern, const char *host)
{
	if (strncmp(pattern, "*.", 2) == 0)
		return name_is_below(host, pattern + 2) && strcmp(host, pattern + 2) != 0;
	return strcmp(pattern, host) == 0;
}

/* An address written as a name has no domain above it. */
static bool is_dotted_quad(const char *host)
{
	const char *dot = strrchr(host, '.');
	const char *last = dot ? dot + 1 : host;

	return *last && strspn(last, "0123456789") == strlen(last);
}

/* What the list said of late: it takes long to search, and the same few domains are asked for again
 * and again, for each client of a door. */
struct suffix_memo {
	char name[63]; /* longer ones are not kept */
	bool is_suffix;
};

static bool is_public_suffix(const psl_ctx_t *psl, const char *name)
{
	static _Thread_local struct suffix_memo memos[256];
	struct sv v = sv_from(name);
	struct suffix_memo *m = &memos[map_hash(v) % ARRAY_SIZE(memos)];

	if (v.n == 0 || v.n >= sizeof(m->name))
		return psl_is_public_suffix(psl, name);
	if (strcmp(m->name, name) != 0) {
		memcpy(m->name, name, v.n + 1);
		m->is_suffix = psl_is_public_suffix(psl, name);
	}
	return m->is_suffix;
}

struct sv scanner_parent_domain(const char *mx_host)
{
	const psl_ctx_t *psl = psl_builtin();
	const char *dot = strchr(mx_host, '.');
	struct sv none = { "", 0 };

	/* Without the list nothing can be told from a public suffix: nothing is safe then. */
	if (!psl || !dot || is_dotted_quad(mx_host))
		return none;
	if (dot[1] && !is_public_suffix(psl, dot + 1))
		return sv_from(dot + 1);
	return is_public_suffix(psl, mx_host) ? none : sv_from(mx_host);
}

const char *registrable_domain(const char *host)
{
	const psl_ctx_t *psl = psl_builtin();
	const char *found = NULL, *dot;

	if (!psl || is_dotted_quad(host))
		return NULL;
	/* From the left, as psl_registrable_domain(): below a suffix may be what is none. */
	while (!is_public_suffix(psl, host) && (dot = strchr(host, '.'))) {
		found = host;
		host = dot + 1;
	}
	return found;
}

/* mx_pattern_matches() for those who know the lengths. */
static bool matches(const char *pattern, size_t n, const char *host, size_t host_n)
{
	if (n < 2 || pattern[0] != '*' || pattern[1] != '.')
		return n == host_n && memcmp(pattern, host, n) == 0;
	/* the dot counts, so that it is below */
	return host_n >= n && memcmp(host + host_n - (n - 1), pattern + 1, n - 1) == 0;
}

int scanner_find(const struct scanner *scanners, size_t n, const char *mx_host)
{
	int found = -1;
	size_t longest = 0, host_n = strlen(mx_host);

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < scanners[i].n_mx; k++) {
			const char *pattern = scanners[i].mx[k];
			size_t pattern_n = strlen(pattern);

			/* An exact name beats the "*." pattern of equal length. */
			size_t len = 2 * pattern_n + (pattern[0] != '*');

			if (len > longest && matches(pattern, pattern_n, mx_host, host_n)) {
				longest = len;
				found = (int)i;
			}
		}
	}
	return found;
}
