/*
 * The `hosted` files while the daemon runs: read at the start, and again when one has changed and
 * changes no more (so that half a file is not taken for all of it). What is new in them is hosted
 * and kept ready from then on; what no file names any more is not: should the backend go on taking
 * mail for it by its own front door, that is learned anew. A file that has vanished, can't be read
 * or names nothing any more is a mistake until it says something again: what it said before stays,
 * and the operator is warned.
 */
#pragma once

#include "conf/conf.h"
#include "dns/resolver.h"
#include "policy/memory.h"

struct hosted;

/* Reads all files into memory. conf and memory must outlive it. 0; -errno: told on stderr. */
int hosted_new(const struct conf *conf, struct memory *memory, struct hosted **ret_hosted);
/* For another configuration: reads its files, and changes nothing yet. What is wrong is told to
 * err. 0, -errno. */
int hosted_read(const struct conf *conf, struct memory *memory, FILE *err,
		struct hosted **ret_hosted);
/* After hosted_read(): what h names is hosted and kept ready, what only former named is not any
 * more. -ENOMEM: not all of that. */
int hosted_take(struct hosted *h, const struct hosted *former, struct resolver *resolver);
/* NULL is fine. */
void hosted_free(struct hosted *h);
/* Every second or two, by one thread at a time: looks whether files have changed. */
void hosted_poll(struct hosted *h, struct resolver *resolver);
