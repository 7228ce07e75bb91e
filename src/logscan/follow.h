/* A live log file that is followed: the second half of logscan/source.h, where the contract is. */
#pragma once

#include "logscan/source.h"

struct follow;

/* name is kept, err too. */
int follow_new(const char *name, bool from_start, FILE *err, struct follow **ret_follow);
void follow_free(struct follow *f);

int follow_next(struct follow *f, struct source_line *ret_line);
void follow_wait(struct follow *f, int timeout_ms);
void follow_progress(const struct follow *f, struct source_progress *ret_progress);
