#include "logscan/ledger.h"

#include "policy/proof.h"
#include "policy/scanner.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DAY_MS (86400 * 1000LL)

static const struct {
	const char *name;
	int points;
} signs[SIGN_COUNT] = {
	[SIGN_NAMED] = { "named", 3 },       [SIGN_RELATED] = { "related", 3 },
	[SIGN_ACCEPTED] = { "accepted", 2 }, [SIGN_REGULAR] = { "regular", 2 },
	[SIGN_HELO] = { "helo", 1 },         [SIGN_TLS] = { "tls", 1 },
	[SIGN_DOMAINS] = { "domains", 1 },
};

const char *ledger_sign_name(enum ledger_sign s)
{
	INVARIANT(s < SIGN_COUNT);
	return signs[s].name;
}

void ledger_init(struct ledger *l, int64_t since_ms, int64_t until_ms)
{
	memset(l, 0, sizeof(*l));
	map_init(&l->groups);
	map_init(&l->words);
	l->since_ms = since_ms;
	l->until_ms = until_ms;
}

static void group_free(void *group)
{
	struct ledger_group *g = group;

	if (g)
		free(g->client_name);
	free(g);
}

void ledger_deinit(struct ledger *l)
{
	map_deinit(&l->groups, group_free);
	map_deinit(&l->words, free);
	free(l->order);
}

/* Digits of it where the form has 0, and the same elsewhere. */
static bool has_form(struct sv text, const char *form)
{
	for (size_t i = 0; i < text.n; i++)
		if (form[i] == '0' ? !ascii_is_digit(text.p[i]) : text.p[i] != form[i])
			return false;
	return true;
}

static int digits(const char *p, int n)
{
	int v = 0;

	while (n-- > 0)
		v = v * 10 + (*p++ - '0');
	return v;
}

int ledger_time(struct sv text, int64_t *ret_ms)
{
	static const char form[] = "0000-00-00T00:00:00.000Z";

	if (text.n != sizeof(form) - 1 || !has_form(text, form) || digits(text.p, 4) < 1970)
		return -EINVAL;
	struct tm tm = { .tm_year = digits(text.p, 4) - 1900,
			 .tm_mon = digits(text.p + 5, 2) - 1,
			 .tm_mday = digits(text.p + 8, 2),
			 .tm_hour = digits(text.p + 11, 2),
			 .tm_min = digits(text.p + 14, 2),
			 .tm_sec = digits(text.p + 17, 2) };
	*ret_ms = (int64_t)timegm(&tm) * 1000 + digits(text.p + 20, 3);
	return 0;
}

/* ---- reading ---- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool is(const json_t *o, const char *key, const char *word)
{
	return strcmp(text_of(o, key), word) == 0;
}

/* Kept once, however many groups have it. NULL: no memory. */
static const char *word(struct ledger *l, const char *text)
{
	char *kept = map_get(&l->words, sv_from(text));

	if (kept)
		return kept;
	kept = strdup(text);
	if (kept && map_put(&l->words, sv_from(text), kept, NULL) >= 0)
		return kept;
	free(kept);
	return NULL;
}

/* NULL: no memory. */
static struct ledger_group *new_group(struct ledger *l, const json_t *o,
				      const struct prefix *network)
{
	struct ledger_group *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->domain = word(l, text_of(o, "rcpt_domain"));
	g->reason = word(l, text_of(o, "reason"));
	g->scanner = word(l, text_of(o, "scanner"));
	g->mx = word(l, text_of(o, "mx"));
	g->network = *network;
	g->first_ms = INT64_MAX;
	if (g->domain && g->reason && g->scanner && g->mx)
		return g;
	free(g);
	return NULL;
}

/* 0: *ret_g is NULL when there is no room for one more. */
static int find_group(struct ledger *l, const json_t *o, const struct prefix *network,
		      struct ledger_group **ret_g)
{
	char key[1100], where[ADDR_STRLEN + 4];
	int n = snprintf(key, sizeof(key), "%s|%s|%s|%s", text_of(o, "rcpt_domain"),
			 prefix_format(network, where), text_of(o, "reason"),
			 text_of(o, "scanner"));
	struct sv k = { key, min_size((size_t)n, sizeof(key) - 1) };
	struct ledger_group *g = map_get(&l->groups, k);

	if (!g && l->groups.n < LEDGER_MAX) {
		g = new_group(l, o, network);
		if (!g || map_put(&l->groups, k, g, NULL) < 0) {
			free(g);
			return -ENOMEM;
		}
	}
	*ret_g = g;
	return 0;
}

static int name_client(struct ledger_group *g, const char *name, const char *helo)
{
	if (!g->client_name || strcmp(g->client_name, name) != 0) {
		char *copy = strdup(name);

		if (!copy)
			return -ENOMEM;
		free(g->client_name);
		g->client_name = copy;
	}
	g->helo_matches = sv_eq_nocase(sv_from(name), sv_from(helo));
	return 0;
}

static int count(struct ledger_group *g, const json_t *o, const struct addr *client, int64_t ms)
{
	json_int_t reply = json_integer_value(json_object_get(o, "reply"));
	json_int_t message = json_integer_value(json_object_get(o, "message_reply"));
	const char *name = text_of(o, "client_name");

	g->recipients++;
	g->accepted += message >= 200 && message < 300;
	g->rejected += message >= 500 || reply >= 500;
	g->tls += json_is_true(json_object_get(o, "tls"));
	g->days |= 1ULL << (uint64_t)(ms / DAY_MS) % 64;
	if (ms < g->first_ms)
		g->first_ms = ms;
	if (ms < g->last_ms)
		return 0;
	g->last_ms = ms;
	g->client = *client;
	return *name ? name_client(g, name, text_of(o, "helo")) : 0;
}

static void count_time(struct ledger *l, int64_t ms)
{
	if (l->recipients++ == 0 || ms < l->first_ms)
		l->first_ms = ms;
	if (ms > l->last_ms)
		l->last_ms = ms;
}

static int add_event(struct ledger *l, const json_t *o)
{
	struct ledger_group *g;
	struct addr client;
	int64_t ms;

	if (json_object_get(o, "event"))
		return 0; /* about frontdoor itself */
	if (ledger_time(sv_from(text_of(o, "time")), &ms) < 0 ||
	    addr_parse(sv_from(text_of(o, "client")), &client) < 0) {
		l->bad++;
		return 0;
	}
	if (ms < l->since_ms || ms >= l->until_ms)
		return 0;
	count_time(l, ms);
	if (!is(o, "finding", "direct") && !is(o, "finding", "null"))
		return 0;
	l->direct++;
	if (!is(o, "action", "observe") && !is(o, "action", "pass") && !is(o, "action", "tag")) {
		l->refused++;
		return 0;
	}
	l->observed++;
	struct prefix network = proof_network_of(&client);
	int r = find_group(l, o, &network, &g);
	if (r < 0)
		return r;
	if (g)
		return count(g, o, &client, ms);
	l->left_out++;
	return 0;
}

/* Most events are of recipients that came by their front door: of these only the time is of
 * interest, which stands first. Quotes inside of a string would be escaped. */
static bool is_front(struct sv line, int64_t *ret_ms)
{
	static const char begin[] = "{\"time\":\"", pass[] = "\"finding\":\"pass\"";
	const size_t at = sizeof(begin) - 1, time = sizeof("0000-00-00T00:00:00.000Z") - 1;

	return line.n > at + time && memcmp(line.p, begin, at) == 0 && line.p[line.n - 1] == '}' &&
	       memmem(line.p, line.n, pass, sizeof(pass) - 1) &&
	       ledger_time((struct sv) { line.p + at, time }, ret_ms) == 0;
}

int ledger_add(struct ledger *l, struct sv line)
{
	if (line.n == 0)
		return 0;
	l->lines++;
	int64_t ms;
	if (is_front(line, &ms)) {
		if (ms >= l->since_ms && ms < l->until_ms)
			count_time(l, ms);
		return 0;
	}
	json_t *o = json_loadb(line.p, line.n, 0, NULL);
	int r = 0;

	if (json_is_object(o))
		r = add_event(l, o);
	else
		l->bad++;
	json_decref(o);
	return r;
}

/* ---- judging ---- */

static void sign(struct ledger_group *g, enum ledger_sign s, bool yes)
{
	if (!yes)
		return;
	g->signs |= 1U << s;
	g->points += signs[s].points;
}

static bool is_related(const struct ledger_group *g)
{
	const char *name = g->client_name ? registrable_domain(g->client_name) : NULL;
	const char *mx = registrable_domain(g->mx);

	return name && mx && strcmp(name, mx) == 0;
}

static void judge(struct ledger_group *g, size_t domains)
{
	bool named = g->client_name && !name_is_generic(g->client_name, &g->client);

	sign(g, SIGN_NAMED, named);
	sign(g, SIGN_RELATED, named && is_related(g));
	sign(g, SIGN_ACCEPTED, g->accepted > 0 && g->accepted * 2 >= g->recipients);
	sign(g, SIGN_REGULAR, __builtin_popcountll(g->days) >= 3);
	sign(g, SIGN_HELO, named && g->helo_matches);
	sign(g, SIGN_TLS, g->tls * 2 >= g->recipients);
	sign(g, SIGN_DOMAINS, named && domains >= 3);
}

static int by_network(const void *a, const void *b)
{
	const struct ledger_group *x = *(struct ledger_group *const *)a;
	const struct ledger_group *y = *(struct ledger_group *const *)b;
	int r = addr_cmp(&x->network.addr, &y->network.addr);

	return r ? r : strcmp(x->domain, y->domain);
}

static int by_points(const void *a, const void *b)
{
	const struct ledger_group *x = *(struct ledger_group *const *)a;
	const struct ledger_group *y = *(struct ledger_group *const *)b;

	if (x->points != y->points)
		return y->points - x->points;
	if (x->recipients != y->recipients)
		return x->recipients < y->recipients ? 1 : -1;
	return by_network(a, b);
}

/* Those of one network stand together, by domain. */
static void judge_all(struct ledger *l)
{
	for (size_t i = 0, end; i < l->n_order; i = end) {
		size_t domains = 0;

		for (end = i; end < l->n_order &&
			      addr_eq(&l->order[end]->network.addr, &l->order[i]->network.addr);
		     end++)
			domains += end == i ||
				   strcmp(l->order[end]->domain, l->order[end - 1]->domain) != 0;
		for (size_t k = i; k < end; k++)
			judge(l->order[k], domains);
	}
}

int ledger_finish(struct ledger *l)
{
	l->order = calloc(l->groups.n + 1, sizeof(struct ledger_group *));
	if (!l->order)
		return -ENOMEM;
	for (struct map_entry *e = NULL; (e = map_next(&l->groups, e));)
		l->order[l->n_order++] = e->value;
	qsort(l->order, l->n_order, sizeof(struct ledger_group *), by_network);
	judge_all(l);
	qsort(l->order, l->n_order, sizeof(struct ledger_group *), by_points);
	return 0;
}
