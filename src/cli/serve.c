/* frontdoor serve [--net [--no-test]] -c FILE */
#include "cli/cli.h"

#include "kernel/part.h"
#include "proxy/server.h"
#include "service/service.h"

#include <getopt.h>
#include <stdio.h>

int cli_serve(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "net", no_argument, NULL, 'n' },
		{ "no-test", no_argument, NULL, 't' },
		{ 0 },
	};
	bool net = false, test = true;
	const char *file = NULL;
	struct conf *conf;

	for (int c; (c = getopt_long(argc, argv, "c:", options, NULL)) != -1;) {
		if (c == 'c')
			file = optarg;
		else if (c == 'n')
			net = true;
		else if (c == 't')
			test = false;
		else
			return CLI_USAGE;
	}
	if (!file || optind != argc || (!test && !net)) {
		fputs("usage: frontdoor serve [--net [--no-test]] -c FILE\n", stderr);
		return CLI_USAGE;
	}
	server_hold_signals();
	if (conf_load(file, stderr, &conf) < 0)
		return CLI_CONFIG;
	const struct server_part parts[] = { kernel_part(net, test), service_part() };
	struct server_options how = { .argv = argv,
				      .parts = parts,
				      .n_parts = sizeof(parts) / sizeof(parts[0]) };

	return server_run(conf, &how);
}
