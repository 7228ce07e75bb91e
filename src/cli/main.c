/* The commands, one file each beside this one. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "serve", cli_serve, "serve [--net [--no-test]] -c FILE" },
	{ "check", cli_check, "check [-c FILE]" },
	{ "explain", cli_explain, "explain [-c FILE] [--json] --client IP --server IP RCPT..." },
	{ "logs", cli_logs,
	  "logs [-c FILE] [--json|--csv|--html FILE] [--server IP]... [--suggest] [LOG...]" },
	{ "scanners", cli_scanners,
	  "scanners [-c FILE] [--json] [MXHOST...] | --accept|--deny|--forget NETWORK NAME" },
	{ "report", cli_report, "report [-c FILE] [--since TIME] [--json] [EVENTS...]" },
	{ "status", cli_status, "status [-c FILE] [--socket PATH] [--json]" },
	{ "top", cli_top, "top [-c FILE] [--socket PATH] [--json] [--once] [--interval SECONDS]" },
	{ "reload", cli_reload, "reload [-c FILE] [--socket PATH] [--json]" },
	{ "restart", cli_restart, "restart [-c FILE] [--socket PATH] [--json]" },
	{ "resume", cli_resume, "resume [-c FILE] [--socket PATH] [--json]" },
	{ "net", cli_net, "net up [--dry-run] [--no-test] [-c FILE] | down [--dry-run] | show" },
};

static void usage(FILE *to)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "%s frontdoor %s\n", i ? "      " : "usage:", commands[i].help);
	fputs("       frontdoor --version | --help\n", to);
}

int main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
		puts("frontdoor " FRONTDOOR_VERSION);
		return CLI_DONE;
	}
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		usage(stdout);
		return CLI_DONE;
	}
	for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (argc >= 2)
		fprintf(stderr, "frontdoor: unknown command %s\n", argv[1]);
	usage(stderr);
	return CLI_USAGE;
}
