/*
 * What the judged flows say about scanners, told to policy's proof: accepted mail that did not log
 * in, from inside the egress and past it.
 */
#pragma once

#include "logscan/book.h"
#include "logscan/judge.h"
#include "policy/proof.h"

/* 0; -ENOMEM. */
int learn_take(struct proof *p, const struct book *b, const struct judge *j);
