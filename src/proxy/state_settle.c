/* What the operator settles, written by a command while the daemon runs, and noticed by that. */
#include "proxy/state_private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- settling ---- */

struct settling {
	const char *scanner;
	struct prefix network;
	enum settle what;
	struct prefix other;
	size_t n;
	bool same, contradicts;
};

static int compare(void *user, const struct proof_settled *row)
{
	struct settling *g = user;
	bool as_wanted = row->accepted == (g->what == SETTLE_ACCEPT);

	if (strcmp(row->scanner, g->scanner) != 0)
		return 0;
	g->n++;
	if (row->network.bits == g->network.bits && addr_eq(&row->network.addr, &g->network.addr)) {
		g->same = g->what == SETTLE_FORGET || as_wanted;
		g->n--;
	} else if (!as_wanted && (prefix_contains(&row->network, &g->network.addr) ||
				  prefix_contains(&g->network, &row->network.addr))) {
		g->contradicts = true;
		g->other = row->network;
	}
	return 0;
}

static int write_settled(struct state *s, const struct settling *g)
{
	char network[ADDR_STRLEN + 4];
	int r;

	if (g->what == SETTLE_FORGET)
		r = state_prepare(s, "DELETE FROM settled WHERE scanner = ? AND network = ?");
	else
		r = state_prepare(s, "INSERT OR REPLACE INTO settled VALUES (?, ?, ?, ?)");
	if (r < 0)
		return r;
	state_bind_text(s, 1, g->scanner);
	state_bind_text(s, 2, prefix_format(&g->network, network));
	if (g->what != SETTLE_FORGET) {
		state_bind_int(s, 3, g->what == SETTLE_ACCEPT);
		state_bind_int(s, 4, s->wall_ms);
	}
	return state_write_row(s);
}

static int settle(struct state *s, struct settling *g)
{
	const struct proof_visit visit = { .settled = compare, .user = g };
	int r = state_begin_writing(s);

	if (r == 0)
		r = state_load_egress(s);
	if (r == 0)
		r = proof_each(s->proof, &visit);
	if (r < 0)
		return r;
	if (g->what == SETTLE_FORGET ? !g->same : g->same)
		return SETTLE_AS_BEFORE;
	if (g->what != SETTLE_FORGET && g->contradicts)
		return SETTLE_CONTRADICTS;
	if (g->what != SETTLE_FORGET && g->n >= PROOF_SETTLED)
		return SETTLE_TOO_MANY;
	r = write_settled(s, g);
	return r < 0 ? r : state_execute(s, "COMMIT");
}

int state_settle(const char *file, const char *scanner, const struct prefix *network,
		 enum settle what, struct prefix *ret_other, struct state_error *ret_error)
{
	struct state s = { .file = file, .wall_ms = clock_wall_ms(), .error = ret_error };
	struct settling g = { .scanner = scanner, .network = *network, .what = what };
	int made = state_make_file(&s), r;

	if (made < 0)
		return made;
	r = state_open_to_write(&s);
	if (r >= 0)
		r = settle(&s, &g);
	if (r != SETTLED && made)
		state_unlink_empty(&s);
	state_close(&s);
	proof_free(s.proof);
	if (r == SETTLE_CONTRADICTS)
		*ret_other = g.other;
	return r;
}

/* ---- noticing ---- */

struct state_watch {
	char *file;
	sqlite3 *db; /* NULL: not open */
	dev_t dev;
	ino_t ino;
	int64_t version; /* PRAGMA data_version, which is of this connection; -1: not looked yet */
};

int state_watch_new(const char *file, struct state_watch **ret_watch)
{
	struct state_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->file = sv_dup(sv_from(file));
	if (!w->file) {
		free(w);
		return -ENOMEM;
	}
	*ret_watch = w;
	return 0;
}

void state_watch_free(struct state_watch *w)
{
	if (!w)
		return;
	sqlite3_close(w->db);
	free(w->file);
	free(w);
}

static int look(struct state_watch *w, struct state *s, int64_t *ret_saves)
{
	int64_t version = state_single(s, "PRAGMA data_version", -1);
	int r;

	if (version < 0)
		return state_fail_db(s);
	if (version == w->version)
		return 0;
	/* Being made by somebody: looked at again when there is something in it. */
	if (state_single(s, "PRAGMA application_id", 0) != STATE_APPLICATION_ID)
		return 0;
	r = state_load_egress(s);
	if (r < 0)
		return r;
	*ret_saves = state_saves(s);
	w->version = version;
	return 1;
}

int state_watch_look(struct state_watch *w, struct proof *settled, int64_t *ret_saves,
		     struct state_error *ret_error)
{
	struct state s = {
		.file = w->file, .proof = settled, .wall_ms = clock_wall_ms(), .error = ret_error
	};
	struct stat st;
	int r = 0;

	if (stat(w->file, &st) < 0)
		return errno == ENOENT ? 0 : state_fail(&s, -errno, "%s", strerror(errno));
	if (w->db && (st.st_dev != w->dev || st.st_ino != w->ino)) {
		sqlite3_close(w->db);
		w->db = NULL;
	}
	s.db = w->db;
	if (!s.db) {
		r = state_open(&s, w->file, SQLITE_OPEN_READONLY);
		w->dev = st.st_dev;
		w->ino = st.st_ino;
		w->version = -1;
	}
	if (r == 0)
		r = look(w, &s, ret_saves);
	if (r < 0)
		state_close(&s);
	sqlite3_finalize(s.stmt);
	w->db = s.db;
	return r;
}
