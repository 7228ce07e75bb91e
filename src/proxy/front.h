/*
 * Answering for the backend: clients whose last session brought nothing but refusals are greeted
 * from here, and the backend hears of them only when they bring mail that may pass (see dialog.h,
 * "Fronted"). What to say is learned from the backend's own greeting and EHLO replies. Shared by
 * all workers.
 */
#pragma once

#include "base/addr.h"

struct front;

int front_new(struct front **ret_front);
/* Another owner, who frees it too. Any thread. */
struct front *front_ref(struct front *f);
void front_free(struct front *f);

/* A session has ended: refused recipients only, or something accepted (which forgets the client).
 */
void front_note(struct front *f, const struct addr *client, bool only_refused, int64_t now_ms);
/* What the backend said to a client, CRLF and all: its greeting; its EHLO reply as cut down for
 * clients. */
void front_learn_banner(struct front *f, struct sv banner);
void front_learn_ehlo(struct front *f, bool tls, struct sv ehlo);

/* What to say, with CRLF; views of block, which is malloc'ed. */
struct front_words {
	char *block;
	struct sv banner;
	struct sv ehlo, ehlo_tls; /* in the clear and encrypted; n == 0: not known */
};
/* true when this client, who is or isn't encrypted from the first octet, is to be answered from
 * here. false: connect as usual. */
bool front_wanted(struct front *f, const struct addr *client, bool tls, int64_t now_ms,
		  struct front_words *ret_words);
