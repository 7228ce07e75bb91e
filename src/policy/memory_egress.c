/* What memory keeps of scanners' egress beside the proof: what the operator settled, who is quiet,
 * who retries. */
#include "policy/memory_private.h"

#include "base/map.h"
#include "policy/proof.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define QUIET_MAX 50000

struct settled {
	struct prefix_set accepted, denied;
};

struct retry {
	struct retry *later, *earlier; /* came later, earlier */
	int64_t first_ms, last_ms;     /* of those that count */
	unsigned times;
	bool passes;
	uint16_t key_len;
	char key[];
};

/* By when they came: ends of a list. */
struct retry_list {
	struct retry *latest, *longest; /* ago */
	size_t n;
};

struct memory_egress {
	pthread_rwlock_t lock; /* of settled and quiet */
	struct map settled;    /* scanner → struct settled */
	struct map quiet;      /* scanner → something */
	atomic_size_t n_settled, n_quiet;

	pthread_mutex_t retry_lock;
	struct map retries; /* network and domain → struct retry */
	/* Bots come once, to everybody: those that have come again are not to make room for them.
	 */
	struct retry_list once, again;
	atomic_size_t n_passing;
};

/* The network as it stands in a key: its lowest address. */
#define NETWORK_LEN 16
#define KEY_MAX     (NETWORK_LEN + PROOF_NAME_MAX)

static void settled_free(void *settled)
{
	struct settled *s = settled;

	if (!s)
		return;
	prefix_set_deinit(&s->accepted);
	prefix_set_deinit(&s->denied);
	free(s);
}

int memory_egress_new(struct memory_egress **ret_egress)
{
	struct memory_egress *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	pthread_rwlock_init(&e->lock, NULL);
	map_init(&e->settled);
	map_init(&e->quiet);
	pthread_mutex_init(&e->retry_lock, NULL);
	map_init(&e->retries);
	*ret_egress = e;
	return 0;
}

void memory_egress_free(struct memory_egress *e)
{
	if (!e)
		return;
	map_deinit(&e->settled, settled_free);
	map_deinit(&e->quiet, NULL);
	map_deinit(&e->retries, free);
	pthread_rwlock_destroy(&e->lock);
	pthread_mutex_destroy(&e->retry_lock);
	free(e);
}

/* ---- settled ---- */

int memory_scanner_set_settled(struct memory *m, const char *scanner,
			       const struct prefix_set *accepted, const struct prefix_set *denied)
{
	struct memory_egress *e = memory_egress_of(m);
	struct sv key = sv_from(scanner);
	struct settled *now = NULL;
	void *old = NULL;
	int r = 0;

	if (key.n == 0)
		return 0;
	if (accepted->n > 0 || denied->n > 0) {
		now = calloc(1, sizeof(*now));
		if (!now || prefix_set_copy(&now->accepted, accepted) < 0 ||
		    prefix_set_copy(&now->denied, denied) < 0) {
			settled_free(now);
			return -ENOMEM;
		}
	}
	pthread_rwlock_wrlock(&e->lock);
	if (now)
		r = map_put(&e->settled, key, now, &old);
	else
		old = map_remove(&e->settled, key);
	atomic_store(&e->n_settled, e->settled.n);
	memory_changed(m);
	pthread_rwlock_unlock(&e->lock);
	settled_free(r < 0 ? now : old);
	return r < 0 ? r : 0;
}

bool memory_has_settled(const struct memory *m)
{
	return atomic_load_explicit(&memory_egress_of(m)->n_settled, memory_order_relaxed) > 0;
}

static bool is_settled(const struct memory *m, const char *scanner, const struct addr *client,
		       bool accepted)
{
	struct memory_egress *e = memory_egress_of(m);
	const struct settled *s;

	if (!memory_has_settled(m))
		return false;
	pthread_rwlock_rdlock(&e->lock);
	s = map_get(&e->settled, sv_from(scanner));
	const struct prefix_set *set = !s ? NULL : accepted ? &s->accepted : &s->denied;
	bool found = set && set->n > 0 && prefix_set_contains(set, client);

	pthread_rwlock_unlock(&e->lock);
	return found;
}

bool memory_scanner_accepts(const struct memory *m, const char *scanner, const struct addr *client)
{
	return is_settled(m, scanner, client, true);
}

bool memory_scanner_denies(const struct memory *m, const char *scanner, const struct addr *client)
{
	return is_settled(m, scanner, client, false);
}

/* ---- quiet ---- */

void memory_scanner_set_quiet(struct memory *m, const char *scanner, bool quiet)
{
	struct memory_egress *e = memory_egress_of(m);
	struct sv key = sv_from(scanner);

	if (key.n == 0)
		return;
	pthread_rwlock_wrlock(&e->lock);
	if (!quiet)
		(void)map_remove(&e->quiet, key);
	else if (e->quiet.n < QUIET_MAX)
		(void)map_put(&e->quiet, key, e, NULL);
	atomic_store(&e->n_quiet, e->quiet.n);
	memory_changed(m);
	pthread_rwlock_unlock(&e->lock);
}

bool memory_scanner_is_quiet(const struct memory *m, const char *scanner)
{
	struct memory_egress *e = memory_egress_of(m);

	if (atomic_load_explicit(&e->n_quiet, memory_order_relaxed) == 0)
		return false;
	pthread_rwlock_rdlock(&e->lock);
	bool quiet = map_get(&e->quiet, sv_from(scanner)) != NULL;

	pthread_rwlock_unlock(&e->lock);
	return quiet;
}

/* ---- retries ---- */

/* n == 0: too long to be a domain. */
static struct sv retry_key(const char *domain, const struct addr *client, char out[KEY_MAX])
{
	struct prefix network = proof_network_of(client);
	size_t n = strlen(domain);

	if (n >= PROOF_NAME_MAX)
		return (struct sv) { out, 0 };
	memcpy(out, network.addr.b, NETWORK_LEN);
	memcpy(out + NETWORK_LEN, domain, n);
	return (struct sv) { out, NETWORK_LEN + n };
}

static struct retry_list *list_of(struct memory_egress *e, const struct retry *t)
{
	return t->times > 1 ? &e->again : &e->once;
}

static void unlink_retry(struct memory_egress *e, struct retry *t)
{
	struct retry_list *l = list_of(e, t);

	*(t->later ? &t->later->earlier : &l->latest) = t->earlier;
	*(t->earlier ? &t->earlier->later : &l->longest) = t->later;
	l->n--;
}

static void link_retry(struct memory_egress *e, struct retry *t)
{
	struct retry_list *l = list_of(e, t);

	t->later = NULL;
	t->earlier = l->latest;
	*(l->latest ? &l->latest->later : &l->longest) = t;
	l->latest = t;
	l->n++;
}

/* Who makes room for another. */
static struct retry *least_retry(const struct memory_egress *e)
{
	bool full = e->again.n > MEMORY_RETRY_MAX / 2;

	return e->once.longest && !full ? e->once.longest : e->again.longest;
}

static void drop_retry(struct memory_egress *e, struct retry *t)
{
	unlink_retry(e, t);
	map_remove(&e->retries, (struct sv) { t->key, t->key_len });
	if (t->passes)
		atomic_fetch_sub(&e->n_passing, 1);
	free(t);
}

static struct retry *new_retry(struct memory_egress *e, struct sv key, int64_t now_ms)
{
	struct retry *t;

	if (e->retries.n >= MEMORY_RETRY_MAX)
		drop_retry(e, least_retry(e));
	t = calloc(1, sizeof(*t) + key.n);
	if (!t)
		return NULL;
	t->key_len = (uint16_t)key.n;
	memcpy(t->key, key.p, key.n);
	if (map_put(&e->retries, key, t, NULL) < 0) {
		free(t);
		return NULL;
	}
	t->first_ms = t->last_ms = now_ms;
	t->times = 1;
	link_retry(e, t);
	return t;
}

/* Whether it begins to pass by this. */
static bool count_retry(struct memory_egress *e, struct retry *t, int64_t now_ms)
{
	if (now_ms - t->last_ms < MEMORY_RETRY_APART_MS)
		return false;
	unlink_retry(e, t);
	t->times++;
	t->last_ms = now_ms;
	link_retry(e, t);
	if (t->passes || t->times < MEMORY_RETRIES || now_ms - t->first_ms < MEMORY_RETRY_MS)
		return false;
	t->passes = true;
	atomic_fetch_add(&e->n_passing, 1);
	return true;
}

bool memory_retry(struct memory *m, const char *domain, const struct addr *client, int64_t now_ms)
{
	struct memory_egress *e = memory_egress_of(m);
	char text[KEY_MAX];
	struct sv key = retry_key(domain, client, text);
	bool begins = false;

	if (key.n == 0)
		return false;
	pthread_mutex_lock(&e->retry_lock);
	struct retry *t = map_get(&e->retries, key);

	if (t && now_ms - t->last_ms > MEMORY_RETRY_LIFE_MS) {
		drop_retry(e, t);
		t = NULL;
	}
	if (t)
		begins = count_retry(e, t, now_ms);
	else
		(void)new_retry(e, key, now_ms);
	pthread_mutex_unlock(&e->retry_lock);
	return begins;
}

bool memory_retry_passes(const struct memory *m, const char *domain, const struct addr *client,
			 int64_t now_ms)
{
	struct memory_egress *e = memory_egress_of(m);
	char text[KEY_MAX];
	struct sv key;

	if (atomic_load_explicit(&e->n_passing, memory_order_relaxed) == 0)
		return false;
	key = retry_key(domain, client, text);
	pthread_mutex_lock(&e->retry_lock);
	struct retry *t = key.n ? map_get(&e->retries, key) : NULL;
	bool passes = t && t->passes && now_ms - t->last_ms <= MEMORY_RETRY_LIFE_MS;

	if (passes && now_ms > t->last_ms) {
		t->last_ms = now_ms;
		unlink_retry(e, t);
		link_retry(e, t);
	}
	pthread_mutex_unlock(&e->retry_lock);
	return passes;
}
