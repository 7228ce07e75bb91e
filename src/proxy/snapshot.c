/*
 * The file, its thread that writes, and the start that reads it: a little long, since these three
 * have the schema, the checks of a damaged or foreign file and its replacement in common. What a
 * row is made of has its own file (snapshot_row.c).
 */
#include "proxy/snapshot.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "proxy/snapshot_row.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define APPLICATION_ID 0x66646472 /* "fddr" */
#define VERSION        1
#define BUSY_MS        2000

static const char schema[] =
	"CREATE TABLE door (domain TEXT PRIMARY KEY, known_ms INTEGER NOT NULL, facts BLOB NOT "
	"NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE source (key TEXT PRIMARY KEY, known_ms INTEGER NOT NULL, facts BLOB NOT NULL)"
	" WITHOUT ROWID;";

enum kind { DOMAINS, SOURCES, KINDS };

/* A row that waits to be written. */
struct change {
	int64_t known_ms; /* wall clock */
	size_t n;         /* 0: the row is to go */
	uint8_t *row;
};

struct waiting {
	struct map rows[KINDS]; /* domain or key → struct change */
	size_t octets;
};

struct snapshot {
	char *file;
	int64_t stale_max_ms;
	sqlite3 *db; /* the thread's, once it runs; NULL: to be opened when there is something to
			write */
	bool alone;  /* for loading only: see open_alone() */
	bool trouble_told;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* of the rest */
	pthread_cond_t wake;
	struct waiting waiting;
	struct snapshot_stats stats;
	bool stop;
};

static struct snapshot_clock clock_now(void)
{
	return (struct snapshot_clock) { .wall_ms = clock_wall_ms(), .mono_ms = clock_mono_ms() };
}

/* ---- the file ---- */

static int db_error(sqlite3 *db)
{
	switch (db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
	case SQLITE_ERROR: /* a table or column is missing */
	case SQLITE_MISMATCH:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static int execute(struct snapshot *s, const char *sql)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_error(s->db);
}

static int64_t single(struct snapshot *s, const char *sql)
{
	sqlite3_stmt *row;
	int64_t value = -1;

	if (sqlite3_prepare_v2(s->db, sql, -1, &row, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(row) == SQLITE_ROW)
		value = sqlite3_column_int64(row, 0);
	sqlite3_finalize(row);
	return value;
}

static int make_tables(struct snapshot *s)
{
	char sql[96];
	int r = execute(s, "BEGIN IMMEDIATE");

	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 APPLICATION_ID, VERSION);
	if (r == 0)
		r = execute(s, schema);
	if (r == 0)
		r = execute(s, sql);
	return r == 0 ? execute(s, "COMMIT") : r;
}

static void close_file(struct snapshot *s)
{
	sqlite3_close(s->db);
	s->db = NULL;
}

/* alone: nobody else may have it meanwhile. > 0: tables are there; 0: it is empty; -EINVAL: it is
 * not ours, or damaged; -errno. */
static int open_db(struct snapshot *s, bool alone)
{
	int64_t tables;

	if (sqlite3_open_v2(s->file, &s->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return db_error(s->db);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (alone && execute(s, "PRAGMA locking_mode = EXCLUSIVE") < 0)
		return db_error(s->db);
	tables = single(s, "SELECT count(*) FROM sqlite_master");
	if (tables < 0)
		return db_error(s->db);
	if (tables > 0 && (single(s, "PRAGMA application_id") != APPLICATION_ID ||
			   single(s, "PRAGMA user_version") != VERSION))
		return -EINVAL;
	return tables > 0;
}

/* The disk is full, or so: then there is no room for the index of the write-ahead log, which is
 * shared. Who has the file for himself keeps that in memory: for reading it. */
static void open_alone(struct snapshot *s)
{
	s->alone = open_db(s, true) > 0;
	if (!s->alone)
		close_file(s);
}

static int try_open(struct snapshot *s)
{
	int fd = open(s->file, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	int r;

	if (fd < 0)
		return -errno;
	close(fd);
	int tables = open_db(s, false);
	if (tables < 0)
		return tables;
	/* What the last seconds brought may be lost with the power, the file may not. */
	r = execute(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		       "PRAGMA cache_size = -16384");
	return r < 0 || tables > 0 ? r : make_tables(s);
}

/* 0; -EINVAL: it is not ours, or damaged; -errno. */
static int open_file(struct snapshot *s)
{
	int r = try_open(s);

	if (r < 0)
		close_file(s);
	return r;
}

/* A file that can't be used makes room for a new one. */
static int set_aside(struct snapshot *s)
{
	static const char *const tails[] = { "", "-wal", "-shm" };
	char from[PATH_MAX], to[PATH_MAX];
	int r;

	close_file(s);
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		snprintf(from, sizeof(from), "%s%s", s->file, tails[i]);
		snprintf(to, sizeof(to), "%s.bad%s", s->file, tails[i]);
		if (rename(from, to) < 0 && i == 0)
			return -errno;
	}
	log_warning("snapshot=%s is damaged or another program's or version's; it was renamed to "
		    "%s.bad, and a new one is begun",
		    s->file, s->file);
	r = open_file(s);
	return r;
}

static void tell_trouble(struct snapshot *s, int r)
{
	if (!s->trouble_told)
		log_warning("snapshot=%s error=\"%s\" doors can't be saved for the next start; "
			    "trying again",
			    s->file, strerror(-r));
	s->trouble_told = true;
}

/* ---- what waits ---- */

static void change_free(void *change)
{
	struct change *c = change;

	if (c)
		free(c->row);
	free(c);
}

static void waiting_init(struct waiting *w)
{
	*w = (struct waiting) { 0 };
	for (int i = 0; i < KINDS; i++)
		map_init(&w->rows[i]);
}

static void waiting_deinit(struct waiting *w)
{
	for (int i = 0; i < KINDS; i++)
		map_deinit(&w->rows[i], change_free);
}

static size_t cost_of(const char *key, const struct change *c)
{
	return c->n + strlen(key) + sizeof(*c) + sizeof(struct map_entry) + 64;
}

/* Takes c over. only_new: what is there is newer. The lock is held. */
static void add_change(struct snapshot *s, enum kind kind, const char *key, struct change *c,
		       bool only_new)
{
	struct map *rows = &s->waiting.rows[kind];
	struct change *there = map_get(rows, sv_from(key));
	void *old;

	if (there && only_new) {
		change_free(c);
		return;
	}
	if (there)
		s->waiting.octets -= cost_of(key, there);
	if (s->waiting.octets + cost_of(key, c) > SNAPSHOT_WAITING_MAX ||
	    map_put(rows, sv_from(key), c, &old) < 0) {
		s->stats.dropped++;
		change_free(c);
		if (there) /* it would be the older one */
			change_free(map_remove(rows, sv_from(key)));
		return;
	}
	s->waiting.octets += cost_of(key, c);
	change_free(there);
}

/* row is taken over; NULL with n: memory ran out. */
static void change(struct snapshot *s, enum kind kind, const char *key, void *row, size_t n,
		   int64_t known_ms)
{
	struct change *c = n > 0 && !row ? NULL : calloc(1, sizeof(*c));

	if (c)
		*c = (struct change) { .known_ms = known_ms, .n = n, .row = row };
	else
		free(row);
	pthread_mutex_lock(&s->lock);
	if (c)
		add_change(s, kind, key, c, false);
	else
		s->stats.dropped++;
	pthread_mutex_unlock(&s->lock);
}

void snapshot_domain(struct snapshot *s, const char *domain, const struct domain_facts *facts,
		     bool kept)
{
	struct snapshot_clock clock = clock_now();
	size_t n = 1;
	void *row;

	if (!facts || (facts->kind == FACTS_NOTHING && !kept)) {
		change(s, DOMAINS, domain, NULL, 0, 0);
		return;
	}
	if (facts->kind == FACTS_FAILED) /* what was known before may yet be of use */
		return;
	row = snapshot_pack_domain(facts, &clock, &n);
	change(s, DOMAINS, domain, row, n, clock.wall_ms - (clock.mono_ms - facts->fetched_ms));
}

void snapshot_source(struct snapshot *s, const struct egress_source *source)
{
	struct snapshot_clock clock = clock_now();
	size_t n = 1;
	void *row;

	/* that a client is nobody's egress opens nothing, and there are many of these */
	if (source->status == SOURCE_FAILED || source->fallback ||
	    (source->status == SOURCE_NONE &&
	     strncmp(source->key, "exists:", strlen("exists:")) == 0))
		return;
	row = snapshot_pack_source(source, &clock, &n);
	change(s, SOURCES, source->key, row, n,
	       clock.wall_ms - (clock.mono_ms - source->fetched_ms));
}

void snapshot_stats(struct snapshot *s, struct snapshot_stats *ret_stats)
{
	pthread_mutex_lock(&s->lock);
	*ret_stats = s->stats;
	pthread_mutex_unlock(&s->lock);
}

/* ---- the thread ---- */

static int write_rows(struct snapshot *s, struct map *rows, const char *put_sql,
		      const char *remove_sql)
{
	sqlite3_stmt *put = NULL, *gone = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(s->db, put_sql, -1, &put, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(s->db, remove_sql, -1, &gone, NULL) != SQLITE_OK)
		r = db_error(s->db);
	for (struct map_entry *e = NULL; r == 0 && (e = map_next(rows, e));) {
		const struct change *c = e->value;
		sqlite3_stmt *stmt = c->n ? put : gone;

		sqlite3_bind_text(stmt, 1, e->key, (int)e->key_len, SQLITE_STATIC);
		if (c->n) {
			sqlite3_bind_int64(stmt, 2, c->known_ms);
			sqlite3_bind_blob(stmt, 3, c->row, (int)c->n, SQLITE_STATIC);
		}
		if (sqlite3_step(stmt) != SQLITE_DONE)
			r = db_error(s->db);
		sqlite3_reset(stmt);
	}
	sqlite3_finalize(put);
	sqlite3_finalize(gone);
	return r;
}

static int write_batch(struct snapshot *s, struct waiting *batch)
{
	int r = s->db ? execute(s, "BEGIN IMMEDIATE") : open_file(s);

	if (r == 0 && sqlite3_get_autocommit(s->db)) /* just opened */
		r = execute(s, "BEGIN IMMEDIATE");
	if (r == 0)
		r = write_rows(s, &batch->rows[DOMAINS],
			       "INSERT OR REPLACE INTO door VALUES (?, ?, ?)",
			       "DELETE FROM door WHERE domain = ?");
	if (r == 0)
		r = write_rows(s, &batch->rows[SOURCES],
			       "INSERT OR REPLACE INTO source VALUES (?, ?, ?)",
			       "DELETE FROM source WHERE key = ?");
	if (r == 0)
		r = execute(s, "COMMIT");
	if (r < 0 && s->db && !sqlite3_get_autocommit(s->db))
		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

/* What could not be written waits on, unless something newer does. */
static void wait_again(struct snapshot *s, struct waiting *batch)
{
	for (int i = 0; i < KINDS; i++) {
		for (struct map_entry *e = NULL; (e = map_next(&batch->rows[i], e));) {
			char key[SOURCE_KEY_MAX];

			snprintf(key, sizeof(key), "%.*s", (int)e->key_len, e->key);
			add_change(s, (enum kind)i, key, e->value, true);
		}
		map_deinit(&batch->rows[i], NULL);
	}
	s->stats.failed++;
}

static void write_waiting(struct snapshot *s, struct waiting *batch)
{
	size_t n = batch->rows[DOMAINS].n + batch->rows[SOURCES].n;
	int r;

	if (n == 0)
		return;
	r = write_batch(s, batch);
	if (r == -EINVAL && (r = set_aside(s)) == 0)
		r = write_batch(s, batch);
	if (r < 0)
		tell_trouble(s, r);
	else if (s->trouble_told)
		log_info("snapshot=%s is saved again", s->file);
	s->trouble_told = r < 0;
	pthread_mutex_lock(&s->lock);
	if (r < 0)
		wait_again(s, batch);
	else
		s->stats.written += n;
	pthread_mutex_unlock(&s->lock);
	if (r == 0)
		waiting_deinit(batch);
}

/* Until there is something to do: true, or the end. */
static bool wait_a_while(struct snapshot *s, struct waiting *ret_batch)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += SNAPSHOT_WRITE_MS / 1000;
	pthread_mutex_lock(&s->lock);
	while (!s->stop && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
		;
	*ret_batch = s->waiting;
	waiting_init(&s->waiting);
	stop = s->stop;
	pthread_mutex_unlock(&s->lock);
	return !stop;
}

static void *run(void *user)
{
	struct snapshot *s = user;
	struct waiting batch;
	bool go_on;

	do {
		go_on = wait_a_while(s, &batch);
		write_waiting(s, &batch);
	} while (go_on);
	return NULL;
}

/* ---- loading ---- */

struct loading {
	struct snapshot *s;
	const struct snapshot_visit *visit;
	struct snapshot_clock clock;
	struct snapshot_room *room;
	bool future; /* there are rows that a clock wrote which has been set back */
};

static int load_row(struct loading *l, enum kind kind, const char *key, struct sv row)
{
	struct domain_facts facts;
	struct egress_source source;
	bool future = false;
	int r;

	r = kind == DOMAINS
		    ? snapshot_unpack_domain(row, key, &l->clock, l->room, &facts, &future)
		    : snapshot_unpack_source(row, key, &l->clock, l->room, &source, &future);
	if (r == -EINVAL) {
		l->s->stats.damaged++;
		return 0;
	}
	if (r < 0)
		return r;
	if (future) {
		if (kind == DOMAINS)
			snapshot_domain(l->s, key, &facts, true);
		else
			snapshot_source(l->s, &source);
	}
	if (kind == DOMAINS) {
		l->s->stats.domains++;
		return l->visit->domain(l->visit->user, &facts);
	}
	l->s->stats.sources++;
	return l->visit->source(l->visit->user, &source);
}

/* Oldest knowledge that counts is asked for, so that rows which have gone are none. */
static int load_rows(struct loading *l, enum kind kind)
{
	static const char *const sql[KINDS] = {
		[DOMAINS] = "SELECT domain, facts FROM door WHERE known_ms > ?",
		[SOURCES] = "SELECT key, facts FROM source WHERE known_ms > ?",
	};
	sqlite3_stmt *rows;
	int step = SQLITE_DONE, r = 0;

	if (sqlite3_prepare_v2(l->s->db, sql[kind], -1, &rows, NULL) != SQLITE_OK)
		return db_error(l->s->db);
	sqlite3_bind_int64(rows, 1, l->clock.wall_ms - l->s->stale_max_ms);
	while (r >= 0 && (step = sqlite3_step(rows)) == SQLITE_ROW) {
		const char *key = (const char *)sqlite3_column_text(rows, 0);
		struct sv row = { .p = sqlite3_column_blob(rows, 1),
				  .n = (size_t)sqlite3_column_bytes(rows, 1) };

		if (key && row.p && strlen(key) < SOURCE_KEY_MAX)
			r = load_row(l, kind, key, row);
		else
			l->s->stats.damaged++;
	}
	if (r >= 0)
		r = step == SQLITE_DONE ? 0 : db_error(l->s->db);
	sqlite3_finalize(rows);
	return r;
}

static void forget_old(struct snapshot *s, int64_t wall_ms)
{
	char sql[160];
	long long before = wall_ms - s->stale_max_ms;

	snprintf(sql, sizeof(sql),
		 "DELETE FROM door WHERE known_ms <= %lld; DELETE FROM source WHERE known_ms <= "
		 "%lld",
		 before, before);
	int r = execute(s, sql);
	if (r < 0)
		tell_trouble(s, r);
}

int snapshot_load(struct snapshot *s, const struct snapshot_visit *visit)
{
	struct loading l = { .s = s, .visit = visit, .clock = clock_now() };
	int r = s->db ? snapshot_room_new(&l.room) : -EIO;

	for (int kind = 0; r == 0 && kind < KINDS; kind++)
		r = load_rows(&l, (enum kind)kind);
	snapshot_room_free(l.room);
	/* What was read before the damage bears its own sum: it counts. */
	if (r == -EINVAL)
		return set_aside(s);
	if (r == 0 && !s->alone)
		forget_old(s, l.clock.wall_ms);
	if (s->alone)
		close_file(s);
	if (s->stats.damaged)
		log_warning("snapshot=%s %llu rows are damaged and were left out", s->file,
			    (unsigned long long)s->stats.damaged);
	return r;
}

/* ---- beginning and end ---- */

int snapshot_start(struct snapshot *s)
{
	int r = -pthread_create(&s->thread, NULL, run, s);

	s->started = r == 0;
	return r;
}

int snapshot_new(const char *file, int64_t stale_max_ms, struct snapshot **ret_snapshot)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int r;

	if (!s)
		return -ENOMEM;
	s->stale_max_ms = stale_max_ms;
	waiting_init(&s->waiting);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	s->file = sv_dup(sv_from(file));
	r = s->file ? open_file(s) : -ENOMEM;
	if (r == -EINVAL)
		r = set_aside(s);
	if (r == -EIO || r == -ENOSPC) {
		tell_trouble(s, r);
		open_alone(s);
		r = 0;
	}
	if (r < 0) {
		log_warning("snapshot=%s error=\"%s\" can't be used: the next start will have to "
			    "ask DNS for everything",
			    file, strerror(-r));
		snapshot_free(s);
		return r;
	}
	*ret_snapshot = s;
	return 0;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	if (s->started) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_signal(&s->wake);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
	}
	waiting_deinit(&s->waiting);
	close_file(s);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s->file);
	free(s);
}
