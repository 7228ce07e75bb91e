/* What memory keeps of scanners beside the proof; for memory.c and memory_egress.c only. */
#pragma once

#include "policy/memory.h"

struct memory_egress;

int memory_egress_new(struct memory_egress **ret_egress);
void memory_egress_free(struct memory_egress *e);
struct memory_egress *memory_egress_of(const struct memory *m);
/* After what is known of a scanner has changed. */
void memory_changed(struct memory *m);

int prefix_set_copy(struct prefix_set *to, const struct prefix_set *from);
