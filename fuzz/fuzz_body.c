/* Octet 0: the size of the pieces. What comes out must not depend on them, must hold no bare
 * newline, and must not end, for a server that takes any newline, before the client's own end. */
#include "smtp/body.h"
#include "smtp/body_scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct out {
	char *p;
	size_t n;
	size_t max;
};

static int take(void *user, struct sv octets)
{
	struct out *out = user;

	INVARIANT(out->n + octets.n <= out->max);
	memcpy(out->p + out->n, octets.p, octets.n);
	out->n += octets.n;
	return 0;
}

/* Returns whether the end was met. */
static bool run(struct body *b, enum body_bare mode, struct sv in, size_t step, struct out *out)
{
	size_t at = 0;

	out->n = 0;
	body_init(b, mode);
	while (at < in.n) {
		struct sv piece = { in.p + at, min_size(step, in.n - at) };
		size_t used;
		int r = body_feed(b, piece, take, out, &used);
		at += used;
		INVARIANT(r == BODY_END || used == piece.n);
		if (r == BODY_END) {
			INVARIANT(at >= 3 && memcmp(in.p + at - 3, ".\r\n", 3) == 0);
			INVARIANT(at == 3 || memcmp(in.p + at - 5, "\r\n", 2) == 0);
			INVARIANT(b->octets == at - 3);
			return true;
		}
	}
	return false;
}

static void check_output(const struct out *out, bool ended)
{
	for (size_t i = 0; i < out->n; i++) {
		if (out->p[i] == '\r')
			INVARIANT(i + 1 < out->n && out->p[i + 1] == '\n');
		if (out->p[i] == '\n')
			INVARIANT(i > 0 && out->p[i - 1] == '\r');
		bool dot_line = (i == 0 || out->p[i - 1] == '\n') && out->p[i] == '.' &&
				i + 1 < out->n && out->p[i + 1] == '\r';
		if (dot_line)
			INVARIANT(ended && i + 3 == out->n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct sv in = { (const char *)data + 1, size - 1 };
	struct out whole = { malloc(3 * size), 0, 3 * size };
	struct out pieces = { malloc(3 * size), 0, 3 * size };
	struct body b;

	INVARIANT(whole.p && pieces.p);
	INVARIANT(body_scan(in) == body_scan_portable(in));
	INVARIANT(body_scan_16(in) == body_scan_portable(in));
	bool ended = run(&b, BODY_NORMALIZE, in, size, &whole);
	check_output(&whole, ended);
	INVARIANT(run(&b, BODY_NORMALIZE, in, 1 + (size_t)data[0] % 64, &pieces) == ended);
	INVARIANT(sv_eq((struct sv) { whole.p, whole.n }, (struct sv) { pieces.p, pieces.n }));

	/* BODY_REJECT: a beginning of what came in, all of it when there was nothing to reject. */
	INVARIANT(run(&b, BODY_REJECT, in, 1 + (size_t)data[0] % 64, &pieces) == ended);
	INVARIANT(pieces.n <= in.n && (pieces.n == 0 || memcmp(pieces.p, in.p, pieces.n) == 0));
	INVARIANT(b.bare || !ended || pieces.n == b.octets + 3);
	free(whole.p);
	free(pieces.p);
	return 0;
}
