/*
 * What the judged flows say about scanners, told to policy's proof: accepted mail that did not log
 * in, from inside the egress and past it.
 */
#pragma once

#include "logscan/book.h"
#include "logscan/judge.h"
#include "policy/proof.h"

/* Asks for the names of clients outside, which no verdict needed: they say who counts, and who is
 * related. 0; 1: stopped; -errno. */
int learn_names(struct judge *j, struct book *b);
/* 0; -ENOMEM. */
int learn_take(struct proof *p, const struct book *b, const struct judge *j);
