#include "proxy/snapshot_look.h"

#include "base/clock.h"
#include "proxy/snapshot_row.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>

#define BUSY_MS 500

static struct domain_facts *unpack(struct sv row, const char *domain)
{
	const struct snapshot_clock clock = { .wall_ms = clock_wall_ms(),
					      .mono_ms = clock_mono_ms() };
	struct domain_facts facts, *copy = NULL;
	struct snapshot_room *room;
	bool future;

	if (snapshot_room_new(&room) < 0)
		return NULL;
	if (snapshot_unpack_domain(row, domain, &clock, room, &facts, &future) == 0)
		copy = facts_copy(&facts);
	snapshot_room_free(room);
	return copy;
}

static struct domain_facts *find(sqlite3 *db, const char *domain)
{
	struct domain_facts *facts = NULL;
	sqlite3_stmt *rows;

	sqlite3_busy_timeout(db, BUSY_MS);
	/* of another version there is no such table, or no row that can be read */
	if (sqlite3_prepare_v2(db, "SELECT facts FROM door WHERE domain = ?", -1, &rows, NULL) !=
	    SQLITE_OK)
		return NULL;
	sqlite3_bind_text(rows, 1, domain, -1, SQLITE_STATIC);
	if (sqlite3_step(rows) == SQLITE_ROW && sqlite3_column_blob(rows, 0))
		facts = unpack((struct sv) { sqlite3_column_blob(rows, 0),
					     (size_t)sqlite3_column_bytes(rows, 0) },
			       domain);
	sqlite3_finalize(rows);
	return facts;
}

struct domain_facts *snapshot_look(const struct conf *conf, const char *domain)
{
	struct domain_facts *facts = NULL;
	char file[PATH_MAX];
	sqlite3 *db = NULL;

	if (!conf->state)
		return NULL;
	snprintf(file, sizeof(file), "%s.doors", conf->state);
	if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK)
		facts = find(db, domain);
	sqlite3_close(db);
	return facts;
}
