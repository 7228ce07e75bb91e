/* The daemon's state as JSON: members are a contract (doc/frontdoor.8, status and top). */
#pragma once

#include "service/view.h"

#include <jansson.h>

#define STATUS_TOP 20

/* NULL: no memory. */
json_t *status_json(const struct view *v);
/* What status_json() has of counts, and the clients and domains most frequent in direct delivery.
 */
json_t *status_top_json(const struct view *v);
/* One line for people: a service manager's STATUS. Into out. */
void status_line(const struct view *v, char *out, size_t size);
