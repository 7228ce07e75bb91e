/*
 * Can the user that the daemon runs as reach the files of its configuration? Read again at each
 * reload, certificates whenever they change, so the rights of the start would not do.
 */
#pragma once

#include "conf/conf.h"
#include "proxy/privileges.h"

/* One line without its end: what can't be reached by whom, and what would do. */
typedef void reach_fn(void *user, const char *line);

/* As this process is now; p names the user in messages. Returns how many lines there were. */
size_t reach_check(const struct conf *conf, const struct privileges *p, reach_fn *tell, void *user);
/* As that user, for whom a process is forked that reports to out; -errno: that can't be. */
int reach_check_as(const struct conf *conf, const struct privileges *p, FILE *out);
