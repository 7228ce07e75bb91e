/*
 * A run over logs: lines in, judged and summed mail out.
 *
 *     source → line → join → book → (settle) judge → tally, proof, spool
 */
#pragma once

#include "logscan/book.h"
#include "logscan/join.h"
#include "logscan/judge.h"
#include "logscan/line.h"
#include "logscan/source.h"
#include "logscan/spool.h"
#include "logscan/tally.h"
#include "policy/proof.h"

#define SCAN_FLOWS_MAX 1000000

/* Clients that are remembered where only lines are written, so that a log can be followed for
 * years: when there are more, all are forgotten, and looked up again as they come. */
#define SCAN_CLIENTS_MAX 200000

struct scan_conf {
	struct join_filter filter;
	bool lines; /* write each mail to out, in format */
	enum mail_format format;
	FILE *out;
	/* Flows in memory at a time (about 100 octets each); 0: SCAN_FLOWS_MAX. When there are
	 * more, those that are there are judged by what is known by then, and forgotten. */
	size_t flows_max;
	struct judge *judge;
	struct proof *proof; /* is told of all judged mail */
	bool lines_only;     /* no summary is made: the tally stays empty */
	size_t clients_max;  /* with lines_only; 0: SCAN_CLIENTS_MAX */
	/* About every 50 ms of work; false: end as if the logs had ended here. May be NULL. */
	bool (*progress)(void *user);
	/* A line that could not be parsed. May be NULL. */
	void (*unparsed)(void *user, const struct source_line *line);
	void *user;
};

struct scan {
	struct scan_conf conf;
	struct book book;
	struct join join;
	struct tally tally;
	struct line_reader reader;
	struct spool spool;
	uint64_t files, lines, bytes, unparsed, unfinished;
	int64_t newest_ms; /* of the last lines */
	uint64_t early;    /* settled for want of room, so many times */
	bool stopped;
};

/* 0, -errno. conf is copied; what it points to must last. */
int scan_init(struct scan *s, const struct scan_conf *conf);
void scan_deinit(struct scan *s);

/* To the end of the source, or (following) until progress() ends it. 0; 1: a file could not be read
 * to its end, which the source has told; -errno. */
int scan_read(struct scan *s, struct source *source);
/* Judges and sums up what was read, asks for the names that lead here, and writes the lines. Called
 * by scan_read() when there is no more room, and while following whenever the source is quiet; at
 * the end by the caller. 0; 1: DNS was not asked to the end; -errno. */
int scan_settle(struct scan *s);
