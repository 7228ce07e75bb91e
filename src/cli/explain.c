/*
 * frontdoor explain: why would this be passed or refused? Asks DNS now, and judges with the same
 * decide() as the daemon. Of what the daemon has seen (hosted domains learned, scanners heard) it
 * knows what stands in the state file, and says so.
 */
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/describe.h"

#include "base/clock.h"
#include "event/event.h"
#include "policy/recipient.h"
#include "proxy/interfaces.h"
#include "proxy/state.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

struct explain {
	const struct conf *conf;
	const struct listener_conf *listener;
	struct ask *ask;
	struct memory *memory;
	struct proof *proof; /* of the state file */
	struct prefix_set interfaces;
	struct addr client, server;
	bool json, hosted, heard;
};

/* What was found out about one domain; kept between judgements of it. */
struct known {
	struct domain_facts *dns;
	struct client_names *names;
	bool confirm_tried;
};

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

static void known_free(struct known *k)
{
	free(k->dns);
	free(k->names);
}

/* decide() until it is done. 0; -1: DNS gave no answer within its time, or no memory. */
static int judge(struct explain *x, struct decide_facts *f, struct known *k, struct decision *d)
{
	for (;;) {
		struct domain_facts *dns;

		f->dns = k->dns;
		f->names = k->names;
		f->confirm_tried = k->confirm_tried;
		f->now_ms = clock_mono_ms();
		switch (decide(f, d)) {
		case DECIDE_DONE:
			return 0;
		case DECIDE_NEEDS_DOMAIN:
			k->dns = ask_domain(x->ask, f->domain, false);
			if (!k->dns)
				return -1;
			break;
		case DECIDE_NEEDS_CLIENT:
			k->names = ask_client(x->ask, &f->client);
			if (!k->names)
				return -1;
			break;
		case DECIDE_NEEDS_CONFIRM:
			k->confirm_tried = true;
			dns = ask_domain(x->ask, f->domain, true);
			if (!dns)
				break;
			free(k->dns);
			k->dns = dns;
			break;
		default:
			return -1;
		}
	}
}

static bool serves_here(const struct explain *x)
{
	return x->listener->mode == LISTENER_LISTEN ||
	       prefix_set_contains(&x->interfaces, &x->server);
}

static struct decide_facts facts_of(const struct explain *x, enum rcpt_shape shape,
				    const char *domain)
{
	return (struct decide_facts) {
		.policy = &x->conf->policy,
		.memory = x->memory,
		.listener_action = x->listener->action,
		.require_auth = x->listener->require_auth,
		.server_is_ours =
			prefix_set_contains(&x->conf->policy.server_addresses, &x->server),
		.client = x->client,
		.server = x->server,
		.interfaces = serves_here(x) ? &x->interfaces : NULL,
		.shape = shape,
		.domain = domain,
	};
}

/* Judged with --heard: the scanner's name is known only after a first look. */
static int judge_heard(struct explain *x, struct decide_facts *f, struct known *k,
		       struct decision *d)
{
	int r = judge(x, f, k, d);

	if (r < 0 || !x->heard || d->restraint != RESTRAINT_NEVER_HEARD)
		return r;
	memory_scanner_heard(x->memory, d->scanner, clock_mono_ms());
	return judge(x, f, k, d);
}

static void print_reply(const struct explain *x, const struct decision *d, const char *domain)
{
	char reply[512];

	if (d->code == 0)
		return;
	decision_reply(d, &x->conf->policy, domain, &x->server, "explain", reply);
	reply[strcspn(reply, "\r")] = '\0';
	printf("  reply       %s\n", reply);
}

/* The same once more under another supposition, in two lines. */
static void suppose(struct explain *x, struct decide_facts *f, struct known *k, const char *what)
{
	struct decision d;

	if (judge_heard(x, f, k, &d) < 0)
		return;
	printf("  %s ", what);
	describe_verdict(stdout, &d);
	putchar('\n');
	print_reply(x, &d, f->domain);
	describe_restraint(stdout, &d);
}

/* With the strictest actions, as far as the door's grade needs both. */
static void suppose_enforced(struct explain *x, struct decide_facts *f, struct known *k,
			     const struct decision *d)
{
	struct policy policy = *f->policy;
	bool guessed = d->grade == GRADE_GUESSED;

	policy.action = ACTION_REJECT;
	if (guessed)
		policy.guessed_action = ACTION_REJECT;
	f->listener_action = ACTION_UNSET;
	f->policy = &policy;
	suppose(x, f, k,
		guessed ? "with policy.action and guessed_action: reject:"
			: "with policy.action: reject:");
	f->policy = &x->conf->policy;
}

static int hear_too(void *memory, const char *scanner, int64_t when_ms)
{
	memory_scanner_heard(memory, scanner, when_ms);
	return 0;
}

/* What the first memory knows of scanners. */
static int know_scanners(const struct explain *x, struct memory *memory)
{
	struct proof_summary sum;

	(void)memory_heard_each(x->memory, hear_too, memory);
	return proof_apply(x->proof, &x->conf->policy.prove, clock_wall_ms(), clock_mono_ms(),
			   memory, &sum);
}

/* In a memory of its own: the next recipient's domain may be the same one. */
static void suppose_hosted(struct explain *x, struct decide_facts *f, struct known *k)
{
	struct memory *real = x->memory, *other;
	struct decision d;

	if (memory_new(&other) < 0)
		return;
	if (know_scanners(x, other) == 0) {
		memory_hosted_add(other, sv_from(f->domain));
		f->memory = x->memory = other;
		suppose(x, f, k, "if hosted: ");
		if (judge_heard(x, f, k, &d) == 0 && d.finding != FINDING_PASS &&
		    d.action < ACTION_DEFER)
			suppose_enforced(x, f, k, &d);
	}
	f->memory = x->memory = real;
	memory_free(other);
}

static void print_text(struct explain *x, struct decide_facts *f, struct known *k,
		       const struct decision *d)
{
	char client[ADDR_STRLEN], server[ADDR_STRLEN];
	struct door_names *names = NULL;
	struct description what = { .facts = f, .decision = d };
	struct proof_state proof = { 0 };

	printf("%s from %s to %s\n", f->domain ? f->domain : "(no domain)",
	       addr_format(&x->client, client), addr_format(&x->server, server));
	printf("  verdict     ");
	describe_verdict(stdout, d);
	putchar('\n');
	print_reply(x, d, f->domain);
	describe_restraint(stdout, d);
	if (f->domain && f->dns && d->door != DOOR_SELF && d->door != DOOR_DNS)
		what.names = names = ask_names(x->ask, f->domain);
	if (proof_judge(x->proof, d->scanner, &f->policy->prove, clock_wall_ms(), &proof) == 0)
		what.proof = &proof;
	describe_door(stdout, &what);
	proof_state_deinit(&proof);
	free(names);
	if (f->domain && f->dns && !d->hosted)
		suppose_hosted(x, f, k);
	else if (d->finding != FINDING_PASS && d->action < ACTION_DEFER)
		suppose_enforced(x, f, k, d);
	if (!x->conf->tls_hide && !conf_has_tls(x->conf) && d->action >= ACTION_DEFER)
		puts("  note        if the backend offers STARTTLS this is only observed: "
		     "tls.certificates, tls.hide");
}

/* NULL: could not be found out. */
static const char *first_name(const struct explain *x, const struct decide_facts *f)
{
	struct door_names *names = ask_names(x->ask, f->domain);
	const char *found = names ? door_names_word(names, &x->server) : NULL;

	free(names);
	return found;
}

static void print_json(struct explain *x, struct decide_facts *f, const struct decision *d)
{
	struct event_rcpt e = {
		.time_ms = clock_wall_ms(),
		.client = { .addr = x->client },
		.server = { .addr = x->server },
		.door = d->door,
		.door_known = d->door_known,
		.grade = d->grade,
		.finding = d->finding,
		.action = d->action,
		.wanted = d->wanted,
		.restraint = d->restraint,
		.reason = d->reason,
		.reply = d->code,
	};
	char *json;

	if (d->door == DOOR_SELF || d->door == DOOR_BACKUP)
		e.door_name = "mx";
	else if (f->domain && f->dns)
		e.door_name = first_name(x, f);
	snprintf(e.listener, sizeof(e.listener), "%s", x->listener->name);
	snprintf(e.rcpt_domain, sizeof(e.rcpt_domain), "%s", f->domain ? f->domain : "");
	snprintf(e.scanner, sizeof(e.scanner), "%s", d->scanner);
	snprintf(e.mx, sizeof(e.mx), "%s", d->mx);
	json = event_rcpt_json(&e);
	if (json)
		puts(json);
	free(json);
}

static int explain_domain(struct explain *x, enum rcpt_shape shape, const char *domain)
{
	struct decide_facts f = facts_of(x, shape, domain);
	struct known k = { 0 };
	struct decision d;
	int r;

	if (domain && x->hosted)
		memory_hosted_add(x->memory, sv_from(domain));
	r = judge_heard(x, &f, &k, &d);
	if (r < 0)
		fprintf(stderr, "%s: the resolver gives no answer\n", domain ? domain : "-");
	else if (x->json)
		print_json(x, &f, &d);
	else
		print_text(x, &f, &k, &d);
	known_free(&k);
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

/* What the daemon would know after a start. 0; -ENOMEM. */
static int recall(struct explain *x)
{
	struct proof_summary sum;
	struct state_error error;
	int r = state_recall(x->conf, x->memory, x->proof, &sum, &error);

	if (r < 0)
		fprintf(stderr, "%s; going on without what was learned\n", error.text);
	else if (r == 1 && x->conf->state)
		fprintf(stderr, "%s: not there yet, so no scanner is proven\n", x->conf->state);
	return r == -ENOMEM ? r : 0;
}

static int explain_all(struct explain *x, char **rcpts)
{
	int status = CLI_DONE;

	if (memory_new(&x->memory) < 0)
		return CLI_FAILED;
	if (conf_load_hosted(x->conf, x->memory, stderr) < 0) {
		status = CLI_CONFIG;
	} else if (proof_new(&x->proof) < 0 || recall(x) < 0) {
		status = CLI_FAILED;
	} else if (ask_open(x->conf, &x->ask) < 0) {
		fputs("the resolver can't be started\n", stderr);
		status = CLI_FAILED;
	} else {
		(void)interfaces_global(&x->interfaces);
		for (; *rcpts; rcpts++) {
			if (explain_rcpt(x, *rcpts) < 0)
				status = CLI_FAILED;
			if (rcpts[1] && !x->json)
				putchar('\n');
		}
		ask_close(x->ask);
		prefix_set_deinit(&x->interfaces);
	}
	proof_free(x->proof);
	memory_free(x->memory);
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
	if (x.listener) {
		status = explain_all(&x, argv + optind);
	} else {
		fprintf(stderr, "--listener %s: there is none of this name\n", a.listener);
		status = CLI_USAGE;
	}
	conf_free(conf);
	return status;
}
