/* The prover and the state file. All that waits for a disk is done in a thread of libuv's pool, one
 * thing at a time, with objects that nobody else has meanwhile. */
#include "proxy/prover_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>

#define LOOK_MS      2000
#define SAVE_MS      15000 /* and 100 times as long as the last one took */
#define PACE_SAVE_MS (10 * 60 * 1000LL)

/* ---- what is settled ---- */

static int put_settled(void *proof, const struct proof_settled *row)
{
	int r = proof_put_settled(proof, row);

	return r == -ENOMEM ? r : 0;
}

static int hash_settled(void *user, const struct proof_settled *row)
{
	uint64_t *sum = user;
	struct {
		struct addr addr;
		uint64_t scanner, bits, accepted;
	} key = { row->network.addr, map_hash(sv_from(row->scanner)), row->network.bits,
		  row->accepted };

	*sum += map_hash((struct sv) { (const char *)&key, sizeof(key) });
	return 0;
}

static void take_settled(struct prover *p, const struct proof *found)
{
	uint64_t hash = 0;
	const struct proof_visit sum = { .settled = hash_settled, .user = &hash };
	const struct proof_visit put = { .settled = put_settled, .user = p->proof };

	(void)proof_each(found, &sum);
	if (hash == p->settled_hash)
		return;
	proof_forget_settled(p->proof);
	if (proof_each(found, &put) < 0)
		return; /* not all of it: the next look finds another hash */
	p->settled_hash = hash;
	p->changed = p->urgent = true;
}

/* ---- handing over ---- */

static int put_held(void *proof, const struct proof_held *row)
{
	int r = proof_put_held(proof, row);

	return r == -ENOMEM ? r : 0;
}

static int put_pace(void *pace, const struct pace_row *row)
{
	int r = pace_put(pace, row);

	return r == -ENOMEM ? r : 0;
}

/* Without memory it stays unsaved for now. */
static struct pace *copy_pace(const struct pace *pace)
{
	struct pace *copy;

	if (pace_new(&copy) < 0)
		return NULL;
	if (pace_each(pace, put_pace, copy) == 0)
		return copy;
	pace_free(copy);
	return NULL;
}

/* What is to be saved becomes the work's. 0, -ENOMEM. */
static int hand_over(struct prover *p, int64_t now_ms)
{
	const struct proof_visit held = { .held = put_held, .user = p->news };
	struct proof *news = NULL;
	struct memory *learned = NULL;

	if (proof_new(&news) < 0 || memory_new(&learned) < 0 || proof_each(p->proof, &held) < 0) {
		proof_free(news);
		memory_free(learned);
		return -ENOMEM;
	}
	p->work.proof = p->news;
	p->work.learned = p->learned;
	p->news = news;
	p->learned = learned;
	p->unsaved = false;
	p->work.pace = NULL;
	if (p->pace_unsaved || p->ending || now_ms - p->pace_saved_ms >= PACE_SAVE_MS) {
		p->work.pace = copy_pace(p->pace);
		p->pace_unsaved = false;
		p->pace_saved_ms = now_ms;
	}
	return 0;
}

static int take_hosted(void *memory, const char *domain)
{
	int r = memory_hosted_add(memory, sv_from(domain));

	return r == -ENOMEM ? r : 0;
}

static int take_heard(void *memory, const char *scanner, int64_t when_ms)
{
	memory_scanner_heard(memory, scanner, when_ms);
	return 0;
}

/* It could not be saved: it is news still. */
static void take_back(struct prover *p)
{
	(void)proof_join(p->news, p->work.proof);
	(void)memory_hosted_each(p->work.learned, take_hosted, p->learned);
	(void)memory_heard_each(p->work.learned, take_heard, p->learned);
	p->unsaved = true;
	p->pace_unsaved = p->pace_unsaved || p->work.pace;
}

static void work_clear(struct prover_work *w)
{
	proof_free(w->proof);
	memory_free(w->learned);
	pace_free(w->pace);
	w->proof = NULL;
	w->learned = NULL;
	w->pace = NULL;
	w->job = JOB_NONE;
}

/* ---- in a thread of the pool ---- */

static void save(struct prover *p)
{
	struct prover_work *w = &p->work;
	struct state_news news = { .memory = w->learned,
				   .proof = w->proof,
				   .counted = true,
				   .succeeded = p->successor,
				   .pace = p->successor ? NULL : w->pace,
				   .saves = p->saves };
	int64_t begin = clock_mono_ms();

	w->r = state_save_news(p->state, &news, &w->error);
	w->saves = news.saves;
	w->took_ms = clock_mono_ms() - begin;
}

static void do_work(uv_work_t *uv)
{
	struct prover *p = CONTAINER_OF(uv, struct prover, work.uv);
	struct prover_work *w = &p->work;

	switch (w->job) {
	case JOB_SAVE:
		save(p);
		break;
	case JOB_LOOK:
		w->r = state_watch_look(p->watch, w->proof, &w->saves, &w->error);
		break;
	case JOB_LOAD:
		w->r = state_load_all(p->state, p->conf.memory, w->proof, NULL, &w->saves,
				      &w->error);
		break;
	case JOB_NONE:
		break;
	}
}

/* ---- and afterwards ---- */

static void complain(struct prover *p, const char *what)
{
	int64_t now = clock_mono_ms();

	atomic_fetch_add(&p->save_failed, 1);
	if (p->disk_complained_ms && now - p->disk_complained_ms < 60000)
		return;
	p->disk_complained_ms = now;
	log_warning("error=\"%s\" %s", p->work.error.text, what);
}

static void saved(struct prover *p)
{
	if (p->work.r < 0) {
		complain(p, "what was learned is not saved; trying again");
		take_back(p);
		return;
	}
	atomic_fetch_add(&p->saved, 1);
	p->saves = p->work.saves;
	p->merge = false;
	p->reload = p->work.r == 1;
}

/* Scanners of which nothing is settled any more are to stand in loaded, so that memory is told with
 * the rest: what is accepted all along must not be unknown for a moment. */
static int name_forgotten(const struct proof *old, struct proof *loaded)
{
	const struct proof_visit name = { .settled = put_settled, .user = loaded };
	struct proof_visit put = { .settled = put_settled };
	struct proof *kept;
	int r = proof_new(&kept);

	if (r < 0)
		return r;
	put.user = kept;
	r = proof_each(loaded, &put);
	if (r == 0)
		r = proof_each(old, &name);
	proof_forget_settled(loaded);
	put.user = loaded;
	if (r == 0)
		r = proof_each(kept, &put);
	proof_free(kept);
	return r;
}

/* What was proven of a scanner that the file knows nothing of any more: it was moved away. */
static int forget_proof(void *user, const struct proof_scanner *row)
{
	const struct prefix_set none = { .sealed = true };
	struct prover *p = user;
	struct proof_state state;
	int r = proof_judge(p->proof, row->name, &p->conf.conf->policy.prove, clock_wall_ms(),
			    &state);

	if (r == 0)
		proof_state_deinit(&state);
	return r == -ENOENT ? memory_scanner_set_proven(p->conf.memory, row->name, SCANNER_UNPROVEN,
							&none)
			    : 0;
}

/* Somebody has learned from logs: what the file has takes the place of what was counted here, which
 * is part of it, but for the news. */
static void loaded(struct prover *p)
{
	const struct proof_visit held = { .held = put_held, .user = p->work.proof };
	const struct proof_visit unprove = { .scanner = forget_proof, .user = p };
	struct proof *old = p->proof;

	if (p->work.r != 0) {
		if (p->work.r < 0)
			complain(p, "what others have learned is not known here");
		return;
	}
	if (proof_join(p->work.proof, p->news) < 0 || proof_each(old, &held) < 0 ||
	    name_forgotten(old, p->work.proof) < 0)
		return;
	p->proof = p->work.proof;
	p->work.proof = old;
	p->saves = p->work.saves;
	p->settled_hash = PROVER_UNKNOWN;
	(void)proof_each(old, &unprove);
	prover_apply(p);
	log_info("state=%s has news: it was read again", p->state);
}

static void looked(struct prover *p)
{
	if (p->work.r < 0)
		complain(p, "the state file can't be looked at");
	if (p->work.r != 1)
		return;
	take_settled(p, p->work.proof);
	if (p->work.saves != p->saves && !p->successor)
		p->merge = true; /* what is news here first: then the file has all of it */
}

static void work_done(uv_work_t *uv, int status)
{
	struct prover *p = CONTAINER_OF(uv, struct prover, work.uv);

	switch (p->work.job) {
	case JOB_SAVE:
		saved(p);
		break;
	case JOB_LOOK:
		looked(p);
		break;
	case JOB_LOAD:
		loaded(p);
		break;
	case JOB_NONE:
		break;
	}
	work_clear(&p->work);
}

static void begin(struct prover *p, enum prover_job job)
{
	p->work.job = job;
	if (uv_queue_work(p->loop, &p->work.uv, do_work, work_done) == 0)
		return;
	if (job == JOB_SAVE)
		take_back(p);
	work_clear(&p->work);
}

void prover_state_tick(struct prover *p, int64_t now_ms)
{
	int64_t wait = SAVE_MS;

	if (!p->watch || p->work.job != JOB_NONE)
		return;
	if (100 * p->work.took_ms > wait)
		wait = 100 * p->work.took_ms;
	if (p->reload) {
		p->reload = false;
		if (proof_new(&p->work.proof) == 0)
			begin(p, JOB_LOAD);
	} else if (p->merge || ((p->unsaved || p->pace_unsaved) && now_ms - p->saved_ms >= wait)) {
		p->saved_ms = now_ms;
		if (hand_over(p, now_ms) == 0)
			begin(p, JOB_SAVE);
	} else if (now_ms - p->looked_ms >= LOOK_MS) {
		p->looked_ms = now_ms;
		if (proof_new(&p->work.proof) == 0)
			begin(p, JOB_LOOK);
	}
}

bool prover_hand_over(struct prover *p)
{
	if (p->work.job != JOB_NONE)
		return false;
	prover_count_now(p);
	prover_save_now(p);
	p->successor = true;
	return true;
}

void prover_stay(struct prover *p)
{
	p->successor = false;
}

void prover_save_now(struct prover *p)
{
	if (!p->watch || (!p->unsaved && !p->pace_unsaved) || hand_over(p, clock_mono_ms()) < 0)
		return;
	save(p);
	if (p->work.r < 0) {
		log_warning("error=\"%s\" what was learned last is %s", p->work.error.text,
			    p->ending ? "lost" : "not saved; trying again");
		take_back(p);
	}
	work_clear(&p->work);
}
