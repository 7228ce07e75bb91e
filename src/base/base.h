/*
 * What every room uses: views of bytes, sizes, cleanup of locals, assertions that stay in release
 * builds.
 *
 * Errors, in the whole program: 0 is done; a negative value is an errno to forward; a positive
 * value is an outcome that the header documents and the caller handles. Outputs come last, are
 * called ret_..., and stay untouched on failure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(a)                 (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
#define CLEANUP(fn)                   __attribute__((cleanup(fn)))
#define PRINTF(fmt, args)             __attribute__((format(printf, fmt, args)))

/* A broken invariant of ours: stops the program, in release builds too. A peer's bytes never reach
 * it. */
#define INVARIANT(cond) ((cond) ? (void)0 : invariant_failed(#cond, __FILE__, __LINE__))
__attribute__((noreturn)) void invariant_failed(const char *what, const char *file, int line);

/* A view of bytes that somebody else owns; not terminated by NUL. */
struct sv {
	const char *p;
	size_t n;
};

#define SV(literal) ((struct sv) { (literal), sizeof(literal) - 1 })
#define SV_FMT      "%.*s"
#define SV_ARG(v)   (int)(v).n, (v).p

static inline struct sv sv_from(const char *s)
{
	return (struct sv) { s, strlen(s) };
}

static inline bool sv_eq(struct sv a, struct sv b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII only, whatever the locale. */
bool sv_eq_nocase(struct sv a, struct sv b);
bool sv_starts_nocase(struct sv v, struct sv prefix);
bool sv_ends_nocase(struct sv v, struct sv suffix);
bool ascii_is_alpha(char c);

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Decimal digits only, all of v, at most max: 0; -EINVAL when it is no number, -ERANGE above max.
 */
int sv_to_u64(struct sv v, uint64_t max, uint64_t *ret_value);

/* Copies v as a NUL-terminated string; NULL when memory ran out. */
char *sv_dup(struct sv v);
/* What a line of a list that operators keep says: without its comment (from #), and the spaces
 * around. n == 0: nothing. */
struct sv sv_list_line(struct sv line);

/* For CLEANUP(): frees what the local char * points to. */
static inline void cleanup_free(void *p)
{
	extern void free(void *ptr);
	free(*(void **)p);
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}
