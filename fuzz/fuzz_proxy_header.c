/* The first octets of a connection: what is known of a beginning must stay so, a header that is
 * taken must come back from what is written of it, and must be a lure. */
#include "proxy/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(struct sv written, const struct proxy_header *h)
{
	struct proxy_header again;

	INVARIANT(proxy_header_parse(written, &again) == PROXY_HEADER_DONE);
	INVARIANT(again.used == written.n && !again.is_local);
	INVARIANT(addr_eq(&again.source.addr, &h->source.addr));
	INVARIANT(addr_eq(&again.destination.addr, &h->destination.addr));
	INVARIANT(again.source.port == h->source.port);
	INVARIANT(again.destination.port == h->destination.port);
}

static enum proxy_lure_outcome lure_of(struct sv in, size_t step)
{
	struct proxy_lure lure = { 0 };
	enum proxy_lure_outcome r = PROXY_LURE_MAYBE;

	for (size_t at = 0; at < in.n; at += step)
		r = proxy_lure_feed(&lure, (struct sv) { in.p + at, min_size(step, in.n - at) });
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = { (const char *)data, size };
	struct proxy_header h = { 0 }, cut = { 0 };
	enum proxy_header_outcome before = PROXY_HEADER_MORE;
	enum proxy_header_outcome r = proxy_header_parse(in, &h);
	char v1[PROXY_HEADER_V1_MAX], v2[PROXY_HEADER_V2_MAX];

	for (size_t n = 0; n <= size && n <= 2 * PROXY_HEADER_V1_MAX; n++) {
		enum proxy_header_outcome now = proxy_header_parse((struct sv) { in.p, n }, &cut);
		INVARIANT(before == PROXY_HEADER_MORE || before == now);
		INVARIANT(now == PROXY_HEADER_MORE || now == r);
		INVARIANT(now != PROXY_HEADER_DONE || cut.used == h.used);
		before = now;
	}
	INVARIANT(lure_of(in, 1) == lure_of(in, size ? size : 1));
	if (r != PROXY_HEADER_DONE)
		return 0;
	INVARIANT(h.used <= size && h.used <= PROXY_HEADER_MAX);
	INVARIANT(lure_of(in, 5) == PROXY_LURE_YES);
	if (h.is_local)
		return 0;
	check_again((struct sv) { v1, proxy_header_write_v1(&h.source, &h.destination, v1) }, &h);
	check_again((struct sv) { v2, proxy_header_write_v2(&h.source, &h.destination, v2) }, &h);
	return 0;
}
