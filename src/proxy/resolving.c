#include "proxy/resolving.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "policy/decide.h"
#include "proxy/snapshot.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Sources of the catalogue's that are kept ready; those of further ones wait for mail. */
#define KEPT_SOURCES_MAX 10000
#define CLIENT_NAMES_MAX 10 /* more a client hasn't got (LOOKUP_MAX_PTR) */

struct resolving {
	const struct memory *memory;
	struct setup *setup; /* the resolver's thread's, when there is one */
	pthread_mutex_t lock;
	struct setup *next; /* to be that; NULL: no other one */
	struct event_sink *events;
	struct snapshot *snapshot; /* NULL: none */
	struct resolver *resolver;
	struct map kept; /* keys of sources; the resolver's thread's */
};

/* ---- what the resolver asks, in its thread ---- */

/*
 * What is asked, is asked of the configuration of now. What was given out of the former one is not
 * used any more when the resolver asks again.
 */
static const struct policy *policy_now(struct resolving *r)
{
	struct setup *next, *old = NULL;

	pthread_mutex_lock(&r->lock);
	next = r->next;
	r->next = NULL;
	pthread_mutex_unlock(&r->lock);
	if (next) {
		old = r->setup;
		r->setup = next;
		/* some of them were let go; the others are kept already, so that to ask again is
		 * cheap */
		map_deinit(&r->kept, NULL);
		map_init(&r->kept);
	}
	setup_unref(old);
	return &r->setup->conf->policy;
}

static bool wants_ptr(void *user, const struct dns_host *host)
{
	return policy_wants_ptr(policy_now(user), host);
}

static const struct prefix_set *fallback(void *user, const char *key)
{
	const struct catalogue *catalogue = policy_now(user)->catalogue;

	return catalogue ? catalogue_fallback(catalogue, key) : NULL;
}

static void on_trouble(void *user, const char *kind, const char *text)
{
	struct resolving *r = user;

	log_warning("%s: %s", kind, text);
	event_emit_note(r->events, kind, text);
}

static void keep_source(struct resolving *r, const char *key)
{
	struct sv v = sv_from(key);

	if (r->kept.n >= KEPT_SOURCES_MAX || map_get(&r->kept, v) ||
	    map_put(&r->kept, v, r, NULL) != 0)
		return;
	if (resolver_keep_source(r->resolver, key) < 0)
		(void)map_remove(&r->kept, v);
}

/* What the door of a domain that is kept ready rests on is kept ready, too: DNS may have gone when
 * the first mail comes. (Who is kept was asked for after the resolver was there.) */
static void keep_egress(struct resolving *r, const struct domain_facts *facts)
{
	const struct policy *policy = policy_now(r);
	char key[SOURCE_KEY_MAX];
	struct door_owner owner;

	for (unsigned i = 0; i < facts->n_hosts; i++) {
		door_owner_of_host(policy, &facts->hosts[i], &owner);
		for (size_t k = 0; owner.row && door_owner_source(&owner, k, key); k++)
			keep_source(r, key);
	}
}

static void on_domain(void *user, const char *domain, const struct domain_facts *facts, bool kept)
{
	struct resolving *r = user;

	if (kept && facts && facts->kind == FACTS_MX)
		keep_egress(r, facts);
	if (r->snapshot)
		snapshot_domain(r->snapshot, domain, facts, kept);
}

static void on_source(void *user, const struct egress_source *source)
{
	struct resolving *r = user;

	snapshot_source(r->snapshot, source);
}

/*
 * Names of clients are saved as if they were sources: the key is the address, and the names stand,
 * a space between two, where other sources have what was left out.
 */
#define CLIENT_KEY "client:"

static void on_client(void *user, const struct addr *client, const struct client_names *names)
{
	char key[sizeof(CLIENT_KEY) + ADDR_STRLEN], address[ADDR_STRLEN];
	char text[CLIENT_NAMES_MAX * 256] = "";
	struct egress_source row = { .key = key,
				     .status = SOURCE_KNOWN,
				     .fetched_ms = names->fetched_ms,
				     .expires_ms = names->expires_ms,
				     .left_out = text };
	struct resolving *r = user;
	size_t n = 0;

	snprintf(key, sizeof(key), CLIENT_KEY "%s", addr_format(client, address));
	for (size_t i = 0; i < names->n && i < CLIENT_NAMES_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "",
				      names->names[i]);
	snapshot_source(r->snapshot, &row);
}

/* ---- restoring ---- */

static int restore_client(struct resolver *resolver, const struct egress_source *row)
{
	const char *list[CLIENT_NAMES_MAX];
	struct client_names names = { .status = DNS_OK,
				      .fetched_ms = row->fetched_ms,
				      .expires_ms = row->expires_ms,
				      .names = list };
	char text[CLIENT_NAMES_MAX * 256], *at = text;
	struct addr client;

	if (addr_parse(sv_from(row->key + strlen(CLIENT_KEY)), &client) < 0)
		return 0;
	snprintf(text, sizeof(text), "%s", row->left_out);
	while (names.n < CLIENT_NAMES_MAX && (list[names.n] = strsep(&at, " ")))
		names.n++;
	return resolver_restore_client(resolver, &client, &names);
}

static int restore_domain(void *user, const struct domain_facts *facts)
{
	struct resolving *r = user;
	struct domain_facts f = *facts;

	f.kept = memory_is_hosted(r->memory, f.domain) ||
		 map_get(&r->setup->conf->policy.domains, sv_from(f.domain));
	return resolver_restore_domain(r->resolver, &f);
}

static int restore_source(void *user, const struct egress_source *source)
{
	struct resolving *r = user;

	if (strncmp(source->key, CLIENT_KEY, strlen(CLIENT_KEY)) == 0)
		return restore_client(r->resolver, source);
	return resolver_restore_source(r->resolver, source);
}

static void restore(void *user, struct resolver *resolver)
{
	struct resolving *r = user;
	struct snapshot_visit visit = { .domain = restore_domain,
					.source = restore_source,
					.user = r };
	struct snapshot_stats stats;
	int64_t start = clock_mono_ms();
	int e;

	r->resolver = resolver; /* its thread may refresh a kept door before resolver_new() ends */
	e = snapshot_load(r->snapshot, &visit);
	snapshot_stats(r->snapshot, &stats);
	if (e < 0)
		log_warning("error=\"%s\" the snapshot could not be read to its end", strerror(-e));
	log_info("snapshot doors=%llu sources=%llu ms=%lld", (unsigned long long)stats.domains,
		 (unsigned long long)stats.sources, (long long)(clock_mono_ms() - start));
}

/* ---- beginning and end ---- */

static int keep_sources(struct resolver *resolver, char *const *keys, size_t n)
{
	int e = 0;

	for (size_t i = 0; i < n && e == 0; i++)
		e = resolver_keep_source(resolver, keys[i]);
	return e;
}

static int keep_configured(const struct policy *policy, struct resolver *resolver)
{
	int e = 0;

	for (size_t i = 0; i < policy->n_scanners && e == 0; i++)
		e = keep_sources(resolver, policy->scanners[i].sources,
				 policy->scanners[i].n_sources);
	for (struct map_entry *m = NULL; e == 0 && (m = map_next(&policy->domains, m));) {
		const struct domain_policy *row = m->value;

		e = keep_sources(resolver, row->allow_sources, row->n_allow_sources);
	}
	return e;
}

/* Without it frontdoor does less, not something else: it starts. */
static void open_snapshot(struct resolving *r)
{
	char file[PATH_MAX];

	const struct conf *conf = r->setup->conf;

	if (!conf->state)
		return;
	snprintf(file, sizeof(file), "%s.doors", conf->state);
	(void)snapshot_new(file, conf->policy.stale_max_ms, &r->snapshot);
}

static int note_sources(struct map *all, char *const *keys, size_t n, bool has)
{
	for (size_t i = 0; i < n; i++) {
		if (has && map_put(all, sv_from(keys[i]), all, NULL) < 0)
			return -ENOMEM;
		if (!has)
			(void)map_remove(all, sv_from(keys[i]));
	}
	return 0;
}

/* Keys that the configuration names: into all, or out of it. */
static int note_configured(struct map *all, const struct policy *policy, bool has)
{
	int e = 0;

	for (size_t i = 0; i < policy->n_scanners && e == 0; i++)
		e = note_sources(all, policy->scanners[i].sources, policy->scanners[i].n_sources,
				 has);
	for (struct map_entry *m = NULL; e == 0 && (m = map_next(&policy->domains, m));) {
		const struct domain_policy *row = m->value;

		e = note_sources(all, row->allow_sources, row->n_allow_sources, has);
	}
	return e;
}

/* What was configured and isn't any more is not looked up for ever. A filter that is another's too,
 * by the catalogue, is kept again with the next answer for a domain of its. */
static int let_go(struct resolving *r, const struct policy *was, const struct policy *now)
{
	struct map gone;

	map_init(&gone);
	int e = note_configured(&gone, was, true);
	if (e == 0)
		e = note_configured(&gone, now, false);
	for (struct map_entry *m = NULL; e == 0 && (m = map_next(&gone, m));) {
		char key[SOURCE_KEY_MAX];
		snprintf(key, sizeof(key), "%.*s", (int)m->key_len, (const char *)m->key);
		e = resolver_release_source(r->resolver, key);
	}
	map_deinit(&gone, NULL);
	return e;
}

int resolving_change(struct resolving *r, const struct policy *was, struct setup *setup)
{
	struct setup *former;
	int e = let_go(r, was, &setup->conf->policy);

	pthread_mutex_lock(&r->lock);
	former = r->next;
	r->next = setup_ref(setup);
	pthread_mutex_unlock(&r->lock);
	setup_unref(former);
	int k = keep_configured(&setup->conf->policy, r->resolver);
	return k < 0 ? k : e;
}

int resolving_new(struct setup *setup, const struct memory *memory, struct event_sink *events,
		  struct resolving **ret_resolving)
{
	struct resolving *r = calloc(1, sizeof(*r));
	struct resolver *resolver = NULL;
	const struct conf *conf = setup->conf;
	struct resolver_conf rc = {
		.servers = conf->resolvers,
		.n_servers = conf->n_resolvers,
		.timeout_ms = conf->resolver_timeout_ms,
		.stale_max_ms = conf->policy.stale_max_ms,
		.user = r,
		.wants_ptr = wants_ptr,
		.fallback = fallback,
		.on_domain = on_domain,
		.on_trouble = on_trouble,
	};
	int e;

	if (!r)
		return -ENOMEM;
	*r = (struct resolving) { .setup = setup_ref(setup), .memory = memory, .events = events };
	pthread_mutex_init(&r->lock, NULL);
	map_init(&r->kept);
	open_snapshot(r);
	if (r->snapshot) {
		rc.on_source = on_source;
		rc.on_client = on_client;
		rc.restore = restore;
	}
	e = resolver_new(&rc, &resolver);
	if (e < 0 || !r->resolver)
		r->resolver = resolver;
	if (e == 0 && r->snapshot)
		e = snapshot_start(r->snapshot);
	if (e == 0)
		e = keep_configured(&conf->policy, r->resolver);
	if (e < 0) {
		resolving_free(r);
		return e;
	}
	*ret_resolving = r;
	return 0;
}

void resolving_free(struct resolving *r)
{
	if (!r)
		return;
	if (r->resolver)
		resolver_free(r->resolver);
	snapshot_free(r->snapshot);
	map_deinit(&r->kept, NULL);
	setup_unref(r->setup);
	setup_unref(r->next);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

struct resolver *resolving_resolver(struct resolving *r)
{
	return r->resolver;
}
