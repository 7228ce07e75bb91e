#include "policy/pace.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

#define SLICES     12
#define SLICE_MS   (5 * 60 * 1000LL)
#define HOUR_MS    (SLICES * SLICE_MS)
#define DAY_HOURS  24
#define GAP_MS     (15 * 60 * 1000LL) /* between two ticks: more was not watched */
#define WEEKS_DEAD (3 * 7 * 24 * HOUR_MS)
#define FIRST_DAY  3 /* 1970-01-01 was a Thursday; days are counted from Monday */
#define SATURDAY   5
#define WEIGHT     0.25
#define USUAL_MAX  1e12f

struct rhythm {
	uint64_t slices[SLICES]; /* by the number of the slice since 1970, modulo */
	int64_t quiet_ms, last_ms;
	float usual[PACE_HOURS];
	uint8_t weeks[PACE_HOURS];
};

struct pace {
	struct map scanners; /* name → struct rhythm */
	int64_t slice;       /* the one that is counted now, since 1970; 0: before the first tick */
	int64_t tick_ms;
	int64_t watched; /* slices without a gap before this one */
};

int pace_new(struct pace **ret_pace)
{
	struct pace *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	map_init(&p->scanners);
	*ret_pace = p;
	return 0;
}

void pace_free(struct pace *p)
{
	if (!p)
		return;
	map_deinit(&p->scanners, free);
	free(p);
}

static unsigned hour_of_week(int64_t slice)
{
	return (unsigned)((slice / SLICES + FIRST_DAY * DAY_HOURS) % PACE_HOURS);
}

/* One entry is dead, if any: maps can't lose entries while they are walked. */
static struct sv find_dead(const struct pace *p, int64_t now_ms)
{
	const struct map_entry *e = NULL;

	while ((e = map_next(&p->scanners, e))) {
		const struct rhythm *r = e->value;

		if (now_ms - r->last_ms > WEEKS_DEAD)
			return (struct sv) { e->key, e->key_len };
	}
	return (struct sv) { "", 0 };
}

static struct rhythm *rhythm_at(struct pace *p, const char *scanner)
{
	struct sv name = sv_from(scanner);
	struct rhythm *r = map_get(&p->scanners, name);

	if (r || name.n == 0 || name.n >= PACE_NAME_MAX || p->scanners.n >= PACE_SCANNERS_MAX)
		return r;
	r = calloc(1, sizeof(*r));
	if (r && map_put(&p->scanners, name, r, NULL) < 0) {
		free(r);
		r = NULL;
	}
	return r;
}

static void clear(struct pace *p)
{
	struct map_entry *e = NULL;

	while ((e = map_next(&p->scanners, e)))
		memset(((struct rhythm *)e->value)->slices, 0, sizeof(uint64_t) * SLICES);
}

/* A clock that goes on as it should; otherwise watching begins anew. */
static bool goes_on(const struct pace *p, int64_t now_ms)
{
	return p->slice != 0 && now_ms >= p->tick_ms && now_ms - p->tick_ms <= GAP_MS;
}

void pace_count(struct pace *p, const char *scanner, uint64_t messages, int64_t now_ms)
{
	struct rhythm *r = rhythm_at(p, scanner);

	if (!r)
		return;
	r->slices[(p->slice ? p->slice : now_ms / SLICE_MS) % SLICES] += messages;
	r->last_ms = now_ms;
}

/* ---- what is usual ---- */

/* Of a whole hour; < 0: nothing is known. */
static double usual_in(const struct rhythm *r, unsigned hour)
{
	double least = -1;

	if (r->weeks[hour] > 0)
		return r->usual[hour];
	if (hour / DAY_HOURS >= SATURDAY)
		return -1;
	for (unsigned h = hour % DAY_HOURS; h < PACE_HOURS; h += DAY_HOURS)
		if (r->weeks[h] > 0 && (least < 0 || r->usual[h] < least))
			least = r->usual[h];
	return least;
}

/* Of the SLICES slices before this one, which lie in two hours. */
static double usual_before(const struct rhythm *r, int64_t slice)
{
	unsigned here = hour_of_week(slice);
	double this_hour = usual_in(r, here);
	double before = usual_in(r, (here + PACE_HOURS - 1) % PACE_HOURS);
	double share = (double)(slice % SLICES) / SLICES;

	if (before < 0 || (this_hour < 0 && share > 0))
		return -1;
	return before * (1 - share) + (share > 0 ? this_hour * share : 0);
}

/* An hour was watched from its first slice to its last. */
static void learn_hour(struct rhythm *r, int64_t hours_last_slice)
{
	unsigned hour = hour_of_week(hours_last_slice);
	uint64_t sum = 0;

	for (int i = 0; i < SLICES; i++)
		sum += r->slices[i];
	if (r->weeks[hour] == 0)
		r->usual[hour] = (float)sum;
	else
		r->usual[hour] += (float)(WEIGHT * ((double)sum - r->usual[hour]));
	if (r->weeks[hour] < UINT8_MAX)
		r->weeks[hour]++;
}

/* ---- ticks ---- */

/* slice has just ended, and with it perhaps an hour. */
static void judge(struct rhythm *r, const char *name, int64_t slice, int64_t now_ms,
		  void (*fn)(void *user, const struct pace_news *news), void *user)
{
	struct pace_news news = { .scanner = name, .usual = usual_before(r, slice + 1) };

	for (int i = 0; i < SLICES; i++)
		news.came += r->slices[i];
	if (r->quiet_ms > 0) {
		double twice = 2 * PACE_FRACTION * news.usual;
		double enough = twice > PACE_LEAST / 2.0 ? twice : PACE_LEAST / 2.0;

		news.given_up = now_ms - r->quiet_ms > PACE_QUIET_MAX_MS || now_ms < r->quiet_ms;
		if ((double)news.came < enough && !news.given_up)
			return;
		r->quiet_ms = 0;
		if (news.given_up)
			memset(r->weeks, 0, sizeof(r->weeks));
	} else {
		if (news.usual < PACE_LEAST || (double)news.came >= PACE_FRACTION * news.usual)
			return;
		r->quiet_ms = now_ms;
		news.quiet = true;
	}
	if (fn)
		fn(user, &news);
}

static void end_slice(struct pace *p, int64_t now_ms,
		      void (*fn)(void *user, const struct pace_news *news), void *user)
{
	struct map_entry *e = NULL;
	char name[PACE_NAME_MAX];
	bool hour_ends = (p->slice + 1) % SLICES == 0;

	p->watched++;
	while (p->watched >= SLICES && (e = map_next(&p->scanners, e))) {
		struct rhythm *r = e->value;

		memcpy(name, e->key, e->key_len);
		name[e->key_len] = '\0';
		judge(r, name, p->slice, now_ms, fn, user);
		if (hour_ends && r->quiet_ms == 0)
			learn_hour(r, p->slice);
	}
	p->slice++;
	e = NULL;
	while ((e = map_next(&p->scanners, e)))
		((struct rhythm *)e->value)->slices[p->slice % SLICES] = 0;
}

void pace_tick(struct pace *p, int64_t now_ms, void (*fn)(void *user, const struct pace_news *news),
	       void *user)
{
	struct sv dead;

	if (!goes_on(p, now_ms)) {
		bool first = p->slice == 0;

		p->slice = now_ms / SLICE_MS;
		p->watched = -1; /* this slice isn't watched whole */
		if (!first)
			clear(p);
	}
	p->tick_ms = now_ms;
	while (p->slice < now_ms / SLICE_MS)
		end_slice(p, now_ms, fn, user);
	if (p->scanners.n >= PACE_SCANNERS_MAX && (dead = find_dead(p, now_ms)).n > 0) {
		char name[PACE_NAME_MAX];

		memcpy(name, dead.p, dead.n);
		free(map_remove(&p->scanners, (struct sv) { name, dead.n }));
	}
}

bool pace_is_quiet(const struct pace *p, const char *scanner)
{
	const struct rhythm *r = map_get(&p->scanners, sv_from(scanner));

	return r && r->quiet_ms > 0;
}

/* ---- rows ---- */

int pace_each(const struct pace *p, int (*fn)(void *user, const struct pace_row *row), void *user)
{
	const struct map_entry *e = NULL;
	char name[PACE_NAME_MAX];
	int r = 0;

	while (r >= 0 && (e = map_next(&p->scanners, e))) {
		const struct rhythm *from = e->value;
		struct pace_row row = { .scanner = name,
					.quiet_ms = from->quiet_ms,
					.last_ms = from->last_ms };

		memcpy(name, e->key, e->key_len);
		name[e->key_len] = '\0';
		memcpy(row.usual, from->usual, sizeof(row.usual));
		memcpy(row.weeks, from->weeks, sizeof(row.weeks));
		r = fn(user, &row);
	}
	return r < 0 ? r : 0;
}

int pace_put(struct pace *p, const struct pace_row *row)
{
	size_t n = strlen(row->scanner);
	struct rhythm *r;

	if (n == 0 || n >= PACE_NAME_MAX || row->quiet_ms < 0 || row->last_ms < 0)
		return -EINVAL;
	for (int i = 0; i < PACE_HOURS; i++)
		if (!(row->usual[i] >= 0 && row->usual[i] <= USUAL_MAX))
			return -EINVAL;
	r = rhythm_at(p, row->scanner);
	if (!r)
		return p->scanners.n >= PACE_SCANNERS_MAX ? 1 : -ENOMEM;
	r->quiet_ms = row->quiet_ms;
	r->last_ms = row->last_ms;
	memcpy(r->usual, row->usual, sizeof(r->usual));
	memcpy(r->weeks, row->weeks, sizeof(r->weeks));
	return 0;
}
