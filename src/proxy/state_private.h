/* What the files about the state file share; of them only. */
#pragma once

#include "proxy/state.h"

#include <sqlite3.h>

#define STATE_APPLICATION_ID 0x66647374 /* "fdst" */
#define STATE_VERSION        1

struct state {
	const char *file;
	sqlite3 *db;
	sqlite3_stmt *stmt; /* the one that rows are written by */
	struct memory *memory;
	struct proof *proof;
	struct pace *pace;
	int64_t wall_ms, mono_ms;
	struct state_error *error;
};

int state_fail(struct state *s, int r, const char *fmt, ...) PRINTF(3, 4);
/* What SQLite has to say of its last call. */
int state_fail_db(struct state *s);
int state_execute(struct state *s, const char *sql);
int state_prepare(struct state *s, const char *sql);
void state_bind_text(struct state *s, int i, const char *text);
void state_bind_int(struct state *s, int i, int64_t value);
/* Writes the row that is bound. */
int state_write_row(struct state *s);
/* Calls fn for each row of a query until it returns < 0. */
int state_each(struct state *s, const char *sql, int (*fn)(struct state *s, sqlite3_stmt *row));
int64_t state_single(struct state *s, const char *sql, int64_t otherwise);
const char *state_text(sqlite3_stmt *row, int i);

/* Is it ours? 0; 1: it is a database with nothing in it; -errno. */
int state_check(struct state *s);
int state_open(struct state *s, const char *name, int flags);
/* For reading. As state_check(). */
int state_open_to_read(struct state *s);
void state_close(struct state *s);

/* Within a transaction for writing: 0, the tables are there; -errno. */
int state_begin_writing(struct state *s);
/* The file is there, with nothing in it if need be. 0; 1: made; -errno. */
int state_make_file(struct state *s);
/* That file, and an empty proof to read it into; both are the caller's, also after a failure. As
 * state_check(). */
int state_open_to_write(struct state *s);
/* Made for nothing; unless another process has saved something there meanwhile. */
void state_unlink_empty(struct state *s);

/* state_egress.c: the tables that files of earlier versions lack. */
extern const char state_egress_schema[];
int state_load_egress(struct state *s);
int state_load_pace(struct state *s);
int state_save_held(struct state *s, const struct proof *proof);
int state_save_pace(struct state *s, const struct pace *pace);
/* How often proof was saved. */
int64_t state_saves(struct state *s);
int state_count_save(struct state *s);
