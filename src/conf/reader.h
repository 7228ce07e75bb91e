/*
 * Reads a mapping of the configuration by a table of its options: an option is a row with name,
 * type, range and default. Errors are counted and printed; reading goes on to find the next.
 */
#pragma once

#include "conf/yaml.h"

#include <stdio.h>

struct conf_reader {
	const char *file;
	FILE *err;
	unsigned errors;
	bool no_memory;
};

enum option_type {
	OPTION_STRING, /* char *, malloc'ed, not empty unless min is 0; max: octets */
	OPTION_WORD,   /* an enum: one of words */
	OPTION_INT,    /* int, from min to max */
	OPTION_BOOL,   /* bool */
	OPTION_MS,     /* int64_t: "90s" "30m" "12h" "7d", in ms */
	OPTION_MAP,    /* what map says */
	OPTION_READ,   /* what read() says */
	OPTION_LATER,  /* known to the design, not possible in this version: an error */
	OPTION_UNUSED, /* accepted, and warned that this version does nothing with it */
};

struct option_word {
	const char *name;
	int value;
	bool later; /* known, not possible in this version */
};

struct schema;

struct option {
	const char *name;
	enum option_type type;
	size_t offset; /* of its field in what the mapping fills */
	int64_t min, max;
	int64_t def;                     /* NULL for strings */
	const struct option_word *words; /* ended by a row without name */
	const struct schema *map;
	/* Fills field; tells its errors by reader_error(). */
	void (*read)(struct conf_reader *r, const struct yaml_node *node, const char *path,
		     void *field);
};

struct schema {
	const struct option *options;
	size_t n;
};

void reader_defaults(const struct schema *schema, void *target);
/* path: what the mapping is called in messages, "" for the whole file. */
void reader_map(struct conf_reader *r, const struct yaml_node *node, const char *path,
		const struct schema *schema, void *target);

/* "FILE:LINE:COLUMN: PATH: text"; path "" : without. */
void reader_error(struct conf_reader *r, const struct yaml_node *node, const char *path,
		  const char *fmt, ...) PRINTF(4, 5);
void reader_warning(struct conf_reader *r, const struct yaml_node *node, const char *path,
		    const char *fmt, ...) PRINTF(4, 5);

#define READER_QUOTED 80
/* A scalar's text as it may stand in a message; into out. */
const char *reader_quote(struct sv text, char out[READER_QUOTED]);

/* Their nodes must be of that kind: else an error is told and false returned. */
bool reader_is_scalar(struct conf_reader *r, const struct yaml_node *node, const char *path,
		      const char *accepted);
bool reader_is_list(struct conf_reader *r, const struct yaml_node *node, const char *path,
		    const char *accepted);
/* Grows *array, of *n items of size octets, by one zeroed item and returns it; NULL: no memory,
 * which the reader remembers. */
void *reader_grow(struct conf_reader *r, void *array, size_t *n, size_t size);
char *reader_dup(struct conf_reader *r, struct sv text);
