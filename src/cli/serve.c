/* frontdoor serve -c FILE */
#include "cli/cli.h"

#include "proxy/server.h"

#include <getopt.h>
#include <stdio.h>

int cli_serve(int argc, char **argv)
{
	const char *file = NULL;
	struct conf *conf;
	int option;

	while ((option = getopt(argc, argv, "c:")) != -1) {
		if (option != 'c')
			return CLI_USAGE;
		file = optarg;
	}
	if (!file || optind != argc) {
		fputs("usage: frontdoor serve -c FILE\n", stderr);
		return CLI_USAGE;
	}
	if (conf_load(file, stderr, &conf) < 0)
		return CLI_CONFIG;
	int status = server_run(conf);
	conf_free(conf);
	return status;
}
