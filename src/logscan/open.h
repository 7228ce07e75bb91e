/* Opening a log by its name. */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

/* A descriptor of its own for name, "-": standard input; -EISDIR for directories; or -errno. */
int open_log(const char *name, struct stat *ret_stat);

/* When it was last written to, since 1970 UTC; now for what isn't a regular file. */
int64_t open_newest_ms(const struct stat *st);
