#include "proxy/state_private.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char schema[] =
	"CREATE TABLE hosted (domain TEXT PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE heard (scanner TEXT PRIMARY KEY, wall_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE proof_scanner (scanner TEXT PRIMARY KEY, inside INTEGER NOT NULL,"
	" first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, inside_first_ms INTEGER NOT NULL,"
	" inside_last_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE proof_domain (scanner TEXT, domain TEXT, first_ms INTEGER NOT NULL,"
	" inside INTEGER NOT NULL, outside INTEGER NOT NULL, confirmed INTEGER NOT NULL,"
	" PRIMARY KEY (scanner, domain)) WITHOUT ROWID;"
	"CREATE TABLE proof_network (scanner TEXT, domain TEXT, network TEXT,"
	" messages INTEGER NOT NULL, error INTEGER NOT NULL, related INTEGER NOT NULL,"
	" ptr_domain TEXT, PRIMARY KEY (scanner, domain, network)) WITHOUT ROWID;";

/* ---- loading ---- */

/* A negative number becomes one that no row can have. */
static uint64_t column_count(sqlite3_stmt *row, int i)
{
	return (uint64_t)sqlite3_column_int64(row, i);
}

static int load_hosted(struct state *s, sqlite3_stmt *row)
{
	const char *domain = state_text(row, 0);
	size_t n = strlen(domain);

	if (n == 0 || n >= PROOF_NAME_MAX)
		return -EINVAL;
	int r = memory_hosted_add(s->memory, (struct sv) { domain, n });
	return r == -ENOSPC ? 0 : r;
}

static int load_heard(struct state *s, sqlite3_stmt *row)
{
	memory_scanner_heard_at(s->memory, state_text(row, 0), sqlite3_column_int64(row, 1),
				s->wall_ms, s->mono_ms);
	return 0;
}

static int load_scanner(struct state *s, sqlite3_stmt *row)
{
	return proof_put_scanner(
		s->proof,
		&(struct proof_scanner) { .name = state_text(row, 0),
					  .inside = column_count(row, 1),
					  .first_ms = sqlite3_column_int64(row, 2),
					  .last_ms = sqlite3_column_int64(row, 3),
					  .inside_first_ms = sqlite3_column_int64(row, 4),
					  .inside_last_ms = sqlite3_column_int64(row, 5) });
}

/* Whose scanner or domain found no room is left out too. */
static int found_or_left(int r)
{
	return r == -ENOENT ? 0 : r;
}

static int load_domain(struct state *s, sqlite3_stmt *row)
{
	return found_or_left(proof_put_domain(
		s->proof, &(struct proof_domain) { .scanner = state_text(row, 0),
						   .name = state_text(row, 1),
						   .first_ms = sqlite3_column_int64(row, 2),
						   .inside = column_count(row, 3),
						   .outside = column_count(row, 4),
						   .confirmed = column_count(row, 5) }));
}

static int load_network(struct state *s, sqlite3_stmt *row)
{
	struct proof_network n = { .scanner = state_text(row, 0),
				   .domain = state_text(row, 1),
				   .messages = column_count(row, 3),
				   .error = column_count(row, 4),
				   .related = sqlite3_column_int64(row, 5) != 0,
				   .ptr_domain = (const char *)sqlite3_column_text(row, 6) };

	if (prefix_parse(sv_from(state_text(row, 2)), &n.network) < 0)
		return -EINVAL;
	return found_or_left(proof_put_network(s->proof, &n));
}

static int load_proof(struct state *s)
{
	int r = state_each(s, "SELECT * FROM proof_scanner", load_scanner);

	if (r == 0)
		r = state_each(s, "SELECT * FROM proof_domain", load_domain);
	if (r == 0)
		r = state_each(s, "SELECT * FROM proof_network", load_network);
	return r;
}

static int load_memory(struct state *s)
{
	int r = state_each(s, "SELECT * FROM hosted", load_hosted);

	return r < 0 ? r : state_each(s, "SELECT * FROM heard", load_heard);
}

static int load_all(struct state *s, int64_t *ret_saves)
{
	int r = state_open_to_read(s);

	if (r == 0)
		r = state_execute(s, "BEGIN");
	if (r == 0 && s->proof)
		r = load_proof(s);
	if (r == 0 && s->proof)
		r = state_load_egress(s);
	if (r == 0 && s->memory)
		r = load_memory(s);
	if (r == 0 && s->pace)
		r = state_load_pace(s);
	if (r == 0 && ret_saves)
		*ret_saves = state_saves(s);
	return r;
}

int state_load_all(const char *file, struct memory *memory, struct proof *proof, struct pace *pace,
		   int64_t *ret_saves, struct state_error *ret_error)
{
	struct state s = { .file = file,
			   .memory = memory,
			   .proof = proof,
			   .pace = pace,
			   .wall_ms = clock_wall_ms(),
			   .mono_ms = clock_mono_ms(),
			   .error = ret_error };
	int r;

	if (access(file, F_OK) < 0)
		return errno == ENOENT ? 1 : state_fail(&s, -errno, "%s", strerror(errno));
	r = load_all(&s, ret_saves);
	state_close(&s);
	return r < 0 ? r : 0;
}

int state_load(const char *file, struct memory *memory, struct proof *proof,
	       struct state_error *ret_error)
{
	return state_load_all(file, memory, proof, NULL, NULL, ret_error);
}

/* ---- saving ---- */

static int save_hosted(void *user, const char *domain)
{
	struct state *s = user;

	state_bind_text(s, 1, domain);
	return state_write_row(s);
}

static int save_heard(void *user, const char *scanner, int64_t when_ms)
{
	struct state *s = user;

	state_bind_text(s, 1, scanner);
	state_bind_int(s, 2, s->wall_ms - (s->mono_ms - when_ms));
	return state_write_row(s);
}

static int save_memory(struct state *s)
{
	int r = state_prepare(s, "INSERT OR IGNORE INTO hosted VALUES (?)");

	if (r == 0)
		r = memory_hosted_each(s->memory, save_hosted, s);
	if (r == 0)
		r = state_prepare(s, "INSERT INTO heard VALUES (?, ?) ON CONFLICT DO UPDATE SET"
				     " wall_ms = max(wall_ms, excluded.wall_ms)");
	if (r == 0)
		r = memory_heard_each(s->memory, save_heard, s);
	return r;
}

static int save_scanner(void *user, const struct proof_scanner *row)
{
	struct state *s = user;

	state_bind_text(s, 1, row->name);
	state_bind_int(s, 2, (int64_t)row->inside);
	state_bind_int(s, 3, row->first_ms);
	state_bind_int(s, 4, row->last_ms);
	state_bind_int(s, 5, row->inside_first_ms);
	state_bind_int(s, 6, row->inside_last_ms);
	return state_write_row(s);
}

static int save_domain(void *user, const struct proof_domain *row)
{
	struct state *s = user;

	state_bind_text(s, 1, row->scanner);
	state_bind_text(s, 2, row->name);
	state_bind_int(s, 3, row->first_ms);
	state_bind_int(s, 4, (int64_t)row->inside);
	state_bind_int(s, 5, (int64_t)row->outside);
	state_bind_int(s, 6, (int64_t)row->confirmed);
	return state_write_row(s);
}

static int save_network(void *user, const struct proof_network *row)
{
	struct state *s = user;
	char network[ADDR_STRLEN + 4];

	state_bind_text(s, 1, row->scanner);
	state_bind_text(s, 2, row->domain);
	state_bind_text(s, 3, prefix_format(&row->network, network));
	state_bind_int(s, 4, (int64_t)row->messages);
	state_bind_int(s, 5, (int64_t)row->error);
	state_bind_int(s, 6, row->related);
	state_bind_text(s, 7, row->ptr_domain);
	return state_write_row(s);
}

/* The daemon's, of a file that nobody else has added to, can't be there already. */
static int merge_proof(struct state *s, const struct state_news *news)
{
	bool ours = news->succeeded || (news->counted && state_saves(s) == news->saves);
	int r = load_proof(s);

	if (r == 0)
		r = state_load_egress(s);
	if (r == 0 &&
	    (ours ? proof_join(s->proof, news->proof) : proof_merge(s->proof, news->proof)) < 0)
		r = state_fail(s, -ENOMEM, "out of memory");
	return r < 0 ? r : ours ? 0 : 1;
}

static int save_proof(struct state *s, const struct state_news *news)
{
	static const struct {
		const char *sql;
		struct proof_visit visit;
	} tables[] = {
		{ "INSERT INTO proof_scanner VALUES (?, ?, ?, ?, ?, ?)",
		  { .scanner = save_scanner } },
		{ "INSERT INTO proof_domain VALUES (?, ?, ?, ?, ?, ?)", { .domain = save_domain } },
		{ "INSERT INTO proof_network VALUES (?, ?, ?, ?, ?, ?, ?)",
		  { .network = save_network } },
	};
	int others = merge_proof(s, news), r = others < 0 ? others : 0;

	if (r == 0)
		r = state_execute(s, "DELETE FROM proof_scanner; DELETE FROM proof_domain;"
				     "DELETE FROM proof_network");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tables); i++) {
		struct proof_visit visit = tables[i].visit;

		visit.user = s;
		r = state_prepare(s, tables[i].sql);
		if (r == 0)
			r = proof_each(s->proof, &visit);
	}
	if (r == 0)
		r = state_save_held(s, s->proof);
	if (r == 0 && !news->succeeded)
		r = state_count_save(s);
	return r < 0 ? r : others;
}

int state_begin_writing(struct state *s)
{
	char sql[96];
	int r, empty;

	/* Not in a transaction; a file system that has no use for it goes on without. */
	if ((r = state_execute(s, "PRAGMA journal_mode = WAL")) < 0 ||
	    (r = state_execute(s, "BEGIN IMMEDIATE")) < 0)
		return r;
	/* Looked at here, where nobody else can be making it meanwhile. */
	empty = state_check(s);
	if (empty < 0)
		return empty;
	if (empty) {
		snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
			 STATE_APPLICATION_ID, STATE_VERSION);
		if ((r = state_execute(s, schema)) < 0 || (r = state_execute(s, sql)) < 0)
			return r;
	}
	return state_execute(s, state_egress_schema);
}

/* 0; 1: others have saved proof meanwhile; -errno. */
static int save_all(struct state *s, struct state_news *news)
{
	int64_t saves;
	int r = state_begin_writing(s), others = 0;

	if (r == 0 && s->memory)
		r = save_memory(s);
	if (r == 0 && news->proof) {
		others = save_proof(s, news);
		r = others < 0 ? others : 0;
	}
	if (r == 0 && news->pace)
		r = state_save_pace(s, news->pace);
	saves = state_saves(s);
	if (r == 0)
		r = state_execute(s, "COMMIT");
	if (r == 0)
		news->saves = saves;
	return r < 0 ? r : others;
}

/* A command of root's may be the first to write what a daemon that isn't root writes from then on:
 * then it belongs to whom the folder belongs to. (SQLite does likewise with its other files.) */
static void give_to_owner(const struct state *s, int fd)
{
	const char *slash = strrchr(s->file, '/');
	char folder[PATH_MAX];
	struct stat st;
	int n = snprintf(folder, sizeof(folder), "%.*s/.", slash ? (int)(slash - s->file) : 1,
			 slash ? s->file : ".");

	if (geteuid() == 0 && n < (int)sizeof(folder) && stat(folder, &st) == 0 &&
	    fchown(fd, st.st_uid, st.st_gid) < 0)
		return; /* it stays root's, as it was made */
}

/* 0; 1: made; -errno. */
int state_make_file(struct state *s)
{
	int fd = open(s->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd < 0)
		return errno == EEXIST ? 0 : state_fail(s, -errno, "%s", strerror(errno));
	give_to_owner(s, fd);
	close(fd);
	return 1;
}

/* Made for nothing; unless another process has saved something there meanwhile. */
void state_unlink_empty(struct state *s)
{
	bool used = false;

	if (s->db) {
		sqlite3_finalize(s->stmt);
		s->stmt = NULL;
		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		used = state_single(s, "SELECT count(*) FROM sqlite_master", 0) > 0;
	}
	if (!used)
		(void)unlink(s->file);
}

int state_open_to_write(struct state *s)
{
	int r = proof_new(&s->proof);

	if (r < 0)
		return state_fail(s, r, "out of memory");
	r = state_open(s, s->file, SQLITE_OPEN_READWRITE);
	return r < 0 ? r : state_check(s);
}

int state_save_news(const char *file, struct state_news *news, struct state_error *ret_error)
{
	struct state s = { .file = file,
			   .memory = news->memory,
			   .wall_ms = clock_wall_ms(),
			   .mono_ms = clock_mono_ms(),
			   .error = ret_error };
	int made = state_make_file(&s), r;

	if (made < 0)
		return made;
	r = state_open_to_write(&s);
	if (r >= 0)
		r = save_all(&s, news);
	if (r < 0 && made)
		state_unlink_empty(&s);
	/* An open transaction is rolled back. */
	state_close(&s);
	proof_free(s.proof);
	return r;
}

int state_save(const char *file, struct memory *memory, const struct proof *proof,
	       struct state_error *ret_error)
{
	struct state_news news = { .memory = memory, .proof = proof };
	int r = state_save_news(file, &news, ret_error);

	return r < 0 ? r : 0;
}

/* ---- for a start ---- */

static int set_quiet(void *memory, const struct pace_row *row)
{
	if (row->quiet_ms > 0)
		memory_scanner_set_quiet(memory, row->scanner, true);
	return 0;
}

int state_recall(const struct conf *conf, struct memory *memory, struct proof *proof,
		 struct proof_summary *ret_summary, struct state_error *ret_error)
{
	int loaded = 1, r;
	struct pace *pace;

	if ((r = pace_new(&pace)) == 0 && conf->state)
		loaded = state_load_all(conf->state, memory, proof, pace, NULL, ret_error);
	if (r == 0) {
		(void)pace_each(pace, set_quiet, memory);
		pace_free(pace);
		r = proof_apply(proof, &conf->policy.prove, clock_wall_ms(), clock_mono_ms(),
				memory, ret_summary);
	}
	if (r < 0) {
		snprintf(ret_error->text, sizeof(ret_error->text), "out of memory");
		return r;
	}
	return loaded;
}
