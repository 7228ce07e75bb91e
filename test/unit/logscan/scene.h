/* For tests of logscan/: a book, a judge whose doors are text, and entries by few words. */
#pragma once

#include "logscan/join.h"
#include "logscan/judge.h"
#include "logscan/tally.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
	struct book book;
	struct join join;
	struct join_filter filter;
	struct judge judge;
	struct policy policy;
	struct memory *memory;
	struct tally tally;
};

static inline struct doors *scene_doors(const char *text)
{
	char file[] = "/tmp/frontdoor-doors-XXXXXX";
	int fd = mkstemp(file);
	struct doors *doors;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(doors_open_file(file, stderr, &doors), 0);
	unlink(file);
	return doors;
}

static inline struct addr scene_addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(text), &a), 0);
	return a;
}

static inline void scene_open(struct scene *s, const char *doors)
{
	*s = (struct scene) {
		.filter = { .since_ms = INT64_MIN, .until_ms = INT64_MAX },
		.policy = { .action = ACTION_OBSERVE,
			    .guessed_action = ACTION_OBSERVE,
			    .on_dns_failure = ACTION_DEFER,
			    .on_unknown_domain = ACTION_PASS,
			    .help_url = "" },
	};
	struct addr server = scene_addr("203.0.113.25");

	assert_int_equal(book_init(&s->book), 0);
	assert_int_equal(join_init(&s->join, &s->book, &s->filter, NULL, NULL), 0);
	assert_int_equal(memory_new(&s->memory), 0);
	map_init(&s->policy.domains);
	tally_init(&s->tally);
	s->judge.policy = &s->policy;
	s->judge.memory = s->memory;
	s->judge.doors = scene_doors(doors);
	assert_int_equal(prefix_set_add_addr(&s->judge.given, &server), 0);
}

static inline void scene_close(struct scene *s)
{
	doors_close(s->judge.doors);
	prefix_set_deinit(&s->judge.given);
	judge_deinit(&s->judge);
	prefix_set_deinit(&s->policy.trusted);
	tally_deinit(&s->tally);
	memory_free(s->memory);
	map_deinit(&s->policy.domains, domain_policy_free);
	prefix_set_deinit(&s->filter.clients);
	join_deinit(&s->join);
	book_deinit(&s->book);
}

/* One message from a client for recipients, in one entry as Exim's +received_recipients has it. */
static inline void scene_mail(struct scene *s, int64_t time_ms, const char *client,
			      const char *sender, const char *recipients)
{
	struct entry e = {
		.kind = ENTRY_ARRIVAL,
		.time_ms = time_ms,
		.day = (int32_t)(time_ms / 86400000),
		.id = SV("1PIcQq-00040L-2X"),
		.has_client = client != NULL,
		.local = client == NULL,
		.has_sender = true,
		.sender = sv_from(sender),
		.has_bytes = true,
		.bytes = 1000,
		.has_recipients = true,
		.recipients = sv_from(recipients),
	};

	if (client)
		e.client.addr = scene_addr(client);
	join_entry(&s->join, &e);
}

/* A delivery of some message, to a host or (NULL) into a mailbox. */
static inline void scene_delivery(struct scene *s, const char *recipient, const char *hop)
{
	struct entry e = {
		.kind = ENTRY_RECIPIENT,
		.id = SV("1PIcQq-00040L-99"),
		.recipient = sv_from(recipient),
		.way = hop ? WAY_REMOTE : WAY_LOCAL,
		.has_next_hop = hop != NULL,
	};

	if (hop)
		e.next_hop = scene_addr(hop);
	join_entry(&s->join, &e);
}

static inline void scene_judge(struct scene *s)
{
	assert_int_equal(judge_servers(&s->judge, &s->book), 0);
	assert_int_equal(judge_flows(&s->judge, &s->book), 0);
	assert_int_equal(judge_names(&s->judge, &s->book), 0);
}

/* The class of the flow of this client for this domain; "-": there is none. */
static inline const char *scene_class(const struct scene *s, const char *client, const char *domain)
{
	for (size_t i = 0; i < s->book.n_flows; i++) {
		const struct flow *f = &s->book.flows[i];
		const struct book_domain *d = &s->book.domains[f->domain];
		struct addr a;

		if (strcmp(d->name, domain) != 0)
			continue;
		if (f->client == INDEX_NONE
			    ? client == NULL
			    : client && (a = scene_addr(client),
					 addr_eq(&s->book.clients[f->client].addr, &a)))
			return f->judged ? mail_class_name((enum mail_class)f->class) : "?";
	}
	return "-";
}
