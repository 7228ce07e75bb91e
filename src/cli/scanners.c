/* frontdoor scanners: by its options and arguments, one of the files beside this one. */
#include "cli/cli.h"
#include "cli/known.h"
#include "cli/settle.h"

#include <getopt.h>

static int usage(FILE *to, int status)
{
	fputs("usage: frontdoor scanners [-c FILE] [--json]\n"
	      "       frontdoor scanners [-c FILE] [--json] MXHOST...\n"
	      "       frontdoor scanners [--json] -c FILE --accept|--deny|--forget NETWORK NAME\n"
	      "  MXHOST    whose is it, and which addresses deliver for that scanner now\n"
	      "  NETWORK   a prefix or an address that delivers, or does not, for the scanner "
	      "NAME\n",
	      to);
	return status;
}

/* Without a file there is only the catalogue. */
static int load(const char *file, struct conf **ret_conf)
{
	if (file)
		return conf_load(file, stderr, ret_conf);
	return conf_load_text("defaults",
			      SV("listeners: [{mode: listen, backend: \"127.0.0.1:25\"}]\n"),
			      stderr, ret_conf);
}

static int show(const struct settle_order *order, char **hosts)
{
	struct conf *conf;
	int status;

	if (load(order->file, &conf) < 0)
		return CLI_CONFIG;
	status = hosts[0] ? known_hosts(conf, order->json, hosts) : known_list(conf, order->json);
	conf_free(conf);
	return status;
}

int cli_scanners(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "accept", required_argument, NULL, SETTLE_ACCEPT },
		{ "deny", required_argument, NULL, SETTLE_DENY },
		{ "forget", required_argument, NULL, SETTLE_FORGET },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct settle_order order = { 0 };

	optind = 0; /* glibc: start anew */
	for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (c) {
		case 'h':
			return usage(stdout, CLI_DONE);
		case 'c':
			order.file = optarg;
			break;
		case 'j':
			order.json = true;
			break;
		case SETTLE_ACCEPT:
		case SETTLE_DENY:
		case SETTLE_FORGET:
			if (order.network)
				return usage(stderr, CLI_USAGE);
			order.what = (enum settle)c;
			order.network = optarg;
			break;
		default:
			return usage(stderr, CLI_USAGE);
		}
	}
	if (!order.network)
		return show(&order, argv + optind);
	if (optind + 1 != argc)
		return usage(stderr, CLI_USAGE);
	order.scanner = argv[optind];
	return settle_run(&order);
}
