/*
 * The state file (configuration: `state`): what was learned, kept in SQLite over restarts. Hosted
 * domains, when scanners were heard, and the counts of policy/proof.h.
 *
 * It is created by state_save() alone, with mode 0640. All that is saved at once is one
 * transaction; readers see what was before or what is after. A file that is damaged, another
 * program's, or of a version that isn't known is left as it is, whoever asks.
 */
#pragma once

#include "conf/conf.h"
#include "policy/memory.h"
#include "policy/proof.h"

/* "FILE: what is wrong", without newline. */
struct state_error {
	char text[512];
};

/*
 * Adds what the file has to memory (hosted domains; scanners heard in the last 7 days) and proof;
 * either may be NULL. 0; 1: there is no such file; -errno: ret_error says why, and nothing was
 * added, unless the file broke while it was read.
 */
int state_load(const char *file, struct memory *memory, struct proof *proof,
	       struct state_error *ret_error);

/*
 * Saves, creating the file if there is none. Either may be NULL: that part stays as it is.
 * - memory: its hosted domains and scanners heard are added. What a `hosted` file names should not
 *   be in it: it would stay hosted when it is taken out of there.
 * - proof: merged with the file's by proof_merge(), so that the same logs can be learned again.
 * 0; -errno: ret_error says why, and the file is as it was.
 */
int state_save(const char *file, struct memory *memory, const struct proof *proof,
	       struct state_error *ret_error);

/* For a start: state_load() of conf->state, if there is one, and proof_apply(). Outcomes as of
 * state_load(); memory is told what there is in any case. */
int state_recall(const struct conf *conf, struct memory *memory, struct proof *proof,
		 struct proof_summary *ret_summary, struct state_error *ret_error);
