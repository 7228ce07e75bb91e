/* A backend's octets: a reply that is known must have been so from its last octet on and not
 * before, and one that was cut down must be a reply itself with nothing in it that is not allowed.
 */
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reduced(const struct reply *reply, struct ehlo_offer offer)
{
	struct reply reduced;
	struct sv text;
	char out[EHLO_REDUCED_MAX];
	size_t at = 0;
	size_t n = ehlo_reduce(reply, offer, out);

	INVARIANT(n <= EHLO_REDUCED_MAX);
	/* with a line of ours it may be over what is taken from a backend */
	if (n > REPLY_MAX || offer.starttls == EHLO_STARTTLS_OURS)
		return;
	INVARIANT(reply_parse((struct sv) { out, n }, &reduced) == REPLY_DONE);
	INVARIANT(reduced.raw.n == n && reduced.code == reply->code);
	INVARIANT(reply_next_line(&reduced, &at, &text));
	while (reply_next_line(&reduced, &at, &text))
		INVARIANT(ehlo_keyword_allowed(text, offer.starttls != EHLO_STARTTLS_HIDE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = { (const char *)data, size };
	struct reply reply, cut;
	enum reply_outcome r = reply_parse(in, &reply);

	/* Some beginnings: all would take quadratic time. */
	for (size_t n = size; n > 0; n /= 2) {
		enum reply_outcome early = reply_parse((struct sv) { in.p, n - 1 }, &cut);
		INVARIANT(early == REPLY_MORE || early == r);
	}
	if (r != REPLY_DONE)
		return 0;
	INVARIANT(reply.raw.p == in.p && reply.raw.n <= min_size(size, REPLY_MAX));
	INVARIANT(reply.code >= 200 && reply.code <= 599);
	INVARIANT(reply_parse((struct sv) { in.p, reply.raw.n - 1 }, &cut) == REPLY_MORE);
	for (int i = EHLO_STARTTLS_HIDE; i <= EHLO_STARTTLS_OURS; i++) {
		check_reduced(&reply, (struct ehlo_offer) { .starttls = i });
		check_reduced(&reply, (struct ehlo_offer) { i, .no_channel_binding = true });
	}
	return 0;
}
