/*
 * Only a SYN decides who is steered, so established sessions survive every change of the sets; the
 * later packets of a steered connection are recognized by its mark and by the daemon's socket.
 *
 * tproxy comes before the packet's mark: with no listener the statement ends the rule, and the
 * packet goes on to the mail server instead of into the void. Such a connection then loses its mark
 * at once: it belongs to the mail server, and would be torn to the listener and reset by it when
 * the daemon is back. (Steering SYNs only would do for that too, but the packet that ends a
 * handshake finds its way to the listener by tproxy alone; with SYN cookies nothing else is there.)
 *
 * One mark serves all listeners: the destination port, which stays the same for all packets of a
 * connection, says which one a steered packet is for. alive has the ports of both families: a SYN
 * to one that is steered in the other family only is marked, finds no tproxy rule, and loses its
 * mark as without a listener.
 *
 * The mail server's replies to a client's address would leave this host where it runs here too: the
 * output chain sends those of our own upstream connections back to the daemon. What the daemon
 * itself sends to clients is left alone, by its mark: its connection may have the addresses and
 * ports of another session's upstream connection, the other way round, and the kernel tracks both
 * as one.
 *
 * socket wildcard 0: a listener bound to any address takes no part in "is there a transparent
 * socket"; otherwise another program's transparent wildcard listener would catch everything.
 *
 * Protocols are numbers (1 ICMP, 6 TCP, 58 ICMPv6): nft looks names up in /etc/protocols, which a
 * small installation doesn't have.
 */
#include "kernel/ruleset.h"

#include "base/marks.h"
#include "kernel/beat.h"

#include <errno.h>
#include <stdlib.h>

#define SYN_ONLY "tcp flags & (fin | syn | rst | ack) == syn"

struct family_words {
	const char *ip;     /* in expressions and tproxy */
	const char *suffix; /* of set names */
	const char *type;
};
static const struct family_words words_v4 = { "ip", "", "ipv4_addr" };
static const struct family_words words_v6 = { "ip6", "6", "ipv6_addr" };

static bool range_is_v4(const struct addr_range *r)
{
	return addr_is_v4(&r->lo);
}

static bool servers_include(const struct prefix_set *servers, bool v4)
{
	for (size_t i = 0; i < servers->n; i++)
		if (range_is_v4(&servers->ranges[i]) == v4)
			return true;
	return false;
}

/* tproxy needs one address; a wildcard listener is found by any of this host's. */
static struct endpoint listener_endpoint(const struct endpoint *bind)
{
	static const struct addr any_v6 = { { 0 } };
	static const struct addr any_v4 = { { [10] = 0xff, [11] = 0xff } };
	struct endpoint e = *bind;

	if (addr_eq(&e.addr, &any_v4))
		e.addr = addr_from_v4((const uint8_t[4]) { 127, 0, 0, 1 });
	else if (addr_eq(&e.addr, &any_v6))
		e.addr = addr_from_v6((const uint8_t[16]) { [15] = 1 });
	return e;
}

static const char *family_name(bool v4)
{
	return v4 ? "IPv4" : "IPv6";
}

static bool has_port(const struct ruleset *r, bool v4, int port)
{
	for (size_t i = 0; i < r->n_ways; i++)
		if (r->ways[i].v4 == v4 && r->ways[i].port == port)
			return true;
	return false;
}

bool ruleset_has(const struct ruleset *r, bool v4)
{
	for (size_t i = 0; i < r->n_ways; i++)
		if (r->ways[i].v4 == v4)
			return true;
	return false;
}

static int take_listener(const struct conf *conf, const struct listener_conf *l, FILE *err,
			 struct ruleset *r)
{
	for (size_t i = 0; i < l->n_bind; i++) {
		bool v4 = addr_is_v4(&l->bind[i].addr);

		if (has_port(r, v4, l->port)) {
			fprintf(err,
				"%s:%d: listener %s: port %d of %s is steered elsewhere already; "
				"accepted for each port: one IPv4 and one IPv6 address in mode "
				"tproxy\n",
				conf->file, l->line, l->name, l->port, family_name(v4));
			return -EINVAL;
		}
		r->ways[r->n_ways++] = (struct ruleset_way) {
			.v4 = v4,
			.fail_closed = l->fail == FAIL_CLOSED,
			.silent = l->tls == TLS_IMPLICIT,
			.port = (uint16_t)l->port,
			.listener = listener_endpoint(&l->bind[i]),
		};
	}
	return 0;
}

static int take_listeners(const struct conf *conf, FILE *err, struct ruleset *r)
{
	size_t n = 0;

	for (size_t i = 0; i < conf->n_listeners; i++)
		n += conf->listeners[i].mode == LISTENER_TPROXY ? conf->listeners[i].n_bind : 0;
	if (n == 0) {
		fprintf(err,
			"%s: no listener has mode: tproxy; others need nothing of the kernel\n",
			conf->file);
		return -EINVAL;
	}
	r->ways = calloc(n, sizeof(*r->ways));
	if (!r->ways) {
		fprintf(err, "%s: out of memory\n", conf->file);
		return -ENOMEM;
	}
	for (size_t i = 0; i < conf->n_listeners; i++) {
		if (conf->listeners[i].mode != LISTENER_TPROXY)
			continue;
		int e = take_listener(conf, &conf->listeners[i], err, r);
		if (e < 0)
			return e;
	}
	if (r->servers->n > 0)
		return 0;
	fprintf(err,
		"%s: server_addresses is empty; mode tproxy needs the addresses "
		"or prefixes that the world reaches the mail servers by\n",
		conf->file);
	return -EINVAL;
}

/* Servers that keep a way in which passes frontdoor by. */
static void warn_of_gaps(const struct conf *conf, FILE *err, const struct ruleset *r)
{
	for (size_t i = 0; i < r->n_ways; i++) {
		bool other = !r->ways[i].v4;

		if (servers_include(r->servers, other) && !has_port(r, other, r->ways[i].port))
			fprintf(err,
				"%s: warning: server_addresses has %s addresses, but no "
				"tproxy listener for port %d binds one: they are not steered "
				"there\n",
				conf->file, family_name(other), r->ways[i].port);
	}
}

/* A way of a family that no server has leads nowhere. */
static void drop_idle(struct ruleset *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n_ways; i++)
		if (servers_include(r->servers, r->ways[i].v4))
			r->ways[kept++] = r->ways[i];
	r->n_ways = kept;
}

static bool overlap(const struct addr_range *a, const struct addr_range *b)
{
	return addr_cmp(&a->lo, &b->hi) <= 0 && addr_cmp(&b->lo, &a->hi) <= 0;
}

/* Does a client that is not steered get to the same place in the same way? */
static bool goes_straight(const struct listener_conf *l, const struct addr_range *client)
{
	if (l->mode != LISTENER_TPROXY)
		return true;
	if (!l->backend_original || l->send != SEND_NONE || l->upstream_tls != UPSTREAM_MIRROR)
		return false;
	for (size_t i = 0; i < l->accept_proxy.n; i++)
		if (overlap(&l->accept_proxy.ranges[i], client))
			return false;
	return true;
}

static int take_straight(const struct conf *conf, struct ruleset *r)
{
	const struct prefix_set *trusted = &conf->policy.trusted;

	for (size_t i = 0; i < trusted->n; i++) {
		bool straight = true;

		for (size_t k = 0; k < conf->n_listeners; k++)
			straight &= goes_straight(&conf->listeners[k], &trusted->ranges[i]);
		if (straight && prefix_set_add_range(&r->straight, &trusted->ranges[i]) < 0)
			return -ENOMEM;
	}
	prefix_set_seal(&r->straight);
	return 0;
}

int ruleset_from_conf(const struct conf *conf, FILE *err, struct ruleset *ret_ruleset)
{
	struct ruleset r = { .servers = &conf->policy.server_addresses };

	prefix_set_init(&r.straight);
	int e = take_listeners(conf, err, &r);

	if (e == 0) {
		warn_of_gaps(conf, err, &r);
		drop_idle(&r);
		if (r.n_ways == 0) {
			fprintf(err,
				"%s: server_addresses and the tproxy listeners' bind addresses "
				"have no address family in common\n",
				conf->file);
			e = -EINVAL;
		}
	}
	if (e == 0 && (e = take_straight(conf, &r)) < 0)
		fprintf(err, "%s: out of memory\n", conf->file);
	if (e < 0) {
		ruleset_deinit(&r);
		return e;
	}
	*ret_ruleset = r;
	return 0;
}

void ruleset_deinit(struct ruleset *r)
{
	free(r->ways);
	prefix_set_deinit(&r->straight);
	r->ways = NULL;
	r->n_ways = 0;
}

static const struct addr_range *next_range(const struct prefix_set *s, bool v4, size_t *at)
{
	while (*at < s->n) {
		const struct addr_range *r = &s->ranges[(*at)++];
		if (range_is_v4(r) == v4)
			return r;
	}
	return NULL;
}

/* name: "servers" and the like; flags: of the set. */
static int write_set(const struct prefix_set *set, const char *name, const char *flags, bool v4,
		     struct buf *out)
{
	const struct family_words *w = v4 ? &words_v4 : &words_v6;
	const char *separator = "\t\telements = { ";
	size_t at = 0;
	int e = buf_printf(out, "\tset %s%s {\n\t\ttype %s\n\t\tflags %s\n\t\tauto-merge\n", name,
			   w->suffix, w->type, flags);

	for (const struct addr_range *a; e >= 0 && (a = next_range(set, v4, &at));) {
		char lo[ADDR_STRLEN], hi[ADDR_STRLEN];

		e = addr_eq(&a->lo, &a->hi)
			    ? buf_printf(out, "%s%s", separator, addr_format(&a->lo, lo))
			    : buf_printf(out, "%s%s-%s", separator, addr_format(&a->lo, lo),
					 addr_format(&a->hi, hi));
		separator = ", ";
	}
	return e < 0 ? e : buf_printf(out, "%s\t}\n", *separator == ',' ? " }\n" : "");
}

static int write_sets(const struct ruleset *r, bool v4, struct buf *out)
{
	if (!ruleset_has(r, v4))
		return 0;
	int e = write_set(r->servers, "servers", "interval", v4, out);
	return e < 0 ? e : write_set(&r->straight, "scanners", "interval,timeout", v4, out);
}

/* Has a way before the i-th, of the other family, this port too? */
static bool is_repeated(const struct ruleset *r, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (r->ways[k].port == r->ways[i].port)
			return true;
	return false;
}

/* The ports whose listeners are there: all, until the daemon's heart begins to beat. Where it has
 * begun, it may have stopped by now: a new table must not steer to a daemon that hangs. */
static int write_alive(const struct ruleset *r, struct buf *out)
{
	int e = buf_printf(out,
			   "\tset " RULESET_ALIVE " {\n\t\ttype inet_service\n\t\tflags timeout\n"
			   "\t\telements = { ");
	char timeout[32];

	snprintf(timeout, sizeof(timeout), " timeout %dms", BEAT_TIMEOUT_MS);
	for (size_t i = 0; e >= 0 && i < r->n_ways; i++)
		if (!is_repeated(r, i))
			e = buf_printf(out, "%s%d%s", i > 0 ? ", " : "", r->ways[i].port,
				       r->beating ? timeout : "");
	return e < 0 ? e : buf_printf(out, " }\n\t}\n");
}

/* The SYNs that are for a listener. dport: of the world's connections, a set or a number. */
static int write_syn_match(const struct family_words *w, const char *dport, struct buf *out)
{
	return buf_printf(
		out,
		"\t\t" SYN_ONLY
		" tcp dport %s %s daddr @servers%s %s saddr != @scanners%s %s saddr != @servers%s ",
		dport, w->ip, w->suffix, w->ip, w->suffix, w->ip, w->suffix);
}

static int write_way(const struct ruleset_way *way, struct buf *out)
{
	const struct family_words *w = way->v4 ? &words_v4 : &words_v6;
	char to[ADDR_STRLEN + 8];
	char port[8];

	int e = buf_printf(out,
			   "\t\tct mark & 0x%x == 0x%x ct direction original tcp dport %d "
			   "%s daddr @servers%s tproxy %s to %s "
			   "meta mark set meta mark & 0x%08x | 0x%x accept\n",
			   MARK_MASK, MARK_STEERED, way->port, w->ip, w->suffix, w->ip,
			   endpoint_format(&way->listener, to), ~MARK_MASK, MARK_LOCAL);
	if (e >= 0 && way->fail_closed) {
		snprintf(port, sizeof(port), "%d", way->port);
		e = write_syn_match(w, port, out);
		if (e >= 0)
			e = buf_printf(out, "reject with tcp reset\n");
	}
	return e;
}

static int write_steering(const struct ruleset *r, bool v4, struct buf *out)
{
	if (!ruleset_has(r, v4))
		return 0;
	int e = write_syn_match(v4 ? &words_v4 : &words_v6, "@" RULESET_ALIVE, out);
	if (e >= 0)
		e = buf_printf(out, "ct mark set ct mark & 0x%08x | 0x%x\n", ~MARK_MASK,
			       MARK_STEERED);
	/* the same SYN again, from when the listener still was alive */
	if (e >= 0)
		e = buf_printf(out,
			       "\t\tct mark & 0x%x == 0x%x " SYN_ONLY
			       " tcp dport != @" RULESET_ALIVE " ct mark set ct mark & 0x%08x\n",
			       MARK_MASK, MARK_STEERED, ~MARK_MASK);
	for (size_t i = 0; e >= 0 && i < r->n_ways; i++)
		if (r->ways[i].v4 == v4)
			e = write_way(&r->ways[i], out);
	return e;
}

static int write_prerouting(const struct ruleset *r, struct buf *out)
{
	int e = buf_printf(out,
			   "\tchain prerouting {\n"
			   "\t\ttype filter hook prerouting priority -90; policy accept;\n"
			   "\t\tiif \"lo\" return\n"
			   "\t\tmeta l4proto { 1, 6, 58 } socket wildcard 0 socket transparent 1 "
			   "meta mark set meta mark & 0x%08x | 0x%x accept\n",
			   ~MARK_MASK, MARK_LOCAL);
	if (e >= 0)
		e = write_steering(r, true, out);
	if (e >= 0)
		e = write_steering(r, false, out);
	if (e >= 0)
		e = buf_printf(out,
			       "\t\tct mark & 0x%x == 0x%x " SYN_ONLY
			       " ct mark set ct mark & 0x%08x\n\t}\n",
			       MARK_MASK, MARK_STEERED, ~MARK_MASK);
	return e;
}

static int write_output(struct buf *out)
{
	return buf_printf(out,
			  "\tchain output {\n"
			  "\t\ttype route hook output priority mangle; policy accept;\n"
			  "\t\tmeta mark & 0x%x == 0x%x return\n"
			  "\t\tmeta mark & 0x%x == 0x%x ct mark set ct mark & 0x%08x | 0x%x\n"
			  "\t\tct mark & 0x%x == 0x%x ct direction reply "
			  "meta mark set meta mark & 0x%08x | 0x%x\n"
			  "\t}\n",
			  MARK_MASK, MARK_CLIENT, MARK_MASK, MARK_UPSTREAM, ~MARK_MASK,
			  MARK_UPSTREAM, MARK_MASK, MARK_UPSTREAM, ~MARK_MASK, MARK_LOCAL);
}

const char *ruleset_removal(void)
{
	/* Deleting needs it to be there, adding doesn't need it to be absent. */
	return "add table inet " RULESET_TABLE "\ndelete table inet " RULESET_TABLE "\n";
}

const char *ruleset_placeholder(void)
{
	return "add table inet " RULESET_TABLE "\ndelete table inet " RULESET_TABLE
	       "\ntable inet " RULESET_TABLE " {\n\tcomment \"" RULESET_MADE_BY "\"\n}\n";
}

int ruleset_write(const struct ruleset *r, struct buf *out)
{
	int e = buf_printf(out,
			   "%stable inet " RULESET_TABLE " {\n\tcomment \"" RULESET_MADE_BY "\"\n",
			   ruleset_removal());
	if (e >= 0)
		e = write_alive(r, out);
	if (e >= 0)
		e = write_sets(r, true, out);
	if (e >= 0)
		e = write_sets(r, false, out);
	if (e >= 0)
		e = write_prerouting(r, out);
	if (e >= 0)
		e = write_output(out);
	return e < 0 ? e : buf_printf(out, "}\n");
}
