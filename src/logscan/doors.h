/*
 * Where doors, client names and back-door names come from: the resolver that `serve` uses (so its
 * rules of TTL, CNAME and failure are the same), or a file of DNS records made before. Questions
 * are asked in batches, thousands at a time under way.
 *
 * The file has one record a line, as dig and zone files write them, names in full:
 *
 *     NAME [TTL] [IN] MX|A|AAAA|TXT|CNAME|PTR DATA
 *     NAME NXDOMAIN|NODATA            no such name; a name without such records
 *     NAME SERVFAIL [MX|A|AAAA|TXT|PTR]   look-ups that failed; without a type all
 *
 * Of TXT only SPF records count: "v=spf1 ...", in one or more strings. ';' and '#' outside of a
 * string begin a comment. A domain that the file does not name is one whose look-up failed; a
 * client whose reverse name it does not have has no name.
 */
#pragma once

#include "conf/conf.h"
#include "dns/resolver.h"

#include <stdio.h>

struct doors;

struct doors_question {
	enum resolver_kind kind; /* any but RESOLVER_CONFIRM */
	const char *domain;      /* of a domain or its names; the key of a source */
	struct addr client;
	uint32_t row; /* the asker's own */
	void *answer; /* domain_facts, client_names, door_names or egress_source, the asker's; NULL:
			 no memory, or no key */
};

/* 0; -errno, told to err. */
int doors_open_resolver(const struct conf *conf, FILE *err, struct doors **ret_doors);
/* Errors: "FILE:LINE: what is wrong; what is accepted". */
int doors_open_file(const char *file, FILE *err, struct doors **ret_doors);
void doors_close(struct doors *d);

/*
 * Fills every answer. progress (may be NULL) is called now and then with how many are done;
 * returning false ends the asking: 1 then, what was not answered is NULL. 0; -errno.
 */
int doors_ask(struct doors *d, struct doors_question *questions, size_t n,
	      bool (*progress)(void *user, size_t done, size_t n), void *user);

/* A domain about which nothing could be found out; NULL: no memory. */
struct domain_facts *doors_failed_domain(const char *domain);

/* Writes what one answer says as lines of such a file. */
void doors_write(FILE *out, const struct doors_question *q);
