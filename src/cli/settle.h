/* What the operator settles about a scanner's egress, into the state file. */
#pragma once

#include "proxy/state.h"

struct settle_order {
	const char *file; /* the configuration; NULL: not given */
	enum settle what;
	const char *network, *scanner; /* as typed */
	bool json;
};

/* Returns the exit status; what is wrong was said in one line. */
int settle_run(const struct settle_order *order);
