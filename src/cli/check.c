/* frontdoor check -c FILE: is it right, what does it do, and what should be known before it is
 * served. */
#include "cli/ask.h"
#include "cli/check_host.h"
#include "cli/cli.h"

#include "policy/decide.h"
#include "proxy/interfaces.h"
#include "proxy/tls.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <time.h>

static int usage(FILE *to, int status)
{
	fputs("usage: frontdoor check [-c FILE]\n", to);
	return status;
}

static void show_listener(const struct conf *c, const struct listener_conf *l)
{
	static const char *const sends[] = { "none", "proxy-v1", "proxy-v2", "xclient" };
	char text[ADDR_STRLEN + 8];

	printf("listener  %s: mode %s", l->name, l->mode == LISTENER_TPROXY ? "tproxy" : "listen");
	if (l->mode == LISTENER_TPROXY)
		printf(", port %d", l->port);
	printf(", bind");
	for (size_t i = 0; i < l->n_bind; i++)
		printf(" %s", endpoint_format(&l->bind[i], text));
	printf(", backend %s, source %s, action %s",
	       l->backend_original ? "original" : endpoint_format(&l->backend, text),
	       l->source == SOURCE_SELF ? "self" : "client",
	       action_name(l->action == ACTION_UNSET ? c->policy.action : l->action));
	if (l->tls == TLS_IMPLICIT)
		printf(", tls implicit");
	if (l->require_auth)
		printf(", require_auth");
	if (l->accept_proxy.n > 0)
		printf(", accept_proxy");
	if (l->send != SEND_NONE)
		printf(", send %s", sends[l->send]);
	if (l->upstream_tls != UPSTREAM_MIRROR)
		printf(", upstream_tls %s", l->upstream_tls == UPSTREAM_OFF ? "off" : "always");
	if (l->upstream_verify)
		printf(", upstream_verify %s%s", l->upstream_verify,
		       !l->backend_original && addr_is_loopback(&l->backend.addr)
			       ? " (not on loopback)"
			       : "");
	putchar('\n');
}

/* The certificates; what is wrong with them goes to the log. 0; CLI_CONFIG: serve would not start.
 */
static int show_tls(const struct conf *c)
{
	struct tls_server_info info;
	struct tls_server *tls;
	char until[32];
	struct tm tm;

	if (!conf_has_tls(c)) {
		printf("tls       %s\n",
		       c->tls_hide ? "STARTTLS is taken away" : "none of our own");
		return CLI_DONE;
	}
	int r = tls_server_new(&c->tls, &tls);
	if (r == -ENOENT)
		fprintf(stderr, "%s: tls: no certificate can be used\n", c->file);
	if (r < 0)
		return CLI_CONFIG;
	tls_server_info(tls, &info);
	strftime(until, sizeof(until), "%Y-%m-%d", gmtime_r(&(time_t) { info.first_end }, &tm));
	printf("tls       %zu certificates for %zu names, the next to end on %s%s\n",
	       info.certificates, info.names, until,
	       c->tls_hide ? "; STARTTLS is taken away all the same" : "");
	if (info.broken > 0)
		printf("%s: warning: tls: %zu files can't be used\n", c->file, info.broken);
	if (info.expired > 0)
		printf("%s: warning: tls: %zu certificates have ended\n", c->file, info.expired);
	tls_server_free(tls);
	return r > 0 ? CLI_CONFIG : CLI_DONE;
}

static void show_resolvers(const struct conf *c)
{
	char text[ADDR_STRLEN + 8];

	printf("resolver ");
	for (size_t i = 0; i < c->n_resolvers; i++)
		printf(" %s", endpoint_format(&c->resolvers[i], text));
	printf("%s, confirm %s\n", c->n_resolvers ? "" : " those of /etc/resolv.conf",
	       c->policy.confirm ? "authoritative" : "off");
}

static void show_scanner(const struct scanner *s)
{
	printf("scanner   %s:", s->name);
	for (size_t k = 0; k < s->n_mx; k++)
		printf(" %s", s->mx[k]);
	printf("%s%s", s->egress_default_ptr ? ", default egress" : "",
	       s->cidrs.n ? ", prefixes" : "");
	for (size_t k = 0; k < s->n_sources; k++)
		printf(", %s", s->sources[k]);
	printf("%s%s\n", s->n_ptr ? ", ptr" : "", s->action != ACTION_UNSET ? ", own action" : "");
}

static void show_catalogue(const struct conf *c)
{
	const struct catalogue *all = c->policy.catalogue;
	size_t n = catalogue_count(all), high = 0;

	for (size_t i = 0; i < n; i++)
		high += catalogue_row(all, i)->confidence == CONFIDENCE_HIGH;
	printf("catalogue %zu rows, %zu of high confidence", n, high);
	for (size_t k = 0; k < c->n_catalogue_files; k++) {
		size_t own = 0;

		for (size_t i = 0; i < n; i++) {
			const char *file = catalogue_row(all, i)->file;

			own += file && strcmp(file, c->catalogue_files[k]) == 0;
		}
		printf(", %zu of %s", own, c->catalogue_files[k]);
	}
	putchar('\n');
}

static void show(const struct conf *c, size_t n_hosted)
{
	for (size_t i = 0; i < c->n_listeners; i++)
		show_listener(c, &c->listeners[i]);
	printf("policy    action %s, guessed_action %s, on_dns_failure %s, on_unknown_domain "
	       "%s%s%s\n",
	       action_name(c->policy.action), action_name(c->policy.guessed_action),
	       action_name(c->policy.on_dns_failure), action_name(c->policy.on_unknown_domain),
	       c->policy.shared_egress == ACTION_TAG ? ", shared_egress tag" : "",
	       c->policy.strict_backup ? ", strict_backup" : "");
	show_resolvers(c);
	printf("hosted    %zu domains in %zu files, %zu rows of domains:%s\n", n_hosted,
	       c->n_hosted, c->policy.domains.n,
	       c->n_hosted ? "" : "; others are learned from their own front door");
	for (size_t i = 0; i < c->policy.n_scanners; i++)
		show_scanner(&c->policy.scanners[i]);
	show_catalogue(c);
	printf("events    %s\n", c->events_json ? c->events_json : "none");
	printf("state     %s\n", c->state ? c->state : "none");
}

static bool enforces_anywhere(const struct conf *c)
{
	const struct map_entry *e = NULL;
	bool general = false;

	for (size_t i = 0; i < c->n_listeners; i++)
		general = general || (c->listeners[i].action == ACTION_UNSET
					      ? c->policy.action
					      : c->listeners[i].action) >= ACTION_DEFER;
	for (size_t i = 0; i < c->policy.n_scanners; i++)
		general = general || c->policy.scanners[i].action >= ACTION_DEFER;
	while (!general && (e = map_next(&c->policy.domains, e)))
		general = ((const struct domain_policy *)e->value)->action >= ACTION_DEFER;
	return general;
}

/* Only private addresses here: the world reaches this host by others, behind NAT. */
static bool only_private_here(void)
{
	struct prefix_set global;
	bool none = interfaces_global(&global) == 0 && global.n == 0;

	prefix_set_deinit(&global);
	return none;
}

/* Right on a gateway; on the mail server itself the kernel steers nothing then. */
static void warn_of_others_addresses(const struct conf *c)
{
	bool steers = false;

	for (size_t i = 0; i < c->n_listeners; i++)
		steers |= c->listeners[i].mode == LISTENER_TPROXY;
	if (steers && c->policy.server_addresses_given &&
	    interfaces_meet(&c->policy.server_addresses) == 0)
		printf("%s: warning: no address of this host is in server_addresses: only mail "
		       "that "
		       "it forwards to them, as a gateway, comes by frontdoor\n",
		       c->file);
}

static void warn_listener(const struct conf *c, const struct listener_conf *l)
{
	if (l->source == SOURCE_SELF && l->send == SEND_NONE)
		printf("%s:%d: warning: listener %s: with source: self and send: none the backend "
		       "sees our own address in every session; serve starts only if the backend "
		       "refuses to relay for it (that is probed)\n",
		       c->file, l->line, l->name);
	if (!c->tls_hide && !conf_has_tls(c))
		printf("%s:%d: warning: listener %s: if the backend offers STARTTLS this listener "
		       "only observes; tls.certificates ends it here, tls.hide: true takes "
		       "STARTTLS away\n",
		       c->file, l->line, l->name);
}

static void warn(const struct conf *c)
{
	bool enforces = enforces_anywhere(c);

	if (!enforces)
		printf("%s: warning: nothing is enforced: every action is observe or tag; "
		       "policy.action: defer or reject shuts the back doors\n",
		       c->file);
	if (enforces && c->policy.guessed_action < ACTION_DEFER)
		printf("%s: warning: doors of scanners that are neither configured nor in the "
		       "catalogue with high confidence are only observed "
		       "(policy.guessed_action)%s\n",
		       c->file, c->state ? " until they are proven" : "");
	if (c->policy.strict_backup)
		printf("%s: warning: policy.strict_backup: where this server is a backup MX, mail "
		       "is refused by 451 while the primary MX answers on port 25, and so are "
		       "senders that can't reach the primary from where they are\n",
		       c->file);
	for (size_t i = 0; i < c->n_listeners; i++)
		warn_listener(c, &c->listeners[i]);
	warn_of_others_addresses(c);
	if (!c->policy.server_addresses_given && only_private_here())
		printf("%s: warning: this host has private addresses only and server_addresses is "
		       "empty: behind NAT no domain looks like our own, so nothing is enforced\n",
		       c->file);
}

static int first_hosted(void *user, const char *domain)
{
	snprintf(user, DECISION_NAME_MAX, "%s", domain);
	return -1;
}

/* A domain of the operator's own; without one our own loopback name, which stays on this host or in
 * its resolver. */
static void warn_resolver(const struct conf *c, struct memory *memory)
{
	struct addr loopback = addr_from_v4((const uint8_t[]) { 127, 0, 0, 1 });
	const struct map_entry *row = map_next(&c->policy.domains, NULL);
	char domain[DECISION_NAME_MAX] = "";
	struct domain_facts *facts = NULL;
	struct client_names *names = NULL;
	struct ask *a;
	bool answers, aa = false;

	memory_hosted_each(memory, first_hosted, domain);
	if (!domain[0] && row)
		snprintf(domain, sizeof(domain), "%.*s", (int)row->key_len, row->key);
	if (ask_open(c, &a) < 0) {
		printf("%s: warning: the resolver can't be started\n", c->file);
		return;
	}
	if (domain[0]) {
		facts = ask_domain(a, domain, false);
		answers = facts && facts->kind != FACTS_FAILED;
		aa = facts && facts->aa;
	} else {
		names = ask_client(a, &loopback);
		answers = names && names->status != DNS_FAILED;
	}
	if (!answers)
		printf("%s: warning: the resolver gives no answer%s%s: doors can't be looked up\n",
		       c->file, domain[0] ? " for " : "", domain);
	if (aa)
		printf("%s: warning: the resolver answers with authority (AA) for %s: a local zone "
		       "there decides instead of DNS; ask a recursive resolver\n",
		       c->file, domain);
	free(facts);
	free(names);
	ask_close(a);
}

int cli_check(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *file = CONF_DEFAULT;
	struct memory *memory = NULL;
	struct conf *conf;
	int status = CLI_DONE;

	optind = 0; /* glibc: start anew */
	for (int o; (o = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		if (o == 'h')
			return usage(stdout, CLI_DONE);
		if (o != 'c')
			return usage(stderr, CLI_USAGE);
		file = optarg;
	}
	if (optind != argc)
		return usage(stderr, CLI_USAGE);
	if (conf_load(file, stderr, &conf) < 0)
		return CLI_CONFIG;
	if (memory_new(&memory) < 0 || conf_load_hosted(conf, memory, stderr) < 0) {
		status = CLI_CONFIG;
	} else {
		show(conf, memory_hosted_count(memory));
		status = show_tls(conf);
		check_host(conf);
		warn(conf);
		warn_resolver(conf, memory);
	}
	memory_free(memory);
	conf_free(conf);
	return status;
}
