/* The options of `frontdoor logs`. Of logs.c and logs_options.c only. */
#pragma once

#include "logscan/summary.h"

struct logs_options {
	const char *conf, *doors, *save_doors, *html;
	bool json, csv, summary, suggest, learn, unparsed, follow;
	struct join_filter filter;
	struct addr *servers;
	size_t n_servers;
	char *const *files;
	size_t n_files;
};

/* < 0: go on; else the exit status, the operator was told. */
int logs_options_read(int argc, char **argv, struct logs_options *ret_options);
void logs_options_deinit(struct logs_options *o);
/* Is a line written for each mail? */
bool logs_writes_lines(const struct logs_options *o);
