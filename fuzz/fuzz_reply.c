/* A backend's octets: a reply that is known must have been so from its last octet on and not
 * before, and one that was cut down must be a reply itself with nothing in it that is not allowed.
 */
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reduced(const struct reply *reply, bool starttls)
{
	struct reply reduced;
	struct sv text;
	char out[REPLY_MAX];
	size_t at = 0;
	size_t n = ehlo_reduce(reply, starttls, out);

	INVARIANT(n <= REPLY_MAX);
	INVARIANT(reply_parse((struct sv) { out, n }, &reduced) == REPLY_DONE);
	INVARIANT(reduced.raw.n == n && reduced.code == reply->code);
	INVARIANT(reply_next_line(&reduced, &at, &text));
	while (reply_next_line(&reduced, &at, &text))
		INVARIANT(ehlo_keyword_allowed(text, starttls));
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
	check_reduced(&reply, false);
	check_reduced(&reply, true);
	return 0;
}
