/*
 * Names of clients over time. They are looked up when they are needed, not ahead. A client that had
 * names keeps them when DNS fails: a filter that is known by nothing else must be able to go on.
 * That it had none opens nothing, and is not kept. Names that let mail in are told to who saves
 * them.
 */
#include "base/clock.h"
#include "dns/resolver_private.h"

#include <stdlib.h>

enum {
	STALE_MS = 300 * 1000, /* how long old names are taken without asking again */
};

static bool is_good(const struct resolver *r, const struct client_names *names, int64_t now)
{
	return names && names->status == DNS_OK && names->n > 0 &&
	       now < names->fetched_ms + r->conf.stale_max_ms;
}

static void publish(struct table_entry *e, struct client_names *names)
{
	if (names && table_set(e, names) < 0)
		facts_free(names);
}

static void tell(struct resolver *r, const struct table_entry *e, const struct client_names *names)
{
	struct addr client;

	if (!r->conf.on_client)
		return;
	memcpy(client.b, e->key, sizeof(client.b));
	r->conf.on_client(r->conf.user, &client, names);
}

void client_update(struct resolver *r, struct table_entry *e, struct client_names *found)
{
	const struct client_names *last = table_value(e);
	int64_t now = clock_mono_ms();
	struct client_names kept;

	if (!found || found->status == DNS_FAILED) {
		r->counters.failed++;
		if (is_good(r, last, now)) {
			facts_free(found);
			kept = *last;
			kept.stale = true;
			kept.expires_ms = now + STALE_MS;
			found = client_names_copy(&kept);
		}
	} else if (last && last->kept) {
		found->kept = true;
		if (found->n)
			tell(r, e, found);
	}
	publish(e, found);
}

void client_keep(struct resolver *r, const struct addr *client)
{
	struct table_entry *e = NULL;
	const struct client_names *last = table_get(&r->clients, client_key(client), &e);
	struct client_names kept;

	if (!e || !last || last->kept || last->status != DNS_OK || last->n == 0)
		return;
	kept = *last;
	kept.kept = true;
	tell(r, e, &kept);
	publish(e, client_names_copy(&kept));
}

int resolver_restore_client(struct resolver *r, const struct addr *client,
			    const struct client_names *names)
{
	struct client_names *copy;
	struct table_entry *e;
	int64_t now = clock_mono_ms();

	if (!is_good(r, names, now))
		return 0;
	e = table_add(&r->clients, client_key(client), now);
	if (e && table_value(e))
		return 1;
	copy = e ? client_names_copy(names) : NULL;
	if (!copy)
		return -ENOMEM;
	copy->kept = true;
	copy->stale = now >= copy->expires_ms;
	return table_set(e, copy);
}
