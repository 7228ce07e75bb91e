/*
 * What happened, typed: one event for each judged recipient, and a few about frontdoor itself.
 * Sinks write them; today JSON lines. Writing never blocks a session: a bounded queue and one
 * writer thread; what does not fit is dropped and counted. The fields and the closed lists are
 * explained in doc/events.md.
 */
#pragma once

#include "base/addr.h"
#include "policy/decide.h"

#define EVENT_TEXT_MAX 256

struct event_rcpt {
	int64_t time_ms; /* wall clock */
	char id[24];     /* session id */
	char listener[64];
	struct endpoint client;
	struct endpoint server;
	char client_name[EVENT_TEXT_MAX]; /* forward-confirmed; "": none, or nobody had to ask */
	char helo[EVENT_TEXT_MAX];
	char rcpt_domain[EVENT_TEXT_MAX];
	enum door_kind door;
	bool door_known; /* false: nobody had to look at it */
	const char *
		door_name; /* static: "mx" "apex" "www" "mail" "smtp" "none"; NULL: not looked up */
	enum grade grade;
	enum finding finding;
	enum action action; /* carried out */
	enum action wanted; /* what enforcing would have done */
	enum restraint restraint;
	enum reason reason;
	char scanner[EVENT_TEXT_MAX];
	char mx[EVENT_TEXT_MAX];
	int reply;         /* code the client got for this RCPT; 0: none */
	int message_reply; /* code of the message's final reply; 0: none */
	bool tls;
	bool auth;
	uint64_t bytes;
	int64_t ms; /* from RCPT to its reply */
};

/* text, cut to what the field holds; NULL as "". */
void event_copy(char *out, size_t size, const char *text);
/* All that a decision says; door_name only where the address says nothing else ("mx"). */
void event_rcpt_decided(struct event_rcpt *e, const struct decision *d);

struct event_sink;

/* path "-": standard output; NULL: nowhere, for now. 0, -errno (the file can't be opened). */
int event_sink_new(const char *path, struct event_sink **ret_sink);
/* Writes what is queued, then ends; nobody reading for EVENT_END_MS, it is given up with what is
 * left. */
#define EVENT_END_MS 5000
void event_sink_free(struct event_sink *s);
/* To another file from now on (path as above), or to the same, opened anew: it was rotated. Any
 * thread. -errno: nothing has changed. */
int event_sink_switch(struct event_sink *s, const char *path);
/* Does anybody read them? */
bool event_wanted(const struct event_sink *s);
/* Any thread; copies. sink may be NULL. */
void event_emit_rcpt(struct event_sink *s, const struct event_rcpt *e);
/* {"time":..., "event": kind, "text": text}: about ourselves ("start", "identity-doubt",
 * "aa-answer" ...). */
void event_emit_note(struct event_sink *s, const char *kind, const char *text);
uint64_t event_dropped(const struct event_sink *s);

/* The JSON of one event, no newline; malloc'ed; for tests and explain. */
char *event_rcpt_json(const struct event_rcpt *e);
