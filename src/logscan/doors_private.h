/* Of doors.c and doors_file.c only. */
#pragma once

#include "logscan/doors.h"

struct doors_file;

struct doors {
	struct doors_file *file; /* NULL: the resolver */
	bool has_loop;
	uv_loop_t loop;
	uv_timer_t timer;
	struct resolver *resolver;
	struct resolver_port *port;
};

void doors_file_free(struct doors_file *f);
/* NULL: no memory. */
void *doors_file_answer(const struct doors_file *f, const struct doors_question *q);
