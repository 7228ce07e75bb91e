/* Of doors.c, doors_file.c and doors_answer.c only. */
#pragma once

#include "logscan/doors.h"
#include "logscan/index.h"

enum file_type {
	TYPE_MX,
	TYPE_A,
	TYPE_AAAA,
	TYPE_TXT,
	TYPE_CNAME,
	TYPE_PTR,
	TYPE_NXDOMAIN,
	TYPE_NODATA,
	TYPE_SERVFAIL,
	TYPE_ANY, /* what a SERVFAIL without a type is of */
};

struct record {
	uint32_t next; /* of the same name; INDEX_NONE */
	uint8_t type;
	uint16_t preference; /* of a SERVFAIL: enum file_type that the look-up was for */
	union {
		struct addr addr;
		uint32_t name; /* position in strings; of TXT: the text, which is an SPF record */
	};
};

struct name {
	uint32_t string;
	uint32_t records;
};

struct doors_file {
	struct name *names;
	size_t n_names, alloc_names;
	struct index index;
	struct record *records;
	size_t n_records, alloc_records;
	char *strings;
	size_t n_strings, alloc_strings;
};

struct doors {
	struct doors_file *file; /* NULL: the resolver */
	bool has_loop;
	uv_loop_t loop;
	uv_timer_t timer;
	struct resolver *resolver;
	struct resolver_port *port;
};

/* The position of a name in lower case; INDEX_NONE: the file has nothing about it. */
uint32_t doors_file_find(const struct doors_file *f, const char *name);
void doors_file_free(struct doors_file *f);
/* NULL: no memory. */
void *doors_file_answer(const struct doors_file *f, const struct doors_question *q);
