#include "proxy/enforcing.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "dns/facts.h"
#include "policy/share.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define HOUR_MS        (3600 * 1000LL)
#define REFUSED        65536 /* domains and clients remembered */
#define WAYS           8
#define COMPLAINTS_MAX (1024 * 1024) /* octets read of the file */
#define KEY_MAX        256

enum cause { CAUSE_NONE, CAUSE_COMPLAINT, CAUSE_REJECTIONS };

struct stopped {
	enum cause cause;
	int64_t since_ms;
	char key[KEY_MAX]; /* whom the complaint is about */
	char why[ENFORCING_WHY_MAX];
};

struct enforcing {
	struct event_sink *events;
	char *file; /* where it is kept; NULL: nowhere */
	pthread_t thread;
	bool started;
	pthread_cond_t wake;

	_Atomic bool is_stopped;
	_Atomic int share;
	_Atomic uint64_t refused[REFUSED]; /* hashes; of one key always in the same WAYS places */
	_Atomic uint64_t accepted[2], rejected[2]; /* in this hour; [1]: domains of the share */

	pthread_mutex_t lock; /* of what follows */
	bool stopping;
	int max_rejections;
	char *complaints;
	struct stopped now;
	bool dirty; /* now is to be kept */
	bool gone;  /* the file of complaints, with the one that it stopped for */

	/* of the thread */
	int64_t hour_ms;
	bool unreadable, unkept, cut; /* told the operator */
};

/* ---- what was refused ---- */

static uint64_t hash_of(const char *key)
{
	uint64_t h = map_hash(sv_from(key));

	return h ? h : 1;
}

static bool was_refused(const struct enforcing *e, const char *key)
{
	uint64_t h = hash_of(key), at = h % (REFUSED / WAYS) * WAYS;

	for (int i = 0; i < WAYS; i++)
		if (e->refused[at + i] == h)
			return true;
	return false;
}

static void remember(struct enforcing *e, const char *key)
{
	uint64_t h = hash_of(key), at = h % (REFUSED / WAYS) * WAYS;

	if (was_refused(e, key))
		return;
	for (int i = 0; i < WAYS; i++)
		if (e->refused[at + i] == 0) {
			e->refused[at + i] = h;
			return;
		}
	e->refused[at + (h >> 32) % WAYS] = h;
}

void enforcing_tell(struct enforcing *e, const struct enforcing_rcpt *r)
{
	char client[ADDR_STRLEN];

	if (!e)
		return;
	if (r->refused) {
		remember(e, r->domain);
		remember(e, addr_format(r->client, client));
	}
	if (!r->front)
		return;
	bool in = share_contains(e->share, r->domain);
	if (r->code >= 500)
		atomic_fetch_add_explicit(&e->rejected[in], 1, memory_order_relaxed);
	else if (r->code >= 200 && r->code < 300)
		atomic_fetch_add_explicit(&e->accepted[in], 1, memory_order_relaxed);
}

bool enforcing_stopped(const struct enforcing *e)
{
	return e &&
	       atomic_load_explicit(&((struct enforcing *)e)->is_stopped, memory_order_relaxed);
}

/* ---- kept ---- */

/* "CAUSE SINCE KEY\nWHY\n"; of a disk that is full the operator is told once, it counts all the
 * same until this process ends, and is tried again. Not under the lock: disks may hang. */
static bool keep(const char *file, const struct stopped *now, bool quiet)
{
	char name[4200];

	if (now->cause == CAUSE_NONE)
		return unlink(file) == 0 || errno == ENOENT;
	snprintf(name, sizeof(name), "%s.new", file);
	FILE *f = fopen(name, "we");
	bool ok = f && fprintf(f, "%d %lld %s\n%s\n", (int)now->cause, (long long)now->since_ms,
			       now->key[0] ? now->key : "-", now->why) > 0;
	if (f && fclose(f) != 0)
		ok = false;
	if (ok && rename(name, file) == 0)
		return true;
	if (!quiet)
		log_warning(
			"enforce=%s error=\"%s\" that it has stopped can't be kept; trying again",
			file, strerror(errno));
	return false;
}

/* The first line: "CAUSE SINCE KEY\n". */
static bool parse_kept(char *line, struct stopped *ret)
{
	char *end;
	long cause = strtol(line, &end, 10);

	if ((cause != CAUSE_COMPLAINT && cause != CAUSE_REJECTIONS) || *end != ' ')
		return false;
	ret->cause = (enum cause)cause;
	ret->since_ms = strtoll(end, &end, 10);
	if (*end != ' ' || strcspn(end + 1, "\n") == 0)
		return false;
	end[1 + strcspn(end + 1, "\n")] = '\0';
	snprintf(ret->key, sizeof(ret->key), "%s", strcmp(end + 1, "-") == 0 ? "" : end + 1);
	return true;
}

static bool read_kept(const char *file, struct stopped *ret_was)
{
	FILE *f = fopen(file, "re");
	char line[KEY_MAX + 64];
	struct stopped was = { 0 };

	if (!f)
		return false;
	bool ok = fgets(line, sizeof(line), f) && parse_kept(line, &was) &&
		  fgets(was.why, sizeof(was.why), f);
	fclose(f);
	if (!ok)
		return false;
	was.why[strcspn(was.why, "\n")] = '\0';
	*ret_was = was;
	return true;
}

static void take_kept(struct enforcing *e)
{
	if (!e->file || !read_kept(e->file, &e->now))
		return;
	e->is_stopped = true;
	log_warning("enforce=stopped since an earlier start: %s", e->now.why);
}

bool enforcing_was_stopped(const struct conf *conf)
{
	struct stopped was;
	char *file;

	if (!conf->state || asprintf(&file, "%s.enforcing", conf->state) < 0)
		return false;
	bool stopped = read_kept(file, &was);
	free(file);
	return stopped;
}

/* ---- stopping and going on; under the lock ---- */

static void stop(struct enforcing *e, enum cause cause, const char *key)
{
	char text[ENFORCING_WHY_MAX + 64];

	e->now.cause = cause;
	e->now.since_ms = clock_wall_ms();
	snprintf(e->now.key, sizeof(e->now.key), "%s", key);
	e->is_stopped = true;
	snprintf(text, sizeof(text), "all is observed from now on: %s", e->now.why);
	log_warning("enforce=stopped %s", text);
	event_emit_note(e->events, "enforce-stopped", text);
	e->dirty = true;
}

static void go_on(struct enforcing *e, const char *why)
{
	e->now.cause = CAUSE_NONE;
	e->now.key[0] = e->now.why[0] = '\0';
	e->is_stopped = false;
	for (int i = 0; i < 2; i++)
		e->accepted[i] = e->rejected[i] = 0;
	log_info("enforce=on %s", why);
	event_emit_note(e->events, "enforce-resumed", why);
	e->dirty = true;
}

/* ---- complaints ---- */

/* The domain or address of a line as it is remembered; false: none. */
static bool complaint_key(struct sv line, char key[KEY_MAX])
{
	struct addr a;

	line = sv_list_line(line);
	if (line.n == 0 || line.n >= KEY_MAX)
		return false;
	if (addr_parse(line, &a) == 0) {
		addr_format(&a, key);
		return true;
	}
	return domain_to_ascii(line, key) == 0;
}

/* Under the lock. Is the complaint that it stopped for still there, or one that has to stop it? */
static void judge_complaints(struct enforcing *e, struct sv text)
{
	char key[KEY_MAX], found[KEY_MAX] = "";
	bool stands = false;

	while (text.n > 0) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end - text.p) : text.n;

		if (complaint_key((struct sv) { text.p, n }, key)) {
			if (e->now.cause == CAUSE_COMPLAINT && strcmp(key, e->now.key) == 0)
				stands = true;
			if (!found[0] && was_refused(e, key))
				snprintf(found, sizeof(found), "%s", key);
		}
		n += end != NULL;
		text.p += n;
		text.n -= n;
	}
	if (stands || e->now.cause == CAUSE_REJECTIONS)
		return;
	if (found[0]) {
		snprintf(e->now.why, sizeof(e->now.why), "%.200s names %s, which was refused",
			 e->complaints, found);
		stop(e, CAUSE_COMPLAINT, found);
	} else if (e->now.cause == CAUSE_COMPLAINT) {
		go_on(e, "the complaint is gone");
	}
}

/* Its first COMPLAINTS_MAX octets, malloc'ed. 0, -errno. */
static int read_text(const char *path, char **ret_text, size_t *ret_n, bool *ret_cut)
{
	FILE *f = fopen(path, "re");
	char *text = f ? malloc(COMPLAINTS_MAX) : NULL;
	int r = f ? -ENOMEM : -errno;

	if (text) {
		*ret_n = fread(text, 1, COMPLAINTS_MAX, f);
		*ret_cut = *ret_n == COMPLAINTS_MAX && getc(f) != EOF;
		r = ferror(f) ? -EIO : 0;
	}
	if (f)
		fclose(f);
	if (r == 0)
		*ret_text = text;
	else
		free(text);
	return r;
}

/* Of the thread, without the lock. No file: nobody has complained. false: it can't be read, and
 * nothing follows from that. */
static bool read_complaints(struct enforcing *e, const char *path, char **ret_text, size_t *ret_n,
			    bool *ret_none)
{
	bool cut = false;
	int r = read_text(path, ret_text, ret_n, &cut);

	if (r == -ENOENT) {
		*ret_text = NULL;
		*ret_n = 0;
		*ret_none = true;
		r = 0;
	}
	if (cut && !e->cut)
		log_warning("complaints=%s only its first %d KiB are read", path,
			    COMPLAINTS_MAX / 1024);
	e->cut = cut;
	if (r < 0 && !e->unreadable)
		log_warning("complaints=%s error=\"%s\" can't be read", path, strerror(-r));
	e->unreadable = r < 0;
	return r == 0;
}

/* ---- rejections ---- */

static void look_at_rejections(struct enforcing *e, int64_t now_ms)
{
	uint64_t n[2], bad[2];

	for (int i = 0; i < 2; i++) {
		bad[i] = e->rejected[i];
		n[i] = bad[i] + e->accepted[i];
	}
	if (now_ms - e->hour_ms >= HOUR_MS) {
		e->hour_ms = now_ms;
		for (int i = 0; i < 2; i++)
			e->accepted[i] = e->rejected[i] = 0;
	}
	if (e->now.cause != CAUSE_NONE || n[0] < ENFORCING_LEAST || n[1] < ENFORCING_LEAST)
		return;
	if (bad[1] * SHARE_ALL <= n[1] * (uint64_t)e->max_rejections ||
	    bad[1] * n[0] <= 2 * bad[0] * n[1])
		return;
	snprintf(e->now.why, sizeof(e->now.why),
		 "the mail server refused %llu of %llu recipients from scanners for domains of the "
		 "share, but %llu of %llu for the others",
		 (unsigned long long)bad[1], (unsigned long long)n[1], (unsigned long long)bad[0],
		 (unsigned long long)n[0]);
	stop(e, CAUSE_REJECTIONS, "");
}

void enforcing_look(struct enforcing *e, int64_t now_ms)
{
	char *path, *text = NULL;
	struct stopped now;
	bool gone = false;
	size_t n = 0;

	pthread_mutex_lock(&e->lock);
	path = e->complaints ? strdup(e->complaints) : NULL;
	bool none = !e->complaints;
	pthread_mutex_unlock(&e->lock);
	bool known = none || (path && read_complaints(e, path, &text, &n, &gone));

	pthread_mutex_lock(&e->lock);
	gone = gone && e->now.cause == CAUSE_COMPLAINT;
	if (gone && !e->gone)
		log_warning(
			"complaints=%s is gone: all is observed until it is back without what it "
			"named, or frontdoor resume",
			path);
	e->gone = gone;
	if (known && !gone)
		judge_complaints(e, (struct sv) { text, n });
	free(text);
	free(path);
	look_at_rejections(e, now_ms);
	bool dirty = e->dirty && e->file;
	e->dirty = false;
	now = e->now;
	pthread_mutex_unlock(&e->lock);
	if (!dirty)
		return;
	e->unkept = !keep(e->file, &now, e->unkept);
	if (e->unkept) {
		pthread_mutex_lock(&e->lock);
		e->dirty = true;
		pthread_mutex_unlock(&e->lock);
	}
}

static void *run(void *arg)
{
	struct enforcing *e = arg;
	struct timespec until;

	pthread_mutex_lock(&e->lock);
	while (!e->stopping) {
		pthread_mutex_unlock(&e->lock);
		enforcing_look(e, clock_mono_ms());
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += ENFORCING_LOOK_MS / 1000;
		pthread_mutex_lock(&e->lock);
		if (!e->stopping)
			pthread_cond_timedwait(&e->wake, &e->lock, &until);
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* ---- life ---- */

/* Under the lock, or before there is a thread. */
static int take_conf(struct enforcing *e, const struct conf *conf)
{
	char *copy = NULL;

	if (conf->policy.enforce.complaints && !(copy = strdup(conf->policy.enforce.complaints)))
		return -ENOMEM;
	free(e->complaints);
	e->complaints = copy;
	e->share = SHARE_ALL - conf->policy.enforce.spared;
	e->max_rejections = conf->policy.enforce.max_rejections;
	return 0;
}

int enforcing_new(const struct conf *conf, struct event_sink *events, struct enforcing **ret_e)
{
	struct enforcing *e = calloc(1, sizeof(*e));
	pthread_condattr_t attr;

	if (!e)
		return -ENOMEM;
	e->events = events;
	e->hour_ms = clock_mono_ms();
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (take_conf(e, conf) < 0 ||
	    (conf->state && asprintf(&e->file, "%s.enforcing", conf->state) < 0)) {
		enforcing_free(e);
		return -ENOMEM;
	}
	take_kept(e);
	*ret_e = e;
	return 0;
}

int enforcing_start(struct enforcing *e)
{
	int r = -pthread_create(&e->thread, NULL, run, e);

	e->started = r == 0;
	return r;
}

void enforcing_free(struct enforcing *e)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->stopping = true;
	pthread_cond_signal(&e->wake);
	pthread_mutex_unlock(&e->lock);
	if (e->started)
		pthread_join(e->thread, NULL);
	pthread_cond_destroy(&e->wake);
	pthread_mutex_destroy(&e->lock);
	free(e->complaints);
	free(e->file);
	free(e);
}

void enforcing_reloaded(struct enforcing *e, const struct conf *conf)
{
	pthread_mutex_lock(&e->lock);
	if (take_conf(e, conf) < 0)
		log_error("enforce error=\"out of memory\" the former file of complaints counts");
	for (int i = 0; i < 2; i++) /* of another share */
		e->accepted[i] = e->rejected[i] = 0;
	pthread_mutex_unlock(&e->lock);
}

void enforcing_view(struct enforcing *e, struct enforcing_view *ret_view)
{
	pthread_mutex_lock(&e->lock);
	ret_view->share = (double)e->share * 100 / SHARE_ALL;
	ret_view->stopped = e->is_stopped;
	ret_view->since_ms = e->now.since_ms;
	memcpy(ret_view->why, e->now.why, sizeof(e->now.why));
	pthread_mutex_unlock(&e->lock);
}

int enforcing_resume(struct enforcing *e, struct buf *text)
{
	int r = 0;

	pthread_mutex_lock(&e->lock);
	if (e->now.cause == CAUSE_COMPLAINT && !e->gone) {
		(void)buf_printf(text, "%s; enforcing goes on when that line is gone", e->now.why);
		r = -EBUSY;
	} else if (e->now.cause != CAUSE_NONE) {
		go_on(e, "the operator goes on");
		pthread_cond_signal(&e->wake);
		(void)buf_printf(text, "enforcing goes on");
	} else {
		(void)buf_printf(text, "enforcing has not stopped by itself");
	}
	pthread_mutex_unlock(&e->lock);
	return r;
}
