/* A verdict in words, for operators. No I/O but the file written to. */
#pragma once

#include "cli/door_view.h"

#include <stdio.h>

struct description {
	const struct decide_facts *facts; /* as last given to decide(), answers and all */
	const struct decision *decision;
	const struct door_names *names; /* NULL: not asked */
	const struct door_view *view;   /* NULL: not looked at */
};

/* "passes", "would be refused (observed only)", ...: one line with the reason, no newline. */
void describe_verdict(FILE *out, const struct decision *d);
/* Why less was done than wanted; nothing without restraint. */
void describe_restraint(FILE *out, const struct decision *d);
/* The door: MX set, whose it is, what matched the client, who else leads here. */
void describe_door(FILE *out, const struct description *what);
