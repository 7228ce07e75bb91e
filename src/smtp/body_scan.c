#include "smtp/body_scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
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
static uint32_t equal_mask(__m128i block, char c)
{
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(c)));
}

size_t body_scan(struct sv in)
{
	uint32_t after_cr = 0; /* bit 0: the octet before the block is CR */
	uint32_t after_lf = 0;
	size_t i = 0;

	for (; in.n - i >= sizeof(__m128i); i += sizeof(__m128i)) {
		__m128i block = _mm_loadu_si128((const __m128i *)(const void *)(in.p + i));
		uint32_t cr = equal_mask(block, '\r');
		uint32_t lf = equal_mask(block, '\n');
		uint32_t dot = equal_mask(block, '.');

		after_cr |= cr << 1;
		after_lf |= lf << 1;
		/* An LF belongs exactly where a CR was. Bit 16 is the next block's. */
		uint32_t look = (((after_cr ^ lf) | (dot & after_lf)) & 0xffff);
		if (look) {
			uint32_t bit = (uint32_t)__builtin_ctz(look);
			bool bare_cr = (after_cr & ~lf) >> bit & 1;
			return i + bit - bare_cr;
		}
		after_cr >>= 16;
		after_lf >>= 16;
	}
	/* A CR that ended the last block has not been judged. */
	return scan_from(in, i - (after_cr & 1));
}
#else
size_t body_scan(struct sv in)
{
	return scan_from(in, 0);
}
#endif
