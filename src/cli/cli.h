/*
 * One function for each sub-command: argv[0] is its name. Returns the exit status: CLI_DONE,
 * CLI_FAILED, CLI_USAGE or CLI_CONFIG.
 */
#pragma once

enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 64, CLI_CONFIG = 78 };

int cli_net(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_restart(int argc, char **argv);
int cli_resume(int argc, char **argv);
int cli_report(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_logs(int argc, char **argv);
int cli_scanners(int argc, char **argv);
