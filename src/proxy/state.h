/*
 * The state file (configuration: `state`): what was learned, kept in SQLite over restarts. Hosted
 * domains, when scanners were heard, the counts of policy/proof.h and policy/pace.h, and what the
 * operator settled.
 *
 * It is created by those that write, with mode 0640. All that is saved at once is one
 * transaction; readers see what was before or what is after. A file that is damaged, another
 * program's, or of a version that isn't known is left as it is, whoever asks.
 */
#pragma once

#include "conf/conf.h"
#include "policy/memory.h"
#include "policy/pace.h"
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

/* ---- the running daemon ---- */

/* As state_load(); pace may be NULL too. ret_saves: how often proof was saved there, for
 * state_save_news(). */
int state_load_all(const char *file, struct memory *memory, struct proof *proof, struct pace *pace,
		   int64_t *ret_saves, struct state_error *ret_error);

/* What was learned since the file was loaded, or saved last. */
struct state_news {
	struct memory *memory;     /* NULL: nothing */
	const struct proof *proof; /* counted since, and all that is held now; NULL: nothing */
	bool counted;              /* proof was counted by who knows saves */
	bool succeeded;            /* and who was the daemon before the one that saves there now:
				    * it is added in any case, and the other need not notice */
	const struct pace *pace;   /* all of it */
	int64_t saves;             /* as it was then; set to what it is now */
};
/*
 * As state_save(), but that proof is added to the file's, unless somebody else (frontdoor logs
 * --learn) has saved proof since: then the rules of proof_merge() say what is counted twice.
 * 0; 1: others have saved, so there is more in the file than the daemon knows; -errno.
 */
int state_save_news(const char *file, struct state_news *news, struct state_error *ret_error);

/* For a start: state_load() of conf->state, if there is one, and proof_apply(). Outcomes as of
 * state_load(); memory is told what there is in any case. */
int state_recall(const struct conf *conf, struct memory *memory, struct proof *proof,
		 struct proof_summary *ret_summary, struct state_error *ret_error);

/* ---- what the operator settles ---- */

enum settle { SETTLE_ACCEPT, SETTLE_DENY, SETTLE_FORGET };
enum settle_outcome {
	SETTLED = 0,
	SETTLE_AS_BEFORE,   /* it was so already; for SETTLE_FORGET: nothing was settled of it */
	SETTLE_CONTRADICTS, /* a part, or the whole, of another network that is settled otherwise */
	SETTLE_TOO_MANY,
};
/* Creates the file. ret_other: the network that it contradicts. -errno: ret_error says why. */
int state_settle(const char *file, const char *scanner, const struct prefix *network,
		 enum settle what, struct prefix *ret_other, struct state_error *ret_error);
/* Notices that somebody wrote to the file, ourselves too; for one thread at a time. */
struct state_watch;
int state_watch_new(const char *file, struct state_watch **ret_watch); /* 0, -ENOMEM */
void state_watch_free(struct state_watch *w);
/* 0: as the last time; 1: it is new, or was written to (always the first time that there is one):
 * settled has what the operator settled, ret_saves how often proof was saved. -errno. */
int state_watch_look(struct state_watch *w, struct proof *settled, int64_t *ret_saves,
		     struct state_error *ret_error);
