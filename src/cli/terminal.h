/* What tables need to know of standard output. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

bool terminal_is(void);
/* 100 where it is no terminal. */
int terminal_columns(void);
/* 0 where it is no terminal, or nobody knows. */
int terminal_lines(void);
/* "1", "31", ...: a change of colour, if it is a terminal; "0" ends it. */
void terminal_style(const char *code);
