/*
 * Lines → messages: what belongs to one message is put together by its id, and each message is
 * counted in the book once for each recipient domain.
 *
 * Exim with +received_recipients says all in one line. Else a message waits for its deliveries
 * until its last line (Completed, removed), or the end of the logs. How many wait is bounded: the
 * oldest is counted with what is known of it.
 */
#pragma once

#include "logscan/book.h"
#include "logscan/entry.h"

#define JOIN_WAITING_MAX 250000

/* Which mail is of interest; all that are set must hold. */
struct join_filter {
	int64_t since_ms, until_ms; /* arrival; INT64_MIN, INT64_MAX */
	const char *const *domains; /* itself or above; n_domains 0: all */
	size_t n_domains;
	struct prefix_set clients; /* sealed; empty: all */
};

/* One message × recipient domain that was counted. */
typedef void (*join_mail_fn)(void *user, const struct mail *mail, uint32_t flow);

struct join {
	struct book *book;
	const struct join_filter *filter;
	join_mail_fn on_mail; /* may be NULL */
	void *user;

	uint64_t received;        /* messages counted */
	uint64_t refused;         /* recipients */
	uint64_t without_arrival; /* messages whose arrival the logs don't have */
	uint64_t without_rcpt;    /* messages without any recipient */
	uint64_t outside_filter;
	int64_t first_ms, last_ms; /* of what was counted; first > last: nothing */

	/* private */
	struct map *waiting;
	struct waiting *oldest, *newest;
	size_t n_waiting;
};

int join_init(struct join *j, struct book *book, const struct join_filter *filter,
	      join_mail_fn on_mail, void *user);
void join_deinit(struct join *j);

void join_entry(struct join *j, const struct entry *e);
/* The end of the logs: counts what waits. Returns how many messages had not left yet. */
uint64_t join_end(struct join *j);
