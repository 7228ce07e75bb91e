/* What the running daemon, or the last one, knows of one domain: read from its snapshot by
 * commands. */
#pragma once

#include "conf/conf.h"
#include "dns/facts.h"

/* facts_free()d by the caller; NULL: nothing that can be read. */
struct domain_facts *snapshot_look(const struct conf *conf, const char *domain);
