/*
 * Lines of output that wait for their verdicts: which domains are at home here is known only when
 * the logs have been read to their end, and DNS is asked for all at once. Kept in a file without a
 * name, below TMPDIR.
 */
#pragma once

#include "logscan/book.h"
#include "logscan/mail_line.h"

struct spool {
	FILE *file;
	uint64_t n;
	int error; /* errno of the first write that failed; 0: none */
};

int spool_open(struct spool *s);
void spool_close(struct spool *s);
void spool_add(struct spool *s, const struct mail *mail, uint32_t flow);
/* Writes all lines, whose flows are judged now, and forgets them. 0; -errno: of the spool or out.
 */
int spool_flush(struct spool *s, const struct book *b, enum mail_format format, FILE *out);
