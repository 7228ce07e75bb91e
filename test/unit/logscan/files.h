/* Temporary files for the tests of readers, in a directory that goes away at the end. */
#pragma once

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* A table's kinds of files; the first is plain. */
extern const char *const packers[5];

/* What was told here since the last look is this, or begins so. */
extern FILE *files_err;
void files_expect_told(const char *want);
void files_expect_told_begin(const char *want);

/* Standard input is fd, which goes away, until files_restore_stdin() of what this returns. */
int files_replace_stdin(int fd);
void files_restore_stdin(int saved);

/* For cmocka: the directory, into which the program goes. */
int files_setup(void **state);
int files_teardown(void **state);

void files_write(const char *name, struct sv text);
void files_append(const char *name, struct sv text);
/* NUL-terminated, to be freed. */
char *files_read(const char *name, size_t *ret_n);
/* As packers[kind] writes it: "cat" copies. */
void files_pack(const char *from, const char *to, size_t kind);
/* n lines of a log, of many lengths, to be freed. */
char *files_log(size_t n, size_t *ret_n);
