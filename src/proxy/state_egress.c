/* Tables of the state file about scanners' egress: what the operator settled, rivals found of late,
 * how much mail is usual. Files of earlier versions lack them until something is saved. */
#include "proxy/state_private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

const char state_egress_schema[] =
	"CREATE TABLE IF NOT EXISTS settled (scanner TEXT, network TEXT,"
	" accepted INTEGER NOT NULL, wall_ms INTEGER NOT NULL,"
	" PRIMARY KEY (scanner, network)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS rival (scanner TEXT, network TEXT, since_ms INTEGER NOT NULL,"
	" last_ms INTEGER NOT NULL, share REAL NOT NULL, domains INTEGER NOT NULL,"
	" related INTEGER NOT NULL, ptr_domain TEXT, PRIMARY KEY (scanner, network)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS pace (scanner TEXT PRIMARY KEY, quiet_ms INTEGER NOT NULL,"
	" last_ms INTEGER NOT NULL, usual BLOB NOT NULL, weeks BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS saves (n INTEGER PRIMARY KEY);";

/* ---- how often proof was saved ---- */

int64_t state_saves(struct state *s)
{
	return state_single(s, "SELECT max(n) FROM saves", 0);
}

int state_count_save(struct state *s)
{
	char sql[96];

	snprintf(sql, sizeof(sql), "DELETE FROM saves; INSERT INTO saves VALUES (%lld)",
		 (long long)state_saves(s) + 1);
	return state_execute(s, sql);
}

/* ---- loading ---- */

static bool has_table(struct state *s, const char *name)
{
	char sql[96];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM sqlite_master WHERE name = '%s'", name);
	return state_single(s, sql, 0) > 0;
}

static int load_settled(struct state *s, sqlite3_stmt *row)
{
	struct proof_settled settled = { .scanner = state_text(row, 0),
					 .accepted = sqlite3_column_int64(row, 2) != 0 };

	if (prefix_parse(sv_from(state_text(row, 1)), &settled.network) < 0)
		return -EINVAL;
	return proof_put_settled(s->proof, &settled);
}

/* One that has lasted its time stays out, and so goes with the next saving. */
static int load_held(struct state *s, sqlite3_stmt *row)
{
	int64_t domains = sqlite3_column_int64(row, 5);
	struct proof_held held = { .scanner = state_text(row, 0),
				   .since_ms = sqlite3_column_int64(row, 2),
				   .last_ms = sqlite3_column_int64(row, 3),
				   .share = sqlite3_column_double(row, 4),
				   .domains = (unsigned)domains,
				   .related = sqlite3_column_int64(row, 6) != 0,
				   .ptr_domain = (const char *)sqlite3_column_text(row, 7) };

	if (prefix_parse(sv_from(state_text(row, 1)), &held.network) < 0 || domains < 0 ||
	    domains > PROOF_SCANNER_DOMAINS)
		return -EINVAL;
	if (s->wall_ms - held.last_ms > PROOF_HOLD_MS)
		return 0;
	return proof_put_held(s->proof, &held);
}

int state_load_egress(struct state *s)
{
	int r = 0;

	if (has_table(s, "settled"))
		r = state_each(s, "SELECT * FROM settled", load_settled);
	if (r == 0 && has_table(s, "rival"))
		r = state_each(s, "SELECT * FROM rival", load_held);
	return r;
}

static int load_pace(struct state *s, sqlite3_stmt *row)
{
	struct pace_row pace = { .scanner = state_text(row, 0),
				 .quiet_ms = sqlite3_column_int64(row, 1),
				 .last_ms = sqlite3_column_int64(row, 2) };

	if (sqlite3_column_bytes(row, 3) != sizeof(pace.usual) ||
	    sqlite3_column_bytes(row, 4) != sizeof(pace.weeks))
		return -EINVAL;
	memcpy(pace.usual, sqlite3_column_blob(row, 3), sizeof(pace.usual));
	memcpy(pace.weeks, sqlite3_column_blob(row, 4), sizeof(pace.weeks));
	return pace_put(s->pace, &pace);
}

int state_load_pace(struct state *s)
{
	return has_table(s, "pace") ? state_each(s, "SELECT * FROM pace", load_pace) : 0;
}

/* ---- saving ---- */

static int save_held(void *user, const struct proof_held *row)
{
	struct state *s = user;
	char network[ADDR_STRLEN + 4];

	if (s->wall_ms - row->last_ms > PROOF_HOLD_MS)
		return 0;
	state_bind_text(s, 1, row->scanner);
	state_bind_text(s, 2, prefix_format(&row->network, network));
	state_bind_int(s, 3, row->since_ms);
	state_bind_int(s, 4, row->last_ms);
	sqlite3_bind_double(s->stmt, 5, row->share);
	state_bind_int(s, 6, row->domains);
	state_bind_int(s, 7, row->related);
	state_bind_text(s, 8, row->ptr_domain);
	return state_write_row(s);
}

int state_save_held(struct state *s, const struct proof *proof)
{
	const struct proof_visit visit = { .held = save_held, .user = s };
	int r = state_execute(s, "DELETE FROM rival");

	if (r == 0)
		r = state_prepare(s, "INSERT INTO rival VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
	return r == 0 ? proof_each(proof, &visit) : r;
}

static int save_pace(void *user, const struct pace_row *row)
{
	struct state *s = user;

	state_bind_text(s, 1, row->scanner);
	state_bind_int(s, 2, row->quiet_ms);
	state_bind_int(s, 3, row->last_ms);
	sqlite3_bind_blob(s->stmt, 4, row->usual, sizeof(row->usual), SQLITE_TRANSIENT);
	sqlite3_bind_blob(s->stmt, 5, row->weeks, sizeof(row->weeks), SQLITE_TRANSIENT);
	return state_write_row(s);
}

int state_save_pace(struct state *s, const struct pace *pace)
{
	int r = state_execute(s, "DELETE FROM pace");

	if (r == 0)
		r = state_prepare(s, "INSERT INTO pace VALUES (?, ?, ?, ?, ?)");
	return r == 0 ? pace_each(pace, save_pace, s) : r;
}
