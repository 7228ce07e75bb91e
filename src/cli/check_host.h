/* frontdoor check, about this host: what is missing here for what the file asks for. Never a reason
 * not to accept the file. */
#pragma once

#include "conf/conf.h"

void check_host(const struct conf *c);
