/*
 * Reads the files that the catalogue is made of: a line with the names of the columns, then rows,
 * tab separated. Empty lines and those that begin with '#' are left out. Of the catalogue only.
 */
#pragma once

#include "policy/catalogue.h"

#define TABLE_COLUMNS_MAX 10

struct table {
	const char *file; /* in messages */
	const char *const *columns;
	size_t n_columns;
	struct catalogue_error *error;
	struct sv rest;
	unsigned line;
	struct sv cells[TABLE_COLUMNS_MAX]; /* of the row read last */
};

/* Reads the head. 0; -EINVAL: it is another one, and that was told. */
int table_open(struct table *t, const char *file, struct sv text, const char *const *columns,
	       size_t n_columns, struct catalogue_error *error);
/* 1: cells are the next row's; 0: there is none; -EINVAL, told. */
int table_next(struct table *t);

/* The error is "FILE:LINE: ..." of the row read last. Returns -EINVAL. */
int table_wrong(const struct table *t, const char *fmt, ...) PRINTF(2, 3);

#define TABLE_QUOTED 80
/* A cell or word as it may stand in a message. */
const char *table_quote(struct sv text, char out[TABLE_QUOTED]);

/* Takes the next word off a cell whose words are separated by spaces; false: there is none. */
bool table_word(struct sv *cell, struct sv *ret_word);
size_t table_words(struct sv cell);
