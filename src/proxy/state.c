#include "proxy/state.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define APPLICATION_ID 0x66647374 /* "fdst" */
#define VERSION        1
#define BUSY_MS        5000

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

struct state {
	const char *file;
	sqlite3 *db;
	sqlite3_stmt *stmt; /* the one that rows are written by */
	struct memory *memory;
	struct proof *proof;
	int64_t wall_ms, mono_ms;
	struct state_error *error;
};

/* ---- SQLite ---- */

static int fail(struct state *s, int r, const char *fmt, ...) PRINTF(3, 4);
static int fail(struct state *s, int r, const char *fmt, ...)
{
	size_t size = sizeof(s->error->text);
	int n = snprintf(s->error->text, size, "%s: ", s->file);
	va_list ap;

	va_start(ap, fmt);
	if (n > 0 && (size_t)n < size)
		vsnprintf(s->error->text + n, size - (size_t)n, fmt, ap);
	va_end(ap);
	return r;
}

/* What SQLite has to say of its last call. */
static int fail_db(struct state *s)
{
	switch (s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_NOMEM) {
	case SQLITE_NOMEM:
		return fail(s, -ENOMEM, "out of memory");
	case SQLITE_NOTADB:
		return fail(s, -EINVAL, "this is no state file");
	case SQLITE_CORRUPT:
	case SQLITE_MISMATCH:
	case SQLITE_ERROR: /* a table or column is missing */
		return fail(s, -EINVAL, "damaged (%s); move it away and learn anew",
			    sqlite3_errmsg(s->db));
	default:
		return fail(s, -EIO, "%s", sqlite3_errmsg(s->db));
	}
}

static int execute(struct state *s, const char *sql)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail_db(s);
}

static int prepare(struct state *s, const char *sql)
{
	sqlite3_finalize(s->stmt);
	s->stmt = NULL;
	return sqlite3_prepare_v2(s->db, sql, -1, &s->stmt, NULL) == SQLITE_OK ? 0 : fail_db(s);
}

static void bind_text(struct state *s, int i, const char *text)
{
	sqlite3_bind_text(s->stmt, i, text, -1, SQLITE_TRANSIENT);
}

static void bind_int(struct state *s, int i, int64_t value)
{
	sqlite3_bind_int64(s->stmt, i, value);
}

/* Writes the row that is bound. */
static int write_row(struct state *s)
{
	int r = sqlite3_step(s->stmt) == SQLITE_DONE ? 0 : fail_db(s);

	sqlite3_reset(s->stmt);
	return r;
}

/* Calls fn for each row of a query until it returns < 0. */
static int each(struct state *s, const char *sql, int (*fn)(struct state *s, sqlite3_stmt *row))
{
	sqlite3_stmt *rows;
	int step = SQLITE_DONE, r = 0;

	if (sqlite3_prepare_v2(s->db, sql, -1, &rows, NULL) != SQLITE_OK)
		return fail_db(s);
	while (r >= 0 && (step = sqlite3_step(rows)) == SQLITE_ROW)
		r = fn(s, rows);
	if (r == -ENOMEM)
		fail(s, r, "out of memory");
	else if (r < 0)
		fail(s, r, "damaged; move it away and learn anew");
	else
		r = step == SQLITE_DONE ? 0 : fail_db(s);
	sqlite3_finalize(rows);
	return r;
}

static int64_t single(struct state *s, const char *sql, int64_t otherwise)
{
	sqlite3_stmt *row;
	int64_t value = otherwise;

	if (sqlite3_prepare_v2(s->db, sql, -1, &row, NULL) != SQLITE_OK)
		return otherwise;
	if (sqlite3_step(row) == SQLITE_ROW)
		value = sqlite3_column_int64(row, 0);
	sqlite3_finalize(row);
	return value;
}

/* ---- opening ---- */

static int quick_check_row(struct state *s, sqlite3_stmt *row)
{
	const char *text = (const char *)sqlite3_column_text(row, 0);

	return text && strcmp(text, "ok") == 0 ? 0 : -EINVAL;
}

/* Is it ours? 0; 1: it is a database with nothing in it; -errno. */
static int check_db(struct state *s)
{
	int64_t tables = single(s, "SELECT count(*) FROM sqlite_master", -1);
	int64_t id = single(s, "PRAGMA application_id", 0);
	int64_t version = single(s, "PRAGMA user_version", 0);

	if (tables < 0)
		return fail_db(s);
	if (tables == 0 && id == 0)
		return 1;
	if (id != APPLICATION_ID)
		return fail(s, -EINVAL, "this is another program's database");
	if (version != VERSION)
		return fail(s, -EINVAL, "its version is %lld; this program knows version %d",
			    (long long)version, VERSION);
	return each(s, "PRAGMA quick_check(1)", quick_check_row);
}

static int open_db(struct state *s, const char *name, int flags)
{
	if (sqlite3_open_v2(name, &s->db, flags, NULL) != SQLITE_OK)
		return fail_db(s);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	return 0;
}

static void close_db(struct state *s)
{
	sqlite3_finalize(s->stmt);
	sqlite3_close(s->db);
	s->stmt = NULL;
	s->db = NULL;
}

/* "file:...?immutable=1" */
static bool immutable_name(const char *file, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "file:");

	for (; *file && n + 20 < size; file++)
		n += (size_t)snprintf(out + n, size - n, strchr("%?#", *file) ? "%%%02X" : "%c",
				      (unsigned char)*file);
	snprintf(out + n, size - n, "?immutable=1");
	return *file == '\0';
}

/* For reading. As check_db(). */
static int open_to_read(struct state *s)
{
	char name[3 * PATH_MAX + 32];
	int r = open_db(s, s->file, SQLITE_OPEN_READONLY), code;

	if (r == 0)
		r = check_db(s);
	/* Who can't write to the folder can't take part in the write-ahead log. While there is
	 * none, nobody writes. */
	code = s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_OK;
	if (r >= 0 || (code != SQLITE_CANTOPEN && code != SQLITE_READONLY))
		return r;
	snprintf(name, sizeof(name), "%s-wal", s->file);
	if (access(s->file, R_OK) < 0 || access(name, F_OK) == 0 ||
	    !immutable_name(s->file, name, sizeof(name)))
		return r;
	close_db(s);
	r = open_db(s, name, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
	return r < 0 ? r : check_db(s);
}

/* ---- loading ---- */

static const char *column_text(sqlite3_stmt *row, int i)
{
	const unsigned char *text = sqlite3_column_text(row, i);

	return text ? (const char *)text : "";
}

/* A negative number becomes one that no row can have. */
static uint64_t column_count(sqlite3_stmt *row, int i)
{
	return (uint64_t)sqlite3_column_int64(row, i);
}

static int load_hosted(struct state *s, sqlite3_stmt *row)
{
	const char *domain = column_text(row, 0);
	size_t n = strlen(domain);

	if (n == 0 || n >= PROOF_NAME_MAX)
		return -EINVAL;
	int r = memory_hosted_add(s->memory, (struct sv) { domain, n });
	return r == -ENOSPC ? 0 : r;
}

static int load_heard(struct state *s, sqlite3_stmt *row)
{
	memory_scanner_heard_at(s->memory, column_text(row, 0), sqlite3_column_int64(row, 1),
				s->wall_ms, s->mono_ms);
	return 0;
}

static int load_scanner(struct state *s, sqlite3_stmt *row)
{
	return proof_put_scanner(
		s->proof,
		&(struct proof_scanner) { .name = column_text(row, 0),
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
		s->proof, &(struct proof_domain) { .scanner = column_text(row, 0),
						   .name = column_text(row, 1),
						   .first_ms = sqlite3_column_int64(row, 2),
						   .inside = column_count(row, 3),
						   .outside = column_count(row, 4),
						   .confirmed = column_count(row, 5) }));
}

static int load_network(struct state *s, sqlite3_stmt *row)
{
	struct proof_network n = { .scanner = column_text(row, 0),
				   .domain = column_text(row, 1),
				   .messages = column_count(row, 3),
				   .error = column_count(row, 4),
				   .related = sqlite3_column_int64(row, 5) != 0,
				   .ptr_domain = (const char *)sqlite3_column_text(row, 6) };

	if (prefix_parse(sv_from(column_text(row, 2)), &n.network) < 0)
		return -EINVAL;
	return found_or_left(proof_put_network(s->proof, &n));
}

static int load_proof(struct state *s)
{
	int r = each(s, "SELECT * FROM proof_scanner", load_scanner);

	if (r == 0)
		r = each(s, "SELECT * FROM proof_domain", load_domain);
	if (r == 0)
		r = each(s, "SELECT * FROM proof_network", load_network);
	return r;
}

static int load_memory(struct state *s)
{
	int r = each(s, "SELECT * FROM hosted", load_hosted);

	return r < 0 ? r : each(s, "SELECT * FROM heard", load_heard);
}

int state_load(const char *file, struct memory *memory, struct proof *proof,
	       struct state_error *ret_error)
{
	struct state s = { .file = file,
			   .memory = memory,
			   .proof = proof,
			   .wall_ms = clock_wall_ms(),
			   .mono_ms = clock_mono_ms(),
			   .error = ret_error };
	int r;

	if (access(file, F_OK) < 0)
		return errno == ENOENT ? 1 : fail(&s, -errno, "%s", strerror(errno));
	r = open_to_read(&s);
	if (r == 0)
		r = execute(&s, "BEGIN");
	if (r == 0 && proof)
		r = load_proof(&s);
	if (r == 0 && memory)
		r = load_memory(&s);
	close_db(&s);
	return r < 0 ? r : 0;
}

/* ---- saving ---- */

static int save_hosted(void *user, const char *domain)
{
	struct state *s = user;

	bind_text(s, 1, domain);
	return write_row(s);
}

static int save_heard(void *user, const char *scanner, int64_t when_ms)
{
	struct state *s = user;

	bind_text(s, 1, scanner);
	bind_int(s, 2, s->wall_ms - (s->mono_ms - when_ms));
	return write_row(s);
}

static int save_memory(struct state *s)
{
	int r = prepare(s, "INSERT OR IGNORE INTO hosted VALUES (?)");

	if (r == 0)
		r = memory_hosted_each(s->memory, save_hosted, s);
	if (r == 0)
		r = prepare(s, "INSERT INTO heard VALUES (?, ?) ON CONFLICT DO UPDATE SET"
			       " wall_ms = max(wall_ms, excluded.wall_ms)");
	if (r == 0)
		r = memory_heard_each(s->memory, save_heard, s);
	return r;
}

static int save_scanner(void *user, const struct proof_scanner *row)
{
	struct state *s = user;

	bind_text(s, 1, row->name);
	bind_int(s, 2, (int64_t)row->inside);
	bind_int(s, 3, row->first_ms);
	bind_int(s, 4, row->last_ms);
	bind_int(s, 5, row->inside_first_ms);
	bind_int(s, 6, row->inside_last_ms);
	return write_row(s);
}

static int save_domain(void *user, const struct proof_domain *row)
{
	struct state *s = user;

	bind_text(s, 1, row->scanner);
	bind_text(s, 2, row->name);
	bind_int(s, 3, row->first_ms);
	bind_int(s, 4, (int64_t)row->inside);
	bind_int(s, 5, (int64_t)row->outside);
	bind_int(s, 6, (int64_t)row->confirmed);
	return write_row(s);
}

static int save_network(void *user, const struct proof_network *row)
{
	struct state *s = user;
	char network[ADDR_STRLEN + 4];

	bind_text(s, 1, row->scanner);
	bind_text(s, 2, row->domain);
	bind_text(s, 3, prefix_format(&row->network, network));
	bind_int(s, 4, (int64_t)row->messages);
	bind_int(s, 5, (int64_t)row->error);
	bind_int(s, 6, row->related);
	bind_text(s, 7, row->ptr_domain);
	return write_row(s);
}

static int save_proof(struct state *s, const struct proof *proof)
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
	int r = load_proof(s);

	if (r == 0 && proof_merge(s->proof, proof) < 0)
		r = fail(s, -ENOMEM, "out of memory");
	if (r == 0)
		r = execute(s, "DELETE FROM proof_scanner; DELETE FROM proof_domain;"
			       "DELETE FROM proof_network");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tables); i++) {
		struct proof_visit visit = tables[i].visit;

		visit.user = s;
		r = prepare(s, tables[i].sql);
		if (r == 0)
			r = proof_each(s->proof, &visit);
	}
	return r;
}

/* is_empty: the tables are to be made. */
static int save_all(struct state *s, const struct proof *proof)
{
	char sql[96];
	int r, empty;

	/* Not in a transaction; a file system that has no use for it goes on without. */
	if ((r = execute(s, "PRAGMA journal_mode = WAL")) < 0 ||
	    (r = execute(s, "BEGIN IMMEDIATE")) < 0)
		return r;
	/* Looked at here, where nobody else can be making it meanwhile. */
	empty = check_db(s);
	if (empty < 0)
		return empty;
	if (empty) {
		snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
			 APPLICATION_ID, VERSION);
		if ((r = execute(s, schema)) < 0 || (r = execute(s, sql)) < 0)
			return r;
	}
	if (s->memory && (r = save_memory(s)) < 0)
		return r;
	if (proof && (r = save_proof(s, proof)) < 0)
		return r;
	return execute(s, "COMMIT");
}

/* 0; 1: made; -errno. */
static int make_file(struct state *s)
{
	int fd = open(s->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd < 0)
		return errno == EEXIST ? 0 : fail(s, -errno, "%s", strerror(errno));
	close(fd);
	return 1;
}

/* Made for nothing; unless another process has saved something there meanwhile. */
static void unlink_empty(struct state *s)
{
	bool used = false;

	if (s->db) {
		sqlite3_finalize(s->stmt);
		s->stmt = NULL;
		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		used = single(s, "SELECT count(*) FROM sqlite_master", 0) > 0;
	}
	if (!used)
		(void)unlink(s->file);
}

int state_save(const char *file, struct memory *memory, const struct proof *proof,
	       struct state_error *ret_error)
{
	struct state s = { .file = file,
			   .memory = memory,
			   .wall_ms = clock_wall_ms(),
			   .mono_ms = clock_mono_ms(),
			   .error = ret_error };
	int made = make_file(&s), r;

	if (made < 0)
		return made;
	r = proof_new(&s.proof);
	if (r < 0)
		fail(&s, r, "out of memory");
	else
		r = open_db(&s, file, SQLITE_OPEN_READWRITE);
	if (r == 0)
		r = check_db(&s);
	if (r >= 0)
		r = save_all(&s, proof);
	if (r < 0 && made)
		unlink_empty(&s);
	/* An open transaction is rolled back. */
	close_db(&s);
	proof_free(s.proof);
	return r;
}

/* ---- for a start ---- */

int state_recall(const struct conf *conf, struct memory *memory, struct proof *proof,
		 struct proof_summary *ret_summary, struct state_error *ret_error)
{
	int loaded = conf->state ? state_load(conf->state, memory, proof, ret_error) : 1;
	int r = proof_apply(proof, &conf->policy.prove, clock_wall_ms(), clock_mono_ms(), memory,
			    ret_summary);

	if (r < 0) {
		snprintf(ret_error->text, sizeof(ret_error->text), "out of memory");
		return r;
	}
	return loaded;
}
