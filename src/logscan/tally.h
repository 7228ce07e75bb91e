/*
 * The book's judged flows, summed up for the answer: by class, day, domain, client network and PTR
 * domain. Flows can be taken in and forgotten in between, so that memory stays bounded whatever the
 * logs' length.
 */
#pragma once

#include "logscan/book.h"
#include "logscan/judge.h"

enum door_word {
	DOOR_WORD_MX,
	DOOR_WORD_APEX,
	DOOR_WORD_WWW,
	DOOR_WORD_MAIL,
	DOOR_WORD_SMTP,
	DOOR_WORD_OTHER,
	DOOR_WORD_NONE,
	DOOR_WORD_UNKNOWN, /* not looked at: not hosted here, or the server address is not known */
	DOOR_WORD_COUNT,
};
const char *door_word_name(enum door_word w);

struct tally_class {
	uint64_t mails, bytes, domains, clients;
	uint64_t names[DOOR_WORD_COUNT]; /* mails, by the name that leads here */
};

struct tally_day {
	int32_t day;
	uint64_t mails[CLASS_COUNT];
};

/* One day of one domain; a domain's first is book_domain.days. */
struct tally_domain_day {
	int32_t day;
	uint32_t domain;
	uint32_t mails, direct; /* mails: from outside and not logged in; direct: part of them */
	uint32_t next;          /* INDEX_NONE: the last */
};

/* Mail past the door, from one network, or from clients named below one domain. */
struct tally_group {
	struct prefix network; /* of a network: /24 or /48; its first address otherwise */
	uint32_t ptr_domain;   /* book_string: registrable domain of confirmed names; 0: none */
	uint32_t clients, networks, domains, days;
	uint64_t mails, bytes;
	uint64_t own;     /* mails with a sender of the recipient's domain */
	uint64_t refused; /* recipients of these clients that the mail server refused */
	uint64_t related; /* mails whose client is named below the domain of the door's MX */
	uint32_t scanner; /* book_string: of a related mail's door, else of example's */
	int64_t first_ms, last_ms;
	uint32_t example; /* mails of the flow that client and domain are of: the largest */
	uint32_t client, domain;
};

/* A client that sends past the door as the recipient's own domain, again and again. */
struct tally_device {
	uint32_t client, domain;
	uint32_t mails, own;
	int64_t first_ms, last_ms;
};
#define TALLY_DEVICES_MAX 20000

struct tally {
	struct tally_class classes[CLASS_COUNT];
	struct tally_day *days; /* ascending after tally_sort() */
	size_t n_days, alloc_days;
	struct tally_domain_day *domain_days;
	size_t n_domain_days, alloc_domain_days;
	struct tally_group *networks; /* most mails first after tally_sort() */
	size_t n_networks, alloc_networks;
	struct tally_group *ptr_domains;
	size_t n_ptr_domains, alloc_ptr_domains;
	struct tally_device *devices; /* by domain after tally_sort() */
	size_t n_devices, alloc_devices;
	uint64_t mails;
	bool no_memory;

	/* private: what a group or class has been seen with, and where rows are */
	struct tally_seen {
		uint32_t what, with, kind;
	} * seen;
	size_t n_seen, alloc_seen;
	struct index day_index, domain_day_index, network_index, ptr_index, seen_index;
};

void tally_init(struct tally *t);
void tally_deinit(struct tally *t);
/* All judged flows of the book, which the caller then forgets: book_clear_flows(). */
void tally_take(struct tally *t, struct book *b, const struct judge *j);
void tally_sort(struct tally *t);

/* Of mail from outside, not logged in, and taken: the part of classes that could be direct. */
bool class_is_from_outside(enum mail_class c);
enum door_word tally_door_word(const struct book_domain *d, const struct judge *j,
			       const struct addr *server);
