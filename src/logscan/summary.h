/*
 * The answer: who came by which door, as one structure that the terminal, JSON, CSV, the page and
 * the suggestion are written from, so that all show the same figures. doc/logs.md explains them.
 */
#pragma once

#include "logscan/hint.h"
#include "logscan/scan.h"

#include <jansson.h>

#define SUMMARY_DOMAINS  1000 /* rows that JSON and the page have at most */
#define SUMMARY_NETWORKS 200
#define SUMMARY_NOTES    12
#define SUMMARY_NOTE_MAX 400

struct summary_group {
	const struct tally_group *group;
	enum hint hint;
	char why[HINT_WHY_MAX];
};

struct summary_scanner {
	char *name;
	enum grade grade;
	uint32_t domains;
	uint64_t inside, outside; /* mails: by the scanner; past it */
	struct proof_state proof;
	bool has_proof;
	char why[HINT_WHY_MAX];
};

struct summary {
	struct scan *scan;
	const struct judge *judge;
	int64_t now_ms;    /* wall clock */
	uint32_t *domains; /* rows of the book, most direct mail first */
	size_t n_domains, n_hosted;
	struct summary_group *networks, *ptr_domains;
	size_t n_networks, n_ptr_domains; /* at most SUMMARY_NETWORKS; the tally has all */
	struct summary_scanner *scanners;
	size_t n_scanners;
	uint64_t direct;  /* mails past a door: finding direct or null */
	uint64_t outside; /* mails from outside that did not log in: those that direct is a part of
			   */
	char notes[SUMMARY_NOTES][SUMMARY_NOTE_MAX];
	size_t n_notes;
};

/* Of what has been settled; sorts the tally. 0; -ENOMEM. */
int summary_make(struct scan *scan, const struct proof_conf *prove, int64_t now_ms,
		 struct summary *ret_summary);
void summary_deinit(struct summary *s);

/* direct / mails from outside of one domain, 0 to 1. */
double summary_share(const struct book_domain *d);
const char *summary_proof_word(const struct summary_scanner *s);

/* NULL: no memory. */
json_t *summary_json(const struct summary *s);
/* A row for each domain (RFC 4180). */
void summary_csv(const struct summary *s, FILE *out);
/* Tables and bars for a terminal of so many columns. */
void summary_text(const struct summary *s, FILE *out, bool colour, int columns);
/* A configuration that observes, with rows for the clients that look honest, and why. */
void summary_suggest(const struct summary *s, FILE *out);
