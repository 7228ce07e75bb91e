#include "smtp/body_scan.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

static bool needs_look(struct sv in, size_t i)
{
	char c = in.p[i];
	char before = i > 0 ? in.p[i - 1] : 'x';

	if (c == '\n')
		return before != '\r';
	if (c == '\r')
		return i + 1 == in.n || in.p[i + 1] != '\n';
	return c == '.' && before == '\n';
}

static uint64_t zero_bytes(uint64_t v)
{
	return (v - ONES) & ~v & HIGHS;
}

/* From i on, a machine word at a time where no line ends in it or just before it. */
static size_t scan_from(struct sv in, size_t i)
{
	while (i < in.n) {
		size_t stop = i + 1;
		if (in.n - i >= sizeof(uint64_t)) {
			uint64_t v;
			memcpy(&v, in.p + i, sizeof(v));
			bool ends = zero_bytes(v ^ (ONES * '\n')) | zero_bytes(v ^ (ONES * '\r'));
			stop = i + sizeof(v);
			if (!ends && in.p[i] != '.') {
				i = stop;
				continue;
			}
		}
		for (; i < stop; i++) {
			if (needs_look(in, i))
				return i;
		}
	}
	return in.n;
}

size_t body_scan_portable(struct sv in)
{
	return scan_from(in, 0);
}

#ifdef __SSE2__
/*
 * What needs a look in a block of bits octets, and what its last octet means for the next. An LF
 * belongs exactly where a CR was; the bit behind the last is the next block's.
 */
struct carry {
	uint64_t cr, lf; /* bit 0: the octet before the block is one */
};

static inline uint64_t judge_block(struct carry *c, uint64_t cr, uint64_t lf, uint64_t dot,
				   unsigned int bits, size_t *ret_back)
{
	uint64_t after_cr = c->cr | cr << 1, after_lf = c->lf | lf << 1;
	uint64_t look = ((after_cr ^ lf) | (dot & after_lf)) & ((UINT64_C(1) << bits) - 1);

	if (look) /* a bare CR is the octet before */
		*ret_back = (after_cr & ~lf) >> __builtin_ctzll(look) & 1;
	*c = (struct carry) { after_cr >> bits, after_lf >> bits };
	return look;
}

static uint64_t mask16(__m128i block, char c)
{
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(c)));
}

static size_t scan16(struct sv in, size_t i, struct carry c)
{
	for (; in.n - i >= sizeof(__m128i); i += sizeof(__m128i)) {
		__m128i block = _mm_loadu_si128((const __m128i *)(const void *)(in.p + i));
		size_t back;
		uint64_t look = judge_block(&c, mask16(block, '\r'), mask16(block, '\n'),
					    mask16(block, '.'), 16, &back);
		if (look)
			return i + (size_t)__builtin_ctzll(look) - back;
	}
	/* A CR that ended the last block has not been judged. */
	return scan_from(in, i - c.cr);
}

size_t body_scan_16(struct sv in)
{
	return scan16(in, 0, (struct carry) { 0 });
}

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline uint64_t mask32(__m256i block, char c)
{
	return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block, _mm256_set1_epi8(c)));
}

AVX2 static size_t scan32(struct sv in)
{
	struct carry c = { 0 };
	size_t i = 0;

	for (; in.n - i >= sizeof(__m256i); i += sizeof(__m256i)) {
		__m256i block = _mm256_loadu_si256((const __m256i *)(const void *)(in.p + i));
		size_t back;
		uint64_t look = judge_block(&c, mask32(block, '\r'), mask32(block, '\n'),
					    mask32(block, '.'), 32, &back);
		if (look)
			return i + (size_t)__builtin_ctzll(look) - back;
	}
	return scan16(in, i, c);
}

size_t body_scan(struct sv in)
{
	return __builtin_cpu_supports("avx2") ? scan32(in) : body_scan_16(in);
}
#else
size_t body_scan_16(struct sv in)
{
	return scan_from(in, 0);
}

size_t body_scan(struct sv in)
{
	return scan_from(in, 0);
}
#endif
