/*
 * The kernel process: the only one of the daemon's that keeps CAP_NET_ADMIN once it serves. It puts
 * rulesets in place with nft(8), and keeps the heartbeat: one transaction for each beat that the
 * daemon sends, so that steering ends by itself within BEAT_TIMEOUT_MS when the daemon, or this
 * process, hangs or dies.
 *
 * Messages of one size over a socket pair (SOCK_SEQPACKET); a ruleset comes as octets in a file in
 * memory (packed.h). Nothing is believed of them but what a configuration may say. A process above
 * it starts it again should it crash: the descriptor stays the same, the daemon is asked for its
 * rules. It ends when nobody holds the other end any more; signals to the group don't end it, since
 * the daemon may need it until its last session is done.
 */
#pragma once

#include "base/base.h"
#include "kernel/ruleset.h"

#define KEEPER_TEXT_MAX 240

enum keeper_type {
	/* from the daemon */
	KEEPER_BEAT = 1, /* every worker answers */
	KEEPER_RULES,    /* in place of those of before; only where the table is there */
	KEEPER_UP,       /* the same, and the table comes if it isn't there. value: enum net_test */
	KEEPER_DOWN,     /* take everything away, then end */
	/* to the daemon */
	KEEPER_RENEWED = 64, /* answers KEEPER_BEAT. text: what had to be put back, or "" */
	KEEPER_ABSENT,       /* there is no table: nothing is steered */
	KEEPER_WANTS_RULES,  /* it doesn't have any */
	KEEPER_TROUBLE,      /* text says what failed; tried again at the next beat */
	KEEPER_IS_UP,        /* value: 0 or -errno of KEEPER_UP; text */
};

struct keeper_message {
	uint8_t type;
	int32_t value;
	char text[KEEPER_TEXT_MAX]; /* ends with NUL */
};

/*
 * Forks; no other thread may be there. user: who it becomes, if we are root. stays_root: everything
 * is kept until the first KEEPER_UP is done: its test connection needs CAP_SYS_ADMIN. Returns our
 * end, or -errno.
 */
int keeper_start(const char *user, bool stays_root);
/* Does not wait. 0, -EAGAIN: it doesn't read; other -errno: it is gone. ruleset may be NULL. */
int keeper_send(int fd, const struct keeper_message *m, const struct ruleset *ruleset);
/* 1: ret_message; 0: there is none; -EPIPE: it is gone; -errno. */
int keeper_receive(int fd, struct keeper_message *ret_message);
