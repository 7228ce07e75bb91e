/* The web page of a summary (web/logs.html): one file that asks nothing of any host. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/*
 * summary_json: one JSON value (RFC 8259) in UTF-8; any text may be in its strings: none of it can
 * end the element it stands in. Written and flushed: 0; negative errno.
 */
int html_write(FILE *out, const char *summary_json, size_t n);
