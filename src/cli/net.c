/* frontdoor net up|down|show [--dry-run] [--no-test] [-c FILE] */
#include "kernel/net.h"

#include "cli/cli.h"

#include <getopt.h>

static int usage(FILE *to, int status)
{
	fputs("usage: frontdoor net up [--dry-run] [--no-test] [-c FILE]\n"
	      "       frontdoor net down [--dry-run]\n"
	      "       frontdoor net show\n",
	      to);
	return status;
}

static int up(const char *file, const struct net_options *how)
{
	struct ruleset ruleset;
	struct conf *conf;

	if (conf_load(file, stderr, &conf) < 0)
		return CLI_CONFIG;
	int status = CLI_CONFIG;
	int e = ruleset_from_conf(conf, stderr, &ruleset);
	if (e == 0) {
		status = net_up(&ruleset, how, stdout, stderr) < 0 ? CLI_FAILED : CLI_DONE;
		ruleset_deinit(&ruleset);
	}
	conf_free(conf);
	return status;
}

int cli_net(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "no-test", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *file = CONF_DEFAULT;
	struct net_options how = { .test = NET_TEST_FULL };

	optind = 0; /* glibc: start anew */
	for (int c; (c = getopt_long(argc, argv, "c:nh", options, NULL)) != -1;) {
		if (c == 'h')
			return usage(stdout, CLI_DONE);
		if (c == 'c')
			file = optarg;
		else if (c == 'n')
			how.dry_run = true;
		else if (c == 't')
			how.test = NET_TEST_NONE;
		else
			return usage(stderr, CLI_USAGE);
	}
	if (optind + 1 != argc)
		return usage(stderr, CLI_USAGE);

	const char *verb = argv[optind];
	if (strcmp(verb, "up") == 0)
		return up(file, &how);
	/* Both take what is there away or show it, whatever the configuration says by now. */
	if (strcmp(verb, "down") == 0)
		return net_down(how.dry_run, stdout, stderr) < 0 ? CLI_FAILED : CLI_DONE;
	if (strcmp(verb, "show") == 0 && !how.dry_run)
		return net_show(stdout, stderr) == 0 ? CLI_DONE : CLI_FAILED;
	return usage(stderr, CLI_USAGE);
}
