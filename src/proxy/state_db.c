/* The state file as a database: opening it, whose it is, and calls of SQLite with errors in words.
 */
#include "proxy/state_private.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define BUSY_MS 5000

/* ---- SQLite ---- */

int state_fail(struct state *s, int r, const char *fmt, ...)
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
int state_fail_db(struct state *s)
{
	switch (s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_NOMEM) {
	case SQLITE_NOMEM:
		return state_fail(s, -ENOMEM, "out of memory");
	case SQLITE_NOTADB:
		return state_fail(s, -EINVAL, "this is no state file");
	case SQLITE_CORRUPT:
	case SQLITE_MISMATCH:
	case SQLITE_ERROR: /* a table or column is missing */
		return state_fail(s, -EINVAL, "damaged (%s); move it away and learn anew",
				  sqlite3_errmsg(s->db));
	case SQLITE_CANTOPEN:
		if (access(s->file, R_OK | W_OK) < 0)
			return state_fail(s, -EIO, "%s", strerror(errno));
		return state_fail(s, -EIO,
				  "its folder can't be written to, which takes part in it while "
				  "it is in use; accepted: the user that it belongs to");
	default:
		return state_fail(s, -EIO, "%s", sqlite3_errmsg(s->db));
	}
}

int state_execute(struct state *s, const char *sql)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : state_fail_db(s);
}

int state_prepare(struct state *s, const char *sql)
{
	sqlite3_finalize(s->stmt);
	s->stmt = NULL;
	return sqlite3_prepare_v2(s->db, sql, -1, &s->stmt, NULL) == SQLITE_OK ? 0
									       : state_fail_db(s);
}

void state_bind_text(struct state *s, int i, const char *text)
{
	sqlite3_bind_text(s->stmt, i, text, -1, SQLITE_TRANSIENT);
}

void state_bind_int(struct state *s, int i, int64_t value)
{
	sqlite3_bind_int64(s->stmt, i, value);
}

/* Writes the row that is bound. */
int state_write_row(struct state *s)
{
	int r = sqlite3_step(s->stmt) == SQLITE_DONE ? 0 : state_fail_db(s);

	sqlite3_reset(s->stmt);
	return r;
}

/* Calls fn for each row of a query until it returns < 0. */
int state_each(struct state *s, const char *sql, int (*fn)(struct state *s, sqlite3_stmt *row))
{
	sqlite3_stmt *rows;
	int step = SQLITE_DONE, r = 0;

	if (sqlite3_prepare_v2(s->db, sql, -1, &rows, NULL) != SQLITE_OK)
		return state_fail_db(s);
	while (r >= 0 && (step = sqlite3_step(rows)) == SQLITE_ROW)
		r = fn(s, rows);
	if (r == -ENOMEM)
		state_fail(s, r, "out of memory");
	else if (r < 0)
		state_fail(s, r, "damaged; move it away and learn anew");
	else
		r = step == SQLITE_DONE ? 0 : state_fail_db(s);
	sqlite3_finalize(rows);
	return r;
}

int64_t state_single(struct state *s, const char *sql, int64_t otherwise)
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
int state_check(struct state *s)
{
	int64_t tables = state_single(s, "SELECT count(*) FROM sqlite_master", -1);
	int64_t id = state_single(s, "PRAGMA application_id", 0);
	int64_t version = state_single(s, "PRAGMA user_version", 0);

	if (tables < 0)
		return state_fail_db(s);
	if (tables == 0 && id == 0)
		return 1;
	if (id != STATE_APPLICATION_ID)
		return state_fail(s, -EINVAL, "this is another program's database");
	if (version != STATE_VERSION)
		return state_fail(s, -EINVAL, "its version is %lld; this program knows version %d",
				  (long long)version, STATE_VERSION);
	return state_each(s, "PRAGMA quick_check(1)", quick_check_row);
}

int state_open(struct state *s, const char *name, int flags)
{
	if (sqlite3_open_v2(name, &s->db, flags, NULL) != SQLITE_OK)
		return state_fail_db(s);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	return 0;
}

void state_close(struct state *s)
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

/* On a full disk there is no room for the index of the write-ahead log, which is shared. Who has
 * the file for himself keeps that in memory. */
static int open_alone(struct state *s)
{
	state_close(s);
	int r = state_open(s, s->file, SQLITE_OPEN_READWRITE);

	if (r == 0)
		r = state_execute(s, "PRAGMA locking_mode = EXCLUSIVE");
	return r < 0 ? r : state_check(s);
}

/* For reading. As state_check(). */
int state_open_to_read(struct state *s)
{
	char name[3 * PATH_MAX + 32];
	int r = state_open(s, s->file, SQLITE_OPEN_READONLY), code;

	if (r == 0)
		r = state_check(s);
	code = s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_OK;
	if (r < 0 && (code == SQLITE_IOERR || code == SQLITE_FULL))
		return open_alone(s);
	/* Who can't write to the folder can't take part in the write-ahead log. While there is
	 * none, nobody writes. */
	code = s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_OK;
	if (r >= 0 || (code != SQLITE_CANTOPEN && code != SQLITE_READONLY))
		return r;
	snprintf(name, sizeof(name), "%s-wal", s->file);
	if (access(s->file, R_OK) < 0 || access(name, F_OK) == 0 ||
	    !immutable_name(s->file, name, sizeof(name)))
		return r;
	state_close(s);
	r = state_open(s, name, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
	return r < 0 ? r : state_check(s);
}

/* ---- columns ---- */

const char *state_text(sqlite3_stmt *row, int i)
{
	const unsigned char *text = sqlite3_column_text(row, i);

	return text ? (const char *)text : "";
}
