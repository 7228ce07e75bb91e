/* Octet 0: the limit. Octet 1: the size of the pieces. The lines must not depend on the pieces, and
 * none may hold what the framing forbids. */
#include "smtp/line.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t mix(uint64_t hash, struct sv v)
{
	for (size_t i = 0; i < v.n; i++)
		hash = (hash ^ (unsigned char)v.p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static void check_line(struct sv line, size_t max)
{
	INVARIANT(line.n + 2 <= max);
	INVARIANT(line.p[line.n] == '\r' && line.p[line.n + 1] == '\n');
	for (size_t i = 0; i < line.n; i++)
		INVARIANT(line.p[i] != '\r' && line.p[i] != '\n' && line.p[i] != '\0');
}

/* A hash of all outcomes and of what is left. */
static uint64_t run(struct sv in, size_t max, size_t step)
{
	struct line_reader r = { 0 };
	uint64_t hash = 14695981039346656037u;
	size_t start = 0;
	size_t end = min_size(step, in.n);

	for (;;) {
		struct sv rest = { in.p + start, end - start };
		struct sv line = SV("");
		size_t used;
		enum line_outcome outcome = line_next(&r, rest, max, &used, &line);

		INVARIANT(used <= rest.n);
		start += used;
		if (outcome != LINE_MORE) {
			INVARIANT(used > 0);
			if (outcome == LINE_DONE)
				check_line(line, max);
			hash = mix(mix(hash, line), (struct sv) { &"dmbl"[outcome], 1 });
		} else if (used > 0) {
			continue;
		} else if (end == in.n) {
			return mix(hash, (struct sv) { in.p + start, end - start });
		} else {
			INVARIANT(end - start < max);
			end = min_size(end + step, in.n);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct sv in = { (const char *)data + 2, size - 2 };
	size_t max = 3 + (size_t)data[0];

	INVARIANT(run(in, max, in.n) == run(in, max, 1 + (size_t)data[1] % 32));
	return 0;
}
