/*
 * What was offered of late, to notice within an hour of traffic that a scanner delivers from
 * somewhere else. policy/proof.h counts accepted mail only; once a door is shut, a new egress finds
 * it shut, so nothing is accepted from there and the proof learns nothing. Here attempts count,
 * accepted or not, and fade: never as proof, only to find rivals. Pure.
 *
 * A rival so found is put into a proof as held (proof_put_held()): it is deferred where others are
 * refused, and a related one makes its scanner guessed again. For one that is not related that is
 * all: whoever sends much gets a 450 in place of a 550, and changes nothing for others.
 *
 * - A network is a rival when it carries more than proof_conf.rival of what was offered for three
 *   or more domains, and RECENT_LEAST messages for each. Clients that are known to have no name
 *   count for their own networks, but not in what others are measured by: else bots could hide an
 *   egress in their noise.
 * - One whose forward-confirmed name lies in the scanner's registrable domain is held from its
 * first message on: few are neither bots nor the scanner's.
 */
#pragma once

#include "policy/proof.h"

#define RECENT_LEAST       4
#define RECENT_FADE_MS     (30 * 60 * 1000LL) /* proof_recent_fade() is to be called as often */
#define RECENT_DOMAINS_MAX 20000

struct proof_recent;

int proof_recent_new(struct proof_recent **ret_recent);
void proof_recent_free(struct proof_recent *r);

/* One offered message, times alike. 0; 1: it is held in proof now, and was not before; -ENOMEM. */
int proof_recent_add(struct proof_recent *r, const struct proof_mail *m, struct proof *proof);
/* Halves all counts. */
void proof_recent_fade(struct proof_recent *r);
/* Puts the rivals that there are into proof. 0; 1: some were not held before; -ENOMEM. */
int proof_recent_judge(const struct proof_recent *r, const struct proof_conf *conf, int64_t now_ms,
		       struct proof *proof);
