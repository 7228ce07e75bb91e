/*
 * up: routing first, then the table: no packet is marked before there is a way for it. down: the
 * other way round. What up has added is taken away again when it fails, by the test connection or a
 * signal too; a former table is put back. While there is one without the other, an empty table
 * stands there: the kernel process would put back what it takes for lost (mend.h).
 */
#include "kernel/net.h"

#include "base/marks.h"
#include "kernel/diag.h"
#include "kernel/marks_taken.h"
#include "kernel/mend.h"
#include "kernel/neighbours.h"
#include "kernel/net_test.h"
#include "kernel/nft.h"
#include "kernel/routing.h"
#include "kernel/stranger.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

static const int families[] = { AF_INET, AF_INET6 };
static const enum routing_item items[] = { ROUTING_ROUTE, ROUTING_RULE };

static const char *family_name(int family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

static int fail(FILE *err, int e, const char *what)
{
	if (e == -EACCES && strstr(what, "ip -6 "))
		fprintf(err,
			"frontdoor net: %s: IPv6 is switched off on lo "
			"(net.ipv6.conf.lo.disable_ipv6)\n",
			what);
	else if (e == -EPERM || e == -EACCES)
		fprintf(err, "frontdoor net: %s: not permitted; root or CAP_NET_ADMIN is needed\n",
			what);
	else
		fprintf(err, "frontdoor net: %s: %s\n", what, strerror(-e));
	return e;
}

static bool contains(struct sv text, const char *what)
{
	return memmem(text.p, text.n, what, strlen(what)) != NULL;
}

/* nft's own words, the first line of them. */
static int fail_nft(FILE *err, int e, const struct buf *output)
{
	struct sv text = buf_view(output);
	const char *end = text.n ? memchr(text.p, '\n', text.n) : NULL;

	if (e == -ENOENT)
		fprintf(err, "frontdoor net: nft is missing; it is in the package nftables\n");
	else if (e < 0)
		return fail(err, e, "nft");
	else if (contains(text, "not permitted"))
		return fail(err, -EPERM, "nftables");
	else
		fprintf(err, "frontdoor net: nft: " SV_FMT "\n",
			(int)(end ? end - text.p : (ptrdiff_t)text.n), text.p);
	return e < 0 ? e : -EIO;
}

static int run_transaction(struct sv text, FILE *err)
{
	static const char *const argv[] = { "nft", "-f", "-", NULL };
	CLEANUP(buf_deinit) struct buf output;

	buf_init(&output, NFT_OUTPUT_MAX);
	int e = nft_run(argv, text, &output);
	return e == 0 ? 0 : fail_nft(err, e, &output);
}

static bool has(const struct routing *routing, enum routing_item item)
{
	return item == ROUTING_RULE ? routing->rule : routing->route;
}

static bool family_on(const struct ruleset *r, int family)
{
	return ruleset_has(r, family == AF_INET);
}

/* Both families, before anything is changed. */
static int read_routing(const struct ruleset *r, struct routing ret_routing[2], FILE *err)
{
	char text[MEND_TEXT_MAX];

	if (mend_obstacle(r, true, text)) {
		fprintf(err, "frontdoor net: %s\n", text);
		return -EBUSY;
	}
	if (marks_taken_here(text)) {
		fprintf(err, "frontdoor net: %s\n", text);
		return -EEXIST;
	}
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		ret_routing[i] = (struct routing) { 0 };
		if (!family_on(r, families[i]))
			continue;
		int e = routing_read(families[i], &ret_routing[i]);
		if (e < 0)
			return fail(err, e, family_name(families[i]));
		if (ret_routing[i].taken[0]) {
			fprintf(err, "frontdoor net: %s %s; frontdoor needs both for itself\n",
				family_name(families[i]), ret_routing[i].taken);
			return -EEXIST;
		}
	}
	return 0;
}

static void print_transaction(FILE *out, struct sv text)
{
	fprintf(out, "nft -f - <<'END'\n" SV_FMT "END\n", SV_ARG(text));
}

static void print_routing(int family, const struct routing *routing, FILE *out)
{
	char text[ROUTING_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		fprintf(out, "%s%s\n", has(routing, items[i]) ? "# there already: " : "",
			routing_format(family, items[i], "add", text));
	}
}

static int add_routing(int family, bool ret_added[2], FILE *err)
{
	char text[ROUTING_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		int e = routing_add(family, items[i]);
		if (e < 0)
			return fail(err, e, routing_format(family, items[i], "add", text));
		ret_added[i] = e == 0;
	}
	return 0;
}

/* A family that the kernel doesn't have, has nothing of ours. */
static int remove_routing(int family, bool dry_run, FILE *out, FILE *err)
{
	struct routing routing;
	char text[ROUTING_TEXT_MAX];
	int e = routing_read(family, &routing);

	if (e < 0)
		return e == -EAFNOSUPPORT ? 0 : fail(err, e, family_name(family));
	for (size_t k = ARRAY_SIZE(items); k-- > 0;) {
		if (!has(&routing, items[k]))
			continue;
		routing_format(family, items[k], "del", text);
		if (dry_run) {
			fprintf(out, "%s\n", text);
			continue;
		}
		e = routing_delete(family, items[k]);
		if (e < 0)
			return fail(err, e, text);
	}
	return 0;
}

/* Of a family that was on before and isn't now. */
static int remove_unused(const struct ruleset *r, bool dry_run, FILE *out, FILE *err)
{
	int e = 0;

	for (size_t i = 0; e >= 0 && i < ARRAY_SIZE(families); i++)
		if (!family_on(r, families[i]))
			e = remove_routing(families[i], dry_run, out, err);
	return e;
}

/* The table that is there, as a transaction that puts it back; empty: none. Another program's is an
 * error. */
static int read_former(struct buf *ret_text, FILE *err)
{
	static const char *const argv[] = { "nft", "list", "table", "inet", RULESET_TABLE, NULL };

	int e = buf_add_sv(ret_text, sv_from(ruleset_removal()));
	if (e == 0)
		e = nft_run(argv, SV(""), ret_text);
	struct sv text = buf_view(ret_text);
	if (e == 0 && contains(text, RULESET_MADE_BY))
		return 0;
	if (e == 0) {
		fprintf(err, "frontdoor net: table inet " RULESET_TABLE
			     " is there, but not made by frontdoor net\n");
		return -EEXIST;
	}
	bool absent = e > 0 && contains(text, "No such file");
	buf_consume(ret_text, strlen(ruleset_removal()));
	if (!absent)
		return fail_nft(err, e, ret_text);
	buf_clear(ret_text);
	return 0;
}

/* Had that table a heartbeat, even if it has stopped since? */
static bool is_beating(struct sv table)
{
	const char *set = memmem(table.p, table.n, "set " RULESET_ALIVE " {",
				 strlen("set " RULESET_ALIVE " {"));
	const char *end = set ? memchr(set, '}', (size_t)(table.p + table.n - set)) : NULL;

	if (!end)
		return false;
	struct sv of = { set, (size_t)(end - set) };
	return contains(of, "expires") || !contains(of, "elements");
}

/* Where another program listens, the daemon will not. */
static int check_listeners(const struct ruleset *r, FILE *err)
{
	for (size_t i = 0; i < r->n_ways; i++) {
		const struct endpoint *at = &r->ways[i].listener;
		char text[ADDR_STRLEN + 8];
		uint32_t mark = 0;
		int e = diag_listener(at, &mark);

		if (e < 0)
			return fail(err, e, "list of listening sockets");
		if (e == 1 && (mark & MARK_MASK) != MARK_CLIENT) {
			fprintf(err,
				"frontdoor net: another program than frontdoor listens at %s, "
				"where port %d is to be steered to\n",
				endpoint_format(at, text), r->ways[i].port);
			return -EADDRINUSE;
		}
	}
	return 0;
}

struct added {
	bool items[ARRAY_SIZE(families)][ARRAY_SIZE(items)];
};

static void undo_routing(const struct added *added)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		for (size_t k = ARRAY_SIZE(items); k-- > 0;)
			if (added->items[i][k])
				(void)routing_delete(families[i], items[k]);
}

/* former: of a table, empty if there was none. */
static int put_in_place(const struct ruleset *r, const struct buf *former, struct added *added,
			FILE *err)
{
	struct ruleset now = *r;
	CLEANUP(buf_deinit) struct buf text;
	int e = 0;

	buf_init(&text, RULESET_TEXT_MAX);
	if (buf_len(former) == 0)
		e = run_transaction(sv_from(ruleset_placeholder()), err);
	else
		now.beating = r->beating && is_beating(buf_view(former));
	for (size_t i = 0; e >= 0 && i < ARRAY_SIZE(families); i++)
		if (family_on(r, families[i]))
			e = add_routing(families[i], added->items[i], err);
	if (e >= 0 && (e = ruleset_write(&now, &text)) < 0)
		fail(err, e, "the table's text");
	return e < 0 ? e : run_transaction(buf_view(&text), err);
}

static void roll_back(const struct buf *former, const struct added *added, FILE *err)
{
	bool had = buf_len(former) > 0;

	(void)run_transaction(had ? buf_view(former) : sv_from(ruleset_placeholder()), err);
	undo_routing(added);
	if (!had)
		(void)run_transaction(sv_from(ruleset_removal()), err);
}

static int up(const struct ruleset *r, const struct net_options *o, FILE *out, FILE *err)
{
	CLEANUP(buf_deinit) struct buf former;
	struct added added = { 0 };
	struct ruleset how = *r;

	buf_init(&former, NFT_OUTPUT_MAX);
	int e = read_former(&former, err);
	if (e == 0 && o->replace && !contains(buf_view(&former), "set " RULESET_ALIVE " {"))
		return -ENOENT;
	if (e == 0)
		e = check_listeners(r, err);
	if (e < 0)
		return e;
	/* a test steers without a beat, and undoes what doesn't work itself */
	how.beating = o->test == NET_TEST_NONE;
	e = put_in_place(&how, &former, &added, err);
	if (e >= 0 && o->test == NET_TEST_FULL)
		e = net_test(r, out, err);
	if (e >= 0)
		return remove_unused(r, false, out, err);
	roll_back(&former, &added, err);
	return e;
}

/* Nothing that is half done or not tested may stay because somebody has no patience. Signals wait
 * (test connections look for them: stranger.h), and have their effect when all is in order. */
static int up_undisturbed(const struct ruleset *r, const struct net_options *o, FILE *out,
			  FILE *err)
{
	sigset_t former;

	stranger_hold_signals(&former);
	int e = up(r, o, out, err);
	sigprocmask(SIG_SETMASK, &former, NULL);
	return e;
}

/* ret_set: clients that go straight here, on this host and by now. */
static int add_neighbours(const struct ruleset *r, struct prefix_set *ret_set)
{
	int e = 0;

	prefix_set_init(ret_set);
	for (size_t i = 0; e >= 0 && i < r->straight.n; i++)
		e = prefix_set_add_range(ret_set, &r->straight.ranges[i]);
	if (e >= 0)
		e = neighbours_add(r->servers, ret_set);
	prefix_set_seal(ret_set);
	return e < 0 ? -ENOMEM : 0;
}

static int dry_run(const struct ruleset *r, const struct routing *routing, FILE *out, FILE *err)
{
	CLEANUP(buf_deinit) struct buf text;

	buf_init(&text, RULESET_TEXT_MAX);
	int e = ruleset_write(r, &text);
	if (e < 0)
		return fail(err, e, "the table's text");
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (family_on(r, families[i]))
			print_routing(families[i], &routing[i], out);
	print_transaction(out, buf_view(&text));
	return remove_unused(r, true, out, err);
}

int net_up(const struct ruleset *r, const struct net_options *how, FILE *out, FILE *err)
{
	struct routing routing[ARRAY_SIZE(families)];
	struct ruleset here = *r;
	int e = read_routing(r, routing, err);

	if (e < 0)
		return e;
	e = add_neighbours(r, &here.straight);
	if (e < 0)
		fail(err, e, "clients beside the servers");
	else if (how->dry_run)
		e = dry_run(&here, routing, out, err);
	else
		e = up_undisturbed(&here, how, out, err);
	prefix_set_deinit(&here.straight);
	return e;
}

/* Is any of ours there? -errno. */
static int any_routing(FILE *err)
{
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct routing routing = { 0 };
		int e = routing_read(families[i], &routing);
		if (e < 0 && e != -EAFNOSUPPORT)
			return fail(err, e, family_name(families[i]));
		any |= routing.rule || routing.route;
	}
	return any;
}

static int take_table(const char *text, bool dry_run, FILE *out, FILE *err)
{
	if (!dry_run)
		return run_transaction(sv_from(text), err);
	print_transaction(out, sv_from(text));
	return 0;
}

int net_down(bool dry_run, FILE *out, FILE *err)
{
	CLEANUP(buf_deinit) struct buf former;
	int e = 0;

	buf_init(&former, NFT_OUTPUT_MAX);
	if (!dry_run && (e = read_former(&former, err)) == 0 && buf_len(&former) == 0) {
		e = any_routing(err);
		if (e <= 0)
			return e;
	}
	if (e >= 0)
		e = take_table(ruleset_placeholder(), dry_run, out, err);
	for (size_t i = 0; e >= 0 && i < ARRAY_SIZE(families); i++)
		e = remove_routing(families[i], dry_run, out, err);
	return e < 0 ? e : take_table(ruleset_removal(), dry_run, out, err);
}

bool net_is_flushed(const struct ruleset *r)
{
	CLEANUP(buf_deinit) struct buf former;
	bool any = false;

	buf_init(&former, NFT_OUTPUT_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct routing routing = { 0 };
		if (family_on(r, families[i]) && routing_read(families[i], &routing) == 0)
			any |= routing.rule || routing.route;
	}
	if (!any)
		return false;
	char said[256];
	FILE *unheard = fmemopen(said, sizeof(said), "w");
	if (!unheard)
		return false;
	bool flushed = read_former(&former, unheard) == 0 && buf_len(&former) == 0;
	fclose(unheard);
	return flushed;
}

static int show_routing(int family, FILE *out, FILE *err, bool *ret_missing)
{
	struct routing routing = { 0 };
	char text[ROUTING_TEXT_MAX];
	int e = routing_read(family, &routing);

	if (e < 0 && e != -EAFNOSUPPORT)
		return fail(err, e, family_name(family));
	for (size_t k = 0; k < ARRAY_SIZE(items); k++)
		fprintf(out, "%-7s %s\n", has(&routing, items[k]) ? "up" : "absent",
			routing_format(family, items[k], "add", text));
	if (routing.taken[0])
		fprintf(out, "taken   %s %s\n", family_name(family), routing.taken);
	*ret_missing = !routing.rule || !routing.route;
	return 0;
}

int net_show(FILE *out, FILE *err)
{
	static const char *const argv[] = { "nft", "list", "table", "inet", RULESET_TABLE, NULL };
	bool missing[ARRAY_SIZE(families)];
	CLEANUP(buf_deinit) struct buf output;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		int e = show_routing(families[i], out, err, &missing[i]);
		if (e < 0)
			return e;
	}
	buf_init(&output, NFT_OUTPUT_MAX);
	int e = nft_run(argv, SV(""), &output);
	struct sv text = buf_view(&output);
	if (e != 0 && (e < 0 || !contains(text, "No such file")))
		return fail_nft(err, e, &output);
	if (e != 0) {
		fprintf(out, "absent  table inet " RULESET_TABLE "\n");
		return 1;
	}
	fprintf(out, SV_FMT, SV_ARG(text));
	if (!contains(text, "set " RULESET_ALIVE " {")) /* somebody is at work, or was stopped */
		return 1;
	/* Only the families that the table is for need their routing. */
	return (missing[0] && contains(text, "set servers {")) ||
	       (missing[1] && contains(text, "set servers6 {"));
}
