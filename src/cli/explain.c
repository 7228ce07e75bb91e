/*
 * frontdoor explain: why would this be passed or refused? Asks DNS now, and judges with the same
 * decide() as the daemon. Of what the daemon has seen (hosted domains learned, scanners heard) it
 * knows what stands in the state file, and says so.
 */
#include "cli/explain.h"
#include "cli/cli.h"

#include "policy/recipient.h"
#include "proxy/enforcing.h"
#include "proxy/interfaces.h"

#include <errno.h>
#include <getopt.h>

#define SMTP_PORT 25

static int usage(FILE *to, int status)
{
	fputs("usage: frontdoor explain [-c FILE] [--listener NAME] [--hosted] [--heard] [--json]\n"
	      "                         --client IP --server IP RCPT...\n"
	      "  RCPT      an address or a domain\n"
	      "  --hosted  judge as if the domains were known to be hosted\n"
	      "  --heard   as if mail from their scanners had been accepted of late\n",
	      to);
	return status;
}

static int explain_domain(struct explain *x, enum rcpt_shape shape, const char *domain)
{
	struct decide_facts f = explain_facts(x, shape, domain);
	struct answers k = { 0 };
	struct decision d;
	int r;

	if (domain && x->hosted)
		memory_hosted_add(x->memory, sv_from(domain));
	r = explain_judge(x, &f, &k, &d);
	if (r < 0)
		fprintf(stderr, "%s: the resolver gives no answer\n", domain ? domain : "-");
	else if (x->json)
		explain_json(x, &f, &d);
	else
		explain_text(x, &f, &k, &d);
	facts_free(k.dns);
	facts_free(k.names);
	return r;
}

/* What is asked about: an address, or a domain alone. 0; -1: neither, and that was told. */
static int read_recipient(const char *text, struct recipient *ret_recipient)
{
	struct smtp_path path = { .kind = PATH_MAILBOX };
	size_t used;
	int r;

	if (!strchr(text, '@') && strchr(text, '.')) {
		ret_recipient->shape = RCPT_DOMAIN;
		ret_recipient->n_domains = 1;
		r = domain_to_ascii(sv_from(text), ret_recipient->domains[0]);
	} else if (path_parse(sv_from(text), true, &path, &used) < 0 || text[used]) {
		fprintf(stderr, "%s: no address and no domain\n", text);
		return -1;
	} else {
		r = recipient_of(&path, ret_recipient);
	}
	if (r < 0)
		fprintf(stderr, "%s: %s\n", text,
			r == -E2BIG ? "too many domains in it" : "no domain name");
	return r < 0 ? -1 : 0;
}

/* All domains of an address, its own first: the strictest verdict counts. */
static int explain_rcpt(struct explain *x, const char *text)
{
	struct recipient to;
	int r = 0;

	if (read_recipient(text, &to) < 0)
		return -1;
	if (to.shape != RCPT_DOMAIN)
		return explain_domain(x, to.shape, NULL);
	if (to.n_domains > 1 && !x->json)
		printf("%s names %d domains; the strictest verdict counts\n", text, to.n_domains);
	for (int i = 0; i < to.n_domains; i++)
		if (explain_domain(x, RCPT_DOMAIN, to.domains[i]) < 0)
			r = -1;
	return r;
}

/* Without a file: everything by default, for a mail server at this address. */
static int conf_defaults(const struct addr *server, struct conf **ret_conf)
{
	char address[ADDR_STRLEN], text[128];

	snprintf(text, sizeof(text), "listeners: [{mode: tproxy}]\nserver_addresses: [\"%s\"]\n",
		 addr_format(server, address));
	return conf_load_text("defaults", sv_from(text), stderr, ret_conf);
}

static const struct listener_conf *find_listener(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_listeners; i++)
		if (!name || strcmp(c->listeners[i].name, name) == 0)
			return &c->listeners[i];
	return NULL;
}

struct arguments {
	const char *file, *listener, *client, *server;
	bool json, hosted, heard;
};

/* -1: go on; else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "listener", required_argument, NULL, 'l' },
		{ "client", required_argument, NULL, 'C' },
		{ "server", required_argument, NULL, 'S' },
		{ "json", no_argument, NULL, 'j' },
		{ "hosted", no_argument, NULL, 'o' },
		{ "heard", no_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};

	optind = 0; /* glibc: start anew */
	for (int o; (o = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (o) {
		case 'c':
			a->file = optarg;
			break;
		case 'l':
			a->listener = optarg;
			break;
		case 'C':
			a->client = optarg;
			break;
		case 'S':
			a->server = optarg;
			break;
		case 'j':
			a->json = true;
			break;
		case 'o':
			a->hosted = true;
			break;
		case 'e':
			a->heard = true;
			break;
		case 'h':
			return usage(stdout, CLI_DONE);
		default:
			return usage(stderr, CLI_USAGE);
		}
	}
	return a->client && a->server && optind < argc ? -1 : usage(stderr, CLI_USAGE);
}

static int parse_address(const char *option, const char *text, struct addr *ret_addr)
{
	if (addr_parse(sv_from(text), ret_addr) == 0)
		return 0;
	fprintf(stderr, "%s %s: no address; accepted: 192.0.2.1, 2001:db8::1\n", option, text);
	return -1;
}

static int ask_all(struct explain *x, char **rcpts)
{
	int status = CLI_DONE;

	if (ask_open(x->conf, &x->asked.ask) < 0) {
		fputs("the resolver can't be started\n", stderr);
		return CLI_FAILED;
	}
	if (x->conf->policy.strict_backup)
		(void)primaries_new(SMTP_PORT, &x->primaries);
	(void)interfaces_global(&x->interfaces);
	for (; *rcpts; rcpts++) {
		if (explain_rcpt(x, *rcpts) < 0)
			status = CLI_FAILED;
		if (rcpts[1] && !x->json)
			putchar('\n');
	}
	primaries_free(x->primaries);
	prefix_set_deinit(&x->interfaces);
	asked_deinit(&x->asked);
	ask_close(x->asked.ask);
	return status;
}

static int explain_all(struct explain *x, char **rcpts)
{
	int status = CLI_FAILED;

	if (knowledge_open(x->conf, &x->knowledge) == 0) {
		x->memory = x->knowledge.memory;
		status = conf_load_hosted(x->conf, x->memory, stderr) < 0 ? CLI_CONFIG
									  : ask_all(x, rcpts);
	}
	knowledge_close(&x->knowledge);
	return status;
}

int cli_explain(int argc, char **argv)
{
	struct arguments a = { 0 };
	int status = parse_arguments(argc, argv, &a);
	struct explain x = { .json = a.json, .hosted = a.hosted, .heard = a.heard };
	struct conf *conf;

	if (status >= 0)
		return status;
	if (parse_address("--client", a.client, &x.client) < 0 ||
	    parse_address("--server", a.server, &x.server) < 0)
		return CLI_USAGE;
	if ((a.file ? conf_load(a.file, stderr, &conf) : conf_defaults(&x.server, &conf)) < 0)
		return CLI_CONFIG;
	x.conf = conf;
	x.listener = find_listener(conf, a.listener);
	x.enforce_stopped = enforcing_was_stopped(conf);
	if (x.listener) {
		status = explain_all(&x, argv + optind);
	} else {
		fprintf(stderr, "--listener %s: there is none of this name\n", a.listener);
		status = CLI_USAGE;
	}
	conf_free(conf);
	return status;
}
